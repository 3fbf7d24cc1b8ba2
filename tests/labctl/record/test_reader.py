"""Reading run files: everything comes back, and what is no run file is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from labctl.errors import RecordError
from labctl.events import (
    AdversaryResult,
    AlarmRaised,
    AttackResult,
    DataRecovered,
    Event,
    EventBus,
    RecoveryResult,
)
from labctl.record import layout, open_run
from labctl.record.writer import RunWriter
from tests.labctl import sample_run


def record(folder: Path, events: list[Event]) -> Path:
    writer, bus = RunWriter(folder, "sample", 7), EventBus()
    writer.attach(bus)
    for event in events:
        bus.publish(event)
    writer.close()
    assert writer.path is not None
    return writer.path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return record(tmp_path, list(sample_run.whole_run(70)))


def test_the_events_come_back(path: Path) -> None:
    run = open_run(path)
    assert run.started == sample_run.started(70)
    assert run.finished == sample_run.finished(70)
    assert run.light_off == sample_run.light_off()
    assert (run.status, run.alarm, run.path) == ("complete", None, path)
    assert run.provenance["software"] == "labctl 0.0"
    assert {"started", "finished", "host", "python", "numpy", "h5py", "platform"} <= run.provenance.keys()


def test_the_columns_come_back(path: Path) -> None:
    run = open_run(path)
    last = sample_run.image(69)
    assert run.images["scores"].shape == (70, 10)
    assert tuple(run.images["scores"][-1]) == last.scores
    assert run.images["excess"][-1] == last.pooled.excess.value
    assert run.images["excess_high"][-1] == last.pooled.excess.high
    assert run.images["transmittance_low"][-1] == last.pooled.transmittance.low
    assert run.images["prediction"].tolist() == [sample_run.image(n).prediction for n in range(70)]
    assert np.isnan(run.images["threshold"][0])
    assert run.images["threshold"][1] == 0.02
    assert run.layers[1]["sum_sr"][69] == sample_run.layer(69, 1).sum_sr
    assert (run.units["images/time_s"], run.units["layers/sum_ss"]) == ("s", "SNU")


def test_alarm_and_missing_numbers_come_back(tmp_path: Path) -> None:
    run = open_run(record(tmp_path, list(sample_run.alarmed_run())))
    assert run.alarm == AlarmRaised(10, 0.03, 0.02)
    ended = sample_run.finished(0, status="aborted", verdict="aborted", accuracy=None, pooled=None, layers=())
    again = open_run(record(tmp_path, [sample_run.started(), sample_run.light_off(dark=False), ended]))
    assert again.finished == ended
    assert again.light_off == sample_run.light_off(dark=False)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no such file"):
        open_run(tmp_path / "nothing.h5")


@pytest.mark.parametrize("text", [b"", b"not HDF5", b"\x89HDF\r\n\x1a\n" + b"\0" * 100])
def test_something_else(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(text)
    with pytest.raises(RecordError, match=r"x\.h5"):
        open_run(path)


def test_a_truncated_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(RecordError):
        open_run(path)


def _external_link(file: h5py.File) -> None:
    del file["images"]
    file["images"] = h5py.ExternalLink("/etc/passwd", "/")


def _soft_link(file: h5py.File) -> None:
    del file["images/label"]
    file["images/label"] = h5py.SoftLink("/images/prediction")


def _external_storage(file: h5py.File) -> None:
    del file["images/label"]
    file["images"].create_dataset("label", shape=(70,), dtype="i8", external=[("/etc/passwd", 0, 560)])


def _compressed(file: h5py.File) -> None:
    del file["images/label"]
    file["images"].create_dataset("label", shape=(70,), dtype="i8", chunks=(70,), compression="gzip")


def _huge(file: h5py.File) -> None:
    del file["images/label"]
    file["images"].create_dataset("label", shape=(2**40,), dtype="i8", chunks=(2**10,))
    file["committed"][0] = 2**40


def _objects(file: h5py.File) -> None:
    del file["images/label"]
    file["images"].create_dataset("label", shape=(70,), dtype=h5py.string_dtype())


def _short(file: h5py.File) -> None:
    file["images/label"].resize((3,))


def _version(file: h5py.File) -> None:
    file.attrs["format_version"] = 99


def _status(file: h5py.File) -> None:
    file.attrs["status"] = "splendid"


def _array_attribute(file: h5py.File) -> None:
    file["calibration"].attrs["x"] = np.zeros(3)


def _deep_config(file: h5py.File) -> None:
    file["config"].attrs["run"] = "[" * 50_000


def _missing(file: h5py.File) -> None:
    del file["layers/1"]


@pytest.mark.parametrize(
    "harm",
    [
        _external_link,
        _soft_link,
        _external_storage,
        _compressed,
        _huge,
        _objects,
        _short,
        _version,
        _status,
        _array_attribute,
        _deep_config,
        _missing,
    ],
)
def test_a_tampered_file_is_refused(path: Path, harm: Callable[[h5py.File], None]) -> None:
    with h5py.File(path, "r+") as file:
        harm(file)
    with pytest.raises(RecordError, match="sample-7"):
        open_run(path)


@pytest.mark.parametrize("alarm_image", [None, 0, 12])
def test_what_the_dishonest_got_comes_back(tmp_path: Path, alarm_image: int | None) -> None:
    attack = AttackResult("tap", 0.1, 5000, 0.48, True, 0.485, alarm_image)
    recovery = RecoveryResult(2, 0.3, 0.25, 0.7)
    guesses = [DataRecovered(0, 0.2, ((0.6, 0.0), (0.8, 0.0))), DataRecovered(1, 0.4, None)]
    ended = sample_run.finished(0, adversary=AdversaryResult(attack, recovery))
    run = open_run(record(tmp_path, [sample_run.started(run=sample_run.CURIOUS), *guesses, ended]))
    assert run.finished == ended
    assert run.overlaps is not None
    assert run.recovered is not None
    assert run.overlaps.tolist() == [0.2, 0.4]
    assert run.recovered.tolist() == [[[0.6, 0.0], [0.8, 0.0]]]


def test_an_attack_alone_comes_back(tmp_path: Path) -> None:
    attack = AttackResult("greedy", 3.0, 0, 0.03, False, 0.03, 4)
    ended = sample_run.finished(0, adversary=AdversaryResult(attack, None))
    run = open_run(record(tmp_path, [sample_run.started(), ended]))
    assert (run.finished, run.overlaps, run.recovered) == (ended, None, None)


def test_warnings_come_back(tmp_path: Path) -> None:
    ended = sample_run.finished(0, warnings=("layer 0: less light", "layer 1: µ"))
    path = record(tmp_path, [sample_run.started(1), ended])
    assert open_run(path).finished == ended
    with h5py.File(path, "r+") as file:
        del file["result"].attrs["warnings"]  # as in files from before there were any
        layout.seal_end(file)
    found = open_run(path).finished
    assert found is not None
    assert found.warnings == ()
