"""The waveform's filters against direct convolution, and their responses at the frequencies that define them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from labctl.dsp.pulses import rectangular, root_raised_cosine
from labctl.errors import ConfigError
from sim_backends.waveform_config import LowPass
from sim_backends.waveform_filters import BlockFilter, Shaper, cascade, delay_taps, low_pass_taps

RATE_HZ = 500e6


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def noise(samples: int, seed: int = 1) -> np.ndarray:
    draws = rng(seed).standard_normal((2, samples))
    return (draws[0] + 1j * draws[1]).astype(np.complex64)


@pytest.mark.parametrize("kind", ["bessel", "butterworth"])
@pytest.mark.parametrize("order", [1, 4, 6])
def test_a_low_pass_has_its_3_db_point_where_it_says(kind: str, order: int) -> None:
    taps = low_pass_taps(LowPass(100e6, order, kind), RATE_HZ)
    _, response = signal.freqz(taps, worN=[0, 100e6, 249e6], fs=RATE_HZ)
    assert abs(response[0]) == pytest.approx(1, abs=1e-6)
    assert abs(response[1]) ** 2 == pytest.approx(0.5, rel=1e-5)
    assert abs(response[2]) < 0.1


def test_a_low_pass_too_narrow_for_the_sample_rate_is_refused() -> None:
    with pytest.raises(ConfigError, match="too narrow"):
        low_pass_taps(LowPass(1e3), RATE_HZ)


@given(st.floats(-16, 16), st.floats(0, 0.4))
def test_a_delay_is_a_delay(samples: float, frequency: float) -> None:
    taps = delay_taps(samples)
    _, response = signal.freqz(taps, worN=[frequency], fs=1)
    expected = np.exp(-2j * np.pi * frequency * (len(taps) // 2 + samples))
    assert abs(response[0] - expected) < 3e-4


def test_a_skew_beyond_the_line_is_refused() -> None:
    with pytest.raises(ConfigError, match="skew"):
        delay_taps(17)


def test_filters_in_series() -> None:
    np.testing.assert_allclose(cascade([]), [1.0])
    np.testing.assert_allclose(cascade([np.array([1.0, 2.0]), np.array([1.0, -1.0])]), [1, 1, -2])


@given(st.lists(st.integers(1, 64), min_size=1, max_size=6), st.integers(1, 9), st.integers(1, 9))
def test_blocks_do_not_show(lengths: list[int], real_taps: int, imag_taps: int) -> None:
    real, imag = rng(2).standard_normal(real_taps), rng(3).standard_normal(imag_taps)
    samples = noise(sum(lengths))
    blocks = BlockFilter(real, imag, 64)
    parts, start = [], 0
    for length in lengths:
        parts.append(blocks(samples[start : start + length]))
        start += length
    expected = np.convolve(samples.real, real)[: len(samples)] + 1j * np.convolve(samples.imag, imag)[: len(samples)]
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=2e-5)


def test_a_primed_filter_remembers() -> None:
    taps = np.array([0.5, 0.25, 0.25])
    samples = noise(32)
    blocks = BlockFilter(taps, taps, 32)
    blocks.prime(samples[:2])
    np.testing.assert_allclose(blocks(samples[2:]), np.convolve(samples, taps)[2:32], atol=1e-6)


@pytest.mark.parametrize("pulse", [rectangular(4), rectangular(1), root_raised_cosine(4, 0.4, 8)])
@given(lengths=st.lists(st.integers(1, 16), min_size=1, max_size=4))
def test_symbols_become_pulses(pulse: object, lengths: list[int]) -> None:
    rate = pulse.samples_per_symbol
    symbols = noise(sum(lengths))
    shaper = Shaper(pulse, 16)
    parts, start = [], 0
    for length in lengths:
        parts.append(shaper(symbols[start : start + length]))
        start += length
    sparse = np.zeros(len(symbols) * rate, np.complex128)
    sparse[::rate] = symbols
    np.testing.assert_allclose(np.concatenate(parts), np.convolve(sparse, pulse.taps)[: len(sparse)], atol=2e-5)


def test_everything_stays_in_single_precision() -> None:
    """Memory and speed rest on it."""
    pulse = root_raised_cosine(4, 0.4, 8)
    samples = Shaper(pulse, 16)(noise(16))
    assert samples.dtype == np.complex64
    assert BlockFilter(np.ones(3), np.ones(2), 64)(samples).dtype == np.complex64
