"""The simulated TSL-570 over its wire."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.errors import ConfigError
from sim_backends.santec_tsl570 import TSL570
from sim_backends.unit import open_unit
from tests.sim_backends.rig import Client, QuietWorld

C_M_S = 299_792_458.0


@pytest.fixture
def world() -> QuietWorld:
    return QuietWorld()


@pytest.fixture
def laser(world: QuietWorld) -> TSL570:
    unit = open_unit("santec_tsl570", "laser", world, {"settle_s": 2.0, "serial": "7"})
    assert isinstance(unit, TSL570)
    return unit


@pytest.fixture
def client(laser: TSL570) -> Client:
    return Client(laser, ending="\r")


def test_replies_end_with_cr_and_commands_with_cr_or_lf(client: Client) -> None:
    for ending in (b"\r", b"\n", b"\r\n"):
        client.connection.receive(b"*IDN?" + ending)
        assert client.read_bytes() == b"SANTEC,TSL-570,7,0026.0026.0011\r"


def test_it_wakes_up_dark(laser: TSL570, client: Client) -> None:
    assert not laser.state.emission
    assert client.ask(":POW:STAT?") == "0"
    assert client.ask(":POW:ACT?") == "-60.00"
    assert client.ask(":SYST:ERR?") == '0,"No error"'
    assert client.ask(":SYST:ALER?") == "No alerts."


def test_wavelength_in_both_command_sets(laser: TSL570, client: Client) -> None:
    client.write(":WAV 1551.23456")
    assert laser.state.wavelength_m == pytest.approx(1551.2346e-9, abs=1e-17)  # 0.1 pm steps
    assert client.ask(":WAVelength?") == "1551.2346"
    client.write(":SYSTem:COMMunicate:CODe 1")
    assert client.ask(":WAV?") == "+1.55123460E-006"
    client.write(":WAV 1.5601E-6;:SYST:COMM:COD 0")
    assert client.ask(":WAV?;:SYST:COMM:COD?") == "1560.1000;0"
    client.write(":WAV 1.55e-6M")  # a unit that is spoken counts in either
    assert client.ask(":WAV?") == "1550.0000"


def test_frequency_is_the_same_light(laser: TSL570, client: Client) -> None:
    client.write(":FREQ 193.4")
    assert laser.state.wavelength_m == pytest.approx(C_M_S / 193.4e12, abs=0.5e-13)
    assert client.ask(":WAV:FREQ?;:FREQ?") == "193.40000;193.40000"
    client.write(":SYST:COMM:COD 1")
    assert float(client.ask(":FREQ?")) == pytest.approx(193.4e12, rel=1e-7)


def test_wavelength_limits(client: Client) -> None:
    assert client.ask(":WAV? MIN;:WAV? MAX;:WAV:MIN?;MAX?") == "1480.0000;1640.0000;1480.0000;1640.0000"
    assert float(client.ask(":FREQ? MIN")) == pytest.approx(C_M_S / 1640e-9 * 1e-12, abs=1e-5)
    assert float(client.ask(":WAV:SWE:RANG:MAX?")) == 1640.0
    for message in (":WAV 1479.9", ":WAV 1640.1", ":FREQ 1", ":WAV 1550nm;:WAV 99"):
        client.write(message)
    assert client.errors() == [-222] * 4
    client.write(":WAV MAX")
    assert client.ask(":WAV?") == "1640.0000"


def test_power_in_both_units(laser: TSL570, client: Client) -> None:
    client.write(":POW 10")
    assert laser.state.power_w == pytest.approx(0.01)
    assert client.ask(":POW?") == "+10.00"
    client.write(":POW:UNIT 1;:POW 5")
    assert laser.state.power_w == pytest.approx(5e-3, rel=2e-3)  # 0.01 dB steps
    assert float(client.ask(":POW:LEV?")) == pytest.approx(5.0, rel=2e-3)
    client.write(":POW 25;:POW 0.01;:POW:UNIT 2")
    assert client.errors() == [-222] * 3
    client.write(":POW:UNIT 0")
    assert client.ask(":POW? MIN;:POW? MAX") == "-15.00;+13.00"


def test_light_needs_the_diode(laser: TSL570, client: Client) -> None:
    client.write(":POW 3;STAT 1;SHUT 1")  # the last header's level is the root, so this is wrong
    assert client.errors() == [-113]
    client.write(":POW 3;:POW:STAT 1;SHUT 1")
    assert laser.state.emission
    assert laser.state.shutter_closed
    assert client.ask(":POW:ACT?;:POW:SHUT?") == "+3.00;1"
    client.write(":POW:SHUT 0;STAT 0")
    assert not laser.state.emission
    assert not laser.state.shutter_closed


def test_attenuation_counts_when_power_control_is_manual(laser: TSL570, client: Client) -> None:
    client.write(":POW 0;:POW:ATT 10;ATT:AUT 0")
    assert client.ask(":POW:ATT?;:POW:ATT:AUT?") == "10.00;0"
    assert 10 * math.log10(laser.state.power_w / 1e-3) == pytest.approx(3.0)
    client.write(":POW:ATT:AUT 1")
    assert laser.state.power_w == pytest.approx(1e-3)
    client.write(":POW:ATT 31")
    assert client.errors() == [-222]


def test_opc_query_answers_zero_until_settled(world: QuietWorld, client: Client) -> None:
    client.write(":WAV 1560")
    assert client.ask("*OPC?") == "0"
    world.time_s = 1.999
    assert client.ask("*OPC?") == "0"
    world.time_s = 2.0
    assert client.ask("*OPC?") == "1"


def test_a_clock_that_is_set_back_does_not_leave_it_busy(world: QuietWorld, client: Client) -> None:
    world.time_s = 1e6
    client.write(":WAV 1560")
    world.time_s = 0.0
    assert client.ask("*OPC?") == "1"


def test_opc_event_comes_when_settled(world: QuietWorld, client: Client) -> None:
    client.write("*CLS;:POW 1;*OPC")
    assert client.ask("*ESR?") == "0"
    world.time_s = 2.0
    assert client.ask("*ESR?") == "1"


SETTINGS = [
    (":WAV:SWE:STAR", "1500.0000"), (":WAV:SWE:STOP", "1600.0000"), (":WAV:SWE:STEP", "0.1000"),
    (":WAV:SWE:MOD", "3"), (":WAV:SWE:SPE", "50"), (":WAV:SWE:DWEL", "1.5"), (":WAV:SWE:DEL", "2.0"),
    (":WAV:SWE:CYCL", "7"), (":FREQ:SWE:STEP", "0.01000"), (":WAV:FIN", "-12.50"), (":WAV:UNIT", "1"), (":COHC", "1"),
    (":TRIG:INP:EXT", "1"), (":TRIG:INP:STAN", "1"), (":TRIG:OUTP", "3"), (":TRIG:OUTP:STEP", "0.2000"),
    (":TRIG:OUTP:SETT", "1"), (":WAV:FREQ:SWE:STEP", "0.02000"), (":WAV:FINetuning", "2.00"),
]  # fmt: skip


@pytest.mark.parametrize(("header", "value"), SETTINGS)
def test_settings_are_kept_and_reset(client: Client, header: str, value: str) -> None:
    before = client.ask(header + "?")
    client.write(f"{header} {value}")
    assert client.ask(header + "?") == value
    client.write("*RST")
    assert client.ask(header + "?") == before
    assert client.errors() == []


@pytest.mark.parametrize(
    "message", [":WAV:SWE:SPE 30", ":WAV:SWE:DWEL 1000", ":WAV:SWE:CYCL 1000", ":WAV:FIN 101", ":WAV:SWE:MOD 4"]
)
def test_wrong_settings_are_refused(client: Client, message: str) -> None:
    client.write(message)
    assert client.errors() == [-222]


def test_sweep_ends_by_frequency(client: Client) -> None:
    client.write(":FREQ:SWE:STAR 195;STOP 190")
    ends = client.ask(":FREQ:SWE:STAR?;STOP?").split(";")
    assert [float(end) for end in ends] == pytest.approx([195.0, 190.0], abs=2e-5)  # 0.1 pm steps
    assert float(client.ask(":WAV:SWE:STAR?")) == pytest.approx(C_M_S / 195e12 * 1e9, abs=1e-4)


def sweep(client: Client, *more: str) -> None:
    """From 1530 to 1532 nm, two seconds of 1 nm/s."""
    for setting in ("STAR 1530", "STOP 1532", "SPE 1", *more):
        client.write(f":WAV:SWE:{setting}")
    client.write(":TRIG:OUTP 3;:TRIG:OUTP:STEP 0.5")
    client.write(":WAV:SWE 1")


def test_a_continuous_sweep_goes_at_its_speed(laser: TSL570, client: Client, world: QuietWorld) -> None:
    sweep(client)
    assert client.ask(":WAV:SWE?;:WAV?;:READ:POIN?") == "1;1530.0000;1"
    world.time_s = 1.25
    assert client.ask(":WAV:SWE?;:WAV?;:READ:POIN?;:WAV:SWE:COUN?") == "1;1531.2500;3;0"
    assert laser.state.wavelength_m == pytest.approx(1531.25e-9, abs=1e-15)
    world.time_s = 2.0
    assert client.ask(":WAV:SWE?;:WAV?;:READ:POIN?;:WAV:SWE:COUN?") == "0;1532.0000;5;1"
    client.write(":READ:DAT?")
    block = client.read_bytes()  # and no terminator
    assert block[:10] == b"#800000020"
    assert np.frombuffer(block[10:], "<i4").tolist() == [15300000, 15305000, 15310000, 15315000, 15320000]
    client.write(":SYST:COMM:COD 1;:READ:DAT?")
    assert np.frombuffer(client.read_bytes()[10:], "<f8") == pytest.approx(1e-9 * np.linspace(1530, 1532, 5))
    assert client.errors() == []


def test_a_stepped_sweep_dwells(client: Client, world: QuietWorld) -> None:
    sweep(client, "MOD 0", "STEP 0.8", "DWEL 0.5")
    seen = []
    for world.time_s in (0.0, 0.49, 0.51, 1.01, 1.49, 1.51):
        seen.append(client.ask(":WAV?"))
    assert seen == ["1530.0000", "1530.0000", "1530.8000", "1531.6000", "1531.6000", "1532.0000"]
    assert client.ask(":WAV:SWE?") == "0"


def test_there_and_back_several_times(client: Client, world: QuietWorld) -> None:
    sweep(client, "MOD 3", "CYCL 2", "DEL 1")
    places = {2.5: "1532.0000;0", 4.0: "1531.0000;0", 5.5: "1530.0000;0", 6.5: "1530.5000;1", 10.5: "1530.5000;1"}
    for world.time_s, expected in places.items():
        assert client.ask(":WAV?;:WAV:SWE:COUN?") == expected
    world.time_s = 11.0
    assert client.ask(":WAV?;:WAV:SWE:COUN?;:WAV:SWE?") == "1530.0000;2;0"


def test_downwards_repeated_until_it_is_stopped(client: Client, world: QuietWorld) -> None:
    sweep(client, "STAR 1532", "STOP 1530")
    client.write(":WAV:SWE:STAT:REP")
    world.time_s = 101.5
    assert client.ask(":WAV?;:WAV:SWE:COUN?;:WAV:SWE:STAT?") == "1530.5000;50;1"
    client.write(":WAV:SWE 0")
    world.time_s = 102.0
    assert client.ask(":WAV?;:WAV:SWE?") == "1530.5000;0"
    client.write(":WAV:SWE:REP;:WAV 1550")  # tuning ends it
    assert client.ask(":WAV:SWE?;:WAV?") == "0;1550.0000"


def test_a_sweep_waits_for_its_trigger(client: Client, world: QuietWorld) -> None:
    client.write(":TRIG:INP:SOFT")
    assert client.errors() == [-200]
    client.write(":TRIG:INP:STAN 1")
    sweep(client)
    assert client.ask(":WAV:SWE?;:WAV?") == "3;1550.0000"
    world.time_s = 10.0
    client.write(":TRIG:INP:SOFT")
    world.time_s = 11.0
    assert client.ask(":WAV:SWE?;:WAV?") == "1;1531.0000"


@pytest.mark.parametrize("more", [("MOD 0",), ("STAR 1532",)])
def test_a_sweep_in_no_time_is_over_at_once(client: Client, more: tuple[str, ...]) -> None:
    sweep(client, *more)
    assert client.ask(":WAV:SWE?;:WAV?") == "0;1532.0000"
    client.write(":WAV:SWE:REP")
    assert client.ask(":WAV:SWE?;:WAV?") == "1;1532.0000"
    client.write("*RST")
    assert client.ask(":WAV:SWE?;:WAV?;:READ:POIN?") == "0;1550.0000;0"


def test_fine_tuning_is_switched_off(client: Client) -> None:
    client.write(":WAV:FIN 5;:WAV:FIN:DIS")
    assert client.ask(":WAV:FIN?") == "0.00"


def test_reset_keeps_the_very_object_the_world_looks_at(laser: TSL570, client: Client) -> None:
    state = laser.state
    client.write(":POW 10;:POW:STAT 1;:WAV 1500;*RST")
    assert laser.state is state
    assert (state.emission, state.power_w, state.wavelength_m) == (False, pytest.approx(1e-3), pytest.approx(1550e-9))


def test_the_product_decides_the_range(world: QuietWorld) -> None:
    unit = open_unit("santec_tsl570", "laser", world, {"wavelength_range_nm": "1260-1360", "command_set": "SCPI"})
    assert Client(unit).ask(":WAV?;:WAV? MAX") == "+1.31000000E-006;+1.36000000E-006"
    with pytest.raises(ConfigError, match="wavelength_range_nm"):
        open_unit("santec_tsl570", "laser", world, {"wavelength_range_nm": "1-2"})
