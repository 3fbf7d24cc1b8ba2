"""The simulated N7764A over its wire."""

from __future__ import annotations

import pytest

from sim_backends.keysight_n7764a import N7764A
from sim_backends.unit import open_unit
from tests.sim_backends.rig import Client, QuietWorld


@pytest.fixture
def world() -> QuietWorld:
    return QuietWorld()


@pytest.fixture
def unit(world: QuietWorld) -> N7764A:
    opened = open_unit("keysight_n7764a", "voa", world, {})
    assert isinstance(opened, N7764A)
    return opened


@pytest.fixture
def client(unit: N7764A) -> Client:
    return Client(unit)


def test_it_wakes_up_closed(unit: N7764A, client: Client) -> None:
    assert client.ask("*IDN?").startswith("Keysight Technologies,N7764A,")
    assert list(unit.state.channels) == [1, 3, 5, 7]
    assert not any(channel.shutter_open for channel in unit.state.channels.values())
    assert client.ask(":SYST:ERR?") == '+0,"No error"'


def test_attenuation_of_each_slot(unit: N7764A, client: Client) -> None:
    client.write(":INP1:ATT 12.3456 DB;:INPut7:CHANnel:ATTenuation 3")
    assert unit.state.channels[1].attenuation_db == pytest.approx(12.346)  # 0.001 dB steps
    assert unit.state.channels[7].attenuation_db == pytest.approx(3.0)
    assert client.ask(":INP1:ATT?;:INP7:ATT?;:INP3:ATT?") == "+1.23460000E+001;+3.00000000E+000;+0.00000000E+000"
    client.write(":INP3:ATT MAX")
    assert unit.state.channels[3].attenuation_db == 45.0
    assert [float(client.ask(f":INP3:ATT? {end}")) for end in ("MIN", "MAX", "DEF")] == [0.0, 45.0, 0.0]


@pytest.mark.parametrize("message", [":INP1:ATT 45.01", ":INP1:ATT -1", ":INP1:WAV 1200NM", ":OUTP1:ATIM 20"])
def test_out_of_range(unit: N7764A, client: Client, message: str) -> None:
    client.write(message)
    assert client.errors() == [-222]
    assert unit.state.channels[1].attenuation_db == 0.0


@pytest.mark.parametrize("message", [":INP2:ATT 3", ":OUTP4 1", ":INP8:WAV?", ":INP9:ATT 3", ":FETC2:POW?"])
def test_there_are_no_other_slots(client: Client, message: str) -> None:
    client.write(message)
    assert client.read() is None
    assert client.errors() == [-114]


def test_the_offset_changes_what_is_shown(unit: N7764A, client: Client) -> None:
    client.write(":INP1:ATT 10;OFFS 2.5")
    assert float(client.ask(":INP1:ATT?")) == pytest.approx(12.5)
    assert unit.state.channels[1].attenuation_db == pytest.approx(10.0)
    client.write(":INP1:ATT 20")
    assert unit.state.channels[1].attenuation_db == pytest.approx(17.5)
    assert float(client.ask(":INP1:ATT? MIN")) == pytest.approx(2.5)
    client.write(":INP1:OFFS:DISP")
    assert float(client.ask(":INP1:ATT?")) == 0.0
    assert float(client.ask(":INP1:OFFS?")) == pytest.approx(-17.5)


def test_shutters(unit: N7764A, client: Client) -> None:
    client.write(":OUTP1 1;:OUTPut3:STATe ON")
    assert [slot for slot, channel in unit.state.channels.items() if channel.shutter_open] == [1, 3]
    assert client.ask(":OUTP1?;:OUTP3:STAT?;:OUTP5:STAT?") == "1;1;0"
    client.write(":OUTP1:STAT OFF")
    assert not unit.state.channels[1].shutter_open


def test_wavelength_in_nanometres_and_back_in_metres(client: Client) -> None:
    client.write(":INP5:WAV 1310.500000NM")
    assert client.ask(":INP5:WAV?;:INP1:WAV?") == "+1.31050000E-006;+1.55000000E-006"
    assert client.ask(":INP5:WAV? MAX") == "+1.64000000E-006"


def test_power_monitor(world: QuietWorld, client: Client) -> None:
    assert float(client.ask(":FETC1:POW?")) == -200.0
    world.power_w["voa:1"] = 1e-4
    assert float(client.ask(":READ1:POW?")) == pytest.approx(-10.0)
    client.write(":OUTP1:POW:OFFS 1;UN 1")
    assert float(client.ask(":OUTP1:POW?")) == pytest.approx(1e-4 * 10**0.1)
    world.power_w["voa:1"] = 0.0
    assert float(client.ask(":OUTP1:POW?")) == 0.0


def test_power_is_set_by_attenuating(world: QuietWorld, unit: N7764A, client: Client) -> None:
    client.write(":OUTP3:POW -20 dBm")
    assert client.errors() == [-200]  # in the dark
    world.power_w["voa:3"] = 1e-3
    client.write(":INP3:ATT 2;:OUTP3:POW -20")
    assert unit.state.channels[3].attenuation_db == pytest.approx(22.0)
    client.write(":OUTP3:POW 1 W")
    assert client.errors() == [-222]


@pytest.mark.parametrize(
    ("header", "value", "shown"),
    [
        (":INP1:ATT:SPE", "100", "+1.00000000E+002"),
        (":OUTP1:APOW", "1", "1"),
        (":OUTP1:POW:REF", "-3", "-3.00000000E+000"),
        (":OUTP1:POW:CONTR", "1", "1"),
        (":OUTP1:ATIM", "200MS", "+2.00000000E-001"),
        (":OUTP1:POW:UN", "1", "1"),
    ],
)
def test_settings_are_kept_per_slot_and_reset(client: Client, header: str, value: str, shown: str) -> None:
    before = client.ask(header + "?")
    client.write(f"{header} {value}")
    assert client.ask(header + "?") == shown
    assert client.ask(header.replace("1", "3", 1) + "?") == before
    client.write("*RST")
    assert client.ask(header + "?") == before


def test_reset_keeps_the_very_objects_the_world_looks_at(unit: N7764A, client: Client) -> None:
    channel = unit.state.channels[1]
    client.write(":INP1:ATT 10;OFFS 1;:OUTP1 1;*RST")
    assert unit.state.channels[1] is channel
    assert (channel.attenuation_db, channel.shutter_open) == (0.0, False)
    assert float(client.ask(":INP1:OFFS?")) == 0.0


def test_smaller_models_have_fewer_slots(world: QuietWorld) -> None:
    client = Client(open_unit("keysight_n7764a", "voa", world, {"variant": "N7761A", "serial": "X"}))
    assert client.ask("*IDN?") == client.ask(":SLOT1:IDN?") == "Keysight Technologies,N7761A,X,1.28"
    client.write(":INP3:ATT 1")
    assert client.errors() == [-114]


def test_a_power_in_the_dark_may_be_without_effect() -> None:
    unit = open_unit("keysight_n7764a", "voa", QuietWorld(), {"power_in_dark": "kept"})
    assert isinstance(unit, N7764A)
    client = Client(unit)
    client.write(":INP1:ATT 7;:OUTP1:POW -10 dBm")
    assert unit.state.channels[1].attenuation_db == 7.0
    assert client.errors() == []
    client.write(":OUTP1:POW 0 W")
    assert client.errors() == [-200]


def test_even_slots_may_be_those_before_them() -> None:
    unit = open_unit("keysight_n7764a", "voa", QuietWorld(), {"even_slots": "same"})
    assert isinstance(unit, N7764A)
    client = Client(unit)
    client.write(":INP2:ATT 7;:OUTP4 1;:INP2:WAV 1310NM")
    assert unit.state.channels[1].attenuation_db == 7.0
    assert unit.state.channels[3].shutter_open
    assert client.ask(":INP1:ATT?;:INP2:ATT?;:INP1:WAV?") == "+7.00000000E+000;+7.00000000E+000;+1.31000000E-006"
    client.write(":INP9:ATT?")
    assert client.errors() == [-114]
