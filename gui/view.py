"""What every view of a run has: pause, export, and a text for those who do not see it."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Hashable, Mapping
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QRect, QSize, Qt
from PyQt6.QtGui import QAction, QKeySequence, QPainter
from PyQt6.QtSvg import QSvgGenerator
from PyQt6.QtWidgets import QFileDialog, QMenu, QMessageBox, QToolButton, QWidget

from gui.models import RunModel
from gui.theme import DARK, Theme

Columns = Mapping[str, NDArray[np.float64]]
#: Between two texts for those who do not see the view, s, while a run goes on.
TELL_S = 0.5
#: Endings of files: what it is, and the key.
FORMATS = {".png": ("PNG picture", "N"), ".svg": ("SVG drawing", "V"), ".csv": ("CSV table", "C")}


class View(QWidget):
    """One view, with its menu. Subclasses draw in ``show_run``, and tell in ``text`` and ``columns``."""

    def __init__(self, title: str, hint: str) -> None:
        super().__init__()
        self.title = title
        self.theme = DARK
        self._seen: Hashable = None
        self._told_s = -math.inf
        self.setAccessibleName(title)
        self.setToolTip(hint)
        self.menu = QMenu(title, self)
        self.menu.setToolTipsVisible(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.pause_action = self.action("Pause this view", "P", "Keep what is shown; the run goes on")
        self.pause_action.setCheckable(True)
        for suffix, (name, key) in FORMATS.items():
            action = self.action(f"Export {name}…", key, f"Write what is shown into a file ({suffix})")
            action.triggered.connect(lambda _, ending=suffix: self._ask_and_export(ending))
        self.menu_button = QToolButton(self)
        self.menu_button.setText("☰")
        self.menu_button.setAutoRaise(True)
        self.menu_button.setToolTip("Pause, autoscale, export (M when this view has the focus)")
        self.menu_button.setAccessibleName(f"Menu of {title}")
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu_button.setMenu(self.menu)
        opening = self.action("Menu", "M", "Open this menu", in_menu=False)
        opening.triggered.connect(self.menu_button.showMenu)

    def action(self, text: str, key: str, hint: str, *, in_menu: bool = True) -> QAction:
        """One more thing that can be done with this view; its key works while the view has the focus."""
        action = QAction(text, self)
        action.setShortcut(QKeySequence(key))
        action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        action.setToolTip(hint)
        action.setStatusTip(hint)
        self.addAction(action)
        if in_menu:
            self.menu.addAction(action)
        return action

    def become_a_part(self) -> None:
        """Of another view, which has the menu and its keys."""
        self.menu_button.hide()
        for action in self.actions():
            self.removeAction(action)
            self.menu.removeAction(action)
            action.setParent(None)

    def refresh(self, model: RunModel) -> bool:
        """Draw anew if there is anything new and somebody can see it; whether that was so."""
        if self.pause_action.isChecked() or not self.is_stale(model) or not is_seen(self):
            return False
        self._seen = self.news(model)
        self.show_run(model)
        now = time.monotonic()
        if model.finished is not None or now - self._told_s >= TELL_S:
            self._told_s = now
            self.setAccessibleDescription(self.text(model))
        return True

    def is_stale(self, model: RunModel) -> bool:
        """Whether there is something new to draw."""
        return self._seen != self.news(model)

    def news(self, model: RunModel) -> Hashable:
        """Another one whenever the view has something new to show."""
        return model.version

    def use_theme(self, theme: Theme) -> None:
        """Other colours from now on."""
        self.theme = theme
        self._seen = None

    def show_run(self, model: RunModel) -> None:
        """Draw what the model holds."""
        raise NotImplementedError

    def text(self, model: RunModel) -> str:
        """The same in words."""
        raise NotImplementedError

    def columns(self) -> Columns:
        """What is drawn, as numbers."""
        raise NotImplementedError

    def export(self, path: Path) -> None:
        """Write the view as its file name's ending says. Raises OSError, or ValueError for another ending."""
        if path.suffix == ".png":
            if not self.grab().save(str(path)):
                raise OSError(f"{path}: cannot be written")
        elif path.suffix == ".svg":
            self._draw(path)
        elif path.suffix == ".csv":
            write_columns(path, self.columns())
        else:
            raise ValueError(f"{path.name}: the ending must be one of {', '.join(FORMATS)}")

    def _draw(self, path: Path) -> None:
        generator = QSvgGenerator()
        generator.setFileName(str(path))
        generator.setSize(self.size())
        generator.setViewBox(QRect(0, 0, self.width(), self.height()))
        generator.setTitle(self.title)
        generator.setDescription(self.accessibleDescription())
        painter = QPainter()
        if not painter.begin(generator):
            raise OSError(f"{path}: cannot be written")
        self.render(painter)
        painter.end()

    def _ask_and_export(self, suffix: str) -> None:
        name = self.title.lower().replace(" ", "-") + suffix
        chosen, _ = QFileDialog.getSaveFileName(self, f"Export {self.title}", name, f"*{suffix}")
        if not chosen:
            return
        path = Path(chosen) if chosen.endswith(suffix) else Path(chosen + suffix)
        try:
            self.export(path)
        except OSError as error:
            QMessageBox.warning(self, "Not exported", f"{error}\n\nChoose another folder.")

    def sizeHint(self) -> QSize:
        """Small enough for six beside and above each other."""
        return QSize(330, 240)


def is_seen(widget: QWidget) -> bool:
    """Whether any of it is on the screen: a dock behind another's tab is not hidden, but out of sight."""
    return widget.isVisible() and not widget.visibleRegion().isEmpty()


def write_columns(path: Path, columns: Columns) -> None:
    """A CSV file with a line of names; shorter columns end in empty cells."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip_longest(*(values.tolist() for values in columns.values()), fillvalue=""))
