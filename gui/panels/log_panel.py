"""The event log, with a filter by level and by word."""

from __future__ import annotations

from PyQt6.QtCore import QSize
from PyQt6.QtWidgets import (
    QApplication,
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui.journal import KEPT, Journal, Level, Line

_MARKS = {Level.INFO: "·", Level.WARNING: "▲", Level.ERROR: "✖"}


class LogPanel(QWidget):
    """Newest lines at the bottom; lines are put in a batch at a time."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal
        self._shown = 0
        self.level = QComboBox()
        self.level.addItems(["all", "warnings and errors", "errors"])
        self.level.setAccessibleName("Least level shown")
        self.level.setToolTip("Which lines are shown")
        self.words = QLineEdit()
        self.words.setPlaceholderText("only lines with …")
        self.words.setClearButtonEnabled(True)
        self.words.setAccessibleName("Filter of the event log")
        self.words.setToolTip("Show only lines that hold this text")
        self.copy = QPushButton("Copy")
        self.copy.setToolTip("Copy the lines that are shown, or what is marked in them (Ctrl+Shift+C)")
        self.copy.setShortcut("Ctrl+Shift+C")
        self.copy.setAccessibleName("Copy the event log")
        self.lines = QPlainTextEdit()
        self.lines.setReadOnly(True)
        self.lines.setMaximumBlockCount(KEPT)
        self.lines.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.lines.setAccessibleName("Event log")
        self.lines.setToolTip("What happened, newest at the bottom; the run's log beside its file has more")
        font = self.lines.font()
        font.setFamily("monospace")
        self.lines.setFont(font)
        top = QHBoxLayout()
        top.addWidget(self.level)
        top.addWidget(self.words, 1)
        top.addWidget(self.copy)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 4)
        layout.addLayout(top)
        layout.addWidget(self.lines, 1)
        self.level.currentIndexChanged.connect(self._again)
        self.words.textChanged.connect(self._again)
        self.copy.clicked.connect(self._copy)

    def refresh(self) -> None:
        """Put in what has been written since the last time."""
        new = self._journal.written - self._shown
        if new <= 0:
            return
        self._shown = self._journal.written
        count = min(new, len(self._journal.lines))
        newest = [self._journal.lines[place] for place in range(-count, 0)]
        text = "\n".join(f"{_MARKS[line.level]} {line}" for line in newest if self._wanted(line))
        if text:
            self.lines.appendPlainText(text)

    def _wanted(self, line: Line) -> bool:
        return line.level >= self.level.currentIndex() and self.words.text().lower() in str(line).lower()

    def _again(self) -> None:
        self.lines.clear()
        self._shown = self._journal.written - len(self._journal.lines)
        self.refresh()

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        marked = self.lines.textCursor().selectedText().replace("\u2029", "\n")
        clipboard.setText(marked or self.lines.toPlainText())

    def sizeHint(self) -> QSize:
        """A few lines."""
        return QSize(500, 150)
