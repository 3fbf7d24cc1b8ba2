"""Silence between messages, for instruments that need it."""

from __future__ import annotations

from labctl.clock import Clock


class Pace:
    """Silence of ``spacing_s`` before each message, by the bench's clock: for instruments that need it."""

    def __init__(self, clock: Clock, spacing_s: float) -> None:
        self._clock = clock
        self._spacing_s = self._due_s = spacing_s
        self._said_at = clock.now()  # who knows who spoke to it last

    def wait(self) -> None:
        """Return when the next message may be sent."""
        left_s = self._due_s - max(0.0, self._clock.now() - self._said_at)  # a lab's clock may be set back
        if left_s > 0:
            self._clock.wait(left_s)

    def said(self, sending_s: float = 0.0) -> None:
        """A message was given to the line, which may need ``sending_s`` for it, and its answer read if it has one."""
        self._said_at, self._due_s = self._clock.now(), self._spacing_s + sending_s
