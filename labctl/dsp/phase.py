"""Phase recovery from pilots: unwrap, smooth as the optimal (Kalman) smoother does, interpolate, turn back.

Model: the phase walks at random, with steps of variance Q from pilot to pilot, and is seen at the pilots with white
errors of variance R. The posterior mean is the solution of (1 + (R/Q) D'D) θ = y with D the difference of neighbours:
one tridiagonal system, the same as a Kalman filter forwards and a Rauch-Tung-Striebel pass backwards. Between pilots
the mean is a straight line. Q and R are taken from the pilots themselves. Formulas and sources: docs/physics.md,
section 4a.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.dsp.frame import PilotFrame, Symbols
from labctl.errors import GateError
from labctl.protocol.gates import GateLimits, PilotLock, check_pilot_lock

Double = NDArray[np.float64]

#: Pilots whose phase is less well known than this carry no phase reference.
MAX_PILOT_VARIANCE: Final = 0.05
#: Steps from pilot to pilot: at this standard deviation one in 10^6 would be taken for its complement to 2π.
MAX_STEP_DEVIATION: Final = 0.64
#: Fewer pilots say nothing about Q and R.
MIN_PILOTS: Final = 8
#: Lag, in pilots, over which the walk's variance is compared with that of one step.
LAG: Final = 16
BLOCK_PILOTS: Final = 1024


@dataclass(frozen=True)
class PhaseLock:
    """How well the phase is known. ``problem``: why there is no lock; empty when there is one.

    ``residual_variance_rad2``: σ_φ², mean squared error of the phase at the data symbols: smoothing, interpolation, and
    what R has beyond the pilots' own noise (phase noise too fast to follow, which the data have as well).
    ``pilot_variance_rad2``: R; ``step_variance_rad2``: Q; ``pilot_amplitude_snu``: root mean square pilot less noise,
    sqrt(SNU). ``noise_snu``: a symbol's noise per quadrature, as it was told.
    """

    residual_variance_rad2: float
    pilot_variance_rad2: float
    step_variance_rad2: float
    pilot_amplitude_snu: float
    noise_snu: float = 1.0
    problem: str = ""

    @property
    def locked(self) -> bool:
        """Whether the pilots give a phase reference."""
        return not self.problem

    def excess_snu(self, transmittance: float, modulation_variance_snu: float) -> float:
        """Excess noise that the residual phase error makes: T V_A (1 - exp(-σ_φ²)), at the receiver's input. A carrier
        of amplitude c adds 2|c|² to V_A.
        """
        return transmittance * modulation_variance_snu * -math.expm1(-self.residual_variance_rad2)

    def require(self, name: str, limits: GateLimits) -> None:
        """Raises GateError, naming the receiver ``name``, when there is no lock, or not one within the limits."""
        if not self.locked:
            raise GateError(f"{name}: no phase reference: {self.problem}", "Check the pilots' light and the laser.")
        check_pilot_lock(name, PilotLock(self.pilot_amplitude_snu, self.noise_snu, self.residual_variance_rad2), limits)


def recover_phase(symbols: Symbols, frame: PilotFrame, *, noise_snu: float = 1.0) -> tuple[Symbols, PhaseLock]:
    """Symbols turned back by the laser's phase (pilots come out at their own phase), and how well it is known.

    ``symbols``: a received frame, sqrt(SNU). ``noise_snu``: variance of a symbol's noise per quadrature. Without a lock
    the symbols come back as they were.

    Raises ProtocolError when ``symbols`` are no such frame.
    """
    pilots = frame.pilots(symbols).astype(np.complex128) * np.exp(-1j * np.angle(frame.amplitude))
    amplitude = math.sqrt(max(float(np.mean(np.abs(pilots) ** 2)) - 2 * noise_snu, 0.0))
    measured = np.unwrap(np.angle(pilots))
    error, step = _variances(measured)
    residual, ratio = _residual(error, step, len(pilots), frame.period)
    if amplitude > 0:
        residual += max(error - noise_snu / amplitude**2, 0.0)
    lock = PhaseLock(residual, error, step, amplitude, noise_snu, _problem(measured, amplitude, noise_snu))
    if not lock.locked:
        return symbols, lock
    return _turned_back(symbols, _smooth(measured, ratio), frame.period), lock


def _variances(measured: Double) -> tuple[float, float]:
    """R and Q by moments: differences over k pilots have the variance kQ + 2R. Too few pilots: all is R."""
    lag = min(LAG, len(measured) // MIN_PILOTS)
    near = float(np.mean(np.diff(measured) ** 2)) if len(measured) > 1 else math.inf
    if lag < 2:
        return near / 2, 0.0
    far = float(np.mean((measured[lag:] - measured[:-lag]) ** 2))
    step = max((far - near) / (lag - 1), 0.0)
    return max((near - step) / 2, 0.0), step


def _residual(error: float, step: float, pilots: int, period: int) -> tuple[float, float]:
    """σ_φ² and R/Q. Smoothed pilots: errors R w λ^|j| with w = (1-λ)/(1+λ), λ + 1/λ = 2 + Q/R; then the bridge."""
    ratio = min(error / step, float(pilots) ** 2) if step > 0 else float(pilots) ** 2
    decay = 0.0
    if ratio > 0:
        inverse = 1 / ratio
        decay = 1 + inverse / 2 - math.sqrt(inverse + inverse**2 / 4)
    smoothed = error * max((1 - decay) / (1 + decay), 1 / pilots)
    between = (period + 1) / (6 * period)  # mean of f(1-f) over f = 1/K ... (K-1)/K
    return smoothed * (1 - 2 * between * (1 - decay)) + step * between, ratio


def _problem(measured: Double, amplitude: float, noise_snu: float) -> str:
    if len(measured) < MIN_PILOTS:
        return f"{len(measured)} pilots are too few, {MIN_PILOTS} are needed"
    if not amplitude**2 * MAX_PILOT_VARIANCE > noise_snu:
        return f"the pilots' amplitude is {amplitude:.3g} sqrt(SNU), too faint"
    deviation = float(np.sqrt(np.mean(np.diff(measured) ** 2)))
    if not deviation < MAX_STEP_DEVIATION:
        return f"the phase moves by {deviation:.2g} rad from pilot to pilot, too fast to follow"
    return ""


def _smooth(measured: Double, ratio: float) -> Double:
    """The solution of (1 + ratio D'D) θ = measured."""
    from scipy.linalg import solveh_banded

    bands = np.empty((2, len(measured)))
    bands[0] = 1 + 2 * ratio
    bands[0, [0, -1]] = 1 + ratio
    bands[1] = -ratio
    return np.asarray(solveh_banded(bands, measured, lower=True, check_finite=False))


def _turned_back(symbols: Symbols, phase: Double, period: int) -> Symbols:
    """Every symbol times exp(-iθ), θ on straight lines from pilot to pilot."""
    turned: Symbols = np.empty_like(symbols)
    fractions = (np.arange(period) / period).astype(np.float32)
    slots, out = symbols[:-1].reshape(-1, period), turned[:-1].reshape(-1, period)
    for start in range(0, len(slots), BLOCK_PILOTS):
        rows = slice(start, start + BLOCK_PILOTS)
        from_here = phase[start : min(start + BLOCK_PILOTS, len(slots)) + 1]
        angle = np.diff(from_here).astype(np.float32)[:, np.newaxis] * fractions
        # Whole turns are taken off before float32 loses them.
        angle += np.remainder(from_here[:-1], 2 * np.pi).astype(np.float32)[:, np.newaxis]
        rotation = np.empty(angle.shape, np.complex64)
        np.cos(angle, out=rotation.real)
        np.sin(-angle, out=rotation.imag)
        np.multiply(slots[rows], rotation, out=out[rows])
    turned[-1] = symbols[-1] * np.exp(-1j * phase[-1])
    return turned
