"""Instruments that need silence between two messages: when each is sent, by the bench's clock."""

from __future__ import annotations

import numpy as np
import pytest
from pyvisa.constants import StatusCode

from drivers.connection import LineSettings, VisaConnection
from drivers.pace import Pace
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import InstrumentLost, InstrumentTimeout
from tests.drivers.scripted import Script, ScriptedVisa

SOCKET = "TCPIP0::192.168.10.11::5025::SOCKET"
RESOURCES = [SOCKET, "TCPIP0::192.168.10.11::inst0::INSTR"]


class TimedVisa(ScriptedVisa):
    """Notes when each message was sent, by ``clock``."""

    def __init__(self, *scripts: Script) -> None:
        super().__init__(*scripts)
        self.clock = SteppedClock(100.0)
        self.sent_at: list[float] = []

    def write(self, session: object, data: bytes) -> tuple[int, StatusCode]:
        self.sent_at.append(self.clock.now())
        return super().write(session, data)


class ResettableClock(SteppedClock):
    """A simulated lab's clock begins anew when the lab does."""

    def reset(self) -> None:
        super().__init__()


def paced(visa: TimedVisa, resource: str = SOCKET, **settings: object) -> tuple[VisaConnection, SteppedClock]:
    line = LineSettings(**settings)  # type: ignore[arg-type]  # names are the test's
    connection = VisaLibrary(visa).connect("box", resource, line, Pace(visa.clock, 0.05))
    connection.open()
    return connection, visa.clock


def test_silence_before_each_message() -> None:
    visa = TimedVisa([("A?", "1"), ("B", None), ("C?", "2"), ("D?", "3")])
    connection, clock = paced(visa)
    connection.query("A?")
    connection.write("B")
    clock.wait(0.03)
    connection.query("C?")
    clock.wait(1.0)
    connection.query("D?")
    assert visa.sent_at == pytest.approx([100.05, 100.10, 100.15, 101.15]), "the first one waits as well"
    visa.finished()


def test_silence_begins_when_a_serial_line_has_sent_all() -> None:
    """One command of 12 bytes at 9600 baud is 12.5 ms on the line; an answer says by itself that it was heard."""
    visa = TimedVisa([(":POW:ALL 99", None), ("A?", "1"), ("B?", "1")])
    connection, _ = paced(visa, "ASRL3::INSTR", baud_rate=9600)
    connection.write(":POW:ALL 99")
    connection.query("A?")
    connection.query("B?")
    assert visa.sent_at == pytest.approx([100.05, 100.1125, 100.1625])
    visa.finished()


@pytest.mark.parametrize("resource", RESOURCES)
def test_silence_is_kept_in_recovery(resource: str) -> None:
    """After a query without answer: the name is asked for, by the same rule, then the next message goes out."""
    first, second = [("*IDN?", "me"), ("A?", None)], [("*IDN?", "me"), ("B?", "1")]
    visa = TimedVisa(first, second) if resource == SOCKET else TimedVisa([*first, *second])
    connection, _ = paced(visa, resource)
    connection.identify("*IDN?")
    with pytest.raises(InstrumentTimeout):
        connection.query("A?")
    assert connection.query("B?") == "1"
    assert visa.sent_at == pytest.approx([100.05, 100.10, 100.15, 100.20])
    visa.finished()


def test_silence_is_kept_when_recovery_fails() -> None:
    idn = ("*IDN?", "me")
    visa = TimedVisa([idn, ("A?", None)], [("*IDN?", None)], [idn, ("B?", "1")])
    connection, _ = paced(visa)
    connection.identify("*IDN?")
    with pytest.raises(InstrumentTimeout):
        connection.query("A?")
    with pytest.raises(InstrumentLost):
        connection.query("B?")
    assert connection.query("B?") == "1"
    assert np.diff(visa.sent_at) == pytest.approx([0.05] * 4)


def test_a_clock_that_is_set_back_costs_one_silence_at_most() -> None:
    clock = ResettableClock(1000.0)
    pace = Pace(clock, 0.05)
    pace.said()
    clock.reset()
    pace.wait()
    assert clock.now() == pytest.approx(0.05)
