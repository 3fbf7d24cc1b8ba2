"""One run from start to end on stand-ins: outcome, status, run file, and what is raised."""

from __future__ import annotations

import os
import signal
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

import labctl.session
from labctl import locks
from labctl.config import BenchConfig, RunConfig
from labctl.engine import RunControl
from labctl.errors import (
    ConfigError,
    GateError,
    InstrumentLost,
    InterlockError,
    RecordError,
    RunAborted,
    UnsafeState,
)
from labctl.events import EventBus, ImageFinished, LightOff, RunFinished, RunStarted
from labctl.experiment import prepare_experiment
from labctl.record import RunRecorder, open_run
from labctl.session import Outcome, run, run_experiment
from labctl.signals import Stopped
from tests.fakes import FakeLaser, FakeLibrary, fake_bench, use_fakes
from tests.labctl.test_engine import GREEDY, when


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)


def execute(
    folder: Path,
    bus: EventBus | None = None,
    control: RunControl | None = None,
    *,
    out: Path | None = None,
    changes: dict[str, str] | None = None,
    **keys: Any,
) -> Outcome:
    tables = {"name": "r", "dataset": "digits", "model": "digits", "gain": 2.0, "mean_photons": 4.0, **keys}
    experiment = prepare_experiment(RunConfig(bench=str(fake_bench(folder, changes)), **tables))
    return run_experiment(experiment, bus or EventBus(), control or RunControl(), out)


def units() -> dict[str, Any]:
    return FakeLibrary.latest.units


def test_accepted(tmp_path: Path) -> None:
    bus = EventBus()
    last: list[RunFinished] = []
    bus.subscribe(RunFinished, last.append)
    outcome = execute(tmp_path, bus, out=tmp_path / "runs", images=4, seed=3)
    assert last == [outcome.finished], "the last event, once"
    assert (outcome.finished.status, outcome.verdict, outcome.error) == ("complete", "accepted", None)
    assert outcome.finished.cause == ""
    assert outcome.finished.images == 4
    assert outcome.started is not None
    assert outcome.accuracy == outcome.finished.accuracy.value
    assert outcome.finished.pooled.samples == 4 * 4736
    assert len(outcome.finished.layers) == 2
    assert outcome.run_file is not None
    assert outcome.run_file.parent == tmp_path / "runs"
    recorded = open_run(outcome.run_file)
    assert recorded.finished == outcome.finished
    assert recorded.started.seed == 3
    assert FakeLibrary.latest.closed


def test_no_run_file_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert execute(tmp_path, images=1).run_file is None
    assert not list(tmp_path.glob("**/*.h5"))


def test_run_by_file_with_overrides(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    bench = fake_bench(tmp_path).name
    path.write_text(
        f'dataset = "digits"\nmodel = "digits"\nbench = "{bench}"\ngain = 2.0\nmean_photons = 4.0\nimages = 9\n'
    )
    outcome = run(path, images=2, seed=8, out_dir=tmp_path / "out")
    assert outcome.finished.images == 2
    assert outcome.run_file is not None
    assert outcome.run_file.name.endswith("-job-8.h5")


def test_alarm_is_an_outcome(tmp_path: Path) -> None:
    outcome = execute(tmp_path, out=tmp_path / "runs", **GREEDY)
    assert (outcome.finished.status, outcome.verdict, outcome.error) == ("complete", "alarm", None)
    assert outcome.finished.images < 60
    assert outcome.run_file is not None
    recorded = open_run(outcome.run_file)
    assert recorded.finished.verdict == "alarm"
    outcome = execute(tmp_path, on_alarm="continue", **GREEDY)
    assert (outcome.finished.status, outcome.verdict, outcome.finished.images) == ("complete", "alarm", 60)


def test_aborted_by_the_user(tmp_path: Path) -> None:
    bus, control = EventBus(), RunControl()
    bus.subscribe(ImageFinished, when(ImageFinished, lambda: control.abort("Ctrl-C")))
    outcome = execute(tmp_path, bus, control, out=tmp_path / "runs", images=5)
    assert (outcome.finished.status, outcome.verdict) == ("aborted", "aborted")
    assert outcome.finished.cause == "aborted: Ctrl-C"
    assert isinstance(outcome.error, RunAborted)
    assert outcome.finished.images == 1
    assert outcome.finished.pooled is not None
    assert outcome.run_file is not None
    assert open_run(outcome.run_file).finished == outcome.finished


def test_aborted_by_an_interlock(tmp_path: Path) -> None:
    bus = EventBus()
    bus.subscribe(ImageFinished, when(ImageFinished, lambda: units()["laser"].set_emission(False)))
    outcome = execute(tmp_path, bus, images=5)
    finished = outcome.finished
    assert (finished.status, outcome.verdict, finished.images, finished.doubtful) == ("aborted", "aborted", 0, 1)
    assert isinstance(outcome.error, InterlockError)
    assert outcome.finished.cause == "laser: emission is off while the run needs it"


def test_failed_instrument(tmp_path: Path) -> None:
    bus = EventBus()
    lost = InstrumentLost("server_scope", "does not answer", "Look at the cable.")

    def unplug() -> None:
        for method in ("arm", "safe_state"):
            FakeLibrary.latest.plans["server_scope", method] = lost

    bus.subscribe(ImageFinished, when(ImageFinished, unplug))
    outcome = execute(tmp_path, bus, out=tmp_path / "runs", images=5)
    assert (outcome.finished.status, outcome.verdict, outcome.finished.images) == ("failed", None, 0)
    assert outcome.error is lost
    assert lost.remedy == "Look at the cable.", "an oscilloscope emits nothing, so nobody has to look at the bench"
    assert outcome.run_file is not None
    run = open_run(outcome.run_file)
    assert run.finished == outcome.finished
    assert run.finished.cause == "server_scope: does not answer"
    assert run.doubtful.tolist() == [True], "in the file, and marked"


def test_a_lost_emitter_is_named_as_not_dark(tmp_path: Path) -> None:
    bus = EventBus()
    lost = InstrumentLost("laser", "does not answer", "Look at the cable.")

    def unplug() -> None:
        FakeLibrary.latest.plans["laser", "safe_state"] = lost
        raise lost

    bus.subscribe(ImageFinished, when(ImageFinished, unplug))
    outcome = execute(tmp_path, bus, images=5)
    assert outcome.error is lost
    assert "No confirmation that the light is off came from laser" in lost.remedy


def test_light_that_stays_on_is_an_error_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeLaser, "go_dark", lambda self: None)
    outcome = execute(tmp_path, out=tmp_path / "runs", images=1)
    assert isinstance(outcome.error, UnsafeState)
    assert outcome.error.message.startswith("laser: ")
    assert outcome.lit == ("laser",)
    assert outcome.error.remedy
    assert (outcome.finished.status, outcome.verdict) == ("failed", None)
    assert outcome.finished.images == 1
    assert outcome.run_file is not None
    recorded = open_run(outcome.run_file)
    assert recorded.light_off is not None
    assert not recorded.light_off.dark


@pytest.mark.parametrize("fault", [ZeroDivisionError("unforeseen"), Stopped(signal.SIGTERM)])
def test_light_that_stays_on_outweighs_what_nobody_foresaw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    monkeypatch.setattr(FakeLaser, "go_dark", lambda self: None)

    def fail() -> None:
        raise fault

    bus = EventBus()
    bus.subscribe(ImageFinished, when(ImageFinished, fail))
    outcome = execute(tmp_path, bus, images=2)
    assert isinstance(outcome.error, UnsafeState)
    assert outcome.error.__cause__ is fault
    assert f"light is off, after {type(fault).__name__}: " in outcome.error.message
    assert (outcome.lit, outcome.finished.status) == (("laser",), "failed")


def test_run_raises_what_went_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeLaser, "go_dark", lambda self: None)
    bench = str(fake_bench(tmp_path))
    with pytest.raises(UnsafeState):
        run("digits", bench=bench, images=1, out_dir=None)


@pytest.mark.parametrize("fault", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
def test_what_nobody_foresaw_is_raised_after_the_dark(tmp_path: Path, fault: type[BaseException]) -> None:
    bus = EventBus()
    said: list[Any] = []
    bus.subscribe(LightOff, said.append)
    bus.subscribe(RunFinished, said.append)

    def fail() -> None:
        raise fault("unforeseen")

    bus.subscribe(ImageFinished, when(ImageFinished, fail))
    with pytest.raises(fault):
        execute(tmp_path, bus, out=tmp_path / "runs", images=3)
    off, finished = said
    assert off.dark
    assert finished.images == 1
    assert fault.__name__ in finished.cause
    (path,) = (tmp_path / "runs").glob("*.h5")
    recorded = open_run(path)
    assert recorded.finished == finished
    aborted = fault is KeyboardInterrupt
    assert (finished.status, finished.verdict) == (("aborted", "aborted") if aborted else ("failed", None))
    assert FakeLibrary.latest.closed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_in_order_and_then_the_program(tmp_path: Path, number: signal.Signals) -> None:
    """Of a program that handles none: the run file has its end before the signal has its effect."""
    bus = EventBus()
    finished: list[RunFinished] = []
    bus.subscribe(RunFinished, finished.append)
    bus.subscribe(ImageFinished, when(ImageFinished, lambda: os.kill(os.getpid(), number)))
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            execute(tmp_path, bus, out=tmp_path / "runs", images=5)
    finally:
        signal.signal(number, before)
    (path,) = (tmp_path / "runs").glob("*.h5")
    recorded = open_run(path)
    assert recorded.finished == finished[0]
    assert (recorded.status, recorded.finished.cause) == ("aborted", f"aborted: {number.name}")
    assert recorded.light_off is not None
    assert recorded.light_off.dark
    assert FakeLibrary.latest.closed


class FakeWatchdog:
    """Notes what it is told."""

    latest: ClassVar[FakeWatchdog]

    def __init__(self, bench_path: Path, bench: BenchConfig) -> None:
        self.told: list[Any] = []
        self.closed_then = False
        FakeWatchdog.latest = self

    def ready(self) -> None:
        self.told.append("ready")

    def beat(self) -> None:
        self.told.append("beat")

    def beside(self, run_file: Path) -> None:
        self.told.append(run_file)

    def dismiss(self) -> None:
        self.told.append("dismiss")
        self.closed_then = FakeLibrary.latest.closed


def test_a_bench_outside_this_process_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labctl.session, "Watchdog", FakeWatchdog)
    monkeypatch.setenv(locks.FOLDER_VARIABLE, str(tmp_path / "locks"))
    changes = {'visa_library = "@labctl"': 'visa_library = "@py"'}
    outcome = execute(tmp_path, out=tmp_path / "runs", changes=changes, images=2)
    watched = FakeWatchdog.latest
    assert watched.told[:3] == ["beat", "beat", "ready"]
    assert watched.told[3] == outcome.run_file, "known before the first image"
    assert watched.told[-1] == "dismiss"
    assert watched.told.count("beat") >= 2 * 4 + len(units())
    assert watched.closed_then, "it watches until the bench is closed"


def test_a_bench_in_this_process_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labctl.session, "Watchdog", None)
    assert execute(tmp_path, images=1).verdict == "accepted"


def test_a_bench_that_does_not_open(tmp_path: Path) -> None:
    changes = {"tests.fakes:FakeLaser": "tests.fakes:LostLaser"}
    bus, said = EventBus(), []
    bus.subscribe(RunStarted, said.append)
    bus.subscribe(RunFinished, said.append)
    outcome = execute(tmp_path, bus, out=tmp_path / "runs", changes=changes, images=1)
    assert isinstance(outcome.error, InstrumentLost)
    assert (outcome.finished.status, outcome.verdict, outcome.run_file) == ("failed", None, None)
    assert outcome.accuracy is None
    assert outcome.started is None
    assert said == [outcome.finished]


CALIBRATED = "calibrated_at = 2026-11-24T09:00:00+01:00\ncalibration_valid_hours = 12"


@pytest.mark.parametrize(("hours", "said"), [(11.9, ""), (12.1, "calibrated 12.1 hours ago"), (-1.0, "from now")])
def test_a_stale_calibration(tmp_path: Path, hours: float, said: str) -> None:
    """Nothing is opened, and the run counts as aborted, with its reason."""
    bench = fake_bench(tmp_path, {'visa_library = "@labctl"': f'visa_library = "@labctl"\n{CALIBRATED}'})
    tables = {"name": "r", "dataset": "digits", "model": "digits", "gain": 2.0, "mean_photons": 4.0, "images": 1}
    experiment = prepare_experiment(RunConfig(bench=str(bench), **tables))
    begun_s = datetime.fromisoformat("2026-11-24T08:00:00+00:00").timestamp()
    outcome = run_experiment(experiment, EventBus(), RunControl(), None, lambda: begun_s + 3600 * hours)
    assert outcome.finished.status == ("aborted" if said else "complete")
    if said:
        assert isinstance(outcome.error, GateError)
        assert said in outcome.error.message
        assert outcome.started is None


def test_a_validity_without_a_date(tmp_path: Path) -> None:
    changes = {'visa_library = "@labctl"': 'visa_library = "@labctl"\ncalibration_valid_hours = 12'}
    with pytest.raises(ConfigError, match="needs calibrated_at"):
        execute(tmp_path, changes=changes)


def test_a_part_played_by_the_wrong_kind(tmp_path: Path) -> None:
    wrong = 'digitizer = "client_scope"'
    outcome = execute(tmp_path, changes={wrong: 'digitizer = "laser"'}, images=1)
    assert isinstance(outcome.error, ConfigError)
    assert "'laser' (FakeLaser) cannot play the part of Digitizer" in outcome.error.message
    assert not [entry for entry in FakeLibrary.latest.log if entry[1] != "close"], "nothing was opened"


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    bus, dark = EventBus(), []
    bus.subscribe(LightOff, dark.append)
    outcome = execute(tmp_path, bus, out=tmp_path / "runs", images=1)
    assert isinstance(outcome.error, RecordError)
    assert outcome.run_file is None
    assert dark[0].dark


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_run_file_that_cannot_be_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: bool) -> None:
    """It is an error of a run that went well, and hides none of one that did not."""

    def full(self: RunRecorder, event: RunFinished) -> None:
        raise RecordError("no space left", "Free some.")

    monkeypatch.setattr(RunRecorder, "_on_finished", full)
    bus = EventBus()
    if interrupted:

        def stop() -> None:
            raise KeyboardInterrupt

        bus.subscribe(ImageFinished, when(ImageFinished, stop))
        with pytest.raises(KeyboardInterrupt):
            execute(tmp_path, bus, out=tmp_path / "runs", images=2)
        return
    outcome = execute(tmp_path, bus, out=tmp_path / "runs", images=2)
    assert isinstance(outcome.error, RecordError)
    assert outcome.finished.images == 2
    assert outcome.run_file is not None
