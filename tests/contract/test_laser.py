"""What every laser must do."""

from __future__ import annotations

import math

import pytest

from labctl.errors import LimitError
from labctl.interfaces import Laser, PowerMeter
from tests.contract.conftest import ContractBench


def test_wavelength_is_read_back(bench: ContractBench) -> None:
    laser = bench.get(Laser)
    limits = laser.wavelength_range_m
    for fraction in (0.25, 0.5):
        wavelength_m = limits.low + fraction * (limits.high - limits.low)
        laser.set_wavelength(wavelength_m)
        assert laser.wavelength() == pytest.approx(wavelength_m, abs=1e-12)
    assert laser.snapshot()["wavelength_m"] == laser.wavelength()


def test_power_is_read_back(bench: ContractBench) -> None:
    laser = bench.get(Laser)
    limits = laser.power_range_w
    for power_w in (limits.low, math.sqrt(limits.low * limits.high), limits.high):
        laser.set_power(power_w)
        assert laser.power() == pytest.approx(power_w, rel=3e-3)


def test_limits_are_refused_and_nothing_changes(bench: ContractBench) -> None:
    laser = bench.get(Laser)
    wavelength_m, power_w = laser.wavelength(), laser.power()
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
    laser, meter = simulated.get(Laser), simulated.get(PowerMeter)
    laser.set_power(10e-3)
    laser.set_emission(True)
    assert meter.power() == pytest.approx(1e-3, rel=1e-3)
    laser.set_power(5e-3)
    assert meter.power() == pytest.approx(0.5e-3, rel=3e-3)
    laser.set_emission(False)
    assert meter.power() < 1e-9


def test_tuning_takes_time_on_the_labs_clock(simulated: ContractBench) -> None:
    """A laser that needs time to settle is waited for, without anybody really waiting."""
    text = simulated.path.read_text()
    simulated.path.write_text(
        text.replace('laser = { model = "santec_tsl570" }', 'laser = { model = "santec_tsl570", settle_s = 3.0 }')
    )
    slow = ContractBench(simulated.path.rename(simulated.path.with_name("slow.bench.toml")), simulated=True)
    try:
        laser, begun = slow.get(Laser), slow.lab.now()
        laser.set_wavelength(1555e-9)
        assert 3.0 <= slow.lab.now() - begun < 3.2
    finally:
        slow.close()
