"""Runs on the simulated bench that are ended before their time and taken up again: the same file, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from labctl.clock import SystemClock
from labctl.config import RunConfig
from labctl.engine import RunControl
from labctl.errors import ConfigError, RecordError
from labctl.events import EventBus, ImageFinished, LayerMeasured, RunStarted
from labctl.experiment import prepare_experiment
from labctl.ledger.data import data_book, data_charges
from labctl.ledger.weights import weights_book, weights_charges
from labctl.record import open_run
from labctl.record.compare import differences
from labctl.resume import load_resumption
from labctl.session import Outcome, resume, run_experiment
from tests.labctl.run_files import differences as plain_differences

ROOT = Path(__file__).resolve().parents[2]
IMAGES = 14


def run(folder: Path, stop: Callable[[EventBus, RunControl], None] | None = None, **keys: Any) -> Outcome:
    tables = {"name": "r", "dataset": "digits", "model": "digits", "gain": 1.3, "mean_photons": 4.0, "seed": 5}
    experiment = prepare_experiment(RunConfig(**(tables | {"images": IMAGES} | keys)))
    bus, control = EventBus(), RunControl()
    if stop is not None:
        stop(bus, control)
    return run_experiment(experiment, bus, control, folder)


def after_images(count: int) -> Callable[[EventBus, RunControl], None]:
    def stop(bus: EventBus, control: RunControl) -> None:
        bus.subscribe(ImageFinished, lambda event: control.abort("enough") if event.image + 1 == count else None)

    return stop


def within_image(image: int) -> Callable[[EventBus, RunControl], None]:
    def stop(bus: EventBus, control: RunControl) -> None:
        bus.subscribe(LayerMeasured, lambda event: control.abort("enough") if event.image == image else None)

    return stop


def file_of(outcome: Outcome) -> Path:
    assert outcome.run_file is not None
    return outcome.run_file


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return file_of(run(tmp_path_factory.mktemp("whole")))


@pytest.mark.parametrize("stop", [within_image(0), after_images(1), within_image(11), after_images(12)])
def test_a_run_that_was_stopped(tmp_path: Path, whole: Path, stop: Callable[[EventBus, RunControl], None]) -> None:
    path = file_of(run(tmp_path, stop))
    assert open_run(path).status == "aborted"
    bus, started = EventBus(), []
    bus.subscribe(RunStarted, started.append)
    outcome = resume(path, bus=bus)
    assert outcome.run_file == path
    assert differences(whole, path) == []
    assert plain_differences(whole, path) == []
    done = started[0].resumed_at
    assert open_run(path).provenance["resumed"].endswith(f"after {done} images")
    logs = [path.with_suffix(".log"), path.with_name(f"{path.stem}-2.log")]
    assert sorted(tmp_path.iterdir()) == sorted([path, *logs])
    with pytest.raises(ConfigError, match="the run is complete"):
        resume(path)


def test_taken_up_twice(tmp_path: Path, whole: Path) -> None:
    path = file_of(run(tmp_path, after_images(3)))
    experiment, resumed = load_resumption(path)
    bus, control = EventBus(), RunControl()
    within_image(9)(bus, control)
    run_experiment(experiment, bus, control, None, resumed=resumed)
    assert len(open_run(path).images["index"]) == 9
    resume(path)
    assert differences(whole, path) == []
    assert [text.split(" after ")[1] for text in open_run(path).provenance["resumed"].split("; ")] == [
        "3 images",
        "9 images",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("bench", ["telecom", "waveform"])
def test_on_other_benches(tmp_path: Path, bench: str) -> None:
    """With bias controllers, drift and technical noise; with a receiver that is calibrated when the light is on."""
    keys = {"bench": bench, "images": 2, "gain": 1.3, "model": "digits-noise-aware" if bench == "telecom" else "digits"}
    one, other = file_of(run(tmp_path / "a", **keys)), file_of(run(tmp_path / "b", after_images(1), **keys))
    resume(other)
    assert differences(one, other) == []


def test_an_alarm_before_the_end_is_remembered(tmp_path: Path) -> None:
    keys = {"adversary": {"client_gain": 10.0}, "on_alarm": "continue", "images": 8}
    one = run(tmp_path / "a", **keys)
    assert one.verdict == "alarm"
    other = file_of(run(tmp_path / "b", after_images(6), **keys))
    assert resume(other).verdict == "alarm"
    assert differences(file_of(one), other) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from labctl.engine import RunControl
from labctl.events import EventBus, LayerMeasured
from labctl.config import RunConfig
from labctl.experiment import prepare_experiment
from labctl.session import run_experiment
experiment = prepare_experiment(RunConfig.model_validate_json(sys.argv[2]))
bus = EventBus()
image = int(sys.argv[3])
bus.subscribe(LayerMeasured, lambda event: event.image == image and os.kill(os.getpid(), signal.SIGKILL))
run_experiment(experiment, bus, RunControl(), Path(sys.argv[1]))
"""


def killed(folder: Path, image: int, **keys: Any) -> Path:
    """A run whose program is killed within an image; returns when the writer has ended as well."""
    tables = {"name": "r", "dataset": "digits", "model": "digits", "gain": 1.3, "mean_photons": 4.0, "seed": 5}
    config = RunConfig(**(tables | {"images": IMAGES} | keys)).model_dump_json()
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), config, str(image)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    (path,) = folder.glob("*.h5")
    clock = SystemClock()
    while os.path.exists(f"/proc/{open_run(path).provenance['writer']}"):
        clock.wait(0.02)
    return path


def test_a_run_that_was_killed(tmp_path: Path, whole: Path) -> None:
    path = killed(tmp_path, 11)
    assert (open_run(path).status, len(open_run(path).images["index"])) == ("failed", 11)
    resume(path)
    assert differences(whole, path) == []


def test_ledgers_count_every_image_that_was_sent_once(tmp_path: Path) -> None:
    """10 images are in the file, one was under way, 4 are to come: 10 + 1 and 4, neither of the 14 twice."""
    server, client = tmp_path / "server.ledger", tmp_path / "client.ledger"
    ledger = {
        "weights": {"file": str(server), "bits_per_weight_budget": 1e4},
        "data": {"file": str(client), "bits_per_symbol_budget": 1e3},
    }
    path = killed(tmp_path / "runs", 10, ledger=ledger)
    (left,) = weights_charges(weights_book(server).read(), server)
    assert (left.images, left.settled) == (IMAGES, False)
    resume(path)
    first, second = weights_charges(weights_book(server).read(), server)
    assert (first.images, first.settled, second.images, second.settled) == (11, True, 4, True)
    assert second.reserved.images == 4
    rate = second.bits_per_weight[0] / 4
    taken = first.bits_per_weight[0] - 10 * rate
    assert taken > rate, "light whose return was not recorded counts as wholly taken"
    done = data_charges(data_book(client).read(), client)
    assert [(len(each.rows), each.settled) for each in done] == [(11, True), (4, True)]
    assert done[0].rows[10] == done[1].rows[0], "the image that was sent again"


def test_a_run_that_was_stopped_in_order_settled_itself(tmp_path: Path) -> None:
    server = tmp_path / "server.ledger"
    ledger = {"weights": {"file": str(server), "bits_per_weight_budget": 1e4}}
    path = file_of(run(tmp_path / "runs", after_images(9), ledger=ledger))
    resume(path)
    charges = weights_charges(weights_book(server).read(), server)
    assert [(each.images, each.settled) for each in charges] == [(9, True), (5, True)]


def change(path: Path, **keys: Any) -> None:
    """Another configuration than the run had, sealed as labctl seals its files."""
    from labctl.record import attributes, layout

    run = open_run(path)
    with h5py.File(path, "r+", libver="latest") as file:
        file["config"].attrs["run"] = attributes.to_json({**run.started.run, **keys})
        layout.seal_head(file)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"adversary": {"server_recovers_data": True}}, "adversary.server_recovers_data"),
        ({"adversary": {"attack": "tap", "strength": 0.1}}, "adversary.attack"),
        ({"model": "digits-noise-aware"}, "not what it was when the run began: model"),
        ({"bench": "telecom"}, "not what it was when the run began: bench"),
        ({"images": 13}, "data, number of images"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_refused(tmp_path: Path, keys: dict[str, Any], said: str) -> None:
    path = file_of(run(tmp_path, after_images(1), images=2 if "images" not in keys else IMAGES))
    change(path, **keys)
    with pytest.raises(ConfigError, match=said):
        load_resumption(path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = file_of(run(tmp_path, after_images(1), images=2))
    with h5py.File(path, "r+") as file:
        file["images/scores"][0, 0] += 1
    with pytest.raises(RecordError, match="checksum"):
        load_resumption(path)
