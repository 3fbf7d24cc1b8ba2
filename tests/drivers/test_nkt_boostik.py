"""BOOSTIK: every answer is the value in force, and nothing else is told."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.nkt_boostik import Boostik
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import ConfigError, InstrumentRefused, InstrumentTimeout, LimitError, WrongInstrument
from tests.drivers.scripted import Answer, Script, ScriptedVisa

RESOURCE = "ASRL/dev/ttyUSB1::INSTR"
OPENING = [("CDI", "Koheras BOOSTIK HPA SN 24060017"), ("ACC", "0.000"), ("CDO", "0")]


def amplifier(*pairs: tuple[str, Answer], **options: Any) -> tuple[Boostik, ScriptedVisa, SteppedClock]:
    visa = ScriptedVisa([*OPENING, *pairs], write_end=b"\r\n", read_end=b"\r\n")
    clock = SteppedClock()
    made = Boostik("amplifier", RESOURCE, VisaLibrary(visa), clock, **options)
    made.open()
    return made, visa, clock


def test_opening_asks_and_sets_nothing() -> None:
    made, visa, _ = amplifier(information="24060017", current_max_a=6.5)
    assert str(made.identity) == "NKT Photonics Koheras BOOSTIK Koheras BOOSTIK HPA SN 24060017"
    assert made.pump_range_a.high == 6.5
    visa.finished()


@pytest.mark.parametrize(
    "script",
    [
        [("CDI", "something else"), ("ACC", "Error"), ("CDO", "0")],
        [("CDI", "something else"), ("ACC", "0.1"), ("CDO", "7")],
        [("CDI", ""), ("ACC", "0.1"), ("CDO", "0")],
    ],
)
def test_somebody_else(script: Script) -> None:
    visa = ScriptedVisa(script, write_end=b"\r\n", read_end=b"\r\n")
    made = Boostik("amplifier", RESOURCE, VisaLibrary(visa), SteppedClock())
    with pytest.raises((WrongInstrument, InstrumentTimeout)):
        made.open()


def test_another_serial_number_than_the_bench_says() -> None:
    with pytest.raises(WrongInstrument, match="not the BOOSTIK expected"):
        amplifier(information="SN 99")


def test_a_largest_current_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="current_max_a"):
        amplifier(current_max_a=0.0)


def test_the_current_in_force_is_the_one_that_was_set() -> None:
    made, visa, _ = amplifier(("ACC 0.1234", "0.123"), ("ACC", "0.123"))
    made.set_pump(0.1234)
    assert made.pump() == 0.123
    visa.finished()


def test_a_current_that_is_refused() -> None:
    made, _, _ = amplifier(("ACC 0.9", "0.100"))
    with pytest.raises(InstrumentRefused, match=r"told 0.9 A and 0.1 A is in force"):
        made.set_pump(0.9)


def test_limits_are_refused_before_anything_is_sent() -> None:
    made, visa, _ = amplifier()
    for current_a in (-0.1, 1.1, float("nan")):
        with pytest.raises(LimitError, match="outside 0 to 1 A"):
            made.set_pump(current_a)
    visa.finished()


def test_emission_that_takes_its_time() -> None:
    made, visa, clock = amplifier(("CDO 1", "0"), ("CDO", "0"), ("CDO", "1"), ("CDO 0", "0"))
    made.set_emission(True)
    assert clock.now() == pytest.approx(0.2)
    made.set_emission(False)
    visa.finished()


def test_emission_that_does_not_come_is_no_silence() -> None:
    made, _, clock = amplifier(("CDO 1", "0"), *[("CDO", "0")] * 102)
    with pytest.raises(InstrumentRefused, match="told on and off is in force") as caught:
        made.set_emission(True)
    assert "interlock" in str(caught.value.remedy)
    assert clock.now() == pytest.approx(10.0, abs=0.11)
    assert not made.interlock_open(), "it cannot tell"


def test_a_pump_that_cannot_be_switched_off_is_not_dark() -> None:
    made, _, _ = amplifier(("CDO 0", "1"), *[("CDO", "1")] * 102)
    state = made.safe_state()
    assert not state.dark
    assert "not off" in state.problem
