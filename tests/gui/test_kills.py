"""A window that is killed costs nothing: the run goes on, and its file is what an undisturbed run gives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.gui_kills import kill_windows, wrong_with
from labctl.record import Run
from labctl.values import SafeState


@pytest.mark.slow
def test_five_kills_at_random_moments() -> None:
    found = kill_windows(kills=5, images=40)
    assert found["passed"], found["wrong"]
    assert sum(found["moments"].values()) == 5
    assert found["moments"].keys() - {"later"}


def test_what_is_wrong_is_told(recorded: Run) -> None:
    assert wrong_with(recorded, recorded) == []
    assert recorded.light_off is not None
    lit = replace(recorded.light_off, readback=(SafeState("laser", dark=False, readings={}),))
    spoilt = replace(recorded, light_off=lit)
    assert wrong_with(spoilt, recorded) == ["the light was not read back as off"]
