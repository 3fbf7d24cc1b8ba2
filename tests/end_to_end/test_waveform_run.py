"""Runs on the bench that sends pulses: four samples a bin, bandwidths, a skewed receiver, a phase that turns slowly.

The honest client is accepted with the transmittance and the excess noise that it has; the greedy one is caught.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.config import RunConfig, load_bench
from labctl.errors import ConfigError, LabctlError
from labctl.events import AlarmRaised, ImageFinished, LayerMeasured, RunStarted
from labctl.experiment import load_experiment, prepare_experiment
from labctl.run_tables import LedgerConfig, WeightsLedgerConfig
from labctl.sampler import open_sampler
from labctl.shipped import bench_path, examples
from sim_backends.lab import Lab, open_lab
from tests.end_to_end.followed import Followed, emitting

IMAGES = 150


def bench_with(folder: Path, changes: dict[str, str]) -> str:
    text = (examples() / "waveform.bench.toml").read_text(encoding="utf-8")
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / "changed.bench.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def honest() -> Followed:
    return Followed(bench="waveform", images=IMAGES)


@pytest.fixture
def pulse_lab() -> Iterator[Lab]:
    opened = open_lab(str(bench_path("waveform")))
    yield opened
    opened.close()


def test_an_honest_client_is_accepted(honest: Followed) -> None:
    assert honest.outcome.error is None
    assert (honest.outcome.verdict, honest.outcome.finished.images) == ("accepted", IMAGES)
    assert honest.light_off.dark


def test_transmittance_is_unbiased(honest: Followed) -> None:
    """1, less the residual phase's share of 2e-4. 710,400 samples: T to 0.0012, and the unit of two quadratures of
    900,000 symbols makes a relative error of 0.00105, which the interval has; four standard errors are allowed.
    """
    pooled = honest.outcome.finished.pooled
    assert pooled is not None
    error = (pooled.transmittance.high - pooled.transmittance.low) / 2 / 1.96
    assert error == pytest.approx(np.hypot(0.0012, 0.00105), rel=0.1)
    assert pooled.transmittance.value == pytest.approx(0.9998, abs=4 * error)


def test_excess_is_the_honest_one(honest: Followed) -> None:
    """The budget of docs/physics.md, section 4a, adds 0.0015; the rest is within four standard errors."""
    pooled = honest.outcome.finished.pooled
    assert pooled is not None
    assert pooled.expected == pytest.approx(1 / 32)
    error = (pooled.excess.high - pooled.excess.low) / 2 / 1.96
    assert error < 0.005
    assert pooled.excess.value == pytest.approx(pooled.expected + 0.0015, abs=4 * error)


def test_the_residual_phase_is_allowed_for() -> None:
    """What was measured and shipped is the budget's 0.0015 within its error, and H0 has it with that error."""
    link = load_bench(bench_path("waveform")).link
    assert 0 < link.technical_excess_se < 0.001
    assert link.technical_excess == pytest.approx(0.0015, abs=3 * link.technical_excess_se)
    plan = load_experiment("digits", bench="waveform", images=2).agreement().plan()
    assert [layer.technical_excess for layer in plan.layers] == [link.technical_excess] * 2
    assert plan.common_excess_se == pytest.approx(link.technical_excess_se, rel=0.01)


def test_the_client_reads_its_products(honest: Followed) -> None:
    """As on the ideal bench: the accuracy of 150 images is 0.91 there, with a standard error of 0.024."""
    accuracy = honest.outcome.finished.accuracy
    assert accuracy is not None
    assert accuracy.value > 0.91 - 4.5 * 0.024


def test_calibration_finds_the_receiver(honest: Followed) -> None:
    (started,) = honest.of(RunStarted)
    found = started.calibration
    assert found["server_skew_samples"] == pytest.approx(0.4e-9 * 500e6, abs=0.01)
    assert found["server_angle_error_rad"] == pytest.approx(np.radians(2), abs=2e-3)
    assert found["server_gain_ratio"] == pytest.approx(1.05, abs=2e-3)
    assert found["server_calibration_samples"] == pytest.approx(1.8e6, rel=0.01)


def greedy(folder: Path) -> Path:
    path = folder / "greedy.toml"
    path.write_text(
        'dataset = "digits"\nmodel = "digits"\ngain = 1.3\nmean_photons = 4.0\nseed = 2\nbench = "waveform"\n'
        "[adversary]\nclient_gain = 4.5\n",
        encoding="utf-8",
    )
    return path


def test_a_greedy_client_is_stopped(tmp_path: Path, pulse_lab: Lab) -> None:
    """G = 4.5 where 1.3 was agreed leaves 0.049 SNU where 0.014 was: seven standard errors after 200 images."""
    followed = Followed(name=greedy(tmp_path), images=200)
    assert (followed.outcome.finished.status, followed.outcome.verdict) == ("complete", "alarm")
    (alarm,) = followed.of(AlarmRaised)
    assert alarm.excess > alarm.threshold
    assert len(followed.of(ImageFinished)) <= alarm.image + 1 < 200
    assert emitting(pulse_lab) == []


def numbers(followed: Followed) -> list[tuple[Any, ...]]:
    return [(event.sum_ss, event.sum_sr, event.sum_rr) for event in followed.of(LayerMeasured)]


def test_the_seed_tells_everything(tmp_path: Path) -> None:
    fast = bench_with(tmp_path, {"calibration_symbols = 900_000": "calibration_symbols = 20_000"})
    first, again, other = (Followed(bench=fast, images=2, seed=seed) for seed in (3, 3, 4))
    assert numbers(first) == numbers(again) != numbers(other)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({'linewidth = "100 Hz"': 'linewidth = "1 MHz"'}, "phase"),
        ({"pilot_photons = 1000.0": "pilot_photons = 2.0"}, "pilot|phase|symbols|signal"),
    ],
    ids=["restless laser", "faint pilots"],
)
def test_no_numbers_without_a_reference(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    outcome = Followed(bench=bench_with(tmp_path, changes), images=2).outcome
    assert outcome.finished.pooled is None
    assert isinstance(outcome.error, LabctlError)
    assert re.search(said, str(outcome.error))


def test_pilots_must_fit_the_range(tmp_path: Path) -> None:
    path = bench_with(tmp_path, {'full_scale = "4 V"': 'full_scale = "700 mV"'})
    with pytest.raises(ConfigError, match=r"server_receiver\.full_scale"):
        load_experiment("digits", bench=path, images=2)


def test_both_tables_or_neither(tmp_path: Path) -> None:
    text = (examples() / "waveform.bench.toml").read_text(encoding="utf-8")
    start = text.index("[world.waveform]")
    path = tmp_path / "half.bench.toml"
    path.write_text(text[:start], encoding="utf-8")
    with pytest.raises(ConfigError, match="belong together"):
        open_lab(str(path))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({'phase]\ndelay = "50 us"': 'phase]\nlinewidth = "1 kHz"'}, r"waveform\.phase\.linewidth"),
        ({'[world.laser]\nlinewidth = "100 Hz"': ""}, r"waveform\.phase\.delay has no effect"),
        (
            {"[world.client_receiver]\n": '[world.client_receiver]\nlo_delay = "1 us"\n'},
            r"client_receiver\.lo_delay has no effect",
        ),
    ],
    ids=["no twin", "quiet laser", "locked client"],
)
def test_the_laser_has_one_phase(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_lab(bench_with(tmp_path, changes))


def test_a_sweep_is_refused() -> None:
    with pytest.raises(ConfigError, match="calibrates its receiver for each run"):
        open_sampler(load_experiment("digits", bench="waveform", images=2))


def test_an_account_of_the_weights_is_refused(tmp_path: Path) -> None:
    run = RunConfig(
        name="x",
        dataset="digits",
        model="digits",
        bench="waveform",
        gain=2.0,
        mean_photons=4.0,
        images=2,
        ledger=LedgerConfig(weights=WeightsLedgerConfig(file=str(tmp_path / "a"), bits_per_weight_budget=10.0)),
    )
    with pytest.raises(ConfigError, match=r"ledger\.weights"):
        prepare_experiment(run)


def test_bins_are_slower_than_samples() -> None:
    bench = load_bench(bench_path("waveform"))
    assert (bench.sample_rate, bench.bin_rate, bench.samples_per_bin) == (500e6, 125e6, 4)
    ideal = load_bench(bench_path("ideal"))
    assert (ideal.bin_rate, ideal.samples_per_bin) == (ideal.sample_rate, 1)


def test_a_dry_run_tells_the_light_level(honest: Followed) -> None:
    """To 0.3 dB: the forecast does not know on what samples the generator's granularity lets a row begin."""
    (started,) = honest.of(RunStarted)
    planned = load_experiment("digits", bench="waveform", images=2).forecast()
    set_db = sum(float(value) for key, value in flat(started.snapshots["attenuator"]) if "attenuation" in key)
    assert planned.attenuation_db == pytest.approx(set_db, abs=0.3)
    assert planned.light_s == pytest.approx(2 * (64 + 10) * 32 / 125e6)


def flat(snapshot: Any) -> list[tuple[str, Any]]:
    return list(snapshot.items())
