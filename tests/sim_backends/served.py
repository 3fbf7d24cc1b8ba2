"""A laboratory on free TCP ports of this computer, and clients of the plainest kind."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labctl.shipped import bench_path
from sim_backends.hislip_message import HEADER, Header, Type, message
from sim_backends.served_bench import Way
from sim_backends.server import LabServer
from sim_backends.server_line import Limits

#: For anything that must come.
PATIENCE_S = 10.0


@dataclass
class Lab:
    """A running server, by the names of its instruments."""

    server: LabServer
    failures: list[BaseException]
    sockets: list[socket.socket] = field(default_factory=list)

    def port(self, name: str, way: Way | None = None) -> int:
        return next(a.port for a in self.server.addresses if a.name == name and way in (None, a.way))

    def resource(self, name: str, way: Way | None = None) -> str:
        return next(a.resource for a in self.server.addresses if a.name == name and way in (None, a.way))

    def connect(self, name: str, way: Way | None = None) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port(name, way)), timeout=PATIENCE_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets.append(made)
        return made

    def refused(self, name: str, way: Way | None = None) -> bool:
        """Whether a new connection ends before anything was said."""
        try:
            return gone(self.connect(name, way))
        except ConnectionError:
            return True


@contextlib.contextmanager
def served(folder: Path, limits: Limits | None = None, changes: dict[str, str] | None = None) -> Iterator[Lab]:
    """The ideal bench's laboratory; ``changes``: text of its bench file -> other text."""
    text = bench_path("ideal").read_text()
    for old, new in (changes or {}).items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "lab.bench.toml"
    path.write_text(text)
    failures: list[BaseException] = []
    with LabServer(path, limits=limits, complain=failures.append) as server:
        thread = threading.Thread(target=server.run, name="lab server")
        thread.start()
        lab = Lab(server, failures)
        try:
            yield lab
            assert not failures
        finally:
            for made in lab.sockets:
                made.close()
            server.stop()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def line(sock: socket.socket, end: bytes = b"\n") -> bytes:
    """One reply, its end included."""
    got = bytearray()
    while not got.endswith(end):
        piece = sock.recv(1)
        assert piece, f"the connection ended after {bytes(got)!r}"
        got += piece
    return bytes(got)


def ask(sock: socket.socket, command: bytes) -> bytes:
    """A reply without its line feed."""
    sock.sendall(command + b"\n")
    return line(sock)[:-1]


def gone(sock: socket.socket) -> bool:
    """Whether the server hangs up, in time; what it still sends is read away."""
    try:
        while sock.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def exactly(sock: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        piece = sock.recv(count - len(got))
        assert piece, f"the connection ended after {got!r}"
        got += piece
    return got


class Hislip:
    """A HiSLIP client that says what it is told, message by message."""

    def __init__(self, lab: Lab, name: str, join: bool = True) -> None:
        self.sync = lab.connect(name, Way.HISLIP)
        self.sync.sendall(message(Type.INITIALIZE, 0, 0x0100 << 16 | 0x7878, b"hislip0"))
        header, _ = receive(self.sync)
        assert header.type == Type.INITIALIZE_RESPONSE
        self.overlap, self.version = header.control, header.parameter >> 16
        self.number = header.parameter & 0xFFFF
        self.asynchronous = lab.connect(name, Way.HISLIP)
        self.id = 0xFFFF_FF00
        if join:
            self.join()

    def join(self) -> None:
        reply, _ = self.call(Type.ASYNC_INITIALIZE, 0, self.number)
        assert reply.type == Type.ASYNC_INITIALIZE_RESPONSE

    def call(self, kind: Type, control: int = 0, parameter: int = 0, payload: bytes = b"") -> tuple[Header, bytes]:
        """Of the asynchronous channel."""
        self.asynchronous.sendall(message(kind, control, parameter, payload))
        return receive(self.asynchronous)

    def say(self, data: bytes, kind: Type = Type.DATA_END, delivered: bool = True) -> int:
        """The message's number."""
        used, self.id = self.id, (self.id + 2) & 0xFFFF_FFFF
        self.sync.sendall(message(kind, int(delivered), used, data))
        return used

    def ask(self, command: bytes) -> bytes:
        used = self.say(command)
        header, reply = receive(self.sync)
        assert (header.type, header.parameter) == (Type.DATA_END, used)
        return reply


def receive(sock: socket.socket) -> tuple[Header, bytes]:
    prologue, *fields = HEADER.unpack(exactly(sock, HEADER.size))
    assert prologue == b"HS"
    header = Header(*fields)
    return header, exactly(sock, header.length)


def reset(sock: socket.socket) -> None:
    """Hang up without ceremony."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
