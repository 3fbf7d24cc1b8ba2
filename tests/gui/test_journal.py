"""What the event log says of a re-check."""

from __future__ import annotations

import pytest

from gui.journal import Journal, Level
from labctl.events import Interval, Rechecked


@pytest.mark.parametrize(("high", "level"), [(0.02, Level.INFO), (-0.02, Level.ERROR)])
def test_a_recheck_is_told_and_a_drift_is_an_error(high: float, level: Level) -> None:
    journal = Journal()
    journal.note(Rechecked(100, "phase-client", Interval(-0.06, -0.1, high), 0.01, 0.02, False, 1.0, 2.0))
    (line,) = journal.lines
    assert (line.level, line.source) == (level, "re-check")
    assert line.text.startswith("after 100 images: phase-client -0.06 [-0.1, ")
