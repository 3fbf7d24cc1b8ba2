"""The whole calibration on records made by hand; against the simulated link it stands in tests/physics."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from labctl.dsp.frame import PilotFrame
from labctl.dsp.procedure import CalibrationRecords, calibrate
from labctl.dsp.pulses import rectangular
from labctl.dsp.recording import Recording
from labctl.errors import CalibrationError, GateError
from labctl.protocol.gates import GateLimits

PULSE, FRAME = rectangular(4), PilotFrame(10, 30.0)
LIMITS = GateLimits(clearance_db=3.0)
UNIT_X, UNIT_P, DELAY = 0.02, 0.025, 8


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def rows(light: np.ndarray, variance: float, seed: int) -> np.ndarray:
    noisy = np.stack([light.real, light.imag]) + math.sqrt(variance) * rng(seed).standard_normal((2, len(light)))
    return (noisy * np.array([[UNIT_X], [UNIT_P]])).astype(np.float32)


def records() -> CalibrationRecords:
    draws = rng().standard_normal((2, 18_000))
    sent = (10 * (draws[0] + 1j * draws[1])).astype(np.complex64)
    light = np.repeat(FRAME.interleave(sent) * np.exp(0.4j), 4)
    light = np.concatenate([np.zeros(DELAY), light, np.zeros(40)])
    darkness = np.zeros(200_000, np.complex64)
    return CalibrationRecords(
        Recording(rows(darkness, 1.1, 2)), Recording(rows(darkness, 0.1, 3)), Recording(rows(light, 1.1, 4)), sent
    )


def test_constants_come_back() -> None:
    """Statistical errors below 1 % throughout; allowed 4.5 of them: fails once in 150,000."""
    found = calibrate("server", records(), PULSE, FRAME, LIMITS)
    front_end = found.front_end
    assert front_end.delay_samples == pytest.approx((DELAY, DELAY), abs=0.05)
    assert front_end.unit_v[0] == pytest.approx(UNIT_X, rel=0.02)
    assert front_end.unit_v[1] * front_end.gain_ratio == pytest.approx(UNIT_P, rel=0.04)
    assert front_end.angle_error_rad == pytest.approx(0, abs=4.5 / math.sqrt(18_000))
    assert found.sigma0_sq == pytest.approx(1.1, rel=0.04)
    assert found.samples == pytest.approx(100_000, rel=0.01)
    assert abs(found.carrier) < 0.1


def test_a_clipped_record_calibrates_nothing() -> None:
    good = records()
    for name in ("vacuum", "dark", "bright"):
        clipped = dataclasses.replace(getattr(good, name), clipped=1)
        with pytest.raises(GateError, match="server: 1 of"):
            calibrate("server", dataclasses.replace(good, **{name: clipped}), PULSE, FRAME, LIMITS)


def test_a_missing_light_is_noticed() -> None:
    good = records()
    with pytest.raises(CalibrationError, match="does not hold the symbols"):
        calibrate("server", dataclasses.replace(good, bright=good.vacuum), PULSE, FRAME, LIMITS)
    with pytest.raises(CalibrationError, match="no shot noise"):
        calibrate("server", dataclasses.replace(good, vacuum=good.dark), PULSE, FRAME, LIMITS)
