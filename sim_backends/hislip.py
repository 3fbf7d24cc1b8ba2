"""HiSLIP 1.0, the LAN protocol of instruments with message boundaries, for the units of a served laboratory.

IVI Foundation, "IVI-6.1: High-Speed LAN Instrument Protocol (HiSLIP)", version 1.0, 2011: table 3 (header), table 4
(messages), sections 2.1 to 2.14 (transactions), 3.1 (synchronized mode), 4 (locking). A session has two connections to
the same port: commands and answers go over the synchronous one, and what must not wait behind them over the
asynchronous one. Only the synchronized mode is offered. Not served: service requests, and the extensions of HiSLIP 2
(encryption, authentication), which are refused as unknown messages.
"""

from __future__ import annotations

import socket
from typing import Final

from sim_backends.hislip_lock import ResourceLock
from sim_backends.hislip_message import ERRORS, FATAL, HEADER, PROLOGUE, Header, Type, known, message
from sim_backends.server_line import Host, Line, begun_bytes, connected, hang_up
from sim_backends.unit import Connection, Unit

VERSION: Final = 0x0100
VENDOR: Final = int.from_bytes(b"lc", "big")
#: Bytes of the largest payload that is taken in.
MAX_MESSAGE: Final = 1 << 24
#: Names and lock strings.
MAX_SMALL: Final = 256
_SESSIONS: Final = 1 << 16
_RMT_DELIVERED: Final = 1


class Sessions:
    """The sessions with one unit, by the number that joins their two connections."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.lock = ResourceLock()
        self._by_number: dict[int, Session] = {}
        self._next = 1

    def open(self, line: HislipLine) -> Session | None:
        """A new one, with its synchronous channel; None: the unit cannot be reached."""
        connection = connected(self.unit, line, stream=False)
        if connection is None:
            return None
        while self._next in self._by_number:
            self._next = (self._next + 1) % _SESSIONS
        session = Session(self, self._next, line, connection)
        self._by_number[session.number] = session
        self._next = (self._next + 1) % _SESSIONS
        return session

    def join(self, number: int, line: HislipLine) -> Session | None:
        """The session that waits for its asynchronous channel, if there is one of that number."""
        session = self._by_number.get(number)
        if session is None or session.asynchronous is not None:
            return None
        session.asynchronous = line
        session.synchronous.spoken = True
        return session

    def forget(self, session: Session) -> None:
        """It has ended: what it had locked is free."""
        if self._by_number.pop(session.number, None) is not None:
            self.lock.forget(session)
            self.locked()

    def locked(self) -> None:
        """Somebody got the lock, or gave it back: the others wait, or go on."""
        for session in list(self._by_number.values()):
            session.synchronous.pause(not self.lock.allows(session))


class Session:
    """A client's session with a unit. ``sent_id``: of the message that is being answered."""

    def __init__(self, sessions: Sessions, number: int, line: HislipLine, connection: Connection) -> None:
        self.sessions = sessions
        self.number = number
        self.synchronous = line
        self.asynchronous: HislipLine | None = None
        self.connection = connection
        self.clearing = False
        self.max_message = MAX_MESSAGE
        self._message_id = 0
        self._inside = False  # a message of the client's that has not ended

    # --- messages of the client's ----------------------------------------------------------------

    def began(self, header: Header) -> None:
        """A piece of a message, or a trigger, begins."""
        connection = self.connection
        if not self._inside:
            self.delivered(header.control)
            if connection.undelivered:  # the client talks on without having read the answer
                self.synchronous.send(message(Type.INTERRUPTED, 0, header.parameter))
                if self.asynchronous is not None:
                    self.asynchronous.send(message(Type.ASYNC_INTERRUPTED, 0, header.parameter))
        self._message_id = header.parameter
        self._inside = header.type == Type.DATA

    def delivered(self, control: int) -> None:
        """The client says whether it has read an answer to its end."""
        if control & _RMT_DELIVERED:
            self.connection.undelivered = False

    def receive(self, data: bytes | memoryview, end: bool) -> None:
        """Bytes of a message, ``end``: its last ones."""
        if not self.clearing:
            self.connection.receive(bytes(data), end)

    def answer(self) -> None:
        """Send what the unit says; close when it broke the connection."""
        connection = self.connection
        if connection.lost:
            self.synchronous.drop()
            return
        for reply in connection.drain():
            limit = max(1, self.max_message - HEADER.size)
            for start in range(0, len(reply), limit):
                last = start + limit >= len(reply)
                piece = reply if len(reply) <= limit else reply[start : start + limit]
                kind = Type.DATA_END if last else Type.DATA
                self.synchronous.send(message(kind, 0, self._message_id, piece))
            connection.undelivered = True

    # --- what the asynchronous channel asks for ----------------------------------------------------

    def clear(self) -> None:
        """Device clear begins: nothing more goes out, and what comes is not obeyed until the client has done."""
        self.clearing, self._inside = True, False
        self.connection.clear()
        self.synchronous.forget_unsent()

    def cleared(self) -> None:
        """Both channels are empty."""
        self.connection.clear()
        self.clearing = False

    def status(self) -> int:
        """What a serial poll reads."""
        with self.connection.unit.lock:
            return self.connection.unit.status_byte(self.connection) & 0xFF

    def close(self) -> None:
        """Both connections end with either."""
        self.sessions.forget(self)
        hang_up(self.connection)
        for line in (self.synchronous, self.asynchronous):
            if line is not None:
                line.close()


class HislipLine(Line):
    """One of the two connections of a session; its first message says which."""

    def __init__(self, sock: socket.socket, host: Host, sessions: Sessions, now_s: float) -> None:
        super().__init__(sock, host, sessions.unit, now_s)
        self._sessions = sessions
        self._session: Session | None = None
        self._pending = bytearray()  # of a header, or of a small message
        self._streamed: Header | None = None  # whose payload is on its way
        self._missing = 0
        self._refusing = False

    # --- cutting the bytes into messages ------------------------------------------------------------

    def take_in(self, data: bytes) -> int:
        view = memoryview(data)
        while view and not self.closed and not self._ending:
            view = self._stream(view) if self._streamed is not None else self._collect(view)
        begun = len(self._pending) + (self._streamed is not None)
        if self._session is not None and self.urgency == 0:
            begun += begun_bytes(self._session.connection)
        return begun

    @property
    def established(self) -> bool:
        """Both connections of the session are there."""
        return self._session is not None and self._session.asynchronous is not None

    def _stream(self, view: memoryview) -> memoryview:
        """More of a payload that is handed on as it comes, or thrown away."""
        header, piece, rest = self._streamed, view[: self._missing], view[self._missing :]
        assert header is not None
        self._missing -= len(piece)
        if not self._missing:
            self._streamed = None
        if self._session is not None and not self._refusing:
            self._session.receive(piece, header.type == Type.DATA_END and not self._missing)
        self._refusing = self._refusing and self._missing > 0
        return rest

    def _collect(self, view: memoryview) -> memoryview:
        """More of a header, and the message itself where its payload is small."""
        wanted = HEADER.size - len(self._pending)
        if wanted > 0:
            self._pending += view[:wanted]
            view = view[wanted:]
            if len(self._pending) < HEADER.size:
                return view
        prologue, *fields = HEADER.unpack_from(self._pending)
        header = Header(*fields)
        if prologue != PROLOGUE:
            self._fatal(1)
            return view
        if header.type in (Type.DATA, Type.DATA_END) or header.length > MAX_SMALL or not known(header.type):
            self._pending.clear()
            self._begin_stream(header)
            return view
        missing = HEADER.size + header.length - len(self._pending)
        self._pending += view[:missing]
        if len(self._pending) == HEADER.size + header.length:
            payload = bytes(self._pending[HEADER.size :])
            self._pending.clear()
            self._obey(header, payload)
        return view[missing:]

    def _begin_stream(self, header: Header) -> None:
        """Data of the client's; what is too large or unknown is refused, and skipped."""
        session = self._session
        self._refusing = True
        if session is None:
            self._fatal(3)
        elif header.type not in (Type.DATA, Type.DATA_END):
            self._error(1 if not known(header.type) else 4)
        elif self.urgency:
            self._error(1)
        elif session.asynchronous is None:
            self._fatal(2)
        elif header.length > MAX_MESSAGE:
            self._error(4)
        else:
            self._refusing = False
            if not session.clearing:
                session.began(header)
        if self.closed:
            return
        if header.length:
            self._streamed, self._missing = header, header.length
        else:
            if session is not None and not self._refusing:
                session.receive(b"", header.type == Type.DATA_END)
            self._refusing = False

    # --- messages -------------------------------------------------------------------------------------

    def _obey(self, header: Header, payload: bytes) -> None:
        session = self._session
        if session is None:
            self._initialize(header)
        elif self.urgency:
            self._obey_async(session, header, payload)
        elif header.type == Type.DEVICE_CLEAR_COMPLETE:
            session.cleared()
            self.send(message(Type.DEVICE_CLEAR_ACKNOWLEDGE))
        elif header.type == Type.TRIGGER:
            if session.asynchronous is None:
                self._fatal(2)
            elif not session.clearing:
                session.began(header)
                session.receive(b"*TRG\n", True)
        elif header.type not in (Type.ERROR, Type.FATAL_ERROR):
            self._error(1)
        elif header.type == Type.FATAL_ERROR:
            self.close()

    def _initialize(self, header: Header) -> None:
        if header.type == Type.INITIALIZE:
            self._session = self._sessions.open(self)
            if self._session is not None:
                self.send(message(Type.INITIALIZE_RESPONSE, 0, VERSION << 16 | self._session.number))
                self._sessions.locked()
        elif header.type == Type.ASYNC_INITIALIZE:
            self._session = self._sessions.join(header.parameter & 0xFFFF, self)
            if self._session is None:
                self._fatal(3)
            else:
                self.urgency = 1
                self.send(message(Type.ASYNC_INITIALIZE_RESPONSE, 0, VENDOR))
        else:
            self._fatal(3)

    def _obey_async(self, session: Session, header: Header, payload: bytes) -> None:
        if header.type == Type.ASYNC_MAX_MESSAGE_SIZE and len(payload) == 8:
            session.max_message = max(HEADER.size + 1, min(MAX_MESSAGE, int.from_bytes(payload, "big")))
            self.send(message(Type.ASYNC_MAX_MESSAGE_SIZE_RESPONSE, payload=MAX_MESSAGE.to_bytes(8, "big")))
        elif header.type == Type.ASYNC_DEVICE_CLEAR:
            session.clear()
            self.send(message(Type.ASYNC_DEVICE_CLEAR_ACKNOWLEDGE))
        elif header.type == Type.ASYNC_STATUS_QUERY:
            session.delivered(header.control)
            self.send(message(Type.ASYNC_STATUS_RESPONSE, session.status()))
        elif header.type == Type.ASYNC_REMOTE_LOCAL_CONTROL:
            self.send(message(Type.ASYNC_REMOTE_LOCAL_RESPONSE))
        elif header.type == Type.ASYNC_LOCK:
            self._lock(session, header, payload)
        elif header.type == Type.ASYNC_LOCK_INFO:
            exclusive, holders = self._sessions.lock.info()
            self.send(message(Type.ASYNC_LOCK_INFO_RESPONSE, int(exclusive), holders))
        elif header.type == Type.FATAL_ERROR:
            self.close()
        elif header.type != Type.ERROR:
            self._error(1)

    def _lock(self, session: Session, header: Header, payload: bytes) -> None:
        """A lock that somebody else has is refused at once: nobody waits for it, whatever the time that is given."""
        lock = self._sessions.lock
        if header.control > 1:
            self._error(2)
            return
        response = lock.request(session, payload) if header.control else lock.release(session)
        self._sessions.locked()
        self.send(message(Type.ASYNC_LOCK_RESPONSE, response))

    # --- the rest of a line -----------------------------------------------------------------------------

    def fetch(self) -> None:
        if self._session is None:
            self.drop()  # the unit cannot be reached
        elif self.urgency == 0:
            self._session.answer()

    def ended(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _error(self, code: int) -> None:
        self.send(message(Type.ERROR, code, 0, ERRORS[code].encode()))

    def _fatal(self, code: int) -> None:
        """The client is told, and the connection ends."""
        self.send(message(Type.FATAL_ERROR, code, 0, FATAL[code].encode()))
        self._hung_up()
