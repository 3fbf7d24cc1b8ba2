"""The server's receiver: histogram and spectrum of what comes back beyond the share of what was launched."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from gui.models import RunModel
from gui.plots.base import DASH, Floats, Line, PlotView
from gui.quantities import number
from labctl.events import ReceiverSamples

BINS = 81
#: In standard deviations of the vacuum.
REACH = 5.0
#: Points of a spectrum's periodograms.
SEGMENT = 256
_WINDOW = np.hanning(SEGMENT).astype(np.float32)


@dataclass(frozen=True)
class Look:
    """What the plots need of one look, worked out once. ``power``: sum of the periodograms of ``segments`` segments."""

    samples: ReceiverSamples
    counts: Floats
    size: int
    total: float
    squares: float
    power: Floats
    segments: int


def look_at(samples: ReceiverSamples) -> Look:
    """Histogram, moments and periodograms of both quadratures."""
    values, end = samples.residual.reshape(-1), REACH * float(np.sqrt(samples.vacuum))
    counts, _ = np.histogram(values, BINS, (-end, end))
    whole = samples.residual.shape[1] // SEGMENT * SEGMENT
    segments = samples.residual[:, :whole].reshape(-1, SEGMENT)
    power = np.sum(np.abs(np.fft.rfft(segments * _WINDOW, axis=1)) ** 2, axis=0)
    squares = float(np.dot(values, values))
    return Look(samples, counts.astype(float), len(values), float(values.sum()), squares, power, len(segments))


class ReceiverPlot(PlotView):
    """Drawn anew with every look at the receiver, not with every image."""

    _known: tuple[Look, ...] = ()

    def news(self, model: RunModel) -> Hashable:
        """The newest look."""
        return id(model.samples[-1]) if model.samples else 0

    def looks(self, model: RunModel) -> tuple[Look, ...]:
        """At the same vacuum as the newest."""
        known = {id(look.samples): look for look in self._known}
        same = (each for each in model.samples if each.vacuum == model.samples[-1].vacuum)
        self._known = tuple(known.get(id(each)) or look_at(each) for each in same)
        return self._known


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
        looks = self.looks(model)
        if not looks:
            self.density.setData([], [])
            self.vacuum.setData([], [])
            return
        sigma = float(np.sqrt(looks[-1].samples.vacuum))
        edges = np.linspace(-REACH * sigma, REACH * sigma, BINS + 1)
        middle, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
        density = sum(look.counts for look in looks) / (sum(look.size for look in looks) * width)
        self.density.setData(middle, density)
        vacuum = np.exp(-((middle / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi))
        self.draw("vacuum", middle, vacuum)
        self.fit((-REACH * sigma, REACH * sigma), vacuum, density)

    def text(self, model: RunModel) -> str:
        """Its variance."""
        looks = self.looks(model)
        if not looks:
            return "No look at the receiver yet."
        size = sum(look.size for look in looks)
        variance = sum(look.squares for look in looks) / size - (sum(look.total for look in looks) / size) ** 2
        return f"Variance {number(variance)} SNU over {size} samples; of the vacuum {number(looks[-1].samples.vacuum)}."


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
        found = spectrum(self.looks(model))
        if found is None:
            self.level.setData([], [])
            self.vacuum.setData([], [])
            return
        frequency, level = found
        self.level.setData(frequency, level)
        self.draw("vacuum", frequency[[0, -1]], np.zeros(2))
        self.fit((0.0, float(frequency[-1])), level, np.zeros(1))

    def text(self, model: RunModel) -> str:
        """Its mean."""
        found = spectrum(self.looks(model))
        if found is None:
            return "No look at the receiver yet."
        return f"Mean {number(float(found[1].mean()))} dB above the vacuum, up to {found[0][-1]:.4g} MHz."


def spectrum(looks: tuple[Look, ...]) -> tuple[Floats, Floats] | None:
    """Frequencies in MHz, and decibels over the vacuum: mean periodogram of all whole segments."""
    segments = sum(look.segments for look in looks)
    if not segments:
        return None
    last = looks[-1].samples
    power = np.sum([look.power for look in looks], axis=0) / segments
    level = power[1:-1] / (np.sum(_WINDOW**2) * last.vacuum)
    frequency = np.fft.rfftfreq(SEGMENT, 1 / last.bin_rate_hz)[1:-1] / 1e6
    return np.asarray(frequency, float), np.asarray(10 * np.log10(level), float)
