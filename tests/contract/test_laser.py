"""What every laser must do."""

from __future__ import annotations

import math

import pytest

from labctl.errors import LimitError
from labctl.interfaces import Laser, PowerMeter
from tests.contract.bench import ContractBench

#: What one step of a setting may be off: 100 MHz near 1550 nm, and 0.01 dB.
WAVELENGTH_STEP_M = 1e-12
POWER_STEP = 3e-3


def test_wavelength_is_read_back(bench: ContractBench) -> None:
    laser = bench.get(Laser)
    limits = laser.wavelength_range_m
    for fraction in (0.25, 0.5):
        wavelength_m = limits.low + fraction * (limits.high - limits.low)
        laser.set_wavelength(wavelength_m)
        assert laser.wavelength() == pytest.approx(wavelength_m, abs=WAVELENGTH_STEP_M)
    assert laser.snapshot()["wavelength_m"] == laser.wavelength()


def test_the_ends_of_the_ranges_are_within_them(bench: ContractBench) -> None:
    laser = bench.get(Laser)
    for wavelength_m in (laser.wavelength_range_m.low, laser.wavelength_range_m.high):
        laser.set_wavelength(wavelength_m)
        assert laser.wavelength() == pytest.approx(wavelength_m, abs=WAVELENGTH_STEP_M)
    assert list(laser.problems()) == []


def test_power_is_read_back(bench: ContractBench) -> None:
    laser = bench.get(Laser)
    limits = laser.power_range_w
    for power_w in (limits.low, math.sqrt(limits.low * limits.high), limits.high):
        laser.set_power(power_w)
        assert laser.power() == pytest.approx(power_w, rel=POWER_STEP)
    assert laser.snapshot()["power_w"] == laser.power()


def test_limits_are_refused_and_nothing_is_sent(bench: ContractBench) -> None:
    laser = bench.get(Laser)
    wavelength_m, power_w = laser.wavelength(), laser.power()
    with bench.nothing_sent():
        for wrong in (0.9 * laser.wavelength_range_m.low, 1.1 * laser.wavelength_range_m.high, math.nan, -1.0):
            with pytest.raises(LimitError, match=laser.name):
                laser.set_wavelength(wrong)
        for wrong in (0.5 * laser.power_range_w.low, 2 * laser.power_range_w.high, math.nan, 0.0, -1e-3):
            with pytest.raises(LimitError, match=laser.name):
                laser.set_power(wrong)
    assert (laser.wavelength(), laser.power()) == (wavelength_m, power_w)
    assert list(laser.problems()) == []


def test_emission_and_safe_state(bench: ContractBench) -> None:
    laser = bench.get(Laser)
    laser.set_power(laser.power_range_w.low)
    laser.set_emission(True)
    assert laser.emission()
    laser.set_emission(False)
    assert not laser.emission()
    laser.set_emission(True)
    assert laser.safe_state().dark
    assert not laser.emission()


def test_the_light_is_seen_by_the_power_meter(simulated: ContractBench) -> None:
    """A setter that returns has been obeyed: the light is there, and as strong as was asked for."""
    laser, meter = simulated.get(Laser), simulated.get(PowerMeter)
    assert simulated.config.monitor is not None
    fraction = simulated.config.monitor.fraction
    strong_w = simulated.config.laser.power
    weak_w = max(0.5 * strong_w, laser.power_range_w.low)
    laser.set_power(strong_w)
    laser.set_emission(True)
    assert meter.power() == pytest.approx(fraction * strong_w, rel=POWER_STEP)
    laser.set_power(weak_w)
    assert meter.power() == pytest.approx(fraction * weak_w, rel=POWER_STEP)
    laser.set_wavelength(simulated.config.laser.wavelength)
    assert meter.power() == pytest.approx(fraction * weak_w, rel=POWER_STEP)
    laser.set_emission(False)
    assert meter.power() < 1e-9
    laser.set_emission(True)
    assert meter.power() == pytest.approx(fraction * weak_w, rel=POWER_STEP)
    assert laser.safe_state().dark
    assert meter.power() < 1e-9


def test_the_world_has_the_wavelength_that_was_set(simulated: ContractBench) -> None:
    laser = simulated.get(Laser)
    wavelength_m = simulated.config.laser.wavelength
    laser.set_wavelength(wavelength_m)
    assert simulated.unit.state.wavelength_m == pytest.approx(wavelength_m, abs=WAVELENGTH_STEP_M)
