"""N7764A: what goes over the wire, and what is made of the answers."""

from __future__ import annotations

import pytest

from drivers.keysight_n7764a import N7764A
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import ConfigError, InstrumentRefused, LimitError, WrongInstrument
from tests.drivers.scripted import Answer, Script, ScriptedVisa, checked

RESOURCE = "TCPIP0::192.168.10.12::5025::SOCKET"
OK = '+0,"No error"'


def opening(model: str = "N7764A", slots: tuple[int, ...] = (1, 3, 5, 7), largest_db: float = 45.0) -> Script:
    pairs: list[tuple[str, Answer]] = [("*IDN?", f"Keysight Technologies,{model},DE001,V1.0"), (":SYSTem:ERRor?", OK)]
    for slot in slots:
        pairs += [(f":INPut{slot}:ATTenuation? MAX", f"{largest_db + 2.0:+.8E}"), (f":INPut{slot}:OFFSet?", "+2.0")]
    return pairs


OPENING = opening()


def attenuator(*pairs: tuple[str, Answer]) -> tuple[N7764A, ScriptedVisa]:
    visa = ScriptedVisa([*OPENING, *pairs])
    made = N7764A("attenuator", RESOURCE, VisaLibrary(visa), SteppedClock())
    made.open()
    return made, visa


def test_attenuation_of_a_slot() -> None:
    made, visa = attenuator(
        *checked(":INPut3:OFFSet 0;:INPut3:ATTenuation 32.5 DB", error=OK),
        (":INPut3:ATTenuation?", "+3.25000000E+001"),
        (":INPut3:OFFSet?", "+0.00000000E+000"),
    )
    made.set_attenuation(3, 32.5)
    assert made.attenuation(3) == 32.5
    visa.finished()


def test_an_offset_set_by_others_is_no_attenuation() -> None:
    """What is shown is the filter's attenuation plus the offset."""
    made, visa = attenuator((":INPut3:ATTenuation?", "+1.25000000E+001"), (":INPut3:OFFSet?", "+2.50000000E+000"))
    assert made.attenuation(3) == 10.0
    visa.finished()


def test_wavelength_is_sent_in_nanometres() -> None:
    made, visa = attenuator(*checked(":INPut1:WAVelength 1550.120000NM", error=OK))
    made.set_wavelength(1, 1550.12e-9)
    with pytest.raises(LimitError):
        made.set_wavelength(1, 850e-9)
    visa.finished()


def test_shutter() -> None:
    made, visa = attenuator(*checked(":OUTPut1:STATe 1", ":OUTPut1:STATe 0", error=OK), (":OUTPut1:STATe?", "0"))
    made.set_shutter(1, True)
    made.set_shutter(1, False)
    assert made.shutter(1) is False
    visa.finished()


def test_what_is_not_sent() -> None:
    made, visa = attenuator()
    for attenuation_db in (-0.1, 45.1, float("nan")):
        with pytest.raises(LimitError, match="0 to 45 dB"):
            made.set_attenuation(1, attenuation_db)
    for channel in (0, 2, 8):
        with pytest.raises(LimitError, match="no channel"):
            made.set_attenuation(channel, 10.0)
        with pytest.raises(LimitError, match="no channel"):
            made.shutter(channel)
    visa.finished()


def test_a_refusal() -> None:
    made, _ = attenuator(
        *checked(":INPut1:OFFSet 0;:INPut1:ATTenuation 44 DB", error='-222,"Data out of range"'),
        (":SYSTem:ERRor?", OK),
    )
    with pytest.raises(InstrumentRefused, match="-222"):
        made.set_attenuation(1, 44.0)


@pytest.mark.parametrize("stuck", [None, 5])
def test_safe_state_closes_all_shutters(stuck: int | None) -> None:
    close = checked(*(f":OUTPut{n}:STATe 0" for n in (1, 3, 5, 7)), error=OK)
    ask = [(f":OUTPut{n}:STATe?", "1" if n == stuck else "0") for n in (1, 3, 5, 7)]
    made, visa = attenuator(*close, *ask)
    state = made.safe_state()
    assert state.dark is (stuck is None)
    assert ("5" in state.problem) is (stuck == 5)
    visa.finished()


def test_another_instrument() -> None:
    visa = ScriptedVisa([("*IDN?", "Keysight Technologies,M8190A,DE001,V1.0")])
    with pytest.raises(WrongInstrument, match="M8190A"):
        N7764A("attenuator", RESOURCE, VisaLibrary(visa), SteppedClock()).open()


@pytest.mark.parametrize(
    ("model", "given", "slots"),
    [("N7761A", None, (1,)), ("N7762A", None, (1, 3)), ("N7764A", [3], (3,)), ("81576A", [1, 2], (1, 2))],
)
def test_slots_are_the_models_own(model: str, given: list[int] | None, slots: tuple[int, ...]) -> None:
    visa = ScriptedVisa(opening(model, slots, 60.0))
    made = N7764A("attenuator", RESOURCE, VisaLibrary(visa), SteppedClock(), channels=given)
    made.open()
    assert tuple(made.channels) == slots
    assert made.attenuation_range_db.high == pytest.approx(60.0)
    visa.finished()


@pytest.mark.parametrize(("model", "given"), [("N7762A", [1, 5]), ("81576A", None), ("N7764A", [])])
def test_slots_that_it_has_not_or_does_not_tell(model: str, given: list[int] | None) -> None:
    visa = ScriptedVisa(opening(model, ()))
    with pytest.raises(ConfigError, match="slots"):
        N7764A("attenuator", RESOURCE, VisaLibrary(visa), SteppedClock(), channels=given).open()
