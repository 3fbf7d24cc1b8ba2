"""The entry points: what is refused before a window opens, and windows until they are closed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gui import app
from gui.window import MainWindow
from labctl.cli.app import perform
from labctl.errors import ConfigError, RecordError
from labctl.record import Run


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(app.SETTINGS_VARIABLE, str(tmp_path / "settings.ini"))


def look_and_close(seen: list[str], run: str | None = None) -> None:
    """Close the window once it shows what it is to show."""

    def look() -> None:
        for widget in QApplication.topLevelWidgets():
            if isinstance(widget, MainWindow) and widget.isVisible():
                if run is not None and widget.conductor.model.finished is None:
                    break
                panel = widget.run_panel
                seen.extend([widget.windowTitle(), panel.run.currentText(), panel.bench.currentText()])
                widget.close()
                return
        QTimer.singleShot(50, look)

    QTimer.singleShot(0, look)


def test_what_is_none_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"nothing\.h5"):
        app.replay(tmp_path / "nothing.h5")
    with pytest.raises(ConfigError, match="nothing"):
        app.show("nothing")
    with pytest.raises(ConfigError, match="nowhere"):
        app.show("digits", "nowhere")
    assert perform(["gui", "digits", "--replay", "run.h5"], debug=False) == 2


def test_a_recorded_run(qtbot: QtBot, recorded: Run) -> None:
    seen: list[str] = []
    look_and_close(seen, "finished")
    assert perform(["gui", "--replay", str(recorded.path)], debug=False) == 0
    assert seen[0] == f"labctl: {recorded.path.name}"


def test_a_run_to_start_and_the_session_of_the_last_time(qtbot: QtBot) -> None:
    seen: list[str] = []
    look_and_close(seen)
    assert perform(["gui", "mnist", "--bench", "telecom"], debug=False) == 0
    look_and_close(seen)
    assert perform(["gui"], debug=False) == 0
    assert seen == ["labctl", "mnist", "telecom"] * 2


def test_a_signal_closes_it(qtbot: QtBot) -> None:
    QTimer.singleShot(500, lambda: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    assert app.show("digits") == 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_damaged_file_is_told_in_the_window(qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "bad.h5"
    path.write_bytes(b"no")
    told: list[str] = []

    def look() -> None:
        for widget in QApplication.topLevelWidgets():
            if isinstance(widget, MainWindow) and widget.isVisible():
                lines = [str(line) for line in widget.conductor.journal.lines if "bad.h5" in line.text]
                if len(lines) > 1:
                    told.extend(lines)
                    for box in QApplication.topLevelWidgets():
                        if box is not widget:
                            box.close()
                    widget.close()
                    return
        QTimer.singleShot(50, look)

    QTimer.singleShot(0, look)
    assert app.replay(path) == 0
    assert "ERROR" in told[-1]
