"""A view with axes: crosshair with read-out, autoscale, colours by theme."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PyQt6.QtCore import QPointF, Qt
from PyQt6.QtGui import QColor
from PyQt6.QtWidgets import QGraphicsItem, QGridLayout, QLabel

from gui.theme import Theme
from gui.view import Columns, View

Floats = NDArray[np.float64]
#: Of the height, above and below what is shown; and what must be used of it before it is made smaller.
MARGIN, SPARSE = 0.08, 0.45
#: Points along a band that are drawn.
BAND_POINTS = 250
#: Points of a curve that are compared before it is drawn anew.
SHORT = 100
DASH, DOT, SOLID = Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.SolidLine


@dataclass(frozen=True)
class Line:
    """How a curve looks: role of its colour in the theme, style of its pen."""

    role: str
    style: Qt.PenStyle = SOLID
    width: int = 1


class Band:
    """Between two edges that have no line of their own. Drawn by its envelope, since what is filled may not be clipped.

    ``low``, ``high``: the edges as they were given.
    """

    def __init__(self, role: str) -> None:
        self.role = role
        self.low, self.high = np.empty(0), np.empty(0)
        self.edges = (pg.PlotCurveItem(pen=pg.mkPen(None)), pg.PlotCurveItem(pen=pg.mkPen(None)))
        self.fill = pg.FillBetweenItem(*self.edges)

    def set(self, x: Floats, low: Floats, high: Floats) -> None:
        """All three of one length."""
        self.low, self.high = low.copy(), high.copy()
        step = max(1, len(x) // BAND_POINTS)
        starts = np.arange(0, len(x), step)
        if len(x):
            low, high = np.fmin.reduceat(low, starts), np.fmax.reduceat(high, starts)
            x = np.append(x[starts[:-1]], x[-1])
        for edge, values in zip(self.edges, (low, high), strict=True):
            edge.setData(x, values)


class PlotView(View):
    """Axes with named curves.

    ``x``, ``y``: labels of the axes, units included; ``legend``: its place, from the right or bottom where negative.
    The axes follow the curves in steps, so that they are seldom drawn anew, until somebody moves them by hand.
    """

    def __init__(self, title: str, hint: str, x: str, y: str, legend: tuple[int, int] | None = (-8, 4)) -> None:
        super().__init__(title, hint)
        self.axes = (x, y)
        self.plot = pg.PlotWidget()
        self.plot.setMenuEnabled(False)
        self.plot.setAccessibleName(title)
        item = self.plot.getPlotItem()
        item.setLabel("bottom", x)
        item.setLabel("left", y)
        item.showGrid(x=True, y=True, alpha=0.15)
        item.setDownsampling(auto=True, mode="peak")
        item.setClipToView(True)
        item.vb.disableAutoRange()
        item.vb.sigRangeChangedManually.connect(self._held_by_hand)
        item.hideButtons()
        for side in ("bottom", "left"):
            axis = item.getAxis(side)
            axis.enableAutoSIPrefix(False)
            axis.setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)
        self.legend = item.addLegend(offset=legend, labelTextSize="8pt", verSpacing=-4) if legend else None
        self._by_hand = False
        self._range = (math.inf, -math.inf, math.inf, -math.inf)
        self._curves: dict[str, tuple[pg.PlotDataItem, Line]] = {}
        self._bands: list[Band] = []
        self._readout = QLabel(title)
        self._readout.setTextFormat(Qt.TextFormat.PlainText)
        layout = QGridLayout(self)
        layout.setContentsMargins(4, 0, 2, 2)
        layout.setSpacing(0)
        layout.addWidget(self._readout, 0, 0)
        layout.addWidget(self.menu_button, 0, 1)
        layout.addWidget(self.plot, 1, 0, 1, 2)
        layout.setColumnStretch(0, 1)
        layout.setRowStretch(1, 1)
        self.autoscale_action = self.action("Autoscale", "A", "Let the axes follow the curves again")
        self.autoscale_action.triggered.connect(self.autoscale)
        self._make_crosshair()

    def curve(self, name: str, line: Line, **options: Any) -> pg.PlotDataItem:
        """A curve that the legend names."""
        item = self.plot.getPlotItem().plot([], [], name=name, **options)
        self._curves[name] = (item, line)
        return item

    def draw(self, name: str, x: Floats, y: Floats, **options: Any) -> None:
        """Have a curve show these points; nothing where a short one already does."""
        item = self._curves[name][0]
        if len(x) <= SHORT:
            shown_x, shown_y = original(item)
            if np.array_equal(shown_x, x) and np.array_equal(shown_y, y, equal_nan=True):
                return
        item.setData(x, y, **options)

    def band(self, role: str) -> Band:
        """Where an interval reaches, in a colour that lets the curves through."""
        band = Band(role)
        for item in (*band.edges, band.fill):
            self.plot.addItem(item, ignoreBounds=True)
        self._bands.append(band)
        return band

    def autoscale(self) -> None:
        """Let the axes follow the curves again."""
        self._by_hand = False
        self._range = (math.inf, -math.inf, math.inf, -math.inf)
        self._seen = None

    def fit(self, x: tuple[float, float], *ys: Floats) -> None:
        """Have the axes show ``x`` and all finite numbers of ``ys``; nothing where they already do without waste."""
        if self._by_hand:
            return
        ends = [(np.nanmin(y), np.nanmax(y)) for y in ys if len(y) and not np.isnan(y).all()]
        if not ends:
            return
        low, high = float(min(end[0] for end in ends)), float(max(end[1] for end in ends))
        room = max(high - low, 1e-9 * max(abs(high), abs(low)), 1e-12)
        left, right, bottom, top = self._range
        if (left, right) == x and bottom <= low and high <= top and room > SPARSE * (top - bottom):
            return
        self._range = (*x, low - MARGIN * room, high + MARGIN * room)
        self.plot.getPlotItem().vb.setRange(xRange=x, yRange=self._range[2:], padding=0, disableAutoRange=False)

    def _held_by_hand(self) -> None:
        self._by_hand = True

    def columns(self) -> Columns:
        """Abscissa and ordinate of each curve; curves over the same points share the abscissa."""
        found: dict[str, Floats] = {}
        before: Floats | None = None
        for name, (item, _) in self._curves.items():
            x, y = original(item)
            if before is None or not np.array_equal(before, x):
                found[self.axes[0] if before is None else f"{self.axes[0]} of {name}"] = x
                before = x
            found[name] = y
        for band in self._bands:
            found |= {"lower end": band.low, "upper end": band.high}
        return found

    def use_theme(self, theme: Theme) -> None:
        """Paper, axes, curves and bands."""
        super().use_theme(theme)
        self.plot.setBackground(theme.paper)
        item = self.plot.getPlotItem()
        for side in ("bottom", "left"):
            item.getAxis(side).setPen(theme.line)
            item.getAxis(side).setTextPen(theme.text)
        for curve, line in self._curves.values():
            if line.role:
                self.paint_curve(curve, line, getattr(theme, line.role))
        for band in self._bands:
            colour = QColor(getattr(theme, band.role))
            colour.setAlpha(55)
            band.fill.setBrush(colour)
        if self.legend is not None:
            self.legend.setLabelTextColor(theme.text)
            for _, label in self.legend.items:
                label.setText(label.text, color=theme.text)
        for crosshair in self._crosshair:
            crosshair.setPen(pg.mkPen(theme.muted, style=DOT))

    def paint_curve(self, curve: pg.PlotDataItem, line: Line, colour: str) -> None:
        """Give a curve its colour. Pens are as wide as they say in pixels of the screen, which may be small."""
        curve.setPen(pg.mkPen(colour, width=line.width * round(self.devicePixelRatioF()), style=line.style))

    def _make_crosshair(self) -> None:
        self._crosshair = (pg.InfiniteLine(angle=90), pg.InfiniteLine(angle=0))
        for each in self._crosshair:
            each.setVisible(False)
            each.setZValue(100)
            self.plot.addItem(each, ignoreBounds=True)
        self._proxy = pg.SignalProxy(
            self.plot.scene().sigMouseMoved, rateLimit=30, slot=lambda args: self.point_at(args[0])
        )

    def point_at(self, position: QPointF) -> None:
        """Read out where the pointer is, in scene coordinates."""
        item = self.plot.getPlotItem()
        inside = item.vb.sceneBoundingRect().contains(position)
        for each in self._crosshair:
            each.setVisible(inside)
        if not inside:
            self._readout.setText(self.title)
            return
        point = item.vb.mapSceneToView(position)
        self._crosshair[0].setPos(point.x())
        self._crosshair[1].setPos(point.y())
        self._readout.setText(f"{self.title}:  {self.readout(point.x(), point.y())}")

    def readout(self, x: float, y: float) -> str:
        """What the first curve is at ``x``, beside the pointer's own place."""
        name, (item, _) = next(iter(self._curves.items()))
        xs, ys = original(item)
        if len(xs) == 0:
            return f"{self.axes[0]} {x:.5g}, {self.axes[1]} {y:.5g}"
        at = int(np.argmin(np.abs(xs - x)))
        return f"{self.axes[0]} {xs[at]:.5g}: {name} {ys[at]:.5g}   (pointer at {y:.5g})"


def original(item: pg.PlotDataItem) -> tuple[Floats, Floats]:
    """A curve's points, all of them and as they were given."""
    x, y = item.getOriginalDataset()
    if x is None or y is None:
        return np.empty(0), np.empty(0)
    return np.asarray(x, float), np.asarray(y, float)


def reach(images: int, total: int) -> tuple[float, float]:
    """The axis of images that has room for ``images``, which grows by a quarter at a time and ends with the run."""
    end = 40.0
    while end < images:
        end = math.ceil(end * 1.25)
    return 0.0, float(max(min(end, total) if total >= max(images, 1) else end, 2))
