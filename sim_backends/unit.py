"""What every simulated unit has: a name, the world around it, options, and connections that bytes
go through.

A *connection* is one open session. The transport (the VISA library in this process, or a network
server) calls :meth:`Connection.receive` with what the client wrote, and :meth:`Connection.take` for
what it may read. All work on a unit happens under ``unit.lock``; units of one laboratory should
share one lock, since a trigger reaches from one into the next.
"""

from __future__ import annotations

import importlib
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from typing import ClassVar, Protocol

from labctl import extensions
from labctl.errors import ConfigError
from sim_backends.faults import Fault
from sim_backends.options import OptionReader
from sim_backends.scpi_input import InputBuffer, Message
from sim_backends.state import WorldView

Data = bytes | bytearray | memoryview


class Ending(IntEnum):
    """Why :meth:`Connection.take` stopped: with END, at the termination character, or because
    ``count`` was reached.
    """

    END = 0
    TERMINATION = 1
    COUNT = 2


class Framing(Protocol):
    """Turns the bytes of one sender into messages. ``idle``: nothing is pending."""

    idle: bool

    def feed(self, data: Data, end: bool) -> Iterator[Message]: ...

    def clear(self) -> None: ...


class Connection:
    """One session with a unit.

    ``stream``: a byte stream without message boundaries (raw socket, serial line); otherwise a
    message transport with END (GPIB, USBTMC, HiSLIP, VXI-11), where an unread answer is dropped
    when the next message comes. ``arrived`` is notified when an answer comes later than its
    message, and when the connection ends.

    A transport that sends answers by itself sets ``told``, called (under the lock) when there is an answer and when
    the connection is lost, and fetches with :meth:`drain`. ``undelivered``: what it has sent was not read yet.
    ``room``: when more bytes than these wait, and still more come, the connection is lost.
    """

    def __init__(self, unit: Unit, stream: bool) -> None:
        self.unit = unit
        self.stream = stream
        self.framing = unit.new_framing()
        self.arrived = threading.Condition(unit.lock)
        self.readers = 0  # that wait for it
        self.lost = False
        self.told: Callable[[], None] | None = None
        self.undelivered = False
        self.room: int | None = None
        self._put_bytes = 0  # since it was empty
        self._replies: deque[bytes] = deque()
        self._position = 0  # in the first reply

    def receive(self, data: Data, end: bool = False) -> None:
        """The client wrote ``data``; ``end``: END came with the last byte. Obeys all messages that
        are complete.
        """
        unit = self.unit
        with unit.lock:
            if unit.on_message is not None:
                unit.on_message()
            if unit.fault is None or not unit.fault.deaf:
                unit.receive(self, data, end)

    def put(self, reply: bytes, rest: bytes = b"") -> None:
        """Queue one response message, terminator included (called by the unit).

        On a stream a long message may come in two pieces, so that neither is copied when it is read piece by piece.
        """
        if rest and (self.unit.fault is not None or not self.stream):
            reply, rest = reply + rest, b""
        fault = self.unit.fault
        if fault is not None:
            altered = fault.answer(self, reply)
            if altered is None:
                return
            reply = altered
        if self.room is not None:
            if self._put_bytes > self.room:
                self.drop_replies()
                self.lose()
                return
            self._put_bytes += len(reply) + len(rest)
        self._replies.append(reply)
        if rest:
            self._replies.append(rest)
        if self.readers:
            self.arrived.notify_all()
        if self.told is not None:
            self.told()

    @property
    def answered(self) -> bool:
        """Whether anything waits to be read."""
        return bool(self._replies) or self.undelivered

    @property
    def waiting(self) -> int:
        """Bytes that wait to be read."""
        return sum(map(len, self._replies)) - self._position

    def take(self, count: int, termination: bytes = b"") -> tuple[bytes, Ending] | None:
        """At most ``count`` bytes of what waits, or None when the read is not satisfied (yet).

        On a stream a read wants ``count`` bytes or the termination character (one byte; empty: not
        looked for).
        """
        replies = self._replies
        if not replies:
            return None
        if self.stream:
            return self._take_stream(count, termination)
        reply, start = replies[0], self._position
        stop = start + count
        ending = Ending.COUNT
        if termination:
            found = reply.find(termination, start, stop)
            if found >= 0:
                stop, ending = found + 1, Ending.TERMINATION
        if stop >= len(reply):
            ending = Ending.END
        return self._cut(stop), ending

    def _take_stream(self, count: int, termination: bytes) -> tuple[bytes, Ending] | None:
        reply, start = self._replies[0], self._position
        if termination:
            found = reply.find(termination, start, start + count)
            if found >= 0:
                return self._cut(found + 1), Ending.TERMINATION
        if len(reply) - start >= count:
            return self._cut(start + count), Ending.COUNT
        if len(self._replies) == 1:
            return None
        merged = reply[start:] + b"".join(list(self._replies)[1:])
        self._replies.clear()
        self._replies.append(merged)
        self._position = 0
        return self._take_stream(count, termination)

    def _cut(self, stop: int) -> bytes:
        reply, start = self._replies[0], self._position
        if stop >= len(reply):
            self._replies.popleft()
            self._position = 0
            return reply if start == 0 else reply[start:]
        self._position = stop
        return reply[start:stop]

    def drop_replies(self) -> bool:
        """Forget what was not read; whether there was anything."""
        had = self.answered
        self._replies.clear()
        self._position = 0
        self.undelivered = False
        self._put_bytes = 0
        return had

    def drain(self) -> list[bytes]:
        """All that waits, in pieces; on a message transport each is one whole message."""
        pieces = list(self._replies)
        self._replies.clear()
        self._put_bytes = 0
        return pieces

    def rest(self, count: int) -> bytes:
        """What a stream holds, fewer than ``count`` bytes perhaps: a read that timed out takes it
        along.
        """
        everything = b"".join(self._replies)[self._position :]
        self.drop_replies()
        if len(everything) > count:
            self._replies.append(everything[count:])
        return everything[:count]

    def clear(self) -> None:
        """Device clear: on a message transport the unit forgets half a message and what it was
        about to say.

        A byte stream has no such signal: only what was not read is thrown away.
        """
        with self.unit.lock:
            self.drop_replies()
            if not self.stream:
                if self.unit.fault is not None:
                    self.unit.fault.cleared(self)
                self.framing.clear()
                self.unit.cleared(self)

    def lose(self) -> None:
        """The connection broke: every further read or write fails, a waiting one wakes up."""
        self.lost = True
        self.arrived.notify_all()
        if self.told is not None:
            self.told()

    def close(self) -> None:
        """The client hung up."""
        with self.unit.lock:
            self.lose()
            self.unit.hung_up(self)


class Unit:
    """One simulated instrument.

    A front end is a module ``sim_backends.<MODEL>`` with one subclass that carries that MODEL. It
    keeps what it was told in ``self.state`` (see :mod:`sim_backends.state`), takes its options from
    ``self.options`` in its constructor, and says in :meth:`obey` what a message does.
    """

    MODEL: ClassVar[str] = ""
    #: Whether the real instrument has HiSLIP beside what the bench file names (see :mod:`sim_backends.server`).
    HISLIP: ClassVar[bool] = False
    #: Bytes of the longest block that it could have a use for.
    LONGEST_BLOCK: ClassVar[int] = 1 << 26
    state: object = None

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        self.name = name
        self.world = world
        self.options = OptionReader(name, self.MODEL, options or {})
        self.lock: threading.RLock = threading.RLock()
        self.fault: Fault | None = None
        self.connections: list[Connection] = []
        #: Told of everything that comes in, before it is obeyed, where somebody has plans for this unit.
        self.on_message: Callable[[], None] | None = None

    def new_framing(self) -> Framing:
        """How this unit finds its messages in the bytes of one sender."""
        return InputBuffer()

    def connect(self, stream: bool) -> Connection | None:
        """A new session, or None when the unit cannot be reached."""
        with self.lock:
            if self.fault is not None and self.fault.refuses:
                return None
            connection = Connection(self, stream)
            self.connections.append(connection)
            return connection

    def set_fault(self, fault: Fault | None) -> None:
        """Inject a fault, or take it away; connections that it broke stay broken.

        Raises ConfigError for a fault that such a unit cannot have.
        """
        with self.lock:
            if fault is not None and not fault.fits(self):
                raise ConfigError(
                    f"{self.name} ({self.MODEL}) cannot have the fault {fault.name}",
                    "See the simulated lab's reference for who can have which.",
                )
            if self.fault is not None:
                self.fault.ended(self)
            self.fault = fault
            if fault is None:
                return
            fault.began(self)
            for connection in self.connections:
                if fault.breaks or fault.deaf:
                    connection.drop_replies()
                if fault.breaks:
                    connection.lose()

    def receive(self, connection: Connection, data: Data, end: bool) -> None:
        """Bytes came in on a connection (called under the lock)."""
        for message in connection.framing.feed(data, end):
            self.obey(connection, message)
            if connection.lost:
                return

    def obey(self, connection: Connection, message: Message) -> None:
        """Do what one whole message says, and put answers to ``connection``."""
        raise NotImplementedError

    def on_trigger(self) -> None:
        """The laboratory's shared trigger line fired."""

    def status_byte(self, connection: Connection) -> int:
        """What a serial poll reads."""
        return 16 if connection.answered else 0

    def elapse(self) -> None:
        """Time may have passed: finish what time alone completes."""

    def starved(self, connection: Connection) -> None:
        """A client reads although nothing waits and nothing was asked."""

    def wake_in_s(self) -> float | None:
        """Seconds on the lab's clock after which something may come by itself; None: nothing will."""
        return None

    def cleared(self, connection: Connection) -> None:
        """Device clear came in on ``connection``."""

    def hung_up(self, connection: Connection) -> None:
        """A connection ended."""
        if connection in self.connections:
            self.connections.remove(connection)


def open_unit(
    model: str,
    name: str,
    world: WorldView,
    options: Mapping[str, object],
    lock: threading.RLock | None = None,
) -> Unit:
    """The simulated unit of module ``sim_backends.<model>``, in its switched-on state.

    ``lock``: shared by the units of one laboratory. Raises ConfigError for an unknown model or a
    wrong option.
    """
    unit = _front_end(model, name)(name, world, options)
    unit.options.finish()
    if lock is not None:
        unit.lock = lock
    return unit


def _front_end(model: str, name: str) -> type[Unit]:
    remedy = (
        "Name a module of sim_backends that simulates an instrument, such as 'santec_tsl570', or the name under which"
        " an installed package registers one."
    )
    if not re.fullmatch(r"[a-z][a-z0-9_]*", model):
        raise ConfigError(f"unit {name!r}: {model!r} is no model of a simulated instrument", remedy)
    path = f"sim_backends.{model}"
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
        return _registered(model, name, remedy)
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Unit) and model == value.MODEL:
            return value
    raise ConfigError(f"unit {name!r}: {model!r} is no model of a simulated instrument", remedy)


def _registered(model: str, name: str, remedy: str) -> type[Unit]:
    """A unit that another package brings."""
    if model not in extensions.registered(extensions.SIMULATED_UNITS):
        raise ConfigError(f"unit {name!r}: there is no simulated {model!r}", remedy)
    found = extensions.load(model, extensions.SIMULATED_UNITS)
    if not (isinstance(found, type) and issubclass(found, Unit)):
        raise ConfigError(f"unit {name!r}: what is registered as {model!r} is no simulated instrument", remedy)
    return found
