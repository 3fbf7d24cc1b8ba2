"""Replies of several lines."""

from __future__ import annotations

import pytest

from drivers.connection import LineSettings, VisaConnection
from drivers.visa import VisaLibrary
from labctl.errors import InstrumentReply
from tests.drivers.scripted import Answer, ScriptedVisa

NAME: tuple[bytes, Answer] = (b"NAME\r", b"A\r\nDone\r\n\r\n")


def lines_of(*replies: bytes | tuple[bytes, Answer]) -> tuple[VisaConnection, ScriptedVisa]:
    """Answers to ASK, or other turns."""
    visa = ScriptedVisa([NAME, *((b"ASK\r", reply) if isinstance(reply, bytes) else reply for reply in replies)])
    settings = LineSettings(write_terminator=b"\r", last_line="Done|Error.*")
    made = VisaLibrary(visa).connect("attenuator", "ASRL3::INSTR", settings)
    made.open()
    assert made.identify("NAME") == "A\nDone"
    return made, visa


def test_a_reply_of_several_lines_ends_with_the_one_that_says_so() -> None:
    made, visa = lines_of(b"Pos:1\r\n\r\nATTEN:2\r\nDone\r\n", b"\r\nError-2\r\n")
    assert made.query("ASK") == "Pos:1\nATTEN:2\nDone"
    assert made.query("ASK") == "Error-2"
    visa.finished()


def test_after_lines_that_are_no_text_nothing_that_waits_is_believed() -> None:
    made, visa = lines_of(b"\xd1\xfa\r\n\xc5\r\nDone\r\n", NAME, b"Pos:3\r\nDone\r\n")
    with pytest.raises(InstrumentReply, match="not text"):
        made.query("ASK")
    assert made.query("ASK") == "Pos:3\nDone"
    visa.finished()


def test_lines_without_end() -> None:
    made, _ = lines_of(b"Pos:1\r\n" * 1001)
    with pytest.raises(InstrumentReply, match="1000 lines"):
        made.query("ASK")
