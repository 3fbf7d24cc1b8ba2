"""Run files of others are read in a process apart: what they do to it, they do to nothing else."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from labctl.errors import RecordError
from labctl.events import EventBus
from labctl.record import RunRecorder, apart, apart_process, open_run, reader
from labctl.record.table import BLOCK
from tests.labctl import sample_run


def record(folder: Path) -> Path:
    writer, bus = RunRecorder(folder, "sample", 7), EventBus()
    writer.attach(bus)
    for event in sample_run.whole_run(30):
        bus.publish(event)
    writer.close()
    assert writer.path is not None
    return writer.path


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(one[key], other[key], equal_nan=True) for key in one.keys() | other.keys())


def test_what_comes_back_is_what_the_reader_reads(tmp_path: Path) -> None:
    path = record(tmp_path)
    here, there = reader.open_run(path), open_run(path)
    assert (there.started, there.finished, there.light_off) == (here.started, here.finished, here.light_off)
    assert (there.path, there.status, there.units, there.provenance) == (path, here.status, here.units, here.provenance)
    assert same(there.images, here.images)
    assert all(map(same, there.layers, here.layers))
    assert there.images["scores"].flags.writeable


def task(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Another function in the place of the reader, in a helper of its own."""
    apart._helper.close()
    program = f"import labctl.record.apart_process as p; p.TASKS['open_run'] = '{place}'; "
    monkeypatch.setattr(apart, "PROGRAM", apart.PROGRAM.replace("from labctl", f"{program}from labctl", 1))


@pytest.fixture(autouse=True)
def _another_helper_afterwards() -> Any:
    yield
    apart._helper.close()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("tests.labctl.record.hostile_reader:sleep", "takes longer than"),
        ("tests.labctl.record.hostile_reader:spin", "takes longer than"),
        ("tests.labctl.record.hostile_reader:crash", "broke down .signal 11"),
        ("tests.labctl.record.hostile_reader:leave", "broke down .status 3"),
        ("tests.labctl.record.hostile_reader:bloat", "more memory"),
        ("tests.labctl.record.hostile_reader:write", "cannot be read"),
        ("tests.labctl.record.hostile_reader:flood", "more memory"),
        ("tests.labctl.record.hostile_reader:something", "cannot be read as a run"),
        ("tests.labctl.record.hostile_reader:unknown", "cannot be read"),
    ],
)
def test_whatever_the_file_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, said: str) -> None:
    path = record(tmp_path)
    monkeypatch.setattr(apart, "SECONDS", 0.7)
    monkeypatch.setattr(apart, "SPARE_BYTES", 2**24)
    task(monkeypatch, place)
    with pytest.raises(RecordError, match=said) as refusal:
        open_run(path)
    assert str(path) in str(refusal.value)
    assert refusal.value.remedy
    monkeypatch.undo()
    apart._helper.close()
    assert open_run(path).status == "complete", "the next file is read by another helper"


def test_a_helper_that_was_lost_is_replaced(tmp_path: Path) -> None:
    path = record(tmp_path)
    open_run(path)
    process = apart._helper._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert open_run(path).status == "complete"


def test_what_is_no_plain_file_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    for name in ("pipe.h5", ".", "none.h5", "x" * 300, "a\0b"):
        with pytest.raises(RecordError):
            open_run(tmp_path / name)
    path = record(tmp_path)
    monkeypatch.setattr(apart, "MAX_FILE_BYTES", 1000)
    with pytest.raises(RecordError, match="largest run file"):
        open_run(path)


def test_a_damaged_finished_file_is_not_waited_for(tmp_path: Path) -> None:
    """HDF5 reads what a writer may be at work on again and again, for minutes."""
    path = record(tmp_path)
    data = bytearray(path.read_bytes())
    data[28:44] = b"\0" * 16  # end and root group in the superblock, whose checksum is wrong now
    path.write_bytes(data)
    begun = time.process_time()
    with pytest.raises(RecordError):
        reader.open_run(path)
    assert time.process_time() - begun < 2


def test_a_file_that_grows_is_read(tmp_path: Path) -> None:
    writer, bus = RunRecorder(tmp_path, "sample", 7), EventBus()
    writer.attach(bus)
    for event in list(sample_run.whole_run(BLOCK + 6))[: 1 + 3 * BLOCK]:
        bus.publish(event)
    assert writer.path is not None
    assert (open_run(writer.path).status, len(open_run(writer.path).images["index"])) == ("running", BLOCK)
    writer.close()


def test_a_file_that_announces_more_than_it_holds(tmp_path: Path) -> None:
    path = record(tmp_path)
    with h5py.File(path, "r+") as file:
        del file["images/label"]
        file["images"].create_dataset("label", shape=(2**27,), maxshape=(None,), chunks=(2**16,), dtype="i8")
        file["committed"][0] = 2**27
    with pytest.raises(RecordError):
        open_run(path)


def test_every_task_is_there() -> None:
    assert set(apart_process.TASKS) == {"open_run", "read_run"}


def test_an_interrupt_does_not_leave_an_answer_for_the_next_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record(tmp_path)
    open_run(path)

    def interrupted(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(apart, "_drained", interrupted)
        with pytest.raises(KeyboardInterrupt):
            open_run(path)
    assert open_run(path).status == "complete"
