"""Benches with hidden true values, drawn and served by another process, calibrated, and then revealed.

With shorter records than usual; ``make soak`` takes the usual ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from labctl.calibration import amplifier, probe, rig
from labctl.calibration.statistics import BLOCKS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    sys.modules.pop("blind", None)
    import blind as module

    monkeypatch.setattr(rig, "NOISE_SAMPLES", 1_000_000)
    monkeypatch.setattr(amplifier, "AMPLIFIER_THREES", 30 * BLOCKS)
    monkeypatch.setattr(probe, "THREES", 10 * BLOCKS)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("seed", [201, 202, 203])
def test_intervals_hold_the_hidden_truth(blind, seed: int) -> None:
    """38 quantities of 95 %: by the binomial distribution seven or more misses come in 0.2 % of benches."""
    found = blind.calibrate_blind(seed, runs=False)
    assert found["failed"] == {}
    assert len(found["held"]) == 38
    missed = {name: found["pulls"][name] for name, held in found["held"].items() if not held}
    assert len(missed) <= 6, missed
    assert all(abs(pull) < 6 for pull in found["pulls"].values()), found["pulls"]


def test_coverage_is_judged_by_all_and_by_each(blind) -> None:
    def benches(misses: dict[str, int]) -> list[dict[str, object]]:
        names = [f"q{index}" for index in range(20)]
        return [
            {"seed": seed, "seconds": 1.0, "failed": {}, "held": {n: seed >= misses.get(n, 2) for n in names}}
            for seed in range(50)
        ]

    assert blind.judge(benches({}))["passed"]
    assert blind.judge(benches({"q3": 30}))["outside"] == {"q3": 20}
    assert not blind.judge(benches({f"q{index}": 0 for index in range(20)}))["passed"], "too many are held"
