"""Talks to a real engine process, as the window does."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from labctl.engine_process.frames import Unpacker, pack
from labctl.engine_process.messages import Answer, Batch, Failed, Order, Request, Task
from labctl.events import Event

PATIENCE_S = 60.0
M = TypeVar("M")


class Conversation:
    """One process, ended at the end; ``heard``: everything it said."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "labctl.engine_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "LABCTL_LOCKS": str(folder / "locks")},
        )
        self.heard: list[object] = []
        self._unpacker = Unpacker()
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()

    def ask(self, request: Request) -> int:
        self._number += 1
        self._write(Task(self._number, request))
        return self._number

    def order(self, order: Order) -> None:
        self._write(order)

    def _write(self, message: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(pack(message))
        self.process.stdin.flush()

    def hang_up(self) -> None:
        """As a window that was killed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()

    def until(self, enough: Callable[[], bool]) -> None:
        """Listen until that is so."""
        assert self.process.stdout is not None
        descriptor, end = self.process.stdout.fileno(), time.monotonic() + PATIENCE_S
        while not enough():
            left = end - time.monotonic()
            told = left > 0 and select.select([descriptor], [], [], left)[0]
            assert told, f"nothing more than {self.heard[-3:]}"
            data = os.read(descriptor, 2**16)
            assert data, "the process has ended"
            self.heard += self._unpacker.feed(data)

    def answer(self, number: int) -> object:
        def found() -> list[Answer | Failed]:
            return [each for each in self.heard if isinstance(each, Answer | Failed) and each.number == number]

        self.until(lambda: bool(found()))
        last = found()[0]
        return last.value if isinstance(last, Answer) else last

    @property
    def events(self) -> list[Event]:
        return [event for each in self.heard if isinstance(each, Batch) for event in each.events]

    def of(self, kind: type[M]) -> list[M]:
        return [event for event in [*self.heard, *self.events] if isinstance(event, kind)]
