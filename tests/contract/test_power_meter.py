"""What every power meter must do."""

from __future__ import annotations

import math

import pytest

from labctl.errors import LimitError
from labctl.interfaces import Laser, PowerMeter
from tests.contract.bench import ContractBench


def test_power_is_a_number_of_watts(bench: ContractBench) -> None:
    power_w = bench.get(PowerMeter).power()
    assert math.isfinite(power_w)
    assert abs(power_w) < 1.0


def test_wavelength_is_read_back(bench: ContractBench) -> None:
    meter = bench.get(PowerMeter)
    for wavelength_m in (1310e-9, 1550.12e-9):
        if wavelength_m in meter.wavelength_range_m:
            meter.set_wavelength(wavelength_m)
            assert meter.snapshot()["wavelength_m"] == pytest.approx(wavelength_m, abs=1e-12)
    assert list(meter.problems()) == []


def test_limits_are_refused_and_nothing_is_sent(bench: ContractBench) -> None:
    meter = bench.get(PowerMeter)
    before = meter.snapshot()["wavelength_m"]
    limits = meter.wavelength_range_m
    with bench.nothing_sent():
        for wrong in (0.9 * limits.low, 1.1 * limits.high, math.nan, 1550.0):
            with pytest.raises(LimitError, match=meter.name):
                meter.set_wavelength(wrong)
    assert meter.snapshot()["wavelength_m"] == before


def test_it_measures_the_light_there_is(simulated: ContractBench) -> None:
    meter, laser = simulated.get(PowerMeter), simulated.get(Laser)
    assert simulated.config.monitor is not None
    meter.set_wavelength(simulated.config.laser.wavelength)
    laser.set_emission(True)
    for power_w in (5e-3, 10e-3):
        laser.set_power(power_w)
        assert meter.power() == pytest.approx(simulated.config.monitor.fraction * power_w, rel=3e-3)
    laser.set_emission(False)
    assert abs(meter.power()) < 1e-9
