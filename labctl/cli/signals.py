"""What the commands do upon SIGINT, SIGTERM and SIGHUP: end at once while nothing is at stake, and at the next
checkpoint while the light is on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from labctl.signals import InOrder, Stopped, handled_by


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """A signal raises :class:`Stopped` where the program is."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    with handled_by(stop):
        yield


@contextmanager
def stopping_in_order(ask: Callable[[str], None]) -> Iterator[InOrder]:
    """Signals only call ``ask`` with the reason: a signal, and a second one, never skip the safe state."""
    request = InOrder(ask)
    with handled_by(request):
        yield request


@contextmanager
def stopping_by(end: Callable[[], None]) -> Iterator[None]:
    """Signals call ``end``, which ends what is going on in the ordinary way."""

    def stop(number: int, frame: FrameType | None) -> None:
        end()

    with handled_by(stop):
        yield
