"""The server's receiver: histogram and spectrum of what comes back beyond the share of what was launched."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from gui.models import RunModel
from gui.plots.base import DASH, Floats, Line, PlotView
from gui.quantities import number

BINS = 81
#: In standard deviations of the vacuum.
REACH = 5.0
#: Points of a spectrum's periodograms.
SEGMENT = 256


class ReceiverPlot(PlotView):
    """Drawn anew with every look at the receiver, not with every image."""

    def news(self, model: RunModel) -> Hashable:
        """The newest look."""
        return id(model.samples[-1]) if model.samples else 0


class HistogramPlot(ReceiverPlot):
    """Density of the residual quadratures, over that of the vacuum."""

    def __init__(self) -> None:
        super().__init__(
            "Homodyne histogram",
            "Both quadratures at the server's receiver without the launched signal; the curve is the vacuum",
            "quadrature (√SNU)",
            "density",
        )
        self.density = self.curve("X and P", Line("measured"))
        self.vacuum = self.curve("vacuum", Line("reference", DASH))

    def show_run(self, model: RunModel) -> None:
        """Of the newest looks."""
        if not model.samples:
            self.density.setData([], [])
            self.vacuum.setData([], [])
            return
        values = np.concatenate([each.residual.reshape(-1) for each in model.samples])
        sigma = float(np.sqrt(model.samples[-1].vacuum))
        edges = np.linspace(-REACH * sigma, REACH * sigma, BINS + 1)
        counts, _ = np.histogram(values, edges)
        middle, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
        self.density.setData(middle, counts / (len(values) * width))
        vacuum = np.exp(-((middle / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi))
        self.vacuum.setData(middle, vacuum)
        self.fit((-REACH * sigma, REACH * sigma), vacuum, counts / (len(values) * width))

    def text(self, model: RunModel) -> str:
        """Its variance."""
        if not model.samples:
            return "No look at the receiver yet."
        values = np.concatenate([each.residual.reshape(-1) for each in model.samples])
        return (
            f"Variance {number(float(values.var()))} SNU over {len(values)} samples; of the vacuum"
            f" {number(model.samples[-1].vacuum)}."
        )


class SpectrumPlot(ReceiverPlot):
    """Power spectral density of the residual, relative to the vacuum's."""

    def __init__(self) -> None:
        super().__init__(
            "Homodyne spectrum",
            "Noise of the returned light by frequency; 0 dB is the vacuum",
            "frequency (MHz)",
            "relative to vacuum (dB)",
        )
        self.level = self.curve("returned light", Line("measured"))
        self.vacuum = self.curve("vacuum", Line("reference", DASH))

    def show_run(self, model: RunModel) -> None:
        """Of the newest looks."""
        found = spectrum(model)
        if found is None:
            self.level.setData([], [])
            self.vacuum.setData([], [])
            return
        frequency, level = found
        self.level.setData(frequency, level)
        self.vacuum.setData(frequency[[0, -1]], np.zeros(2))
        self.fit((0.0, float(frequency[-1])), level, np.zeros(1))

    def text(self, model: RunModel) -> str:
        """Its mean."""
        found = spectrum(model)
        if found is None:
            return "No look at the receiver yet."
        return f"Mean {number(float(found[1].mean()))} dB above the vacuum, up to {found[0][-1]:.4g} MHz."


def spectrum(model: RunModel) -> tuple[Floats, Floats] | None:
    """Frequencies in MHz, and decibels over the vacuum: mean periodogram of all whole segments."""
    pieces = []
    for each in model.samples:
        whole = each.residual.shape[1] // SEGMENT * SEGMENT
        pieces.append(each.residual[:, :whole].reshape(-1, SEGMENT))
    if not pieces or not sum(len(piece) for piece in pieces):
        return None
    last = model.samples[-1]
    window = np.hanning(SEGMENT)
    power = np.abs(np.fft.rfft(np.concatenate(pieces) * window, axis=1)) ** 2
    level = power.mean(axis=0)[1:-1] / (np.sum(window**2) * last.vacuum)
    frequency = np.fft.rfftfreq(SEGMENT, 1 / last.bin_rate_hz)[1:-1] / 1e6
    return np.asarray(frequency, float), np.asarray(10 * np.log10(level), float)
