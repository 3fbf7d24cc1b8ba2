"""The only place that talks to an engine process. It never waits: Qt tells when there is something to read."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, cast

from PyQt6.QtCore import QObject, QSocketNotifier, pyqtSignal
from PyQt6.sip import voidptr

from labctl.engine_process.frames import Unpacker, pack
from labctl.engine_process.messages import (
    Answer,
    Batch,
    Beat,
    Failed,
    HandRequest,
    Missed,
    Order,
    Part,
    Pixels,
    Request,
    Task,
)
from labctl.errors import ProtocolError

#: What is read in one go: after so much the window gets its turn.
READ_BYTES = 2**16
#: How long an idle process may take to end, s.
PATIENCE_S = 3.0
#: What a process that died said last.
TAIL_BYTES = 2000


@dataclass(frozen=True)
class _Asked:
    done: Callable[[Any], None]
    failed: Callable[[Failed], None]
    part: Callable[[Any], None]


def _nothing(value: object) -> None:
    """For those who do not care."""


class EngineLink(QObject):
    """One engine process, started when it is first needed and again after it died.

    ``events``: a list of events in order; ``pixels``: image and array; ``missed``: events left out; ``beat``: steps so
    far; ``died``: in words, after which every request under way has failed.
    """

    events = pyqtSignal(list)
    pixels = pyqtSignal(int, object)
    missed = pyqtSignal(int)
    beat = pyqtSignal(int)
    died = pyqtSignal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._unpacker = Unpacker()
        self._unsent = bytearray()
        self._asked: dict[int, _Asked] = {}
        self._number = 0
        self._reader: QSocketNotifier | None = None
        self._writer: QSocketNotifier | None = None

    @property
    def pid(self) -> int | None:
        """Of the process; None when there is none."""
        return None if self._process is None else self._process.pid

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return bool(self._asked)

    def start(self) -> None:
        """Start the process if there is none; its imports then run while the window is being built."""
        if self._process is not None:
            return
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process is
        self._process = subprocess.Popen(
            [sys.executable, "-m", "labctl.engine_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
            bufsize=0,
        )
        self._unpacker, self._unsent = Unpacker(), bytearray()
        reading, writing = self._pipes()
        for descriptor in (reading, writing):
            os.set_blocking(descriptor, False)
        self._reader = QSocketNotifier(voidptr(reading), QSocketNotifier.Type.Read, self)
        self._reader.activated.connect(self._read)
        self._writer = QSocketNotifier(voidptr(writing), QSocketNotifier.Type.Write, self)
        self._writer.setEnabled(False)
        self._writer.activated.connect(self._write)

    def ask(
        self,
        request: Request | HandRequest,
        done: Callable[[Any], None] = _nothing,
        failed: Callable[[Failed], None] = _nothing,
        part: Callable[[Any], None] = _nothing,
    ) -> int:
        """Have something done; one of ``done`` and ``failed`` is called later. Returns the number of the request."""
        self.start()
        self._number += 1
        self._asked[self._number] = _Asked(done, failed, part)
        self._send(Task(self._number, request))
        return self._number

    def order(self, order: Order) -> None:
        """Tell the run that goes on; nothing where there is no process."""
        if self._process is not None:
            self._send(order)

    def kill(self) -> None:
        """At once. What it simulated is gone with it; an instrument stays as it is."""
        if self._process is not None:
            self._process.kill()

    def close(self, *, leave: bool = False) -> None:
        """End the process, which is idle or about to be; ``leave``: let it go on with what it does, on its own."""
        process = self._drop()
        if process is None:
            return
        if leave:
            process.returncode = 0  # it ends when its run does; nobody waits for it
            return
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _pipes(self) -> tuple[int, int]:
        process = self._process
        if process is None or process.stdout is None or process.stdin is None:
            raise ProtocolError("there is no engine process", "This is a fault of the program.")
        return process.stdout.fileno(), process.stdin.fileno()

    def _send(self, message: object) -> None:
        self._unsent += pack(message)
        self._write()

    def _write(self) -> None:
        if self._process is None or self._writer is None:
            return
        try:
            while self._unsent:
                del self._unsent[: os.write(self._pipes()[1], self._unsent[:READ_BYTES])]
        except BlockingIOError:
            pass
        except OSError:  # it has died: reading tells
            self._unsent.clear()
        self._writer.setEnabled(bool(self._unsent))

    def _read(self) -> None:
        if self._process is None:
            return
        try:
            data = os.read(self._pipes()[0], READ_BYTES)
            messages = self._unpacker.feed(data)
        except BlockingIOError:
            return
        except (OSError, ProtocolError):
            data, messages = b"", []
        for message in messages:
            self._hear(message)
        if not data:
            self._has_died()

    def _hear(self, message: object) -> None:
        if isinstance(message, Batch):
            self.events.emit(list(message.events))
        elif isinstance(message, Pixels):
            self.pixels.emit(message.image, message.pixels)
        elif isinstance(message, Beat):
            self.beat.emit(message.steps)
        elif isinstance(message, Missed):
            self.missed.emit(message.events)
        elif isinstance(message, Part) and message.number in self._asked:
            self._asked[message.number].part(message.value)
        elif isinstance(message, Answer) and message.number in self._asked:
            self._asked.pop(message.number).done(message.value)
        elif isinstance(message, Failed) and message.number in self._asked:
            self._asked.pop(message.number).failed(message)

    def _has_died(self) -> None:
        errors = self._errors
        process = self._drop(keep_errors=True)
        if process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
        if process.returncode is None:
            process.kill()
            process.wait()
        told = _tail(errors)
        how = f"by signal {-process.returncode}" if process.returncode < 0 else f"with status {process.returncode}"
        text = f"the engine's process ended {how}"
        asked, self._asked = self._asked, {}
        for each in asked.values():
            each.failed(Failed(0, "EngineDied", text, "Look at the bench; press Light off, then start again."))
        self.died.emit(f"{text}{': ' if told else ''}{told}")

    def _drop(self, *, keep_errors: bool = False) -> subprocess.Popen[bytes] | None:
        """Let go of the pipes, and return the process."""
        process, self._process = self._process, None
        for notifier in (self._reader, self._writer):
            if notifier is not None:
                notifier.setEnabled(False)
                notifier.deleteLater()
        self._reader = self._writer = None
        if process is None:
            return None
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):
                cast(IO[bytes], stream).close()
        if not keep_errors and self._errors is not None:
            self._errors.close()
        self._errors = None
        return process


def _tail(errors: IO[bytes] | None) -> str:
    """The last line that was written to standard error."""
    if errors is None:
        return ""
    with errors:
        errors.seek(0, os.SEEK_END)
        errors.seek(max(0, errors.tell() - TAIL_BYTES))
        lines = errors.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
