"""Errors from the scatter of blocks."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.calibration.statistics import block_variances, cut, jackknife, mean_of, solve
from labctl.errors import CalibrationError


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    blocks = np.random.default_rng(1).normal(size=20)
    found = jackknife({"x": blocks}, lambda moments: np.array([float(np.real(moments["x"]))]))
    assert found.values[0] == pytest.approx(blocks.mean())
    assert found.errors()[0] == pytest.approx(blocks.std(ddof=1) / np.sqrt(20))
    assert found.degrees == 19


def test_the_jackknife_counts_what_two_moments_share() -> None:
    """The ratio of two that fluctuate together is known better than either."""
    rng = np.random.default_rng(2)
    common = rng.normal(size=20)
    blocks = {"a": 10 + common + 0.01 * rng.normal(size=20), "b": 5 + common / 2 + 0.01 * rng.normal(size=20)}
    found = jackknife(blocks, lambda moments: np.array([float(np.real(moments["a"] / moments["b"]))]))
    assert found.values[0] == pytest.approx(2, abs=0.01)
    assert found.errors()[0] < 0.002


def test_intervals_hold_as_often_as_they_say() -> None:
    """2,000 means of 20 blocks: between 94 and 96 % (2 standard deviations) hold 0."""
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(2000):
        low, high = mean_of("x", rng.normal(size=20)).interval()
        held += low <= 0 <= high
    assert 0.94 < held / 2000 < 0.96


def test_what_is_known_beside_adds_in_squares() -> None:
    found = jackknife({"x": np.array([1.0, 3.0])}, lambda moments: np.array([float(np.real(moments["x"]))]))
    assert found.quantity(0, "x", known=0.0).standard_error == pytest.approx(1.0)
    assert found.quantity(0, "x", known=1.0).standard_error == pytest.approx(np.sqrt(2))


def test_blocks_put_aside_what_is_left_over() -> None:
    assert cut(np.arange(23.0), 5).shape == (5, 4)
    assert block_variances(np.tile([1.0, -1.0], 50), 10) == pytest.approx(np.ones(10))


def test_no_curve_is_said_so() -> None:
    with pytest.raises(CalibrationError, match="the gain: no curve fits"):
        solve(lambda values: np.array([np.nan]) if values[0] != 1.0 else np.array([1.0]), np.array([1.0]), "the gain")
