"""N7744A: the channel that is used, units on the wire, readings beyond the range, logging."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drivers.keysight_n7744a import N7744A
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import ConfigError, InstrumentReply, InstrumentTimeout, LimitError, WrongInstrument
from tests.drivers.scripted import Answer, Script, ScriptedVisa

RESOURCE = "TCPIP0::192.168.10.51::5025::SOCKET"
NO_ERROR = '+0,"No error"'


def obeyed(command: str) -> Script:
    return [(command, None), (":SYSTem:ERRor?", NO_ERROR)]


def recognised(model: str = "N7744A") -> Script:
    return [("*IDN?", f"Keysight Technologies,{model},MY54120102,1.24"), (":SYSTem:ERRor?", NO_ERROR)]


LIMITS: Script = [
    (":SENSe2:POWer:WAVelength? MIN", "+1.25000000E-006"),
    (":SENSe2:POWer:WAVelength? MAX", "+1.65000000E-006"),
]
LOGGING: Script = [
    *obeyed(":SENSe2:FUNCtion:PARameter:LOGGing 3,0.01S"),
    *obeyed(":SENSe2:FUNCtion:STATe LOGGing,STARt"),
]


def meter(*pairs: tuple[bytes | str, Answer], **options: Any) -> tuple[N7744A, ScriptedVisa, SteppedClock]:
    visa = ScriptedVisa([*recognised(), *obeyed(":SENSe2:POWer:UNIT 1"), *LIMITS, *pairs])
    clock = SteppedClock()
    made = N7744A("power_meter", RESOURCE, VisaLibrary(visa), clock, channel=2, **options)
    made.open()
    return made, visa, clock


def block(*values: float) -> bytes:
    data = np.array(values, "<f4").tobytes()
    return b"#2%02d" % len(data) + data + b"\n"


def test_opening_and_power() -> None:
    made, visa, _ = meter((":READ2:POWer?", "+1.02345600E-003"))
    assert made.wavelength_range_m.high == pytest.approx(1650e-9)
    assert made.power() == pytest.approx(1.023456e-3)
    visa.finished()


def test_averaging_is_set_at_opening() -> None:
    script = [*recognised(), *obeyed(":SENSe2:POWer:UNIT 1"), *obeyed(":SENSe2:POWer:ATIMe 0.1S"), *LIMITS]
    visa = ScriptedVisa(script)
    N7744A("power_meter", RESOURCE, VisaLibrary(visa), SteppedClock(), channel=2, averaging_s=0.1).open()
    visa.finished()


@pytest.mark.parametrize(("model", "channel", "error"), [("N7744A", 5, ConfigError), ("N7764A", 1, WrongInstrument)])
def test_channels_and_models_that_it_is_not(model: str, channel: int, error: type[Exception]) -> None:
    visa = ScriptedVisa(recognised(model))
    with pytest.raises(error):
        N7744A("power_meter", RESOURCE, VisaLibrary(visa), SteppedClock(), channel=channel).open()


@pytest.mark.parametrize("options", [{"averaging_s": 0.0}, {"channel": 0}])
def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        N7744A("power_meter", RESOURCE, VisaLibrary(ScriptedVisa([])), SteppedClock(), **options)


def test_beyond_the_range_is_no_reading() -> None:
    made, _, _ = meter((":READ2:POWer?", "+3.40282300E+038"))
    with pytest.raises(InstrumentReply, match="overflow"):
        made.power()


def test_wavelength() -> None:
    made, visa, _ = meter(*obeyed(":SENSe2:POWer:WAVelength 1550.120000NM"))
    made.set_wavelength(1550.12e-9)
    for wrong in (1249e-9, 1651e-9, float("nan")):
        with pytest.raises(LimitError):
            made.set_wavelength(wrong)
    visa.finished()


def test_a_log_is_waited_for_and_fetched_whole() -> None:
    made, visa, clock = meter(
        *LOGGING,
        (":SENSe2:FUNCtion:STATe?", "LOGGING_STABILITY,PROGRESS"),
        (":SENSe2:FUNCtion:STATe?", "LOGGING_STABILITY,COMPLETE"),
        (b":SENSe2:FUNCtion:RESult?\n", block(1e-3, 2e-3, 3e-3)),
        *obeyed(":SENSe2:FUNCtion:STATe LOGGing,STOP"),
    )
    assert made.log(3, 0.01) == pytest.approx([1e-3, 2e-3, 3e-3])
    assert clock.now() == pytest.approx(0.1)
    visa.finished()


@pytest.mark.parametrize("values", [(1e-3, 2e-3), (1e-3, 2e-3, 3.402823e38)])
def test_a_log_with_readings_missing_or_beyond_the_range(values: tuple[float, ...]) -> None:
    made, _, _ = meter(
        *LOGGING,
        (":SENSe2:FUNCtion:STATe?", "LOGGING_STABILITY,COMPLETE"),
        (b":SENSe2:FUNCtion:RESult?\n", block(*values)),
        *obeyed(":SENSe2:FUNCtion:STATe LOGGing,STOP"),
    )
    with pytest.raises(InstrumentReply, match="of 3 readings"):
        made.log(3, 0.01)


def test_a_log_that_never_ends_and_one_that_cannot_be() -> None:
    made, _, _ = meter(*LOGGING, *[(":SENSe2:FUNCtion:STATe?", "NONE,PROGRESS")] * 60)
    for samples, averaging_s in ((0, 0.1), (1_000_001, 0.1), (3, 0.0)):
        with pytest.raises(LimitError):
            made.log(samples, averaging_s)
    with pytest.raises(InstrumentTimeout, match="still logging"):
        made.log(3, 0.01)
