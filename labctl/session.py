"""One run from start to end: bench opened, plan executed, light off, run file written."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labctl import trips
from labctl.bench import open_bench
from labctl.config import BenchConfig
from labctl.engine import Ask, Engine, RunControl
from labctl.errors import (
    BudgetSpent,
    GateError,
    InterlockError,
    LabctlError,
    RunAborted,
    StaleCalibration,
    UnsafeState,
)
from labctl.events import EventBus, LightOff, RunFinished, RunStarted, Status, Verdict
from labctl.experiment import Experiment, load_experiment
from labctl.ledger.run import RunLedgers
from labctl.logs import PLAIN_NOTES, Notes, RunLog
from labctl.plan import Plan
from labctl.protocol.gates import GateLimits, check_calibration_age
from labctl.record import RunRecorder
from labctl.resume import Resumption, load_resumption
from labctl.safety import unconfirmed
from labctl.signals import Stopped, asked_first
from labctl.watchdog import Watchdog

#: Errors that end a run in order, without the software or an instrument having failed.
ABORTS = (BudgetSpent, GateError, InterlockError, RunAborted, StaleCalibration)


@dataclass(frozen=True)
class Outcome:
    """How a run ended. ``error``: why it did not come to its end; None when it did. ``lit``: emitters that did not
    confirm that they are off.
    """

    started: RunStarted | None
    finished: RunFinished
    run_file: Path | None
    error: LabctlError | None
    lit: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float | None:
        """Share of images predicted right; None when no image was finished."""
        return self.finished.accuracy.value if self.finished.accuracy else None

    @property
    def verdict(self) -> Verdict | None:
        """ "accepted", "alarm" or "aborted"; None when the run failed."""
        return self.finished.verdict


def run(  # noqa: PLR0913  (keywords of a call that people type)
    name: str | Path,
    *,
    bus: EventBus | None = None,
    out_dir: Path | None = Path("runs"),
    bench: str | None = None,
    data: Path | None = None,
    images: int | None = None,
    seed: int | None = None,
    anywhere: bool = False,
) -> Outcome:
    """Execute a RUN.toml, or a shipped run by name ("digits", "mnist").

    ``bus``: subscribe to it before to follow the run live. ``out_dir``: where the run file and its log go; None writes
    none. ``anywhere``: paths in the file may lead out of its folder. The rest override keys of the run. Raises what
    went wrong, after the light is off; an alarm is an outcome, not an error.
    """
    experiment = load_experiment(name, bench=bench, data=data, images=images, seed=seed, anywhere=anywhere)
    outcome = run_experiment(experiment, bus or EventBus(), RunControl(), out_dir)
    if outcome.error is not None:
        raise outcome.error
    return outcome


def resume(path: str | Path, *, bus: EventBus | None = None) -> Outcome:
    """Take up a run where its file ends: the file is all that is needed. Otherwise as :func:`run`."""
    experiment, resumed = load_resumption(Path(path))
    outcome = run_experiment(experiment, bus or EventBus(), RunControl(), None, resumed=resumed)
    if outcome.error is not None:
        raise outcome.error
    return outcome


def run_experiment(  # noqa: PLR0913 - keywords of a call that few make in full
    experiment: Experiment,
    bus: EventBus,
    control: RunControl,
    out_dir: Path | None,
    wall_time: Callable[[], float] = time.time,
    notes: Notes = PLAIN_NOTES,
    resumed: Resumption | None = None,
) -> Outcome:
    """Execute an experiment that was checked. Errors that labctl foresees come back in the outcome, others are raised.

    ``resumed``: what is done of it already; its run file goes on, wherever ``out_dir`` is.

    ``wall_time``: seconds since 1970, by which the bench's calibration may have become too old (a GateError).
    ``notes``: what is written beside the run file.

    Either way the bench has been put into the safe state first, and the run file has its final status. The run's
    leakage ledgers are asked before the bench is opened, and settled after it was closed.

    A signal that ends programs (SIGINT, SIGTERM, SIGHUP) and that the caller does not handle aborts the run in order,
    and then has its ordinary effect. Where the bench is not simulated in this process, a second process switches the
    light off should this one be killed or hang (:mod:`labctl.watchdog`).
    """
    with asked_first(control.abort):
        return _run(experiment, bus, control, out_dir, wall_time, notes, resumed)


def _run(  # noqa: PLR0913 - what run_experiment was given
    experiment: Experiment,
    bus: EventBus,
    control: RunControl,
    out_dir: Path | None,
    wall_time: Callable[[], float],
    notes: Notes,
    resumed: Resumption | None,
) -> Outcome:
    recorder = None
    if resumed is not None:
        out_dir = resumed.path.parent
    if out_dir is not None:
        kept = None if resumed is None else (resumed.path, resumed.images)
        recorder = RunRecorder(out_dir, experiment.run.name, experiment.run.seed, resumed=kept)
        made = recorder
        RunLog(lambda: made.path, notes.level, wall_time).attach(bus)  # first: it hears what a recorder breaks down at
        recorder.attach(bus)
    ending = _Ending(bus, resumed)
    try:
        _check_calibration(experiment.bench, wall_time())
        trips.refuse_tripped(experiment.bench)
        with (
            RunLedgers(experiment, bus, wall_time, resumed) as ledgers,
            _watched(experiment, bus, recorder) as watchdog,
            open_bench(experiment.bench_path, experiment.bench, notes.exchange) as bench,
            _what_stands_is_kept(),
        ):
            if recorder is not None:
                recorder.note(ledgers.entries())
            ask = _still_valid(experiment.bench, wall_time, ledgers.before_shot)
            engine = Engine(experiment, bench, bus, control, ask, watchdog, resumed)
            ending.execute(experiment, engine)
            if isinstance(ending.error, InterlockError):
                _keep_trip(experiment.bench, ending.error, wall_time())
    except LabctlError as error:
        ending.error = ending.error or error
    except BaseException as error:
        status: Status = "aborted" if isinstance(error, KeyboardInterrupt | Stopped) else "failed"
        ending.finish(status, f"{type(error).__name__}: {error}")
        raise
    finally:
        if recorder is not None and ending.finished is not None:
            recorder.close()
    finished = ending.finish(*ending.status())
    if recorder is not None:
        recorder.close()
    return Outcome(ending.started, finished, recorder.path if recorder else None, ending.error, ending.lit)


@contextmanager
def _watched(experiment: Experiment, bus: EventBus, recorder: RunRecorder | None) -> Iterator[Watchdog | None]:
    """A watchdog until the bench is dark and closed; None where the light would end with this process anyway."""
    if experiment.bench.in_process:
        yield None
        return
    watchdog = Watchdog(experiment.bench_path, experiment.bench)

    def tell(event: RunStarted) -> None:
        if recorder is not None and recorder.path is not None:
            watchdog.beside(recorder.path)

    bus.subscribe(RunStarted, tell)
    try:
        yield watchdog
    finally:
        watchdog.dismiss()


def _check_calibration(bench: BenchConfig, now_s: float) -> None:
    if bench.calibrated_at is not None and bench.calibration_valid_hours is not None:
        limits = GateLimits(calibration_age_s=3600 * bench.calibration_valid_hours)
        check_calibration_age(f"bench {bench.name}", bench.calibrated_at.timestamp(), now_s, limits)


def _still_valid(bench: BenchConfig, wall_time: Callable[[], float], then: Ask) -> Ask:
    """Before each shot: whether the calibration has outlived its time since the run began."""

    def ask(image: int, layer: int) -> None:
        try:
            _check_calibration(bench, wall_time())
        except GateError as error:
            raise StaleCalibration(str(error), error.remedy) from error
        then(image, layer)

    return ask


def _keep_trip(bench: BenchConfig, trip: InterlockError, now_s: float) -> None:
    """Further runs are refused until a person has re-armed the bench."""
    if bench.in_process:
        return
    try:
        trips.keep(bench, str(trip), now_s)
        trip.remedy += " Then re-arm it with 'labctl bench rearm'."
    except OSError as error:
        trip.remedy += f" That it tripped could not be written down ({error}): nothing will refuse the next run."


#: Of new objects, before the garbage collector looks through them: images leave next to no cycles behind.
YOUNG_OBJECTS = 20_000


@contextmanager
def _what_stands_is_kept() -> Iterator[None]:
    """Spares the garbage collector from going through libraries and instruments again and again.

    What the run before left behind goes first: frozen, it would stay, and a program of many runs would grow.
    """
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(max(YOUNG_OBJECTS, thresholds[0]), *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


class _Ending:
    """Keeps what is known of a run until its last event is published, once."""

    def __init__(self, bus: EventBus, resumed: Resumption | None) -> None:
        self._bus = bus
        self._resumed = resumed
        self._engine: Engine | None = None
        self._unsafe: UnsafeState | None = None
        self.lit: tuple[str, ...] = ()
        self.error: LabctlError | None = None
        self.finished: RunFinished | None = None
        bus.subscribe(LightOff, self._note)

    def _note(self, event: LightOff) -> None:
        self._unsafe = unconfirmed(event.readback)
        self.lit = tuple(state.instrument for state in event.readback if not state.dark)

    @property
    def started(self) -> RunStarted | None:
        """As published; None when the run did not get that far."""
        return self._engine.started if self._engine else None

    def execute(self, experiment: Experiment, engine: Engine) -> None:
        """Run the plan; what goes wrong is kept, and so is whoever did not confirm that it is dark."""
        self._engine = engine
        first = 0 if self._resumed is None else self._resumed.images
        try:
            recheck = experiment.run.recheck
            rechecks = () if recheck is None else tuple(recheck.every.items())
            engine.execute(Plan(experiment.images, len(experiment.network.weights), first, rechecks))
        except LabctlError as error:
            self.error = error
        except (Exception, Stopped) as error:
            if self._unsafe is None:
                raise
            told = f"{self._unsafe}, after {type(error).__name__}: {error}"
            raise UnsafeState(told, self._unsafe.remedy) from error
        if self._unsafe is None:
            return
        if self.error is None:
            self.error = self._unsafe
        else:
            told = f"No confirmation that the light is off came from {', '.join(self.lit)}."
            self.error.remedy += f" {told} {self._unsafe.remedy}"

    def status(self) -> tuple[Status, str]:
        """How the run file shall say that it ended."""
        if self.error is None:
            return "complete", ""
        return ("aborted" if isinstance(self.error, ABORTS) else "failed"), str(self.error)

    def finish(self, status: Status, cause: str) -> RunFinished:
        """Publish the last event."""
        if self.finished is None:
            engine = self._engine
            images = engine.images if engine else 0
            pooled, layers = engine.checks() if engine and engine.measured else (None, ())
            self.finished = RunFinished(
                status=status,
                verdict=self._verdict(status),
                cause=cause,
                images=images,
                accuracy=engine.accuracy if engine else None,
                pooled=pooled,
                layers=layers,
                adversary=engine.adversary() if engine else None,
                warnings=engine.warnings() if engine and engine.measured else (),
                doubtful=engine.doubtful.images if engine and engine.doubtful else 0,
            )
            try:
                self._bus.publish(self.finished)
            except LabctlError as error:  # the run file cannot be ended; what ended the run counts for more
                self.error = self.error or error
        return self.finished

    def _verdict(self, status: Status) -> Verdict | None:
        if self._engine is not None and self._engine.alarmed:
            return "alarm"
        if status == "aborted":
            return "aborted"
        return "accepted" if status == "complete" else None
