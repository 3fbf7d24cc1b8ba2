"""What is painted by hand: on paper of its own, so that nothing behind it has to be painted as well."""

from __future__ import annotations

from PyQt6.QtCore import QSize, Qt
from PyQt6.QtGui import QColor, QPainter, QPaintEvent
from PyQt6.QtWidgets import QWidget

from gui.theme import DARK, Theme


class Canvas(QWidget):
    """Subclasses paint in ``draw``."""

    def __init__(self) -> None:
        super().__init__()
        self.theme: Theme = DARK
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def use_theme(self, theme: Theme) -> None:
        """Other colours from now on."""
        self.theme = theme
        self.update()

    def draw(self, painter: QPainter) -> None:
        """On paper that is clean."""
        raise NotImplementedError

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paper, and what is on it."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(self.theme.window))
        painter.setPen(QColor(self.theme.text))
        self.draw(painter)
        painter.end()


class Words(Canvas):
    """A line of text that may change at every turn: a label would have the whole window laid out anew."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def text(self) -> str:
        """What stands there."""
        return self._text

    def setText(self, text: str) -> None:
        """Another line."""
        if text != self._text:
            self._text = text
            self.update()

    def sizeHint(self) -> QSize:
        """As high as a line, as wide as there is room."""
        return QSize(80, self.fontMetrics().height() + 2)

    def draw(self, painter: QPainter) -> None:
        """Shortened where there is no room."""
        text = self.fontMetrics().elidedText(self._text, Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter, text)
