"""PyMeasure's own driver of the MBX, written by others against the real controller, on the simulated one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pymeasure.instruments.thorlabs.thorlabsmbxseries import MzmMode, RgbPowerMode, ThorlabsMBXSeries, VoaMode

from sim_backends import visa_library
from sim_backends.unit import open_unit
from tests.sim_backends.rig import SmallLab

RESOURCE = "ASRL7::INSTR"


class BiasLab(SmallLab):
    def __init__(self) -> None:
        super().__init__()
        options = {"ack": "some", "eol": "CR", "settle_s": 0, "calibration_s": 0}
        self.bias = open_unit("thorlabs_mbx", "bias", self.world, options)
        self.world.power_w["bias"] = 1.5e-3

    def resources(self) -> list[str]:
        return [RESOURCE]

    def by_resource(self, resource: str) -> object:
        return self.bias if resource == RESOURCE else None


@pytest.fixture
def bias(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThorlabsMBXSeries]:
    monkeypatch.setattr(visa_library, "open_lab", lambda path: BiasLab())
    driver = ThorlabsMBXSeries(RESOURCE, visa_library="bias-lab@labctl")
    yield driver
    driver.adapter.close()
    driver.adapter.manager.close()


def test_modulator(bias: ThorlabsMBXSeries) -> None:
    bias.mzm.calibrate()
    assert not bias.mzm.is_calibrating
    for mode in MzmMode:
        bias.mzm.mode = mode
        assert bias.mzm.mode == mode
    bias.mzm.ratio_setpoint = 5.004
    assert bias.mzm.ratio_setpoint == 5.0
    bias.mzm.voltage_setpoint = 5.0004
    assert bias.mzm.voltage_setpoint == 5
    bias.mzm.mode = MzmMode.MANUAL
    assert bias.mzm.voltage == 5.0
    bias.mzm.mode = MzmMode.AUTONULL
    assert bias.mzm.is_stable
    assert bias.mzm.power == pytest.approx(1.5)


def test_attenuator_and_lamps(bias: ThorlabsMBXSeries) -> None:
    bias.voa.enabled = True
    assert bias.voa.enabled
    assert bias.voa.is_stable
    for mode in (VoaMode.POWER, VoaMode.ATTENUATION):
        bias.voa.mode = mode
        assert bias.voa.mode == mode
    bias.voa.attenuation_setpoint = 5
    assert bias.voa.attenuation_setpoint == bias.voa.attenuation == 5
    assert bias.voa.attenuation_error == 0
    bias.voa.power_setpoint = 5
    assert bias.voa.power_setpoint == 5
    assert bias.voa.power == pytest.approx(1.5 * 10**-0.5, abs=1e-6)
    bias.rgb.mode = RgbPowerMode.WHITE
    assert bias.rgb.mode == RgbPowerMode.WHITE
    bias.rgb.rgb = (55, 65, 75)
    assert bias.rgb.rgb == (55, 65, 75)
    bias.rgb.white = 50
    assert bias.rgb.white == 50
