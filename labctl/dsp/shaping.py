"""Symbols to samples and back for a sender: what its generator is to play, and what that carries.

Formulas in docs/physics.md, section 4a.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labctl.dsp.matched import FrontEnd, MatchedFilter, Symbols
from labctl.dsp.pulses import Pulse
from labctl.dsp.recording import Recording


def shape(symbols: NDArray[np.complexfloating], pulse: Pulse) -> NDArray[np.complex64]:
    """Σ_k α_k p(i - kS): symbols of shape (M,) to samples of shape ((M - 1) S + L,), symbol k around kS + centre."""
    from scipy.signal import oaconvolve

    rate = pulse.samples_per_symbol
    sparse = np.zeros((len(symbols) - 1) * rate + 1, np.complex128)
    sparse[::rate] = symbols
    return np.asarray(oaconvolve(sparse, pulse.taps), dtype=np.complex64)


def symbols_in(samples: NDArray[np.complex64], pulse: Pulse, count: int) -> Symbols:
    """What the matched filter finds: the first ``count`` symbols of a waveform, shape (count,).

    Raises ProtocolError for fewer samples than ``count`` pulses take.
    """
    fields = Recording(np.stack([samples.real, samples.imag]).astype(np.float32))
    return MatchedFilter(pulse, FrontEnd((pulse.centre, pulse.centre)))(fields, count)
