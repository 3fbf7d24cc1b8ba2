"""What verify tells of a run file, what recover makes of it, and what diff finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import h5py
import numpy as np
import pytest

from labctl.errors import RecordError
from labctl.events import DataRecovered, Event, EventBus
from labctl.record import disk, open_run
from labctl.record.compare import differences
from labctl.record.reader import DAMAGED_HEAD, DAMAGED_PROVENANCE, DAMAGED_RESULT, read_run
from labctl.record.rebuild import WITHOUT_A_WORD, recover
from labctl.record.table import BLOCK
from labctl.record.writer import RunWriter
from tests.labctl import sample_run


def record(folder: Path, events: Iterable[Event]) -> Path:
    made, bus = RunWriter(folder, "sample", 7), EventBus()
    made.attach(bus)
    for event in events:
        bus.publish(event)
    made.close()
    assert made.path is not None
    return made.path


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return record(tmp_path, sample_run.whole_run(70))


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """As a killed writer leaves it, a block of rows committed."""
    return record(tmp_path, [sample_run.started(), *sample_run.images(BLOCK + 6)])


def change(path: Path, harm: Callable[[h5py.File], None]) -> None:
    with h5py.File(path, "r+", libver="latest") as file:
        harm(file)


def _score(file: h5py.File) -> None:
    file["images/scores"][17, 3] += 1e-9


def _sum(file: h5py.File) -> None:
    file["layers/1/sum_sr"][40] *= -1


def _swapped_rows(file: h5py.File) -> None:
    for dataset in file["layers/0"].values():
        dataset[20], dataset[21] = dataset[21], dataset[20]


def _swapped_layers(file: h5py.File) -> None:
    file.move("layers/0", "x")
    file.move("layers/1", "layers/0")
    file.move("x", "layers/1")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_score, "/images: 1 of 70 rows do not agree with their checksum: 17"),
        (_sum, "/layers/1: 1 of 70 rows do not agree with their checksum: 40"),
        (_swapped_rows, "/layers/0: 2 of 70 rows do not agree with their checksum: 20, 21"),
        (_swapped_layers, "/layers/0: 70 of 70 rows do not agree with their checksum: 0, 1, 2, 3, 4, 5, 6, 7, ..."),
        (lambda file: file["config/run"].attrs.modify("gain", 1.4), DAMAGED_HEAD),
        (lambda file: file["instruments/laser"].attrs.modify("serial", "1702"), DAMAGED_HEAD),
        (lambda file: file["calibration"].attrs.create("more", 1.0), DAMAGED_HEAD),
        (lambda file: file["images/excess"].attrs.modify("unit", "dB"), DAMAGED_HEAD),
        (lambda file: file["provenance"].attrs.modify("host", "elsewhere"), DAMAGED_PROVENANCE),
        (lambda file: file["result"].attrs.modify("accuracy", 0.99), DAMAGED_RESULT),
        (lambda file: file["safe_state/laser"].attrs.modify("dark", False), DAMAGED_RESULT),
        (lambda file: file.attrs.modify("status", "aborted"), DAMAGED_RESULT),
    ],
)
def test_every_change_is_noticed(whole: Path, harm: Callable[[h5py.File], None], said: str) -> None:
    assert read_run(whole).damage == ()
    change(whole, harm)
    assert said in read_run(whole).damage
    with pytest.raises(RecordError) as caught:
        open_run(whole)
    assert "do" in caught.value.message
    assert "labctl recover" in caught.value.remedy


def test_fewer_rows_than_were_counted(whole: Path) -> None:
    """Whoever takes rows away must change their number, which has a checksum as well."""
    change(whole, lambda file: file["committed"].write_direct(np.array([10, 10, 10, int(file["committed"][3])])))
    run = read_run(whole)
    assert run.damage == ("the numbers of rows that count do not agree with their checksum",)
    assert recover(whole).images == 70


def test_a_running_status_with_an_end(whole: Path) -> None:
    change(whole, lambda file: file.attrs.modify("status", "running"))
    with pytest.raises(RecordError, match="does not fit the result"):
        open_run(whole)


def test_a_whole_file_is_left_alone(whole: Path) -> None:
    before = whole.read_bytes()
    disk.part_of(whole).write_text("left by a killed process")
    found = recover(whole)
    assert (found.images, found.changed, found.original) == (70, False, None)
    assert whole.read_bytes() == before
    assert list(whole.parent.iterdir()) == [whole]


def test_a_file_that_was_left_becomes_an_ordinary_one(left: Path) -> None:
    found = recover(left, lambda: 1_770_292_800.0)
    assert (found.images, found.changed, found.lost, found.original) == (BLOCK, True, (), None)
    assert list(left.parent.iterdir()) == [left]
    with h5py.File(left, "r") as file:  # as any program opens it
        assert file["images/label"].shape == (BLOCK,)
    run = open_run(left)
    assert (run.status, run.finished.cause, run.finished.images) == ("failed", WITHOUT_A_WORD, BLOCK)
    assert run.finished.accuracy == sample_run.image(BLOCK - 1).accuracy
    assert run.provenance["recovered"] == "2026-02-05T12:00:00.000+00:00"
    assert run.images["scores"][BLOCK - 1].tolist() == list(sample_run.image(BLOCK - 1).scores)
    assert recover(left).changed is False


@pytest.mark.parametrize(("harm", "images"), [(_score, 17), (_sum, 40), (_swapped_layers, 0)])
def test_of_a_damaged_file_the_whole_rows_are_kept(whole: Path, harm: Callable[[h5py.File], None], images: int) -> None:
    change(whole, harm)
    before = whole.read_bytes()
    found = recover(whole)
    assert found.images == images
    assert found.original == whole.with_name(whole.name + ".damaged")
    assert found.original.read_bytes() == before
    run = open_run(whole)
    assert [len(run.images["index"]), *(len(layer["N"]) for layer in run.layers)][0] == images
    assert run.finished.images == images
    assert "recovered from a damaged file" in run.finished.cause
    change(whole, _score if images > 17 else lambda file: file.attrs.modify("seed", 8))
    with pytest.raises(RecordError):
        recover(whole)


def test_nothing_is_recovered_under_a_head_that_was_changed(whole: Path) -> None:
    change(whole, lambda file: file.attrs.modify("seed", 8))
    with pytest.raises(RecordError, match="the head"):
        recover(whole)


def test_overlaps_are_recovered(tmp_path: Path) -> None:
    def events() -> Iterable[Event]:
        yield sample_run.started(run=sample_run.CURIOUS)
        for number in range(BLOCK):
            yield DataRecovered(number, number / BLOCK, None)
            yield from (sample_run.layer(number, 0), sample_run.layer(number, 1), sample_run.image(number))

    path = record(tmp_path, events())
    assert recover(path).images == BLOCK
    overlaps = open_run(path).overlaps
    assert overlaps is not None
    assert overlaps.tolist() == [number / BLOCK for number in range(BLOCK)]


def test_who_has_checksums_cannot_be_of_the_version_without(whole: Path) -> None:
    """Else one number in the head would switch all checks off."""
    change(whole, lambda file: file.attrs.modify("format_version", 1))
    with pytest.raises(RecordError, match="format version 1 has no checksums, and the file has some"):
        open_run(whole)


def test_a_file_of_the_first_version_is_read(whole: Path) -> None:
    """It had no checksums, no absolute time, and another list of counts."""

    def age(file: h5py.File) -> None:
        file.attrs["format_version"] = 1
        for table in (file["images"], file["layers/0"], file["layers/1"]):
            del table["crc"]
        del file["images/clock_s"], file["committed"], file.attrs["checksum"]
        file["committed"] = np.array([70, 70, 70])

    change(whole, age)
    run = open_run(whole)
    assert not run.verified
    assert len(run.images["index"]) == 70
    assert "clock_s" not in run.images


def test_equal_files_and_others(tmp_path: Path) -> None:
    one, same = (record(tmp_path / name, sample_run.whole_run(20)) for name in ("a", "b"))
    assert differences(one, same) == []
    other = record(tmp_path / "c", sample_run.whole_run(20, seed=8))
    found = differences(one, other)
    assert "images/scores: 20 of 20 rows differ, the first is row 0" in found
    assert "@seed: 7 and 8" in found
    shorter = record(tmp_path / "d", sample_run.whole_run(19))
    assert "images/label: int64 of shape (20,) and int64 of shape (19,)" in differences(one, shorter)
    alarmed = record(tmp_path / "e", sample_run.alarmed_run(20))
    assert f"result/alarm@image: only in {alarmed}" in differences(one, alarmed)
