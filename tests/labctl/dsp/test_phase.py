"""Phase recovery against the model it is optimal for.

Statistical tests allow 4.5 standard errors, or what they say: a right one fails once in 150,000.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.dsp.frame import PilotFrame
from labctl.dsp.phase import _smooth, recover_phase
from labctl.errors import GateError
from labctl.protocol.gates import GateLimits

SIGMAS = 4.5


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def white(generator: np.random.Generator, count: int) -> np.ndarray:
    """Complex noise of variance 1 in X and P each."""
    draws = generator.standard_normal((2, count))
    return draws[0] + 1j * draws[1]


def walk(generator: np.random.Generator, count: int, step_variance: float) -> np.ndarray:
    return np.cumsum(math.sqrt(step_variance) * generator.standard_normal(count))


@pytest.mark.parametrize("ratio", [0.0, 0.5, 30.0])
def test_smoother_is_kalman_forwards_and_backwards(ratio: float) -> None:
    """The tridiagonal system against the textbook's recursions, from a start that nothing is known about."""
    measured = walk(rng(), 200, 1.0) + math.sqrt(ratio) * rng(2).standard_normal(200)
    mean, variance = [measured[0]], [ratio]
    predicted_variance = [np.inf]
    for value in measured[1:]:
        predicted = variance[-1] + 1
        gain = predicted / (predicted + ratio)
        predicted_variance.append(predicted)
        mean.append(mean[-1] + gain * (value - mean[-1]))
        variance.append((1 - gain) * predicted)
    smoothed = mean.copy()
    for j in range(len(mean) - 2, -1, -1):
        smoothed[j] = mean[j] + variance[j] / predicted_variance[j + 1] * (smoothed[j + 1] - mean[j])
    np.testing.assert_allclose(_smooth(measured, ratio), smoothed, atol=1e-9)


@pytest.mark.parametrize(("period", "amplitude", "symbol_step"), [(16, 40.0, 1e-5), (8, 20.0, 1e-4), (32, 100.0, 1e-6)])
def test_residual_variance_is_what_it_says(period: int, amplitude: float, symbol_step: float) -> None:
    generator = rng(5)
    count = 200_000
    frame = PilotFrame(period, amplitude)
    length = frame.length(count)
    phase = walk(generator, length, symbol_step)
    clean = 2 * frame.interleave(np.full(count, 1 + 0j)) * np.exp(1j * phase)
    noisy = (clean + white(generator, length)).astype(np.complex64)
    turned, lock = recover_phase(noisy, frame)
    error = np.angle(frame.data((turned * np.conj(noisy) * clean).astype(np.complex64), count))
    found = float(np.mean(error**2))
    # Errors of neighbouring periods hang together: at most a few tens of them here.
    assert lock.residual_variance_rad2 == pytest.approx(found, rel=0.06)
    assert lock.pilot_variance_rad2 == pytest.approx(1 / (2 * amplitude) ** 2, rel=0.1)
    assert lock.step_variance_rad2 == pytest.approx(period * symbol_step, rel=0.1)
    assert lock.pilot_amplitude_snu == pytest.approx(2 * amplitude, rel=1e-3)
    # Better than taking each pilot as it comes, or not smoothing at all.
    assert found < lock.pilot_variance_rad2
    assert lock.locked


def test_a_constant_phase_is_averaged_over_the_record() -> None:
    frame = PilotFrame(10, 30.0 * np.exp(0.7j))
    count = 90_000
    symbols = 2 * frame.interleave(np.full(count, 2 - 1j)) * np.exp(2.5j) + white(rng(6), frame.length(count))
    turned, lock = recover_phase(symbols.astype(np.complex64), frame)
    data = frame.data(turned, count)
    assert np.mean(data) == pytest.approx(4 - 2j, abs=SIGMAS * math.sqrt(2 / count) + 0.01)
    assert lock.residual_variance_rad2 < 5e-5


@given(st.floats(-math.pi, math.pi), st.floats(-0.02, 0.02))
@settings(max_examples=30)
def test_noiseless_turns_are_undone(start: float, per_symbol: float) -> None:
    frame = PilotFrame(16, 50.0)
    data = np.exp(1j * np.arange(1500)).astype(np.complex64)
    sent = frame.interleave(data)
    symbols = sent * np.exp(1j * (start + per_symbol * np.arange(len(sent))))
    turned, lock = recover_phase(symbols.astype(np.complex64), frame, noise_snu=1e-6)
    assert lock.locked
    np.testing.assert_allclose(turned, sent, atol=0.05)


def test_fast_phase_noise_is_seen() -> None:
    """White from symbol to symbol: it cannot be followed, but its variance is told."""
    generator = rng(7)
    frame, count, fast = PilotFrame(16, 50.0), 150_000, 2e-3
    length = frame.length(count)
    phase = math.sqrt(fast) * generator.standard_normal(length)
    symbols = 2 * frame.interleave(np.full(count, 1 + 0j)) * np.exp(1j * phase) + white(generator, length)
    _, lock = recover_phase(symbols.astype(np.complex64), frame)
    assert lock.residual_variance_rad2 == pytest.approx(fast, rel=0.1)


def frame_of_noise(amplitude: float, step_deviation: float, count: int = 3000) -> tuple[np.ndarray, PilotFrame]:
    generator = rng(8)
    frame = PilotFrame(10, 50.0)
    length = frame.length(count)
    sent = np.full(length, amplitude) * np.exp(1j * walk(generator, length, step_deviation**2 / 10))
    return (sent + white(generator, length)).astype(np.complex64), frame


@pytest.mark.parametrize(
    ("amplitude", "step_deviation", "why"), [(0.0, 0.0, "too faint"), (2.0, 0.0, "too faint"), (50.0, 1.0, "too fast")]
)
def test_no_lock(amplitude: float, step_deviation: float, why: str) -> None:
    symbols, frame = frame_of_noise(amplitude, step_deviation)
    turned, lock = recover_phase(symbols, frame)
    assert not lock.locked
    np.testing.assert_array_equal(turned, symbols)
    with pytest.raises(GateError, match=f"the receiver: no phase reference: .*{why}") as error:
        lock.require("the receiver", GateLimits())
    assert error.value.remedy


def test_a_lock_that_is_not_good_enough() -> None:
    symbols, frame = frame_of_noise(50.0, 0.3)
    _, lock = recover_phase(symbols, frame)
    assert lock.locked
    with pytest.raises(GateError, match="residual phase variance"):
        lock.require("the receiver", GateLimits())
    with pytest.raises(GateError, match="pilot lock is lost"):
        lock.require("the receiver", GateLimits(pilot_snr=3000.0))


def test_few_pilots_are_no_lock() -> None:
    symbols, frame = frame_of_noise(50.0, 0.0, count=50)
    _, lock = recover_phase(symbols, frame)
    assert "too few" in lock.problem


def test_a_lock_lets_pass() -> None:
    symbols, frame = frame_of_noise(50.0, 0.1)
    _, lock = recover_phase(symbols, frame)
    lock.require("the receiver", GateLimits(phase_variance=0.01))
    assert lock.excess_snu(0.5, 8.0) == pytest.approx(4 * lock.residual_variance_rad2, rel=0.01)
