"""Dark and light: one set of roles, in Okabe-Ito colours that everybody can tell apart; shapes say the same again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from PyQt6.QtGui import QColor, QPalette
from PyQt6.QtWidgets import QApplication

#: Okabe-Ito.
BLUE, SKY, GREEN, ORANGE, VERMILION, YELLOW, PURPLE = (
    "#0072B2",
    "#56B4E9",
    "#009E73",
    "#E69F00",
    "#D55E00",
    "#F0E442",
    "#CC79A7",
)


@dataclass(frozen=True)
class Theme:
    """Colours by role. ``paper``: under plots; ``measured``, ``reference``, ``alarm``: of curves."""

    name: str
    window: str
    paper: str
    raised: str
    text: str
    muted: str
    line: str
    measured: str
    reference: str
    alarm: str
    second: str


DARK = Theme("dark", "#1f2428", "#171b1e", "#2b3238", "#e8eaec", "#9aa4ad", "#49525a", SKY, GREEN, VERMILION, ORANGE)
LIGHT = Theme("light", "#f3f4f5", "#ffffff", "#e4e7ea", "#15191c", "#59636b", "#b9c1c8", BLUE, GREEN, VERMILION, ORANGE)
THEMES = {theme.name: theme for theme in (DARK, LIGHT)}


class Status(Enum):
    """A state by colour and by shape."""

    UNKNOWN = ("○", "#9aa4ad", "not known")
    OFF = ("■", SKY, "off")
    ON = ("●", GREEN, "on")
    WARNING = ("▲", ORANGE, "look here")
    BAD = ("✖", VERMILION, "in trouble")

    @property
    def shape(self) -> str:
        """A character."""
        return self.value[0]

    @property
    def colour(self) -> str:
        """Of the shape."""
        return self.value[1]

    @property
    def words(self) -> str:
        """For those who hear it."""
        return self.value[2]

    def html(self) -> str:
        """The shape in its colour, for a label."""
        return f'<span style="color:{self.colour}">{self.shape}</span>'


def use(theme: Theme) -> None:
    """Colour the whole application."""
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    application.setStyle("Fusion")
    application.setPalette(_palette(theme))
    application.setStyleSheet(_STYLE.format(theme=theme))


def _palette(theme: Theme) -> QPalette:
    role = QPalette.ColorRole
    palette = QPalette()
    for key, colour in (
        (role.Window, theme.window),
        (role.WindowText, theme.text),
        (role.Base, theme.paper),
        (role.AlternateBase, theme.raised),
        (role.Text, theme.text),
        (role.Button, theme.raised),
        (role.ButtonText, theme.text),
        (role.ToolTipBase, theme.raised),
        (role.ToolTipText, theme.text),
        (role.PlaceholderText, theme.muted),
        (role.Highlight, BLUE),
        (role.HighlightedText, "#ffffff"),
        (role.Mid, theme.line),
        (role.Dark, theme.line),
    ):
        palette.setColor(key, QColor(colour))
    for key in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, key, QColor(theme.muted))
    return palette


_STYLE = """
QToolTip {{ border: 1px solid {theme.line}; padding: 3px; }}
QDockWidget::title {{ padding: 3px 6px; background: {theme.raised}; }}
QMainWindow::separator {{ width: 4px; height: 4px; background: {theme.window}; }}
QMainWindow::separator:hover {{ background: {theme.line}; }}
QPushButton {{ padding: 5px 10px; }}
QPushButton:focus, QToolButton:focus {{ border: 2px solid {theme.measured}; }}
"""
