from __future__ import annotations

import math

import pytest

from labctl.errors import ConfigError, GateError
from labctl.protocol.gates import (
    GateLimits,
    PilotLock,
    check_calibration_age,
    check_clearance,
    check_clipping,
    check_pilot_lock,
)

LIMITS = GateLimits(clearance_db=10, pilot_snr=20, phase_variance=2e-3, calibration_age_s=3600)


def refusal(check: object, *arguments: object) -> GateError:
    assert callable(check)
    with pytest.raises(GateError) as caught:
        check("server receiver", *arguments)
    assert caught.value.message.startswith("server receiver: ")
    assert caught.value.remedy
    return caught.value


def test_a_locked_pilot() -> None:
    check_pilot_lock("server receiver", PilotLock(5.0, 1.0, 0.0), LIMITS)
    check_pilot_lock("server receiver", PilotLock(math.sqrt(22), 1.1, 2e-3), LIMITS)


@pytest.mark.parametrize(
    "lock",
    [PilotLock(4.4, 1.0, 0.0), PilotLock(0.0, 1.0, 0.0), PilotLock(math.nan, 1.0, 0.0), PilotLock(5.0, 0.0, 0.0)],
)
def test_a_lost_pilot(lock: PilotLock) -> None:
    assert "lock is lost" in refusal(check_pilot_lock, lock, LIMITS).message


@pytest.mark.parametrize("variance", [2.1e-3, math.nan, math.inf, -1e-9])
def test_a_phase_that_moves(variance: float) -> None:
    assert "0.002 rad² are allowed" in refusal(check_pilot_lock, PilotLock(20.0, 1.0, variance), LIMITS).message


def test_clipping() -> None:
    check_clipping("server receiver", 0, 1000)
    assert "1 of 1000 samples" in refusal(check_clipping, 1, 1000).message


def test_clearance() -> None:
    assert check_clearance("server receiver", 0.1, LIMITS) == pytest.approx(10)
    assert check_clearance("server receiver", 0.0, LIMITS) == math.inf
    assert "9.59 dB" in refusal(check_clearance, 0.11, LIMITS).message
    for wrong in (-0.01, math.nan, math.inf):
        assert "electronic noise" in refusal(check_clearance, wrong, LIMITS).message


def test_age_of_the_calibration() -> None:
    assert check_calibration_age("server receiver", 1000.0, 4600.0, LIMITS) == 3600
    assert "1.0 hours ago" in refusal(check_calibration_age, 1000.0, 4601.0, LIMITS).message
    assert "from now" in refusal(check_calibration_age, 1000.0, 990.0, LIMITS).message
    assert "from now" in refusal(check_calibration_age, math.nan, 990.0, LIMITS).message


@pytest.mark.parametrize("name", ["clearance_db", "pilot_snr", "phase_variance", "calibration_age_s"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_limits_that_are_none(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        GateLimits(**{name: value})
