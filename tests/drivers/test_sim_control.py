"""The control instrument and the clock of a simulated lab."""

from __future__ import annotations

import time

import pytest

from drivers.sim_control import SimClock, SimControl
from drivers.visa import VisaLibrary
from labctl.errors import InstrumentRefused, InstrumentReply, WrongInstrument
from tests.drivers.scripted import Answer, ScriptedVisa, checked

RESOURCE = "TCPIP0::127.0.0.1::inst0::INSTR"


def control(*pairs: tuple[str, Answer], remote: bool = False) -> tuple[SimControl, ScriptedVisa]:
    visa = ScriptedVisa(list(pairs))
    line = VisaLibrary(visa).connect("simulated lab", RESOURCE)
    line.open()
    return SimControl(line, remote), visa


def test_commands() -> None:
    made, visa = control(
        *checked(":RESet 7"),
        (":KEY 1,20,3", None),
        *checked(":CLOCk STEPped", ":TIME:ADVance 0.25", ':FAULt "laser",UNPLUG', ":FAULt:CLEar"),
        (":TIME?", "1.500000000"),
    )
    made.reset(7)
    made.set_draw_key(1, 20, 3)
    made.set_stepped_clock(True)
    made.advance(0.25)
    made.inject_fault("laser", "UNPLUG")
    made.clear_faults()
    assert made.now() == 1.5
    visa.finished()


def test_over_the_network_a_key_has_been_obeyed_before_anything_else_is_said() -> None:
    made, visa = control(*checked(":KEY 1,20,3"), remote=True)
    made.set_draw_key(1, 20, 3)
    visa.finished()


def test_only_a_control_instrument_is_taken_for_one() -> None:
    made, _ = control(("*IDN?", "LABCTL,SIM,0,1.0"))
    made.identify()
    made, _ = control(("*IDN?", "SANTEC,TSL-570,24050001,0026.0026.0011"))
    with pytest.raises(WrongInstrument, match="SANTEC"):
        made.identify()


def test_a_library_for_real_benches_with_a_served_lab() -> None:
    visa = ScriptedVisa([("*IDN?", "LABCTL,SIM,0,1.0"), (":TIME?", "2.5")])
    library = VisaLibrary(visa, RESOURCE)
    assert library.simulated
    assert library.clock().now() == 2.5
    assert not VisaLibrary(ScriptedVisa([])).simulated
    visa.finished()


def test_a_refusal() -> None:
    made, _ = control(*checked(':FAULt "nobody",UNPLUG', error='-222,"Data out of range"'))
    with pytest.raises(InstrumentRefused, match="nobody"):
        made.inject_fault("nobody", "UNPLUG")


def test_a_time_that_is_none() -> None:
    made, _ = control((":TIME?", "late"))
    with pytest.raises(InstrumentReply, match="late"):
        made.now()


def test_waiting_winds_a_stepped_clock() -> None:
    made, visa = control(
        *checked(":CLOCk STEPped"),
        (":TIME:PASS? 2.5", "0.00000000E+00"),
        *checked(":CLOCk REAL"),
        (":TIME:PASS? 0.001", "1.00000000E-03"),
        (":TIME?", "9"),
    )
    clock = SimClock(made)
    made.set_stepped_clock(True)
    clock.wait(2.5)
    clock.wait(0.0)
    made.set_stepped_clock(False)
    before_s = time.monotonic()
    clock.wait(0.001)
    assert time.monotonic() - before_s >= 0.001
    assert clock.now() == 9.0
    visa.finished()


def test_attacks() -> None:
    made, visa = control(
        *checked(":ATTack RESend,0.25", ":ATTack SUBStitution,0"),
        (":ATTack?", "RES,2.50000000E-01,1000,1.50000000E+00"),
    )
    made.mount_attack("resend", 0.25)
    made.mount_attack("substitution", 0.0)
    assert made.attacker_learned() == (1000, 1.5)
    visa.finished()


def test_an_answer_about_attacks_that_is_none() -> None:
    made, _ = control((":ATTack?", "RES,1"))
    with pytest.raises(InstrumentReply, match="ATTack"):
        made.attacker_learned()
