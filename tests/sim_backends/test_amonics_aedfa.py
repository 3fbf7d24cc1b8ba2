"""The simulated AEDFA over its serial line."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_backends.amonics_aedfa import AEDFA, PROTECTIONS
from sim_backends.unit import open_unit
from tests.sim_backends.rig import Client, QuietWorld

Make = Callable[..., Client]


class PacedClient(Client):
    """Keeps the 50 ms that the manual asks for."""

    def write(self, text: str) -> None:
        assert isinstance(self.unit.world, QuietWorld)
        self.unit.world.time_s += 0.05
        super().write(text)


def amplifier(**options: object) -> PacedClient:
    return PacedClient(open_unit("amonics_aedfa", "edfa", QuietWorld(), {"settle_s": 1.0, **options}), ending="\r\n")


def world_of(client: Client) -> QuietWorld:
    assert isinstance(client.unit.world, QuietWorld)
    return client.unit.world


def unit_of(client: Client) -> AEDFA:
    assert isinstance(client.unit, AEDFA)
    return client.unit


def test_identity_by_its_own_queries_and_silence_otherwise() -> None:
    client = amplifier(serial="42")
    assert client.ask(":CAL:SYS:MODEL?").startswith("AEDFA")
    client.write(":CAL:SYS:SERIAL?")
    assert client.read_bytes() == b"42\r\n"
    for text in ("*IDN?", "CAL:SYS:MODEL?", ":SYST:ERR?", ":SENS:POW:OUT:CH1?", ":NONSENSE", ":", "", ":DRIV:MCTRL 7"):
        client.write(text)
        assert client.read() is None, text


def test_lf_alone_and_blanks_are_accepted() -> None:
    client = amplifier()
    client.ending = " \n"
    assert client.ask(":DRIV:MCTRL?") == "0"


def test_a_command_within_50_ms_of_the_one_before_is_lost() -> None:
    client = amplifier()
    world = world_of(client)
    world.time_s = 1.0
    client.connection.receive(b":DRIV:ACC:CUR:CH1 100\r\n:DRIV:ACC:CUR:CH1 200\r\n")
    world.time_s = 1.04
    client.connection.receive(b":DRIV:MCTRL?\r\n")
    assert client.read() is None
    world.time_s = 1.09
    client.connection.receive(b":DRIV:ACC:CUR:CH1?\r\n")
    assert client.read() == "1.000000e+02"


def test_spacing_may_be_forgiven() -> None:
    client = amplifier(strict_spacing=False)
    client.connection.receive(b":DRIV:MCTRL?\r\n:DRIV:INTERLOCK?\r\n")
    assert client.read_bytes() == b"0\r\n0\r\n"


def test_a_command_must_arrive_within_500_ms() -> None:
    client = amplifier()
    world = world_of(client)
    world.time_s = 1.0
    client.connection.receive(b":DRIV:MC")
    world.time_s = 1.4
    client.connection.receive(b"TRL?\r\n")
    assert client.read() == "0"
    world.time_s = 2.0
    client.connection.receive(b":DRIV:MC")
    world.time_s = 2.6
    client.connection.receive(b"TRL?\r\n")
    assert client.read() is None
    world.time_s = 3.0
    client.connection.receive(b":DRIV:MCTRL?\r\n")
    assert client.read() == "0"


def test_a_clock_that_is_set_back_does_not_deafen_it() -> None:
    client = amplifier()
    world_of(client).time_s = 1e6
    assert client.ask(":DRIV:MCTRL?") == "0"
    world_of(client).time_s = 0.0
    assert client.ask(":DRIV:MCTRL?") == "0"


def test_switching_on_needs_the_channel_and_takes_its_time() -> None:
    client = amplifier()
    world, state = world_of(client), unit_of(client).state
    client.write(":DRIV:ACC:CUR:CH1 123.46")
    assert client.ask(":DRIV:ACC:CUR:CH1?") == "1.235000e+02"  # 0.1 mA steps
    assert state.pump_a == pytest.approx(0.1235)
    client.write(":DRIV:MCTRL 1")  # the channel is off: ignored
    assert client.ask(":DRIV:MCTRL?") == "0"
    client.write(":DRIV:ACC:STAT:CH1 1")
    assert client.ask(":DRIV:ACC:STAT:CH1?") == "2"
    client.write(":DRIV:MCTRL 1")  # the channel is busy: ignored
    assert not state.emission
    world.time_s += 1.0
    assert client.ask(":DRIV:ACC:STAT:CH1?") == "1"
    client.write(":DRIV:MCTRL 1")
    assert state.emission
    assert client.ask(":DRIV:MCTRL?") == "2"
    world.time_s += 1.0
    assert client.ask(":DRIV:MCTRL?") == "1"
    assert client.ask(":SENS:CUR:CH1?") == "1.235000e+02"


def lit(**options: object) -> PacedClient:
    client = amplifier(settle_s=0.0, **options)
    for command in (":DRIV:ACC:CUR:CH1 100", ":DRIV:ACC:STAT:CH1 1", ":DRIV:MCTRL 1"):
        client.write(command)
    assert unit_of(client).state.emission
    return client


def test_the_master_switches_off() -> None:
    client = lit()
    client.write(":DRIV:MCTRL 0")
    assert not unit_of(client).state.emission
    assert client.ask(":DRIV:ACC:STAT:CH1?") == "1"
    assert client.ask(":SENS:CUR:CH1?") == "0.000000e+00"


def test_the_channel_takes_the_master_with_it() -> None:
    client = lit()
    client.write(":DRIV:ACC:STAT:CH1 0")
    assert not unit_of(client).state.emission
    assert client.ask(":DRIV:MCTRL?") == "0"


@pytest.mark.parametrize("value", ["1000.1", "-1", "nan", "1e400", "abc", "", "1 2"])
def test_a_wrong_current_changes_nothing(value: str) -> None:
    client = lit()
    client.write(f":DRIV:ACC:CUR:CH1 {value}")
    assert client.ask(":DRIV:ACC:CUR:CH1?") == "1.000000e+02"
    assert client.ask(":READ:DRIV:MAX:ACC:CH1?") == "1.000000e+03"


def test_the_interlock_switches_off_and_locks_until_it_is_unlocked() -> None:
    client = lit()
    unit = unit_of(client)
    unit.set_interlock(False)
    assert not unit.state.emission
    assert client.ask(":DRIV:INTERLOCK?") == "1"
    assert client.ask(":DRIV:ACC:STAT:CH1?") == "4"
    client.write(":THRES:INTERLOCK:UNLOCK 1")  # the loop is still open
    assert client.ask(":DRIV:INTERLOCK?") == "1"
    unit.set_interlock(True)
    client.write(":DRIV:ACC:STAT:CH1 1")
    assert client.ask(":DRIV:ACC:STAT:CH1?") == "4"
    client.write(":THRES:INTERLOCK:UNLOCK 1")
    assert client.ask(":DRIV:INTERLOCK?") == "0"
    assert client.ask(":DRIV:ACC:STAT:CH1?") == "0"


def test_the_interlock_may_be_open_from_the_start() -> None:
    client = amplifier(interlock_open=True)
    assert client.ask(":DRIV:INTERLOCK?") == "1"
    assert unit_of(client).state.interlock_open


def test_loss_of_seed_shuts_the_pump() -> None:
    client = lit()
    world, state = world_of(client), unit_of(client).state
    world.power_w["edfa"] = 1e-3
    assert client.ask(":SENS:POW:IN:CH1?") == "1.000000e+00"
    assert client.ask(":SENS:THRES:ALARM:POW:IN:LOS:CH1?") == "2"  # not watched
    client.write(":THRES:POW:IN:LEV:SET1 -20")
    client.write(":THRES:POW:IN:STAT:SET1 1")
    assert client.ask(":SENS:THRES:ALARM:POW:IN:LOS:CH1?") == "0"
    assert state.emission
    world.power_w["edfa"] = 1e-6
    assert client.ask(":SENS:THRES:ALARM:POW:IN:LOS:CH1?") == "1"
    assert not state.emission
    world.power_w["edfa"] = 1e-3
    assert client.ask(":SENS:THRES:ALARM:POW:IN:LOS:CH1?") == "0"
    assert client.ask(":SENS:THRES:ALARM:POW:IN:LOS:CH1:LATCH?") == "1"
    assert client.ask(":DRIV:MCTRL?") == "0"


def test_without_input_monitor_its_queries_are_silent() -> None:
    client = amplifier(input_monitor=False)
    assert client.ask(":READ:CH:POW:IN?") == "0"
    client.write(":SENS:POW:IN:CH1?")
    assert client.read() is None


def test_constant_power_is_there_when_it_was_ordered() -> None:
    plain = amplifier()
    assert plain.ask(":READ:MODE:NAMES?") == "ACC"
    plain.write(":MODE:SW:CH1 APC")
    assert plain.ask(":MODE:SW:CH1?") == "ACC"
    plain.write(":DRIV:APC:CUR:CH1?")
    assert plain.read() is None
    client = amplifier(apc=True, settle_s=0.0, power_max_mw=500.0, current_max_ma=1000.0)
    assert client.ask(":READ:MODE:NAMES?") == "ACC APC"
    assert client.ask(":READ:DRIV:UNIT:APC:CH1?") == "mW"
    client.write(":MODE:SW:CH1 APC")
    client.write(":DRIV:APC:CUR:CH1 250")
    client.write(":DRIV:ACC:STAT:CH1 1")  # not the mode in force
    assert client.ask(":DRIV:APC:STAT:CH1?") == "0"
    client.write(":DRIV:APC:STAT:CH1 1")
    client.write(":DRIV:MCTRL 1")
    assert unit_of(client).state.emission
    assert unit_of(client).state.pump_a == pytest.approx(0.5)
    client.write(":MODE:SW:CH1 ACC")  # not while it is on
    assert client.ask(":MODE:SW:CH1?") == "APC"


COUNTS = ["DRIV:ACC", "CUR", "POW:IN", "POW:OUT", "POW:PD", "TEMP:BOX", "TEMP:FC", "TEMP:TEC", "VOLT:PS"]


def test_channel_counts_and_readings() -> None:
    client = amplifier()
    assert [int(client.ask(f":READ:CH:{what}?")) for what in COUNTS] == [1, 1, 1, 0, 0, 1, 1, 1, 1]
    assert 20 < float(client.ask(":SENS:TEMP:BOX?")) < 40
    assert float(client.ask(":SENS:VOLT:PS?")) == pytest.approx(5, abs=0.1)
    assert client.ask(":READ:DRIV:UNIT:ACC:CH1?") == "mA"
    assert client.ask(":READ:DRIV:STEP:ACC:CH1?") == "1.000000e-01"
    assert client.ask(":DRIV:SEED_ST?") == "0"
    for alarm in ("CUR:OVER:CH1", "TEMP:BOX", "TEMP:FC", "TEMP:TEC:WARN:CH1", "VOLT:PS", "POW:IN:OVER:CH1"):
        assert client.ask(f":SENS:THRES:ALARM:{alarm}?") == "0"


def test_running_time() -> None:
    client = amplifier()
    world_of(client).time_s = 5 * 86400 + 10 * 3600 + 9 * 60 + 7.5
    assert client.ask(":READ:DRIV:TIME?") == "5d.10h:9m:7s"


@pytest.mark.parametrize("key", sorted(PROTECTIONS))
def test_protections_are_kept_within_their_limits(key: str) -> None:
    client = amplifier()
    low, high, _ = PROTECTIONS[key]
    for value in (low, high):
        client.write(f":THRES:{key} {value:g}")
        client.write(f":THRES:{key} {high + 1:g}")
        assert float(client.ask(f":THRES:{key}?")) == value


def test_output_limit() -> None:
    client = amplifier()
    client.write(":DRIV:LIMIT:POW:OUT:MAX 20")
    assert client.ask(":DRIV:LIMIT:POW:OUT:MAX?") == "2.000000e+01"


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_garbage_neither_raises_nor_lights_anything(pieces: list[bytes]) -> None:
    client = amplifier(strict_spacing=False)
    for piece in pieces:
        client.connection.receive(piece)
    client.connection.receive(b"\r\n")
    client.read()
    assert client.ask(":DRIV:MCTRL?") == "0"
    assert not unit_of(client).state.emission
