"""A bench operated by hand in the window, by clicks and keys, with a real process that holds it."""

from __future__ import annotations

import os
import signal

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from gui.by_hand import Grip
from gui.conductor import Conductor, Phase
from gui.panels.fields import QuantityField
from gui.panels.operate import Editor, HandTree, status_of_report
from gui.theme import Status
from gui.window import MainWindow
from labctl.engine_process.messages import InstrumentReport, RunRequest
from labctl.events import LightOff
from labctl.properties import PropertyState
from labctl.values import SafeState
from tests.gui.conftest import PATIENCE_MS
from tests.gui.test_window import boxes, close_boxes, images_done, reached

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def tree(qtbot: QtBot, window: MainWindow) -> HandTree:
    """Of the connected bench."""
    window.docks.docks["instruments"].raise_()
    qtbot.keyClick(window, Qt.Key.Key_F2)
    gripped(qtbot, window, Grip.CONNECTED)
    return window.instruments.hand_tree


def gripped(qtbot: QtBot, window: MainWindow, grip: Grip) -> None:
    qtbot.waitUntil(lambda: window.conductor.hand.grip is grip, timeout=PATIENCE_MS)


def editor(tree: HandTree, instrument: str, name: str, channel: int | None = None) -> Editor:
    return tree.editors[instrument, name, channel]


def switch(qtbot: QtBot, found: Editor) -> None:
    assert found.button is not None
    before = found.button.text()
    qtbot.mouseClick(found.button, LEFT)
    qtbot.waitUntil(lambda: found.button is not None and found.button.text() != before, timeout=PATIENCE_MS)


def enter(qtbot: QtBot, found: Editor, text: str) -> None:
    assert isinstance(found.field, QuantityField)
    line = found.field.lineEdit()
    assert isinstance(line, QLineEdit)
    line.setFocus()
    line.selectAll()
    qtbot.keyClicks(line, text)
    qtbot.keyClick(line, Qt.Key.Key_Return)


def titles(tree: HandTree) -> list[str]:
    items = (tree.topLevelItem(place) for place in range(tree.topLevelItemCount()))
    return [item.text(0) for item in items if item is not None]


def test_by_hand_from_connect_to_a_run(qtbot: QtBot, window: MainWindow, tree: HandTree) -> None:
    panel, hand = window.instruments, window.conductor.hand
    assert panel.pages.currentWidget() is tree
    assert len(hand.reports) == 10
    assert "■ laser" in titles(tree)
    assert not panel.connect_button.isEnabled()
    check_everything_has_a_name_and_a_tip(window, tree)
    power = editor(tree, "laser", "power_w")
    assert isinstance(power.field, QuantityField)
    assert (power.field.minimum(), power.field.maximum()) == pytest.approx((0.031623, 19.952623))
    assert power.field.suffix() == " mW"
    enter(qtbot, power, "10")
    qtbot.waitUntil(lambda: power.reading.text() == "10 mW", timeout=PATIENCE_MS)
    emission = editor(tree, "laser", "emission")
    assert "off" in emission.reading.text()
    switch(qtbot, emission)
    assert "● laser" in titles(tree)
    assert emission.reading.text() == "● on"
    meter = editor(tree, "power_meter", "power_w")
    assert meter.button is None
    assert "1 mW" in meter.reading.text()
    assert "read only" in meter.reading.text()

    amplifier = editor(tree, "amplifier", "emission")
    assert amplifier.button is not None
    qtbot.mouseClick(amplifier.button, LEFT)
    qtbot.waitUntil(lambda: "✖ amplifier" in titles(tree), timeout=PATIENCE_MS)
    assert "Open the shutters" in hand.problems["amplifier"]

    circuit = window.views["circuit"]
    assert "laser to monitor: 1 mW measured" in circuit.text(window.conductor.model)
    assert "laser: on" in circuit.text(window.conductor.model)

    window.run_panel.images.setValue(5)
    qtbot.keyClick(window, Qt.Key.Key_F5)
    assert hand.grip is Grip.LEAVING
    assert window.conductor.phase is Phase.IDLE
    images_done(qtbot, window, 1)
    assert hand.grip is Grip.APART
    assert panel.pages.currentWidget() is panel.tree
    reached(qtbot, window, Phase.IDLE)
    lines = [line.text for line in window.conductor.journal.lines]
    order = [
        next(n for n, text in enumerate(lines) if word in text)
        for word in ("disconnect", "light off, r", "bench, light on")
    ]
    assert order == sorted(order)
    assert not boxes()


def test_light_off_another_bench_and_a_death_let_it_go(qtbot: QtBot, window: MainWindow, tree: HandTree) -> None:
    switch(qtbot, editor(tree, "laser", "emission"))
    qtbot.keyClick(window, Qt.Key.Key_F12)
    gripped(qtbot, window, Grip.APART)
    assert "dark: 10 instruments" in window.controls.readback.text()
    qtbot.mouseClick(window.instruments.connect_button, LEFT)
    gripped(qtbot, window, Grip.CONNECTED)
    qtbot.keyClick(window, Qt.Key.Key_F3)
    gripped(qtbot, window, Grip.APART)
    qtbot.keyClick(window, Qt.Key.Key_F2)
    gripped(qtbot, window, Grip.CONNECTED)
    window.choose("digits", "telecom")
    gripped(qtbot, window, Grip.APART)
    assert not boxes()
    qtbot.keyClick(window, Qt.Key.Key_F2)
    gripped(qtbot, window, Grip.CONNECTED)
    hand = window.conductor.hand
    assert hand.link.pid is not None
    os.kill(hand.link.pid, signal.SIGSTOP)
    hand._patience.setInterval(50)
    window.controls.light_button.click()
    gripped(qtbot, window, Grip.APART)
    (box,) = boxes()
    assert "has died" in box.windowTitle()
    assert any("made dark past its process" in line.text for line in window.conductor.journal.lines)
    close_boxes()


def test_no_run_after_a_dark_that_was_not_confirmed(qtbot: QtBot) -> None:
    conductor = Conductor()
    hand = conductor.hand
    told: list[tuple[str, str, str]] = []
    conductor.trouble.connect(lambda *words: told.append(words))
    hand.grip = Grip.LEAVING
    conductor.start(RunRequest("digits"))
    hand._left(LightOff((SafeState("laser", dark=False), SafeState("attenuator", dark=True))))
    assert conductor.phase is Phase.IDLE
    assert not conductor.engine.busy
    assert conductor.model.light_off is not None
    ((title, message, remedy),) = told
    assert title == "THE LIGHT MAY BE ON"
    assert message.startswith("laser: no confirmation")
    assert remedy.startswith("The run is not started.")


def check_everything_has_a_name_and_a_tip(window: MainWindow, tree: HandTree) -> None:
    for found in tree.editors.values():
        for widget in (found.reading, found.field, found.button):
            if widget is not None:
                assert widget.accessibleName()
                assert widget.toolTip()
    panel = window.instruments
    for button, key in ((panel.look, "F9"), (panel.connect_button, "F2"), (panel.disconnect_button, "F3")):
        assert button.shortcut().toString() == key
        assert key in button.toolTip()
        assert button.accessibleName()


@pytest.mark.parametrize(
    ("state", "problem", "status"),
    [
        (PropertyState("emission", value=True, lights=True), "", Status.ON),
        (PropertyState("emission", value=False, lights=True), "", Status.OFF),
        (PropertyState("emission", value=False, lights=True), "is lost", Status.BAD),
        (PropertyState("position", value=1), "", Status.ON),
        (PropertyState("attenuation_db", problem="not homed"), "", Status.WARNING),
    ],
)
def test_status(state: PropertyState, problem: str, status: Status) -> None:
    assert status_of_report(InstrumentReport("it", "", (state,)), problem) is status
