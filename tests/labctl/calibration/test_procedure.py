"""Which procedures run, and in which order."""

from __future__ import annotations

import pytest

from labctl.calibration.plan import PLAN
from labctl.calibration.procedure import Known, chosen
from labctl.calibration.result import Quantity, Result
from labctl.errors import CalibrationError, ConfigError


def fresh(*names: str, outcome: str = "passed") -> dict[str, Result]:
    return {name: Result(name, "", outcome, {}, (Quantity(f"{name}.x", 1.0, 0.1),)) for name in names}


def test_needs_come_first_in_the_plan() -> None:
    seen: set[str] = set()
    for procedure in PLAN:
        assert set(procedure.needs) <= seen, procedure.name
        seen.add(procedure.name)
    assert len(seen) == len(PLAN)


def test_all_without_names() -> None:
    assert chosen(PLAN, (), fresh("shot-noise")) == list(PLAN)


def test_one_takes_what_it_needs_and_has_not() -> None:
    names = [each.name for each in chosen(PLAN, ("modulator",), {})]
    assert names == ["electronic-noise", "shot-noise", "modulator"]
    both = fresh("shot-noise", "electronic-noise")
    assert [each.name for each in chosen(PLAN, ("modulator",), both)] == ["modulator"]
    old = [each.name for each in chosen(PLAN, ("modulator",), fresh("shot-noise"))]
    assert old == ["electronic-noise", "modulator"], "what it rests on indirectly as well"
    failed = fresh("shot-noise", outcome="failed") | fresh("electronic-noise")
    assert [each.name for each in chosen(PLAN, ("modulator",), failed)] == ["shot-noise", "modulator"]


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="no procedure 'bias'") as caught:
        chosen(PLAN, ("bias",), {})
    assert "shot-noise" in caught.value.remedy


def test_a_quantity_that_is_not_known() -> None:
    known = Known(fresh("tap"))
    assert known.value("tap.x") == 1.0
    with pytest.raises(CalibrationError, match=r"tap\.y is not known"):
        known["tap.y"]
