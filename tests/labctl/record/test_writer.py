"""The run file as it grows: names, contents, crashes, failures."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from labctl.clock import SteppedClock
from labctl.errors import RecordError
from labctl.events import (
    AdversaryResult,
    DataRecovered,
    Event,
    EventBus,
    ImageFinished,
    Interval,
    Rechecked,
    RecoveryResult,
)
from labctl.record import open_run
from labctl.record.schema import PROVENANCE
from labctl.record.table import BLOCK
from labctl.record.writer import RunWriter
from tests.labctl import sample_run
from tests.labctl.parties.scan import arrays
from tests.labctl.run_files import differences

NOON_S = 1_770_292_800.0  # 2026-02-05T12:00:00Z
ROOT = Path(__file__).resolve().parents[3]


def recorder(folder: Path, name: str = "sample", seed: int = 7, **changes: Any) -> RunWriter:
    return RunWriter(folder, name, seed, **({"wall_time": lambda: NOON_S, "clock": SteppedClock()} | changes))


def record(folder: Path, events: Iterable[Event], **changes: Any) -> Path:
    writer, bus = recorder(folder, **changes), EventBus()
    writer.attach(bus)
    for event in events:
        bus.publish(event)
    writer.close()
    assert writer.path is not None
    return writer.path


def test_file_name_tells_time_run_and_seed(tmp_path: Path) -> None:
    path = record(tmp_path / "new" / "runs", sample_run.whole_run(3))
    assert path == tmp_path / "new" / "runs" / "20260205T120000Z-sample-7.h5"
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_taken_name_is_left_alone(tmp_path: Path) -> None:
    first = record(tmp_path, sample_run.whole_run(3))
    before = first.read_bytes()
    assert record(tmp_path, sample_run.whole_run(3)).name == "20260205T120000Z-sample-7-2.h5"
    assert record(tmp_path, sample_run.whole_run(3)).name == "20260205T120000Z-sample-7-3.h5"
    assert first.read_bytes() == before


def test_same_seed_same_contents_except_provenance(tmp_path: Path) -> None:
    one = record(tmp_path, sample_run.whole_run(130))
    other = record(tmp_path, sample_run.whole_run(130), wall_time=lambda: NOON_S + 5, clock=SteppedClock(40.0))
    assert differences(one, other) == []
    different = record(tmp_path, sample_run.whole_run(130, seed=8), seed=8)
    assert {"images/scores", "layers/0/sum_sr", "@seed"} <= set(differences(one, different))


def test_every_column_has_unit_and_meaning(tmp_path: Path) -> None:
    with h5py.File(record(tmp_path, sample_run.whole_run(3)), "r") as file:
        datasets = [*file["images"].values(), *file["layers/0"].values(), *file["layers/1"].values()]
        assert len(datasets) == (21 + 1) + 2 * (8 + 1)
        assert all(each.attrs["unit"] in ("1", "s", "SNU") and each.attrs["meaning"] for each in datasets)
        assert file["images/scores"].shape == (3, 10)
        assert file["images/excess"].attrs["unit"] == "SNU"


def test_configuration_is_there_as_text_and_as_attributes(tmp_path: Path) -> None:
    with h5py.File(record(tmp_path, sample_run.whole_run(1)), "r") as file:
        run = file["config/run"].attrs
        assert (run["gain"], run["mean_photons"], run["adversary.client_gain"]) == (1.3, 4.0, 3.0)
        assert "images" not in run
        assert file["config/bench"].attrs["client_receiver.channels"] == "[1]"
        assert '"gain": 1.3' in file["config"].attrs["run"]
        assert file["calibration"].attrs["server_noise_variance_snu"] == 1.01
        assert file["instruments/laser"].attrs["emission"]
        assert file[PROVENANCE].attrs["operator"] == "M. Muster"
        assert file[PROVENANCE].attrs["started"] == "2026-02-05T12:00:00.000+00:00"


def test_rows_reach_the_file_in_blocks_or_after_a_quarter_of_a_second(tmp_path: Path) -> None:
    """Another process looks into the growing file: this one's HDF5 would show it what is still in memory."""
    clock, bus = SteppedClock(), EventBus()
    writer = recorder(tmp_path, clock=clock)
    writer.attach(bus)
    bus.publish(sample_run.started())
    events = list(sample_run.images(BLOCK + 4))
    assert writer.path is not None

    def publish(first: int, last: int) -> None:
        for event in events[3 * first : 3 * last]:
            bus.publish(event)

    seen, full = [], BLOCK
    parts = ((0, full - 1, 0.2), (full - 1, full, 0.0), (full, full + 3, 0.2), (full + 3, full + 4, 0.1))
    for first, last, seconds in parts:
        clock.wait(seconds)
        publish(first, last)
        seen.append(rows_seen_by_another_process(writer.path))
    writer.close()
    assert seen == [0, full, full, full + 4]


def rows_seen_by_another_process(path: Path) -> int:
    script = "import sys; from labctl.record import open_run; from pathlib import Path\n"
    script += "run = open_run(Path(sys.argv[1])); assert run.status == 'running' and run.finished is None\n"
    script += "print(len(run.images['label']))"
    done = subprocess.run([sys.executable, "-c", script, path], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout)


KILLED = """
import signal, sys
from pathlib import Path
from labctl.events import EventBus
from labctl.record.writer import RunWriter
from tests.labctl import sample_run
from tests.labctl.run_files import differences
writer, bus = RunWriter(Path(sys.argv[1]), "sample", 7), EventBus()
writer.attach(bus)
events = list(sample_run.images(10_000))
bus.publish(sample_run.started())
signal.setitimer(signal.ITIMER_PROF, float(sys.argv[2]))  # the signal that follows ends the process on the spot
while True:
    for event in events:
        bus.publish(event)
    events = []
"""


@pytest.mark.parametrize("delay_ms", [1, 47, 77, 141])
def test_a_killed_run_leaves_a_readable_prefix(tmp_path: Path, delay_ms: int) -> None:
    """Killed after so much processor time of its own, wherever it is then."""
    arguments = [sys.executable, "-c", KILLED, str(tmp_path), str(delay_ms / 1e3)]
    assert subprocess.run(arguments, cwd=ROOT, check=False).returncode == -signal.SIGPROF
    (path,) = tmp_path.iterdir()
    run = open_run(path)
    rows = len(run.images["index"])
    assert run.status == "running"
    assert run.finished is None
    assert delay_ms < 20 or rows > 0
    expected = [event for event in sample_run.images(rows) if hasattr(event, "scores")]
    assert np.array_equal(run.images["scores"], np.array([e.scores for e in expected]).reshape(-1, 10))
    assert [len(layer["N"]) for layer in run.layers] == [rows, rows]


def test_the_layer_that_raised_the_alarm_is_kept(tmp_path: Path) -> None:
    run = open_run(record(tmp_path, sample_run.alarmed_run(10)))
    assert len(run.images["index"]) == 10
    assert [len(layer["N"]) for layer in run.layers] == [11, 10]


def test_a_run_that_never_started_leaves_no_file(tmp_path: Path) -> None:
    writer, bus = recorder(tmp_path / "runs"), EventBus()
    writer.attach(bus)
    bus.publish(sample_run.light_off())
    bus.publish(sample_run.finished(0, status="failed", verdict=None))
    writer.close()
    assert writer.path is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "a/b", "..", "with space", "x" * 65])
def test_names_that_could_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordError, match="file name"):
        recorder(tmp_path, name)


def test_an_output_folder_that_is_a_file_is_a_record_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(RecordError, match="runs"):
        record(tmp_path / "runs", [sample_run.started()])


def test_a_full_disk_stops_before_the_file_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, bus = recorder(tmp_path), EventBus()
    writer.attach(bus)
    bus.publish(sample_run.started())
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=900_000))
    *before, last = sample_run.images(BLOCK)
    for event in before:
        bus.publish(event)
    with pytest.raises(RecordError, match="only 1 MiB are free"):
        bus.publish(last)
    bus.publish(sample_run.finished(BLOCK, status="failed", verdict=None, cause="disk full"))
    assert writer.path is not None
    run = open_run(writer.path)
    assert (run.status, len(run.images["index"])) == ("failed", BLOCK)


def test_overlaps_go_to_the_file_and_are_not_kept(tmp_path: Path) -> None:
    """Of 500 images the recorder holds one block at most, and the first pictures; and out of order none is taken."""
    bus, made = EventBus(), recorder(tmp_path)
    made.attach(bus)
    bus.publish(sample_run.started(run=sample_run.CURIOUS, images=500))
    before = [found.array.size for found in arrays(made)]
    overlaps = np.random.default_rng(1).random(500)
    for image, overlap in enumerate(overlaps):
        bus.publish(DataRecovered(image, float(overlap), ((0.6,), (0.8,)) if image < 2 else None))
    kept = [found.array.size for found in arrays(made)]
    assert sum(kept) <= sum(before) + 4
    with pytest.raises(RecordError, match="recovery: image 7 came where image 500 was due"):
        bus.publish(DataRecovered(7, 0.1, None))
    ended = sample_run.finished(0, adversary=AdversaryResult(None, RecoveryResult(500, 0.5, 0.2, 0.7)))
    bus.publish(ended)
    assert made.path is not None
    run = open_run(made.path)
    assert run.overlaps is not None
    assert run.overlaps.tolist() == overlaps.tolist()
    with h5py.File(made.path) as file:
        assert file["recovery/overlaps"] == file["result/recovery/overlaps"]
        assert file["recovery/overlaps"].attrs["unit"] == "1"


def test_recovered_data_of_an_honest_server_are_refused(tmp_path: Path) -> None:
    bus, made = EventBus(), recorder(tmp_path)
    made.attach(bus)
    bus.publish(sample_run.started())
    with pytest.raises(RecordError, match="does not look for them"):
        bus.publish(DataRecovered(0, 0.1, None))
    made.close()


def test_an_image_out_of_order_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="image 1 came where image 0"):
        record(tmp_path, [sample_run.started(), sample_run.image(1)])


def test_odd_texts_survive(tmp_path: Path) -> None:
    snapshot = {"reply": "a\0b", "raw": "\udc80", "count": 2**70}
    run = open_run(record(tmp_path, [sample_run.started(snapshots={"laser": snapshot})]))
    assert run.started.snapshots["laser"] == {"reply": "a\\x00b", "raw": "\\udc80", "count": str(2**70)}


def test_an_image_costs_less_than_sixty_microseconds(tmp_path: Path) -> None:
    """Processor time of this process, best of five; the events are made before the clock starts."""
    count, best = 2000, float("inf")
    events = list(sample_run.images(count))
    for _ in range(5):
        bus = EventBus()
        writer = recorder(tmp_path)
        writer.attach(bus)
        bus.publish(sample_run.started())
        before = time.process_time()
        for event in events:
            bus.publish(event)
        best = min(best, (time.process_time() - before) / count)
        writer.close()
    assert best < 60e-6


def test_rechecks_have_a_table_where_the_run_asks_for_them(tmp_path: Path) -> None:
    looked = Rechecked(1, "bias-q", Interval(0.002, 0.001, 0.003), 0.0, 0.01, True, 5.0, 7.0)
    run = sample_run.RUN | {"recheck": {"bias_every_images": 1}}
    events = [sample_run.started(run=run), *list(sample_run.whole_run(3))[1:]]
    place = next(at for at, event in enumerate(events) if isinstance(event, ImageFinished)) + 1
    path = record(tmp_path, [*events[:place], looked, *events[place:]])
    found = open_run(path).rechecks
    assert found is not None
    assert {name: values.tolist() for name, values in found.items()} == {
        "image": [1],
        "what": [2],
        "value": [0.002],
        "low": [0.001],
        "high": [0.003],
        "expected": [0.0],
        "limit": [0.01],
        "switched": [1],
        "passed": [1],
        "time_s": [5.0],
        "clock_s": [7.0],
    }
    assert open_run(record(tmp_path, sample_run.whole_run(3))).rechecks is None
    with pytest.raises(RecordError, match="a re-check in a run that asked for none"):
        record(tmp_path, [sample_run.started(), looked])
