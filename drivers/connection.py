"""One locked, deadlined connection per instrument.

A VISA resource is not thread safe, and after a timeout the next query gets the old answer. So every
operation here is write + read (+ error check) under one lock and one deadline, and after any
operation that did not end as it should (timeout, broken line, malformed reply, interrupt) the line
is renewed or cleared, and the instrument must say its name again before a reply is believed.
"""

from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np
import pyvisa
from numpy.typing import NDArray
from pyvisa.constants import StatusCode
from pyvisa.errors import VisaIOError

from drivers.exchange import RecordedTransport, Recorder
from drivers.pace import Pace
from drivers.transport import BadBlock, CutOff, Deadline, MessageTooLong, Transport
from labctl.errors import InstrumentError, InstrumentLost, InstrumentReply, InstrumentTimeout, WrongInstrument

T = TypeVar("T")
#: A part of a message: text, bytes, or samples that travel as they lie in memory.
Part = str | bytes | memoryview

DEFAULT_TIMEOUT_S: Final = 5.0
MAX_TEXT_REPLY: Final = 1 << 20
MAX_LINES: Final = 1000
MAX_BLOCK: Final = 1 << 29
#: How many answers to earlier questions are read away before an instrument's name after a failure.
STALE_ANSWERS: Final = 10
#: On a serial line, 8N1: a start bit and a stop bit come along.
BITS_PER_BYTE: Final = 10

_REACH = "Check its power and cable, and that no other program holds it; then run the bench check."
_log = logging.getLogger(__name__)
_FAILURES = (VisaIOError, OSError, RuntimeError, MessageTooLong, BadBlock, CutOff)


@dataclass(frozen=True)
class LineSettings:
    """How an instrument's line is spoken.

    ``terminator``: the byte a reply ends with; ``write_terminator``: what ends a command.
    ``timeout_s``: for a whole operation, wait included. ``baud_rate``: serial lines only. ``last_line``: a reply is
    several lines, blank ones left out, and the line that this regular expression matches is its last.
    """

    terminator: bytes = b"\n"
    write_terminator: bytes = b"\n"
    timeout_s: float = DEFAULT_TIMEOUT_S
    baud_rate: int | None = None
    last_line: str | None = None


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
        _log.info("%s: %s", self.name, reply, extra={"instrument": self.name, "resource": self.resource})
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
            return self._read_reply(line, deadline)

        return self._text(self._perform(parts[0], action, timeout_s), parts[0])

    def write_then_query(self, parts: tuple[Part, ...], query: str, timeout_s: float | None = None) -> str:
        """Send a message that has no reply, then ``query`` as a message of its own, and read its
        reply.

        On a stream both travel together; where a message ends with END they are sent one after the
        other.
        """
        first, second = self._pieces(parts), self._message((query,))

        def action(line: Transport, deadline: Deadline) -> bytes:
            if line.stream:
                line.write(b"".join([*first, second]), deadline)
            else:
                line.write(b"".join(first), deadline)
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
        return b"".join(self._pieces(parts))

    def _pieces(self, parts: tuple[Part, ...]) -> list[bytes | memoryview]:
        """A message not joined yet, so that a waveform in it is copied once."""
        pieces = [part.encode("ascii") if isinstance(part, str) else part for part in parts]
        return [*pieces, self.settings.write_terminator]

    def _read_reply(self, line: Transport, deadline: Deadline) -> bytes:
        """One line, or all lines of a reply that has several."""
        if self.settings.last_line is None:
            return line.read_message(deadline, MAX_TEXT_REPLY)
        lines: list[bytes] = []
        while len(lines) < MAX_LINES:
            text = line.read_message(deadline, MAX_TEXT_REPLY).strip()
            if not text.isascii():
                raise CutOff(f"{text[-40:]!r} is not text, so nobody knows which line is the last")
            lines += [text] if text else []
            if re.fullmatch(self.settings.last_line, text.decode("ascii")):
                return b"\n".join(lines)
        raise MessageTooLong(f"{MAX_LINES} lines came, and none is the last")

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
                failure = self._translated(error, command, deadline)
                _log.info("%s", failure, extra={"instrument": self.name, "resource": self.resource})
                raise failure from error
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
            if not (self._cleared(patient) and self._still_carries(deadline)):
                self._drop_transport()
                self._transport = self._new_transport()
                self._confirm_identity(self._transport, deadline)
        except _FAILURES as error:
            self._suspect = True
            raise InstrumentLost(self.name, f"does not come back after a failure: {error}", _REACH) from error
        self._suspect = self._gave_up = False
        _log.info("%s: the line is trusted again", self.name, extra={"instrument": self.name})

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
        except (VisaIOError, OSError, RuntimeError):  # broken, not only out of step
            return False
        return True

    def _still_carries(self, deadline: Deadline) -> bool:
        """Whether the line that was emptied is not a dead one; silence is the instrument's, and raised."""
        assert self._transport is not None
        try:
            self._confirm_identity(self._transport, deadline)
        except (VisaIOError, OSError, RuntimeError) as error:
            if isinstance(error, VisaIOError) and error.error_code == StatusCode.error_timeout:
                raise
            return False
        return True

    def _confirm_identity(self, line: Transport, deadline: Deadline) -> None:
        """Ask once, and read until the name comes: answers that were still under way come before it, and asking again
        would leave an answer over that is taken for the next one's. Nothing is asked when nothing was by then.
        """
        if self._identity is None:
            return
        query, expected = self._identity
        reply = ""
        if self._pace is not None:
            self._pace.wait()
        try:
            line.write(self._message((query,)), deadline)
            for _ in range(STALE_ANSWERS):
                reply = self._text(self._read_reply(line, deadline), query)
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
