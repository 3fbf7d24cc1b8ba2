"""QMI, the measurement framework of Delft's quantum network, on its own sockets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from labctl.budget.sources import Tables
from tests.clients.desk import MISSING, Desk, second_supplier
from tests.contract.suppliers import overlaid

pytest.importorskip("qmi", reason=MISSING)
contexts = pytest.importorskip("qmi.core.context")
santec = pytest.importorskip("qmi.instruments.santec.tsl_570")
thorlabs = pytest.importorskip("qmi.instruments.thorlabs.pm100d")
nkt = pytest.importorskip("qmi.instruments.nkt_photonics.boostik")
oz = pytest.importorskip("qmi.instruments.ozoptics.dd100mc")


#: A power meter with a network.
PM103E = {
    "instruments": {"power_meter": {"resource": "TCPIP0::192.168.10.51::2000::SOCKET"}},
    "world": {"units": {"power_meter": {"model": "thorlabs_pm100d", "variant": "PM103E"}}},
}


@pytest.fixture
def changes() -> Tables:
    quick = {"world": {"units": {"amplifier": {"settle_s": 0.0}}}}
    boostik = overlaid(second_supplier("nkt_boostik"), quick)
    return overlaid(overlaid(PM103E, boostik), second_supplier("ozoptics_dd100mc"))


@pytest.fixture
def context() -> Iterator[Any]:
    made = contexts.QMI_Context("labctl")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def laser(context: Any, tcp_desk: Desk) -> Iterator[Any]:
    made = santec.Santec_Tsl570(context, "laser", f"tcp:127.0.0.1:{tcp_desk.port('laser')}")
    made.open()
    yield made
    assert made.get_errors() == []
    made.close()


def test_light_on(tcp_desk: Desk, laser: Any) -> None:
    laser.reset()
    assert laser.get_idn().model == "TSL-570"
    laser.set_wavelength(1550.12)
    laser.set_power_level(5.0)
    laser.set_optical_output_status(True)
    assert laser.get_wavelength() == pytest.approx(1550.12)
    assert laser.get_actual_power() == pytest.approx(5.0)
    state = tcp_desk.lab.units["laser"].state
    assert state.emission
    assert state.wavelength_m == pytest.approx(1550.12e-9)
    assert state.power_w == pytest.approx(10**0.5 * 1e-3, rel=1e-3)
    laser.set_frequency(193.5)
    assert laser.get_frequency() == pytest.approx(193.5)
    laser.set_power_level_unit_to_mw()
    assert laser.get_power_level() == pytest.approx(3.16)
    with pytest.raises(ValueError, match="out of"):
        laser.set_power_level(30.0)


def test_a_sweep_and_its_log(laser: Any) -> None:
    laser.set_sweep_start_wavelength(1530.0)
    laser.set_sweep_stop_wavelength(1532.0)
    laser.set_sweep_mode(1)
    laser.set_sweep_speed(10)
    laser.set_sweep_cycles(1)
    laser.set_trigger_output_timing_mode(3)
    laser.set_sweep_state(1)
    assert laser.get_sweep_state() == 1
    end = time.monotonic() + 5
    while laser.get_sweep_state() != 0:
        assert time.monotonic() < end
    assert laser.get_wavelength() == pytest.approx(1532.0)
    assert laser.readout_points() == 21
    assert laser.readout_data() == pytest.approx([1530 + 0.1 * step for step in range(21)])


def test_power(context: Any, tcp_desk: Desk) -> None:
    light = tcp_desk.lab.units["laser"].state
    light.emission, light.power_w = True, 10e-3
    meter = thorlabs.Thorlabs_PM100D(context, "meter", f"tcp:127.0.0.1:{tcp_desk.port('power_meter')}")
    meter.open()
    assert meter.get_idn().model == "PM103E"
    assert meter.get_sensor_info().name.strip('"') == "S144C"
    meter.set_wavelength(1550.0)
    assert meter.get_wavelength() == pytest.approx(1550.0)
    expected = tcp_desk.lab.world.optical_power_w("power_meter")
    assert meter.get_power() == pytest.approx(expected, rel=1e-6) != 0
    meter.set_range(1e-3)
    assert meter.get_range() >= 1e-3
    meter.close()


def test_amplifier(context: Any, tcp_desk: Desk) -> None:
    amplifier = nkt.KoherasBoostikLaserAmplifier(context, "amplifier", f"tcp:127.0.0.1:{tcp_desk.port('amplifier')}")
    amplifier.open()
    assert amplifier.get_amplifier_information()
    assert amplifier.set_current_setpoint(0.25) == 0.25
    assert amplifier.get_current_setpoint() == 0.25
    amplifier.set_amplifier_enabled(True)
    assert amplifier.get_amplifier_enabled()
    assert 0 <= amplifier.get_actual_current() <= 0.25
    assert amplifier.get_ambient_temperature() > 0
    assert tcp_desk.lab.units["amplifier"].state.emission
    amplifier.set_amplifier_enabled(False)
    assert not amplifier.get_amplifier_enabled()
    amplifier.close()


def test_attenuator(context: Any, tcp_desk: Desk) -> None:
    attenuator = oz.OZOptics_DD100MC(context, "attenuator", f"tcp:127.0.0.1:{tcp_desk.port('attenuator')}")
    attenuator.open()
    assert attenuator.get_configuration_display()
    attenuator.home()
    attenuator.set_attenuation(12.34)
    assert tcp_desk.lab.units["attenuator"].state.channels[1].attenuation_db == pytest.approx(12.34, abs=0.01)
    attenuator.close()
