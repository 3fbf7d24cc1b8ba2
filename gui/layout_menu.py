"""Layouts with names of their own: kept, put back, forgotten."""

from __future__ import annotations

from PyQt6.QtCore import QSettings
from PyQt6.QtGui import QAction, QKeySequence
from PyQt6.QtWidgets import QInputDialog, QMenu, QWidget

from gui.layout import Docks

#: Those that have a key, Ctrl+Alt+1 and so on.
WITH_KEYS = 9


class LayoutMenu(QMenu):
    """A submenu with every kept layout. ``settings``: where they are kept, by name."""

    def __init__(self, docks: Docks, settings: QSettings, parent: QWidget) -> None:
        super().__init__("&Layouts", parent)
        self.setToolTipsVisible(True)
        self._docks, self._settings = docks, settings
        self.keep = self._action("&Keep this layout as…", "Ctrl+Shift+K", "Keep where everything is, under a name")
        self.forget = self._action("Forget a layout…", "Ctrl+Shift+X", "Take a kept layout off this list")
        self.keep.triggered.connect(self._ask_and_keep)
        self.forget.triggered.connect(self._ask_and_forget)
        self.first = self._action("&First layout", "Ctrl+0", "Put every dock back to where it was at first")
        self.first.triggered.connect(docks.arrange)
        self.addSeparator()
        self.named: dict[str, QAction] = {}
        self._fill()

    def keep_as(self, name: str) -> None:
        """The layout as it is now; one of this name is replaced."""
        self._docks.save(self._settings, _group(name))
        self._settings.setValue("layouts", [*(each for each in self._names() if each != name), name])
        self._fill()

    def put_back(self, name: str) -> None:
        """The layout of that name."""
        self._docks.restore(self._settings, _group(name))

    def forget_it(self, name: str) -> None:
        """Take it off the list."""
        self._settings.remove(_group(name))
        self._settings.setValue("layouts", [each for each in self._names() if each != name])
        self._fill()

    def _names(self) -> list[str]:
        kept = self._settings.value("layouts", [])
        return [kept] if isinstance(kept, str) else list(kept or [])  # an INI file holds one name as no list

    def _fill(self) -> None:
        for action in self.named.values():
            self.removeAction(action)
            action.deleteLater()
        self.named = {}
        for number, name in enumerate(self._names(), 1):
            key = f"Ctrl+Alt+{number}" if number <= WITH_KEYS else ""
            action = self._action(name.replace("&", "&&"), key, f"Arrange the docks as in the layout {name}")
            action.triggered.connect(lambda _=False, chosen=name: self.put_back(chosen))
            self.named[name] = action
        self.forget.setEnabled(bool(self.named))

    def _action(self, text: str, key: str, hint: str) -> QAction:
        action = QAction(text, self)
        action.setShortcut(QKeySequence(key))
        action.setToolTip(hint)
        action.setStatusTip(hint)
        self.addAction(action)
        return action

    def _ask_and_keep(self) -> None:
        name, accepted = QInputDialog.getText(self.parentWidget(), "Keep this layout", "Name of the layout")
        if accepted and name.strip():
            self.keep_as(name.strip())

    def _ask_and_forget(self) -> None:
        name, accepted = QInputDialog.getItem(
            self.parentWidget(), "Forget a layout", "Layout", self._names(), editable=False
        )
        if accepted:
            self.forget_it(name)


def _group(name: str) -> str:
    """Where a layout's values are kept; a slash would begin another group."""
    return f"layout/{name.replace('/', '∕')}"
