"""Phase and intensity of one laser that is signal and local oscillator at once (docs/physics.md, section 4).

The phase W is a Wiener process of variance 2πΔν|t|; the relative intensity δ is white over the band of the bins,
variance 10^(RIN/10) f/2. A bin of light carries exp(iW)(1 + δ/2) of the moment when it was sent; a receiver sees it
against the local oscillator of the moment of arrival minus the oscillator's own delay. Bin k of row r is sent at
rB + k; the client reads the row's collected mode at rB + B - 1; the rest comes back in reversed order, bin k at
rB + B + (B - 1 - k), in units of a bin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sim_backends.physics import Complex, Double, Float


@dataclass(frozen=True)
class LaserNoise:
    """``phase_step``: standard deviation of W per bin, rad; ``intensity``: of δ. Delays of the oscillators in bins."""

    phase_step: float
    intensity: float
    client_delay: int
    server_delay: int

    @classmethod
    def of(
        cls, linewidth_hz: float, rin_db_per_hz: float | None, bin_rate_hz: float, client_delay: int, server_delay: int
    ) -> LaserNoise:
        """Of a laser's linewidth and relative intensity noise."""
        step = math.sqrt(2 * math.pi * linewidth_hz / bin_rate_hz)
        intensity = 0.0 if rin_db_per_hz is None else relative_intensity_noise(rin_db_per_hz, bin_rate_hz)
        return cls(step, intensity, client_delay, server_delay)

    def draw(self, generator: np.random.Generator, rows: int, bins: int) -> DrawnLaser:
        """The noise of one burst."""
        before = max(self.client_delay, self.server_delay)
        length = before + (rows + 1) * bins
        field: Complex = np.ones(length, dtype=np.complex128)
        if self.phase_step:
            phase = np.cumsum(self.phase_step * generator.standard_normal(length))
            field = np.exp(1j * phase)
        if self.intensity:
            field *= 1 + self.intensity / 2 * generator.standard_normal(length)
        sent = np.arange(rows * bins).reshape(rows, bins)
        return DrawnLaser(
            sent=field[before + sent],
            client_lo=field[before + sent[:, -1] - self.client_delay],
            server_lo=field[before + sent + bins - self.server_delay],
        )


def relative_intensity_noise(rin_db_per_hz: float, bin_rate_hz: float) -> float:
    """Standard deviation of δ in a bin: sqrt(10^(RIN/10) f/2)."""
    return math.sqrt(10 ** (rin_db_per_hz / 10) * bin_rate_hz / 2)


@dataclass(frozen=True)
class DrawnLaser:
    """Fields relative to a quiet laser: of the light ``sent``, shape (M, B); of the oscillators, (M,) for the client's
    and (M, B) in order of arrival for the server's.
    """

    sent: Complex
    client_lo: Complex
    server_lo: Complex

    def launched(self, plane: Float) -> Float:
        """A launched plane with the laser's noise on it."""
        return _rotated(plane, self.sent)

    def at_client(self, quadratures: Double) -> Double:
        """X and P, shape (M, 2), as the client's oscillator reads them."""
        seen = (quadratures[:, 0] + 1j * quadratures[:, 1]) * self.client_lo.conj()
        return np.stack([seen.real, seen.imag], axis=1)

    def at_server(self, plane: Float) -> Float:
        """A received plane, bins in order of arrival, as the server's oscillator reads it."""
        return _rotated(plane, self.server_lo.conj())


def _rotated(plane: Float, factor: Complex) -> Float:
    """(X + iP) times a factor of shape (M, B)."""
    real, imag = factor.real.astype(np.float32), factor.imag.astype(np.float32)
    return np.stack([plane[0] * real - plane[1] * imag, plane[0] * imag + plane[1] * real])
