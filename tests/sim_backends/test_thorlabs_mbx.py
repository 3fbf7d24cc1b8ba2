"""The simulated MBX over its serial line."""

from __future__ import annotations

import math

import pytest

from sim_backends.thorlabs_mbx import KEPT, MBX
from sim_backends.unit import open_unit
from tests.sim_backends.rig import Client, QuietWorld


def controller(**options: object) -> Client:
    return Client(open_unit("thorlabs_mbx", "bias", QuietWorld(), options))


def world_of(client: Client) -> QuietWorld:
    assert isinstance(client.unit.world, QuietWorld)
    return client.unit.world


def electrode(client: Client):
    assert isinstance(client.unit, MBX)
    return client.unit.state.electrodes[0]


def test_identity() -> None:
    client = controller(variant="MBX1310", serial="42")
    assert client.ask("*IDN?") == "THORLABS,MBX1310,42,1.9.5"
    assert client.ask("SYST:MODEL?") == "MBX1310"
    assert client.ask("*OPC?") == "1"


@pytest.mark.parametrize("ending", ["\n", "\r", "\r\n", "\n\r"])
@pytest.mark.parametrize(("eol", "end"), [("LF", b"\n"), ("CR", b"\r")])
def test_ends_of_lines(ending: str, eol: str, end: bytes) -> None:
    client = controller(eol=eol)
    client.ending = ending
    client.write("MZM:MODE?")
    assert client.read_bytes() == b"0" + end


def test_all_commands_are_answered_or_only_two() -> None:
    for ack, ordinary in (("all", "1"), ("some", None)):
        client = controller(ack=ack, calibration_s=0)
        for text in ("MZM:MODE: 2", "MZM:HOLD:VOLTAGE: -1500", "VOA:ATTEN: 3.5", "RGB:RED: 7"):
            client.write(text)
            assert client.read() == ordinary, text
        for text in ("MZM:RESET", "VOA:MODE: 1"):
            client.write(text)
            assert client.read() == "1", text


@pytest.mark.parametrize(
    "text", ["MZM:HOLD:VOLTAGE: 1500", "MZM:HOLD:VOLTAGE 1500", "mzm:hold:voltage:1500", "MZM:HOLD:V: 1500"]
)
def test_ways_to_write_a_command(text: str) -> None:
    client = controller()
    assert client.ask(text) == "1"
    assert client.ask("MZM:HOLD:VOLTAGE?") == client.ask("MZM:HOLD:V?") == "1500"
    assert client.ask("MZM:Dither:AMPL?") == client.ask("MZM:Dither:AMP?") == "100"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("NONSENSE", "Err: Undefined header"),
        ("MZM:NONSENSE?", "Err: Undefined header"),
        ("MZM:MODE:", "Err: Parameter error"),
        ("MZM:MODE: two", "Err: Parameter error"),
        ("MZM:MODE: 1.5", "Err: Parameter error"),
        ("MZM:MODE: 10", "Err: Data out of range"),
        ("MZM:HOLD:VOLTAGE: 10001", "Err: Data out of range"),
        ("MZM:Dither:AMPL: 19", "Err: Data out of range"),
        ("VOA:ATTEN: nan", "Err: Parameter error"),
        ("MZM:SETPOINT: 1", "Err: Undefined header"),
        ("LASER:POWER: 1", "Err: Feature not present"),
        ("AMP:GAIN?", "Err: Feature not present"),
        ("?", "Err: Undefined header"),
    ],
)
@pytest.mark.parametrize("ack", ["all", "some"])
def test_errors_come_in_place_of_a_reply(text: str, said: str, ack: str) -> None:
    client = controller(ack=ack)
    assert client.ask(text) == said
    assert client.ask("MZM:MODE?") == "0"


def test_everything_kept_is_given_back_within_its_range() -> None:
    client = controller()
    for header, (low, high, start, decimals) in KEPT.items():
        assert float(client.ask(header + "?")) == start
        for value in (low, high):
            assert client.ask(f"{header}: {value}") == "1"
            assert client.ask(header + "?") == f"{value:.{decimals}f}"


def test_modes_and_their_voltages() -> None:
    """The arm is 0.1 V_pi off its null; 5 V at the electrode are V_pi."""
    client = controller()
    world_of(client).bias = 0.1
    client.ask("MZM:HOLD:VOLTAGE: 2500")
    found = {}
    for mode in range(10):
        client.ask(f"MZM:MODE: {mode}")
        found[mode] = float(client.ask("MZM:VOLTAGE?"))
    power = 2 / math.pi * math.asin(math.sqrt(0.4)) * 5
    expected = [0, 4.5, -0.5, 2, -3, 2, -3, 2.5, power - 0.5, -power - 0.5]
    assert list(found.values()) == pytest.approx(expected, abs=1e-3)


def test_pilot_tone_only_where_the_mode_has_one() -> None:
    client = controller(dither_mvpp=300, dither_hz=2000)
    toned = []
    for mode in range(10):
        client.ask(f"MZM:MODE: {mode}")
        if electrode(client).dither_vpp:
            toned.append(mode)
            assert (electrode(client).dither_vpp, electrode(client).dither_hz) == (0.3, 2000)
    assert toned == [1, 2, 3, 4, 8, 9]


def test_the_setpoint_is_reached_in_time_and_only_under_control() -> None:
    client = controller(settle_s=2.0)
    assert client.ask("MZM:SETPOINT?") == "0"
    client.ask("MZM:MODE: 2")
    assert client.ask("MZM:SETPOINT?") == "0"
    world_of(client).time_s += 2.0
    assert client.ask("MZM:SETPOINT?") == "1"
    client.ask("MZM:MODE: 7")
    world_of(client).time_s += 2.0
    assert client.ask("MZM:SETPOINT?") == "0"


def test_one_that_finds_no_point_holds_nothing() -> None:
    client = controller(finds_points=False, settle_s=0)
    client.ask("MZM:MODE: 2")
    assert client.ask("MZM:SETPOINT?") == "0"
    assert electrode(client).point is None


def test_calibration_blocks_the_modulator_s_commands() -> None:
    client = controller(calibration_s=5.0)
    assert client.ask("MZM:CALIBRATING?") == "0"
    assert client.ask("MZM:RESET") == "1"
    assert client.ask("MZM:CALIBRATING?") == "1"
    for text in ("MZM:MODE?", "MZM:MODE: 2", "MZM:RESET"):
        assert client.ask(text) == "Err: Execution error"
    assert client.ask("VOA:POWER?") == "0"
    world_of(client).time_s += 5.0
    assert client.ask("MZM:CALIBRATING?") == "0"
    assert client.ask("MZM:MODE: 2") == "1"


def test_power_on_as_the_front_panel_left_it_and_an_error() -> None:
    client = controller(mode=2, error_mv=-30, v_pi_v=4.0)
    assert client.ask("MZM:MODE?") == "2"
    assert (electrode(client).point, electrode(client).v_pi_v) == (0.0, 4.0)
    assert float(client.ask("MZM:VOLTAGE?")) == pytest.approx(-0.03)


def test_taps() -> None:
    client = controller()
    assert client.ask("MZM:TAP:DBM?") == "-99.00"
    world_of(client).power_w["bias"] = 2e-3
    assert float(client.ask("MZM:TAP:MW?")) == 2.0
    assert float(client.ask("MZM:TAP:DBM?")) == pytest.approx(3.01)
    client.ask("VOA:ATTEN: 10")
    client.ask("VOA:POWER: 1")
    assert float(client.ask("VOA:TAP:MW?")) == pytest.approx(0.2)
    assert client.ask("VOA:MEASURED?") == "10.00"
    assert client.ask("VOA:SETPOINT?") == "1"
