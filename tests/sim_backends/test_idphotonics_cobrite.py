"""The simulated CoBrite over its socket."""

from __future__ import annotations

import pytest

from sim_backends.idphotonics_cobrite import CoBrite
from sim_backends.unit import open_unit
from tests.sim_backends.rig import Client, QuietWorld


def laser(**options: object) -> Client:
    return Client(open_unit("idphotonics_cobrite", "laser", QuietWorld(), {"line_ends": False, **options}), ending=";")


def unit_of(client: Client) -> CoBrite:
    assert isinstance(client.unit, CoBrite)
    return client.unit


def wait(client: Client, seconds: float) -> None:
    assert isinstance(client.unit.world, QuietWorld)
    client.unit.world.time_s += seconds
    client.unit.elapse()


def test_every_command_has_one_reply_with_the_terminator_asked_for() -> None:
    assert laser().ask("FREQ? 1,1,1") == "193.4000;"
    client = laser(line_ends=True)
    client.write("FREQ 1,1,1,193.5")
    assert client.read_bytes() == b";\r\n"
    client.ending = "\r\n"  # CR ends a command, LF does not count
    assert client.ask("FREQ? 1,1,1") == "193.5000;"


def test_an_empty_command_and_a_header_that_nobody_knows() -> None:
    client = laser()
    assert client.ask("") == "ERR 100, unknown command;"
    assert client.ask("NONSENSE 1") == "ERR 100, unknown command;"
    assert client.ask("ERR?") == "ERR 100, unknown command;"


@pytest.mark.parametrize("text", ["FREQ?", "FREQ? 1,1", "FREQ? 1,1,2", "FREQ? 1,1,1,5", "POW 1,1,1", "POW 1,1,1,ten"])
def test_wrong_arguments(text: str) -> None:
    assert laser(default_address=False).ask(text) == "ERR 101, wrong arguments;"


@pytest.mark.parametrize("header", ["FREQ", "freq", ":SOURce:FREQuency", ":SOUR:FREQ", "SOUR:FREQ"])
def test_headers_long_and_short(header: str) -> None:
    client = laser()
    assert client.ask(f"{header} 1,1,1,194.0000") == ";"
    assert client.ask(f"{header}? 1,1,1") == "194.0000;"


def test_the_world_sees_what_was_told() -> None:
    client = laser()
    for text in ("WAV 1,1,1,1550.12", "OFF 1,1,1,-1.5", "POW 1,1,1,10", "STAT 1,1,1,1"):
        assert client.ask(text) == ";"
    state = unit_of(client).state
    assert state.wavelength_m == pytest.approx(299792458 / (193.3995e12 - 1.5e9), rel=1e-12)
    assert state.power_w == pytest.approx(10e-3)
    assert state.emission
    assert client.ask("CONF? 1,1,1") == "193.3995,-1.500,10.00,1,1,0;"
    assert client.ask("LIM? 1,1,1") == "191.3000,196.2500,12.000,6.00,15.50;"


def test_busy_until_it_has_settled() -> None:
    client = laser(settle_s=5.0)
    assert client.ask("*OPC?") == "1;"
    client.write("FREQ 1,1,1,194;BUSY? 1,1,1;*OPC?")
    assert client.read() == ";1;0;"
    wait(client, 4.9)
    assert client.ask("BUSY? 1,1,1") == "1;"
    wait(client, 0.2)
    assert client.ask("BUSY? 1,1,1;*OPC?") == "0;1;"


@pytest.mark.parametrize("waiting", ["BWAI 1,1,1", "*WAI", "WAITMS 5000"])
def test_what_comes_behind_a_wait_waits(waiting: str) -> None:
    client = laser(settle_s=5.0)
    client.write(f"FREQ 1,1,1,194;{waiting};STAT 1,1,1,1;STAT? 1,1,1")
    assert client.read() == ";"
    assert not unit_of(client).state.emission
    assert client.unit.wake_in_s() == pytest.approx(5.0)
    wait(client, 5.0)
    assert client.read() == ";;1;"
    assert client.unit.wake_in_s() is None


def test_out_of_range() -> None:
    for text in ("FREQ 1,1,1,200", "POW 1,1,1,5", "OFF 1,1,1,13", "WAV 1,1,1,0"):
        assert laser().ask(text) == "ERR 200, value out of range;"
    client = laser(out_of_range="ignored")
    assert client.ask("FREQ 1,1,1,200") == ";"
    assert client.ask("FREQ? 1,1,1") == "193.4000;"


@pytest.mark.parametrize(("answer", "reply"), [("error", "ERR 104, laser is powered down;"), ("acknowledged", ";")])
def test_an_open_interlock_keeps_it_dark(answer: str, reply: str) -> None:
    client = laser(interlock_answer=answer)
    client.ask("STAT 1,1,1,1")
    unit_of(client).set_interlock(False)
    assert client.ask("INTL?;STAT? 1,1,1") == "1;0;"
    assert client.ask("STAT 1,1,1,1") == reply
    unit_of(client).set_interlock(True)
    assert client.ask("INTL?;STAT? 1,1,1") == "0;0;"
    assert client.ask("STAT 1,1,1,1;STAT? 1,1,1") == ";1;"


def test_wildcards_list_every_laser() -> None:
    client = laser(devices=2)
    assert client.ask("LAY?") == "LAY,1,1,DEV2;"
    assert client.ask("STAT *,*,*,1") == ";"
    assert client.ask("STAT? *") == "1,1,1,1\r\n1,1,2,1;"
    assert client.ask("STAT? 1,1,*") == "1,1,1,1\r\n1,1,2,1;"
    listed = laser(devices=1, absent_state="-1").ask("STAT? *")
    assert listed == "1,1,1,0\r\n1,1,2,-1\r\n1,1,3,-1\r\n1,1,4,-1;"


def test_echo_and_password() -> None:
    client = laser()
    assert client.ask("ECHO 1") == ";"
    assert client.ask("*OPC?") == "*OPC?;1;"
    assert client.ask("INTI") == "INTI;;"
    assert client.ask("ECHO?") == "0;"
    assert client.ask("DHCP off") == "ERR 201, not authorized;"
    assert client.ask("PASS IDP;PASS?;DHCP off;DHCP?") == ";1;;off;"


def test_a_laser_without_dither() -> None:
    client = laser(dither=False)
    assert client.ask("DIT 1,1,1,1;DIT? 1,1,1") == ";-1;"
    assert laser().ask("DIT 1,1,1,1;DIT? 1,1,1") == ";1;"


@pytest.mark.parametrize(
    ("text", "full", "shown"),
    [
        ("FREQ 193.41", "FREQ? 1,1,1", "193.4100;"),
        ("POW 10", "POW? 1,1,1", "10.00;"),
        ("STAT 1", "STAT? 1,1,1", "1;"),
        ("OFF -1.5", "OFF? 1,1,1", "-1.500;"),
    ],
)
def test_an_address_that_is_left_out_is_that_of_the_first_laser(text: str, full: str, shown: str) -> None:
    client = laser(devices=2)
    assert client.ask(text) == ";"
    assert client.ask(full) == client.ask(text.split()[0] + "?") == shown


@pytest.mark.parametrize("header", ["MON", "ERR", "LIM", "CONF", "BUSY", "TYP", "FREQ:LIM", "APOW", "DIT", "WAV"])
def test_queries_without_an_address(header: str) -> None:
    client = laser()
    assert client.ask(f"{header}?") == client.ask(f"{header}? 1,1,1")


@pytest.mark.parametrize("text", ["FREQ", "FREQ 193,41", "FREQ? 1,1", "LIM? 3"])
def test_wrong_arguments_without_an_address(text: str) -> None:
    assert laser().ask(text) == "ERR 101, wrong arguments;"
