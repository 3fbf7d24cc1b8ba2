"""OSW: no name, no answer to a command; what is set is read back."""

from __future__ import annotations

import pytest

from drivers.thorlabs_osw import OSW
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import ConfigError, InstrumentRefused, InstrumentReply, LimitError, WrongInstrument
from tests.drivers.scripted import Answer, ScriptedVisa

RESOURCE = "ASRL/dev/ttyUSB3::INSTR"
OPENING = [("I?", "OSW22-1310E V1.0"), ("S?", "1")]


def made(*pairs: tuple[str, Answer], opening: list[tuple[str, Answer]] | None = None) -> tuple[OSW, ScriptedVisa]:
    visa = ScriptedVisa([*(OPENING if opening is None else opening), *pairs], read_end=b"\r\n")
    switch = OSW("switch", RESOURCE, VisaLibrary(visa), SteppedClock())
    switch.open()
    return switch, visa


def test_opening_and_snapshot() -> None:
    switch, visa = made(("S?", "2"), ("T?", "0"))
    assert str(switch.identity).startswith("Thorlabs OSW22-1310E V1.0")
    assert switch.snapshot() == {"position": 2, "type_code": "0"}
    visa.finished()


def test_switching_waits_until_it_is_there() -> None:
    switch, visa = made(("S 2", None), ("S?", "1"), ("S?", "1"), ("S?", "2"))
    switch.set_position(2)
    visa.finished()


def test_one_that_does_not_switch() -> None:
    switch, _ = made(("S 2", None), *[("S?", "1")] * 400)
    with pytest.raises(InstrumentRefused, match=r"told to go to 2 and is at 1 after 3 s"):
        switch.set_position(2)


def test_no_such_position() -> None:
    switch, visa = made()
    for position in (0, 3, -1):
        with pytest.raises(LimitError, match="there is no position"):
            switch.set_position(position)
    visa.finished()


@pytest.mark.parametrize("reply", ["0", "3", "x", "1.5"])
def test_a_position_that_is_none(reply: str) -> None:
    switch, _ = made(("S?", reply))
    with pytest.raises(InstrumentReply):
        switch.position()


@pytest.mark.parametrize(
    "opening", [[("I?", "Err: Undefined header"), ("S?", "Err: Undefined header")], [("I?", ""), ("S?", "1")]]
)
def test_another_instrument(opening: list[tuple[str, Answer]]) -> None:
    with pytest.raises(WrongInstrument, match="switch"):
        made(opening=opening)


def test_times_are_positive() -> None:
    with pytest.raises(ConfigError, match="settle_timeout_s"):
        OSW("switch", RESOURCE, VisaLibrary(ScriptedVisa()), SteppedClock(), settle_timeout_s=0)
