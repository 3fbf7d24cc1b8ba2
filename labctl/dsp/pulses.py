"""What one symbol looks like on the sample clock: pulses of unit energy, the sender's shape and the matched filter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.errors import ConfigError

REMEDY = "Mend the description of the pulse."


@dataclass(frozen=True, eq=False)
class Pulse:
    """``taps``: real, shape (L,), sum of squares 1; ``taps[centre]`` stands at the symbol's own time.

    A symbol of amplitude α puts α taps[i] on the samples; the matched filter sum taps[i] r[i] gives α back, and white
    noise of variance 1 per sample the variance 1.
    """

    taps: NDArray[np.float64]
    centre: int
    samples_per_symbol: int

    def __post_init__(self) -> None:
        if self.samples_per_symbol < 1:
            raise ConfigError(f"{self.samples_per_symbol} samples per symbol", REMEDY)
        if self.taps.ndim != 1 or not 0 <= self.centre < len(self.taps):
            raise ConfigError(f"a pulse of shape {self.taps.shape} with its centre at {self.centre}", REMEDY)
        energy = float(np.sum(self.taps**2))
        if not abs(energy - 1) < 1e-9:
            raise ConfigError(f"a pulse of energy {energy}, not 1", REMEDY)


def rectangular(samples_per_symbol: int) -> Pulse:
    """All samples of the symbol's slot alike; ``centre`` is the first."""
    if samples_per_symbol < 1:
        raise ConfigError(f"{samples_per_symbol} samples per symbol", REMEDY)
    taps = np.full(samples_per_symbol, 1 / np.sqrt(samples_per_symbol))
    return Pulse(taps, 0, samples_per_symbol)


def root_raised_cosine(samples_per_symbol: int, roll_off: float, span_symbols: int = 64) -> Pulse:
    """Square root of the raised-cosine spectrum with roll-off β in (0, 1], cut to ``span_symbols`` symbols.

    p(t) ∝ [sin(π(1-β)t) + 4βt cos(π(1+β)t)] / [πt(1 - (4βt)²)], t in symbols (Proakis, Digital Communications, on pulse
    shapes for band-limited channels). Orthogonal to its shifts by whole symbols but for the cut: at β = 0.4 and 64
    symbols the worst neighbour receives 5e-5 of the amplitude, all together 1e-8 of the energy (8e-7 at 32 symbols).

    Raises ConfigError outside these ranges, or where one sample per symbol cannot hold the bandwidth.
    """
    if not 0 < roll_off <= 1:
        raise ConfigError(f"roll-off {roll_off} does not lie in (0, 1]", REMEDY)
    if samples_per_symbol < 2 or not 2 <= span_symbols <= 1024:
        raise ConfigError(
            f"root raised cosine of {samples_per_symbol} samples per symbol over {span_symbols} symbols", REMEDY
        )
    reach = samples_per_symbol * span_symbols // 2
    time = np.arange(-reach, reach + 1) / samples_per_symbol
    taps = _root_raised_cosine(time, roll_off)
    return Pulse(taps / np.sqrt(np.sum(taps**2)), reach, samples_per_symbol)


def _root_raised_cosine(t: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    taps = np.empty_like(t)
    singular = np.isclose(np.abs(4 * beta * t), 1, atol=1e-9)
    middle = t == 0
    taps[middle] = 1 - beta + 4 * beta / np.pi
    taps[singular] = (
        beta
        / np.sqrt(2)
        * ((1 + 2 / np.pi) * np.sin(np.pi / (4 * beta)) + (1 - 2 / np.pi) * np.cos(np.pi / (4 * beta)))
    )
    plain = ~(singular | middle)
    x = t[plain]
    taps[plain] = (np.sin(np.pi * (1 - beta) * x) + 4 * beta * x * np.cos(np.pi * (1 + beta) * x)) / (
        np.pi * x * (1 - (4 * beta * x) ** 2)
    )
    return taps
