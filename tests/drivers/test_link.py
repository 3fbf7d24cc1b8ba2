"""Identity, error queue and declared settings of any SCPI instrument."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.link import ScpiLink
from drivers.scpi import real
from drivers.visa import VisaLibrary
from labctl.errors import (
    InstrumentRefused,
    InstrumentReply,
    InstrumentTimeout,
    LimitError,
    WrongInstrument,
)
from labctl.values import Range
from tests.drivers.bench_with import bench_with
from tests.drivers.scripted import Script, ScriptedVisa, checked

RESOURCE = "TCPIP0::192.168.10.11::5025::SOCKET"
OPENING: Script = [("*IDN?", "ACME,Box-1,007,1.0"), (":SYSTem:ERRor?", '+0,"No error"')]
POWER = real(":POWer", "Power", unit="dBm", limits=Range(-15, 13, "dBm"))


def link(*pairs: tuple[str | bytes, str | None]) -> tuple[ScpiLink, ScriptedVisa]:
    visa = ScriptedVisa([*OPENING, *pairs])
    made = ScpiLink(VisaLibrary(visa).connect("box", RESOURCE))
    made.open("ACME", r"Box-\d")
    return made, visa


def test_identity() -> None:
    box, visa = link()
    assert str(box.identity) == "ACME Box-1 007"
    assert box.identity.firmware == "1.0"
    box.close()
    visa.finished()


@pytest.mark.parametrize("reply", ["OTHER,Box-1,1,1", "ACME,Box-12,1,1", "ACME,Box-1", "garbage"])
def test_another_instrument_is_refused_and_let_go(reply: str) -> None:
    visa = ScriptedVisa([("*IDN?", reply)])
    box = ScpiLink(VisaLibrary(visa).connect("box", RESOURCE))
    with pytest.raises(WrongInstrument, match="box"):
        box.open("ACME", r"Box-\d")
    assert not visa.sessions
    with pytest.raises(InstrumentReply, match="not been opened"):
        _ = box.identity


def test_old_errors_are_reported_once_and_blamed_on_nobody() -> None:
    visa = ScriptedVisa(
        [
            OPENING[0],
            (":SYSTem:ERRor?", '-113,"Undefined header"'),
            *[(":SYSTem:ERRor?", '0,"No error"')] * 3,
        ]
    )
    box = ScpiLink(VisaLibrary(visa).connect("box", RESOURCE))
    box.open("ACME", r"Box-\d")
    assert box.problems() == ["-113 Undefined header"]
    assert box.problems() == []
    visa.finished()


def test_setting_and_getting() -> None:
    box, visa = link(*checked(":POWer 2.5"), (":POWer?", "+2.50000000E+000"))
    box.set(POWER, 2.5)
    assert box.get(POWER) == 2.5
    visa.finished()


def test_a_refusal_lists_all_errors_in_order() -> None:
    box, visa = link(
        *checked(":POWer 3", error='-222,"Data out of range"'),
        (":SYSTem:ERRor?", '-200,"Execution error"'),
        (":SYSTem:ERRor?", '0,"No error"'),
        *checked(":POWer 2"),
    )
    with pytest.raises(InstrumentRefused, match="-222 Data out of range; -200 Execution error") as caught:
        box.set(POWER, 3.0)
    assert caught.value.command == ":POWer 3"
    box.set(POWER, 2.0)
    visa.finished()


def test_a_value_outside_the_limits_is_not_sent() -> None:
    box, visa = link()
    for value in (13.1, float("nan"), float("inf")):
        with pytest.raises(LimitError, match="outside -15 to 13 dBm"):
            box.set(POWER, value)
    visa.finished()


@pytest.mark.parametrize("reply", ["9.91E37", "9.9E37", "", "ready", "1,2"])
def test_what_is_no_number_is_named(reply: str) -> None:
    box, _ = link((":POWer?", reply))
    with pytest.raises(InstrumentReply, match=r"box.*:POWer\?"):
        box.get(POWER)


def test_an_error_queue_that_is_none() -> None:
    box, _ = link((":POWer 1", None), (":SYSTem:ERRor?", "fine"))
    with pytest.raises(InstrumentReply, match="error queue"):
        box.set(POWER, 1.0)


def test_an_error_queue_without_end() -> None:
    box, _ = link(*checked(":POWer 1", error='-100,"x"'), *[(":SYSTem:ERRor?", '-100,"x"')] * 100)
    with pytest.raises(InstrumentRefused):
        box.set(POWER, 1.0)


def test_limits_are_asked_for() -> None:
    box, _ = link((":POWer? MAX", "13"))
    assert box.ask(POWER, "MAX") == 13.0


def test_a_query_that_is_refused_says_why() -> None:
    visa = ScriptedVisa(
        [*OPENING, (":POWer?", None)],
        [
            OPENING[0],
            (":SYSTem:ERRor?", '-230,"Data corrupt or stale"'),
            (":SYSTem:ERRor?", '0,"No error"'),
        ],
    )
    box = ScpiLink(VisaLibrary(visa).connect("box", RESOURCE))
    box.open("ACME", r"Box-\d")
    with pytest.raises(InstrumentRefused, match=r"-230 Data corrupt.*:POWer\?"):
        box.get(POWER)
    visa.finished()


def test_a_query_that_stays_silent_for_no_reason() -> None:
    visa = ScriptedVisa([*OPENING, (":POWer?", None)], OPENING)
    box = ScpiLink(VisaLibrary(visa).connect("box", RESOURCE))
    box.open("ACME", r"Box-\d")
    with pytest.raises(InstrumentTimeout):
        box.get(POWER)


ASKING = ":POWer 3;:POWer?;:STATe?;:SYSTem:ERRor?"


def test_obeying_and_answering_in_one_message() -> None:
    box, visa = link((ASKING, '+3.0E+00;1;+0,"No error"'), (":POWer 2;:SYSTem:ERRor?", '0,"No error"'))
    assert box.obey_and_ask(":POWer 3;:POWer?;:STATe?") == "+3.0E+00;1"
    assert box.obey_and_ask(":POWer 2") == ""
    visa.finished()


@pytest.mark.parametrize("text", ["Data out of range", "Data out of range;+3,4 is too much", "0;1;2"])
def test_what_is_refused_among_questions(text: str) -> None:
    """SCPI puts what a device adds to an error behind a semicolon."""
    box, visa = link(
        (ASKING, f'+2.0E+00;1;-222,"{text}"'),
        (":SYSTem:ERRor?", '-200,"Execution error"'),
        (":SYSTem:ERRor?", '0,"No error"'),
    )
    with pytest.raises(InstrumentRefused) as caught:
        box.obey_and_ask(":POWer 3;:POWer?;:STATe?")
    assert f"-222 {text}; -200 Execution error" in str(caught.value)
    assert caught.value.command == ":POWer 3;:POWer?;:STATe?"
    visa.finished()


def test_a_message_that_is_left_halfway() -> None:
    """The instrument drops the rest of a message after an error: its queue is asked apart."""
    box, visa = link(
        (ASKING, "+2.0E+00"), (":SYSTem:ERRor?", '-113,"Undefined header"'), (":SYSTem:ERRor?", '0,"No error"')
    )
    with pytest.raises(InstrumentRefused, match="-113 Undefined header"):
        box.obey_and_ask(":POWer 3;:POWer?;:STATe?")
    visa.finished()


def test_an_error_query_that_asks_something_else_first() -> None:
    events = "*ESR?;:ALLEv?"
    opening: Script = [("*IDN?", "ACME,Box-1,007,1.0"), (events, '0;0,"No events"')]
    visa = ScriptedVisa(
        [
            *opening,
            (":GO", None),
            (events, '0;0,"No events"'),
            (f":A?;:B?;{events}", '7;8;0;0,"No events"'),
            (f":C?;{events}", '9;32;113,"Undefined header; X",222,"Out of range"'),
            (events, '0;0,"No events"'),
            (":STOP", None),
            (events, '16;222,"Out of range"'),
            (events, '0;0,"No events"'),
        ]
    )
    box = ScpiLink(VisaLibrary(visa).connect("box", RESOURCE), events, fields_before=1)
    box.open("ACME", r"Box-\d")
    box.command(":GO")
    assert box.obey_and_ask(":A?;:B?") == "7;8"
    with pytest.raises(InstrumentRefused, match=r"113 Undefined header.*222"):
        box.obey_and_ask(":C?")
    with pytest.raises(InstrumentRefused, match="222 Out of range"):
        box.command(":STOP")
    visa.finished()


def test_a_message_of_parts_with_questions() -> None:
    box, visa = link((b":DATA #13abc;:A?;:SYSTem:ERRor?\n", '5;+0,"No error"'))
    assert box.obey_and_ask(":DATA #13", b"abc", ";:A?") == "5"
    visa.finished()


def test_answers_without_an_error_entry() -> None:
    box, visa = link((ASKING, "+2.0E+00;1"), (":SYSTem:ERRor?", '0,"No error"'))
    with pytest.raises(InstrumentReply, match="no entry of the error queue"):
        box.obey_and_ask(":POWer 3;:POWer?;:STATe?")
    visa.finished()


def test_a_message_with_questions_that_stays_silent() -> None:
    visa = ScriptedVisa(
        [*OPENING, (ASKING, None)],
        [OPENING[0], (":SYSTem:ERRor?", '-113,"Undefined header"'), (":SYSTem:ERRor?", '0,"No error"')],
    )
    box = ScpiLink(VisaLibrary(visa).connect("box", RESOURCE))
    box.open("ACME", r"Box-\d")
    with pytest.raises(InstrumentRefused, match="-113"):
        box.obey_and_ask(":POWer 3;:POWer?;:STATe?")
    visa.finished()


@pytest.mark.parametrize("name", ["laser", "server_awg", "attenuator", "client_scope", "power_meter"])
def test_a_command_that_a_simulated_instrument_refuses_is_named(tmp_path: Path, name: str) -> None:
    with bench_with(tmp_path, name) as bench:
        instrument = bench.open(name)
        link = vars(instrument)["_link"]
        with pytest.raises(InstrumentRefused, match=r"-113.*:NONSENSE 5"):
            link.command(":NONSENSE 5")
        with pytest.raises(InstrumentRefused, match=r"-113.*:NONSENSE\?"):
            link.query(":NONSENSE?")
        assert list(instrument.problems()) == []
