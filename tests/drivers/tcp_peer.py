"""A peer on a TCP port of this computer that answers as a test tells it, for lines through
pyvisa-py.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Behaviour = Callable[[socket.socket], None]


@contextlib.contextmanager
def tcp_peer(*behaviours: Behaviour) -> Iterator[str]:
    """Resource string of a server whose n-th connection gets the n-th behaviour (the last one
    again).
    """
    listener = socket.create_server(("127.0.0.1", 0))
    closing = threading.Event()
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def talk(connection: socket.socket, behaviour: Behaviour) -> None:
        with contextlib.suppress(OSError):
            behaviour(connection)
            connection.close()

    def serve() -> None:
        while not closing.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            behaviour = behaviours[min(len(connections), len(behaviours) - 1)]
            connections.append(connection)
            thread = threading.Thread(target=talk, args=(connection, behaviour), daemon=True)
            threads.append(thread)
            thread.start()

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    try:
        yield f"TCPIP0::127.0.0.1::{listener.getsockname()[1]}::SOCKET"
    finally:
        closing.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in [server, *threads]:
            thread.join(5)


def lines(connection: socket.socket) -> Iterator[bytes]:
    """Commands as they come, without their line feed."""
    pending = b""
    while True:
        data = connection.recv(65536)
        if not data:
            return
        pending += data
        while b"\n" in pending:
            line, _, pending = pending.partition(b"\n")
            yield line
