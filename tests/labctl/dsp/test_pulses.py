"""Pulses have unit energy and are orthogonal to their shifts by whole symbols."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.dsp.pulses import Pulse, rectangular, root_raised_cosine
from labctl.errors import ConfigError


def overlaps(pulse: Pulse) -> np.ndarray:
    """Inner products with the shifts by 0, 1, 2 ... symbols."""
    autocorrelation = np.convolve(pulse.taps, pulse.taps[::-1])
    return autocorrelation[len(pulse.taps) - 1 :: pulse.samples_per_symbol]


@given(st.integers(1, 16))
def test_rectangular(rate: int) -> None:
    np.testing.assert_allclose(overlaps(rectangular(rate)), [1.0])


@given(st.integers(2, 8), st.floats(0.3, 1.0))
def test_root_raised_cosine_is_orthonormal(rate: int, roll_off: float) -> None:
    found = overlaps(root_raised_cosine(rate, roll_off))
    assert found[0] == pytest.approx(1)
    assert np.abs(found[1:]).max() < 5e-4


def test_what_the_docstring_says_of_the_cut() -> None:
    found = overlaps(root_raised_cosine(4, 0.4))[1:]
    assert np.abs(found).max() < 6e-5
    assert 2 * np.sum(found**2) < 1.1e-8
    assert 2 * np.sum(overlaps(root_raised_cosine(4, 0.4, 32))[1:] ** 2) < 9e-7


@pytest.mark.parametrize("roll_off", [0.25, 0.5, 1.0])
def test_singular_points_are_filled_in(roll_off: float) -> None:
    """At t = 1/(4β) the formula is 0/0; the pulse is smooth there."""
    pulse = root_raised_cosine(4, roll_off)
    other = root_raised_cosine(4, roll_off + 1e-6 if roll_off < 1 else 1 - 1e-6)
    np.testing.assert_allclose(pulse.taps, other.taps, atol=1e-5)


def test_spectrum_ends_at_the_roll_off() -> None:
    spectrum = np.abs(np.fft.rfft(root_raised_cosine(4, 0.4).taps, 4096)) ** 2
    frequency = np.fft.rfftfreq(4096) * 4  # in symbol rates
    assert spectrum[frequency < 0.28] == pytest.approx(4, rel=1e-2)
    assert spectrum[np.argmin(np.abs(frequency - 0.5))] == pytest.approx(2, rel=1e-3)
    assert spectrum[frequency > 0.72].max() < 1e-4


def test_symmetry() -> None:
    pulse = root_raised_cosine(5, 0.3, 20)
    np.testing.assert_array_equal(pulse.taps, pulse.taps[::-1])
    assert pulse.taps.argmax() == pulse.centre == 50


@pytest.mark.parametrize(
    "make",
    [
        lambda: rectangular(0),
        lambda: root_raised_cosine(4, 0.0),
        lambda: root_raised_cosine(4, 1.1),
        lambda: root_raised_cosine(1, 0.5),
        lambda: root_raised_cosine(4, 0.5, 1),
        lambda: Pulse(np.ones(4), 0, 4),
        lambda: Pulse(np.ones(1), 1, 4),
        lambda: Pulse(np.ones(1), 0, 0),
    ],
)
def test_what_is_no_pulse_is_refused(make: object) -> None:
    with pytest.raises(ConfigError):
        make()
