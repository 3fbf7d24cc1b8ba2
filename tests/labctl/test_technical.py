"""Technical noise as measured on simulated benches: none on the ideal one, and what a fault adds on another."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path

import pytest

from labctl.experiment import Experiment, load_experiment
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
