"""A window with settings and locks of its own, closed at the end whatever goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PyQt6.QtCore import QSettings
from pytestqt.qtbot import QtBot

from gui.conductor import Phase
from gui.window import MainWindow
from labctl.record import Run, open_run
from labctl.session import run as run_session

PATIENCE_MS = 60_000


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_LOCKS", str(tmp_path / "locks"))


@pytest.fixture
def settings(tmp_path: Path) -> QSettings:
    return QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)


@pytest.fixture
def make_window(qtbot: QtBot, tmp_path: Path, settings: QSettings) -> Iterator[Callable[[], MainWindow]]:
    made: list[MainWindow] = []

    def make() -> MainWindow:
        window = MainWindow(settings, tmp_path / "runs")
        made.append(window)
        window.choose("digits")
        window.show()
        window.activateWindow()  # without a window manager nobody else does, and keys go to the active window
        qtbot.waitUntil(window.isActiveWindow, timeout=PATIENCE_MS)
        return window

    yield make
    for window in made:
        window.conductor.engine.kill()
        window.conductor.close()
        window.conductor.phase = Phase.IDLE
        window.close()
        window.dispose()


@pytest.fixture
def window(make_window: Callable[[], MainWindow]) -> MainWindow:
    return make_window()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Run:
    outcome = run_session("digits", images=25, seed=3, out_dir=tmp_path_factory.mktemp("runs"))
    assert outcome.run_file is not None
    return open_run(outcome.run_file)
