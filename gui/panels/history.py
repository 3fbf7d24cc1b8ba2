"""Runs of a folder in a table: filter, open to replay, lay two over each other."""

from __future__ import annotations

import math
from pathlib import Path

from PyQt6.QtCore import QSize, Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)
from PyQt6.sip import isdeleted

from gui.conductor import Conductor
from gui.panels.fields import named
from gui.plots.overlay import OverlayWindow
from gui.quantities import number
from labctl.engine_process.messages import Failed, RunEntry
from labctl.record import Run

COLUMNS = ("date", "run", "network", "gain", "photons", "images", "accuracy", "verdict", "status", "bench", "file")
_MARKS = {"accepted": "● ", "alarm": "▲ ", "aborted": "■ "}


class HistoryPanel(QWidget):
    """``replay_asked``: path of a run file."""

    replay_asked = pyqtSignal(object)

    def __init__(self, conductor: Conductor, folder: Path) -> None:
        super().__init__()
        self._conductor = conductor
        self.folder = folder
        self._listing = 0
        self.entries: list[RunEntry] = []
        self.overlays: list[OverlayWindow] = []
        self.words = QLineEdit()
        self.words.setPlaceholderText("only runs with …")
        self.words.setClearButtonEnabled(True)
        named(self.words, "Filter of the history", "Show only runs that hold this text in any column")
        self.browse = QPushButton("Folder…")
        named(self.browse, "Choose the folder", "Another folder of run files")
        self.again = QPushButton("Look again")
        named(self.again, "Look through the folder again", "Look through the folder again")
        self.open = QPushButton("Replay")
        named(self.open, "Replay the run", "Show the chosen run in all views (also by a double click)")
        self.compare = QPushButton("Overlay two")
        named(self.compare, "Overlay two runs", "Accuracy and residual noise of two chosen runs over each other")
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setAccessibleName("Runs of the folder")
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setAlternatingRowColors(True)
        self.state = QLabel(str(folder))
        self._lay_out()
        self._connect()

    def set_folder(self, folder: Path) -> None:
        """Look there from now on."""
        self.folder = folder

    def look(self) -> None:
        """Fill the table anew, from another process."""
        self._listing += 1
        mine = self._listing
        self.entries = []
        self.table.setSortingEnabled(False)
        self.table.setRowCount(0)
        self.state.setText(f"{self.folder}: looking…")

        def part(entry: RunEntry) -> None:
            if mine == self._listing:
                self._add(entry)

        def done(count: int) -> None:
            if mine == self._listing:
                self.table.setSortingEnabled(True)
                self.state.setText(f"{self.folder}: {count} run files")

        self._conductor.folder(self.folder, part, done)

    def chosen(self) -> list[str]:
        """Paths of the rows that are selected, from the top."""
        rows = sorted({index.row() for index in self.table.selectedIndexes()})
        items = (self.table.item(row, 0) for row in rows)
        return [str(item.data(Qt.ItemDataRole.UserRole)) for item in items if item is not None]

    def _add(self, entry: RunEntry) -> None:
        self.entries.append(entry)
        row = self.table.rowCount()
        self.table.insertRow(row)
        for column, text in enumerate(cells(entry)):
            item = QTableWidgetItem(text)
            item.setData(Qt.ItemDataRole.UserRole, entry.path)
            item.setToolTip(entry.problem or text)
            self.table.setItem(row, column, item)
        self._filter_row(row)

    def _filter(self) -> None:
        for row in range(self.table.rowCount()):
            self._filter_row(row)

    def _filter_row(self, row: int) -> None:
        texts = (self.table.item(row, column) for column in range(len(COLUMNS)))
        held = " ".join(item.text() for item in texts if item is not None).lower()
        self.table.setRowHidden(row, self.words.text().lower() not in held)

    def _replay(self) -> None:
        chosen = self.chosen()
        if chosen:
            self.replay_asked.emit(Path(chosen[0]))
        else:
            self.state.setText("choose a run first")

    def _compare(self) -> None:
        chosen = self.chosen()
        if len(chosen) != 2:
            self.state.setText("choose two runs first (Ctrl and click)")
            return
        runs: list[Run] = []

        def read(run: Run) -> None:
            runs.append(run)
            if len(runs) == 2:
                self._show_overlay(runs[0], runs[1])

        def failed(problem: Failed) -> None:
            self.state.setText(f"✖ {problem.message}")

        for path in chosen:
            self._conductor.read(path, read, failed)

    def _show_overlay(self, one: Run, other: Run) -> None:
        self.overlays = [window for window in self.overlays if not isdeleted(window)]
        window = OverlayWindow(one, other)
        window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.overlays.append(window)
        window.show()

    def _ask_for_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder of run files", str(self.folder))
        if chosen:
            self.set_folder(Path(chosen))
            self.look()

    def _connect(self) -> None:
        self.words.textChanged.connect(self._filter)
        self.browse.clicked.connect(self._ask_for_folder)
        self.again.clicked.connect(self.look)
        self.open.clicked.connect(self._replay)
        self.compare.clicked.connect(self._compare)
        self.table.itemDoubleClicked.connect(lambda _: self._replay())

    def _lay_out(self) -> None:
        line = QHBoxLayout()
        for widget in (self.browse, self.again):
            line.addWidget(widget)
        line.addWidget(self.words, 1)
        for widget in (self.open, self.compare):
            line.addWidget(widget)
        header = self.table.horizontalHeader()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        rows = self.table.verticalHeader()
        assert rows is not None
        rows.setDefaultSectionSize(rows.minimumSectionSize())
        rows.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 4)
        layout.addLayout(line)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.state)

    def sizeHint(self) -> QSize:
        """A few rows."""
        return QSize(600, 180)


def cells(entry: RunEntry) -> tuple[str, ...]:
    """A run's row."""
    name = Path(entry.path).name
    if entry.problem:
        return ("", "", "", "", "", "", "", "", "✖ unreadable", "", name)
    accuracy = f"{entry.accuracy:.2%}" if math.isfinite(entry.accuracy) else "—"
    return (
        entry.date.replace("T", " ")[:19],
        entry.name,
        Path(entry.network).name,
        number(entry.gain),
        number(entry.mean_photons),
        str(entry.images),
        accuracy,
        _MARKS.get(entry.verdict, "") + entry.verdict,
        entry.status,
        "simulated" if entry.simulated else "real",
        name,
    )
