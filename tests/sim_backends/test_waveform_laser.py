"""Phase and intensity noise against their definitions. Statistical tests allow 4.5 standard errors: a right one fails
once in 150,000.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim_backends.waveform_config import LaserPhysics, WaveformPhysics
from sim_backends.waveform_laser import LaserNoise

SIGMAS = 4.5
RATE_HZ = 500e6


def laser(physics: LaserPhysics, seed: int = 1) -> LaserNoise:
    generator = np.random.Generator(np.random.SFC64(seed))
    return LaserNoise(WaveformPhysics(RATE_HZ, laser=physics), generator)


def phases(physics: LaserPhysics, blocks: list[int], seed: int = 1) -> np.ndarray:
    source = laser(physics, seed)
    return np.concatenate([np.angle(source(samples).rotation) for samples in blocks])


def test_without_a_delay_the_phase_is_nobodys_business() -> None:
    block = laser(LaserPhysics(linewidth_hz=1e6, phase_rad=0.5))(100)
    assert block.rotation == np.complex64(np.exp(0.5j))
    assert block.lo_intensity is None


@pytest.mark.parametrize("delay_samples", [0.4, 1.0, 7.0, 12.25])
def test_variance_is_that_of_the_delay(delay_samples: float) -> None:
    """2πΔν d, from starts that are independent of each other: the very first sample, and one after a block."""
    linewidth = 2e5
    physics = LaserPhysics(linewidth, delay_samples / RATE_HZ)
    draws = np.array([phases(physics, [20, 5], seed)[[0, 24]] for seed in range(4000)])
    expected = 2 * math.pi * linewidth * delay_samples / RATE_HZ
    assert np.var(draws, axis=0) == pytest.approx(expected, rel=SIGMAS * math.sqrt(2 / 4000))
    assert np.abs(draws.mean(axis=0)).max() < SIGMAS * math.sqrt(expected / 4000)


@pytest.mark.parametrize("delay_samples", [50.0, 50.5])
@pytest.mark.parametrize("lag", [1, 10, 40])
def test_steps_shorter_than_the_delay_have_both_ends_variance(delay_samples: float, lag: int) -> None:
    """θ(t + τ) - θ(t) has the variance 2·2πΔν τ for τ below the delay, and goes on so over the blocks' borders."""
    linewidth = 1e4
    phase = phases(LaserPhysics(linewidth, delay_samples / RATE_HZ), [1000] * 200, seed=2)
    steps = phase[lag:] - phase[:-lag]
    expected = 2 * 2 * math.pi * linewidth * lag / RATE_HZ
    independent = len(steps) / (2 * lag)
    assert np.mean(steps**2) == pytest.approx(expected, rel=SIGMAS * math.sqrt(2 / independent))
    borders = phase[1000::1000] - phase[999:-1:1000]
    assert np.mean(borders**2) == pytest.approx(expected / lag, rel=SIGMAS * math.sqrt(2 / len(borders)))


def test_beyond_the_delay_the_phase_forgets() -> None:
    linewidth, delay = 1e4, 20
    phase = phases(LaserPhysics(linewidth, delay / RATE_HZ), [1000] * 200, seed=3)
    variance = 2 * math.pi * linewidth * delay / RATE_HZ
    correlation = np.mean(phase[:-30] * phase[30:]) / variance
    assert abs(correlation) < SIGMAS * math.sqrt(2 * delay / len(phase))


def test_intensity_noise() -> None:
    """Variance 10^(RIN/10) f_s/2 of one sample; the signal's is the local oscillator's, a delay later."""
    samples, delay = 100_000, 7
    source = laser(LaserPhysics(rin_db_hz=-130, delay_s=delay / RATE_HZ))
    first, second = source(samples), source(samples)
    local = np.concatenate([first.lo_intensity, second.lo_intensity]).astype(float)
    amplitude = np.abs(np.concatenate([first.rotation, second.rotation])).astype(float)
    assert np.var(local) == pytest.approx(1e-13 * RATE_HZ / 2, rel=SIGMAS * math.sqrt(1 / samples))
    expected = np.sqrt((1 + local[:-delay]) * (1 + local[delay:]))
    np.testing.assert_allclose(amplitude[delay:], expected, rtol=1e-5)
