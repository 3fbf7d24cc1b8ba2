"""The exact exchange with instruments: a recorder that writes it to a file, and a player that holds a driver to it.

The file is text, a JSON array a line: ``["exchange", 1]`` first, then ``[connection, event, ...]`` with the events
``open`` (name, resource, terminator), ``write`` and ``read`` (bytes as Latin-1 text; whether END came), ``error`` (VISA
status that a read ended with), ``clear`` and ``close``. Connections are numbered as they were opened.

:class:`Player` is a VISA library: ``VisaLibrary(Player.of_file(path))`` gives drivers to it. What a driver says beside
the recorded exchange is a :class:`Departure` at once, and what was left unsaid or unread is one at
:meth:`Player.finished`.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from pyvisa import rname
from pyvisa.constants import ResourceAttribute, StatusCode
from pyvisa.errors import VisaIOError
from pyvisa.highlevel import VisaLibraryBase
from pyvisa.util import LibraryPath

from drivers.transport import Deadline, Transport
from labctl.errors import ConfigError

VERSION: Final = 1
#: One thing that is said, and what comes back: messages, and the errors that reads end with.
Turn = tuple[bytes, tuple[bytes | StatusCode, ...]]

_numbers = itertools.count()


class Departure(AssertionError):
    """A driver said something else than what was recorded, or not all of it."""


class Recorder:
    """Writes one file; connections of several threads take turns. Raises ConfigError when the file exists already."""

    def __init__(self, path: Path) -> None:
        try:
            self._file: IO[str] = path.open("x", encoding="ascii")
        except OSError as error:
            raise ConfigError(f"{path}: cannot record there: {error.strerror}", "Name a new file.") from None
        self._lock = threading.Lock()
        self._connections = itertools.count(1)
        self._say("exchange", VERSION)

    def _say(self, *items: object) -> None:
        with self._lock:
            self._file.write(json.dumps(items) + "\n")
            self._file.flush()

    def connection(self, name: str, resource: str, terminator: bytes) -> int:
        """Number of a connection that is opened now."""
        number = next(self._connections)
        self._say(number, "open", name, resource, terminator.decode("latin-1"))
        return number

    def note(self, number: int, event: str, *items: object) -> None:
        """One event of a connection."""
        self._say(number, event, *items)

    def close(self) -> None:
        """Safe to call twice."""
        with self._lock:
            self._file.close()


class RecordedTransport(Transport):
    """A transport that notes all that goes through it. ``name``: of the instrument."""

    def __init__(self, recorder: Recorder, name: str, manager: Any, resource: str, **settings: Any) -> None:
        super().__init__(manager, resource, **settings)
        self._recorder = recorder
        self._number = recorder.connection(name, resource, self._terminator)

    def write(self, message: bytes, deadline: Deadline) -> None:
        self._recorder.note(self._number, "write", message.decode("latin-1"))
        super().write(message, deadline)

    def clear(self, quiet_s: float = 0.05, patience_s: float = 1.0) -> None:
        self._recorder.note(self._number, "clear")
        super().clear(quiet_s, patience_s)

    def close(self) -> None:
        self._recorder.note(self._number, "close")
        super().close()

    def _read(self, count: int, deadline: Deadline) -> tuple[bytes, StatusCode]:
        try:
            data, status = super()._read(count, deadline)
        except VisaIOError as error:
            self._recorder.note(self._number, "error", int(error.error_code))
            raise
        self._recorder.note(self._number, "read", bytes(data).decode("latin-1"), self._ended(status))
        return data, status


@dataclass
class PlayedSession:
    """One connection with its script."""

    script: list[Turn]
    stream: bool
    written: bytes = b""
    answers: list[bytes | StatusCode] = field(default_factory=list)
    attributes: dict[int, Any] = field(default_factory=dict)
    writes: int = 0

    def write(self, data: bytes) -> None:
        """The driver speaks. Raises Departure when that is not what is due."""
        self.writes += 1
        self.written += bytes(data)
        while self.script and self.written.startswith(self.script[0][0]):
            sent, answers = self.script.pop(0)
            self.written = self.written[len(sent) :]
            self.answers += answers
        if self.written:
            due = self.script[0][0] if self.script else b""
            if not due.startswith(self.written):
                raise Departure(f"sent {self.written[:200]!r}, due was {due[:200]!r}")

    def read(self, count: int) -> tuple[bytes, StatusCode]:
        """The driver listens: at most ``count`` bytes, as VISA gives them."""
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


class Player(VisaLibraryBase):
    """A VISA library with one script for each time a resource is opened.

    ``scripts``: (resource, turns), where "" stands for any resource; of one resource in the order of opening.
    """

    def __new__(cls, *scripts: object, **options: object) -> Player:
        made = super().__new__(cls, LibraryPath(f"played {next(_numbers)}"))
        assert isinstance(made, Player)
        return made

    def __init__(self, *scripts: tuple[str, Sequence[Turn]]) -> None:
        self.scripts = [(_canonical(resource), list(turns)) for resource, turns in scripts]
        self.sessions: dict[int, PlayedSession] = {}
        self.opened: list[PlayedSession] = []

    @classmethod
    def of_file(cls, path: Path) -> Player:
        """Plays what :class:`Recorder` wrote. Raises ConfigError for a file that is none of its."""
        return cls(*_scripts(path))

    def finished(self) -> None:
        """Raises Departure when a connection was never opened, or something was never said or read."""
        if self.scripts:
            raise Departure(f"never opened: {', '.join(resource or 'a connection' for resource, _ in self.scripts)}")
        for session in self.opened:
            for left, what in ((session.script, "never sent"), (session.written, "half a message")):
                if left:
                    raise Departure(f"{what}: {left!r}"[:500])
            if any(isinstance(answer, bytes) for answer in session.answers):
                raise Departure(f"never read: {session.answers!r}"[:500])

    # ---- what pyvisa asks for -----------------------------------------------------------------

    def open_default_resource_manager(self) -> tuple[Any, StatusCode]:
        return 1, StatusCode.success

    def open(self, session: Any, resource_name: str, *_: Any) -> tuple[Any, StatusCode]:
        wanted = _canonical(resource_name)
        index = next((i for i, (resource, _) in enumerate(self.scripts) if resource in ("", wanted)), None)
        if index is None:
            raise VisaIOError(StatusCode.error_resource_not_found)
        opened = PlayedSession(self.scripts.pop(index)[1], wanted.endswith("SOCKET") or wanted.startswith("ASRL"))
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


def _canonical(resource: str) -> str:
    """VISA's full form in capitals, in which equal resources have equal names."""
    try:
        return str(rname.ResourceName.from_string(resource)).upper()
    except rname.InvalidResourceName:
        return resource.upper()


def _scripts(path: Path) -> Iterator[tuple[str, list[Turn]]]:
    """Of each connection of a recorded file."""
    events: dict[int, list[list[Any]]] = {}
    try:
        with path.open(encoding="ascii") as lines:
            if json.loads(next(lines, "null")) != ["exchange", VERSION]:
                raise ValueError("its first line is not that of an exchange")
            for line in lines:
                number, *event = json.loads(line)
                events.setdefault(int(number), []).append(event)
        for each in events.values():
            resource = str(each[0][2])
            yield resource, _turns(each[1:], resource.upper().endswith("SOCKET") or resource.upper().startswith("ASRL"))
    except (OSError, ValueError, TypeError, IndexError, KeyError) as error:
        raise ConfigError(f"{path} holds no recorded exchange: {error}", "Record one again.") from None


def _turns(events: Sequence[Sequence[Any]], stream: bool) -> list[Turn]:
    """Messages with what came after each. On a stream all of it is one; elsewhere END cuts it."""
    turns: list[tuple[bytes, list[bytes | StatusCode]]] = []
    open_message = False
    for kind, *items in events:
        if kind == "write":
            turns.append((items[0].encode("latin-1"), []))
            open_message = False
        elif kind == "read" and turns:
            data, ended = items[0].encode("latin-1"), bool(items[1])
            answers = turns[-1][1]
            if open_message:
                last = answers[-1]
                assert isinstance(last, bytes)
                answers[-1] = last + data
            else:
                answers.append(data)
            open_message = stream or not ended
        elif kind == "error" and turns:
            turns[-1][1].append(StatusCode(int(items[0])))
            open_message = False
    return [(sent, tuple(answers)) for sent, answers in turns]
