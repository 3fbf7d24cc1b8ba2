"""A VISA library that plays a script: bytes expected from the driver, bytes given in return.

Anything sent that the script does not foresee, and anything left over at the end, is an error.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from pyvisa import rname
from pyvisa.constants import ResourceAttribute, StatusCode
from pyvisa.errors import VisaIOError
from pyvisa.highlevel import VisaLibraryBase
from pyvisa.util import LibraryPath

from drivers.visa import VisaLibrary

_numbers = itertools.count()

#: What a session answers: bytes, several messages, nothing, or an error that the read raises.
Answer = bytes | str | tuple[str, ...] | StatusCode | None
Script = Sequence[tuple[bytes | str, Answer]]


class ScriptedSession:
    """One connection with its script."""

    def __init__(self, script: Script, stream: bool, ends: tuple[bytes, bytes]) -> None:
        written_end, read_end = ends
        self.script = [
            (
                sent.encode() + written_end if isinstance(sent, str) else sent,
                tuple(part.encode() + read_end for part in answer)
                if isinstance(answer, tuple)
                else answer.encode() + read_end
                if isinstance(answer, str)
                else answer,
            )
            for sent, answer in script
        ]
        self.stream = stream
        self.written = b""
        self.answers: list[bytes | StatusCode] = []
        self.attributes: dict[int, Any] = {}
        self.writes = 0

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.written += bytes(data)
        while self.script and self.written.startswith(self.script[0][0]):
            sent, answer = self.script.pop(0)
            self.written = self.written[len(sent) :]
            if isinstance(answer, tuple):
                self.answers += answer
            elif answer is not None:
                self.answers.append(answer if isinstance(answer, StatusCode) else bytes(answer))
        if self.written:
            due = self.script[0][0] if self.script else b""
            assert due.startswith(self.written), f"sent {self.written!r}, due was {due!r}"

    def read(self, count: int) -> tuple[bytes, StatusCode]:
        if not self.answers:
            raise VisaIOError(StatusCode.error_timeout)
        answer = self.answers[0]
        if isinstance(answer, StatusCode):
            self.answers.pop(0)
            raise VisaIOError(answer)
        data, status = answer[:count], StatusCode.success_max_count_read
        if self.attributes.get(ResourceAttribute.termchar_enabled):
            cut = data.find(bytes([self.attributes[ResourceAttribute.termchar]])) + 1
            if cut:
                data, status = data[:cut], StatusCode.success_termination_character_read
        elif not self.stream and len(data) == len(answer):
            status = StatusCode.success
        elif self.stream and len(data) < count:
            raise VisaIOError(StatusCode.error_timeout)
        self.answers[0] = answer[len(data) :]
        if not self.answers[0]:
            self.answers.pop(0)
        return data, status


class ScriptedVisa(VisaLibraryBase):
    """``scripts``: per resource, one script for each time it is opened."""

    def __new__(cls, *scripts: Script, **options: Any) -> ScriptedVisa:
        made: ScriptedVisa = super().__new__(cls, LibraryPath(f"scripted {next(_numbers)}"))
        return made

    def __init__(self, *scripts: Script, write_end: bytes = b"\n", read_end: bytes = b"\n") -> None:
        self.scripts = list(scripts)
        self.ends = (write_end, read_end)
        self.sessions: dict[int, ScriptedSession] = {}
        self.opened: list[ScriptedSession] = []

    def open_default_resource_manager(self) -> tuple[Any, StatusCode]:
        return 1, StatusCode.success

    def open(self, session: Any, resource_name: str, *_: Any) -> tuple[Any, StatusCode]:
        if not self.scripts:
            raise VisaIOError(StatusCode.error_resource_not_found)
        stream = resource_name.endswith("SOCKET") or resource_name.startswith("ASRL")
        assert rname.parse_resource_name(resource_name)
        opened = ScriptedSession(self.scripts.pop(0), stream, self.ends)
        number = 2 + len(self.opened)
        self.sessions[number] = opened
        self.opened.append(opened)
        return number, StatusCode.success

    def close(self, session: Any) -> StatusCode:
        self.sessions.pop(session, None)
        return StatusCode.success

    def write(self, session: Any, data: bytes) -> tuple[int, StatusCode]:
        self.sessions[session].write(data)
        return len(data), StatusCode.success

    def read(self, session: Any, count: int) -> tuple[bytes, StatusCode]:
        data, status = self.sessions[session].read(count)
        return data, self.handle_return_value(session, status)

    def clear(self, session: Any) -> StatusCode:
        self.sessions[session].answers.clear()
        return StatusCode.success

    def set_attribute(self, session: Any, attribute: Any, attribute_state: Any) -> StatusCode:
        self.sessions[session].attributes[attribute] = attribute_state
        return StatusCode.success

    def get_attribute(self, session: Any, attribute: Any) -> tuple[Any, StatusCode]:
        return self.sessions[session].attributes.get(attribute, 0), StatusCode.success

    def disable_event(self, *_: Any) -> StatusCode:
        return StatusCode.success

    def discard_events(self, *_: Any) -> StatusCode:
        return StatusCode.success

    def finished(self) -> None:
        """Nothing is left over: no script, no half message, no unread answer."""
        assert not self.scripts, f"{len(self.scripts)} scripts were never opened"
        for session in self.opened:
            assert not session.script, f"never sent: {session.script}"
            assert not session.written, f"half a message: {session.written!r}"
            assert not session.answers, f"never read: {session.answers}"


def library(visa: ScriptedVisa) -> VisaLibrary:
    return VisaLibrary(visa)


def checked(*commands: str, error: str = '0,"No error"') -> list[tuple[str, Answer]]:
    """Commands that are each followed by a look at the error queue."""
    pairs: list[tuple[str, Answer]] = []
    for command in commands:
        pairs += [(command, None), (":SYSTem:ERRor?", error)]
    return pairs
