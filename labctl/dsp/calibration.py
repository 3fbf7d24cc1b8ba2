"""Constants of the receiver from calibration records: shot noise, delays and skew, imbalance of the quadratures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.dsp.frame import Symbols
from labctl.dsp.pulses import Pulse
from labctl.dsp.recording import Recording
from labctl.errors import CalibrationError, ProtocolError
from labctl.protocol.gates import GateLimits, check_clearance

#: Samples of a record that the search for its delay looks at.
DELAY_SAMPLES: Final = 1 << 16
#: A correlation's peak below so many times its root mean square elsewhere is none.
PEAK: Final = 8.0

_MIN_SYMBOLS: Final = 1000


@dataclass(frozen=True)
class ShotNoise:
    """``unit_v``: volts per sqrt(SNU) behind the matched filter, per quadrature. ``electronic_snu``: v_el of each;
    σ0² = 1 + v_el. ``samples``: N0, real samples per quadrature behind it.
    """

    unit_v: tuple[float, float]
    electronic_snu: tuple[float, float]
    samples: int


def calibrate_shot_noise(name: str, vacuum_v: Symbols, dark_v: Symbols, limits: GateLimits) -> ShotNoise:
    """Shot noise of the receiver ``name``, from two records behind the same matched filter, in volts.

    Both without signal, with and without local oscillator: unit² = V_vacuum - V_dark, v_el = V_dark/unit². A homodyne
    receiver's P is given X's constants.

    Raises CalibrationError for fewer than 1000 symbols or without shot noise, GateError for too little clearance.
    """
    remedy = "Check the local oscillator's power and the receiver, and record longer."
    if min(len(vacuum_v), len(dark_v)) < _MIN_SYMBOLS:
        raise CalibrationError(f"{min(len(vacuum_v), len(dark_v))} symbols are too few to calibrate with", remedy)
    vacuum, dark = _variances(vacuum_v), _variances(dark_v)
    single = not vacuum_v.imag.any()
    shots = [light - noise for light, noise in zip(vacuum, dark, strict=True)]
    if single:
        shots[1], dark = shots[0], (dark[0], dark[0])
    for quadrature, shot, noise in zip("XP", shots, dark, strict=True):
        if not shot > 0:
            raise CalibrationError(f"{name}: the {quadrature} output has no shot noise above its dark noise", remedy)
        check_clearance(f"{name}, {quadrature} output", noise / shot, limits)
    return ShotNoise(
        (math.sqrt(shots[0]), math.sqrt(shots[1])),
        (dark[0] / shots[0], dark[1] / shots[1]),
        min(len(vacuum_v), len(dark_v)),
    )


def _variances(symbols: Symbols) -> tuple[float, float]:
    return float(np.var(symbols.real, dtype=np.float64)), float(np.var(symbols.imag, dtype=np.float64))


@dataclass(frozen=True)
class Imbalance:
    """``angle_error_rad``, ``gain_ratio``: as in :class:`~labctl.dsp.matched.FrontEnd`; ``angle_se_rad``: standard
    error of the angle, and of the gain ratio's logarithm.
    """

    angle_error_rad: float
    gain_ratio: float
    angle_se_rad: float


def calibrate_imbalance(bright: Symbols, noise_snu: tuple[float, float] = (1.0, 1.0)) -> Imbalance:
    """Gram-Schmidt from the symbols of a bright record, in sqrt(SNU): signal with equal and uncorrelated quadratures.

    ``noise_snu``: variance of the noise, uncorrelated between the outputs. sin a = Cov(X, P)/sqrt(S_X S_P) and gain² =
    S_P/S_X with S the variances less noise. Such is random modulation, or any light whose phase has gone round often.

    Raises CalibrationError for fewer than 1000 symbols, or without signal.
    """
    if len(bright) < _MIN_SYMBOLS:
        raise CalibrationError(f"{len(bright)} symbols are too few to calibrate with", "Record longer.")
    x, p = bright.real.astype(np.float64), bright.imag.astype(np.float64)
    covariance = np.cov(x, p)
    signal = np.diag(covariance) - np.asarray(noise_snu)
    if not signal.min() > 0.1 * max(noise_snu):
        raise CalibrationError(
            f"the receiver's outputs hold {signal[0]:.3g} and {signal[1]:.3g} SNU of signal, too little to calibrate",
            "Send brighter light.",
        )
    sine = float(covariance[0, 1] / math.sqrt(signal[0] * signal[1]))
    if not abs(sine) < 1:
        raise CalibrationError("the receiver's two outputs see the same quadrature", "Check the optical hybrid.")
    error = math.sqrt(covariance[0, 0] * covariance[1, 1] / (signal[0] * signal[1] * len(bright)))
    return Imbalance(math.asin(sine), math.sqrt(signal[1] / signal[0]), error)


def find_delays(recording: Recording, symbols: NDArray[np.complexfloating], pulse: Pulse) -> tuple[float, float]:
    """Samples by which X and P come after symbols that were sent, fractional: from a record with known modulation.

    Maximum of |sum r(i + τ) s*(i)|, which does not ask for the optical phase as long as E[α²] = 0 and the phase stays
    over the record; the difference of the two is the skew. Only the first 65,536 samples are looked at. A homodyne
    receiver's P is given X's delay.

    Raises ProtocolError for an empty input, CalibrationError when the symbols are not found in the record.
    """
    if symbols.ndim != 1 or symbols.size == 0 or recording.length == 0:
        raise ProtocolError("there is nothing to find a delay from")
    from scipy import fft

    rate = pulse.samples_per_symbol
    count = min(len(symbols), max((min(DELAY_SAMPLES, recording.length) - len(pulse.taps)) // rate, 1))
    used = min(DELAY_SAMPLES, recording.length)
    length = int(fft.next_fast_len(used + count * rate + len(pulse.taps)))
    sparse = np.zeros(length, np.complex128)
    sparse[: count * rate : rate] = symbols[:count]
    reference = fft.fft(sparse) * fft.fft(pulse.taps, length)
    found = []
    for quadrature, row in zip("XP", recording.samples, strict=False):
        cross = fft.fft(row[:used].astype(np.float64) - float(np.mean(row[:used])), length) * np.conj(reference)
        found.append(_peak(cross, used, quadrature) + pulse.centre)
    return found[0], found[-1]


def _peak(cross: NDArray[np.complex128], lags: int, quadrature: str) -> float:
    """The delay at which the correlation with this spectrum is largest, 0 to ``lags``, fractional."""
    from scipy import fft
    from scipy.optimize import minimize_scalar

    correlation = np.abs(fft.ifft(cross))[:lags]
    whole = int(correlation.argmax())
    if not correlation[whole] > PEAK * math.sqrt(float(np.mean(correlation**2))):
        raise CalibrationError(
            f"the receiver's {quadrature} output does not hold the symbols that were sent,"
            " or their phase turns while they last",
            "Send brighter calibration symbols, and check trigger and fibre;"
            " take a laser of narrower line, or bring light and local oscillator to paths of equal length.",
        )
    frequencies = fft.fftfreq(len(cross))

    def negative(delay: float) -> float:
        return -abs(complex(np.vdot(np.exp(-2j * np.pi * frequencies * delay), cross)))

    best = minimize_scalar(negative, bounds=(whole - 1, whole + 1), method="bounded", options={"xatol": 1e-6})
    return float(best.x)
