"""Start to finish with mouse and keys alone: start, watch, pause, resume, alarm, abort, replay, export, quit."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PyQt6.QtCore import QPoint, Qt, QTimer
from PyQt6.QtWidgets import QAbstractSpinBox, QFileDialog, QTabBar, QWidget
from pytestqt.qtbot import QtBot

from gui.conductor import Phase
from gui.window import MainWindow
from labctl.record import open_run
from tests.gui.conftest import PATIENCE_MS
from tests.gui.test_window import LEFT, boxes, images_done, press, reached


def type_into(qtbot: QtBot, field: QAbstractSpinBox, text: str) -> None:
    """As a user does: mark what is there, and type over it."""
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, text)
    qtbot.keyClick(field, Qt.Key.Key_Return)


def click_tab(qtbot: QtBot, window: MainWindow, title: str) -> None:
    """Bring a dock to the front."""
    for bar in window.findChildren(QTabBar):
        for place in range(bar.count()):
            if bar.tabText(place) == title:
                qtbot.mouseClick(bar, LEFT, pos=bar.tabRect(place).center())
                return
    raise AssertionError(f"there is no tab {title}")


def click_in_menu(qtbot: QtBot, window: MainWindow, view: str, text: str) -> None:
    """Open the menu of a view, and click on what it offers."""
    shown = window.views[view]
    (action,) = [each for each in shown.menu.actions() if each.text() == text]

    def click() -> None:
        qtbot.mouseClick(shown.menu, LEFT, pos=shown.menu.actionGeometry(action).center())

    QTimer.singleShot(200, click)
    qtbot.mouseClick(shown.menu_button, LEFT)


def middle_of_row(window: MainWindow, row: int) -> tuple[QWidget, QPoint]:
    table = window.history.table
    item, viewport = table.item(row, 0), table.viewport()
    assert item is not None
    assert viewport is not None
    return viewport, table.visualItemRect(item).center()


def each_path(window: MainWindow) -> list[str]:
    """Run files from the top of the table."""
    items = (window.history.table.item(row, 0) for row in range(window.history.table.rowCount()))
    return [str(item.data(Qt.ItemDataRole.UserRole)) for item in items if item is not None]


def test_from_start_to_finish(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = a_run_with_a_pause(qtbot, window)
    an_alarm_and_an_abort(qtbot, window)
    replay(qtbot, window, whole)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *words: (str(tmp_path / "accuracy.csv"), ""))
    click_in_menu(qtbot, window, "accuracy", "Export CSV table…")
    with (tmp_path / "accuracy.csv").open(encoding="utf-8") as stream:
        found = [float(row["so far"]) for row in csv.DictReader(stream) if row["so far"]]
    assert found == open_run(whole).images["accuracy"].tolist()
    assert not boxes()
    qtbot.keyClick(window, Qt.Key.Key_Q, Qt.KeyboardModifier.ControlModifier)
    assert not window.isVisible()
    assert window.conductor.engine.pid is None


def a_run_with_a_pause(qtbot: QtBot, window: MainWindow) -> Path:
    panel, model = window.run_panel, window.conductor.model
    type_into(qtbot, panel.images, "60")
    type_into(qtbot, panel.seed, "11")
    press(qtbot, window, "▶ Start")
    reached(qtbot, window, Phase.RUNNING)
    assert window.controls.banner.isVisible()
    assert "ON" in window.controls.readback.text()
    assert not panel.gain.isEnabled()
    images_done(qtbot, window, 3)
    press(qtbot, window, "‖ Pause")
    reached(qtbot, window, Phase.PAUSED)
    held = model.done_images
    qtbot.wait(300)
    assert model.done_images == held
    press(qtbot, window, "▷ Resume")
    reached(qtbot, window, Phase.IDLE)
    assert "dark: 10 instruments" in window.controls.readback.text()
    path = Path(str(window.conductor.run_file))
    run = open_run(path)
    assert (run.status, run.started.seed, model.done_images) == ("complete", 11, 60)
    return path


def an_alarm_and_an_abort(qtbot: QtBot, window: MainWindow) -> None:
    panel, model = window.run_panel, window.conductor.model
    type_into(qtbot, panel.images, "300")
    qtbot.keyClicks(panel.attack, "greedy")
    type_into(qtbot, panel.strength, "3")
    press(qtbot, window, "▶ Start")
    reached(qtbot, window, Phase.RUNNING)
    reached(qtbot, window, Phase.IDLE)
    assert model.alarm is not None
    qtbot.waitUntil(lambda: "ALARM" in window.controls.words.text(), timeout=PATIENCE_MS)
    qtbot.keyClick(panel.attack, Qt.Key.Key_Home)
    qtbot.keyClick(panel, Qt.Key.Key_F5)
    reached(qtbot, window, Phase.RUNNING)
    images_done(qtbot, window, 2)
    press(qtbot, window, "■ Abort")
    reached(qtbot, window, Phase.IDLE)
    run = open_run(Path(str(window.conductor.run_file)))
    assert (run.status, run.started.run["adversary"]["attack"]) == ("aborted", None)


def replay(qtbot: QtBot, window: MainWindow, path: Path) -> None:
    model = window.conductor.model
    click_tab(qtbot, window, "Run history")
    qtbot.waitUntil(lambda: window.history.table.rowCount() == 3, timeout=PATIENCE_MS)
    names = [Path(each).name for each in each_path(window)]
    viewport, place = middle_of_row(window, names.index(path.name))
    qtbot.mouseClick(viewport, LEFT, pos=place)
    qtbot.mouseClick(window.history.open, LEFT)
    assert window.conductor.phase is Phase.REPLAYING
    reached(qtbot, window, Phase.IDLE)
    assert model.done_images == 60
    qtbot.waitUntil(lambda: not window.views["accuracy"].is_stale(model), timeout=PATIENCE_MS)
