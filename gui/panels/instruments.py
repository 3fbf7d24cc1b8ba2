"""Every instrument of the bench with what it said last: settings and readings with units, limits, state by a light."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from html import escape

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QBrush, QColor
from PyQt6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStackedWidget,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from gui.by_hand import Grip
from gui.conductor import Conductor
from gui.models import RunModel
from gui.panels.fields import named
from gui.panels.operate import HandTree
from gui.quantities import label_of, text_of
from gui.theme import Status
from gui.view import is_seen
from labctl.config import BenchConfig
from labctl.engine_process.messages import Failed
from labctl.events import LightOff, RunStarted
from labctl.upkeep import BenchReport
from labctl.values import SafeState, Snapshot

_WHO = ("vendor", "model", "serial", "firmware")


@dataclass
class Known:
    """What is known of one instrument, and since when."""

    driver: str = ""
    resource: str = ""
    who: str = ""
    readings: Snapshot = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    when: str = ""
    status: Status = Status.UNKNOWN


class InstrumentsPanel(QWidget):
    """Values are those of the last look, of a run's start, or of the read-back when the light went off.

    While the bench is connected, its properties stand there instead, and can be set.
    """

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor
        self.known: dict[str, Known] = {}
        self._seen: tuple[RunStarted | None, LightOff | None] = (None, None)
        self.look = QPushButton("Look now")
        named(self.look, "Look at the instruments", "Ask every instrument of the bench; not while a run has them (F9)")
        self.look.setShortcut("F9")
        self.connect_button = QPushButton("Connect")
        hint = "Hold the bench, and operate it by hand; not while a run has it (F2)"
        named(self.connect_button, "Connect the bench", hint)
        self.connect_button.setShortcut("F2")
        self.disconnect_button = QPushButton("Disconnect")
        named(self.disconnect_button, "Disconnect the bench", "Everything dark, read back, then let the bench go (F3)")
        self.disconnect_button.setShortcut("F3")
        self.words = QLabel("not asked yet")
        self.words.setWordWrap(True)
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(["instrument", "value"])
        self.tree.setAccessibleName("Instruments and their readings")
        self.tree.setAlternatingRowColors(True)
        self.tree.setColumnWidth(0, 170)
        self.hand_tree = HandTree(conductor.hand)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.tree)
        self.pages.addWidget(self.hand_tree)
        line = QHBoxLayout()
        for button in (self.look, self.connect_button, self.disconnect_button):
            line.addWidget(button)
        line.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addLayout(line)
        layout.addWidget(self.words)
        layout.addWidget(self.pages, 1)
        self.look.clicked.connect(self._look)
        self.connect_button.clicked.connect(self._connect)
        self.disconnect_button.clicked.connect(self._disconnect)
        conductor.changed.connect(self._enable)
        conductor.hand.changed.connect(self._show_grip)
        self._enable()

    def show_bench(self, bench: BenchConfig) -> None:
        """The instruments that a bench file names; nothing is known of them yet. Another bench is let go, dark."""
        hand = self._conductor.hand
        if hand.holds and hand.bench == self._conductor.bench:
            return
        hand.disconnect_bench()
        self.known = {name: Known(each.driver, each.resource) for name, each in bench.instruments.items()}
        self.words.setText(f"bench {bench.name}: not asked yet")
        self._draw()

    def refresh(self, model: RunModel) -> None:
        """Take what a run told since the last time."""
        if (model.started, model.light_off) == self._seen or not is_seen(self):
            return
        started, dark = self._seen
        self._seen = (model.started, model.light_off)
        if model.started is not None and model.started is not started:
            self.words.setText("as the run told")
            for name, snapshot in model.started.snapshots.items():
                self._note(name, snapshot, "when the light went on")
        if model.light_off is not None and model.light_off is not dark:
            for state in model.light_off.readback:
                self._note_dark(state)
        self._draw()

    def _note(self, name: str, snapshot: Snapshot, when: str) -> None:
        known = self.known.setdefault(name, Known())
        known.who = " ".join(str(snapshot[key]) for key in _WHO if snapshot.get(key)) or known.who
        known.readings = {key: value for key, value in snapshot.items() if key not in _WHO}
        known.problem, known.when = "", when
        known.status = status_of(known.readings)

    def _note_dark(self, state: SafeState) -> None:
        known = self.known.setdefault(state.instrument, Known())
        known.readings = {**known.readings, **state.readings}
        known.problem = state.problem
        known.when = f"read back {datetime.now().astimezone():%H:%M:%S}"
        known.status = Status.OFF if state.dark else Status.BAD

    def _connect(self) -> None:
        self._conductor.hand.connect_bench(self._conductor.bench, in_process=self._conductor.bench_in_process)

    def _disconnect(self) -> None:
        self._conductor.hand.disconnect_bench()

    def _enable(self) -> None:
        grip, idle = self._conductor.hand.grip, not self._conductor.phase.run_goes_on
        self.look.setEnabled(idle and grip in (Grip.APART, Grip.CONNECTED))
        self.connect_button.setEnabled(idle and grip is Grip.APART)
        self.disconnect_button.setEnabled(grip in (Grip.CONNECTING, Grip.CONNECTED))

    def _show_grip(self) -> None:
        hand = self._conductor.hand
        self._enable()
        self.pages.setCurrentWidget(self.hand_tree if hand.reports else self.tree)
        newest = next(reversed(hand.problems.values()), "")
        lit = any(state.is_on for each in hand.reports.values() for state in each.states)
        status = Status.BAD if newest else Status.ON if lit else Status.OFF
        self.words.setText(f"{status.html()} by hand: {hand.grip.value}{'. ' + escape(newest) if newest else ''}")

    def _look(self) -> None:
        if self._conductor.hand.holds:
            self._conductor.hand.read()
            return
        self.look.setEnabled(False)
        self.words.setText("asking…")
        self._conductor.look(self._looked, self._not_looked)

    def _looked(self, reports: list[BenchReport]) -> None:
        self._enable()
        now = f"{datetime.now().astimezone():%H:%M:%S}"
        for report in reports:
            status = Status.BAD if report.problems else status_of(report.state)
            who = "" if report.identity is None else str(report.identity)
            self.known[report.name] = Known(
                report.driver,
                report.resource,
                who,
                report.state,
                dict(report.limits),
                "; ".join(report.problems),
                f"asked {now}",
                status,
            )
        bad = [report.name for report in reports if report.problems]
        self.words.setText(f"asked {now}: " + (f"trouble with {', '.join(bad)}" if bad else "all answer"))
        self._draw()

    def _not_looked(self, problem: Failed) -> None:
        self._enable()
        self.words.setText(f"✖ {problem.message} {problem.remedy}")

    def _draw(self) -> None:
        opened = {item.data(0, Qt.ItemDataRole.UserRole) for item in self._tops() if item.isExpanded()}
        self.tree.clear()
        for name, known in self.known.items():
            top = QTreeWidgetItem([f"{known.status.shape} {name}", known.problem or known.status.words])
            top.setData(0, Qt.ItemDataRole.UserRole, name)
            if known.status is not Status.OFF:
                top.setForeground(0, _brush(known.status))
            top.setToolTip(0, f"{name}: {known.status.words}; {known.when or 'not asked yet'}")
            for label, value in _lines(known):
                child = QTreeWidgetItem([label, value])
                child.setToolTip(1, value)
                top.addChild(child)
            self.tree.addTopLevelItem(top)
            top.setExpanded(name in opened)

    def _tops(self) -> list[QTreeWidgetItem]:
        items = (self.tree.topLevelItem(place) for place in range(self.tree.topLevelItemCount()))
        return [item for item in items if item is not None]


def status_of(readings: Snapshot) -> Status:
    """Whether an instrument emits, as far as its readings tell."""
    if not readings:
        return Status.UNKNOWN
    lit = [
        value
        for key, value in readings.items()
        if key.startswith(("diode_on", "emission", "output_", "master", "channel"))
    ]
    lit += [value for key, value in readings.items() if key.startswith("shutter_open")]
    return Status.ON if any(bool(value) for value in lit) or not lit else Status.OFF


def _lines(known: Known) -> list[tuple[str, str]]:
    lines = [("driver", known.driver), ("resource", known.resource), ("is", known.who), ("as of", known.when)]
    lines += [(label_of(key), text_of(key, value)) for key, value in known.readings.items()]
    lines += [(f"limit: {label_of(key)}", value) for key, value in known.limits.items()]
    return [(label, value) for label, value in lines if value]


def _brush(status: Status) -> QBrush:
    return QBrush(QColor(status.colour))
