"""Results: intervals, and what a failed one says."""

from __future__ import annotations

import pytest

from labctl.calibration.result import Demand, Measured, Quantity, Result


def test_intervals_by_student() -> None:
    assert Quantity("x", 1.0, 0.5).interval() == pytest.approx((1 - 0.97998, 1 + 0.97998), abs=1e-4)
    assert Quantity("x", 1.0, 0.5, degrees=19).interval()[1] == pytest.approx(1 + 0.5 * 2.0930, abs=1e-4)
    assert str(Quantity("v_pi", 0.35, 0.001, "V")) == "v_pi = 0.35 +- 0.001 V"


def test_a_failed_demand_is_the_message() -> None:
    demands = [Demand("a is 1", True, "none"), Demand("b is 2", False, "mend b"), Demand("c is 3", False, "mend b")]
    found = Result.of("p", "2026-01-01T00:00:00+00:00", {}, Measured((), demands), "labctl")
    assert (found.outcome, found.passed) == ("failed", False)
    assert found.message == "b is 2; c is 3"
    assert found.remedy == "mend b"
    assert Result.of("p", "", {}, Measured((), demands[:1]), "labctl").passed
