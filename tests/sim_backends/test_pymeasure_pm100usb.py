"""PyMeasure's own driver of the PM100USB, written by others against the real meter, on the simulated one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pymeasure.instruments.thorlabs import ThorlabsPM100USB

from sim_backends import visa_library
from sim_backends.unit import open_unit
from tests.sim_backends.rig import SmallLab

# PyMeasure itself asks whether the meter speaks SCPI.
pytestmark = pytest.mark.filterwarnings("ignore:It is not known whether:FutureWarning")

RESOURCE = "USB0::0x1313::0x8072::P2000000::INSTR"


class MeterLab(SmallLab):
    def __init__(self) -> None:
        super().__init__()
        self.meter = open_unit("thorlabs_pm100d", "meter", self.world, {"variant": "PM100USB"})
        self.world.power_w["meter"] = 2.5e-3

    def resources(self) -> list[str]:
        return [RESOURCE]

    def by_resource(self, resource: str) -> object:
        return self.meter if resource == RESOURCE else None


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThorlabsPM100USB]:
    monkeypatch.setattr(visa_library, "open_lab", lambda path: MeterLab())
    driver = ThorlabsPM100USB(RESOURCE, visa_library="meter-lab@labctl")
    yield driver
    driver.adapter.close()
    driver.adapter.manager.close()


def test_it_finds_a_power_sensor(meter: ThorlabsPM100USB) -> None:
    assert meter.sensor_name.strip('"') == "S144C"
    assert meter.is_power_sensor
    assert not meter.is_energy_sensor
    assert meter.wavelength_settable


def test_power_and_wavelength(meter: ThorlabsPM100USB) -> None:
    assert meter.power == pytest.approx(2.5e-3)
    meter.wavelength = 1310
    assert meter.wavelength == pytest.approx(1310)
    meter.wavelength = 99999  # the driver cuts it to the sensor's limit
    assert meter.wavelength == pytest.approx(1700)
    assert meter.check_errors() == []


@pytest.mark.parametrize(
    ("command", "value"),
    [
        ("MEAS:POW?", 2.5e-3),
        ("MEAS:PDEN?", 2.5e-3 / (3.14159265 / 4 * 0.95**2)),
        ("MEAS:CURR?", 5e-5),
        ("MEAS:FREQ?", 0),
    ],
)
def test_what_a_photodiode_measures(meter: ThorlabsPM100USB, command: str, value: float) -> None:
    """What PyMeasure's tests exchange besides; ENER, EDEN, VOLT and TEMP are for other sensors."""
    assert float(meter.ask(command)) == pytest.approx(value)
    assert meter.check_errors() == []


def test_no_energy_of_a_photodiode(meter: ThorlabsPM100USB) -> None:
    with pytest.raises(AttributeError):
        assert meter.energy
