"""Docks: where each view stands at first, and keeping what the user made of it."""

from __future__ import annotations

import itertools

from PyQt6.QtCore import QSettings, Qt
from PyQt6.QtGui import QAction
from PyQt6.QtWidgets import QDockWidget, QFrame, QMainWindow, QScrollArea, QWidget

_LEFT, _RIGHT, _BOTTOM = (
    Qt.DockWidgetArea.LeftDockWidgetArea,
    Qt.DockWidgetArea.RightDockWidgetArea,
    Qt.DockWidgetArea.BottomDockWidgetArea,
)
_H, _V = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
#: Rises when docks are renamed, so that an older layout is not restored.
VERSION = 1


class Docks:
    """The docks of one window, by key."""

    def __init__(self, window: QMainWindow) -> None:
        self._window = window
        self.docks: dict[str, QDockWidget] = {}
        window.setDockNestingEnabled(True)
        window.setDockOptions(
            QMainWindow.DockOption.AnimatedDocks
            | QMainWindow.DockOption.AllowNestedDocks
            | QMainWindow.DockOption.AllowTabbedDocks
        )

    def add(self, key: str, title: str, widget: QWidget, *, scroll: bool = False) -> QDockWidget:
        """A dock round a widget; one that may be taller than the screen gets a scroll bar."""
        dock = QDockWidget(title, self._window)
        dock.setObjectName(key)
        dock.setAccessibleName(title)
        if scroll:
            area = QScrollArea()
            area.setWidgetResizable(True)
            area.setFrameShape(QFrame.Shape.NoFrame)
            area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
            area.setWidget(widget)
            area.setMinimumWidth(widget.minimumSizeHint().width() + 16)
            dock.setWidget(area)
        else:
            dock.setWidget(widget)
        self.docks[key] = dock
        return dock

    def toggles(self) -> list[QAction]:
        """An action each, that shows or hides it."""
        found = []
        for dock in self.docks.values():
            action = dock.toggleViewAction()
            assert action is not None
            found.append(action)
        return found

    def arrange(self) -> None:
        """The first layout: settings on the left, six places for plots, log and history below."""
        window, docks = self._window, self.docks
        for dock in docks.values():
            dock.setFloating(False)
            window.removeDockWidget(dock)
        window.setCorner(Qt.Corner.BottomLeftCorner, _LEFT)
        window.setCorner(Qt.Corner.BottomRightCorner, _RIGHT)
        self._place(_LEFT, "run", "instruments")
        self._place(_RIGHT, "accuracy")
        rows = (("accuracy", "confusion", "layers"), ("histogram", "test", "leakage"), ("log", "circuit", "image"))
        for above, below in itertools.pairwise(rows):
            window.splitDockWidget(docks[above[0]], docks[below[0]], _V)
        for row in rows:
            for left, right in itertools.pairwise(row):
                window.splitDockWidget(docks[left], docks[right], _H)
        for front, behind in (
            ("layers", "noise"),
            ("histogram", "spectrum"),
            ("test", "transmittance"),
            ("leakage", "adversary"),
            ("log", "history"),
        ):
            window.tabifyDockWidget(docks[front], docks[behind])
            docks[front].raise_()
        docks["run"].raise_()
        for dock in docks.values():
            dock.show()
        window.resizeDocks([docks["run"]], [340], _H)
        window.resizeDocks([docks[row[0]] for row in rows], [320, 320, 220], _V)
        window.resizeDocks([docks[key] for key in rows[2]], [520, 460, 300], _H)

    def _place(self, area: Qt.DockWidgetArea, *keys: str) -> None:
        first = self.docks[keys[0]]
        self._window.addDockWidget(area, first)
        for key in keys[1:]:
            self._window.addDockWidget(area, self.docks[key])
            self._window.tabifyDockWidget(first, self.docks[key])

    def save(self, settings: QSettings, group: str = "window") -> None:
        """Where everything is."""
        settings.setValue(f"{group}/geometry", self._window.saveGeometry())
        settings.setValue(f"{group}/state", self._window.saveState(VERSION))

    def restore(self, settings: QSettings, group: str = "window") -> bool:
        """As it was the last time; whether there was one."""
        geometry, state = settings.value(f"{group}/geometry"), settings.value(f"{group}/state")
        if geometry is None or state is None:
            return False
        self._window.restoreGeometry(geometry)
        return bool(self._window.restoreState(state, VERSION))
