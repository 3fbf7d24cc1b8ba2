"""An hour of runs with faults at random: everything accounted for, nothing that grows.

    python benchmarks/hour.py [--seconds 3600] [--run mnist] [--data DIR] [--most-images 400] [--seed 1] [--out FOLDER]

One run after the other on the simulated ideal bench, in one process, of a random number of images each. In six of ten
an instrument breaks at a random moment, in a random way that fits it. After each run:

* it ended as complete, aborted or failed, the latter two by a gate, an interlock or an instrument's error, with the
  cause in the file; an alarm of a run without a fault is a false one, of which there may be as many as its rate allows;
* the run file is whole by its checksums, and holds as many images as were told of, those that count and those in doubt;
* all who emit light have confirmed that they are dark, or the run says who has not, and that one is broken;
* memory, open files, threads and child processes are noted.

Memory passes where the median of the last tenth of the runs is at most GROWTH_BYTES above that of the second tenth;
open files, threads and processes where no run leaves more than an early one did. Prints one JSON object, and keeps it
with its date.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
from scipy.stats import binom

from labctl import __version__
from labctl.engine import RunControl
from labctl.errors import GateError, InstrumentError, InterlockError, UnsafeState
from labctl.events import EventBus, ImageFinished
from labctl.experiment import load_experiment
from labctl.record import Run, open_run
from labctl.session import Outcome, run_experiment
from labctl.shipped import bench_path
from sim_backends.faults import FAULTS, fault_named
from sim_backends.lab import Lab

FAULTY = 0.6
LEAST_IMAGES = 20
#: By the lab's clock: when the light comes on, roughly, and what an image takes; faults also strike before and after.
LIGHT_ON_S, IMAGE_S = 3.0, 0.02
GROWTH_BYTES = 16 * 2**20
#: The generator behind which there is a bias that may drift.
MODULATES = "server_awg"
#: What a broken instrument may end a run by.
ENDS = (GateError, InstrumentError, InterlockError, UnsafeState)
#: That honest runs raise more alarms than their rate allows, by chance.
CHANCE = 1e-3
#: Runs before which memory and descriptors may still grow: libraries load, caches fill.
WARM = 2


@dataclass
class Footprint:
    """What the process holds after a run."""

    memory_bytes: int
    files: int
    threads: int
    children: int

    @classmethod
    def now(cls) -> Footprint:
        """Of this process."""
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        tasks = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
        return cls(
            pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd")), threading.active_count(), len(tasks)
        )


@dataclass
class Tally:
    """What came of all runs so far."""

    runs: int = 0
    images: int = 0
    doubtful: int = 0
    honest_alarms: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    footprints: list[Footprint] = field(default_factory=list)


def pairs(lab: Lab) -> list[tuple[str, str]]:
    """Faults and the units that they fit."""
    return [
        (fault, name)
        for fault in FAULTS
        for name, unit in lab.units.items()
        if fault_named(fault).fits(unit) and (fault != "BIASDRIFT" or name == MODULATES)
    ]


def benches(folder: Path, rng: np.random.Generator, most_images: int) -> Iterator[tuple[Path, int, str, str]]:
    """Bench files without end, each with its number of images, and who breaks in which way ("" for nobody)."""
    ideal = bench_path("ideal").read_text(encoding="utf-8")
    known = pairs(Lab(bench_path("ideal")))
    path = folder / "hour.bench.toml"
    while True:
        images = int(rng.integers(LEAST_IMAGES, most_images + 1))
        fault, unit = known[int(rng.integers(len(known)))] if rng.random() < FAULTY else ("", "")
        at_s = rng.uniform(0.0, LIGHT_ON_S + 1.2 * IMAGE_S * images)
        entry = f'\n[[world.faults]]\nunit = "{unit}"\nfault = "{fault}"\nat = "{at_s:.4f} s"\n' if fault else ""
        path.write_text(ideal + entry, encoding="utf-8")
        yield path, images, fault, unit


def told_of(outcome: Outcome, finished: list[ImageFinished], unit: str) -> Iterator[str]:
    """What is not as it should be with a run that has ended."""
    end, error = outcome.finished, outcome.error
    if end.status not in ("complete", "aborted", "failed"):
        yield f"status {end.status!r}"
    if (end.status == "complete") != (error is None) and not outcome.lit:
        yield f"status {end.status} with the error {error!r}"
    if end.status != "complete" and not end.cause:
        yield "no cause"
    if set(outcome.lit) - {unit}:
        yield f"not confirmed dark: {', '.join(outcome.lit)}"
    if outcome.run_file is not None:
        yield from told_of_file(open_run(outcome.run_file), outcome, len(finished))
    elif finished:
        yield f"{len(finished)} images and no run file"


def told_of_file(run: Run, outcome: Outcome, finished: int) -> Iterator[str]:
    """The same of its file."""
    end = outcome.finished
    rows = len(run.images["index"])
    if not run.verified or run.damage:
        yield f"damage: {run.damage}"
    if run.status != end.status or run.finished != end:
        yield f"the file ends otherwise than the run: {run.status}"
    if rows != finished or rows != end.images + end.doubtful:
        yield f"{finished} images told of, {rows} in the file, {end.images} count and {end.doubtful} are in doubt"
    if int((~run.doubtful).sum()) != end.images:
        yield f"{end.images} images count, the file says otherwise"


def one_run(tally: Tally, case: tuple[Path, int, str, str], folder: Path, chosen: argparse.Namespace) -> None:
    """Run, check, count, and take the files away."""
    bench, images, fault, unit = case
    experiment = load_experiment(
        chosen.run, bench=str(bench), data=chosen.data, images=images, seed=tally.runs, anywhere=True
    )
    bus, finished = EventBus(), []
    bus.subscribe(ImageFinished, finished.append)
    outcome = run_experiment(experiment, bus, RunControl(), folder)
    end = outcome.finished
    what = f"run {tally.runs}, {images} images, {fault or 'no fault'} {unit}".rstrip()
    tally.bad += [f"{what}: {said}" for said in told_of(outcome, finished, unit)]
    if not fault:
        tally.honest_alarms += end.verdict == "alarm"
        if end.status != "complete":
            tally.bad.append(f"{what}: {end.status}: {end.cause}")
    elif outcome.error is not None and not isinstance(outcome.error, ENDS):
        tally.bad.append(f"{what}: {type(outcome.error).__name__}: {outcome.error}")
    tally.runs += 1
    tally.images += len(finished)
    tally.doubtful += end.doubtful
    tally.ends[f"{end.status}, {type(outcome.error).__name__ if outcome.error else end.verdict}"] += 1
    tally.faults[fault or "none"] += 1
    for each in folder.iterdir():
        each.unlink()
    tally.footprints.append(Footprint.now())


def grown(footprints: list[Footprint]) -> dict[str, Any]:
    """How memory, files, threads and children went; ``flat``: whether none of them grew."""
    warm = footprints[WARM:] or footprints
    tenth = max(1, len(footprints) // 10)
    first = statistics.median(each.memory_bytes for each in footprints[tenth : 2 * tenth] or footprints)
    last = statistics.median(each.memory_bytes for each in footprints[-tenth:])
    found = {
        "memory_second_tenth_mib": round(first / 2**20, 1),
        "memory_last_tenth_mib": round(last / 2**20, 1),
        "files": [warm[0].files, max(each.files for each in warm), warm[-1].files],
        "threads": [warm[0].threads, max(each.threads for each in warm), warm[-1].threads],
        "children": [warm[0].children, max(each.children for each in warm), warm[-1].children],
    }
    kept = all(max(found[name]) <= found[name][0] for name in ("files", "threads", "children"))
    return {**found, "flat": last - first <= GROWTH_BYTES and kept}


def hour(chosen: argparse.Namespace) -> dict[str, Any]:
    """Runs until the time is up, at least ``chosen.least_runs``."""
    rng = np.random.default_rng(chosen.seed)
    tally = Tally()
    start_s = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "runs"
        folder.mkdir()
        for case in benches(Path(name), rng, chosen.most_images):
            one_run(tally, case, folder, chosen)
            if time.monotonic() - start_s >= chosen.seconds and tally.runs >= chosen.least_runs:
                break
    footprint = grown(tally.footprints)
    rate = load_experiment(chosen.run, data=chosen.data, images=1).run.false_alarm_rate
    honest = tally.faults["none"]
    few = tally.honest_alarms <= binom.ppf(1 - CHANCE, honest, rate)
    return {
        "seconds": round(time.monotonic() - start_s, 1),
        "run": chosen.run,
        "seed": chosen.seed,
        "runs": tally.runs,
        "images": tally.images,
        "in_doubt": tally.doubtful,
        "ends": dict(tally.ends.most_common()),
        "faults": dict(sorted(tally.faults.items())),
        **footprint,
        "bad": tally.bad,
        "honest_alarms": [tally.honest_alarms, honest, rate],
        "passed": not tally.bad and footprint["flat"] and bool(few),
    }


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line, or ``words`` instead."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--least-runs", type=int, default=1)
    parser.add_argument("--run", default="mnist")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--most-images", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args(words)


def main() -> int:
    """Exit status 1 when something was not as it should be."""
    chosen = arguments()
    stamp = datetime.now(UTC)
    found = {"soak": "hour", "date": stamp.isoformat(timespec="seconds"), "labctl": __version__, **hour(chosen)}
    text = json.dumps(found, indent=2)
    sys.stdout.write(text + "\n")
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / f"soak-hour-{stamp:%Y%m%dT%H%M%SZ}.json").write_text(text + "\n", encoding="utf-8")
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
