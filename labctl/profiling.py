"""Where a run's time goes: samples of what the program is doing, by module.

A timer interrupts the program some two hundred times a second, and the innermost of our modules on the stack is noted;
numpy's time counts where numpy was called. That costs less than a hundredth, and unlike a tracing profiler it does not
make what is called often look dear.
"""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from labctl.errors import ConfigError
from labctl.events import EventBus, ImageFinished, StateChanged

#: Between two samples, seconds of wall time: no multiple of the period of anything in a run.
PERIOD_S = 0.00503
#: Whose frames are told apart.
OURS = ("labctl", "drivers", "sim_backends", "pyvisa")
#: Modules of ``sim_backends`` that are the optics; the others are instruments and the wires to them.
TWIN = ("alignment", "circuit", "draws", "physics", "shot", "statistics", "waveform", "world")


@dataclass
class Profile:
    """``samples``: by phase ("before", "images", "after") and module; ``images``: how many were finished."""

    period_s: float = PERIOD_S
    samples: dict[str, Counter[str]] = field(
        default_factory=lambda: {"before": Counter(), "images": Counter(), "after": Counter()}
    )
    images: int = 0
    phase: str = "before"

    def attend(self, bus: EventBus) -> None:
        """Follow the run through its phases."""
        bus.subscribe(StateChanged, self._state)
        bus.subscribe(ImageFinished, self._image)

    def _state(self, event: StateChanged) -> None:
        self.phase = {"running": "images", "stopping": "after"}.get(event.state, self.phase)

    def _image(self, event: ImageFinished) -> None:
        self.images += 1

    def take(self, frame: FrameType | None) -> None:
        """Count one sample: the innermost of our modules."""
        self.samples[self.phase][module_of(frame)] += 1

    def seconds(self, phase: str) -> float:
        """Wall time spent in a phase, as far as samples tell."""
        return self.samples[phase].total() * self.period_s

    def rows(self) -> list[tuple[str, str, float, float]]:
        """Of the images: room, module, share, ms per image; the room that took most first, and so within a room."""
        counted = self.samples["images"]
        total = counted.total()
        rooms: Counter[str] = Counter()
        for module, count in counted.items():
            rooms[room_of(module)] += count
        ms = 1e3 * self.period_s / max(self.images, 1)
        return [
            (room, module, count / total, count * ms)
            for room, _ in rooms.most_common()
            for module, count in counted.most_common()
            if room_of(module) == room
        ]

    def as_json(self) -> dict[str, object]:
        """As JSON types, with units in the names."""
        return {
            "period_s": self.period_s,
            "images": self.images,
            "seconds": {phase: round(self.seconds(phase), 3) for phase in self.samples},
            "modules": [
                {"room": room, "module": module, "share": round(share, 4), "ms_per_image": round(ms, 4)}
                for room, module, share, ms in self.rows()
            ],
        }


def module_of(frame: FrameType | None) -> str:
    """Name of the innermost of our modules on the stack; "elsewhere" where there is none."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.split(".", 1)[0] in OURS:
            return name
        frame = frame.f_back
    return "elsewhere"


def room_of(module: str) -> str:
    """Of the optics "twin", of the other simulated parts "simulated instruments", else the package."""
    package, _, rest = module.partition(".")
    if package != "sim_backends":
        return package
    return "twin" if rest.startswith(TWIN) else "simulated instruments"


@contextmanager
def profiled(bus: EventBus) -> Iterator[Profile]:
    """Take samples meanwhile. Raises ConfigError where the system has no such timer, or outside the main thread."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        raise ConfigError(
            "a profile needs a timer that interrupts the main thread",
            "Profile on Linux or macOS, from the main thread.",
        )
    profile = Profile()
    profile.attend(bus)
    before = signal.signal(signal.SIGALRM, lambda number, frame: profile.take(frame))
    signal.setitimer(signal.ITIMER_REAL, PERIOD_S, PERIOD_S)
    try:
        yield profile
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
