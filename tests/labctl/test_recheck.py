"""Re-checks of an ideal bench: their intervals hold the truth as often as they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy.stats import binom

from labctl.assembly import Assembly
from labctl.bench import open_bench
from labctl.config import RunConfig, load_bench
from labctl.events import Interval, Rechecked
from labctl.experiment import prepare_experiment
from labctl.plan import Plan
from labctl.recheck import Planned, refuse
from labctl.run_tables import RecheckConfig, RecheckKind
from labctl.shipped import bench_path

ALL = {"shot_noise_every_images": 10, "bias_every_images": 20, "phase_every_images": 30}
#: Intervals that miss the truth, on purpose often enough to be counted.
LEVEL = 0.1


def found(value: float, low: float, high: float, expected: float = 1.0, limit: float = 0.01) -> Rechecked:
    return Rechecked(4, "shot-noise", Interval(value, low, high), expected, limit, False, 1.0, 2.0)


@pytest.mark.parametrize(
    ("low", "high", "passed"),
    [(0.98, 1.02, True), (1.009, 1.05, True), (1.0101, 1.05, False), (0.9, 0.9899, False), (float("nan"), 2, False)],
)
def test_what_lies_beyond_the_limit_as_a_whole_has_drifted(low: float, high: float, passed: bool) -> None:
    event = found((low + high) / 2, low, high)
    assert event.passed == passed
    assert ("DRIFTED" in event.told) != passed


def test_the_message_says_what_how_far_and_what_to_do() -> None:
    error = refuse(found(0.95, 0.94, 0.96), "shot-noise")
    assert "it has drifted by -0.05, and 0.01 is allowed" in str(error)
    assert error.remedy.startswith("Run: labctl calibrate --only shot-noise")


def test_planned_and_told_before_the_run() -> None:
    planned = Planned(load_bench(bench_path("ideal")), RecheckConfig(**ALL), 60)
    assert planned.plan.kinds == ("shot-noise", "bias", "phase")
    assert [planned.plan.count(kind) for kind in planned.plan.kinds] == [6, 3, 2]
    assert planned.seconds == pytest.approx((9 * 200_000 + 5 * 576_000) / 125e6)
    (line,) = planned.lines()
    assert "6 x shot-noise (every 10 images, limit 0.01)" in line
    assert Planned(load_bench(bench_path("ideal")), None, 60).lines() == ()


@pytest.mark.parametrize(("kind", "times"), [("shot-noise", 60), ("bias", 25), ("phase", 25)])
def test_intervals_hold_the_truth_as_often_as_they_say(tmp_path: Path, kind: RecheckKind, times: int) -> None:
    """Two-sided, each with an error probability of 0.001 in all."""
    keys = {"dataset": "digits", "model": "digits", "gain": 1.3, "mean_photons": 4.0, "images": 2, "recheck": ALL}
    experiment = prepare_experiment(RunConfig(name="r", **keys))
    missed = numbers = 0
    with open_bench(experiment.bench_path, experiment.bench) as bench:
        assembly = Assembly.build(experiment, bench)
        assert assembly.rechecks is not None
        assert assembly.control is not None
        assembly.prepare()
        assembly.light_on()
        for number in range(times):
            assembly.control.set_draw_key(number, 0, 1)
            for each in assembly.rechecks.perform(kind, number, LEVEL, 0.0):
                numbers += 1
                missed += not each.found.low <= each.expected <= each.found.high
        bench.safe_state()
    assert binom.ppf(5e-4, numbers, LEVEL) <= missed <= binom.ppf(1 - 5e-4, numbers, LEVEL)


def test_the_rate_is_shared_among_all_numbers_of_a_run() -> None:
    every: tuple[tuple[RecheckKind, int], ...] = (("shot-noise", 10), ("bias", 10))
    plan = Plan(100, 1, 0, every)
    assert (plan.count("shot-noise"), plan.count("bias"), plan.count("phase")) == (10, 10, 0)
