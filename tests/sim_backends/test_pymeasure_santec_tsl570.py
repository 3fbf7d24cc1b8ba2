"""PyMeasure's own driver of the TSL-570, written by others against the real laser, on the simulated one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pymeasure.instruments.santec.tsl570 import TSL570, SweepPattern, SweepRouting

from sim_backends import visa_library
from sim_backends.unit import open_unit
from tests.sim_backends.rig import QuietWorld, SmallLab

RESOURCE = "TCPIP0::10.0.0.1::5000::SOCKET"


class LaserLab(SmallLab):
    def __init__(self) -> None:
        super().__init__()
        self.laser = open_unit("santec_tsl570", "laser", QuietWorld(), {})

    def resources(self) -> list[str]:
        return [RESOURCE]

    def by_resource(self, resource: str) -> object:
        return self.laser if resource == RESOURCE else None


@pytest.fixture
def laser(monkeypatch: pytest.MonkeyPatch) -> Iterator[TSL570]:
    monkeypatch.setattr(visa_library, "open_lab", lambda path: LaserLab())
    driver = TSL570(RESOURCE, visa_library="laser-lab@labctl", read_termination="\r", write_termination="\r")
    yield driver
    driver.adapter.close()
    driver.adapter.manager.close()


def test_light_and_power(laser: TSL570) -> None:
    assert laser.id.startswith("SANTEC,TSL-570,")
    laser.power_unit = "dBm"
    laser.power_setpoint = 5
    assert laser.power_setpoint == pytest.approx(5.0)
    laser.output_enabled = True
    assert laser.output_enabled is True
    assert laser.power == pytest.approx(5.0)
    laser.power_unit = "mW"
    assert laser.power_unit == "mW"
    assert laser.power_setpoint == pytest.approx(10**0.5, rel=1e-4)
    assert laser.check_errors() == []


def test_wavelength_and_frequency_in_scpi_units(laser: TSL570) -> None:
    laser.command_set = "SCPI"
    assert laser.command_set == "SCPI"
    assert (laser.wavelength_min, laser.wavelength_max) == pytest.approx((1480e-9, 1640e-9))
    laser.wavelength_setpoint = 1.55e-6
    assert laser.wavelength_setpoint == pytest.approx(1.55e-6)
    laser.frequency_setpoint = 1.95e14
    assert laser.frequency_setpoint == pytest.approx(1.95e14, rel=1e-6)
    assert laser.frequency_min < 1.95e14 < laser.frequency_max
    laser.wavelength_start, laser.wavelength_stop, laser.wavelength_step = 1.5e-6, 1.6e-6, 1e-9
    assert (laser.wavelength_start, laser.wavelength_stop, laser.wavelength_step) == pytest.approx(
        (1.5e-6, 1.6e-6, 1e-9)
    )
    laser.frequency_start, laser.frequency_stop, laser.frequency_step = 1.85e14, 2e14, 1e12
    assert (laser.frequency_start, laser.frequency_stop) == pytest.approx((1.85e14, 2e14), rel=1e-6)
    assert laser.frequency_step == pytest.approx(1e12)


def test_a_refused_value_is_noticed(laser: TSL570) -> None:
    laser.command_set = "Legacy"
    laser.wavelength_setpoint = 1400
    assert laser.wavelength_setpoint == pytest.approx(1550.0)


def test_sweep_settings(laser: TSL570) -> None:
    laser.sweep_mode = 2
    laser.sweep_pattern = SweepPattern.CONTINUOUS
    assert laser.sweep_mode == 3
    assert laser.sweep_routing == 1
    laser.sweep_speed, laser.sweep_dwell, laser.sweep_delay, laser.sweep_cycles = 10, 0.5, 5, 4
    assert (laser.sweep_speed, laser.sweep_dwell, laser.sweep_delay, laser.sweep_cycles) == (10, 0.5, 5, 4)
    laser.stop_sweep()
    assert laser.sweep_status == 0
    assert laser.sweep_count == 0
    assert laser.check_errors() == []


def test_pattern_and_routing_change_the_mode(laser: TSL570) -> None:
    laser.sweep_mode = 2
    laser.sweep_routing = SweepRouting.ONE_WAY
    assert laser.sweep_mode == 0
    laser.sweep_mode = 1
    assert laser.sweep_pattern == SweepPattern.CONTINUOUS
    assert laser.sweep_routing == SweepRouting.ONE_WAY


def test_sweeps_start_and_stop(laser: TSL570) -> None:
    assert laser.start_sweep() is None
    assert laser.sweep_status == 1
    assert laser.stop_sweep() is None
    assert laser.sweep_status == 0
    assert laser.start_repeat() is None
    assert laser.sweep_status == 1
    laser.stop_sweep()
    assert laser.check_errors() == []
