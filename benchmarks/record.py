"""What crash-safe writing costs beside raw chunked HDF5, and whether the file can be read live meanwhile.

    python benchmarks/record.py [--images 20000] [--rates 1000,2000,5000] [--out FOLDER]

Records are images with two layers, as a run of digits has them: 35 numbers. Raw: this process appends the same numbers
to the same datasets in chunks of 256 rows with h5py, and does nothing else. Crash-safe: the events are handed to a
recorder, whose process gathers, computes checksums, commits, and puts the file onto the disk every five seconds.

rates      records are offered at these rates; ratio: records that were taken a second, the end included, over those
           that raw writing takes at the same offer
unlimited  as fast as they are taken
engine     processor time of this process for one image: handing it over, and raw writing
live       a third process looks at the growing file 30 times a second, reads what is new, and checks its checksums

Prints one JSON object, and keeps it with its date.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import h5py
import numpy as np
from crash_syscalls import events

from labctl import __version__
from labctl.events import Event, EventBus, ImageFinished, LayerMeasured
from labctl.record import RunRecorder, open_run, schema

CHUNK = 256
LIVE_HZ = 30.0
LIVE_READER = """
import sys, time
from pathlib import Path
from labctl.record.live import LiveRun
path, hz = Path(sys.argv[1]), float(sys.argv[2])
reads = rows = late = 0
with LiveRun(path) as run:
    print("ready", flush=True)
    due = time.monotonic()
    while True:
        news = run.update()
        index = news.images["index"].tolist()
        assert index == list(range(rows, rows + len(index))), index
        reads, rows = reads + 1, rows + len(index)
        if news.ended:
            break
        due += 1 / hz
        time.sleep(max(0.0, due - time.monotonic()))
        late += time.monotonic() > due + 0.5 / hz
print(reads, rows, late)
"""


class Raw:
    """The plainest way: columns that grow by chunks."""

    def __init__(self, path: Path) -> None:
        self.file = h5py.File(path, "w", libver="latest")
        tables = {
            "images": schema.image_columns(10),
            "layers/0": schema.LAYER_COLUMNS,
            "layers/1": schema.LAYER_COLUMNS,
        }
        self.tables = {name: Columns(self.file.create_group(name), columns) for name, columns in tables.items()}

    def take(self, event: Event) -> None:
        """One row."""
        if isinstance(event, LayerMeasured):
            self.tables[f"layers/{event.layer}"].add(schema.layer_row(event))
        elif isinstance(event, ImageFinished):
            self.tables["images"].add(schema.image_row(event))

    def close(self) -> None:
        """With everything in the file."""
        for table in self.tables.values():
            table.write()
        self.file.close()


class Columns:
    """Rows of one table."""

    def __init__(self, group: h5py.Group, columns: Sequence[schema.Column]) -> None:
        self.columns = columns
        self.rows: list[Sequence[float]] = []
        self.written = 0
        self.sets = [
            group.create_dataset(
                each.name,
                shape=(0, each.numbers),
                maxshape=(None, each.numbers),
                chunks=(CHUNK, each.numbers),
                dtype=each.kind,
            )
            for each in columns
        ]

    def add(self, row: Sequence[float]) -> None:
        """A full chunk is written."""
        self.rows.append(row)
        if len(self.rows) == CHUNK:
            self.write()

    def write(self) -> None:
        """What was gathered."""
        if not self.rows:
            return
        block, at = np.array(self.rows), 0
        end = self.written + len(block)
        for column, dataset in zip(self.columns, self.sets, strict=True):
            dataset.resize((end, column.numbers))
            dataset[self.written : end] = block[:, at : at + column.numbers]
            at += column.numbers
        self.written, self.rows = end, []


def paced(stream: Sequence[Event], rate: float | None) -> Iterator[Event]:
    """Images at so many a second, in bursts of a hundredth of a second."""
    begun, images = time.perf_counter(), 0
    for event in stream:
        yield event
        if isinstance(event, ImageFinished):
            images += 1
            if rate is not None and images % max(1, round(rate / 100)) == 0:
                time.sleep(max(0.0, begun + images / rate - time.perf_counter()))


def raw(folder: Path, stream: Sequence[Event], rate: float | None) -> dict[str, float]:
    """Seconds of the clock and of the processor."""
    begun, used = time.perf_counter(), time.process_time()
    writer = Raw(folder / "raw.h5")
    for event in paced(stream, rate):
        writer.take(event)
    writer.close()
    return {"seconds": time.perf_counter() - begun, "processor_s": time.process_time() - used}


def crash_safe(folder: Path, stream: Sequence[Event], rate: float | None, *, live: bool = False) -> dict[str, float]:
    """The same; the start of the writer's process is not counted."""
    recorder, bus = RunRecorder(folder, "record", 1), EventBus()
    recorder.attach(bus)
    bus.publish(stream[0])
    assert recorder.path is not None
    reader = None
    if live:
        words = [sys.executable, "-c", LIVE_READER, str(recorder.path), str(LIVE_HZ)]
        reader = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert reader.stdout is not None
        reader.stdout.readline()
    begun, used = time.perf_counter(), time.process_time()
    for event in paced(stream[1:], rate):
        bus.publish(event)
    found = {"seconds": time.perf_counter() - begun, "processor_s": time.process_time() - used}
    recorder.close()
    if reader is not None:
        said, _ = reader.communicate()
        reads, rows, late = map(int, said.split())
        found |= {"reads": reads, "reads_a_second": reads / found["seconds"], "rows_seen": rows, "late_reads": late}
    assert len(open_run(recorder.path).images["index"]) == stream[0].images  # type: ignore[union-attr]
    return found


def compare(stream: Sequence[Event], rate: float | None, repeats: int) -> dict[str, Any]:
    """The best of each, one after the other."""
    images = stream[0].images  # type: ignore[union-attr]
    best: dict[str, list[float]] = {"raw": [], "crash_safe": []}
    used: dict[str, list[float]] = {"raw": [], "crash_safe": []}
    for _ in range(repeats):
        for name, write in (("raw", raw), ("crash_safe", crash_safe)):
            with tempfile.TemporaryDirectory() as folder:
                found = write(Path(folder), stream, rate)
            best[name].append(images / found["seconds"])
            used[name].append(found["processor_s"] / images)
    rates = {name: max(values) for name, values in best.items()}
    return {
        "offered_per_s": rate,
        **{f"{name}_per_s": round(value, 1) for name, value in rates.items()},
        "ratio": round(rates["crash_safe"] / rates["raw"], 4),
        **{f"{name}_processor_us": round(min(values) * 1e6, 2) for name, values in used.items()},
    }


def main() -> int:
    """Exit status 1 where the ratio at a rate is below 0.9, or a live reader failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rates", default="1000,2000,5000")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--live-seconds", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    stream = list(events(arguments.images))
    offered = [float(each) for each in arguments.rates.split(",")]
    rates = [compare(stream, rate, 1) for rate in offered]
    unlimited = compare(stream, None, arguments.repeats)
    with tempfile.TemporaryDirectory() as folder:
        short = list(events(round(1000 * arguments.live_seconds)))
        live = crash_safe(Path(folder), short, 1000.0, live=True)
    result = {
        "benchmark": "record",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "labctl": __version__,
        "images": arguments.images,
        "rates": rates,
        "unlimited": unlimited,
        "live_at_1000_per_s": {name: round(value, 3) for name, value in live.items()},
        "passed": all(each["ratio"] >= 0.9 for each in rates),
    }
    text = json.dumps(result, indent=2)
    sys.stdout.write(text + "\n")
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / f"record-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json").write_text(text + "\n")
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
