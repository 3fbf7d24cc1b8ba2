"""The run file written by a process of its own: the same as in this one, whoever of the two is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labctl.clock import SystemClock
from labctl.errors import RecordError
from labctl.events import Event, EventBus
from labctl.record import RunRecorder, open_run, recorder
from labctl.record.compare import differences
from labctl.record.rebuild import WITHOUT_A_WORD
from labctl.record.writer import RunWriter
from tests.labctl import sample_run

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def recording(folder: Path) -> Iterator[tuple[RunRecorder, EventBus]]:
    made, bus = RunRecorder(folder, "sample", 7), EventBus()
    made.attach(bus)
    try:
        yield made, bus
    finally:
        made.close()


def record(folder: Path, events: Iterable[Event]) -> Path:
    with recording(folder) as (made, bus):
        for event in events:
            bus.publish(event)
    assert made.path is not None
    return made.path


def by_hand(folder: Path, events: Iterable[Event]) -> Path:
    """By the same writer in this process."""
    made, bus = RunWriter(folder, "sample", 7), EventBus()
    made.attach(bus)
    for event in events:
        bus.publish(event)
    made.close()
    assert made.path is not None
    return made.path


def publish(bus: EventBus, events: Iterable[Event]) -> None:
    for event in events:
        bus.publish(event)


def gone(process: int) -> None:
    """Wait until a process has ended."""
    clock = SystemClock()
    until = clock.now() + 20
    while Path(f"/proc/{process}").exists() and clock.now() < until:
        clock.wait(0.01)
    assert not Path(f"/proc/{process}").exists()


def writer_of(path: Path) -> int:
    return int(open_run(path).provenance["writer"])


@pytest.mark.parametrize("events", [sample_run.whole_run, sample_run.alarmed_run])
def test_the_same_file_as_in_one_process(tmp_path: Path, events: object) -> None:
    made = record(tmp_path / "a", events(150))  # type: ignore[operator]
    assert differences(made, by_hand(tmp_path / "b", events(150))) == []  # type: ignore[operator]
    run = open_run(made)
    assert run.provenance["process"] == os.getpid()
    assert run.provenance["writer"] != os.getpid()


def test_a_run_that_never_started_leaves_no_file(tmp_path: Path) -> None:
    with recording(tmp_path / "runs") as (made, bus):
        bus.publish(sample_run.light_off())
        bus.publish(sample_run.finished(0, status="failed", verdict=None))
    assert made.path is None
    assert list(tmp_path.iterdir()) == []


def test_what_the_writer_says_against_it_is_raised_once(tmp_path: Path) -> None:
    with recording(tmp_path) as (made, bus):
        bus.publish(sample_run.started())
        for event in sample_run.images(3):
            bus.publish(event)
        with pytest.raises(RecordError, match="image 7 came where image 3 was due"):
            said_within_a_second(bus, sample_run.image(7))
        bus.publish(sample_run.light_off())
        bus.publish(sample_run.finished(3, status="failed", verdict=None, cause="out of order"))
    assert made.path is not None
    run = open_run(made.path)
    assert (run.status, len(run.images["index"]), run.finished.cause) == ("failed", 3, "out of order")


def said_within_a_second(bus: EventBus, event: Event) -> None:
    """The writer answers when it has read; the next event hears it."""
    bus.publish(event)
    clock = SystemClock()
    for _ in range(200):
        clock.wait(0.05)
        bus.publish(sample_run.light_off())


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with (
        recording(tmp_path / "runs") as (made, bus),
        pytest.raises(RecordError, match="cannot be made or is no folder"),
    ):
        bus.publish(sample_run.started())
    assert made.path is None


KILLED = """
import os, signal, sys
from pathlib import Path
from labctl.events import EventBus
from labctl.record import RunRecorder
from tests.labctl import sample_run
made, bus = RunRecorder(Path(sys.argv[1]), "sample", 7), EventBus()
made.attach(bus)
bus.publish(sample_run.started())
for event in sample_run.images(int(sys.argv[2])):
    bus.publish(event)
bus.publish(sample_run.layer(int(sys.argv[2]), 0))
sys.stdout.write(str(made.path))
sys.stdout.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("images", [0, 1, 100])
def test_a_killed_program_loses_nothing_that_it_handed_over(tmp_path: Path, images: int) -> None:
    arguments = [sys.executable, "-c", KILLED, str(tmp_path), str(images)]
    done = subprocess.run(arguments, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    assert done.returncode == -signal.SIGKILL
    path = Path(done.stdout)
    gone(writer_of(path))
    run = open_run(path)
    assert (run.status, run.finished.cause, run.finished.images) == ("failed", WITHOUT_A_WORD, images)
    assert len(run.images["index"]) == images
    if images:
        last = sample_run.image(images - 1)
        assert (run.finished.pooled, run.finished.layers) == (last.pooled, last.layers)
        assert run.finished.accuracy == last.accuracy


def test_a_killed_writer_is_an_error_of_the_run(tmp_path: Path) -> None:
    with recording(tmp_path) as (made, bus):
        bus.publish(sample_run.started())
        for event in sample_run.images(70):
            bus.publish(event)
        assert made.path is not None
        os.kill(writer_of(made.path), signal.SIGKILL)
        with pytest.raises(RecordError, match=r"has ended \(status -9\)"):
            said_within_a_second(bus, sample_run.layer(70, 0))
        bus.publish(sample_run.light_off())
        bus.publish(sample_run.finished(70))
    assert open_run(made.path).status == "running"


def test_a_writer_that_hangs_is_not_waited_for_forever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "PATIENCE_S", 0.3)
    monkeypatch.setattr(recorder, "END_PATIENCE_S", 0.3)
    with recording(tmp_path) as (made, bus):
        monkeypatch.setattr(recorder, "PATIENCE_S", 10.0)
        bus.publish(sample_run.started())
        monkeypatch.setattr(recorder, "PATIENCE_S", 0.3)
        assert made.path is not None
        writer = writer_of(made.path)
        os.kill(writer, signal.SIGSTOP)
        try:
            begun = time.monotonic()
            with pytest.raises(RecordError, match="does not answer"):
                publish(bus, sample_run.images(20_000))
            bus.publish(sample_run.finished(10))
            assert time.monotonic() - begun < 20
        finally:
            os.kill(writer, signal.SIGCONT)
    made._process.wait(20)


def test_signals_to_the_writer_do_not_end_it(tmp_path: Path) -> None:
    with recording(tmp_path) as (made, bus):
        bus.publish(sample_run.started())
        assert made.path is not None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(writer_of(made.path), number)
        for event in list(sample_run.whole_run(5))[1:]:
            bus.publish(event)
    assert open_run(made.path).status == "complete"


def test_an_image_costs_its_program_less_than_forty_microseconds(tmp_path: Path) -> None:
    """Processor time of this process, best of five; the events are made before the clock starts."""
    count, best = 2000, float("inf")
    events = list(sample_run.images(count))
    for _ in range(5):
        with recording(tmp_path) as (_, bus):
            bus.publish(sample_run.started())
            before = time.process_time()
            publish(bus, events)
            best = min(best, (time.process_time() - before) / count)
    assert best < 40e-6


def test_what_was_noted_stands_in_the_provenance(tmp_path: Path) -> None:
    with recording(tmp_path) as (made, bus):
        made.note({"ledger_weights": 3})
        publish(bus, sample_run.whole_run(2))
    assert made.path is not None
    assert open_run(made.path).provenance["ledger_weights"] == 3
