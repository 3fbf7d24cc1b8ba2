"""Residual noise layer by layer."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg

from gui.models import RunModel
from gui.plots.base import DASH, DOT, Line, PlotView
from gui.quantities import number
from gui.theme import Theme


class LayersPlot(PlotView):
    """One point with its interval for each layer, what an honest client leaves there, and the alarm on all together."""

    def __init__(self) -> None:
        super().__init__(
            "Noise per layer",
            "Excess noise of each layer with its interval; the alarm is on all layers together",
            "layer",
            "excess noise (SNU)",
            (-8, -4),
        )
        self.measured = self.curve("measured", Line("measured"), symbol="o", symbolSize=9, connect=None)
        self.bars = pg.ErrorBarItem(x=np.zeros(0), y=np.zeros(0), top=np.zeros(0), bottom=np.zeros(0), beam=0.15)
        self.plot.addItem(self.bars)
        self.honest = self.curve("honest client", Line("reference", DASH, 2), symbol="t", symbolSize=9, connect=None)
        self.alarm = self.curve("alarm, all layers", Line("alarm", DOT, 2))
        self._low, self._high = np.empty(0), np.empty(0)
        self._ticks = 0

    def use_theme(self, theme: Theme) -> None:
        """Points have a filling."""
        super().use_theme(theme)
        for curve, colour in ((self.measured, theme.measured), (self.honest, theme.reference)):
            curve.setPen(None)
            curve.setSymbolBrush(colour)
            curve.setSymbolPen(theme.text)
        self.bars.setData(pen=pg.mkPen(theme.measured, width=2))

    def show_run(self, model: RunModel) -> None:
        """The newest checks."""
        layers = model.layers
        x = np.arange(1.0, len(layers) + 1)
        excess = np.array([each.excess.value for each in layers])
        self._low = np.array([each.excess.low for each in layers])
        self._high = np.array([each.excess.high for each in layers])
        self.measured.setData(x, excess)
        self.bars.setData(x=x, y=excess, top=self._high - excess, bottom=excess - self._low)
        self.draw("honest client", x, np.array([each.expected + each.technical for each in layers]))
        check = model.check()
        threshold = None if check is None else check.threshold
        if threshold is None or not math.isfinite(threshold) or not len(x):
            self.alarm.setData([], [])
        else:
            self.draw("alarm, all layers", np.array([0.5, len(x) + 0.5]), np.array([threshold, threshold]))
        if len(x) != self._ticks:
            self._ticks = len(x)
            self.plot.getAxis("bottom").setTicks([[(place, str(int(place))) for place in x]])
        limit = np.array([np.nan if threshold is None else threshold])
        self.fit((0.5, len(x) + 0.5), excess, self._low, self._high, limit)

    def columns(self) -> dict[str, np.ndarray]:
        """With the ends of the intervals."""
        found = dict(super().columns())
        return {**found, "lower end": self._low, "upper end": self._high}

    def text(self, model: RunModel) -> str:
        """Each layer."""
        if not model.layers:
            return "No returned light yet."
        return "; ".join(
            f"layer {place}: {number(each.excess.value)} SNU ({number(each.excess.low)} to {number(each.excess.high)}),"
            f" honest {number(each.expected)}"
            for place, each in enumerate(model.layers, 1)
        )
