"""CoBrite: acknowledgements and errors that are replies, waiting by the bench's clock, read-back of everything set."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.idphotonics_cobrite import CoBrite
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import (
    ConfigError,
    InstrumentRefused,
    InstrumentReply,
    InstrumentTimeout,
    InterlockError,
    LimitError,
    WrongInstrument,
)
from tests.drivers.scripted import Answer, ScriptedVisa

RESOURCE = "TCPIP0::192.168.10.12::2000::SOCKET"
IDN = ("*IDN?", "ID Photonics GmbH,CoBrite DX1,SN24001,V1.3.4")
OPENING = [IDN, ("LIM? 1,1,1", "\r\n191.3000,196.2500,12.000,6.00,15.50"), ("STAT? 1,1,1", "\r\n0")]


def laser(*pairs: tuple[str, Answer], **options: Any) -> tuple[CoBrite, ScriptedVisa, SteppedClock]:
    visa = ScriptedVisa([*OPENING, *pairs], write_end=b";", read_end=b";")
    clock = SteppedClock()
    made = CoBrite("laser", RESOURCE, VisaLibrary(visa), clock, **options)
    made.open()
    return made, visa, clock


def test_opening_reads_the_lasers_own_limits() -> None:
    made, visa, _ = laser()
    assert str(made.identity) == "ID Photonics GmbH CoBrite DX1 SN24001"
    assert made.wavelength_range_m.low == pytest.approx(1527.6049e-9, abs=1e-13)
    assert made.wavelength_range_m.high == pytest.approx(1567.1326e-9, abs=1e-13)
    assert made.power_range_w.high == pytest.approx(35.48e-3, rel=1e-3)
    visa.finished()


def test_echo_is_switched_off_before_a_reply_is_believed() -> None:
    first = [("*IDN?", ("*IDN?", IDN[1])), ("INTI", ("INTI", ""))]
    visa = ScriptedVisa(first, OPENING, write_end=b";", read_end=b";")
    made = CoBrite("laser", RESOURCE, VisaLibrary(visa), SteppedClock())
    made.open()
    assert made.identity.model == "CoBrite DX1"
    assert len(visa.opened) == 2, "the echo's answers went with the line"


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("*IDN?", "SANTEC,TSL-570,1,1")], "no CoBrite"),
        ([*OPENING[:2], ("STAT? 1,1,1", "-1")], "no laser at 1,1,1"),
    ],
)
def test_somebody_else_and_an_empty_slot(pairs: list[tuple[str, Answer]], message: str) -> None:
    visa = ScriptedVisa(pairs, write_end=b";", read_end=b";")
    made = CoBrite("laser", RESOURCE, VisaLibrary(visa), SteppedClock())
    with pytest.raises(WrongInstrument, match=message):
        made.open()


@pytest.mark.parametrize("options", [{"address": "1,1"}, {"address": "*,*,*"}, {"settle_timeout_s": 0.0}])
def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        laser(**options)


def test_tuning_takes_the_offset_off_and_waits() -> None:
    made, visa, clock = laser(
        ("OFF? 1,1,1", "1.500"),
        ("OFF 1,1,1,0.000", ""),
        ("FREQ 1,1,1,193.3995", ""),
        ("BUSY? 1,1,1", "1"),
        ("BUSY? 1,1,1", "1"),
        ("BUSY? 1,1,1", "0"),
        ("FREQ? 1,1,1", "193.3995"),
    )
    made.set_wavelength(1550.12e-9)
    assert clock.now() == pytest.approx(0.4)
    visa.finished()


def test_the_wavelength_has_the_offset_in_it() -> None:
    made, _, _ = laser(("FREQ? 1,1,1", "193.4000"), ("OFF? 1,1,1", "-10.000"))
    assert made.wavelength() == pytest.approx(299792458 / 193.39e12, rel=1e-12)


def test_a_power_that_the_unit_passes_over_in_silence() -> None:
    made, _, _ = laser(("POW 1,1,1,10.00", ""), ("BUSY? 1,1,1", "0"), ("POW? 1,1,1", "6.00"))
    with pytest.raises(InstrumentRefused, match="told 10 dBm and reads back 6 dBm"):
        made.set_power(10e-3)


def test_an_error_is_the_reply_itself() -> None:
    made, _, _ = laser(("POW 1,1,1,10.00", "ERR 204, communication lock"), ("BUSY? 1,1,1", "ERR 100, unknown command"))
    with pytest.raises(InstrumentRefused, match="ERR 204"):
        made.set_power(10e-3)
    with pytest.raises(InstrumentRefused, match="ERR 100"):
        made._settle()


def test_an_acknowledgement_is_empty() -> None:
    made, _, _ = laser(("STAT 1,1,1,0", "1"))
    with pytest.raises(InstrumentReply, match="acknowledgement"):
        made.safe_state()


def test_it_does_not_wait_for_ever() -> None:
    made, _, clock = laser(("POW 1,1,1,10.00", ""), *[("BUSY? 1,1,1", "1")] * 6, settle_timeout_s=1.0)
    with pytest.raises(InstrumentTimeout, match="1 s"):
        made.set_power(10e-3)
    assert clock.now() == pytest.approx(1.0)


def test_limits_are_refused_before_anything_is_sent() -> None:
    made, visa, _ = laser()
    for wavelength_m in (1527e-9, 1568e-9, float("nan")):
        with pytest.raises(LimitError):
            made.set_wavelength(wavelength_m)
    for power_w in (3e-3, 40e-3):
        with pytest.raises(LimitError):
            made.set_power(power_w)
    visa.finished()


def test_an_open_interlock() -> None:
    made, visa, _ = laser(("INTL?", "1"), ("ALAR?", "3"), ("INTL?", "1"))
    with pytest.raises(InterlockError, match="interlock"):
        made.set_emission(True)
    assert list(made.problems()) == ["alarm 3", "the interlock loop is open"]
    visa.finished()


def test_a_laser_that_stays_dark_or_bright() -> None:
    made, _, _ = laser(
        ("INTL?", "0"), ("STAT 1,1,1,1", ""), ("BUSY? 1,1,1", "0"), ("STAT? 1,1,1", "0"),
        ("STAT 1,1,1,0", ""), ("STAT? 1,1,1", "1"),
    )  # fmt: skip
    with pytest.raises(InstrumentRefused, match="told on and reads back off"):
        made.set_emission(True)
    state = made.safe_state()
    assert not state.dark
    assert "still emits" in state.problem
