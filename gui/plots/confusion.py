"""The confusion matrix, painted cell by cell with its counts."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QMouseEvent, QPainter
from PyQt6.QtWidgets import QGridLayout, QLabel, QToolTip

from gui.models import RunModel
from gui.plots.canvas import Canvas
from gui.theme import Theme
from gui.view import Columns, View

#: Cividis, from few to many: even to those who see no red and green.
_CIVIDIS = [(0, 34, 78), (53, 69, 108), (102, 105, 112), (148, 142, 119), (200, 184, 102), (254, 232, 56)]


@lru_cache(maxsize=512)
def cividis(share: float) -> QColor:
    """Colour of a share from 0 to 1."""
    place = min(max(share, 0.0), 1.0) * (len(_CIVIDIS) - 1)
    low = min(int(place), len(_CIVIDIS) - 2)
    part = place - low
    return QColor(*(round(a + (b - a) * part) for a, b in zip(_CIVIDIS[low], _CIVIDIS[low + 1], strict=True)))


class ConfusionView(View):
    """Rows are true classes, columns predicted ones."""

    def __init__(self) -> None:
        super().__init__("Confusion matrix", "Rows: true class; columns: predicted. Point at a cell to read it")
        self.matrix = MatrixWidget()
        layout = QGridLayout(self)
        layout.setContentsMargins(4, 0, 2, 2)
        layout.setSpacing(0)
        layout.addWidget(QLabel("Confusion matrix (rows: true, columns: predicted)"), 0, 0)
        layout.addWidget(self.menu_button, 0, 1)
        layout.addWidget(self.matrix, 1, 0, 1, 2)
        layout.setColumnStretch(0, 1)
        layout.setRowStretch(1, 1)

    def show_run(self, model: RunModel) -> None:
        """All images so far."""
        self.matrix.show_counts(model.confusion)

    def use_theme(self, theme: Theme) -> None:
        """Labels of the axes."""
        super().use_theme(theme)
        self.matrix.use_theme(theme)

    def columns(self) -> Columns:
        """One column per predicted class."""
        counts = self.matrix.counts.astype(float)
        found = {"true": np.arange(len(counts), dtype=float)}
        return found | {f"predicted {place}": counts[:, place] for place in range(len(counts))}

    def text(self, model: RunModel) -> str:
        """Right ones, and the commonest mistake."""
        counts = model.confusion
        total = int(counts.sum())
        if not total:
            return "No image yet."
        wrong = counts - np.diag(np.diag(counts))
        told = f"{int(np.trace(counts))} of {total} on the diagonal."
        if wrong.max():
            true, predicted = np.unravel_index(int(wrong.argmax()), wrong.shape)
            told += f" Commonest mistake: {true} taken for {predicted}, {int(wrong.max())} times."
        return told + model.doubt()


class MatrixWidget(Canvas):
    """Square cells with their counts."""

    MARGIN = 24.0

    def __init__(self) -> None:
        super().__init__()
        self.counts = np.zeros((0, 0), np.int64)
        self.setMouseTracking(True)
        self.setMinimumSize(120, 120)

    def show_counts(self, counts: np.ndarray) -> None:
        """Draw these."""
        self.counts = counts.copy()
        self.update()

    def _cells(self) -> tuple[QPointF, float]:
        """Top left corner, and the side of a cell."""
        count = max(len(self.counts), 1)
        side = min(self.width() - self.MARGIN - 4, self.height() - self.MARGIN - 4) / count
        left = (self.width() - self.MARGIN - side * count) / 2 + self.MARGIN
        return QPointF(left, 2.0), side

    def draw(self, painter: QPainter) -> None:
        """Cells, counts, classes."""
        corner, side = self._cells()
        font = painter.font()
        font.setPixelSize(max(7, min(13, int(side * 0.45))))
        painter.setFont(font)
        rows = self.counts.sum(axis=1, keepdims=True)
        shares = self.counts / np.maximum(rows, 1)
        middle = Qt.AlignmentFlag.AlignCenter
        for (row, column), count in np.ndenumerate(self.counts):
            cell = QRectF(corner.x() + column * side, corner.y() + row * side, side - 1, side - 1)
            share = round(float(shares[row, column]), 2)
            painter.fillRect(cell, cividis(share))
            if count:
                painter.setPen(QColor("black" if share > 0.55 else "white"))
                painter.drawText(cell, middle, str(count))
        painter.setPen(QColor(self.theme.text))
        for place in range(len(self.counts)):
            painter.drawText(QRectF(corner.x() - 20, corner.y() + place * side, 18, side), middle, str(place))
            below = corner.y() + len(self.counts) * side
            painter.drawText(QRectF(corner.x() + place * side, below, side, 18), middle, str(place))

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Say what is in the cell."""
        if event is None:
            return
        corner, side = self._cells()
        column, row = (
            int(each // side) for each in (event.position().x() - corner.x(), event.position().y() - corner.y())
        )
        if 0 <= row < len(self.counts) and 0 <= column < len(self.counts):
            text = f"true {row}, predicted {column}: {self.counts[row, column]} of {self.counts[row].sum()}"
            QToolTip.showText(event.globalPosition().toPoint(), text, self)
