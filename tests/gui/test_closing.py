"""Whatever goes on when a window is closed: it asks where light may be on, and what stays behind is dark."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from gui.conductor import Phase
from gui.window import MainWindow
from labctl.record import Run, open_run
from tests.gui.conftest import PATIENCE_MS
from tests.gui.test_window import answer, close_boxes, images_done, press, reached, running

ABORT = "Abort it, light off"


def engine_of(window: MainWindow) -> int:
    pid = window.conductor.engine.pid
    assert pid is not None
    return pid


def into_starting(qtbot: QtBot, window: MainWindow, recorded: Run) -> None:
    press(qtbot, window, "▶ Start")
    assert window.conductor.phase is Phase.STARTING


def into_running(qtbot: QtBot, window: MainWindow, recorded: Run) -> None:
    press(qtbot, window, "▶ Start")
    images_done(qtbot, window, 1)


def into_paused(qtbot: QtBot, window: MainWindow, recorded: Run) -> None:
    into_running(qtbot, window, recorded)
    press(qtbot, window, "‖ Pause")
    reached(qtbot, window, Phase.PAUSED)


def into_stopping(qtbot: QtBot, window: MainWindow, recorded: Run) -> None:
    into_running(qtbot, window, recorded)
    window.conductor._enter(Phase.STOPPING)  # the engine is as good as there
    press(qtbot, window, "■ Abort")


def into_lost(qtbot: QtBot, window: MainWindow, recorded: Run) -> None:
    into_running(qtbot, window, recorded)
    os.kill(engine_of(window), signal.SIGKILL)
    reached(qtbot, window, Phase.LOST)
    close_boxes()


def into_replaying(qtbot: QtBot, window: MainWindow, recorded: Run) -> None:
    window.replay(recorded.path)


@pytest.mark.parametrize("into", [into_starting, into_running, into_paused, into_stopping])
def test_while_light_may_be_on(
    qtbot: QtBot, window: MainWindow, recorded: Run, tmp_path: Path, into: Callable[[QtBot, MainWindow, Run], None]
) -> None:
    into(qtbot, window, recorded)
    pid = engine_of(window)
    answer("Stay")
    window.close()
    assert window.isVisible()
    if window.conductor.phase.run_goes_on:
        answer(ABORT)
    window.close()
    assert not window.isVisible()
    qtbot.waitUntil(lambda: not Path(f"/proc/{pid}").exists() or not running(pid), timeout=PATIENCE_MS)
    for path in (tmp_path / "runs").glob("*.h5"):  # none where it was ended before it began
        run = open_run(path)
        assert run.status == "aborted"
        assert run.light_off is not None
        assert run.light_off.dark


@pytest.mark.parametrize("into", [into_lost, into_replaying])
def test_while_nothing_can_be_lit_it_does_not_ask(
    qtbot: QtBot, window: MainWindow, recorded: Run, into: Callable[[QtBot, MainWindow, Run], None]
) -> None:
    into(qtbot, window, recorded)
    pids = [link.pid for link in (window.conductor.engine, window.conductor.lookups, window.conductor.safety)]
    window.close()
    assert not window.isVisible()
    for pid in pids:
        if pid is not None:
            qtbot.waitUntil(lambda pid=pid: not Path(f"/proc/{pid}").exists() or not running(pid), timeout=PATIENCE_MS)
