"""DD-100-MC: replies of several lines, homing, and an attenuator without a shutter that can be dark all the same."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.ozoptics_dd100mc import DD100MC
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import ConfigError, InstrumentRefused, InstrumentReply, LimitError, WrongInstrument
from tests.drivers.scripted import Answer, ScriptedVisa

RESOURCE = "ASRL/dev/ttyUSB2::INSTR"
CD = ("CD\r", b"DD-100-MC\r\nSN: 150123-01\r\nIL:0.60\r\nMAX ATTEN:60.00\r\nDone\r\n\r\n")


def done(*lines: str) -> bytes:
    return "".join(line + "\r\n" for line in (*lines, "Done", "")).encode()


def at(attenuation_db: float) -> tuple[str, Answer]:
    return "D\r", done("DPos:1234", f"ATTEN:{attenuation_db:.2f}")


def attenuator(*pairs: tuple[str, Answer], **options: Any) -> tuple[DD100MC, ScriptedVisa]:
    visa = ScriptedVisa([(sent.encode(), answer) for sent, answer in (CD, *pairs)])
    made = DD100MC("attenuator", RESOURCE, VisaLibrary(visa), SteppedClock(), **options)
    made.open()
    return made, visa


def test_opening_reads_the_units_own_limits_and_moves_nothing() -> None:
    made, _ = attenuator()
    assert str(made.identity) == "OZ Optics DD-100-MC 150123-01"
    assert (made.attenuation_range_db.low, made.attenuation_range_db.high) == (0.6, 60.0)


def test_somebody_else_and_options_that_cannot_be() -> None:
    visa = ScriptedVisa([(b"CD\r", b"Error-2\r\n")])
    made = DD100MC("attenuator", RESOURCE, VisaLibrary(visa), SteppedClock())
    with pytest.raises(WrongInstrument, match="no DD-100-MC"):
        made.open()
    with pytest.raises(ConfigError, match="dark_db"):
        attenuator(dark_db=0.0)


def test_attenuation_is_rounded_down_and_read_back() -> None:
    made, _ = attenuator(at(0.6), at(0.6), ("A15.12\r", done("Pos:1452")), at(15.12), at(15.12))
    made.set_attenuation(1, 15.129)
    assert made.attenuation(1) == 15.12


def test_an_echo_and_labels_of_either_kind() -> None:
    made, _ = attenuator(("D\r", b"D\r\nPos:10\r\nAtten:10.00(dB)\r\nDone\r\n"))
    assert made.attenuation(1) == 10.0


def test_it_is_homed_before_it_is_moved_and_not_when_it_is_opened() -> None:
    unknown = ("D\r", done("DPos:0", "ATTEN:unknown"))
    made, _ = attenuator(
        unknown, unknown, unknown, unknown, ("H\r", done("Diff=0")), ("A10.00\r", done("Pos:940")), at(10.0)
    )
    assert made.problems()
    with pytest.raises(InstrumentReply, match="not been homed"):
        made.attenuation(1)
    made.set_attenuation(1, 10.0)


def test_closed_is_the_largest_attenuation_and_opening_brings_the_old_one_back() -> None:
    made, _ = attenuator(
        at(10.0), at(10.0), ("A60.00\r", done("Pos:5940")), at(60.0),
        at(60.0), at(60.0),
        at(60.0), at(60.0), ("A12.00\r", done("Pos:1140")), at(12.0),
    )  # fmt: skip
    made.set_shutter(1, False)
    made.set_attenuation(1, 12.0)
    assert made.attenuation(1) == 12.0, "what it will be"
    made.set_shutter(1, True)


def test_nothing_to_open_to() -> None:
    made, _ = attenuator(at(60.0), at(60.0))
    assert not made.shutter(1)
    with pytest.raises(LimitError, match="no other one has been set"):
        made.set_shutter(1, True)


def test_dark_only_where_the_largest_attenuation_is_enough() -> None:
    made, _ = attenuator(at(60.0), at(60.0), ("A60.00\r", done("Pos:5940")), at(60.0), at(60.0))
    assert made.safe_state().dark
    made, _ = attenuator(at(60.0), at(60.0), ("A60.00\r", done("Pos:5940")), at(60.0), at(60.0), dark_db=70.0)
    state = made.safe_state()
    assert not state.dark
    assert "70 dB count as dark" in state.problem


def test_a_motor_that_stays_behind_and_an_error() -> None:
    made, _ = attenuator(at(5.0), at(5.0), ("A10.00\r", done("Pos:1")), at(5.0))
    with pytest.raises(InstrumentRefused, match=r"told 10.00 dB and reads back 5 dB"):
        made.set_attenuation(1, 10.0)
    made, _ = attenuator(at(5.0), at(5.0), ("A10.00\r", b"Error-7\r\n"))
    with pytest.raises(InstrumentRefused, match="Error-7"):
        made.set_attenuation(1, 10.0)


def test_limits_are_refused_before_anything_is_sent() -> None:
    made, visa = attenuator()
    sent = visa.opened[0].writes
    for attenuation_db in (0.5, 60.5, float("nan")):
        with pytest.raises(LimitError):
            made.set_attenuation(1, attenuation_db)
    with pytest.raises(LimitError, match="no channel 3"):
        made.set_attenuation(3, 10.0)
    assert visa.opened[0].writes == sent
