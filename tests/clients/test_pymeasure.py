"""PyMeasure's drivers; what its own tests exchange with instruments is in tests/sim_backends/test_pymeasure_*.py."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pymeasure.instruments.keysight import KeysightDSOX1102G
from pymeasure.instruments.santec.tsl570 import TSL570
from pymeasure.instruments.thorlabs import ThorlabsPM100USB

from tests.clients.desk import PATIENCE_MS, Desk

# PyMeasure asks whether these instruments speak SCPI; no instrument answers that.
pytestmark = pytest.mark.filterwarnings("ignore:It is not known whether:FutureWarning")

VACUUM_V = 20e-3


@pytest.fixture
def laser(desk: Desk) -> Iterator[TSL570]:
    made = TSL570(
        desk.resource("laser"),
        visa_library=desk.library,
        read_termination="\r",
        write_termination="\r",
        timeout=PATIENCE_MS,
    )
    made.reset()
    made.command_set = "SCPI"
    yield made
    assert made.check_errors() == []
    made.adapter.close()


def light_on(laser: Any) -> None:
    laser.wavelength_setpoint = 1550e-9
    laser.power_unit = "dBm"
    laser.power_setpoint = 10.0
    laser.output_enabled = True
    assert laser.power == pytest.approx(10.0)


def test_a_sweep_of_the_laser(desk: Desk, laser: Any) -> None:
    light_on(laser)
    laser.wavelength_start, laser.wavelength_stop, laser.sweep_speed, laser.sweep_mode = 1.54e-6, 1.56e-6, 200, 1
    laser.sweep_cycles = 1
    laser.start_sweep()
    assert laser.sweep_status == 1
    end = time.monotonic() + 5
    while laser.sweep_status != 0:
        assert time.monotonic() < end
    assert laser.wavelength_setpoint == pytest.approx(1.56e-6)
    assert laser.sweep_count == 1
    assert desk.lab.units["laser"].state.wavelength_m == pytest.approx(1.56e-6)


def test_power(desk: Desk, laser: Any) -> None:
    light_on(laser)
    meter = ThorlabsPM100USB(desk.resource("power_meter"), visa_library=desk.library, timeout=PATIENCE_MS)
    meter.wavelength = 1550
    assert meter.wavelength == pytest.approx(1550)
    expected = desk.lab.world.optical_power_w("power_meter")
    assert meter.power == pytest.approx(expected, rel=1e-6) != 0
    meter.adapter.close()


def test_a_trace(desk: Desk, laser: Any) -> None:
    """The standard deviation of 5000 samples is off by 6 % once in 10^8 times."""
    light_on(laser)
    scope = KeysightDSOX1102G(
        desk.resource("server_scope"),
        visa_library=desk.library,
        read_termination="\n",
        write_termination="\n",
    )
    scope.adapter.connection.timeout = PATIENCE_MS  # it has a time-out of its own
    scope.ch(2).scale = 0.05
    scope.ch(2).display = True
    scope.acquisition_type = "hresolution"
    volts, preamble = scope.download_data("channel2", 5000)
    assert preamble["points"] == len(volts) == 5000
    assert np.std(volts) == pytest.approx(VACUUM_V, rel=0.06)
    scope.adapter.close()
