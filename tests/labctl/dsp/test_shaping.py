"""Symbols to a sender's samples and back."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.dsp.pulses import Pulse, rectangular, root_raised_cosine
from labctl.dsp.shaping import shape, symbols_in
from labctl.errors import ProtocolError


@pytest.mark.parametrize("pulse", [rectangular(3), root_raised_cosine(4, 0.4, 64)])
def test_round_trip(pulse: Pulse) -> None:
    """The pulse's cut leaves 1e-4 of the brightest neighbours at most."""
    rng = np.random.default_rng(1)
    symbols = (rng.normal(size=500) + 1j * rng.normal(size=500)).astype(np.complex64)
    samples = shape(symbols, pulse)
    assert len(samples) == 499 * pulse.samples_per_symbol + len(pulse.taps)
    assert np.abs(symbols_in(samples, pulse, 500) - symbols).max() < 1e-3


def test_samples_are_the_sum_of_the_pulses() -> None:
    pulse = root_raised_cosine(2, 0.5, 4)
    wanted = np.zeros(2 + len(pulse.taps), np.complex128)
    wanted[:-2] += 2 * pulse.taps
    wanted[2:] += 1j * pulse.taps
    np.testing.assert_allclose(shape(np.array([2, 1j]), pulse), wanted, atol=1e-7)


def test_too_few_samples() -> None:
    pulse = rectangular(4)
    with pytest.raises(ProtocolError, match="do not hold 11 symbols"):
        symbols_in(np.zeros(40, np.complex64), pulse, 11)
