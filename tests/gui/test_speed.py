"""The window's bench in short form: what it tells and counts is right, and memory is flat while views draw."""

from __future__ import annotations

import gc

from pytestqt.qtbot import QtBot

from benchmarks.window import GROWTH_MIB, Paintings, painted_s, quantiles, resident_mib, tell
from gui.app import application, spare
from gui.table import CAPACITY
from gui.view import is_seen
from gui.window import MainWindow
from labctl.events import ImageFinished
from labctl.record import Run
from labctl.replay import Teller


def test_memory_is_flat_while_views_draw(window: MainWindow, recorded: Run, qtbot: QtBot) -> None:
    app, model = application(), window.conductor.model
    events = list(Teller().tell(recorded))
    model.take(events)
    last = next(event for event in reversed(events) if isinstance(event, ImageFinished))
    paintings = Paintings(window)
    first = tell(app, window, last, last.image + 1, 2 * CAPACITY + 20_000)
    before = resident_mib()
    assert tell(app, window, last, first, 30_000) == first + 15_000
    assert resident_mib() - before < GROWTH_MIB
    assert model.done_images > CAPACITY
    drawn = {key for key, view in window.views.items() if is_seen(view)} - {"histogram", "circuit"}
    assert drawn <= paintings.counts.keys()  # how often depends on the machine: benchmarks/window.py


def test_what_is_spared_is_not_looked_through() -> None:
    frozen = gc.get_freeze_count()
    try:
        spare()
        assert gc.get_freeze_count() > frozen + 10_000
    finally:
        gc.unfreeze()


def test_the_time_to_the_first_frame_is_told(tmp_path: object) -> None:
    assert 0.1 < painted_s(str(tmp_path)) < 60


def test_quantiles() -> None:
    assert quantiles([float(number) for number in range(1000)]) == {"p50": 500, "p99": 990, "p99.9": 999, "max": 999}
