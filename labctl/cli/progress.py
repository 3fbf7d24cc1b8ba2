"""A run while it goes on, on standard error: a bar in a terminal, a line every tenth of the run elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from labctl.cli.report import say
from labctl.clock import Clock
from labctl.events import AlarmRaised, EventBus, ImageFinished, LightOff, RunStarted, StateChanged

#: How often the bar is drawn anew.
REFRESH_S = 0.2
#: Lines of a run where there is no bar.
LINES = 10
#: Columns of a terminal that the long text needs beside the bar.
WIDE = 112


class RunProgress:
    """Follows a bus; a context manager, so that the bar is ended whatever happens."""

    def __init__(self, clock: Clock, *, terminal: bool | None = None) -> None:
        self._clock = clock
        self._terminal = sys.stderr.isatty() if terminal is None else terminal
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._name = ""
        self._images = self._first = 0
        self._started_s = self._drawn_s = clock.now()
        self._last: ImageFinished | None = None

    def attach(self, bus: EventBus) -> None:
        """Show the run that ``bus`` tells of."""
        bus.subscribe(RunStarted, self._on_started)
        bus.subscribe(ImageFinished, self._on_image)
        bus.subscribe(AlarmRaised, self._on_alarm)
        bus.subscribe(StateChanged, self._on_state)
        bus.subscribe(LightOff, self._on_light_off)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._end_bar()

    def _end_bar(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            self._draw(bar)
            bar.stop()

    def _on_started(self, event: RunStarted) -> None:
        self._name, self._images, self._first = event.name, event.images, event.resumed_at
        self._started_s = self._drawn_s = self._clock.now()
        if self._terminal:
            self._bar = Progress(
                BarColumn(bar_width=10),
                MofNCompleteColumn(),
                TextColumn("{task.fields[live]}", markup=False),
                console=Console(file=sys.stderr),
                auto_refresh=False,
            )
            self._task = self._bar.add_task(event.name, total=event.images, completed=event.resumed_at, live="")
            self._bar.start()

    def _on_image(self, event: ImageFinished) -> None:
        self._last = event
        done = event.image + 1
        if self._bar is not None:
            if self._clock.now() - self._drawn_s >= REFRESH_S:
                self._draw(self._bar)
        elif not self._terminal and done * LINES // self._images > event.image * LINES // self._images:
            say(f"{self._name}: {done}/{self._images} images, {self._describe(event)}")

    def _draw(self, bar: Progress) -> None:
        if self._last is not None:
            live = self._describe(self._last, short=bar.console.width < WIDE)
            bar.update(self._task, completed=self._last.image + 1, live=live)
        bar.refresh()
        self._drawn_s = self._clock.now()

    def _describe(self, event: ImageFinished, *, short: bool = False) -> str:
        done, pooled = event.image + 1, event.pooled
        elapsed_s = self._clock.now() - self._started_s
        rate = (done - self._first) / elapsed_s if elapsed_s > 0 else 0.0
        eta = duration((self._images - done) / rate) if rate else "?"
        accuracy, noise = f"{event.accuracy.value:.1%}", f"{pooled.excess.value:.3g}"
        limit = "" if pooled.threshold is None else f" (alarm {pooled.threshold:.3g})"
        if short:
            return f"acc {accuracy}, ε {noise}{limit}, {rate:.3g}/s, ETA {eta}"
        return f"accuracy {accuracy}, noise {noise}{limit} SNU, {rate:.3g} images/s, ETA {eta}"

    def _on_alarm(self, event: AlarmRaised) -> None:
        self._tell(
            f"ALARM in image {event.image + 1}: excess noise {event.excess:.3g} SNU"
            f" where the alarm goes off at {event.threshold:.3g} SNU"
        )

    def _on_state(self, event: StateChanged) -> None:
        if event.state in ("preparing", "paused", "stopping"):
            self._tell(f"{event.state}{': ' if event.reason else ''}{event.reason}")

    def _on_light_off(self, event: LightOff) -> None:
        self._end_bar()
        if event.dark:
            say("light off, read back")
        for state in event.readback:
            if not state.dark:
                say(f"WARNING: {state.instrument} did not confirm that it is off: {state.problem or state.readings}")

    def _tell(self, text: str) -> None:
        """A line above the bar, or just a line."""
        if self._bar is not None:
            self._bar.console.print(f"labctl: {text}", markup=False, highlight=False)
        else:
            say(text)


def duration(seconds: float) -> str:
    """h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
