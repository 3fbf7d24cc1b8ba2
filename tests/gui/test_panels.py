"""Fields with limits, the run panel, history, instruments and the circuit, without an engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PyQt6.QtCore import QObject, pyqtSignal
from PyQt6.QtGui import QValidator
from pytestqt.qtbot import QtBot

from gui.by_hand import ByHand
from gui.conductor import Phase
from gui.journal import Journal, Level
from gui.models import RunModel
from gui.panels.circuit import CircuitView
from gui.panels.fields import QuantityField
from gui.panels.history import HistoryPanel, cells
from gui.panels.instruments import InstrumentsPanel, status_of
from gui.panels.log_panel import LogPanel
from gui.panels.optics import circuit_of
from gui.panels.run_panel import RunPanel
from gui.theme import Status
from labctl.engine_process.messages import RunEntry
from labctl.record import Run
from labctl.replay import Teller
from tests.labctl import sample_run


class FakeConductor(QObject):
    """Answers at once."""

    changed = pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self.phase = Phase.IDLE
        self.hand = ByHand(Journal(), self)
        self.entries: list[RunEntry] = []
        self.runs: dict[str, Run] = {}

    def folder(self, folder: Path, part: Callable[[Any], None], done: Callable[[Any], None]) -> None:
        for entry in self.entries:
            part(entry)
        done(len(self.entries))

    def read(self, path: str, done: Callable[[Any], None], failed: Callable[[Any], None]) -> None:
        done(self.runs[path])


@pytest.fixture
def panel(qtbot: QtBot, tmp_path: Path) -> RunPanel:
    panel = RunPanel(tmp_path)
    qtbot.addWidget(panel)
    panel.choose("digits")
    return panel


@pytest.mark.parametrize(
    ("text", "state", "value"),
    [
        ("3 dB", QValidator.State.Acceptable, 1.99526),
        ("2.5", QValidator.State.Acceptable, 2.5),
        ("30 dB", QValidator.State.Intermediate, None),
        ("x dB", QValidator.State.Intermediate, None),
        ("abc", QValidator.State.Invalid, None),
    ],
)
def test_a_gain_may_be_typed_in_decibels(qtbot: QtBot, text: str, state: QValidator.State, value: float | None) -> None:
    field = QuantityField("Gain", "", (1.0001, 10.0), ratio=True)
    qtbot.addWidget(field)
    assert field.validate(text, 0)[0] is state
    if value is not None:
        assert field.valueFromText(text) == pytest.approx(value, rel=1e-5)
    assert "1.0001 to 10" in field.toolTip()


def test_fields_show_the_file_and_override_only_what_differs(panel: RunPanel) -> None:
    assert (panel.gain.value(), panel.photons.value(), panel.seed.value()) == (2.0, 4.0, 1)
    assert panel.decibels.text() == "3.01 dB"
    assert panel.overrides() == {}
    assert panel.gain.maximum() == 10.0  # the ideal bench's amplifier is calibrated so far
    panel.gain.setValue(1.5)
    panel.images.setValue(7)
    panel.attack.setCurrentText("tap")
    panel.strength.setValue(0.25)
    assert panel.overrides() == {
        "gain": 1.5,
        "images": 7,
        "adversary": {"client_gain": None, "attack": "tap", "strength": 0.25, "server_recovers_data": False},
    }
    assert panel.strength.maximum() < 1
    panel.attack.setCurrentText("substitution")
    assert panel.overrides()["adversary"]["strength"] is None
    assert panel.strength.isHidden()


def test_a_run_of_ones_own(panel: RunPanel, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'dataset = "digits"\nmodel = "digits"\nbench = "telecom"\ngain = 1.3\nmean_photons = 8.0\nimages = 5\n'
        "[adversary]\nclient_gain = 3.0\n"
    )
    panel.choose(str(path))
    assert (panel.gain.value(), panel.images.value(), panel.bench.currentText()) == (1.3, 5, "telecom")
    assert (panel.attack.currentText(), panel.strength.value()) == ("greedy", 3.0)
    assert panel.overrides() == {}
    told: list[str] = []
    panel.wrong.connect(lambda message, remedy: told.append(message))
    path.write_text("gain = 0\n")
    panel.choose(str(path))
    assert "mine.toml" in told[0]
    assert panel.prediction.text().startswith("✖")


def entry(number: int, **changes: Any) -> RunEntry:
    values = {
        "path": f"/runs/{number}.h5",
        "date": f"2026-11-2{number}T10:00:00.000+00:00",
        "name": "digits",
        "network": "digits",
        "gain": 2.0,
        "mean_photons": 4.0,
        "images": 25,
        "accuracy": 0.9,
        "verdict": "accepted",
        "status": "complete",
        "simulated": True,
    }
    return RunEntry(**{**values, **changes})


def test_history(qtbot: QtBot, recorded: Run, tmp_path: Path) -> None:
    conductor = FakeConductor()
    conductor.entries = [
        entry(1, path=str(recorded.path)),
        entry(2, verdict="alarm", path="second.h5"),
        RunEntry("/runs/bad.h5", problem="not a readable HDF5 file"),
    ]
    conductor.runs = {str(recorded.path): recorded, "second.h5": recorded}
    panel = HistoryPanel(conductor, tmp_path)  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.look()
    assert panel.table.rowCount() == 3
    assert "3 run files" in panel.state.text()
    panel.words.setText("ALARM")
    assert [panel.table.isRowHidden(row) for row in range(3)] == [
        "alarm" not in " ".join(panel.table.item(row, column).text() for column in range(11)) for row in range(3)
    ]
    assert sum(not panel.table.isRowHidden(row) for row in range(3)) == 1
    panel.words.setText("")
    panel.compare.click()
    assert "choose two" in panel.state.text()
    conductor.entries.pop()
    panel.look()
    panel.table.selectAll()
    panel.compare.click()
    (overlay,) = panel.overlays
    qtbot.addWidget(overlay)
    assert overlay.isVisible()
    asked: list[Path] = []
    panel.replay_asked.connect(asked.append)
    panel.table.selectRow(0)
    panel.open.click()
    assert asked == [Path(panel.chosen()[0])]
    assert "unreadable" in cells(RunEntry("x.h5", problem="bad"))[8]


def test_instruments_take_what_a_run_tells(qtbot: QtBot) -> None:
    panel = InstrumentsPanel(FakeConductor())  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.show()
    model = RunModel()
    model.take([sample_run.started()])
    panel.refresh(model)
    assert panel.known["laser"].status is Status.ON
    model.take([sample_run.light_off(dark=False)])
    panel.refresh(model)
    assert panel.known["laser"].status is Status.BAD
    assert "does not answer" in panel.known["laser"].problem
    top = panel._tops()[0]
    assert top.text(0) == "✖ laser"
    lines = {top.child(row).text(0): top.child(row).text(1) for row in range(top.childCount())}
    assert lines["wavelength"] == "1550.000 nm"


@pytest.mark.parametrize(
    ("readings", "status"),
    [
        ({}, Status.UNKNOWN),
        ({"diode_on": True, "power_w": 0.01}, Status.ON),
        ({"diode_on": False, "power_w": 0.01}, Status.OFF),
        ({"output_1": False, "output_2": True}, Status.ON),
        ({"shutter_open_1": False}, Status.OFF),
        ({"master": 0, "channel": 1}, Status.ON),
    ],
)
def test_status(readings: dict[str, Any], status: Status) -> None:
    assert status_of(readings) is status


def test_circuit_of_a_run(qtbot: QtBot, recorded: Run) -> None:
    """Launched: 4 photons a bin of 8 ns at 1550.12 nm are 64 pW."""
    model = RunModel()
    events = list(Teller().tell(recorded))
    model.take(events[:10])
    circuit = circuit_of(model)
    powers = {(link.start, link.end): link.power_w for link in circuit.links}
    assert powers["laser", "modulator"] == pytest.approx(0.01)
    assert powers["laser", "monitor"] == pytest.approx(0.001)
    assert powers["attenuator", "loop"] == pytest.approx(4 * 1.28147e-19 * 125e6, rel=1e-4)
    assert {box.status for box in circuit.boxes} == {Status.ON}
    assert all(link.lit for link in circuit.links)
    model.take(events[10:])
    assert {box.status for box in circuit_of(model).boxes} == {Status.OFF}
    assert not any(link.lit for link in circuit_of(model).links)
    view = CircuitView()
    qtbot.addWidget(view)
    view.show()
    assert view.refresh(model)
    assert "laser: off" in view.accessibleDescription()
    assert np.isfinite(view.columns()["power (W)"]).sum() == 5
    assert {box.status for box in circuit_of(RunModel()).boxes} == {Status.UNKNOWN}


def test_a_bench_described_otherwise_is_drawn_without_numbers() -> None:
    model = RunModel()
    model.take([sample_run.started()])  # a bench without parts
    assert not any(link.lit for link in circuit_of(model).links)


def test_log_filters_and_keeps_up(qtbot: QtBot) -> None:
    journal = Journal()
    panel = LogPanel(journal)
    qtbot.addWidget(panel)
    for number in range(50):
        journal.write(Level(number % 3), "test", f"line {number}")
    panel.refresh()
    assert len(panel.lines.toPlainText().splitlines()) == 50
    panel.words.setText("line 4")
    assert len(panel.lines.toPlainText().splitlines()) == 11
    panel.level.setCurrentIndex(2)
    shown = panel.lines.toPlainText().splitlines()
    assert len(shown) == 3
    assert all("ERROR" in line for line in shown)
    journal.write(Level.ERROR, "test", "line 4 again")
    panel.refresh()
    assert "again" in panel.lines.toPlainText()
