"""Instruments operated by hand: an item each with its state, and an editor for each property that its kind declares."""

from __future__ import annotations

from collections.abc import Callable

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QBrush, QColor
from PyQt6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from gui.by_hand import ByHand, Grip
from gui.panels.fields import QuantityField, named
from gui.quantities import label_of, text_of
from gui.theme import Status
from labctl.engine_process.messages import InstrumentReport
from labctl.properties import PropertyState
from labctl.values import Range, Scalar

#: What a number is typed in: factor and unit.
_TYPED_IN = {"m": (1e9, "nm"), "W": (1e3, "mW"), "A": (1e3, "mA")}
#: Of a field, pixels.
FIELD_WIDTH = 120
_ROLE = Qt.ItemDataRole.UserRole
Send = Callable[[Scalar], None]


def status_of_report(report: InstrumentReport, problem: str = "") -> Status:
    """In trouble, emitting, dark, or, where there is nothing to emit, answering."""
    if report.problem or problem:
        return Status.BAD
    if any(state.problem for state in report.states):
        return Status.WARNING
    lights = [state for state in report.states if state.lights]
    return Status.ON if not lights or any(state.is_on for state in lights) else Status.OFF


def title_of(state: PropertyState) -> str:
    """With its channel."""
    label = label_of(state.name)
    return label if state.channel is None else f"{label} {state.channel}"


def value_text(state: PropertyState) -> str:
    """As it was read, in its unit."""
    if state.problem:
        return f"▲ {state.problem}"
    return "" if state.value is None else text_of(state.name, state.value)


class HandTree(QTreeWidget):
    """What is held, drawn anew after every answer; editors stay, so that nothing that is being typed is lost."""

    def __init__(self, hand: ByHand) -> None:
        super().__init__()
        self._hand = hand
        self._shape: object = None
        self.editors: dict[tuple[str, str, int | None], Editor] = {}
        self.setHeaderLabels(["instrument, property", "value"])
        self.setAccessibleName("Instruments operated by hand")
        self.setToolTip("Properties of the connected instruments; Enter in a field, or its button, sets one")
        self.setAlternatingRowColors(True)
        header = self.header()
        assert header is not None
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        hand.changed.connect(self.show_reports)

    def show_reports(self) -> None:
        """As the instruments told."""
        reports = self._hand.reports
        shape = [(name, [(state.name, state.channel) for state in each.states]) for name, each in reports.items()]
        if shape != self._shape:
            self._shape = shape
            self._build()
        for place in range(self.topLevelItemCount()):
            item = self.topLevelItem(place)
            assert item is not None
            self._show(item, reports[item.data(0, _ROLE)])

    def _build(self) -> None:
        opened = {item.data(0, _ROLE) for item in map(self.topLevelItem, range(self.topLevelItemCount())) if item}
        opened = {each for each in opened if self._is_open(each)}
        self.clear()
        self.editors = {}
        for name, report in self._hand.reports.items():
            top = QTreeWidgetItem([name])
            top.setData(0, _ROLE, name)
            self.addTopLevelItem(top)
            for state in report.states:
                item = QTreeWidgetItem([title_of(state)])
                top.addChild(item)
                editor = Editor(name, state, self._sender(name, state))
                self.editors[name, state.name, state.channel] = editor
                self.setItemWidget(item, 1, editor)
            top.setExpanded(name in opened or not opened)

    def _is_open(self, name: str) -> bool:
        found = (self.topLevelItem(place) for place in range(self.topLevelItemCount()))
        return any(item is not None and item.data(0, _ROLE) == name and item.isExpanded() for item in found)

    def _sender(self, instrument: str, state: PropertyState) -> Send:
        return lambda value: self._hand.set(instrument, state.name, state.channel, value)

    def _show(self, item: QTreeWidgetItem, report: InstrumentReport) -> None:
        problem = self._hand.problems.get(report.name, "")
        status = status_of_report(report, problem)
        item.setText(0, f"{status.shape} {report.name}")
        item.setForeground(0, QBrush(QColor(status.colour)))
        item.setText(1, problem or report.identity)
        words = f"{report.name}: {status.words}. {report.identity}."
        for column in (0, 1):
            item.setToolTip(column, f"{words} {'Last error: ' + problem if problem else 'No error.'}")
        item.setData(0, Qt.ItemDataRole.AccessibleDescriptionRole, item.toolTip(0))
        for state in report.states:
            self.editors[report.name, state.name, state.channel].show_state(
                state, enabled=self._hand.grip is Grip.CONNECTED
            )


class Editor(QWidget):
    """One property: what was read, and where it can be set, a field within its limits with a button."""

    def __init__(self, instrument: str, state: PropertyState, send: Send) -> None:
        super().__init__()
        self._state = state
        self._send = send
        self._name = f"{instrument} {title_of(state)}"
        self.reading = QLabel()
        self.field: QuantityField | QComboBox | None = None
        self.button: QPushButton | None = None
        line = QHBoxLayout(self)
        line.setContentsMargins(2, 1, 2, 1)
        if not state.settable:
            limits = f"; {state.limits}" if state.limits is not None else ""
            named(self.reading, self._name, f"{self._name}: read only{limits}")
            self.reading.setStyleSheet("font-style: italic;")
        else:
            named(self.reading, f"{self._name}, as read", f"{self._name}, as it was read last")
            self.field = self._make_field(state)
            self.button = QPushButton("Set")
            named(self.button, f"Set {self._name}", f"Set {self._name} (Space; Enter in the field)")
            self.button.clicked.connect(self._set)
        for widget in (self.field, self.button, self.reading):
            if widget is not None:
                line.addWidget(widget)
        line.addStretch(1)

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off."""
        return self._state.choices == (False, True)

    def _make_field(self, state: PropertyState) -> QuantityField | QComboBox | None:
        if self.is_switch:
            return None
        if state.choices:
            box = QComboBox()
            box.addItems([str(each) for each in state.choices])
            named(box, self._name, f"{self._name}: one of {', '.join(str(each) for each in state.choices)}")
            return box
        factor, unit = _TYPED_IN.get(state.unit, (1.0, state.unit))
        field = QuantityField(self._name, unit, _scaled(state.limits, factor))
        field.setMaximumWidth(FIELD_WIDTH)
        line = field.lineEdit()
        assert line is not None
        line.returnPressed.connect(self._set)
        return field

    def show_state(self, state: PropertyState, *, enabled: bool) -> None:
        """What was read; a field in which somebody types keeps what stands there."""
        self._state = state
        text = value_text(state)
        lamp = (Status.ON if state.value is True else Status.OFF).shape if self.is_switch else ""
        self.reading.setText(f"{lamp} {'on' if state.value is True else 'off'}" if lamp and not state.problem else text)
        if not state.settable:
            limits = str(state.limits) if state.limits is not None and not text else ""
            self.reading.setText(f"{text or limits} (read only)")
        for widget in (self.field, self.button):
            if widget is not None:
                widget.setEnabled(enabled)
        if self.button is not None and self.is_switch:
            self.button.setText("Switch off" if state.value is True else "Switch on")
            named(self.button, f"{self.button.text()} {self._name}", f"{self.button.text()}: {self._name} (Space)")
        if state.value is None or self.field is None or self.field.hasFocus():
            return
        if isinstance(self.field, QComboBox):
            self.field.setCurrentText(str(state.value))
        else:
            factor, _ = _TYPED_IN.get(state.unit, (1.0, ""))
            self.field.set_limits(*_scaled(state.limits, factor))
            self.field.setValue(float(state.value) * factor)

    def _set(self) -> None:
        if self.button is None or not self.button.isEnabled():
            return
        if self.is_switch:
            self._send(self._state.value is not True)
        elif isinstance(self.field, QComboBox):
            self._send(self._state.choices[self.field.currentIndex()])
        elif self.field is not None:
            self.field.interpretText()
            factor, _ = _TYPED_IN.get(self._state.unit, (1.0, ""))
            self._send(_within(self.field.value() / factor, self._state.limits))


def _scaled(limits: Range | None, factor: float) -> tuple[float, float]:
    return (-1e12, 1e12) if limits is None else (limits.low * factor, limits.high * factor)


def _within(value: float, limits: Range | None) -> float:
    """The field rounds its ends to its decimals: what lies a last digit outside is meant to be the end itself."""
    if limits is None:
        return value
    slack = 1e-6 * max(abs(limits.low), abs(limits.high))
    if limits.low - slack <= value <= limits.high + slack:
        return min(max(value, limits.low), limits.high)
    return value
