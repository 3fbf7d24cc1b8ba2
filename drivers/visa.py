"""The VISA library under the drivers, and one locked, deadlined connection per instrument.

A VISA resource is not thread safe, and after a timeout the next query gets the old answer. So every
operation here is write + read (+ error check) under one lock and one deadline, and after any
operation that did not end as it should (timeout, broken line, malformed reply, interrupt) the line
is renewed or cleared, and the instrument must say its name again before a reply is believed.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pyvisa
from numpy.typing import NDArray
from pyvisa.constants import StatusCode
from pyvisa.errors import LibraryError, VisaIOError
from pyvisa.highlevel import VisaLibraryBase

from drivers.exchange import RecordedTransport, Recorder
from drivers.pace import Pace
from drivers.sim_control import SimClock, SimControl
from drivers.transport import BadBlock, CutOff, Deadline, MessageTooLong, Transport
from labctl.clock import Clock, SystemClock
from labctl.errors import (
    ConfigError,
    InstrumentError,
    InstrumentLost,
    InstrumentReply,
    InstrumentTimeout,
    WrongInstrument,
)

T = TypeVar("T")
#: A part of a message: text, bytes, or samples that travel as they lie in memory.
Part = str | bytes | memoryview

#: The control instrument of a simulated lab.
CONTROL_RESOURCE: Final = "SIM"
DEFAULT_TIMEOUT_S: Final = 5.0
MAX_TEXT_REPLY: Final = 1 << 20
MAX_BLOCK: Final = 1 << 29
#: How many answers to earlier questions are read away before an instrument's name after a failure.
STALE_ANSWERS: Final = 10
#: On a serial line, 8N1: a start bit and a stop bit come along.
BITS_PER_BYTE: Final = 10

_REACH = "Check its power and cable, and that no other program holds it; then run the bench check."
_FAILURES = (VisaIOError, OSError, RuntimeError, MessageTooLong, BadBlock, CutOff)

_managers_lock = threading.Lock()
_manager_users: dict[pyvisa.ResourceManager, int] = {}


@dataclass(frozen=True)
class LineSettings:
    """How an instrument's line is spoken.

    ``terminator``: the byte a reply ends with; ``write_terminator``: what ends a command.
    ``timeout_s``: for a whole operation, wait included. ``baud_rate``: serial lines only.
    """

    terminator: bytes = b"\n"
    write_terminator: bytes = b"\n"
    timeout_s: float = DEFAULT_TIMEOUT_S
    baud_rate: int | None = None


class VisaLibrary:
    """A VISA library: "@ivi" or "@py" for a real bench, "<bench.toml>@labctl" for a simulated one.

    ``exchange``: a new file for all that is said and heard (:mod:`drivers.exchange`). Raises ConfigError when there is
    no such library, and what a simulated lab's own configuration raises.
    """

    def __init__(self, library: str | VisaLibraryBase, exchange: Path | None = None) -> None:
        self._recorder = None if exchange is None else Recorder(exchange)
        try:
            self._manager = pyvisa.ResourceManager(library)
        except (LibraryError, OSError, ValueError) as error:
            raise ConfigError(
                f"there is no VISA library {library!r}: {error}",
                'Use visa_library = "@py", "@ivi" or "@labctl" in the bench file.',
            ) from error
        with _managers_lock:
            _manager_users[self._manager] = _manager_users.get(self._manager, 0) + 1
        self.simulated = isinstance(library, str) and library.endswith("@labctl")
        self._control: SimControl | None = None
        self._connections: list[VisaConnection] = []
        self._closed = False

    def connect(
        self, name: str, resource: str, settings: LineSettings | None = None, pace: Pace | None = None
    ) -> VisaConnection:
        """A connection to the instrument called ``name`` in the bench file, not opened yet."""
        connection = VisaConnection(self._manager, name, resource, settings or LineSettings(), pace, self._recorder)
        self._connections.append(connection)
        return connection

    def resources(self) -> list[str]:
        """Instruments that the library lists: sockets only where it knows them."""
        with warnings.catch_warnings(action="ignore"):  # of ways to look that are not installed
            listed = self._manager.list_resources("?*")
        return [each for each in listed if each.upper().endswith(("::INSTR", "::SOCKET", "::RAW"))]

    def control(self) -> SimControl | None:
        """The simulated lab's control instrument, opened at the first call; None on real ones."""
        if self.simulated and self._control is None:
            connection = self.connect("simulated lab", CONTROL_RESOURCE)
            connection.open()
            self._control = SimControl(connection)
        return self._control

    def clock(self) -> Clock:
        """The system's clock, or the simulated lab's."""
        control = self.control()
        return SystemClock() if control is None else SimClock(control)

    def close(self) -> None:
        """Close this library's connections; a simulated lab ends with its last user. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        for connection in self._connections:
            connection.close()
        if self._recorder is not None:
            self._recorder.close()
        with _managers_lock:
            _manager_users[self._manager] -= 1
            last = _manager_users[self._manager] == 0
            if last:
                del _manager_users[self._manager]
        if last and self.simulated:  # a real library is shared with whoever else uses pyvisa here
            self._manager.close()


class VisaConnection:
    """The line to one instrument. Thread safe.

    Every method raises InstrumentLost when the line fails, InstrumentTimeout when the deadline
    passes, InstrumentReply when what comes is longer than allowed or no block where one is due.
    """

    def __init__(
        self,
        manager: pyvisa.ResourceManager,
        name: str,
        resource: str,
        settings: LineSettings,
        pace: Pace | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.name = name
        self._recorder = recorder
        self._pace = pace
        self.resource = resource
        self.settings = settings
        #: How often the line was opened: settings made under an older number may be gone.
        self.generation = 0
        self._manager = manager
        self._lock = threading.RLock()
        self._transport: Transport | None = None
        self._opened = False
        self._suspect = self._gave_up = False
        self._identity: tuple[str, str] | None = None

    # ---- life ---------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the line; does nothing when it is open. Raises InstrumentLost."""
        with self._lock:
            if not self._opened:
                self._transport = self._new_transport()
                self._opened, self._suspect = True, False

    def close(self) -> None:
        """Give the line back; safe to call twice."""
        with self._lock:
            self._opened = False
            self._identity = None
            self._drop_transport()

    def identify(self, query: str) -> str:
        """Ask the instrument who it is; the answer is what it must say again after any failure of
        the line.
        """
        reply = self.query(query)
        self._identity = (query, reply)
        return reply

    # ---- operations ---------------------------------------------------------------------------

    def write(self, *parts: Part, timeout_s: float | None = None) -> None:
        """Send one message made of ``parts``."""
        message = self._message(parts)
        sending_s = BITS_PER_BYTE * len(message) / (self.settings.baud_rate or math.inf)
        self._perform(parts[0], lambda line, deadline: line.write(message, deadline), timeout_s, sending_s)

    def query(self, *parts: Part, timeout_s: float | None = None) -> str:
        """Send one message and read one line of text, its terminator taken off."""
        message = self._message(parts)

        def action(line: Transport, deadline: Deadline) -> bytes:
            line.write(message, deadline)
            return line.read_message(deadline, MAX_TEXT_REPLY)

        return self._text(self._perform(parts[0], action, timeout_s), parts[0])

    def write_then_query(self, parts: tuple[Part, ...], query: str, timeout_s: float | None = None) -> str:
        """Send a message that has no reply, then ``query`` as a message of its own, and read its
        reply.

        On a stream both travel together; where a message ends with END they are sent one after the
        other.
        """
        first, second = self._message(parts), self._message((query,))

        def action(line: Transport, deadline: Deadline) -> bytes:
            if line.stream:
                line.write(first + second, deadline)
            else:
                line.write(first, deadline)
                line.write(second, deadline)
            return line.read_message(deadline, MAX_TEXT_REPLY)

        return self._text(self._perform(parts[0], action, timeout_s), parts[0])

    def query_block(self, command: str, timeout_s: float | None = None) -> memoryview:
        """Send a query and read the data of the definite block that it is answered with."""
        message = self._message((command,))

        def action(line: Transport, deadline: Deadline) -> memoryview:
            line.write(message, deadline)
            return line.read_block(deadline, MAX_BLOCK)

        return self._perform(command, action, timeout_s)

    def query_array(self, command: str, dtype: np.dtype[Any], timeout_s: float | None = None) -> NDArray[Any]:
        """:meth:`query_block` as a read-only array of shape (N,) over the bytes received."""
        data = self.query_block(command, timeout_s)
        if len(data) % dtype.itemsize:
            raise InstrumentReply(
                self.name,
                f"a block of {len(data)} bytes is no array of {dtype.itemsize}-byte items",
                command=command,
            )
        return np.frombuffer(data.toreadonly(), dtype)

    # ---- inside -------------------------------------------------------------------------------

    def _message(self, parts: tuple[Part, ...]) -> bytes:
        if len(parts) == 1 and isinstance(parts[0], str):
            return parts[0].encode("ascii") + self.settings.write_terminator
        pieces = [part.encode("ascii") if isinstance(part, str) else part for part in parts]
        return b"".join([*pieces, self.settings.write_terminator])

    def _text(self, reply: bytes, command: Part) -> str:
        try:
            return reply.rstrip(b"\r\n").decode("ascii")
        except UnicodeDecodeError as error:
            raise InstrumentReply(
                self.name, f"the reply is not text: {reply[:80]!r}", command=_shown(command)
            ) from error

    def _perform(
        self,
        command: Part,
        action: Callable[[Transport, Deadline], T],
        timeout_s: float | None = None,
        sending_s: float = 0.0,
    ) -> T:
        with self._lock:
            line = self._trusted_line(command)
            if self._pace is not None:
                self._pace.wait()
            deadline = Deadline(self.settings.timeout_s if timeout_s is None else timeout_s)
            self._suspect = True  # until it has ended as it should; an interrupt leaves it so
            try:
                result = action(line, deadline)
            except _FAILURES as error:
                raise self._translated(error, command, deadline) from error
            finally:
                if self._pace is not None:
                    self._pace.said(sending_s)
            self._suspect = False
            return result

    def _trusted_line(self, command: Part) -> Transport:
        if not self._opened:
            raise InstrumentLost(self.name, "is not open", _REACH, command=_shown(command))
        if self._suspect or self._transport is None:
            self._recover()
        if self._transport is None:
            raise InstrumentLost(self.name, "has no line", _REACH, command=_shown(command))
        return self._transport

    def _recover(self) -> None:
        """Get rid of answers that may still be under way, then hear the instrument's name."""
        deadline = Deadline(self.settings.timeout_s)
        patient, self._gave_up = self._gave_up, True
        try:
            if not self._cleared(patient):
                self._drop_transport()
                self._transport = self._new_transport()
            if self._identity is not None and self._transport is not None:
                self._confirm_identity(self._transport, deadline)
        except _FAILURES as error:
            self._suspect = True
            raise InstrumentLost(self.name, f"does not come back after a failure: {error}", _REACH) from error
        self._suspect = self._gave_up = False

    def _cleared(self, patient: bool) -> bool:
        """Whether the line could be emptied; otherwise a new one is needed.

        ``patient``: it was tried in vain before, so that even the answer to that may still come.
        """
        if self._transport is None or self._transport.renewable:
            return False
        try:
            if patient:
                self._transport.clear(self.settings.timeout_s, 2 * self.settings.timeout_s)
            else:
                self._transport.clear()
        except (VisaIOError, OSError):  # broken, not only out of step
            return False
        return True

    def _confirm_identity(self, line: Transport, deadline: Deadline) -> None:
        """Ask once, and read until the name comes: answers that were still under way come before it, and asking again
        would leave an answer over that is taken for the next one's.
        """
        query, expected = self._identity or ("", "")
        if self._pace is not None:
            self._pace.wait()
        try:
            line.write(self._message((query,)), deadline)
            for _ in range(STALE_ANSWERS):
                reply = self._text(line.read_message(deadline, MAX_TEXT_REPLY), query)
                if reply == expected:
                    return
                if line.renewable:
                    break
        finally:
            if self._pace is not None:
                self._pace.said()
        raise WrongInstrument(
            self.name,
            f"after a failure of the line {reply[:80]!r} answers, it was {expected!r} before",
            "Check that nobody changed the instrument at this address, then open the bench again.",
            command=query,
        )

    def _new_transport(self) -> Transport:
        try:
            make = Transport if self._recorder is None else partial(RecordedTransport, self._recorder, self.name)
            transport = make(
                self._manager,
                self.resource,
                terminator=self.settings.terminator,
                baud_rate=self.settings.baud_rate,
                open_timeout_s=self.settings.timeout_s,
            )
        except Exception as error:  # libraries raise bare Exception when nobody answers
            if isinstance(error, InstrumentError):
                raise
            raise InstrumentLost(self.name, f"cannot open {self.resource}: {error}", _REACH) from error
        self.generation += 1
        return transport

    def _drop_transport(self) -> None:
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.close()

    def _translated(self, error: BaseException, command: Part, deadline: Deadline) -> InstrumentError:
        shown = _shown(command)
        if isinstance(error, MessageTooLong | BadBlock | CutOff):
            return InstrumentReply(self.name, str(error), command=shown)
        if isinstance(error, VisaIOError) and error.error_code == StatusCode.error_timeout:
            return InstrumentTimeout(
                self.name,
                f"no complete answer within {deadline.seconds:g} s",
                _REACH,
                command=shown,
            )
        return InstrumentLost(self.name, f"the line broke: {error}", _REACH, command=shown)


def _shown(command: Part) -> str:
    """A command as it goes into messages."""
    text = command if isinstance(command, str) else "(data)"
    return text if len(text) <= 120 else text[:117] + "..."
