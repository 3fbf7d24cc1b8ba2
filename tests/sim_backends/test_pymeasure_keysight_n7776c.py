"""PyMeasure's own driver of the N7776C, written by others against the real laser, on the simulated one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pymeasure.instruments.keysight.keysightN7776C import KeysightN7776C

from sim_backends import visa_library
from sim_backends.unit import open_unit
from tests.sim_backends.rig import QuietWorld, SmallLab

pytestmark = pytest.mark.filterwarnings("ignore:It is not known whether:FutureWarning")
RESOURCE = "TCPIP0::10.0.0.1::5025::SOCKET"


class LaserLab(SmallLab):
    def __init__(self) -> None:
        super().__init__()
        self.quiet = QuietWorld()
        self.laser = open_unit("keysight_n7776c", "laser", self.quiet, {"locked": True})

    def resources(self) -> list[str]:
        return [RESOURCE]

    def by_resource(self, resource: str) -> object:
        return self.laser if resource == RESOURCE else None


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> LaserLab:
    made = LaserLab()
    monkeypatch.setattr(visa_library, "open_lab", lambda path: made)
    return made


@pytest.fixture
def laser(lab: LaserLab) -> Iterator[KeysightN7776C]:
    driver = KeysightN7776C(RESOURCE, visa_library="n7776c-lab@labctl", read_termination="\n", write_termination="\n")
    yield driver
    driver.adapter.close()
    driver.adapter.manager.close()


def no_errors(laser: KeysightN7776C) -> None:
    assert laser.ask(":SYST:ERR?").startswith("+0,")


def test_light(laser: KeysightN7776C) -> None:
    assert laser.locked is True
    laser.locked = False
    laser.output_enabled = True
    assert laser.output_enabled is True
    laser.output_power_dBm = 7
    assert laser.output_power_dBm == pytest.approx(7)
    laser.output_power_mW = 10
    assert laser.output_power_mW == pytest.approx(10, rel=1e-4)
    laser.wavelength = 1550.12
    assert laser.wavelength == pytest.approx(1550.12)
    no_errors(laser)


def test_triggers(laser: KeysightN7776C) -> None:
    for kind in ("DIS", "STF", "SWF", "SWST"):
        laser.trigger_out = kind
        assert laser.trigger_out == kind
    for kind in ("IGN", "NEXT", "SWS"):
        laser.trigger_in = kind
        assert laser.trigger_in == kind
    no_errors(laser)


def test_a_logged_sweep(laser: KeysightN7776C, lab: LaserLab) -> None:
    laser.sweep_wl_start, laser.sweep_wl_stop, laser.sweep_step, laser.sweep_speed = 1550, 1551, 0.5, 1
    assert (laser.sweep_wl_start, laser.sweep_wl_stop) == pytest.approx((1550, 1551))
    assert (laser.sweep_step, laser.sweep_speed) == pytest.approx((0.5, 1))
    laser.sweep_mode = "CONT"
    laser.sweep_twoway = False
    laser.wl_logging = True
    assert not laser.valid_sweep_params()
    laser.trigger_out = "STF"
    assert laser.valid_sweep_params()
    laser.sweep_state = 1
    assert laser.sweep_state == 1
    lab.quiet.time_s += 2.0
    assert laser.sweep_state == 0
    assert laser.sweep_points == 3
    assert laser.get_wl_data() == pytest.approx([1550e-9, 1550.5e-9, 1551e-9])
    assert (laser.sweep_mode, laser.sweep_twoway, laser.wl_logging) == ("CONT", False, True)
    no_errors(laser)


def test_steps(laser: KeysightN7776C) -> None:
    laser.sweep_mode = "MAN"
    laser.sweep_state = 1
    laser.next_step()
    assert laser.wavelength == pytest.approx(1541)
    laser.previous_step()
    assert laser.wavelength == pytest.approx(1540)
    no_errors(laser)
