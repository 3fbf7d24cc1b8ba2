"""What every power meter must do."""

from __future__ import annotations

import math

import pytest

from labctl.errors import LimitError
from labctl.interfaces import PowerMeter
from tests.contract.conftest import ContractBench


def test_power_is_a_number_of_watts(bench: ContractBench) -> None:
    power_w = bench.get(PowerMeter).power()
    assert math.isfinite(power_w)
    assert abs(power_w) < 1.0


def test_wavelength(bench: ContractBench) -> None:
    meter = bench.get(PowerMeter)
    meter.set_wavelength(1550.12e-9)
    assert meter.snapshot()["wavelength_m"] == pytest.approx(1550.12e-9, abs=1e-12)


def test_limits_are_refused_and_nothing_changes(bench: ContractBench) -> None:
    meter = bench.get(PowerMeter)
    before = meter.snapshot()["wavelength_m"]
    limits = meter.wavelength_range_m
    for wrong in (0.9 * limits.low, 1.1 * limits.high, math.nan, 1550.0):
        with pytest.raises(LimitError, match=meter.name):
            meter.set_wavelength(wrong)
    assert meter.snapshot()["wavelength_m"] == before
