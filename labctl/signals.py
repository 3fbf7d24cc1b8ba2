"""Signals that end programs: asked for in order, and never in the middle of switching the light off.

Only the main thread hears signals; in any other the functions here change nothing.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

#: By which people and systems end programs: Ctrl-C, kill, a terminal that is closed.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Handler = Callable[[int, FrameType | None], None]
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


class Stopped(BaseException):
    """A signal ended a command while nothing was at stake. No Exception, so that nothing on the way keeps it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


class InOrder:
    """A handler that only asks: it raises nothing wherever it interrupts. ``number``: the first that came, or None."""

    number: int | None = None

    def __init__(self, ask: Callable[[str], None]) -> None:
        self._ask = ask

    def __call__(self, number: int, frame: FrameType | None) -> None:
        first, self.number = self.number is None, self.number or number
        name = signal.Signals(number).name
        self._ask(name)
        # Straight to the file: the handler may interrupt whatever is being printed.
        told = "stopping at the next checkpoint" if first else "already stopping"
        _say(f"\nlabctl: {name}: {told}; the light goes off first\n")


def _say(text: str) -> None:
    with suppress(OSError):  # a terminal that was closed
        os.write(2, text.encode())


@contextmanager
def handled_by(handler: Handler, numbers: Iterable[int] = ENDING) -> Iterator[None]:
    """``handler`` hears these signals; what was in force before is put back. A hangup that is ignored stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers}
    taken = {
        number: previous
        for number, previous in before.items()
        if previous is not None and not (number == signal.SIGHUP and previous is signal.SIG_IGN)
    }
    try:
        for number in taken:
            signal.signal(number, handler)
        yield
    finally:
        for number, previous in taken.items():
            signal.signal(number, previous)


@contextmanager
def held_back() -> Iterator[None]:
    """Signals that come meanwhile have their effect at the end, each once; those that only ask have it at once."""
    noted: list[int] = []
    raising = [number for number in ENDING if not isinstance(signal.getsignal(number), InOrder)]
    try:
        with handled_by(lambda number, frame: noted.append(number), raising):
            yield
    finally:
        for number in dict.fromkeys(noted):
            signal.raise_signal(number)


@contextmanager
def asked_first(ask: Callable[[str], None]) -> Iterator[None]:
    """Signals that nobody else handles call ``ask`` with their names, and have their ordinary effect at the end.

    So a program that calls into labctl is ended by Ctrl-C or kill like any other, but not before the light is off.
    """
    request = InOrder(ask)
    unhandled = [number for number in ENDING if signal.getsignal(number) in _DEFAULTS]
    try:
        with handled_by(request, unhandled):
            yield
    finally:
        if request.number is not None:
            signal.raise_signal(request.number)
