"""PSY-201: *OPC? until a command is done, the measured state read back, scrambling ended."""

from __future__ import annotations

import math

import pytest
from pyvisa.constants import StatusCode

from drivers.generalphotonics_psy201 import PSY201
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import (
    ConfigError,
    InstrumentRefused,
    InstrumentReply,
    InstrumentTimeout,
    LimitError,
    WrongInstrument,
)
from tests.drivers.scripted import Answer, ScriptedVisa

RESOURCE = "TCPIP0::192.168.10.61::5000::SOCKET"
NAME = ("*IDN?", "General Photonics,PSY-201,GP1,1.1")
STILL = [(f":CONT:SCR:{each}:STAT?", "0") for each in ("DISC", "TRI", "TORN")]


def made(*pairs: tuple[str, Answer], **options: float | None) -> tuple[PSY201, ScriptedVisa, SteppedClock]:
    visa = ScriptedVisa([NAME, *pairs], write_end=b"\r\n", read_end=b"\r\n")
    clock = SteppedClock()
    controller = PSY201("pol", RESOURCE, VisaLibrary(visa), clock, **options)
    controller.open()
    return controller, visa, clock


def test_a_state_is_found_and_measured() -> None:
    controller, visa, clock = made(
        *STILL,
        (":CONT:SOP 0.000,0.707,-0.707", None),
        ("*OPC?", "0"),
        ("*OPC?", "1"),
        (":MEAS:SOP?", "+0.003,+0.711,-0.703"),
    )
    controller.set_stokes(0.0, 0.71, -0.71)
    assert clock.now() == pytest.approx(0.05)
    visa.finished()


def test_another_state_comes_out() -> None:
    pairs = (*STILL, (":CONT:SOP 1.000,0.000,0.000", None), ("*OPC?", "1"))
    controller, _, _ = made(*pairs, (":MEAS:SOP?", "+0.800,+0.600,+0.000"))
    with pytest.raises(InstrumentRefused, match=r"reads back \(\+0\.800, \+0\.600, \+0\.000\)"):
        controller.set_stokes(1, 0, 0)
    controller, visa, _ = made(*pairs, tolerance=None)
    controller.set_stokes(1, 0, 0)
    visa.finished()


def test_a_state_that_is_not_found() -> None:
    controller, _, _ = made(*STILL, (":CONT:SOP 1.000,0.000,0.000", None), *[("*OPC?", "0")] * 300)
    with pytest.raises(InstrumentTimeout, match="not done after 10 s"):
        controller.set_stokes(1, 0, 0)


def test_limits() -> None:
    controller, visa, _ = made()
    for state in ((0, 0, 0), (1, 0.2, 0), (math.nan, 0, 1), (math.inf, 0, 0)):
        with pytest.raises(LimitError, match="no state of fully polarised light"):
            controller.set_stokes(*state)
    for wavelength_m in (1.479e-6, 1.621e-6, 1550.0, math.nan):
        with pytest.raises(LimitError, match=r"1\.48e-06"):
            controller.set_wavelength(wavelength_m)
    visa.finished()
    for options in ({"tolerance": 0.0}, {"settle_timeout_s": 0.0}):
        with pytest.raises(ConfigError, match="settle_timeout_s"):
            PSY201("pol", RESOURCE, VisaLibrary(ScriptedVisa()), SteppedClock(), **options)


@pytest.mark.parametrize("told", ["1550.12", "1550"])
def test_wavelength_also_in_whole_nanometres(told: str) -> None:
    controller, visa, _ = made((":CONF:WLEN 1550.12", None), ("*OPC?", "1"), (":CONF:WLEN?", told))
    controller.set_wavelength(1550.12e-9)
    visa.finished()


def test_a_wavelength_that_stays() -> None:
    controller, _, _ = made((":CONF:WLEN 1550.12", None), ("*OPC?", "1"), (":CONF:WLEN?", "1310"))
    with pytest.raises(InstrumentRefused, match="1310 nm"):
        controller.set_wavelength(1550.12e-9)


def test_the_safe_state_ends_scrambling_only_where_there_is_some() -> None:
    controller, visa, _ = made(
        STILL[0],
        (":CONT:SCR:TRI:STAT?", "1"),
        (":CONT:SCR:TRI:STAT 0", None),
        ("*OPC?", "1"),
        STILL[1],
        STILL[2],
        *STILL,
    )
    assert controller.safe_state().dark
    visa.finished()


def test_one_that_does_not_tell_whether_it_scrambles_is_told_blindly() -> None:
    """The line is emptied after the silence, and it must say its name again."""
    silence = (":CONT:SCR:DISC:STAT?", StatusCode.error_timeout)
    stops = [pair for each in ("DISC", "TRI", "TORN") for pair in ((f":CONT:SCR:{each}:STAT 0", None), ("*OPC?", "1"))]
    visa = ScriptedVisa([NAME, silence], [NAME, *stops], write_end=b"\r\n", read_end=b"\r\n")
    controller = PSY201("pol", RESOURCE, VisaLibrary(visa), SteppedClock())
    controller.open()
    assert controller.safe_state().dark
    visa.finished()


@pytest.mark.parametrize("reply", ["", "1,0", "1,0,x", "+1.0,+0.0,+0.0,+0.0", "NAN,NAN,NAN"])
def test_no_stokes_parameters(reply: str) -> None:
    controller, _, _ = made((":MEAS:SOP?", reply))
    with pytest.raises(InstrumentReply):
        controller.stokes()


def test_degree_of_polarisation() -> None:
    controller, _, _ = made((":MEAS:DOP?", "+1.004"), (":MEAS:DOP?", "+1.200"))
    assert controller.degree_of_polarisation() == 1.0
    with pytest.raises(InstrumentReply, match=r"1\.2"):
        controller.degree_of_polarisation()


def test_another_instrument() -> None:
    visa = ScriptedVisa([("*IDN?", "KEYSIGHT,N7786B,1,2")], write_end=b"\r\n")
    with pytest.raises(WrongInstrument, match="no PSY-201"):
        PSY201("pol", RESOURCE, VisaLibrary(visa), SteppedClock()).open()
