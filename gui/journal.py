"""The event log: what happened, in lines with a level."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from labctl.events import (
    AlarmRaised,
    Event,
    ImagesDoubtful,
    LightOff,
    Rechecked,
    RunFinished,
    RunStarted,
    StateChanged,
)

#: Lines that are kept.
KEPT = 10_000


class Level(IntEnum):
    """How much it matters."""

    INFO = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True)
class Line:
    """``number`` counts all lines ever written."""

    number: int
    time: str
    level: Level
    source: str
    text: str

    def __str__(self) -> str:
        return f"{self.time}  {self.level.name:<7}  {self.source:<10}  {self.text}"


class Journal:
    """The last lines, oldest first."""

    def __init__(self) -> None:
        self.lines: deque[Line] = deque(maxlen=KEPT)
        self.written = 0

    def write(self, level: Level, source: str, text: str) -> None:
        """One more line, of now."""
        time = datetime.now().astimezone().strftime("%H:%M:%S.%f")[:-3]
        self.lines.append(Line(self.written, time, level, source, text))
        self.written += 1

    def note(self, event: Event) -> None:
        """What an event says, where it says something to people."""
        if isinstance(event, RunStarted):
            kind = "simulated" if event.simulated else "real"
            self.write(
                Level.INFO,
                "run",
                f"{event.name}: {event.images} images, seed {event.seed}, on a {kind} bench, light on"
                + (f", taken up after {event.resumed_at} images" if event.resumed_at else ""),
            )
        elif isinstance(event, StateChanged):
            self.write(Level.INFO, "engine", f"{event.state}{': ' if event.reason else ''}{event.reason}")
        elif isinstance(event, AlarmRaised):
            self.write(
                Level.ERROR,
                "check",
                f"ALARM in image {event.image + 1}: excess noise {event.excess:.4g} SNU, alarm above"
                f" {event.threshold:.4g} SNU",
            )
        elif isinstance(event, LightOff):
            self._light_off(event)
        elif isinstance(event, ImagesDoubtful):
            told = (
                f"{event.images} images from image {event.first + 1} on are in doubt and do not count: {event.reason}"
            )
            self.write(Level.WARNING, "run", told)
        elif isinstance(event, Rechecked):
            self.write(Level.INFO if event.passed else Level.ERROR, "re-check", event.told)
        elif isinstance(event, RunFinished):
            for warning in event.warnings:
                self.write(Level.WARNING, "check", warning)
            level = {"complete": Level.INFO, "aborted": Level.WARNING}.get(event.status, Level.ERROR)
            if event.verdict == "alarm":
                level = Level.ERROR
            cause = f": {event.cause}" if event.cause else ""
            verdict = f", verdict {event.verdict}" if event.verdict else ""
            self.write(level, "run", f"{event.status} after {event.images} images{verdict}{cause}")

    def _light_off(self, event: LightOff) -> None:
        for state in event.readback:
            if not state.dark:
                self.write(
                    Level.ERROR,
                    state.instrument,
                    f"did NOT confirm that it is dark: {state.problem or dict(state.readings)}",
                )
        if event.dark:
            self.write(Level.INFO, "bench", f"light off, read back from {len(event.readback)} instruments")
