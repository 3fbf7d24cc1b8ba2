"""The instruments of a simulated laboratory on TCP ports, for programs in other processes and on other computers.

Each instrument of the bench file has a port of its own, and so has the control instrument: a raw socket where the
bench file names a ``SOCKET`` or a serial line, HiSLIP (:mod:`sim_backends.hislip`) elsewhere and where the real
instrument has it as well. All are served by one thread. What has come to several of them by the time it looks is obeyed
instruments first, HiSLIP's asynchronous channels then, the control instrument last: what a program told an instrument
before it turned to the control instrument has been obeyed.

Clients are not trusted: see :class:`~sim_backends.server_line.Limits`.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

from labctl.errors import ConfigError
from labctl.schema import read_toml
from sim_backends.hislip import HislipLine, Sessions
from sim_backends.lab import CONTROL_RESOURCE, open_lab
from sim_backends.served_bench import Address, Way, served_bench, ways_of
from sim_backends.server_line import ControlLine, Limits, Line, StreamLine, without_ceremony
from sim_backends.unit import Unit

_BACKLOG: Final = 128
#: Connections accepted in a row at one port.
_ACCEPTED_AT_ONCE: Final = 16
_LAST_PORT: Final = 65535
_FULL: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Port:
    """A listening socket, whose instrument it is, and who is connected."""

    def __init__(self, address: Address, unit: Unit, listener: socket.socket) -> None:
        self.address = address
        self.unit = unit
        self.listener = listener
        self.sessions = Sessions(unit)
        self.lines: set[Line] = set()

    def line(self, sock: socket.socket, host: LabServer, now_s: float) -> Line:
        """What speaks the language of this port."""
        if self.address.way is Way.HISLIP:
            return HislipLine(sock, host, self.sessions, now_s)
        kind = ControlLine if self.address.name == CONTROL_RESOURCE else StreamLine
        return kind(sock, host, self.unit, now_s)


class LabServer:
    """Listens from the constructor on, serves in :meth:`run`, in the thread that calls it; ``with`` closes it.

    ``port_base``: the control instrument's port, the instruments' follow in the order of the bench file, those of the
    second ways behind all first ones; 0: whatever ports are free. ``complain``: told of a simulated instrument's own
    failure, which costs the client its connection and nobody else anything. Raises ConfigError for a wrong bench file,
    and for a port that cannot be had.
    """

    def __init__(
        self,
        bench_file: Path,
        host: str = "127.0.0.1",
        port_base: int = 0,
        limits: Limits | None = None,
        complain: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._tables = read_toml(bench_file)
        self._lab = open_lab(str(bench_file))
        self._complain = complain or (lambda error: None)
        self._ports: list[Port] = []
        self._lines: dict[Line, Port] = {}
        self._ready: set[Line] = set()
        self._heard: list[Line] = []  # in this turn
        self._thread = 0
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        try:
            for end in (self._waker, self._woken):
                end.setblocking(False)
            self._selector.register(self._woken, selectors.EVENT_READ, None)
            self._listen(host, port_base)
        except BaseException:
            self.close()
            raise
        self._swept_s = time.monotonic()

    # --- where --------------------------------------------------------------------------------------

    def _listen(self, host: str, port_base: int) -> None:
        resources = {name: entry["resource"] for name, entry in self._tables["instruments"].items()}
        units: dict[str, Unit] = {CONTROL_RESOURCE: self._lab.control, **self._lab.units}
        wanted = [(CONTROL_RESOURCE, Way.SOCKET)]
        for order in (0, 1):
            for name, unit in self._lab.units.items():
                wanted += [(name, way) for way in ways_of(resources[name], unit.HISLIP)[order : order + 1]]
        shown = socket.gethostname() if host in ("", "0.0.0.0") else host
        for offset, (name, way) in enumerate(wanted):
            listener = _listener(host, port_base and port_base + offset)
            port = Port(Address(name, way, shown, listener.getsockname()[1]), units[name], listener)
            self._ports.append(port)
            self._selector.register(listener, selectors.EVENT_READ, port)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The control instrument's, then one for each instrument, then second ones."""
        return tuple(port.address for port in self._ports)

    def bench_toml(self) -> str:
        """A bench file by which pyvisa-py finds this laboratory."""
        control, *others = self.addresses
        resources: dict[str, str] = {}
        for address in others:
            resources.setdefault(address.name, address.resource)
        return served_bench(self._tables, resources, control.resource)

    # --- life ---------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until :meth:`stop`."""
        self._thread = threading.get_ident()
        while not self._stopping:
            events = self._selector.select(self._patience_s())
            now_s = time.monotonic()
            for key, mask in sorted(events, key=_urgency):
                self._attend(key, mask, now_s)
            self._settle(now_s)
            if not 0 <= now_s - self._swept_s < self._sweep_s:
                self._sweep(now_s)

    def stop(self) -> None:
        """End :meth:`run`; from any thread, or from a signal's handler."""
        self._stopping = True
        self._wake()

    def close(self) -> None:
        """Hang up on everybody and give the ports back; safe to call twice."""
        for line in list(self._lines):
            line.drop()
        for port in self._ports:
            port.listener.close()
        self._selector.close()
        self._waker.close()
        self._woken.close()
        self._lab.close()

    def __enter__(self) -> LabServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it wakes anyway
            self._waker.send(b"\0")

    # --- one turn -----------------------------------------------------------------------------------

    def _attend(self, key: selectors.SelectorKey, mask: int, now_s: float) -> None:
        line = key.data
        if line is None:
            with contextlib.suppress(BlockingIOError):
                self._woken.recv(4096)
        elif isinstance(line, Port):
            self._accept(line, now_s)
        else:
            if mask & selectors.EVENT_WRITE and not line.closed:
                line.writable(now_s)
            if mask & selectors.EVENT_READ and not line.closed:
                with self._surviving(line):
                    line.readable(now_s)
                self._heard.append(line)

    @contextlib.contextmanager
    def _surviving(self, line: Line | None) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  (one instrument's fault must not end the service of the others)
            self._complain(error)
            if line is not None:
                line.drop()

    def _settle(self, now_s: float) -> None:
        """Send what the units have to say, what time alone completed included."""
        heard, self._heard = self._heard, []
        for line in heard:
            if line not in self._ready:
                line.acknowledge()
        with self._lab.lock:
            with self._surviving(None):
                for port in self._ports:
                    if port.lines:
                        port.unit.elapse()
            ready, self._ready = self._ready, set()
            for line in ready:
                if not line.closed:
                    line.fetch()

    def _patience_s(self) -> float:
        """Until something may come by itself, or the next look at who keeps us waiting."""
        waits = [self._sweep_s]
        if not self._lab.stepped:
            wakes = (port.unit.wake_in_s() for port in self._ports if port.lines)
            waits += [max(0.0, wake) for wake in wakes if wake is not None]
        return min(waits)

    # --- who ----------------------------------------------------------------------------------------

    def _accept(self, port: Port, now_s: float) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                sock, _ = port.listener.accept()
            except OSError as error:
                if error.errno in _FULL:
                    self._make_room(self._lines)
                return
            fault = port.unit.fault
            if (fault is not None and fault.breaks) or not self._has_room(port):
                without_ceremony(sock)
                sock.close()
                continue
            line = port.line(sock, self, now_s)
            self._lines[line] = port
            port.lines.add(line)
            self._selector.register(sock, selectors.EVENT_READ, line)

    def _has_room(self, port: Port) -> bool:
        limits = self.limits
        if len(port.lines) >= limits.connections_per_port and not self._make_room(port.lines):
            return False
        return len(self._lines) < limits.connections or self._make_room(self._lines)

    @staticmethod
    def _make_room(lines: set[Line] | dict[Line, Port]) -> bool:
        """Drop the oldest of those that never said anything; whether there was one."""
        silent = min((line for line in lines if not line.spoken), key=lambda line: line.opened_s, default=None)
        if silent is not None:
            silent.drop()
        return silent is not None

    @property
    def _sweep_s(self) -> float:
        limits = self.limits
        return min(limits.silent_s, limits.stalled_s, limits.unread_s) / 8

    def _sweep(self, now_s: float) -> None:
        """Drop whom we waited for long enough, and the largest begun messages when all together are too large."""
        self._swept_s = now_s
        begun = 0
        for line in sorted(self._lines, key=lambda line: line.begun_bytes):
            begun += line.begun_bytes
            if line.overdue(now_s) or begun > self.limits.begun_bytes:
                line.drop()

    # --- what lines ask for (see Host) ----------------------------------------------------------------

    def interest(self, line: Line, read: bool, write: bool) -> None:
        """Call the line when it can be read or written; with neither, when its client has gone."""
        events = read * selectors.EVENT_READ | write * selectors.EVENT_WRITE
        known = line.socket in self._selector.get_map()
        if events and known:
            self._selector.modify(line.socket, events, line)
        elif events:
            self._selector.register(line.socket, events, line)
        elif known:
            self._selector.unregister(line.socket)

    def answered(self, line: Line) -> None:
        """There is something for ``line`` to fetch; under the laboratory's lock."""
        self._ready.add(line)
        if threading.get_ident() != self._thread:
            self._wake()

    def forget(self, line: Line) -> None:
        """The line has been closed. When nobody holds the control instrument, time goes on by itself again."""
        port = self._lines.pop(line, None)
        if port is None:
            return
        port.lines.discard(line)
        if line.socket in self._selector.get_map():
            self._selector.unregister(line.socket)
        if port.address.name == CONTROL_RESOURCE and not port.lines:
            with self._lab.lock:
                self._lab.set_stepped(False)


def _urgency(event: tuple[selectors.SelectorKey, int]) -> int:
    data = event[0].data
    return data.urgency if isinstance(data, Line) else 0


def _listener(host: str, port: int) -> socket.socket:
    if port > _LAST_PORT:
        raise ConfigError(f"there is no port {port}", "Choose a lower --port-base.")
    try:
        return _nonblocking(socket.create_server((host, port), backlog=_BACKLOG))
    except OSError as error:
        raise ConfigError(
            f"cannot serve at port {port} of {host!r}: {error.strerror or error}",
            "Choose another --port-base (0: whatever ports are free), or a --host of this computer.",
        ) from None


def _nonblocking(listener: socket.socket) -> socket.socket:
    listener.setblocking(False)
    return listener
