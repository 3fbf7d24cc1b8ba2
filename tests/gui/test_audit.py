"""Every widget and action of the window: keys, tips, names, words, and colours that everybody can tell apart."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtGui import QAction, QColor
from PyQt6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QDockWidget,
    QGraphicsScene,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QTabBar,
    QWidget,
)
from pytestqt.qtbot import QtBot

from gui.keys import KeysWindow, keys_of
from gui.theme import DARK, LIGHT, THEMES, Status, Theme
from gui.window import MainWindow

FIELDS = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QPlainTextEdit, QAbstractItemView)
#: Whose actions are in no menu: pyqtgraph's, which is switched off, and those of fields, which Qt's own menu shows.
UNSEEN = (*FIELDS, QGraphicsScene)
#: What a photopic eye needs to read letters, and to see shapes (WCAG 2.2, 1.4.3 and 1.4.11).
LETTERS, SHAPES = 4.5, 3.0


def actions(window: MainWindow) -> list[QAction]:
    """All but those that only open a menu, are a line between two, or that nobody gets to see."""
    opening = {menu.menuAction() for menu in window.findChildren(QMenu)}
    found = [each for each in window.findChildren(QAction) if not each.isSeparator() and each not in opening]
    return [each for each in found if each.text() and each.isVisible() and not isinstance(each.parent(), UNSEEN)]


def ours(window: MainWindow) -> list[QWidget]:
    """Fields and buttons, without the parts that Qt makes of them."""
    found = [each for each in window.findChildren(QWidget) if isinstance(each, FIELDS)]
    parts = [
        each for each in found if isinstance(each.parent(), (*FIELDS, QTabBar)) or each.objectName().startswith("qt_")
    ]
    made_by_qt = ("QDockWidgetTitleButton", "QToolBarExtension", "QComboBoxListView")
    return [each for each in found if each not in parts and each.metaObject().className() not in made_by_qt]


def test_every_action_has_a_key_and_a_tip(window: MainWindow) -> None:
    found = actions(window)
    assert len(found) > 70
    assert [each.text() for each in found if each.shortcut().isEmpty()] == []
    assert [each.text() for each in found if each.toolTip() in ("", each.text().replace("&", ""))] == []


def test_no_key_does_two_things(window: MainWindow) -> None:
    wide = [
        each for each in actions(window) if each.shortcutContext() is not Qt.ShortcutContext.WidgetWithChildrenShortcut
    ]
    keys = Counter(each.shortcut().toString() for each in wide)
    keys += Counter(
        each.shortcut().toString() for each in window.findChildren(QAbstractButton) if not each.shortcut().isEmpty()
    )
    assert [key for key, count in keys.items() if key and count > 1] == []
    for view in window.views.values():
        own = Counter(each.shortcut().toString() for each in view.findChildren(QAction))
        assert [key for key, count in own.items() if key and count > 1] == []


def test_every_field_and_button_has_a_name_and_a_tip_and_is_reached_by_keys(window: MainWindow) -> None:
    found = ours(window)
    assert len(found) > 35

    def called(each: QWidget) -> str:
        return f"{type(each).__name__} {each.accessibleName() or getattr(each, 'text', str)()}"

    assert [called(each) for each in found if not each.accessibleName()] == []
    assert [called(each) for each in found if not each.toolTip() and not isinstance(each, QAbstractItemView)] == []
    assert [called(each) for each in found if not each.focusPolicy() & Qt.FocusPolicy.TabFocus] == []


def test_every_view_says_what_it_shows(window: MainWindow, qtbot: QtBot) -> None:
    for view in window.views.values():
        assert view.accessibleName()
        assert view.toolTip()
        assert view.text(window.conductor.model)
        assert view.focusPolicy() & Qt.FocusPolicy.TabFocus
    assert all(dock.accessibleName() for dock in window.findChildren(QDockWidget))


def test_keys_of_a_view_work_while_it_has_the_focus(window: MainWindow, qtbot: QtBot) -> None:
    window.docks.docks["accuracy"].raise_()
    view, other = window.views["accuracy"], window.views["confusion"]
    view.setFocus()
    qtbot.waitUntil(view.hasFocus)
    qtbot.keyClick(view, Qt.Key.Key_P)
    assert view.pause_action.isChecked()
    assert not other.pause_action.isChecked()
    qtbot.keyClick(view, Qt.Key.Key_P)
    assert not view.pause_action.isChecked()


def test_all_keys_in_a_table(window: MainWindow, qtbot: QtBot) -> None:
    rows = keys_of(window)
    known = {key: what for key, what, _ in rows}
    assert {
        "F4",
        "F5",
        "F6",
        "F7",
        "F8",
        "F9",
        "F12",
        "Ctrl+O",
        "Ctrl+T",
        "Ctrl+Q",
        "F1",
        "P",
        "Ctrl+Shift+C",
    } <= known.keys()
    assert known["F12"] == "LIGHT OFF"
    qtbot.keyClick(window, Qt.Key.Key_F1)
    (table,) = window.findChildren(KeysWindow)
    assert table.table.rowCount() == len(keys_of(window))
    table.close()


def luminance(colour: str) -> float:
    """Relative, of sRGB (WCAG 2.2)."""
    parts = np.array(QColor(colour).getRgbF()[:3])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES.values(), ids=lambda theme: theme.name)
def test_text_and_curves_stand_out(theme: Theme) -> None:
    for paper in (theme.window, theme.paper, theme.raised):
        assert contrast(theme.text, paper) > LETTERS
        assert contrast(theme.muted, paper) > LETTERS
    for colour in (theme.measured, theme.reference, theme.alarm):
        assert contrast(colour, theme.paper) > SHAPES


#: Machado, Oliveira and Fernandes 2009, full deficiency, on linear sRGB.
DEFICIENCIES = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(colour: str, matrix: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of a colour as seen through a deficiency."""
    parts = np.array(QColor(colour).getRgbF()[:3])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    seen = np.clip(matrix @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = to_xyz @ seen / (0.9505, 1.0, 1.089)
    x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_colours_of_curves_and_states_differ_for_every_eye(theme: Theme, deficiency: str) -> None:
    """By more than 10 in L*a*b*, where 2.3 can just be told apart side by side."""
    matrix = np.array(DEFICIENCIES[deficiency])
    curves = [theme.measured, theme.reference, theme.alarm]
    states = [status.colour for status in (Status.OFF, Status.ON, Status.WARNING, Status.BAD)]
    for colours in (curves, states):
        for one, other in combinations(colours, 2):
            assert np.linalg.norm(lab(one, matrix) - lab(other, matrix)) > 10, (one, other)


def test_states_differ_in_shape_and_words() -> None:
    assert len({status.shape for status in Status}) == len({status.words for status in Status}) == len(Status)
