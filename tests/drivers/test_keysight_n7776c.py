"""N7776C: the lock, waiting by the bench's clock, units on the wire."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.keysight_n7776c import N7776C
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import InstrumentRefused, InstrumentReply, InstrumentTimeout, InterlockError, LimitError
from tests.drivers.scripted import Answer, Script, ScriptedVisa

RESOURCE = "TCPIP0::192.168.10.13::5025::SOCKET"
NO_ERROR = '+0,"No error"'


def obeyed(command: str, error: str = NO_ERROR) -> Script:
    return [(command, None), (":SYSTem:ERRor?", error)]


SETTLED: Script = [*obeyed("*OPC"), ("*ESR?", "1")]
OPENING: Script = [
    ("*IDN?", "Keysight Technologies,N7776C,MY61000123,1.080"),
    (":SYSTem:ERRor?", NO_ERROR),
    *obeyed(":SOURce0:POWer:UNIT 0"),
    (":SOURce0:WAVelength? MIN", "+1.48000000E-006"),
    (":SOURce0:WAVelength? MAX", "+1.62000000E-006"),
    (":SOURce0:POWer? MIN", "-1.00000000E+001"),
    (":SOURce0:POWer? MAX", "+1.30000000E+001"),
]


def laser(*pairs: tuple[bytes | str, Answer], **options: Any) -> tuple[N7776C, ScriptedVisa, SteppedClock]:
    visa = ScriptedVisa([*OPENING, *pairs])
    clock = SteppedClock()
    made = N7776C("laser", RESOURCE, VisaLibrary(visa), clock, **options)
    made.open()
    return made, visa, clock


def test_opening_reads_the_units_own_limits() -> None:
    made, visa, _ = laser()
    assert made.wavelength_range_m.high == pytest.approx(1620e-9)
    assert made.power_range_w.low == pytest.approx(0.1e-3)
    visa.finished()


def test_tuning_stops_a_sweep_and_waits() -> None:
    made, visa, clock = laser(
        (":SOURce0:WAVelength:SWEep?", "1"),
        *obeyed(":SOURce0:WAVelength:SWEep 0"),
        *obeyed(":SOURce0:WAVelength 1550.120000NM"),
        *obeyed("*OPC"),
        ("*ESR?", "0"),
        ("*ESR?", "0"),
        ("*ESR?", "+129"),
    )
    made.set_wavelength(1550.12e-9)
    assert clock.now() == pytest.approx(0.1)
    visa.finished()


def test_power_in_dbm() -> None:
    made, visa, _ = laser(*obeyed(":SOURce0:POWer 10 DBM"), *SETTLED, (":SOURce0:POWer?", "+1.00000000E+001"))
    made.set_power(10e-3)
    assert made.power() == pytest.approx(10e-3)
    visa.finished()


def test_a_laser_that_never_settles() -> None:
    made, _, _ = laser(*obeyed(":SOURce0:POWer 10 DBM"), *obeyed("*OPC"), *[("*ESR?", "0")] * 1202)
    with pytest.raises(InstrumentTimeout, match="60 s"):
        made.set_power(10e-3)


def test_a_locked_laser_stays_locked_without_the_password() -> None:
    made, visa, _ = laser((":LOCK?", "1"))
    with pytest.raises(InterlockError, match="locked") as caught:
        made.set_emission(True)
    assert "lock_password" in str(caught.value.remedy)
    visa.finished()


def test_a_locked_laser_is_unlocked_with_it() -> None:
    on = [*obeyed(":SOURce0:POWer:STATe 1"), *SETTLED, (":SOURce0:POWer:STATe?", "1")]
    made, visa, _ = laser((":LOCK?", "1"), *obeyed(":LOCK 0,4321"), *on, lock_password="4321")
    made.set_emission(True)
    visa.finished()
    made, _, _ = laser(
        (":LOCK?", "1"),
        *obeyed(":LOCK 0,9876", '-220,"Parameter error"'),
        (":SYSTem:ERRor?", NO_ERROR),
        lock_password="9876",
    )
    with pytest.raises(InstrumentRefused, match="-220") as caught:
        made.set_emission(True)
    assert "9876" not in str(caught.value)


def test_it_is_read_back() -> None:
    off = [*obeyed(":SOURce0:POWer:STATe 0"), *SETTLED, (":SOURce0:POWer:STATe?", "1")]
    made, _, _ = laser(*off, *obeyed(":SOURce0:POWer:STATe 0"), (":SOURce0:POWer:STATe?", "1"))
    with pytest.raises(InstrumentReply, match="switched off"):
        made.set_emission(False)
    assert not made.safe_state().dark


def test_limits_are_refused_before_anything_is_sent() -> None:
    made, visa, _ = laser()
    for wavelength_m in (1479e-9, 1621e-9, float("nan")):
        with pytest.raises(LimitError):
            made.set_wavelength(wavelength_m)
    with pytest.raises(LimitError):
        made.set_power(30e-3)
    visa.finished()
