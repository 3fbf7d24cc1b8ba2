"""What may be asked of a run from outside: to pause, to go on, to end."""

from __future__ import annotations

import threading
from collections.abc import Callable

from labctl.clock import Clock, SystemClock
from labctl.errors import RunAborted

#: How often a paused engine looks whether it was aborted, and how often at the bench, seconds.
PAUSE_POLL_S, PAUSE_LOOK_S = 0.2, 1.0


class RunControl:
    """Pause, resume and abort from another thread or a signal handler; the engine obeys at its next checkpoint."""

    def __init__(self, clock: Clock | None = None) -> None:
        """``clock``: that pauses are timed by; none: the system's."""
        self._clock = clock or SystemClock()
        self._go = threading.Event()
        self._go.set()
        self._reason: str | None = None
        self._look = False

    def pause(self) -> None:
        """Hold before the next step."""
        self._go.clear()

    def resume(self) -> None:
        """Go on."""
        self._go.set()

    def abort(self, reason: str) -> None:
        """End the run before the next step; the first reason counts. Takes no lock, so a signal handler may call it."""
        if self._reason is None:
            self._reason = reason

    def ask_samples(self) -> None:
        """Have the next shot's light at the server's receiver published, once."""
        self._look = True

    def take_look(self) -> bool:
        """Whether samples were asked for since the last time; asked by the engine after each shot."""
        look, self._look = self._look, False
        return look

    @property
    def paused(self) -> bool:
        """Whether the engine is to hold."""
        return not self._go.is_set()

    @property
    def reason(self) -> str | None:
        """Why the run was aborted; None when it was not."""
        return self._reason

    def reached(self) -> None:
        """The engine is at a checkpoint, before it holds or ends; for those who count or interfere."""

    def checkpoint(
        self,
        on_pause: Callable[[bool], None],
        beat: Callable[[], None] = lambda: None,
        held: Callable[[float], None] = lambda held_s: None,
    ) -> None:
        """Hold while paused. ``beat`` is called now and while it holds, ``held`` each second, with the seconds so far.

        Raises RunAborted when the run is to end, and what ``held`` raises.
        """
        self.reached()
        beat()
        if self.paused and self._reason is None:
            on_pause(True)
            since = looked = self._clock.now()
            while not self._go.wait(PAUSE_POLL_S) and self._reason is None:
                beat()
                if self._clock.now() - looked >= PAUSE_LOOK_S:
                    looked = self._clock.now()
                    held(looked - since)
            on_pause(False)
        if self._reason is not None:
            raise RunAborted(f"aborted: {self._reason}", "Start the run again when you are ready.")
