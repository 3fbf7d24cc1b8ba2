"""Constants come out of records made with them. Statistical tests allow 4.5 standard errors: a right one fails once in
150,000.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.dsp.calibration import calibrate_imbalance, calibrate_shot_noise, find_delays
from labctl.dsp.pulses import root_raised_cosine
from labctl.dsp.recording import Recording
from labctl.errors import CalibrationError, GateError, ProtocolError
from labctl.protocol.gates import GateLimits
from tests.labctl.dsp.pulse_train import pulses

SIGMAS = 4.5
COUNT = 50_000
LIMITS = GateLimits(clearance_db=3.0)
RRC = root_raised_cosine(4, 0.4, 16)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def noise(x: float, p: float, count: int = COUNT, seed: int = 1) -> np.ndarray:
    draws = rng(seed).standard_normal((2, count))
    return (x * draws[0] + 1j * p * draws[1]).astype(np.complex64)


def test_shot_noise() -> None:
    """Units 0.02 and 0.03 V with 0.1 SNU of electronic noise in each."""
    full, dark = math.sqrt(1.1), math.sqrt(0.1)
    vacuum, unlit = noise(0.02 * full, 0.03 * full), noise(0.02 * dark, 0.03 * dark, seed=2)
    found = calibrate_shot_noise("server", vacuum, unlit, LIMITS)
    error = SIGMAS * math.sqrt(2 / COUNT)
    assert found.unit_v == pytest.approx((0.02, 0.03), rel=1.2 * error / 2)
    assert found.electronic_snu == pytest.approx((0.1, 0.1), rel=2 * error)
    assert found.samples == COUNT


def test_shot_noise_of_a_homodyne_receiver() -> None:
    found = calibrate_shot_noise("client", noise(0.1, 0.0), noise(0.01, 0.0), LIMITS)
    assert found.unit_v[0] == found.unit_v[1]
    assert found.electronic_snu[0] == found.electronic_snu[1]


@pytest.mark.parametrize(("dark_x", "dark_p", "output"), [(0.9, 0.1, "X"), (0.1, 0.9, "P")])
def test_too_little_clearance_is_refused(dark_x: float, dark_p: float, output: str) -> None:
    with pytest.raises(GateError, match=f"server, {output} output: shot noise is .* dB"):
        calibrate_shot_noise("server", noise(1, 1), noise(dark_x, dark_p, seed=2), LIMITS)


def test_no_shot_noise_is_refused() -> None:
    with pytest.raises(CalibrationError, match="server: the P output has no shot noise") as error:
        calibrate_shot_noise("server", noise(1, 1), noise(0.1, 1.1, seed=2), LIMITS)
    assert error.value.remedy


def test_too_few_symbols_are_refused() -> None:
    for call in (
        lambda: calibrate_shot_noise("server", noise(1, 1, 100), noise(0.1, 0.1), LIMITS),
        lambda: calibrate_imbalance(noise(10, 10, 100)),
    ):
        with pytest.raises(CalibrationError, match="too few"):
            call()


@given(st.floats(-0.3, 0.3), st.floats(0.7, 1.4), st.integers(0, 1000))
@settings(max_examples=20, derandomize=True)
def test_imbalance(angle: float, gain: float, seed: int) -> None:
    signal = noise(10, 10, seed=seed)
    seen_p = gain * (signal.imag * math.cos(angle) + signal.real * math.sin(angle))
    bright = signal.real + 1j * seen_p + noise(1, 1, seed=seed + 5000)
    found = calibrate_imbalance(bright)
    assert found.angle_error_rad == pytest.approx(angle, abs=SIGMAS * found.angle_se_rad)
    assert found.gain_ratio == pytest.approx(gain, rel=SIGMAS * found.angle_se_rad)
    assert found.angle_se_rad == pytest.approx(1 / math.sqrt(COUNT), rel=0.15)


def test_imbalance_needs_signal_in_two_quadratures() -> None:
    with pytest.raises(CalibrationError, match="too little"):
        calibrate_imbalance(noise(1, 1))
    same = noise(10, 0)
    with pytest.raises(CalibrationError, match="same quadrature"):
        calibrate_imbalance(same.real + 1j * same.real, (1.0, 1.0))


@given(st.floats(0, 500), st.floats(-8, 8), st.floats(0, 6.28))
@settings(max_examples=15, derandomize=True, deadline=None)
def test_delays_whatever_the_phase(delay: float, skew: float, phase: float) -> None:
    symbols = noise(1, 1, 2000)
    delays = (delay + 50, delay + 50 + skew)
    seen = symbols * np.exp(1j * phase)
    rows = [pulses(part, RRC, late, 10_000) for part, late in zip((seen.real, seen.imag), delays, strict=True)]
    rows += 0.1 * rng(3).standard_normal((2, 10_000))
    found = find_delays(Recording(np.array(rows, np.float32)), symbols, RRC)
    assert found == pytest.approx(delays, abs=0.02)


def test_delay_of_a_homodyne_receiver() -> None:
    symbols = noise(1, 1, 1000)
    row = pulses(symbols.real, RRC, 77.25, 6000)
    assert find_delays(Recording(np.array([row], np.float32)), symbols, RRC) == pytest.approx((77.25, 77.25), abs=0.01)


def test_symbols_that_are_not_there_are_not_found() -> None:
    record = Recording(rng(4).standard_normal((2, 8000)).astype(np.float32))
    with pytest.raises(CalibrationError, match="X output does not hold"):
        find_delays(record, noise(1, 1, 1000), RRC)
    with pytest.raises(ProtocolError, match="nothing"):
        find_delays(record, np.zeros(0), RRC)
