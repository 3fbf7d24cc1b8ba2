"""First questions, each put once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from drivers.connection import LineSettings, VisaConnection
from drivers.listening import Ear, WantsMore
from drivers.pace import Pace
from drivers.visa import VisaLibrary
from labctl.clock import Clock, SteppedClock
from labctl.errors import InstrumentError, InstrumentLost, InstrumentReply, InstrumentTimeout

SLOW = LineSettings(timeout_s=5.0, baud_rate=9600)
FAST = LineSettings(timeout_s=5.0, baud_rate=115200)


@dataclass
class Lines:
    """A library that takes down what is done; ``answer`` is what comes to every question."""

    answer: str | InstrumentError = "no name"
    simulated: bool = False
    done: list[str] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    time: Clock = field(default_factory=SteppedClock)

    def connect(
        self, name: str, resource: str, settings: LineSettings | None = None, pace: Pace | None = None
    ) -> VisaConnection:
        assert settings is not None
        self.timeouts.append(settings.timeout_s)
        return cast("VisaConnection", self)

    def clock(self) -> Clock:
        return self.time

    def open(self) -> None:
        self.done.append("open")

    def close(self) -> None:
        self.done.append("close")

    def write(self, text: str) -> None:
        self.done.append(f"write {text}")

    def query(self, text: str) -> str:
        self.done.append(text)
        if isinstance(self.answer, InstrumentError):
            raise self.answer
        return self.answer

    def ear(self, resource: str = "TCPIP0::x::1::SOCKET") -> Ear:
        return Ear(cast("VisaLibrary", self), resource)


def test_what_was_heard_is_not_asked_again_at_whatever_speed_and_patience() -> None:
    lines = Lines("ACME")
    ear = lines.ear()
    for settings in (SLOW, FAST, replace(FAST, timeout_s=1.0)):
        line = ear.connect("it", ear.resource, settings)
        line.open()
        assert line.identify("*IDN?") == "ACME"
        line.close()
    assert lines.done == ["open", "*IDN?", "close"]
    ear.connect("it", ear.resource, replace(SLOW, write_terminator=b"\r")).identify("*IDN?")
    assert lines.done.count("*IDN?") == 2
    assert lines.timeouts == [2.0, 1.0]


def test_a_driver_that_asks_more_is_told_so_by_nobody_but_the_ear() -> None:
    lines = Lines()
    line = lines.ear().connect("it", "x")
    with pytest.raises(WantsMore):
        line.query(":POWer?")
    with pytest.raises(WantsMore):
        line.write(":POWer 1")
    assert lines.done == []


def test_silence_is_remembered() -> None:
    lines = Lines(InstrumentTimeout("it", "no answer"))
    ear = lines.ear()
    for _ in range(3):
        with pytest.raises(InstrumentTimeout):
            ear.connect("it", "x").identify("*IDN?")
    assert lines.done.count("*IDN?") == 1
    assert (ear.answers, ear.lost) == ([], None)


def test_a_line_that_breaks_before_anything_was_heard() -> None:
    lines = Lines(InstrumentLost("it", "the line broke"))
    ear = lines.ear()
    with pytest.raises(InstrumentLost):
        ear.connect("it", "x").identify("*IDN?")
    assert ear.lost is lines.answer


def test_an_answer_that_no_driver_can_read_is_one() -> None:
    ear = Lines(InstrumentReply("TCPIP0::x::1::SOCKET", "the reply is not text: b'\\xff'")).ear()
    with pytest.raises(InstrumentReply):
        ear.connect("it", "x").identify("*IDN?")
    assert ear.answers == ["the reply is not text: b'\\xff'"]
    assert not ear.named


def test_who_told_its_name_is_asked_nothing_but_names() -> None:
    lines = Lines("ACME,ROASTER,1,2")
    ear = lines.ear()
    ear.connect("it", "x").identify("*IDN?")
    with pytest.raises(InstrumentReply, match="has told its name"):
        ear.connect("it", "x").identify("CDI")
    ear.connect("it", "x", replace(SLOW, terminator=b"\r")).identify("*idn?")
    assert lines.done == ["open", "*IDN?", "close", "open", "*idn?", "close"]


def test_a_serial_line_is_cleared_of_the_question_before() -> None:
    """At another speed it is another question; what the one before left in the instrument is ended first."""
    lines = Lines()
    ear = lines.ear("ASRL1::INSTR")
    for settings in (SLOW, FAST):
        ear.connect("it", "x", settings).identify("*IDN?")
    assert lines.done == ["open", "*IDN?", "close", "open", "write ", "close", "open", "*IDN?", "close"]
    assert lines.timeouts == [1.0, 0.5]
    assert lines.time.now() == pytest.approx(0.1)


def test_questions_end_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.listening.PATIENCE_S", -1.0)
    lines = Lines()
    ear = lines.ear()
    with pytest.raises(InstrumentTimeout, match="time was up"):
        ear.connect("it", "x").identify("*IDN?")
    assert (lines.done, ear.left_out) == ([], 1)
