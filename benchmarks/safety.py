"""Whatever ends a run, the light goes off: signals, kills and unplugged instruments at many moments of runs.

    python benchmarks/safety.py [sigint|watchdog|unplug ...] [--short] [--out FOLDER] [--processes 2]

sigint    SIGINT before each step of a run's plan and before every single message to an instrument, once and twice (the
          second time at the next message or while the light goes off), to a program without handlers, to a command that
          ends in order, and to one that ends at once. Each time every emitter must be off afterwards, with its
          read-back, and the run file must say "aborted".
watchdog  100 times SIGKILL to a run on the simulated lab over TCP, at a random moment with the light on: every emitter
          off within 3 s, seen from inside the lab. And 10 times SIGSTOP, with 2 s as the longest silence.
unplug    100 times each instrument is unplugged at a random message of a run, and 5 times over TCP at a random moment:
          the run must end by an error that names it, at most 1.2 times the deadline of one operation later, and all
          others must be off.

The lab is looked at from inside. Prints one JSON object a part, and keeps them with their date.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from lights import ServedLab, Strike, before_messages, lab_of, lit, served, until

from drivers.connection import DEFAULT_TIMEOUT_S
from labctl import __version__, locks
from labctl.cli.signals import stopping_at_once, stopping_in_order
from labctl.config import load_bench
from labctl.engine import RunControl
from labctl.errors import InstrumentError
from labctl.events import EventBus, LightOff, StateChanged
from labctl.experiment import Experiment, load_experiment
from labctl.plan import Plan
from labctl.record import open_run
from labctl.session import Outcome, run_experiment
from labctl.shipped import bench_path
from labctl.signals import Stopped
from sim_backends.lab import Lab

KILLS, STOPS, UNPLUGS, UNPLUGS_OVER_TCP = 100, 10, 100, 5
DARK_WITHIN_S = 3.0
#: The longest silence that a stopped run may keep.
SILENCE_S = 2.0
#: Of one operation's deadline, until the error.
SLACK = 1.2
# --- SIGINT ---------------------------------------------------------------------------------------


def interrupt() -> None:
    """As Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGINT)


def interrupt_twice() -> None:
    """As somebody impatient does."""
    interrupt()
    interrupt()


class StruckControl(RunControl):
    """Strikes before one step of the plan, from 0."""

    def __init__(self, step: int, strike: Strike) -> None:
        super().__init__()
        self._step, self._strike, self._steps = step, strike, itertools.count()

    def reached(self) -> None:
        """At one step."""
        if next(self._steps) == self._step:
            self._strike()


@contextlib.contextmanager
def _program(ask: Callable[[str], None]) -> Iterator[None]:
    with contextlib.suppress(KeyboardInterrupt):
        yield


@contextlib.contextmanager
def _command(ask: Callable[[str], None]) -> Iterator[None]:
    with stopping_in_order(ask):
        yield


@contextlib.contextmanager
def _at_once(ask: Callable[[str], None]) -> Iterator[None]:
    with contextlib.suppress(Stopped), stopping_at_once():
        yield


HANDLERS = {"program": _program, "command": _command, "at once": _at_once}


@dataclass
class Ending:
    """How an interrupted run ended. ``was_lit``: whether there was light when the signal came."""

    handler: str
    where: str
    still_lit: list[str]
    read_back: bool
    status: str | None
    was_lit: bool = False

    @property
    def good(self) -> bool:
        return not self.still_lit and self.read_back and self.status in (None, "aborted", "complete")


@dataclass
class Interrupted:
    """Runs on one bench that are interrupted."""

    experiment: Experiment
    lab: Lab
    endings: list[Ending] = field(default_factory=list)

    def run(self, handler: str, where: str, strikes: Mapping[int, Strike], step: Strike | None = None) -> None:
        """One run; ``strikes`` by the number of the message, or ``step`` by that of the step in ``where``."""
        bus, events = EventBus(), list[Any]()
        bus.subscribe(StateChanged, events.append)
        bus.subscribe(LightOff, events.append)
        number = int(where.split()[1]) if step is not None else -1
        lights: list[bool] = []
        control = StruckControl(number, _noting(step or interrupt, lights, self.lab))
        noted = {at: _noting(strike, lights, self.lab) for at, strike in strikes.items()}
        if "going off" in where:
            bus.subscribe(StateChanged, lambda event: interrupt() if event.state == "stopping" else None)
        with tempfile.TemporaryDirectory() as folder:
            with before_messages(noted), HANDLERS[handler](control.abort):
                run_experiment(self.experiment, bus, control, Path(folder))
            files = list(Path(folder).glob("*.h5"))
            status = open_run(files[0]).status if files else None
        offs = [event for event in events if isinstance(event, LightOff)]
        read_back = bool(offs) and all(event.dark for event in offs) if events else True
        self.endings.append(Ending(handler, where, lit(self.lab), read_back, status, any(lights)))

    def messages(self) -> int:
        """How many a whole run sends."""
        with before_messages({}) as said:
            run_experiment(self.experiment, EventBus(), RunControl(), None)
        return len(said)


def _noting(strike: Strike, lights: list[bool], lab: Lab) -> Strike:
    def noted() -> None:
        lights.append(bool(lit(lab)))
        strike()

    return noted


def interrupted_by(handler: str, stride: int) -> tuple[int, int, list[Ending]]:
    """Steps, messages, and how runs ended: SIGINT at every step and every ``stride``-th message, once and twice."""
    with lab_of(bench_path("ideal")) as lab:
        experiment = load_experiment("digits", images=1)
        runs = Interrupted(experiment, lab)
        steps, messages = len(Plan(1, len(experiment.network.weights))), runs.messages()
        for step in range(steps):
            runs.run(handler, f"step {step} once", {}, interrupt)
            runs.run(handler, f"step {step} twice", {}, interrupt_twice)
            runs.run(handler, f"step {step} and while the light is going off", {}, interrupt)
        for at in range(0, messages, stride):
            runs.run(handler, f"message {at}", {at: interrupt})
            runs.run(handler, f"messages {at} and {at + 1}", {at: interrupt, at + 1: interrupt})
            runs.run(handler, f"message {at} and while the light is going off", {at: interrupt})
    return steps, messages, runs.endings


def interrupted(stride: int, processes: int) -> dict[str, Any]:
    """For each way to handle the signal."""
    with ProcessPoolExecutor(processes) as pool:
        found = list(pool.map(interrupted_by, HANDLERS, itertools.repeat(stride)))
    endings = [ending for _, _, of_one in found for ending in of_one]
    bad = [vars(ending) for ending in endings if not ending.good]
    return {
        "passed": not bad,
        "runs": len(endings),
        "handlers": list(HANDLERS),
        "steps": found[0][0],
        "messages": found[0][1],
        "with_light_on": sum(ending.was_lit for ending in endings),
        "ended": Counter(ending.status or "before the run file" for ending in endings),
        "bad": bad[:20],
    }


# --- SIGKILL over TCP -----------------------------------------------------------------------------


def struck_down(there: ServedLab, folder: Path, number: int, delay_s: float) -> dict[str, Any]:
    """One run in a process of its own, hit by a signal ``delay_s`` after the light came on."""
    resources = [entry.resource for entry in load_bench(there.bench).instruments.values()]
    words = ["run", "digits", "--bench", str(there.bench), "--out", str(folder / "runs")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (folder / "said.txt").open("w") as said:
        child = subprocess.Popen(
            [sys.executable, "-m", "labctl.cli", *words], stderr=said, stdout=said, env=environment
        )
    try:
        until(lambda: len(lit(there.lab)) >= 7 or child.poll() is not None, "light")
        time.sleep(delay_s)
        ended, on = child.poll(), lit(there.lab)
        child.send_signal(number)
        seconds = until(lambda: not lit(there.lab), "the dark")
    finally:
        child.kill()
        child.wait()
    until(lambda: all(locks.holder(resource) is None for resource in resources), "free locks")
    until(lambda: "light off, read back, after" in (folder / "said.txt").read_text(), "the watchdog's word")
    return {"seconds": round(seconds, 3), "lit": len(on), "ended_before": ended is not None}


def killed(kills: int, stops: int, seed: int = 1) -> dict[str, Any]:
    """SIGKILLs, and SIGSTOPs, at random moments."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with served(folder) as there:
            hits = [struck_down(there, folder, signal.SIGKILL, rng.uniform(0, 2)) for _ in range(kills)]
        hung = []
        if stops:
            with served(folder, SILENCE_S) as there:
                hung = [struck_down(there, folder, signal.SIGSTOP, rng.uniform(0, 1)) for _ in range(stops)]
    allowed_s = SILENCE_S + locks.PATIENCE_S + DARK_WITHIN_S
    good = [not hit["ended_before"] and hit["lit"] >= 7 for hit in hits + hung]
    return {
        "passed": all(good)
        and all(hit["seconds"] <= DARK_WITHIN_S for hit in hits)
        and all(hit["seconds"] <= allowed_s for hit in hung),
        "kills": kills,
        "dark_within_s": DARK_WITHIN_S,
        "slowest_s": max((hit["seconds"] for hit in hits), default=None),
        "median_s": sorted(hit["seconds"] for hit in hits)[kills // 2] if hits else None,
        "stops": stops,
        "stopped_dark_within_s": allowed_s,
        "stopped_slowest_s": max((hit["seconds"] for hit in hung), default=None),
        "bad": [hit for hit, well in zip(hits + hung, good, strict=True) if not well][:20],
    }


# --- unplugged ------------------------------------------------------------------------------------


@dataclass
class Unplugged:
    """What came of it. ``after_s``: from the unplugging to the end of the plan. ``asked``: whether anything was said to
    the instrument afterwards; nobody can notice it otherwise.
    """

    instrument: str
    where: str
    error: str
    message: str
    after_s: float
    not_dark: list[str]
    asked: bool

    @property
    def good(self) -> bool:
        noticed = self.message.startswith(self.instrument) and self.after_s <= SLACK * DEFAULT_TIMEOUT_S
        return noticed >= self.asked and set(self.not_dark) <= {self.instrument}


def unplugged(experiment: Experiment, lab: Lab, name: str, at: int | None, delay_s: float = 0.0) -> Unplugged:
    """One run; ``name`` is unplugged before message ``at``, or by another thread ``delay_s`` after the first image."""
    times: dict[str, float] = {}
    before: list[int] = []
    readback: list[LightOff] = []

    def pull() -> None:
        times["pulled"], before[:] = time.monotonic(), [len(said)]
        lab.set_fault(name, "UNPLUG")

    timer = threading.Timer(delay_s, pull)

    def on_state(event: StateChanged) -> None:
        times[event.state] = time.monotonic()
        if event.state == "running" and at is None:
            timer.start()

    bus = EventBus()
    bus.subscribe(StateChanged, on_state)
    bus.subscribe(LightOff, readback.append)
    with before_messages({} if at is None else {at: pull}) as said:
        outcome = run_experiment(experiment, bus, RunControl(), None)
    if at is None:
        timer.cancel()
        timer.join()
    lab.clear_faults()
    message, after_s = _blamed(outcome, readback[-1], name), times["stopping"] - times.get("pulled", times["stopping"])
    where = f"{delay_s:.2f} s" if at is None else f"message {at}"
    asked = bool(before) and any(to == name for to, _ in said[before[0] :])
    return Unplugged(name, where, type(outcome.error).__name__, message, after_s, list(outcome.lit), asked)


def _blamed(outcome: Outcome, off: LightOff, name: str) -> str:
    """The message that should name the instrument: the error's, or in the safe state the read-back's."""
    if isinstance(outcome.error, InstrumentError):
        return str(outcome.error)
    return next((state.problem for state in off.readback if state.instrument == name), str(outcome.error))


def pulled(times: int, over_tcp: int, seed: int = 1, images: int = 4) -> dict[str, Any]:
    """Each instrument, ``times`` times in process and ``over_tcp`` times over TCP."""
    rng = random.Random(seed)
    found: list[Unplugged] = []
    with lab_of(bench_path("ideal")) as lab:
        experiment = load_experiment("digits", images=images)
        with before_messages({}) as said:
            run_experiment(experiment, EventBus(), RunControl(), None)
        first = next(number for number, (_, text) in enumerate(said) if text.startswith(":RES")) + 1  # plugs all in
        for name in lab.units:
            found += [unplugged(experiment, lab, name, rng.randrange(first, len(said))) for _ in range(times)]
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as there:
        longer = load_experiment("digits", bench=str(there.bench))
        for name in there.lab.units:
            found += [unplugged(longer, there.lab, name, None, rng.uniform(0, 1)) for _ in range(over_tcp)]
    bad = [vars(each) for each in found if not each.good]
    return {
        "passed": not bad,
        "instruments": len({each.instrument for each in found}),
        "unplugs": len(found),
        "noticed": sum(each.asked for each in found),
        "over_tcp": over_tcp * len({each.instrument for each in found}),
        "allowed_s": SLACK * DEFAULT_TIMEOUT_S,
        "slowest_s": round(max(each.after_s for each in found), 3),
        "errors": {kind: sum(each.error == kind for each in found) for kind in {each.error for each in found}},
        "bad": bad[:20],
    }


def sigint(data: str | None = None, processes: int = 1, short: bool = False) -> dict[str, Any]:
    """Every step and message, or every step and some messages."""
    return interrupted(149 if short else 1, processes)


def watchdog(data: str | None = None, processes: int = 1, short: bool = False) -> dict[str, Any]:
    """A hundred kills, or a few."""
    return killed(3, 1) if short else killed(KILLS, STOPS)


def unplug(data: str | None = None, processes: int = 1, short: bool = False) -> dict[str, Any]:
    """Each instrument a hundred times, or once."""
    return pulled(1, 0) if short else pulled(UNPLUGS, UNPLUGS_OVER_TCP)


PARTS = {"sigint": sigint, "watchdog": watchdog, "unplug": unplug}


def main() -> int:
    """Run the parts asked for; exit status 1 when one did not pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--short", action="store_true", help="as the tests run it, nothing is kept")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    passed = True
    for name in arguments.parts or PARTS:
        stamp = datetime.now(UTC)
        found = PARTS[name](None, arguments.processes, short=arguments.short)
        result = {"soak": name, "date": stamp.isoformat(timespec="seconds"), "labctl": __version__, **found}
        text = json.dumps(result, indent=2)
        sys.stdout.write(text + "\n")
        if not arguments.short:
            arguments.out.mkdir(parents=True, exist_ok=True)
            (arguments.out / f"soak-{name}-{stamp:%Y%m%dT%H%M%SZ}.json").write_text(text + "\n")
        passed = passed and bool(found["passed"])
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
