"""The live schematic: boxes and links of :mod:`gui.panels.optics`, painted."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from PyQt6.QtCore import QPointF, QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PyQt6.QtWidgets import QGridLayout, QLabel, QWidget

from gui.models import RunModel
from gui.panels.optics import Box, Circuit, Link, circuit_of
from gui.panels.optics_by_hand import circuit_by_hand
from gui.theme import DARK, ORANGE, Theme
from gui.view import Columns, View

#: Columns and rows of the drawing.
COLUMNS, ROWS = 5.4, 3.0
_CENTRE = Qt.AlignmentFlag.AlignCenter


class CircuitView(View):
    """Who is on, and the power at each point."""

    def __init__(self) -> None:
        super().__init__("Optical circuit", "Who is on, and the power at each point: read, or computed (≈)")
        self.drawing = _Drawing()
        layout = QGridLayout(self)
        layout.setContentsMargins(4, 0, 2, 2)
        layout.setSpacing(0)
        layout.addWidget(QLabel("Optical circuit: mean power while light is sent (≈ computed)"), 0, 0)
        layout.addWidget(self.menu_button, 0, 1)
        layout.addWidget(self.drawing, 1, 0, 1, 2)
        layout.setColumnStretch(0, 1)
        layout.setRowStretch(1, 1)

    def news(self, model: RunModel) -> Hashable:
        """Light on, light off, images; what was read by hand."""
        by_hand = model.version if model.by_hand is not None else None
        return id(model.started), id(model.light_off), model.state, model.done_images, by_hand

    def show_run(self, model: RunModel) -> None:
        """The newest states."""
        self.drawing.show_circuit(_circuit_of(model))

    def use_theme(self, theme: Theme) -> None:
        """Ink of the drawing."""
        super().use_theme(theme)
        self.drawing.theme = theme
        self.drawing.update()

    def columns(self) -> Columns:
        """Power of each link, in the order drawn."""
        circuit = self.drawing.circuit
        return {"power (W)": np.array([link.power_w for link in circuit.links] if circuit else [])}

    def text(self, model: RunModel) -> str:
        """Every box and link."""
        return _circuit_of(model).text()


def _circuit_of(model: RunModel) -> Circuit:
    """Of the bench that is held, otherwise of the run."""
    return circuit_of(model) if model.by_hand is None else circuit_by_hand(*model.by_hand)


class _Drawing(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.theme: Theme = DARK
        self.circuit: Circuit | None = None
        self.setMinimumSize(260, 130)

    def show_circuit(self, circuit: Circuit) -> None:
        """Draw it, if it is another one."""
        if circuit != self.circuit:
            self.circuit = circuit
            self.update()

    def sizeHint(self) -> QSize:
        """Room for the labels."""
        return QSize(520, 200)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Links first, boxes over them."""
        if self.circuit is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = painter.font()
        font.setPixelSize(int(max(9, min(12, self.width() / 52))))
        painter.setFont(font)
        boxes = {box.key: self._place(box) for box in self.circuit.boxes}
        for link in self.circuit.links:
            self._link(painter, link, boxes[link.start], boxes[link.end])
        for box in self.circuit.boxes:
            self._box(painter, box, boxes[box.key])
        painter.end()

    def _place(self, box: Box) -> QRectF:
        width, height = self.width() / COLUMNS, self.height() / ROWS
        return QRectF((box.x + 0.03) * width, (box.y + 0.24) * height, width * 0.9, height * 0.62)

    def _box(self, painter: QPainter, box: Box, place: QRectF) -> None:
        painter.setPen(QPen(QColor(box.status.colour), 2))
        painter.setBrush(QColor(self.theme.raised))
        painter.drawRoundedRect(place, 4, 4)
        painter.setPen(QColor(box.status.colour))
        painter.drawText(QRectF(place.x() + 3, place.y(), 12, place.height()), _CENTRE, box.status.shape)
        painter.setPen(QColor(self.theme.text))
        text = box.name if not box.detail else f"{box.name}\n{box.detail}"
        painter.drawText(place.adjusted(14, 0, 0, 0), _CENTRE, text)

    def _link(self, painter: QPainter, link: Link, start: QRectF, end: QRectF) -> None:
        colour = QColor(ORANGE if link.lit else self.theme.line)
        painter.setPen(QPen(colour, 2 if link.lit else 1))
        points = _route(start, end)
        painter.drawPolyline(QPolygonF(points))
        painter.setBrush(colour)
        painter.drawPolygon(QPolygonF(_arrow(points[-2], points[-1])))
        if not link.label:
            return
        painter.setPen(QColor(self.theme.text))
        first, second = points[-2], points[-1]
        if abs(first.y() - second.y()) < 1 and len(points) == 2:  # in a row: between the boxes is no room, above is
            middle = (first.x() + second.x()) / 2
            painter.drawText(QRectF(middle - 70, start.y() - 17, 140, 14), _CENTRE, link.label)
        elif len(points) == 3:
            painter.drawText(QRectF(second.x() + 6, second.y() - 16, 220, 14), Qt.AlignmentFlag.AlignLeft, link.label)
        else:
            middle = (first.y() + second.y()) / 2 - 7
            left = first.x() > self.width() * 0.7  # no room on the right
            side = QRectF(first.x() - 125, middle, 120, 14) if left else QRectF(first.x() + 5, middle, 120, 14)
            painter.drawText(side, Qt.AlignmentFlag.AlignRight if left else Qt.AlignmentFlag.AlignLeft, link.label)


def _route(start: QRectF, end: QRectF) -> list[QPointF]:
    """Straight where boxes are in a row or a column, else down and across."""
    a, b = start.center(), end.center()
    if abs(a.y() - b.y()) < 1:
        right = b.x() > a.x()
        return [
            QPointF(start.right() if right else start.left(), a.y()),
            QPointF(end.left() if right else end.right(), b.y()),
        ]
    below = b.y() > a.y()
    if abs(a.x() - b.x()) < 1:
        return [
            QPointF(a.x(), start.bottom() if below else start.top()),
            QPointF(b.x(), end.top() if below else end.bottom()),
        ]
    if b.x() > a.x():  # down beside the box, then into the next from the left
        middle = (a.x() + b.x()) / 2
        return [QPointF(middle, start.bottom() - 4), QPointF(middle, b.y()), QPointF(end.left(), b.y())]
    return [QPointF(a.x(), start.bottom()), QPointF(a.x(), b.y()), QPointF(end.right(), b.y())]


def _arrow(start: QPointF, end: QPointF) -> list[QPointF]:
    along = end - start
    length = max((along.x() ** 2 + along.y() ** 2) ** 0.5, 1e-9)
    unit = along / length
    side = QPointF(-unit.y(), unit.x())
    return [end, end - unit * 7 + side * 3.5, end - unit * 7 - side * 3.5]
