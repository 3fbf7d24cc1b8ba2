"""ThorlabsPM100, a program of others for the power meter, on a VISA resource that its user opens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import pyvisa

from tests.clients.desk import MISSING, Desk

ThorlabsPM100 = pytest.importorskip("ThorlabsPM100", reason=MISSING).ThorlabsPM100


@pytest.fixture
def meter(desk: Desk) -> Iterator[Any]:
    laser = desk.lab.units["laser"].state
    laser.emission, laser.power_w = True, 10e-3
    resource = pyvisa.ResourceManager(desk.library).open_resource(desk.resource("power_meter"))
    made = ThorlabsPM100(inst=resource)
    yield made
    assert resource.query("SYST:ERR?").startswith("+0")
    resource.close()


def test_settings(meter: Any) -> None:
    meter.sense.correction.wavelength = 1550
    assert meter.sense.correction.wavelength == 1550
    assert meter.sense.correction.minimum_wavelength == 800
    assert meter.sense.correction.maximum_wavelength == 1700
    meter.sense.average.count = 10
    assert meter.sense.average.count == 10
    meter.sense.correction.loss.input.magnitude = 3
    assert meter.sense.correction.loss.input.magnitude == 3
    meter.sense.power.dc.range.auto = "ON"
    assert meter.sense.power.dc.range.auto == 1
    meter.input.pdiode.filter.lpass.state = 1
    assert meter.input.pdiode.filter.lpass.state == 1
    meter.display.brightness = 0.8
    assert meter.display.brightness == 0.8


def test_readings(desk: Desk, meter: Any) -> None:
    world = desk.lab.world
    meter.configure.scalar.power()
    assert meter.getconfigure.strip() == "POW"
    expected = world.optical_power_w("power_meter")
    assert expected > 0
    assert meter.read == pytest.approx(expected, rel=1e-6)
    meter.initiate.immediate()
    assert meter.fetch == pytest.approx(expected, rel=1e-6)
    meter.sense.correction.loss.input.magnitude = 10
    assert meter.read == pytest.approx(10 * expected, rel=1e-6)
    meter.sense.power.dc.unit = "DBM"
    assert meter.sense.power.dc.unit.strip() == "DBM"


def test_system(meter: Any) -> None:
    assert meter.system.sensor.idn.startswith('"S144C",')
    assert meter.system.lfrequency == 50
    assert meter.system.version == 1999.0
    assert (meter.system.date.strip(), meter.system.time.strip()) == ("2024,1,1", "0,0,0")
    meter.system.beeper.immediate()
