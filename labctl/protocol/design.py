"""The working point of best accuracy within a leakage budget (docs/physics.md, sections 3, 5 and 6).

The client reads each normalised product with independent Gaussian noise of variance 1/F², whatever
the gain G and the photon number μ that give F². Less of that noise is the same measurement made
better (more of it can be added by hand), so accuracy depends on G and μ through F² alone and rises
with it: F² is what is maximised. That holds for this noise and an ideal client's receiver; noise
that grows with the light, such as an unsteady phase, is not in it. For each gain the photons
go up until the weights' budget is spent: I_w rises with μ. That leaves a search over the gain, from
which the data's budget cuts off the top: I_x rises with G and does not depend on μ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from labctl.errors import ConfigError, NoWorkingPoint
from labctl.protocol.leakage import Layer, LayerLeakage, known_leakage
from labctl.protocol.rowmodel import AmplifierTap, snr_squared
from labctl.values import Convention

Limit = Literal["weights", "data", "gain", "photons"]
"""What keeps the working point from a higher F²: a budget, the gain beyond which F² falls, or the
largest photon number that a run may have."""

MIN_GAIN = 1.001
MIN_PHOTONS, MAX_PHOTONS = 1e-6, 1e6
"""Range of the search; the upper limit of μ is that of a run."""

_GRID = 64
_TOLERANCE = 1e-10
"""Of a root; twice as much is stepped back from it, to the side that keeps the budget."""
_AT_LIMIT = 1e-6


@dataclass(frozen=True)
class RowShape:
    """``modes``: n of a row. ``rows``: M of the layer."""

    modes: int
    rows: int


@dataclass(frozen=True)
class Channel:
    """What the light meets.

    ``transmittance_in``: T_in, launch to amplifier. ``transmittance_back``: T_b, amplifier to the
    server's receiver, its own trusted loss taken out. ``n_sp``: of the amplifier, 1 at the quantum
    limit. Raises ConfigError for values outside their range.
    """

    transmittance_in: float = 1.0
    transmittance_back: float = 1.0
    n_sp: float = 1.0

    def __post_init__(self) -> None:
        for value in (self.transmittance_in, self.transmittance_back):
            if not 0 < value <= 1:
                raise ConfigError(f"a transmittance of {value}", "Give a value above 0, at most 1.")
        AmplifierTap(1.0, self.n_sp)

    @property
    def transmittance(self) -> float:
        """T, launch to the server's receiver."""
        return self.transmittance_in * self.transmittance_back

    @property
    def best_gain(self) -> float:
        """G at which the noise of the product is least: 1 + (1 + √(2 n_sp))/(2 n_sp - 1), 3.4142 for
        n_sp = 1. More gain measures worse and leaks more."""
        return 1 + (1 + math.sqrt(2 * self.n_sp)) / (2 * self.n_sp - 1)


@dataclass(frozen=True)
class Budget:
    """Most that one transmission may leak: I_w in bits per mode (two weights), I_x in bits per data
    symbol by ``convention``. Raises ConfigError for what is negative or no number."""

    weights_bits_per_mode: float
    data_bits: float
    convention: Convention = "v1"

    def __post_init__(self) -> None:
        for name, bits in (("weights", self.weights_bits_per_mode), ("data", self.data_bits)):
            if not (math.isfinite(bits) and bits >= 0):
                raise ConfigError(f"a budget of {bits} bits for the {name}", "Give a number of bits, 0 or more.")


@dataclass(frozen=True)
class WorkingPoint:
    """``gain``: G. ``mean_photons``: μ. ``snr_squared``: F². ``layers``: leakage of each layer where
    the channel is exactly known. ``limits``: what keeps F² from being larger."""

    gain: float
    mean_photons: float
    snr_squared: float
    layers: tuple[LayerLeakage, ...]
    limits: tuple[Limit, ...]

    @property
    def snr_db(self) -> float:
        """10 log10 F²."""
        return 10 * math.log10(self.snr_squared)


def optimise(shapes: Sequence[RowShape], budget: Budget, channel: Channel | None = None) -> WorkingPoint:
    """Gain and photon number of largest F² at which no layer leaks more than the budget.

    ``shapes``: of the layers, at least one; the worst layer counts. ``channel``: ideal when left
    out. Raises NoWorkingPoint when even the least gain and light leak more.
    """
    search = _Search(tuple(shapes), budget, channel or Channel())
    highest = search.highest_gain()
    gain = search.best_gain(highest)
    photons = search.most_photons(gain)
    limits: list[Limit] = ["photons" if photons == MAX_PHOTONS else "weights"]
    if math.isclose(gain, highest, rel_tol=_AT_LIMIT):
        limits.append("data" if highest < search.channel.best_gain else "gain")
    return WorkingPoint(gain, photons, search.snr(gain, photons), search.leakage(gain, photons), tuple(limits))


@dataclass(frozen=True)
class _Search:
    shapes: tuple[RowShape, ...]
    budget: Budget
    channel: Channel

    def leakage(self, gain: float, photons: float) -> tuple[LayerLeakage, ...]:
        """Of every layer."""
        tap = AmplifierTap(gain, self.channel.n_sp)
        return tuple(
            known_leakage(
                Layer(photons, tap.returned_excess, shape.modes, shape.rows),
                self.channel.transmittance,
                tap.honest_excess(shape.modes, self.channel.transmittance_back),
            )
            for shape in self.shapes
        )

    def weights_bits(self, gain: float, photons: float) -> float:
        """I_w per mode of the worst layer."""
        return max(each.weights_bits_per_mode for each in self.leakage(gain, photons))

    def data_bits(self, gain: float) -> float:
        """I_x of the worst layer; μ does not matter."""
        return max(each.data_bits(self.budget.convention) for each in self.leakage(gain, 1.0))

    def snr(self, gain: float, photons: float) -> float:
        """F²."""
        return snr_squared(AmplifierTap(gain, self.channel.n_sp), photons, self.channel.transmittance_in)

    def highest_gain(self) -> float:
        """The largest gain of use within the data's budget. Raises NoWorkingPoint."""
        from scipy.optimize import brentq

        def over(gain: float) -> float:
            return self.data_bits(gain) - self.budget.data_bits

        if over(MIN_GAIN) > 0:
            raise NoWorkingPoint(
                f"the data's budget of {self.budget.data_bits:g} bits per symbol ({self.budget.convention} bound)"
                f" cannot be kept: a gain of {MIN_GAIN} already leaks {self.data_bits(MIN_GAIN):.3g}",
                "Allow more bits, or take a network with longer rows.",
            )
        best = self.channel.best_gain
        if over(best) <= 0:
            return best
        return max(float(brentq(over, MIN_GAIN, best, xtol=_TOLERANCE)) - 2 * _TOLERANCE, MIN_GAIN)

    def most_photons(self, gain: float) -> float:
        """The largest μ within the weights' budget; 0 when there is none."""
        from scipy.optimize import brentq

        def over(log_photons: float) -> float:
            return self.weights_bits(gain, math.exp(log_photons)) - self.budget.weights_bits_per_mode

        low, high = math.log(MIN_PHOTONS), math.log(MAX_PHOTONS)
        if over(low) > 0:
            return 0.0
        if over(high) <= 0:
            return MAX_PHOTONS
        return math.exp(max(brentq(over, low, high, xtol=_TOLERANCE) - 2 * _TOLERANCE, low))

    def best_gain(self, highest: float) -> float:
        """The gain whose largest μ gives the largest F². Raises NoWorkingPoint."""
        from scipy.optimize import minimize_scalar

        def worth(log_excess_gain: float) -> float:
            gain = 1 + math.exp(log_excess_gain)
            return self.snr(gain, self.most_photons(gain))

        grid = np.linspace(math.log(MIN_GAIN - 1), math.log(highest - 1), _GRID)
        values = [worth(point) for point in grid]
        best = int(np.argmax(values))
        if not values[best] > 0:
            raise NoWorkingPoint(
                f"the weights' budget of {self.budget.weights_bits_per_mode:g} bits per mode cannot be kept:"
                f" {MIN_PHOTONS:g} photons per mode already leak {self.weights_bits(MIN_GAIN, MIN_PHOTONS):.3g}",
                "Allow more bits, or lose less light.",
            )
        bracket = (grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)])
        refined = minimize_scalar(
            lambda point: -worth(point), bounds=bracket, method="bounded", options={"xatol": 1e-9}
        )
        point = refined.x if -refined.fun > values[best] else grid[best]
        return float(1 + math.exp(point))
