"""Kills programs that record a run, and fills their disk: nothing that was committed may be lost.

    python benchmarks/crash.py kills [--runs 400] [--seed 1]
    python benchmarks/crash.py syscalls [--every 1] [--images 70]
    python benchmarks/crash.py disk-full [--runs 30] [--seed 1]

kills      runs of the digits on the simulated bench are killed (SIGKILL) at random moments: the program that measures,
           the process that writes, or both at once. Every image that was handed over (where the writer lived) or could
           be read before the kill (where it was killed) must be in the file; the file opens, or labctl recovers it; and
           the run that is taken up again equals one that nobody interrupted, bit for bit
syscalls   one run is written again and again, and the writer is killed before its k-th call of the system that changes
           a file, for every k (x86-64 Linux: by ptrace, at the very call). The same must hold, and no call may undo
           what an earlier one had committed
disk-full  the runs write to a disk of 40 to 60 MB that another program fills to the last byte at a random moment; on
           some there is no space to begin with. The program must live to say so, with the light off and read back, and
           the file must have its end and everything that was committed

Prints one JSON object, and keeps it with its date.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from crash_syscalls import syscalls

from labctl import __version__
from labctl.engine import RunControl
from labctl.errors import LabctlError, RecordError
from labctl.events import EventBus, ImageFinished, LightOff
from labctl.experiment import Experiment, load_experiment
from labctl.record import Run, open_run
from labctl.record.compare import differences
from labctl.record.disk import PART
from labctl.record.rebuild import recover
from labctl.resume import load_resumption
from labctl.session import run_experiment

IMAGES = 100
#: Share of the runs that are killed in their first second, wherever they are then.
EARLY = 0.2
#: No process of a run takes longer to end.
LIMIT_S = 60.0


def forked(work: Callable[[], None]) -> int:
    """``work`` in a child, which has everything loaded already."""
    child = os.fork()
    if child:
        return child
    status = 1
    with suppress(BaseException):
        os.setsid()
        work()
        status = 0
    os._exit(status)


def ended(child: int) -> int:
    """Status of a child; negative: the signal that killed it."""
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def gone(process: int) -> None:
    """Wait until a process that is nobody's child has ended."""
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        state = Path(f"/proc/{process}/stat")
        with suppress(OSError):
            if state.read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.005)
                continue
        return
    raise RuntimeError(f"process {process} does not end")


def rows_of(path: Path) -> int:
    """Images in a file."""
    return len(open_run(path).images["index"])


class Kills:
    """One run after the other, each killed at another moment."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.experiment = load_experiment("digits", images=IMAGES)
        outcome = run_experiment(self.experiment, EventBus(), RunControl(), folder / "whole")
        assert outcome.run_file is not None
        self.whole = outcome.run_file
        self.found: Counter[str] = Counter()
        self.problems: list[str] = []

    def run(self, number: int) -> None:
        """Start, kill, look, and take up again."""
        folder = self.folder / str(number)
        reader, writer = os.pipe()

        def work() -> None:
            bus = EventBus()
            bus.subscribe(ImageFinished, lambda event: os.write(writer, b"."))
            # the recorder subscribes first only in run_experiment: what is counted may not be handed over yet
            run_experiment(self.experiment, bus, RunControl(), folder)

        child = forked(work)
        os.close(writer)
        victim = self.random.choice(("program", "program", "writer", "both"))
        counted = self.wait(reader)
        committed = self.kill(folder, child, victim)
        while some := os.read(reader, 65536):
            counted += len(some)
        os.close(reader)
        least = max(committed, counted - 1) if victim == "program" else committed
        self.found[f"killed: {victim}"] += 1
        self.look(folder, least, f"run {number}, {victim} killed")

    def wait(self, reader: int) -> int:
        """Some time, mostly until a random image is done, and a little longer; images counted until then."""
        counted = 0
        if self.random.random() < EARLY:
            time.sleep(self.random.uniform(0, 1.0))
            return 0
        until = self.random.randrange(IMAGES)
        while counted < until and (some := os.read(reader, until - counted)):
            counted += len(some)
        time.sleep(self.random.choice((0, self.random.uniform(0, 0.02))))
        return counted

    def kill(self, folder: Path, child: int, victim: str) -> int:
        """Returns the images that a reader saw before."""
        files = list(folder.glob("*.h5"))
        writer = self.writer_of(child)
        committed = 0
        if victim == "writer" and writer:
            os.kill(writer, signal.SIGSTOP)
            committed = rows_of(files[0]) if files else 0
            os.kill(writer, signal.SIGKILL)
        elif victim == "both" and writer:
            os.kill(child, signal.SIGSTOP)
            os.kill(writer, signal.SIGSTOP)
            committed = rows_of(files[0]) if files else 0
            os.kill(child, signal.SIGKILL)
            os.kill(writer, signal.SIGKILL)
        elif victim != "writer":
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        ended(child)
        if writer:
            gone(writer)
        return committed

    def writer_of(self, child: int) -> int:
        """The process that writes for ``child``; 0 when there is none."""
        text = Path(f"/proc/{child}/task/{child}/children").read_text() if Path(f"/proc/{child}").exists() else ""
        return int(text.split()[0]) if text.split() else 0

    def look(self, folder: Path, least: int, what: str) -> None:
        """The file, and what becomes of the run."""
        files = list(folder.glob("*.h5"))
        if not files:
            left = len(list(folder.glob(f"*{PART}"))) if folder.exists() else 0
            self.found["before there was a file" + (", a part of one left" if left else "")] += 1
            if least > 0:
                self.problems.append(f"{what}: {least} images and no file")
            return
        (path,) = files
        try:
            self.check(path, least, what)
        except (LabctlError, OSError) as error:
            self.problems.append(f"{what}: {type(error).__name__}: {error}")

    def check(self, path: Path, least: int, what: str) -> None:
        """Raises what the file raises."""
        run = open_run(path)
        rows = len(run.images["index"])
        self.found[f"file: {run.status}"] += 1
        self.found["images in files"] += rows
        if rows < least:
            self.problems.append(f"{what}: {least - rows} of {least} images lost")
        if run.status == "complete":
            resumed = False
        else:
            if run.status == "running" and self.random.random() < 0.5:
                recover(path)
                self.found["recovered"] += 1
            experiment, resumption = load_resumption(path)
            outcome = run_experiment(experiment, EventBus(), RunControl(), None, resumed=resumption)
            resumed = outcome.error is None
            if outcome.error is not None:
                self.problems.append(f"{what}: resumed: {outcome.error}")
        self.found["resumed"] += resumed
        if found := differences(self.whole, path):
            self.problems.append(f"{what}: differs from an uninterrupted run: {found[:3]}")
        else:
            self.found["equal to an uninterrupted run"] += 1
            for each in path.parent.iterdir():
                each.unlink()


def kills(arguments: argparse.Namespace) -> dict[str, Any]:
    """See the module."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        work = Kills(Path(folder), arguments.seed)
        until, number = time.monotonic() + arguments.seconds, 0
        while number < arguments.runs and time.monotonic() < until:
            work.run(number)
            number += 1
    found = dict(sorted(work.found.items()))
    return {"runs": number, "images_a_run": IMAGES, "found": found, "problems": work.problems}


def disk_full(arguments: argparse.Namespace) -> dict[str, Any]:
    """See the module. Needs the right to mount a tmpfs."""
    chance, problems, found = random.Random(arguments.seed), [], Counter[str]()
    experiment = load_experiment("digits", images=IMAGES)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        outcome = run_experiment(experiment, EventBus(), RunControl(), Path(folder) / "whole")
        assert outcome.run_file is not None
        whole = open_run(outcome.run_file)
        disk = Path(folder) / "disk"
        disk.mkdir()
        for number in range(arguments.runs):
            size, image = chance.randrange(40, 60), chance.randrange(-IMAGES // 5, IMAGES - 1)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m", "labctl-crash", str(disk)], check=True)
            try:
                said = fill_and_look(experiment, disk, image, whole)
            finally:
                subprocess.run(["umount", str(disk)], check=True)
            found["full before the run" if image < 0 else "full during the run"] += 1
            problems += [f"run {number}, full at image {image}: {each}" for each in said]
    return {"runs": arguments.runs, "images_a_run": IMAGES, "found": dict(found), "problems": problems}


def fill(disk: Path) -> None:
    """To the last byte."""
    with suppress(OSError), open(disk / "other", "ab", buffering=0) as file:
        while file.write(bytes(2**16)):
            pass
    with suppress(OSError), open(disk / "other", "ab", buffering=0) as file:
        while file.write(b"x"):
            pass


def fill_and_look(experiment: Experiment, disk: Path, image: int, whole: Run) -> list[str]:
    """One run; what is not as it must be."""
    bus, dark = EventBus(), []
    bus.subscribe(LightOff, lambda event: dark.append(event.dark))
    seen: list[int] = []

    def on_image(event: ImageFinished) -> None:
        if event.image == image:
            fill(disk)
            files = list(disk.glob("*.h5"))
            seen.append(rows_of(files[0]))

    bus.subscribe(ImageFinished, on_image)
    if image < 0:
        fill(disk)
    outcome = run_experiment(experiment, bus, RunControl(), disk)
    said = []
    # rows of the last block may find the disk full only at the end, which has its reserve
    if not isinstance(outcome.error, RecordError) and (outcome.error is not None or image < 0):
        said.append(f"ended with {outcome.error!r}")
    if dark != [True]:
        said.append(f"light off and read back: {dark}")
    if image < 0:
        return said + ([f"a file where there was no space: {outcome.run_file}"] if outcome.run_file else [])
    if outcome.run_file is None:
        return [*said, "no run file"]
    run = open_run(outcome.run_file)
    return [*said, *unlike(run, whole, max(seen, default=0), "failed" if outcome.error else "complete")]


def unlike(run: Run, whole: Run, least: int, status: str) -> list[str]:
    """What of a run file is not as it must be."""
    said = []
    rows = len(run.images["index"])
    if run.status != status:
        said.append(f"status {run.status}")
    if rows < least:
        said.append(f"{rows} images where {least} had been committed")
    for name, column in run.images.items():
        if column.tobytes() != whole.images[name][:rows].tobytes():
            said.append(f"column {name} differs")
    return said


PARTS = {"kills": kills, "syscalls": syscalls, "disk-full": disk_full}


def main() -> int:
    """Exit status 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--runs", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=86400.0, help="no further run begins after so many")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--images", type=int, default=70)
    parser.add_argument("--folder", type=Path, help="for the run files, in the place of the system's temporary one")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    arguments.runs = arguments.runs or {"kills": 400, "disk-full": 30}.get(arguments.part, 0)
    stamp, begun = datetime.now(UTC), time.perf_counter()
    found = PARTS[arguments.part](arguments)
    result = {
        "crash": arguments.part,
        "date": stamp.isoformat(timespec="seconds"),
        "labctl": __version__,
        "seconds": round(time.perf_counter() - begun, 1),
        **found,
        "passed": not found["problems"],
    }
    text = json.dumps(result, indent=2)
    sys.stdout.write(text + "\n")
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / f"crash-{arguments.part}-{stamp:%Y%m%dT%H%M%SZ}.json").write_text(text + "\n")
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
