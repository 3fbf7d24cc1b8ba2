"""TCP connections of a served laboratory: bytes in, bytes out, and how long a client may keep us waiting."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

from sim_backends.scpi_input import InputBuffer
from sim_backends.unit import Connection, Unit

#: Asked for at once: others have their turn in between.
RECEIVE_BYTES: Final = 1 << 16
#: Clients that collect small writes (pyserial, pyvisa-py's sockets) hold the next one back until the last has been
#: acknowledged, which a kernel left alone puts off for 40 ms. Linux only, and to be said again after every read.
_QUICK_ACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


@dataclass(frozen=True)
class Limits:
    """What a client may take of the server. Times in seconds of wall time, sizes in bytes.

    ``connections``: in all, and ``connections_per_port``; when there are more, the oldest that never said anything
    goes. ``silent_s``: for a new connection to send its first whole message. ``stalled_s``: in each such time a message
    that has begun must grow by ``progress_bytes``, or end. It is looked eight times as often who is overdue, so that
    nobody is waited for longer than 5 s. ``unread_s``: in which a client must take something of its answers.
    ``text_bytes``: of a message, blocks not counted. ``unread_bytes``: of answers; a client with more is not listened
    to, and it is dropped when what it had already said makes them more than ``answers_bytes``. ``begun_bytes``: of
    messages that have begun and not ended, of all clients together.
    """

    connections: int = 512
    connections_per_port: int = 64
    silent_s: float = 4.0
    stalled_s: float = 2.0
    progress_bytes: int = 1024
    unread_s: float = 30.0
    text_bytes: int = 1 << 20
    unread_bytes: int = 1 << 16
    answers_bytes: int = 1 << 24
    begun_bytes: int = 1 << 30


class Host(Protocol):
    """What a line needs of the server."""

    limits: Limits

    def interest(self, line: Line, read: bool, write: bool) -> None:
        """Call the line when it can be read or written."""
        ...

    def answered(self, line: Line) -> None:
        """There is something for ``line`` to fetch from its unit; from any thread."""
        ...

    def forget(self, line: Line) -> None:
        """The line has been closed."""
        ...


class Line:
    """One TCP connection, not blocking. Children say what its bytes mean.

    ``spoken``: a whole message came; ``begun_bytes``: of one that has not ended. ``urgency``: of lines that can be read
    at the same time the lower goes first.
    """

    urgency = 0

    def __init__(self, sock: socket.socket, host: Host, unit: Unit, now_s: float) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.socket = sock
        self.unit = unit
        self.host = host
        self.spoken = False
        self.closed = False
        self.begun_bytes = 0
        self.opened_s = self._grown_s = self._taken_s = now_s
        self._grown_bytes = 0
        self._unsent: deque[memoryview] = deque()
        self._unsent_bytes = 0
        self._ending = self._held = False
        self._interest = (True, False)

    @property
    def established(self) -> bool:
        """Whether what came so far is more than a greeting."""
        return True

    # --- in ---------------------------------------------------------------------------------------

    def readable(self, now_s: float) -> None:
        """Take in what has come."""
        try:
            data = self.socket.recv(RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            return
        if not data:
            self._hung_up()
            return
        begun = self.take_in(data)
        if self.closed:
            return
        self._count(begun, len(data), now_s)
        self._watch()

    def acknowledge(self) -> None:
        """Let the client's kernel know now what has been read, for no answer will tell it."""
        if _QUICK_ACK is not None and not self.closed:
            self.socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)

    def take_in(self, data: bytes) -> int:
        """Obey what has come; bytes kept of a message that has begun and not ended, 0 when there is none."""
        raise NotImplementedError

    def fetch(self) -> None:
        """Send what the unit has to say, or close when it broke the connection (under the unit's lock)."""

    def _count(self, begun: int, size: int, now_s: float) -> None:
        if not begun:
            self.spoken = self.spoken or self.established
        elif not self.begun_bytes:
            self._grown_s, self._grown_bytes = now_s, 0
        self.begun_bytes = begun
        self._grown_bytes += size

    def _hung_up(self) -> None:
        """The client has nothing more to say; what it asked for is still sent."""
        self._ending = True
        if self._unsent:
            self._watch()
        else:
            self.close()

    def pause(self, paused: bool) -> None:
        """Do not listen, for another one has the unit to itself."""
        self._held = paused
        if not self.closed:
            self._watch()

    # --- out --------------------------------------------------------------------------------------

    def send(self, *pieces: bytes, now_s: float | None = None) -> None:
        """At once as far as possible, the rest when the client has taken it."""
        for piece in pieces:
            if piece:
                self._unsent.append(memoryview(piece))
                self._unsent_bytes += len(piece)
        self.writable(now_s)

    def writable(self, now_s: float | None = None) -> None:
        """Send what waits."""
        unsent = self._unsent
        try:
            while unsent:
                sent = self.socket.send(unsent[0])
                self._unsent_bytes -= sent
                if now_s is not None:
                    self._taken_s = now_s
                if sent < len(unsent[0]):
                    unsent[0] = unsent[0][sent:]
                else:
                    unsent.popleft()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.close()
            return
        if self._ending and not unsent:
            self.close()
            return
        self._watch()

    def forget_unsent(self) -> None:
        """Messages that have not begun to go out never will; one that has goes on."""
        while len(self._unsent) > 1:
            self._unsent_bytes -= len(self._unsent.pop())

    def _watch(self) -> None:
        full = self._unsent_bytes > self.host.limits.unread_bytes
        wanted = (not (full or self._ending or self._held), bool(self._unsent))
        if wanted != self._interest:
            self._interest = wanted
            self.host.interest(self, *wanted)

    # --- how long ---------------------------------------------------------------------------------

    def overdue(self, now_s: float) -> bool:
        """Whether the client has kept us waiting too long (see :class:`Limits`)."""
        limits = self.host.limits
        if self._unsent:
            return now_s - self._taken_s > limits.unread_s
        self._taken_s = now_s
        if self.begun_bytes:
            if now_s - self._grown_s < limits.stalled_s:
                return False
            poor = self._grown_bytes < limits.progress_bytes
            self._grown_s, self._grown_bytes = now_s, 0
            return poor
        return not self.spoken and now_s - self.opened_s >= limits.silent_s

    def drop(self) -> None:
        """Close with a reset: nothing waits for a client that does not behave."""
        without_ceremony(self.socket)
        self.close()

    def close(self) -> None:
        """Give the connection back; safe to call twice."""
        if self.closed:
            return
        self.closed = True
        self._unsent.clear()
        self.host.forget(self)
        self.socket.close()
        self.ended()

    def ended(self) -> None:
        """It has been closed."""


class StreamLine(Line):
    """A raw socket, or a serial line behind one: all bytes are the unit's."""

    def __init__(self, sock: socket.socket, host: Host, unit: Unit, now_s: float) -> None:
        super().__init__(sock, host, unit, now_s)
        self._connection = connected(unit, self, stream=True)

    def take_in(self, data: bytes) -> int:
        if self._connection is None:
            self.drop()
            return 0
        self._connection.receive(data)
        return begun_bytes(self._connection)

    def fetch(self) -> None:
        connection = self._connection
        if connection is None or connection.lost:
            self.drop()
        else:
            self.send(*connection.drain())

    def ended(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            hang_up(connection)


class ControlLine(StreamLine):
    """A raw socket to the control instrument: what others said before it counts as earlier."""

    urgency = 2


def without_ceremony(sock: socket.socket) -> None:
    """When it is closed the other end is told of a broken connection, and nothing lingers at this one."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def connected(unit: Unit, line: Line, stream: bool) -> Connection | None:
    """A session with ``unit`` for a client that is not trusted; None when the unit cannot be reached."""
    connection = unit.connect(stream)
    if connection is None:
        line.host.answered(line)
        return None
    limits = line.host.limits
    if isinstance(connection.framing, InputBuffer):
        connection.framing.bound(limits.text_bytes, unit.LONGEST_BLOCK)
    connection.room = limits.answers_bytes
    connection.told = lambda: line.host.answered(line)
    return connection


def begun_bytes(connection: Connection) -> int:
    """Kept of a message that has not ended, at least one; 0 when none has begun."""
    framing = connection.framing
    return framing.begun if isinstance(framing, InputBuffer) else int(not framing.idle)


def hang_up(connection: Connection) -> None:
    """The client has gone; it is told nothing more."""
    connection.told = None
    connection.close()
