"""Time as an object: logic asks a clock, and only the system clock really waits."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds and a way to let them pass."""

    def now(self) -> float:
        """Seconds since an arbitrary origin, never decreasing."""
        ...

    def wait(self, seconds: float) -> None:
        """Let ``seconds`` >= 0 pass on this clock."""
        ...


class SystemClock:
    """Wall time (monotonic)."""

    def now(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


class SteppedClock:
    """A clock that moves only when told to; waiting moves it at once."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def wait(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError(f"a clock cannot go back by {-seconds} s")
        self._now += seconds
