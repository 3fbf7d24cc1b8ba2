"""``labctl demo`` and ``labctl run``, with an engine that only tells of a run."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labctl.cli import app
from labctl.engine import RunControl
from labctl.errors import ConfigError, GateError, InstrumentLost, InterlockError, LabctlError, RunAborted, UnsafeState
from labctl.events import Event, EventBus, RunFinished, RunStarted
from labctl.logs import Notes
from labctl.run_tables import LedgerConfig
from labctl.session import Outcome
from tests.labctl import sample_run

RUN_FILE = Path("/somewhere/x.h5")
ABORTED = {"status": "aborted", "verdict": "aborted"}
FAILED = {"status": "failed", "verdict": None}


@dataclass
class FakeForecast:
    images: int = 12
    light_s: float = 0.5

    def lines(self) -> list[str]:
        return [f"{self.images} images", f"{self.light_s} s"]


class FakeExperiment:
    run = SimpleNamespace(ledger=LedgerConfig())

    def forecast(self) -> FakeForecast:
        return FakeForecast()


class FakeLab:
    """Stands in for loading and for the engine: publishes ``events``, ends with ``error``."""

    def __init__(self, events: Iterable[Event], error: LabctlError | None = None) -> None:
        self.events = list(events)
        self.error = error
        self.loaded: tuple[str, dict[str, Any]] | None = None
        self.out: Path | None = None
        self.notes: Notes | None = None
        self.during: Callable[[RunControl], None] = lambda control: None

    def load(self, run: str, **options: Any) -> FakeExperiment:
        self.loaded = (run, options)
        return FakeExperiment()

    def run(
        self,
        experiment: object,
        bus: EventBus,
        control: RunControl,
        out: Path | None,
        *,
        notes: Notes,
        resumed: object = None,
    ) -> Outcome:
        self.out, self.notes, self.resumed = out, notes, resumed
        for event in self.events:
            bus.publish(event)
        self.during(control)
        first = next((event for event in self.events if isinstance(event, RunStarted)), None)
        (last,) = (event for event in self.events if isinstance(event, RunFinished))
        return Outcome(first, last, RUN_FILE if first else None, self.error)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeLab]:
    def install(events: Iterable[Event], error: LabctlError | None = None) -> FakeLab:
        fake = FakeLab(events, error)
        monkeypatch.setattr("labctl.experiment.load_experiment", fake.load)
        monkeypatch.setattr("labctl.session.run_experiment", fake.run)
        return fake

    return install


Lab = Callable[..., FakeLab]


def perform(*words: str) -> int:
    return app.perform(list(words), debug=False)


def ended(status: dict[str, Any], count: int = 3) -> list[Event]:
    *events, light_off, _ = sample_run.whole_run(count)
    return [*events, light_off, sample_run.finished(count, **status)]


def test_an_accepted_run_with_json(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab(sample_run.whole_run(20))
    assert perform("demo", "--json") == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert found["verdict"] == "accepted"
    assert found["run_file"] == str(RUN_FILE)
    assert "error" not in found
    assert shown.out.count("\n") == 1
    assert "20/20 images" in shown.err


def test_an_accepted_run_for_people(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab(sample_run.whole_run(20))
    assert perform("run", "digits") == 0
    shown = capsys.readouterr()
    assert "ACCEPTED" in shown.out
    assert str(RUN_FILE) in shown.out
    assert "\x1b" not in shown.out + shown.err


def test_an_alarm(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab(sample_run.alarmed_run())
    assert perform("demo", "--json") == 3
    shown = capsys.readouterr()
    assert json.loads(shown.out)["verdict"] == "alarm"
    assert "ALARM in image 11" in shown.err


def test_options_reach_the_experiment(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fake = lab(sample_run.whole_run(1))
    words = ["my.toml", "--bench", "b.toml", "--data", "d", "--images", "5", "--seed", "9", "--out", "o", "--json"]
    assert perform("run", *words, "--anywhere", "--log-level", "debug", "--exchange", "x.jsonl") == 0
    given = {"bench": "b.toml", "data": Path("d"), "images": 5, "seed": 9, "anywhere": True}
    assert fake.loaded == ("my.toml", given)
    assert fake.out == tmp_path / "o"
    assert fake.notes == Notes("debug", Path("x.jsonl"))


def test_an_unknown_level_is_refused(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert perform("run", "digits", "--log-level", "loud") == 2
    assert "debug, info, warning, error" in capsys.readouterr().err


def test_what_is_not_said_is_left_to_the_run_file(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fake = lab(sample_run.whole_run(1))
    assert perform("demo") == 0
    assert fake.loaded == ("digits", {"bench": None, "data": None, "images": None, "seed": None, "anywhere": False})
    assert fake.out == tmp_path / "runs"


def test_a_dry_run_runs_nothing(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    fake = lab([])
    assert perform("run", "digits", "--dry-run") == 0
    assert capsys.readouterr().out == "12 images\n0.5 s\n"
    assert perform("run", "digits", "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"images": 12, "light_s": 0.5}
    assert fake.out is None


@pytest.mark.parametrize(
    ("error", "status", "exit_status"),
    [
        (GateError("the trace is clipped", "Lower the power."), ABORTED, 4),
        (InterlockError("laser: emission is off", "Find out why."), ABORTED, 4),
        (RunAborted("aborted: by hand", "Start again."), ABORTED, 4),
        (InstrumentLost("laser", "does not answer", "Check its cable."), FAILED, 1),
        (UnsafeState("the laser is still on", "Switch it off."), FAILED, 5),
        (ConfigError("the laser plays an amplifier", "Mend bench.toml."), FAILED, 2),
    ],
)
def test_errors_lead_to_statuses(
    lab: Lab,
    capsys: pytest.CaptureFixture[str],
    error: LabctlError,
    status: dict[str, Any],
    exit_status: int,
) -> None:
    lab(ended(status), error)
    assert perform("demo", "--json") == exit_status
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert found["error"] == {"type": type(error).__name__, "message": str(error), "remedy": error.remedy}
    assert found["run_file"] == str(RUN_FILE)
    assert ("accuracy" in found) == (status is ABORTED)
    assert f"labctl: error: {error}\nlabctl: remedy: {error.remedy}\n" in shown.err
    assert "Traceback" not in shown.err


def test_an_aborted_run_shows_what_it_has(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab(ended(ABORTED), RunAborted("aborted: by hand"))
    assert perform("demo") == 4
    assert "ABORTED" in capsys.readouterr().out


def test_a_failed_run_shows_no_numbers_but_where_they_are(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab(ended(FAILED), InstrumentLost("laser", "does not answer"))
    assert perform("demo") == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"what was recorded: {RUN_FILE}" in shown.err


def test_a_run_that_never_started(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab([sample_run.finished(0, **FAILED, accuracy=None, pooled=None, layers=())], InstrumentLost("laser", "is gone"))
    assert perform("demo", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"error", "run_file"}
    assert found["run_file"] is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_ask_for_the_end_and_nothing_more(
    lab: Lab, capfd: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    reasons: list[str | None] = []

    def stop_twice(control: RunControl) -> None:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        reasons.append(control.reason)

    fake = lab(ended(ABORTED), RunAborted("aborted"))
    fake.during = stop_twice
    assert perform("demo", "--json") == 128 + number
    assert reasons == [number.name]
    shown = capfd.readouterr()
    assert json.loads(shown.out)["verdict"] == "aborted"
    assert "stopping at the next checkpoint; the light goes off first" in shown.err
    assert "already stopping" in shown.err


def test_a_signal_after_the_last_checkpoint_changes_nothing(lab: Lab) -> None:
    fake = lab(sample_run.whole_run(3))
    fake.during = lambda control: os.kill(os.getpid(), signal.SIGINT)
    assert perform("demo", "--json") == 0


def test_light_that_stays_on_outweighs_the_signal(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    *events, _, _ = sample_run.whole_run(3)
    events += [sample_run.light_off(dark=False), sample_run.finished(3, **FAILED)]
    fake = lab(events, UnsafeState("not every emitter confirmed that it is off", "Look at the bench."))
    fake.during = lambda control: os.kill(os.getpid(), signal.SIGINT)
    assert perform("demo") == 5
    assert "WARNING: laser did not confirm that it is off: laser: does not answer" in capsys.readouterr().err
