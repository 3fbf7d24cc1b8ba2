"""What a window can ask for, and in which phase it is. Talks to engine processes through links, and fills the model."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

from PyQt6.QtCore import QObject, QTimer, pyqtSignal

from gui.by_hand import ByHand
from gui.engine_link import EngineLink
from gui.journal import Journal, Level
from gui.models import RunModel
from labctl.engine_process.messages import (
    DarkRequest,
    Failed,
    FolderRequest,
    LookRequest,
    Order,
    ReadRequest,
    ReplayRequest,
    ResumeRequest,
    RunEnded,
    RunRequest,
)
from labctl.events import Event, LightOff
from labctl.record import Run

#: How long a run may take to go dark after Light off, before the bench is made dark past it, ms.
DARK_PATIENCE_MS = 3000
#: Least time between two looks at the receiver, ms.
SAMPLES_MS = 200


class Phase(Enum):
    """Of the window. LOST: the engine's process died in mid-run."""

    IDLE = "idle"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    REPLAYING = "replaying"
    LOST = "engine lost"

    @property
    def free(self) -> bool:
        """Whether a run can be started."""
        return self in (Phase.IDLE, Phase.LOST)

    @property
    def run_goes_on(self) -> bool:
        """Whether light may be on."""
        return self in (Phase.STARTING, Phase.RUNNING, Phase.PAUSED, Phase.STOPPING)


_PHASES = {
    "preparing": Phase.STARTING,
    "running": Phase.RUNNING,
    "paused": Phase.PAUSED,
    "stopping": Phase.STOPPING,
    "stopped": Phase.STOPPING,
}


class Conductor(QObject):
    """``changed``: the phase; ``trouble``: title, message, remedy; ``ended``: how it ended; ``dark``: a read-back."""

    changed = pyqtSignal()
    trouble = pyqtSignal(str, str, str)
    ended = pyqtSignal(object)
    dark = pyqtSignal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.journal = Journal()
        self.model = RunModel(self.journal)
        self.phase = Phase.IDLE
        self.bench = "ideal"
        self.bench_in_process = True
        self.run_file: str | None = None
        self.engine = EngineLink(self)
        self.lookups = EngineLink(self)
        self.safety = EngineLink(self)
        self.hand = ByHand(self.journal, self)
        self.hand.changed.connect(self._hand_changed)
        self.hand.dark.connect(self._dark_done)
        self.hand.trouble.connect(self.trouble)
        self.hand.overdue.connect(self._ask_for_dark)
        self.engine.events.connect(self._take)
        self.engine.pixels.connect(self.model.take_pixels)
        self.engine.missed.connect(self._missed)
        self.engine.died.connect(self._died)
        self.engine.beat.connect(self._beat)
        self._steps = 0
        self._replays = 0
        self._progress_s = time.monotonic()
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(DARK_PATIENCE_MS)
        self._patience.timeout.connect(self._dark_past_the_engine)
        self._looking = QTimer(self)
        self._looking.setInterval(SAMPLES_MS)
        self._looking.timeout.connect(self._look)
        self.samples_wanted: Callable[[], bool] = lambda: False

    # --- a run ----------------------------------------------------------------------------------------------------

    def start(self, request: RunRequest) -> None:
        """Execute a run, unless something goes on."""
        if not self.phase.free:
            return
        self.journal.write(Level.INFO, "window", f"start {request.run}, {_changes(request.overrides)}")
        self._begin(request)

    def take_up(self, path: Path) -> None:
        """Go on with a run where its file ends, on the bench that the file names, unless something goes on."""
        if self.phase.free:
            self.read(str(path), lambda run: self._take_up(path, run), self._failed)

    def _take_up(self, path: Path, run: Run) -> None:
        if not self.phase.free:
            return
        self.use_bench(str(run.started.run["bench"]), in_process=run.started.bench["visa_library"] == "@labctl")
        self.journal.write(Level.INFO, "window", f"take up {path} on the bench {self.bench}")
        self._begin(ResumeRequest(str(path)))

    def use_bench(self, bench: str, *, in_process: bool) -> None:
        """What *Light off* makes dark; ``in_process``: whether it is simulated in the engine's own process."""
        self.bench, self.bench_in_process = bench, in_process

    def _begin(self, request: RunRequest | ResumeRequest) -> None:
        """A bench that is held by hand is let go first, dark."""
        if self.hand.holds:
            self.hand.disconnect_bench(lambda: self._begin(request))
            return
        self.model.clear()
        self.run_file = None
        self._enter(Phase.STARTING)
        self._progress_s = time.monotonic()
        self.engine.ask(request, self._ended, self._failed)
        self._looking.start()
        if not self.bench_in_process:
            self.safety.start()

    def forecast(self, request: RunRequest, done: Callable[[Any], None], failed: Callable[[Failed], None]) -> None:
        """What a run will take."""
        self.lookups.ask(request, done, failed)

    def pause(self) -> None:
        """Hold before the next shot."""
        if self.phase is Phase.RUNNING:
            self.engine.order(Order("pause"))

    def resume(self) -> None:
        """Go on."""
        if self.phase is Phase.PAUSED:
            self.engine.order(Order("resume"))

    def abort(self, reason: str = "asked for in the window") -> None:
        """End the run before its next shot, light off first; a replay just ends."""
        if self.phase is Phase.REPLAYING:
            self.engine.order(Order("stop"))
        elif self.phase.run_goes_on:
            self.journal.write(Level.WARNING, "window", f"abort: {reason}")
            self.engine.order(Order("abort", reason))

    def light_off(self) -> None:
        """Now, whatever goes on: through the engine while it answers, past it when it does not within a few seconds."""
        self.journal.write(Level.WARNING, "window", "LIGHT OFF asked for")
        if self.phase.run_goes_on:
            self.engine.order(Order("abort", "light off"))
            self._patience.start()
        elif self.hand.holds:
            self.hand.light_off()
        else:
            self._ask_for_dark()

    def _hand_changed(self) -> None:
        if self.hand.holds and not self.bench_in_process:
            self.safety.start()
        self.model.by_hand = (self.hand.report, dict(self.hand.reports)) if self.hand.report is not None else None
        self.model.version += 1

    def _dark_past_the_engine(self) -> None:
        if not self.phase.run_goes_on or self.model.light_off is not None:
            return
        self.journal.write(Level.ERROR, "window", "the engine does not go dark: the bench is made dark past it")
        if self.bench_in_process:
            self.engine.kill()  # the simulated lab is in it
        else:
            self._ask_for_dark()

    def _ask_for_dark(self, bench: str = "") -> None:
        self.safety.ask(DarkRequest(bench or self.bench), self._dark_done, self._dark_failed)

    def _dark_done(self, event: LightOff) -> None:
        self.journal.note(event)
        self.model.light_off = event
        self.model.version += 1
        self.dark.emit(event)

    def _dark_failed(self, problem: Failed) -> None:
        self.journal.write(Level.ERROR, "window", f"light off failed: {problem.message}")
        self.trouble.emit("THE LIGHT MAY BE ON", problem.message, f"Switch it off by hand. {problem.remedy}")

    # --- recorded runs ----------------------------------------------------------------------------------------------

    def replay(self, path: Path) -> None:
        """Show a recorded run; one that still grows is followed."""
        if self.phase.run_goes_on:
            return
        if self.phase is Phase.REPLAYING:
            self.engine.order(Order("stop"))
        self.model.clear()
        self.run_file = str(path)
        self._enter(Phase.REPLAYING)
        self.journal.write(Level.INFO, "window", f"replay {path}")
        self._replays += 1
        mine = self._replays
        self.engine.ask(ReplayRequest(str(path)), lambda outcome: self._replayed(outcome, mine), self._failed)

    def folder(self, folder: Path, part: Callable[[Any], None], done: Callable[[Any], None]) -> None:
        """List a folder's run files."""
        self.lookups.ask(FolderRequest(str(folder)), done, lambda problem: done(0), part)

    def read(self, path: str, done: Callable[[Any], None], failed: Callable[[Failed], None]) -> None:
        """A whole run file."""
        self.lookups.ask(ReadRequest(path), done, failed)

    def look(self, done: Callable[[Any], None], failed: Callable[[Failed], None]) -> None:
        """Ask every instrument of the bench."""
        self.lookups.ask(LookRequest(self.bench), done, failed)

    def close(self, *, leave: bool = False) -> None:
        """End all processes; ``leave``: the engine goes on with its run, on its own."""
        self._looking.stop()
        self._patience.stop()
        self.engine.close(leave=leave)
        self.hand.close()
        for link in (self.lookups, self.safety):
            link.close(leave=link.busy)  # a bench that is being made dark gets dark

    def silence_s(self) -> float:
        """Since the engine last passed a checkpoint."""
        return time.monotonic() - self._progress_s

    # --- what the engine says -----------------------------------------------------------------------------------------

    def _take(self, events: list[Event]) -> None:
        before = self.model.state
        self.model.take(events)
        if self.phase is not Phase.REPLAYING and self.model.state != before:
            self._enter(_PHASES.get(self.model.state, self.phase))
        for event in events:
            if isinstance(event, LightOff):
                self._patience.stop()
                self.dark.emit(event)

    def _missed(self, count: int) -> None:
        self.model.missed += count
        self.journal.write(Level.WARNING, "window", f"{count} events were not shown; the run file has all of them")

    def _beat(self, steps: int) -> None:
        if steps != self._steps or self.phase is Phase.PAUSED:
            self._steps, self._progress_s = steps, time.monotonic()

    def _look(self) -> None:
        if not self.phase.run_goes_on:
            self._looking.stop()
        elif self.phase is Phase.RUNNING and self.samples_wanted():
            self.engine.order(Order("samples"))

    def _ended(self, outcome: RunEnded) -> None:
        self.run_file = outcome.run_file
        self._enter(Phase.IDLE)
        if outcome.run_file:
            self.journal.write(Level.INFO, "record", f"run file {outcome.run_file}")
        if outcome.error and outcome.verdict != "aborted":
            self.trouble.emit("The run ended before its time", outcome.error, outcome.remedy)
        self.ended.emit(outcome)

    def _replayed(self, outcome: RunEnded, replay: int) -> None:
        if replay != self._replays:
            return  # another one was asked for since
        self._enter(Phase.IDLE)
        self.ended.emit(outcome)

    def _failed(self, problem: Failed) -> None:
        if problem.kind == "EngineDied":
            return  # told by _died
        self._enter(Phase.IDLE)
        self.journal.write(Level.ERROR, "engine", problem.message)
        self.trouble.emit("That cannot be done", problem.message, problem.remedy)

    def _died(self, text: str) -> None:
        lit = self.phase.run_goes_on
        self.journal.write(Level.ERROR, "engine", text)
        self._patience.stop()
        self._enter(Phase.LOST if lit else Phase.IDLE)
        if self.bench_in_process:
            remedy = (
                "The simulated lab ended with it. What was recorded is in the run file; start again when you are ready."
            )
        else:
            remedy = "Press Light off, and look at the bench. What was recorded is in the run file."
        self.trouble.emit("The engine has died", text, remedy)

    def _enter(self, phase: Phase) -> None:
        if phase is not self.phase:
            self.phase = phase
            self.changed.emit()


def _changes(overrides: Any) -> str:
    return ", ".join(f"{key} = {value}" for key, value in dict(overrides).items()) or "as its file says"
