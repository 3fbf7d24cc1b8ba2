"""What an engine process can be asked to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import singledispatch
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from labctl import upkeep
from labctl.bench import open_bench
from labctl.clock import SystemClock
from labctl.config import load_bench, load_run
from labctl.datasets import Dataset, load_dataset
from labctl.engine import RunControl
from labctl.engine_process.messages import (
    DarkRequest,
    FolderRequest,
    LookRequest,
    Part,
    ReadRequest,
    ReplayRequest,
    ResumeRequest,
    RunEnded,
    RunEntry,
    RunRequest,
    Task,
)
from labctl.engine_process.outbox import Outbox
from labctl.errors import LabctlError, RecordError
from labctl.events import Event, EventBus, LightOff, RunStarted
from labctl.experiment import Experiment, prepare_experiment
from labctl.ledger.run import RunLedgers
from labctl.record import Run, open_run
from labctl.replay import Teller, until
from labctl.resume import load_resumption
from labctl.session import Outcome, run_experiment
from labctl.shipped import bench_path, run_path

#: How often a growing run file is looked at.
FOLLOW_S = 0.5

Say = Callable[[object], None]


def perform(task: Task, control: RunControl, outbox: Outbox) -> object:
    """Do it, and give the answer. Raises LabctlError."""
    return _perform(task.request, task.number, control, outbox)


@singledispatch
def _perform(request: Any, number: int, control: RunControl, outbox: Outbox) -> object:
    raise TypeError(f"{request!r} is no request")


@_perform.register
def _(request: RunRequest, number: int, control: RunControl, outbox: Outbox) -> object:
    experiment = _experiment(request)
    if request.forecast_only:
        RunLedgers(experiment, EventBus()).check()
        found = experiment.forecast()
        return {**asdict(found), "lines": found.lines(), "clean_accuracy": experiment.clean_accuracy}
    return _ended(run_experiment(experiment, _told(experiment, outbox), control, Path(request.out_dir).absolute()))


@_perform.register
def _(request: ResumeRequest, number: int, control: RunControl, outbox: Outbox) -> object:
    path = Path(request.path).absolute()
    experiment, resumed = load_resumption(path)
    earlier = until(open_run(path), resumed.images)
    bus = _told(experiment, outbox)

    def tell_earlier(started: RunStarted) -> None:
        for event in earlier:
            outbox.event(event)

    bus.subscribe(RunStarted, tell_earlier)
    return _ended(run_experiment(experiment, bus, control, None, resumed=resumed))


def _told(experiment: Experiment, outbox: Outbox) -> EventBus:
    """A bus of which every event is told, with the images that belong to them."""
    bus = EventBus()
    for kind in get_args(Event):
        bus.subscribe(kind, outbox.event)
    outbox.pixels_of = _pixels_of(experiment.dataset)
    return bus


def _ended(outcome: Outcome) -> RunEnded:
    error = outcome.error
    return RunEnded(
        run_file=None if outcome.run_file is None else str(outcome.run_file),
        verdict=outcome.verdict,
        error="" if error is None else str(error),
        remedy="" if error is None else error.remedy,
    )


@_perform.register
def _(request: ReplayRequest, number: int, control: RunControl, outbox: Outbox) -> object:
    path, clock = Path(request.path), SystemClock()
    teller = Teller()
    run = open_run(path)
    outbox.pixels_of = _recorded_pixels(run)
    while True:
        for event in teller.tell(run):
            outbox.event(event)
            if control.reason is not None:
                break
        if run.finished is not None or control.reason is not None:
            return RunEnded(str(path), run.finished.verdict if run.finished is not None else None)
        clock.wait(FOLLOW_S)
        run = open_run(path)


@_perform.register
def _(request: ReadRequest, number: int, control: RunControl, outbox: Outbox) -> object:
    return open_run(Path(request.path))


@_perform.register
def _(request: FolderRequest, number: int, control: RunControl, outbox: Outbox) -> object:
    folder = Path(request.folder)
    if not folder.is_dir():
        return 0
    files = sorted(folder.glob("*.h5"), reverse=True)
    for path in files:
        if control.reason is not None:
            break
        outbox.put(Part(number, entry_of(path)))
    return len(files)


@_perform.register
def _(request: LookRequest, number: int, control: RunControl, outbox: Outbox) -> object:
    return upkeep.check_bench(bench_path(request.bench))


@_perform.register
def _(request: DarkRequest, number: int, control: RunControl, outbox: Outbox) -> object:
    path = bench_path(request.bench)
    config = load_bench(path)
    if not config.in_process:
        return LightOff(upkeep.safe_bench(path))
    with open_bench(path, config) as bench:  # a world of this process's own: nobody else can be in it
        return LightOff(bench.safe_state())


def entry_of(path: Path) -> RunEntry:
    """A run file at a glance, whatever is wrong with it."""
    try:
        run = open_run(path)
        accuracy = run.finished.accuracy if run.finished is not None else None
        last = run.images["accuracy"][-1:] if accuracy is None else [accuracy.value]
        return RunEntry(
            path=str(path),
            date=str(run.provenance.get("started", "")),
            name=run.started.name,
            network=str(run.started.run["model"]),
            gain=float(run.started.run["gain"]),
            mean_photons=float(run.started.run["mean_photons"]),
            images=len(run.images["index"]),
            accuracy=float(last[0]) if len(last) else float("nan"),
            verdict=(run.finished.verdict or "") if run.finished is not None else "",
            status=run.status,
            simulated=run.started.simulated,
        )
    except RecordError as error:
        return RunEntry(str(path), problem=str(error))
    except (KeyError, TypeError, ValueError) as error:
        return RunEntry(str(path), problem=f"its configuration cannot be read ({error!r})")


def _experiment(request: RunRequest) -> Experiment:
    path = run_path(request.run)
    return prepare_experiment(load_run(path, dict(request.overrides)), str(path))


def _pixels_of(dataset: Dataset) -> Callable[[int], NDArray[np.float32] | None]:
    def pixels(image: int) -> NDArray[np.float32] | None:
        return dataset.images[image].reshape(dataset.image_shape) if image < len(dataset) else None

    return pixels


def _recorded_pixels(run: Run) -> Callable[[int], NDArray[np.float32] | None]:
    """Of the data set that the run file names, where it is still there."""
    try:
        folder = run.started.run.get("data_dir")
        return _pixels_of(load_dataset(str(run.started.run["dataset"]), "test", Path(folder) if folder else None))
    except (LabctlError, KeyError, TypeError):
        return lambda image: None
