"""Matched filter, delay and skew compensation, imbalance correction and scaling to SNU, all in one linear pass.

The two records x and p go through the filter as x + ip. Each of the steps is linear with real coefficients, so that the
output's spectrum is A(f) Z(f) + B(f) Z*(-f); it is folded to one sample per symbol before the inverse transform.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.dsp.pulses import Pulse
from labctl.dsp.recording import Recording
from labctl.errors import CalibrationError, ProtocolError

Symbols = NDArray[np.complex64]

BLOCK_SAMPLES: Final = 24_576
#: Room at both ends of a block for the ringing of a fractional delay, samples.
GUARD: Final = 32
#: Skews beyond this are no skews.
MAX_SKEW_SAMPLES: Final = 64.0


@dataclass(frozen=True)
class FrontEnd:
    """Calibrated constants of a receiver's records, (X, P).

    ``delay_samples``: sample on which symbol 0 stands (its pulse's ``centre``), fractional. ``unit_v``: volts per
    sqrt(SNU) behind the matched filter. ``angle_error_rad``, ``gain_ratio``: the P detector sees gain_ratio (P cos a +
    X sin a). ``equalizer``: an odd number of taps at the symbol rate, the middle one the symbol's own (see
    :func:`~labctl.dsp.equalizer.calibrate_equalizer`). A homodyne receiver has the X constants only.

    Raises CalibrationError for constants out of range.
    """

    delay_samples: tuple[float, float]
    unit_v: tuple[float, float] = (1.0, 1.0)
    angle_error_rad: float = 0.0
    gain_ratio: float = 1.0
    equalizer: tuple[complex, ...] = (1.0,)

    def __post_init__(self) -> None:
        remedy = "Calibrate the receiver's timing, shot noise and imbalance again."
        if not all(math.isfinite(delay) for delay in self.delay_samples):
            raise CalibrationError(f"receiver delays are {self.delay_samples} samples", remedy)
        if abs(self.delay_samples[0] - self.delay_samples[1]) > MAX_SKEW_SAMPLES:
            raise CalibrationError(f"receiver delays {self.delay_samples} are {MAX_SKEW_SAMPLES:g} apart", remedy)
        if not all(math.isfinite(unit) and unit > 0 for unit in (*self.unit_v, self.gain_ratio)):
            raise CalibrationError(f"receiver units are {self.unit_v} V, gain ratio {self.gain_ratio}", remedy)
        if not abs(self.angle_error_rad) < math.pi / 4:
            raise CalibrationError(f"the receiver's quadratures are {self.angle_error_rad} rad off 90 degrees", remedy)
        taps = self.equalizer
        if len(taps) % 2 == 0 or not all(math.isfinite(abs(tap)) for tap in taps):
            raise CalibrationError(f"an equalizer of the {len(taps)} taps {taps}", remedy)


class MatchedFilter:
    """From records to one complex number X + iP per symbol, in sqrt(SNU)."""

    def __init__(self, pulse: Pulse, front_end: FrontEnd) -> None:
        from scipy import fft

        self._rate = pulse.samples_per_symbol
        delays = front_end.delay_samples
        self._whole = math.floor(min(delays))
        echo = len(front_end.equalizer) // 2 * self._rate
        lead = GUARD + echo
        after = GUARD + echo + math.ceil(max(delays) - self._whole)
        self._first = self._whole - pulse.centre - lead
        self._ends = (min(delays) - pulse.centre, max(delays) - pulse.centre + len(pulse.taps) - 1)
        self._span = len(pulse.taps) + lead + after
        symbols = max(BLOCK_SAMPLES // self._rate, 1)
        self._bins = int(fft.next_fast_len(symbols + -(-self._span // self._rate)))
        self._length = self._bins * self._rate
        self._symbols = (self._length - self._span) // self._rate + 1
        frequencies = fft.fftfreq(self._length)
        taps = np.conj(fft.fft(pulse.taps, self._length)) / self._rate
        taps = taps * _equalizing(front_end.equalizer, frequencies * self._rate)
        filters = [
            taps * np.exp(2j * np.pi * frequencies * (lead + delay - self._whole)) / unit
            for delay, unit in zip(delays, front_end.unit_v, strict=True)
        ]
        into_p = _corrections(front_end)
        along_x, along_p = (1 + 1j * into_p[0]) * filters[0], into_p[1] * filters[1]
        # X = (Z + Z*(-f))/2 and iP = (Z - Z*(-f))/2.
        direct, mirrored = (along_x + along_p) / 2, (along_x - along_p) / 2
        self._direct = direct.astype(np.complex64)
        significant = np.abs(mirrored).max() > 1e-9 * np.abs(direct).max()
        self._mirrored = mirrored.astype(np.complex64) if significant else None

    def __call__(self, recording: Recording, symbols: int) -> Symbols:
        """The first ``symbols`` symbols, shape (symbols,); imaginary part 0 for a homodyne receiver.

        Raises ProtocolError when the recording does not hold the whole pulses of these symbols.
        """
        last = (symbols - 1) * self._rate + self._ends[1]
        if symbols < 1 or self._ends[0] < -0.5 or last > recording.length - 0.5:
            raise ProtocolError(
                f"{recording.length} samples do not hold {symbols} symbols that begin at sample {self._ends[0]:.2f}",
                "Record longer, or calibrate the receiver's delay again.",
            )
        received: Symbols = np.empty(symbols, np.complex64)
        for start in range(0, symbols, self._symbols):
            part = received[start : start + self._symbols]
            part[:] = self._block(recording, self._first + start * self._rate)[: len(part)]
        received *= np.float32(recording.volts_per_unit)
        if len(recording.samples) == 1:
            received.imag = 0.0
        return received

    def _block(self, recording: Recording, first: int) -> Symbols:
        from scipy import fft

        block: Symbols = np.zeros(self._length, np.complex64)
        low, high = max(first, 0), min(first + self._length, recording.length)
        block.real[low - first : high - first] = recording.samples[0, low:high]
        if len(recording.samples) == 2:
            block.imag[low - first : high - first] = recording.samples[1, low:high]
        spectrum = fft.fft(block, overwrite_x=True)
        product = spectrum * self._direct
        if self._mirrored is not None:
            product[0] += np.conj(spectrum[0]) * self._mirrored[0]
            product[1:] += np.conj(spectrum[:0:-1]) * self._mirrored[1:]
        folded = product.reshape(self._rate, self._bins).sum(axis=0)
        symbols: Symbols = fft.ifft(folded, overwrite_x=True)
        return symbols


def _equalizing(taps: tuple[complex, ...], frequencies: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Response of taps that stand one symbol apart."""
    shifts = np.arange(len(taps)) - len(taps) // 2
    response = sum(tap * np.exp(-2j * np.pi * shift * frequencies) for tap, shift in zip(taps, shifts, strict=True))
    return np.asarray(response, dtype=np.complex128)


def _corrections(front_end: FrontEnd) -> tuple[float, float]:
    """What X and P as measured contribute to P: P = (P_m/gain - X sin a)/cos a."""
    cosine = math.cos(front_end.angle_error_rad)
    return -math.tan(front_end.angle_error_rad), 1 / (front_end.gain_ratio * cosine)
