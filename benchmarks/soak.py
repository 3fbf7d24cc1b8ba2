"""The long runs that the tests only take in short form. Prints one JSON object a part, and keeps them with their date.

    python benchmarks/soak.py [headline|alarm|false-alarms|attacks|lenet|parsers|served|mutants|faults|
                               sigint|watchdog|unplug|kills|syscalls|disk-full|hour|blind|
                               mnist-calibrated|gui-kills ...]
                              [--data DIR] [--out FOLDER] [--processes 2]

headline      all 10,000 MNIST test images at G = 2, mu = 2 on the ideal bench: accuracy, noise, leakage, verdict
alarm         MNIST, G = 1.3 agreed and G' = 3 used: images until the alarm, 20 seeds (each must be within 200)
false-alarms  MNIST, honest at G = 1.3: 200 seeded runs of 100 images at a false-alarm rate of 5 %; the count must lie
              within the central 99.9 % of its binomial distribution
attacks       digits, G = 1.3 agreed, 200 images, on the benches ideal and telecom: every attack at the least strength
              that is caught (alarm with probability 0.999) and at a larger one, 40 seeds each. As many must have
              alarmed within the predicted half and 99.9 % of images as lie within the central 99.9 % of the binomial
              distribution. Of those that leave a lower T alone: I_w, what is charged of a budget (that which an
              honest run comes to at most; nothing may exceed it), and after how many images it ends the run
lenet         a convolutional network (6 and 16 filters of 5 x 5, 84 hidden, 10), trained first with the optics' noise
              at G = 2, mu = 0.5, over 30 MNIST images at mu = 0.2, where the noise costs some: each patch a shot of its
              own, 642 an image. Every product of every patch is held against the digital one of a second implementation
              (benchmarks/products.py): in each layer Σ z² must be within what chi-square does but once in 10^5. As many
              must be right as the exact shortcut of labctl.sampler says for the same images, within 4.5 standard
              deviations; the pooled excess noise must be as near to its honest value
parsers       a million random and mutated replies and commands (benchmarks/fuzz.py)
mutants       10,000 damaged run files, networks, data sets, calibrations, configurations and ledgers
              (benchmarks/hostile.py)
served        all 10,000 MNIST test images with the simulated lab served over TCP by another process: every number of
              every image must be that of the run in process
faults        every simulated fault in every role that it fits, from the beginning and after ten images: what happens
              must be what docs/reference/faults.md says, and no run may give other numbers without a word
sigint, watchdog, unplug
              whatever ends a run, the light goes off (benchmarks/safety.py)
kills, syscalls, disk-full
              400 runs whose programs are killed, one run killed before every call of the system that changes a file,
              and 30 runs on a disk that fills up (benchmarks/crash.py): nothing that was committed is lost
gui-kills     50 windows killed at random moments of a run (benchmarks/gui_kills.py): the file is complete, and what an
              undisturbed run gives
hour          an hour of MNIST runs with faults at random (benchmarks/hour.py): every run and image accounted for,
              memory and open files flat
blind         50 benches with hidden true values (benchmarks/blind.py), calibrated: of all 95 % intervals 90 to 99 %
              must hold the truth, and each quantity's as often as lies within the central 99.9 % of the binomial
              distribution; of the honest runs after it as many must raise the alarm as the rates say, and a greedy
              one must be caught on each
mnist-calibrated
              MNIST on such a bench, calibrated, and on the ideal one (benchmarks/accuracy_calibrated.py): all of the
              95 % interval of the accuracies' difference must be within 1 %
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import alarms
import numpy as np
import safety
from accuracy_calibrated import on_mnist
from blind import calibrate_blind, judge, trimmed
from lenet import lenet
from serve import served as served_lab
from whole_runs import mnist

from labctl import __version__
from labctl.engine import RunControl
from labctl.events import EventBus
from labctl.experiment import prepare_experiment
from labctl.record import open_run
from labctl.session import run_experiment
from labctl.summary import summary

BLIND_BENCHES = 50


def headline(data: str | None, processes: int) -> dict[str, Any]:
    """The paper's headline, through the drivers."""
    experiment = prepare_experiment(mnist(data))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        outcome = run_experiment(experiment, EventBus(), RunControl(), Path(folder))
        size = outcome.run_file.stat().st_size if outcome.run_file else 0
    if outcome.error is not None or outcome.started is None:
        raise outcome.error or RuntimeError("the run did not start")
    found = summary(outcome.finished, outcome.started, None)
    leakage = found["leakage"]
    passed = (
        found["accuracy"] >= 0.96 and leakage["weights_bits_per_mode"] < 0.1 and leakage["data_bits_v1"] < 0.01
    ) and found["verdict"] == "accepted"
    seconds = time.perf_counter() - start
    return {"passed": passed, "seconds": round(seconds, 1), "file_bytes": size, "summary": found}


def parsers(data: str | None, processes: int) -> dict[str, Any]:
    """A million cases of benchmarks/fuzz.py, in a process of its own for the sake of its memory."""
    return of_script("fuzz.py")


def mutants(data: str | None, processes: int) -> dict[str, Any]:
    """10,000 cases of benchmarks/hostile.py, in a process of its own, which must not break down."""
    return of_script("hostile.py")


def of_script(name: str, *words: str) -> dict[str, Any]:
    """The object that a script beside this one prints; a script that broke down did not pass."""
    script = Path(__file__).parent / name
    done = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True, check=False)
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"passed": False, "exit_status": done.returncode, "error": done.stderr[-2000:]}
    return found


def crash(part: str, data: str | None, processes: int) -> dict[str, Any]:
    """A part of benchmarks/crash.py, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return of_script("crash.py", part, "--out", folder)


def hour(data: str | None, processes: int) -> dict[str, Any]:
    """benchmarks/hour.py, in a process of its own, whose memory is looked at."""
    with tempfile.TemporaryDirectory() as folder:
        return of_script("hour.py", "--out", folder, *(["--data", data] if data else []))


def faults(data: str | None, processes: int) -> dict[str, Any]:
    """Every fault in every role that it fits: the outcomes are those of docs/reference/faults.md."""
    script = Path(__file__).parents[1] / "scripts" / "fault_table.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def served(data: str | None, processes: int) -> dict[str, Any]:
    """All of MNIST with the simulated lab in another process, over TCP, and again in this one: every number alike."""
    found: dict[str, Any] = {}
    arrays: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with served_lab(folder) as bench:
            for place, where in (("over_tcp", str(bench)), ("in_process", "ideal")):
                start = time.perf_counter()
                experiment = prepare_experiment(mnist(data, bench=where))
                outcome = run_experiment(experiment, EventBus(), RunControl(), folder / place)
                if outcome.error is not None or outcome.run_file is None:
                    raise outcome.error or RuntimeError("there is no run file")
                arrays.append(dict(open_run(outcome.run_file).images))
                images = outcome.finished.images
                found[place] = {
                    "images": images,
                    "accuracy": outcome.accuracy,
                    "verdict": outcome.verdict,
                    "images_per_s": images / (time.perf_counter() - start),
                }
    compared = [key for key in arrays[0] if "time" not in key]
    found["compared"] = compared
    found["passed"] = all(np.array_equal(arrays[0][key], arrays[1][key], equal_nan=True) for key in compared)
    return found


def blind_benches(data: str | None, processes: int) -> dict[str, Any]:
    """Calibrated blind, then run."""
    with ProcessPoolExecutor(processes) as pool:
        benches = list(pool.map(partial(calibrate_blind, runs=True), range(1, BLIND_BENCHES + 1)))
    return judge(benches) | {"each": [trimmed(bench) for bench in benches]}


def mnist_calibrated(data: str | None, processes: int) -> dict[str, Any]:
    """All of MNIST on a telecom bench just calibrated, and on the ideal one."""
    return on_mnist(data, 10_000, seed=1)


PARTS = {
    "headline": headline,
    **alarms.PARTS,
    "lenet": lenet,
    "parsers": parsers,
    "served": served,
    "mutants": mutants,
    "faults": faults,
    **safety.PARTS,
    "kills": partial(crash, "kills"),
    "syscalls": partial(crash, "syscalls"),
    "disk-full": partial(crash, "disk-full"),
    "hour": hour,
    "blind": blind_benches,
    "mnist-calibrated": mnist_calibrated,
    "gui-kills": lambda data, processes: of_script("gui_kills.py"),
}


def main() -> int:
    """Run the parts asked for; exit status 1 when one did not pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--data")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    passed = True
    for name in arguments.parts or PARTS:
        stamp = datetime.now(UTC)
        found = PARTS[name](arguments.data, arguments.processes)
        result = {"soak": name, "date": stamp.isoformat(timespec="seconds"), "labctl": __version__, **found}
        text = json.dumps(result, indent=2)
        sys.stdout.write(text + "\n")
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / f"soak-{name}-{stamp:%Y%m%dT%H%M%SZ}.json").write_text(text + "\n")
        passed = passed and bool(found["passed"])
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
