"""All keys in a table that can be read beside the window."""

from __future__ import annotations

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QAction
from PyQt6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QDialog,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

#: Where a key works, by the context of its action.
_WHERE = {
    Qt.ShortcutContext.ApplicationShortcut: "everywhere",
    Qt.ShortcutContext.WindowShortcut: "in the window",
    Qt.ShortcutContext.WidgetWithChildrenShortcut: "in the view that has the focus",
}


def keys_of(window: QWidget) -> list[tuple[str, str, str]]:
    """Key, what it does, and where: of all actions and buttons of a window, each once."""
    found: dict[tuple[str, str, str], None] = {}
    for action in window.findChildren(QAction):
        if not action.shortcut().isEmpty():
            what = action.text().replace("&", "").rstrip("…")
            found[action.shortcut().toString(), what, _WHERE.get(action.shortcutContext(), "")] = None
    for button in window.findChildren(QAbstractButton):
        if not button.shortcut().isEmpty():
            found[button.shortcut().toString(), button.accessibleName() or button.text(), "in the window"] = None
    return sorted(found, key=lambda row: (row[2], row[0]))


class KeysWindow(QDialog):
    """Stays open while the window is used."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self.setWindowTitle("Keys")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        rows = keys_of(window)
        self.table = QTableWidget(len(rows), 3)
        self.table.setHorizontalHeaderLabels(["key", "does", "where"])
        self.table.setAccessibleName("All keys")
        self.table.setToolTip("What each key does")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        for place, row in enumerate(rows):
            for column, text in enumerate(row):
                self.table.setItem(place, column, QTableWidgetItem(text))
        header = self.table.horizontalHeader()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        layout = QVBoxLayout(self)
        layout.addWidget(self.table)
        self.resize(560, 600)
