"""The whole window, driven by clicks and keys, with real engine processes behind it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from PyQt6.QtCore import QSettings, Qt, QTimer
from PyQt6.QtWidgets import QApplication, QMessageBox, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from gui.conductor import Phase
from gui.theme import LIGHT
from gui.window import MainWindow
from labctl.record import Run, open_run
from tests.gui.conftest import PATIENCE_MS

LEFT = Qt.MouseButton.LeftButton


def press(qtbot: QtBot, window: MainWindow, name: str) -> None:
    qtbot.mouseClick(window.controls.buttons[name], LEFT)


def reached(qtbot: QtBot, window: MainWindow, phase: Phase) -> None:
    qtbot.waitUntil(lambda: window.conductor.phase is phase, timeout=PATIENCE_MS)


def images_done(qtbot: QtBot, window: MainWindow, count: int) -> None:
    qtbot.waitUntil(lambda: window.conductor.model.done_images >= count, timeout=PATIENCE_MS)


def boxes() -> list[QMessageBox]:
    return [each for each in QApplication.topLevelWidgets() if isinstance(each, QMessageBox) and each.isVisible()]


def close_boxes() -> None:
    for box in boxes():
        box.close()


def answer(text: str) -> None:
    """Press that button of the question that is about to be asked."""

    def look() -> None:
        asked = [box for box in boxes() if box.isModal()]
        if not asked:
            QTimer.singleShot(20, look)
            return
        (button,) = [each for each in asked[0].buttons() if each.text() == text]
        button.click()

    QTimer.singleShot(20, look)


def test_alarm_under_an_adversary(qtbot: QtBot, window: MainWindow) -> None:
    panel = window.run_panel
    panel.attack.setCurrentText("greedy")
    panel.strength.setValue(3.0)
    panel.curious.setChecked(True)
    qtbot.keyClick(window, Qt.Key.Key_F5)
    reached(qtbot, window, Phase.RUNNING)
    reached(qtbot, window, Phase.IDLE)
    model = window.conductor.model
    assert model.alarm is not None
    assert len(model.recovered) > 0
    window.docks.docks["adversary"].raise_()
    qtbot.waitUntil(lambda: "ALARM" in window.views["adversary"].accessibleDescription(), timeout=PATIENCE_MS)
    assert "attack greedy of strength 3" in window.views["adversary"].accessibleDescription()
    qtbot.waitUntil(lambda: "ALARM" in window.controls.words.text(), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: "ALARM" in window.log.lines.toPlainText(), timeout=PATIENCE_MS)
    window.log.level.setCurrentIndex(2)
    assert all(line.startswith("✖") for line in window.log.lines.toPlainText().splitlines())
    window.log.copy.click()
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    assert "ALARM" in clipboard.text()


def test_abort_and_light_off(qtbot: QtBot, window: MainWindow) -> None:
    press(qtbot, window, "▶ Start")
    images_done(qtbot, window, 2)
    press(qtbot, window, "■ Abort")
    reached(qtbot, window, Phase.IDLE)
    assert window.conductor.run_file is not None
    assert open_run(Path(window.conductor.run_file)).status == "aborted"
    press(qtbot, window, "▶ Start")
    images_done(qtbot, window, 2)
    qtbot.keyClick(window.run_panel.gain, Qt.Key.Key_F12)  # from wherever the focus is
    reached(qtbot, window, Phase.IDLE)
    assert "dark: 10 instruments" in window.controls.readback.text()
    run = open_run(Path(window.conductor.run_file))
    assert run.finished is not None
    assert "light off" in run.finished.cause
    assert not boxes()


def test_light_off_with_nothing_going_on(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.mouseClick(window.controls.light_button, LEFT)
    qtbot.waitUntil(lambda: "dark: 10 instruments" in window.controls.readback.text(), timeout=PATIENCE_MS)


def test_light_off_past_an_engine_that_hangs(qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    press(qtbot, window, "▶ Start")
    images_done(qtbot, window, 1)
    pid = window.conductor.engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    window.conductor._patience.setInterval(200)
    qtbot.mouseClick(window.controls.light_button, LEFT)
    reached(qtbot, window, Phase.LOST)
    assert window.isVisible()
    assert any("died" in box.text() or "ended" in box.text() for box in boxes())
    close_boxes()


def test_the_engine_dies_and_the_window_says_so(qtbot: QtBot, window: MainWindow) -> None:
    press(qtbot, window, "▶ Start")
    images_done(qtbot, window, 1)
    pid = window.conductor.engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    reached(qtbot, window, Phase.LOST)
    assert any("signal 9" in box.text() for box in boxes())
    close_boxes()
    assert "not known" in window.controls.readback.text()
    window.run_panel.images.setValue(2)
    press(qtbot, window, "▶ Start")  # another engine
    reached(qtbot, window, Phase.IDLE)
    assert window.conductor.model.finished is not None


def test_closing_in_mid_run_asks(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    window.run_panel.images.setValue(100)
    press(qtbot, window, "▶ Start")
    images_done(qtbot, window, 1)
    answer("Stay")
    window.close()
    assert window.isVisible()
    answer("Let it go on")
    window.close()
    assert not window.isVisible()
    (path,) = (tmp_path / "runs").glob("*.h5")
    qtbot.waitUntil(lambda: open_run(path).status == "complete", timeout=PATIENCE_MS)
    assert len(open_run(path).images["index"]) == 100


def test_closing_with_light_off(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    press(qtbot, window, "▶ Start")
    images_done(qtbot, window, 1)
    answer("Abort it, light off")
    window.close()
    assert not window.isVisible()
    (path,) = (tmp_path / "runs").glob("*.h5")
    run = open_run(path)
    assert run.status == "aborted"
    assert run.light_off is not None
    assert run.light_off.dark


def test_a_paused_run_cannot_be_left(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    press(qtbot, window, "▶ Start")
    images_done(qtbot, window, 1)
    press(qtbot, window, "‖ Pause")
    reached(qtbot, window, Phase.PAUSED)
    offered: list[bool] = []

    def look() -> None:
        (box,) = [each for each in boxes() if each.isModal()]
        (leave,) = [each for each in box.buttons() if each.text() == "Let it go on"]
        offered.append(leave.isEnabled())
        (stay,) = [each for each in box.buttons() if each.text() == "Stay"]
        stay.click()

    QTimer.singleShot(300, look)
    window.close()
    assert offered == [False]
    assert window.isVisible()
    answer("Abort it, light off")
    window.close()
    assert not window.isVisible()


@pytest.mark.parametrize("delay_ms", [0, 300])
def test_closing_without_a_run_ends_all_processes(
    qtbot: QtBot, window: MainWindow, recorded: Run, delay_ms: int
) -> None:
    window.replay(recorded.path)
    window.instruments.look.click()
    qtbot.wait(delay_ms)
    pids = [link.pid for link in (window.conductor.engine, window.conductor.lookups)]
    window.close()
    assert not window.isVisible()

    def ended() -> bool:
        return not any(pid and Path(f"/proc/{pid}").exists() and running(pid) for pid in pids)

    qtbot.waitUntil(ended, timeout=PATIENCE_MS)


def running(pid: int) -> bool:
    """Not one that has ended and is still in the list."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][0] != "Z"


def test_dry_run(qtbot: QtBot, window: MainWindow) -> None:
    panel = window.run_panel
    panel.images.setValue(30)
    qtbot.mouseClick(panel.predict, LEFT)
    qtbot.waitUntil(lambda: "30 images x 2 layers" in panel.prediction.text(), timeout=PATIENCE_MS)
    panel.photons.setValue(900_000)
    qtbot.mouseClick(panel.predict, LEFT)
    qtbot.waitUntil(lambda: panel.prediction.text().startswith("✖"), timeout=PATIENCE_MS)
    assert "full_scale" in panel.prediction.text()


def test_layout_and_theme_come_back(make_window: Callable[[], MainWindow], settings: QSettings, qtbot: QtBot) -> None:
    first = make_window()
    first.docks.docks["leakage"].close()
    first.use_theme(LIGHT)
    first.close()
    second = make_window()
    assert second.docks.docks["leakage"].isHidden()
    assert not second.docks.docks["accuracy"].isHidden()
    assert second.theme is LIGHT
    second.docks.arrange()
    assert not second.docks.docks["leakage"].isHidden()


def test_instruments_are_asked(qtbot: QtBot, window: MainWindow) -> None:
    window.docks.docks["instruments"].raise_()
    qtbot.mouseClick(window.instruments.look, LEFT)
    qtbot.waitUntil(lambda: "all answer" in window.instruments.words.text(), timeout=PATIENCE_MS)
    laser = window.instruments.known["laser"]
    assert "TSL-570" in laser.who
    assert "power_w" in laser.limits
    texts = [item.text(0) for item in window.instruments._tops()]
    assert "■ laser" in texts  # off: by shape as well as by colour


def test_everything_has_a_name_and_a_tip(window: MainWindow) -> None:
    for button in window.controls.findChildren(QPushButton):
        assert button.accessibleName()
        assert button.toolTip()
    for view in window.views.values():
        assert view.accessibleName()
        assert view.toolTip()
    fields: list[QWidget] = list(window.run_panel._fields())
    assert all(field.accessibleName() and field.toolTip() for field in fields)
    assert all(action.shortcut().toString() for action in window.controls.actions_in_order())
