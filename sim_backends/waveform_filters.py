"""Causal filters that work block after block, as overlap-save convolutions (docs/physics.md, section 4a).

Kernels are finite: what an analogue filter's exponential tail has beyond float32's reach is cut off.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from sim_backends.waveform_config import LowPass, require

Samples = NDArray[np.complex64]
Taps = NDArray[np.float64]

#: Energy of an impulse response that may be cut off, relative to the whole.
TAIL_ENERGY: Final = 1e-16
MAX_TAPS: Final = 1 << 14
#: The longest skew that the delay line takes, samples; half length and β of its sinc's Kaiser window.
MAX_SKEW_SAMPLES: Final = 16.0
WINDOW_REACH: Final = 32
WINDOW_BETA: Final = 8.0
#: Of the delay line, whose middle is a skew of 0.
DELAY_REACH: Final = WINDOW_REACH + int(MAX_SKEW_SAMPLES)


class Pulse(Protocol):
    """What one symbol looks like: real ``taps`` with the sum of squares 1, its middle at ``taps[centre]``."""

    @property
    def samples_per_symbol(self) -> int:
        """Samples from symbol to symbol."""
        ...

    @property
    def taps(self) -> NDArray[np.float64]:
        """Shape (L,)."""
        ...

    @property
    def centre(self) -> int:
        """Index of the tap that stands at the symbol's own time."""
        ...


@lru_cache(maxsize=16)
def low_pass_taps(low_pass: LowPass, sample_rate_hz: float) -> Taps:
    """Impulse response of the bilinear image of an analogue low pass; exact at 0 and at the -3 dB point."""
    from scipy import signal

    if low_pass.kind == "bessel":
        sections = signal.bessel(low_pass.order, low_pass.bandwidth_hz, "low", False, "sos", "mag", sample_rate_hz)
    else:
        sections = signal.butter(low_pass.order, low_pass.bandwidth_hz, "low", False, "sos", sample_rate_hz)
    impulse = np.zeros(MAX_TAPS)
    impulse[0] = 1.0
    response = np.asarray(signal.sosfilt(sections, impulse), dtype=np.float64)
    rest = np.cumsum(response[::-1] ** 2)[::-1]
    length = int(np.count_nonzero(rest > TAIL_ENERGY * rest[0]))
    require(length < MAX_TAPS, f"a low pass of {low_pass.bandwidth_hz:g} Hz is too narrow for the sample rate")
    taps = response[:length].copy()
    taps.flags.writeable = False
    return taps


def delay_taps(samples: float) -> Taps:
    """A delay by DELAY_REACH + ``samples``, fractional: a windowed sinc, flat up to 0.45 of the sample rate."""
    require(abs(samples) <= MAX_SKEW_SAMPLES, f"a skew of {samples:g} samples is longer than {MAX_SKEW_SAMPLES:g}")
    offset = np.arange(2 * DELAY_REACH + 1) - DELAY_REACH - samples
    inside = np.abs(offset) <= WINDOW_REACH
    window = np.i0(WINDOW_BETA * np.sqrt(np.where(inside, 1 - (offset / WINDOW_REACH) ** 2, 0)))
    taps = np.where(inside, np.sinc(offset) * window, 0)
    return np.asarray(taps / taps.sum())


def cascade(parts: Iterable[Taps]) -> Taps:
    """The kernel of several filters in series; of none, the unit impulse."""
    taps = np.ones(1)
    for part in parts:
        taps = np.convolve(taps, part)
    return taps


def fft_length(samples: int, multiple: int = 1) -> int:
    """A length the FFT is fast at, at least ``samples``, divisible by ``multiple``."""
    from scipy.fft import next_fast_len

    return multiple * int(next_fast_len(math.ceil(samples / multiple)))


class Shaper:
    """Symbols in, samples out: sum over k of α_k p(i - kS), causal; ``block`` symbols at most at a time."""

    def __init__(self, pulse: Pulse, block: int) -> None:
        from scipy import fft

        self._rate = pulse.samples_per_symbol
        self._reach = -(-(len(pulse.taps) - 1) // self._rate)
        self._symbols = int(fft.next_fast_len(block + self._reach))
        response = fft.fft(pulse.taps, self._symbols * self._rate).astype(np.complex64)
        self._response = response.reshape(self._rate, self._symbols)
        self._tail: Samples = np.zeros(self._reach, np.complex64)

    def __call__(self, symbols: Samples) -> Samples:
        """Shape (N,) -> (N * samples_per_symbol,)."""
        from scipy import fft

        buffer = np.concatenate([self._tail, symbols])
        self._tail = buffer[len(buffer) - self._reach :]
        spectrum = fft.fft(buffer, self._symbols)  # of the symbols with zeros in between: the same, S times over
        product = (self._response * spectrum).reshape(-1)
        samples: Samples = fft.ifft(product, overwrite_x=True)
        start = self._reach * self._rate
        return samples[start : start + len(symbols) * self._rate]


class BlockFilter:
    """Samples in, as many samples out; real and imaginary part each through a causal real kernel of its own."""

    def __init__(self, real: Taps, imag: Taps, block: int) -> None:
        from scipy import fft

        self._reach = max(len(real), len(imag)) - 1
        self._length = fft_length(block + self._reach)
        real_response = fft.fft(real, self._length)
        self._direct = real_response.astype(np.complex64)
        self._mirrored: Samples | None = None
        if not np.array_equal(real, imag):
            imag_response = fft.fft(imag, self._length)
            self._direct = ((real_response + imag_response) / 2).astype(np.complex64)
            self._mirrored = ((real_response - imag_response) / 2).astype(np.complex64)
        self._tail: Samples = np.zeros(self._reach, np.complex64)

    @property
    def reach(self) -> int:
        """Samples of the past that count."""
        return self._reach

    def prime(self, past: Samples) -> None:
        """Let ``past`` (``reach`` samples) be what came before the first block."""
        self._tail = past

    def __call__(self, samples: Samples) -> Samples:
        """Shape (N,) -> (N,)."""
        from scipy import fft

        used = self._reach + len(samples)
        buffer: Samples = np.empty(self._length, np.complex64)
        buffer[: self._reach] = self._tail
        buffer[self._reach : used] = samples
        buffer[used:] = 0
        self._tail = buffer[used - self._reach : used].copy()
        spectrum = fft.fft(buffer, overwrite_x=True)
        if self._mirrored is None:
            spectrum *= self._direct
            product = spectrum
        else:
            product = spectrum * self._direct
            # FFT of the conjugate: conj(Z(-f)).
            product[0] += np.conj(spectrum[0]) * self._mirrored[0]
            product[1:] += np.conj(spectrum[:0:-1]) * self._mirrored[1:]
        filtered: Samples = fft.ifft(product, overwrite_x=True)
        return filtered[self._reach : self._reach + len(samples)]
