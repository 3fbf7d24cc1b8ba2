"""Pulses at any fractional delay, made another way than the processing undoes them."""

from __future__ import annotations

import numpy as np

from labctl.dsp.pulses import Pulse


def pulses(symbols: np.ndarray, pulse: Pulse, delay: float, length: int) -> np.ndarray:
    """Real symbols' pulses, symbol 0 at ``delay``, by Fourier interpolation; shape (length,)."""
    sparse = np.zeros(length)
    sparse[: len(symbols) * pulse.samples_per_symbol : pulse.samples_per_symbol] = symbols
    spectrum = np.fft.fft(sparse) * np.fft.fft(pulse.taps, length)
    shift = np.exp(-2j * np.pi * np.fft.fftfreq(length) * (delay - pulse.centre))
    return np.fft.ifft(spectrum * shift).real
