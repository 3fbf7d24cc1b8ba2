"""The sampling receiver: what it asks the digitizer for, and that it gives nothing before it is calibrated.

What it measures is held against theory in tests/end_to_end/test_waveform_run.py.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from labctl.config import ReceiverRole, WaveformRole
from labctl.errors import CalibrationError, GateError
from labctl.interfaces import Digitizer
from labctl.optics.drive import Timing
from labctl.optics.sampled import MARGIN, SampledDualQuadrature
from labctl.optics.symbols import PulseTrain
from labctl.protocol.gates import GateLimits
from labctl.values import Trace

ROLE = ReceiverRole(
    digitizer="scope", channels=[1, 2], full_scale="4 V", volts_per_snu="20 mV", calibration_samples=100
)
PULSES = PulseTrain.of(WaveformRole(samples_per_symbol=4), Timing(125e6, 48, 240, 4, 16), np.random.default_rng(1))


class Scope:
    """A digitizer that records noise."""

    name = "scope"

    def __init__(self, code: int = 0) -> None:
        self.asked: tuple[Any, ...] = ()
        self.code = code

    def configure(self, *arguments: Any) -> None:
        self.asked = arguments

    def arm(self) -> None:
        pass

    def wait(self) -> None:
        pass

    def read(self, channel: int) -> Trace:
        codes = np.random.default_rng(channel).normal(0, 20, self.asked[2]).astype(np.int16)
        codes[7] = self.code
        return Trace(codes, 0.001, 0.0, 0, 2e-9, 0.0, -2048, 2047)


def receiver(scope: Scope) -> SampledDualQuadrature:
    return SampledDualQuadrature(ROLE, cast(Digitizer, scope), PULSES, GateLimits())


def test_every_sample_and_the_tail() -> None:
    scope = Scope()
    receiver(scope).arm(10, 32)
    assert scope.asked == ({1: 4.0, 2: 4.0}, 2e-9, 10 * 240 * 4 + len(PULSES.pulse.taps) + MARGIN)


def test_nothing_before_calibration() -> None:
    found = receiver(Scope())
    found.arm(10, 32)
    assert found.constants is None
    with pytest.raises(CalibrationError, match="has not been calibrated"):
        found.read()


def test_no_constants_from_darkness_or_clipped_records() -> None:
    found, records = receiver(Scope()), []
    for code in (0, 2047):
        noisy = receiver(Scope(code))
        noisy.arm_for(40_000)
        records.append(noisy.recording())
    with pytest.raises(CalibrationError, match="does not hold the symbols that were sent"):
        found.calibrate(records[0], records[0], records[0])
    with pytest.raises(GateError, match="outside the digitizer's range"):
        found.calibrate(records[0], records[0], records[1])
