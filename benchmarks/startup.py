"""How long the command takes to start: until its help is printed, and until the first image of the demo is done.

    python benchmarks/startup.py [--repeats 11] [--out FOLDER]

Wall time from the start of the process, and the processor time that it has spent till then, which is what the wall
shows where nobody else uses the machine. Limits: 0.3 s for the help, 2 s for the first image. ``modules`` are how many
each has imported, and those that take long and have no business there. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from keeping import RESULTS, keep, made_by
from throughput import spread

COMMAND = (sys.executable, "-m", "labctl.cli")
#: What stands in a line of the demo's progress once an image is done.
FIRST_IMAGE = "images/s"
#: Start -> its arguments, what ends it, and the limit in seconds.
STARTS: dict[str, tuple[tuple[str, ...], str, float]] = {
    "help": (("--help",), "", 0.3),
    "demo_first_image": (("demo", "--images", "3"), FIRST_IMAGE, 2.0),
}
#: Takes long to import, and is not needed for help.
HEAVY = ("numpy", "scipy", "h5py", "matplotlib", "sklearn", "pyvisa", "PyQt6", "numba")


def processor_s(pid: int) -> float:
    """Of a process so far, all its threads; (clock ticks: to 10 ms)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def started(arguments: tuple[str, ...], ends_with: str, folder: str) -> tuple[float, float]:
    """Wall and processor seconds until the line is there, or the process has ended."""
    start_s = time.monotonic()
    before = os.times()
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=folder
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if ends_with and ends_with in line:
                took = time.monotonic() - start_s, processor_s(process.pid)
                process.stderr.read()
                process.wait()
                return took
        process.wait()
        if ends_with or process.returncode:
            raise RuntimeError(f"labctl {' '.join(arguments)}: exit status {process.returncode}, no {ends_with!r}")
    after = os.times()
    wall_s = time.monotonic() - start_s
    return wall_s, sum(after[2:4]) - sum(before[2:4])


def imported(arguments: tuple[str, ...], folder: str) -> dict[str, Any]:
    """How many modules, and which of the heavy packages."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *COMMAND[1:], *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    names = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    return {"modules": len(names), "heavy": [name for name in HEAVY if name in names]}


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--data", help="not used; so that all benchmarks take the same")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in STARTS}
    with tempfile.TemporaryDirectory() as folder:
        modules = {name: imported(arguments, folder) for name, (arguments, _, _) in STARTS.items()}
        for _ in range(chosen.repeats):
            for name, (arguments, end, _) in STARTS.items():
                took[name].append(started(arguments, end, folder))
    result = {
        **made_by("startup"),
        "repeats": chosen.repeats,
        **{
            name: {
                "limit_s": STARTS[name][2],
                "wall_s": spread([wall for wall, _ in each]),
                "processor_s": spread([processor for _, processor in each]),
                **modules[name],
            }
            for name, each in took.items()
        },
    }
    keep(result, chosen.out)


if __name__ == "__main__":
    main()
