"""PM100D: what goes over the wire, and what is made of the answers."""

from __future__ import annotations

import pytest

from drivers.thorlabs_pm100d import PM100D
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import InstrumentReply, LimitError, WrongInstrument
from tests.drivers.scripted import Answer, ScriptedVisa

RESOURCE = "USB0::0x1313::0x8078::P0001234::INSTR"
NO_ERROR = ("SYSTem:ERRor?", '+0,"No error"')


def obeyed(command: str) -> list[tuple[str, Answer]]:
    return [(command, None), NO_ERROR]


OPENING = [
    ("*IDN?", "THORLABS,PM100D,P0001234,2.6.0"),
    NO_ERROR,
    *obeyed("SENSe:POWer:UNIT W"),
    ("SENSe:CORRection:WAVelength? MIN", "8.00000000E+02"),
    ("SENSe:CORRection:WAVelength? MAX", "1.70000000E+03"),
]


def meter(*pairs: tuple[str, Answer]) -> tuple[PM100D, ScriptedVisa]:
    visa = ScriptedVisa([*OPENING, *pairs])
    made = PM100D("power_meter", RESOURCE, VisaLibrary(visa), SteppedClock())
    made.open()
    return made, visa


def test_power_in_watts() -> None:
    made, visa = meter(("MEASure:POWer?", "1.02345678E-03"))
    assert made.power() == 1.02345678e-3
    assert str(made.identity) == "THORLABS PM100D P0001234"
    visa.finished()


@pytest.mark.parametrize("reply", ["9.9E37", "9.91E37", "-9.9E+37", "over"])
def test_no_reading_is_no_number(reply: str) -> None:
    made, _ = meter(("MEASure:POWer?", reply))
    with pytest.raises(InstrumentReply, match="MEASure:POWer"):
        made.power()


def test_wavelength_within_the_sensors_limits() -> None:
    made, visa = meter(
        *obeyed("SENSe:CORRection:WAVelength 1550.12"),
        ("SENSe:CORRection:WAVelength?", "1.55012000E+03"),
    )
    made.set_wavelength(1550.12e-9)
    assert made.wavelength() == pytest.approx(1550.12e-9)
    for wavelength_m in (799e-9, 1701e-9):
        with pytest.raises(LimitError, match="sensor"):
            made.set_wavelength(wavelength_m)
    visa.finished()


def test_averages_are_set_at_opening() -> None:
    visa = ScriptedVisa([*OPENING[:4], *obeyed("SENSe:AVERage:COUNt 100"), *OPENING[4:]])
    made = PM100D("power_meter", RESOURCE, VisaLibrary(visa), SteppedClock(), averages=100)
    made.open()
    visa.finished()


def test_it_emits_nothing() -> None:
    made, _ = meter()
    assert made.safe_state().dark


def test_another_instrument() -> None:
    visa = ScriptedVisa([("*IDN?", "THORLABS,MBX-1550,1,1.9.5")])
    with pytest.raises(WrongInstrument):
        PM100D("power_meter", RESOURCE, VisaLibrary(visa), SteppedClock()).open()
