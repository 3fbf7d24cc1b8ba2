"""The window on a bench that is not in its engine's process: a lab over TCP, as a real one would be."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from gui.conductor import Phase
from gui.window import MainWindow
from labctl.upkeep import snapshot_bench
from tests.end_to_end.test_served_lab import serve
from tests.gui.conftest import PATIENCE_MS


@pytest.mark.slow
def test_light_off_past_an_engine_that_hangs(
    qtbot: QtBot, make_window: Callable[[], MainWindow], tmp_path: Path
) -> None:
    """The engine stands still in mid-run; the bench is dark all the same, and the window says what happened."""
    lab = serve(tmp_path)
    window = make_window()
    window.choose("digits", str(lab.bench))
    assert not window.conductor.bench_in_process
    assert not window.controls.banner.isHidden()  # a served lab is simulated as well
    window.start_run()
    qtbot.waitUntil(lambda: window.conductor.model.done_images > 0, timeout=PATIENCE_MS)
    pid = window.conductor.engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    window.conductor._patience.setInterval(100)
    window.controls.light_button.click()
    qtbot.waitUntil(lambda: window.conductor.model.light_off is not None, timeout=PATIENCE_MS)
    assert "dark: 10 instruments" in window.controls.readback.text()
    qtbot.waitUntil(lambda: window.conductor.phase is Phase.LOST, timeout=PATIENCE_MS)  # it was ended for holding on
    lines = [str(line) for line in window.conductor.journal.lines]
    assert any("made dark past it" in line for line in lines)
    assert snapshot_bench(lab.bench)["laser"]["diode_on"] is False
    assert lab.end(signal.SIGTERM)[0] == 0
