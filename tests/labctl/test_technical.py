"""Technical noise as measured on simulated benches: none on the ideal one, and what a fault adds on another."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.engine import RunControl
from labctl.errors import ConfigError
from labctl.events import EventBus, ImageFinished, NoiseCheck
from labctl.experiment import Experiment, load_experiment
from labctl.session import run_experiment
from labctl.shipped import bench_path
from labctl.technical import measure_technical_noise

SIGMAS = 4.5


def experiment(bench: Path | str, images: int, seed: int) -> Experiment:
    return load_experiment("digits-telecom", bench=str(bench), images=images, seed=seed)


def test_an_ideal_bench_has_none() -> None:
    found = measure_technical_noise(experiment("ideal", 100, 3))
    assert abs(found.technical_excess) < SIGMAS * found.excess_se
    assert found.honest_excess == pytest.approx((2 - 2 / 1.3) / 32)
    assert abs(found.transmittance - 1) < SIGMAS * found.transmittance_se
    assert all(abs(value) < SIGMAS * error for value, error in found.layers)
    # One image resolves 0.043 SNU; the standard error is what many leave of that.
    assert found.excess_se == pytest.approx(0.043 / math.sqrt(100), rel=0.3)


def test_a_fault_shows_and_its_lines_fit_the_bench_file(tmp_path: Path) -> None:
    """A stray field of the modulator, off its null by 4 mV of 350: V_pi and all else as calibrated."""
    text = bench_path("ideal").read_text(encoding="utf-8")
    assert text.count("[world.modulator]\n") == 1
    faulty = tmp_path / "faulty.bench.toml"
    faulty.write_text(text.replace("[world.modulator]\n", '[world.modulator]\nbias_i = "4 mV"\n'), encoding="utf-8")
    found = measure_technical_noise(experiment(faulty, 60, 4), 130)  # more than there are: taken again
    assert found.images == 130
    assert found.technical_excess > SIGMAS * found.excess_se
    lines = tomllib.loads(found.toml())
    assert lines["technical_excess"] == pytest.approx(found.technical_excess, rel=1e-3)
    assert lines["technical_excess_se"] == pytest.approx(found.excess_se, rel=0.06)
    assert faulty.read_text(encoding="utf-8").count("technical") == 0


def test_less_than_nothing_counts_as_nothing() -> None:
    found = measure_technical_noise(experiment("ideal", 2, 5))
    negative = type(found)(**{**vars(found), "excess": found.honest_excess - 1.0})
    assert tomllib.loads(negative.toml())["technical_excess"] == 0


def with_link(folder: Path, lines: str) -> Path:
    """The telecom bench with other technical noise."""
    kept = [
        line
        for line in bench_path("telecom").read_text(encoding="utf-8").splitlines()
        if not line.startswith("technical_")
    ]
    kept.insert(kept.index("[link]") + 1, lines)
    path = folder / "layers.bench.toml"
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return path


def test_one_number_a_layer_reaches_the_check(tmp_path: Path) -> None:
    bench = with_link(tmp_path, "technical_excess = [0.01, 0.03]\ntechnical_excess_se = [0.001, 0.004]")
    planned = experiment(bench, 3, 1)
    agreement = planned.agreement()
    honest = agreement.expected
    assert agreement.allowed == pytest.approx((honest[0] + 0.01, honest[1] + 0.03))
    plan = agreement.plan()
    assert [layer.technical_excess for layer in plan.layers] == [0.01, 0.03]
    many, few = agreement.samples
    # The errors as if they were one, at the look that they weigh most in: both layers, or the first one alone.
    assert plan.common_excess_se == pytest.approx((many * 0.001 + few * 0.004) / (many + few), rel=1e-3)
    assert planned.forecast().technical_excess == pytest.approx((many * 0.01 + few * 0.03) / (many + few))
    pooled, layers = run_of(planned)
    assert [each.technical for each in layers] == [0.01, 0.03]
    assert pooled.technical == pytest.approx((many * 0.01 + few * 0.03) / (many + few))


def run_of(planned: Experiment) -> tuple[NoiseCheck, tuple[NoiseCheck, ...]]:
    """Pooled and per layer, after the last image."""
    found: list[ImageFinished] = []
    bus = EventBus()
    bus.subscribe(ImageFinished, found.append)
    assert run_experiment(planned, bus, RunControl(), None).error is None
    return found[-1].pooled, found[-1].layers


def test_a_single_number_serves_all_layers(tmp_path: Path) -> None:
    bench = with_link(tmp_path, "technical_excess = [0.01, 0.03]\ntechnical_excess_se = 0.002")
    agreement = experiment(bench, 3, 1).agreement()
    unit = agreement.receiver.unit_relative_se * max(agreement.allowed)
    assert agreement.plan().common_excess_se == pytest.approx(math.hypot(0.002, unit))
    assert 0 < unit < 0.0001


@pytest.mark.parametrize("key", ["technical_excess", "technical_excess_se"])
@pytest.mark.parametrize("numbers", ["[0.01]", "[0.01, 0.01, 0.01]"])
def test_a_list_of_another_length_than_the_network_is_refused(tmp_path: Path, key: str, numbers: str) -> None:
    with pytest.raises(ConfigError, match=rf"link\.{key}' has \d numbers?, the network has 2 layers"):
        experiment(with_link(tmp_path, f"{key} = {numbers}"), 3, 1)


@pytest.mark.parametrize("numbers", ["-0.1", "[]", "[0.1, -0.1]", "nan", "[true, 0.1]", '"0.1"'])
def test_what_is_no_excess_is_refused(tmp_path: Path, numbers: str) -> None:
    with pytest.raises(ConfigError, match=r"link\.technical_excess.*at least 0, or a list"):
        experiment(with_link(tmp_path, f"technical_excess = {numbers}"), 3, 1)


def test_lines_for_each_layer_where_layers_differ(tmp_path: Path) -> None:
    found = measure_technical_noise(experiment("ideal", 2, 5))
    differing = replace(found, layers=((0.02, 0.001), (-0.01, 0.004)))
    assert differing.layers_differ
    lines = tomllib.loads(differing.toml())
    assert (lines["technical_excess"], lines["technical_excess_se"]) == ([0.02, 0.0], [0.001, 0.004])
    experiment(with_link(tmp_path, differing.toml()), 3, 1)
    alike = replace(found, layers=((0.02, 0.001), (0.01, 0.006)))
    assert not alike.layers_differ
    assert not isinstance(tomllib.loads(alike.toml())["technical_excess"], list)


def test_each_run_is_judged_by_its_own_calibration(tmp_path: Path) -> None:
    """On a bench that calibrates its receiver in the run: the excess is that of the runs' own checks, and errors of
    four calibrations average out.
    """
    text = bench_path("waveform").read_text(encoding="utf-8")
    assert text.count("calibration_symbols = 900_000") == 1
    path = tmp_path / "poor.bench.toml"
    path.write_text(text.replace("calibration_symbols = 900_000", "calibration_symbols = 10_000"), encoding="utf-8")
    planned = load_experiment("digits", bench=str(path), images=10, seed=6)
    found = measure_technical_noise(planned, 40)
    own = []
    for seed in range(6, 10):
        honest = load_experiment("digits", bench=str(path), images=10, seed=seed)
        pooled, _ = run_of(replace(honest, bench=honest.bench.with_technical(100.0, 0.0)))
        own.append(pooled.excess.value)
    assert found.excess == pytest.approx(sum(own) / 4, abs=2e-4)  # theirs has one t a layer, not one an image
    assert found.calibrations == 4
    # 4736 samples an image, 20,000 real samples a calibration: 2 sqrt(2/20,000) = 0.02 of each.
    expected = math.hypot(2 * math.sqrt(2 / 4736 / 40), 2 * math.sqrt(2 / 2e4) / 2)
    assert found.excess_se == pytest.approx(expected, rel=0.2)
