"""SIGINT and SIGTERM: at once while nothing is at stake, and at the next checkpoint while the light is on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_STOPPING = (signal.SIGINT, signal.SIGTERM)
_Handler = Callable[[int, FrameType | None], None]


class Stopped(BaseException):
    """A signal ended the command while nothing was at stake. No Exception, so that nothing on the way keeps it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


class Request:
    """Whether a signal asked for the end: its number, None so far."""

    number: int | None = None


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Both signals raise :class:`Stopped` where the program is."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    with _handled_by(stop):
        yield


@contextmanager
def stopping_in_order(ask: Callable[[str], None]) -> Iterator[Request]:
    """Both signals only call ``ask`` with the reason: a signal, and a second one, never skip the safe state."""
    request = Request()

    def stop(number: int, frame: FrameType | None) -> None:
        first, request.number = request.number is None, request.number or number
        name = signal.Signals(number).name
        ask(name)
        # Straight to the file: the handler may interrupt whatever is being printed.
        told = "stopping at the next checkpoint" if first else "already stopping"
        os.write(2, f"\nlabctl: {name}: {told}; the light goes off first\n".encode())

    with _handled_by(stop):
        yield request


@contextmanager
def stopping_by(end: Callable[[], None]) -> Iterator[None]:
    """Both signals call ``end``, which ends what is going on in the ordinary way."""

    def stop(number: int, frame: FrameType | None) -> None:
        end()

    with _handled_by(stop):
        yield


@contextmanager
def _handled_by(handler: _Handler) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in _STOPPING}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
