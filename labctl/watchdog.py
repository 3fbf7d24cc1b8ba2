"""A process beside the engine that switches the light off when the engine is killed or hangs.

It is started with a run, in a session of its own, so that neither Ctrl-C nor the end of a terminal reaches it. Drivers
are imported and the VISA library is opened ahead; no instrument is touched. Then it listens: every step of the plan is
a sign of life, given by the engine's own thread. When the engine's end of the pipe is closed, which the kernel does
however the engine ended, or when no sign came for the time that the bench file allows, the watchdog ends what is left
of the engine, takes the instruments over, puts them into the safe state and reads back. It goes on trying for as long
as an emitter has not confirmed.

A bench that is simulated inside the engine's process needs none: its light ends with the process.

:class:`Watchdog` is the engine's end; ``python -m labctl.watchdog`` the process.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from labctl import extensions, locks
from labctl.bench import open_library
from labctl.clock import Clock, SystemClock
from labctl.config import BenchConfig
from labctl.errors import LabctlError, WatchdogError
from labctl.interfaces import InstrumentLibrary
from labctl.safety import BY_HAND
from labctl.signals import ENDING
from labctl.upkeep import darken
from labctl.values import SafeState

#: How long the process may take until it is at its post.
START_S = 30.0
#: How often it looks whether its owner is still there, where the pipe does not tell.
LOOK_S = 0.25
#: How long the instruments' locks may still be held by what is left of the owner.
LOCKS_S = 1.0
#: How often, and at which interval, the safe state is tried when an emitter does not confirm.
TRIES, AGAIN_S = 60, 5.0

_BEAT, _READY, _BESIDE = b"\n", b"ready\n", b"beside "
_REMEDY = "Nobody would switch the light off if this program died. Start the run again."


@dataclass(frozen=True)
class Job:
    """What the process is told first. ``owner``: process id of the engine; ``program``: how it was called."""

    owner: int
    program: str
    bench_path: Path
    bench: BenchConfig


class Watchdog:
    """The engine's end: starts the process, gives signs of life, and ends it when the light is off."""

    def __init__(self, bench_path: Path, bench: BenchConfig) -> None:
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "labctl.watchdog"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": paths},
            )
        except OSError as error:
            raise WatchdogError(f"the watchdog cannot be started: {error}", _REMEDY) from error
        self._ready = False
        job = Job(os.getpid(), locks.program_name(sys.argv), bench_path.resolve(), bench)
        try:
            pickle.dump(job, _end(self._process.stdin))
            _end(self._process.stdin).flush()
        except OSError as error:
            self.dismiss()
            raise self._lost() from error
        os.set_blocking(_end(self._process.stdin).fileno(), False)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def ready(self) -> None:
        """Return when the process is at its post; light may be switched on then. Raises WatchdogError."""
        if self._ready:
            return
        end = _end(self._process.stdout)
        listening, _, _ = select.select([end], [], [], START_S)
        if not listening or os.read(end.fileno(), len(_READY)) != _READY:
            raise self._lost()
        self._ready = True

    def beat(self) -> None:
        """The engine is well. Raises WatchdogError when the process is gone, or no longer reads."""
        self._send(_BEAT)

    def beside(self, run_file: Path) -> None:
        """Where the run is recorded: what the process does is written to a file beside it. Raises WatchdogError."""
        self._send(_BESIDE + os.fsencode(run_file.resolve()) + _BEAT)

    def dismiss(self) -> None:
        """The light is off: nobody need watch any longer. Safe to call twice."""
        self._process.kill()
        self._process.wait()
        for end in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                _end(end).close()

    def _send(self, message: bytes) -> None:
        try:
            os.write(_end(self._process.stdin).fileno(), message)
        except (OSError, ValueError) as error:  # gone, dismissed, or with a pipe full of what it did not read
            raise self._lost() from error

    def _lost(self) -> WatchdogError:
        status = self._process.poll()
        told = "does not answer" if status is None else f"has ended (status {status})"
        return WatchdogError(f"the watchdog (process {self.pid}) {told}", _REMEDY)


def _end(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


@dataclass
class Listener:
    """What the process has heard. ``patience_s``: the longest silence; ``run_file``: where the run is recorded."""

    patience_s: float
    clock: Clock
    run_file: Path | None = None
    _heard_s: float = field(init=False)
    _rest: bytes = b""

    def __post_init__(self) -> None:
        self._heard_s = self.clock.now()

    def hear(self, data: bytes) -> None:
        """Some bytes from the pipe."""
        self._heard_s = self.clock.now()
        *lines, self._rest = (self._rest + data).split(_BEAT)
        for line in lines:
            if line.startswith(_BESIDE):
                self.run_file = Path(os.fsdecode(line.removeprefix(_BESIDE)))

    def left_s(self) -> float:
        """Until the owner counts as hung."""
        return self.patience_s - (self.clock.now() - self._heard_s)


class Report:
    """What the watchdog does, on standard error and in a file beside the run file: ``<run file>.watchdog.log``."""

    def __init__(self, run_file: Path | None) -> None:
        self._path = None if run_file is None else run_file.with_suffix(".watchdog.log")

    def say(self, text: str) -> None:
        """A line; a terminal or a disk that is gone keeps the light on no longer."""
        with suppress(OSError):
            os.write(2, f"labctl watchdog: {text}\n".encode())
        if self._path is not None:
            with suppress(OSError), self._path.open("a", encoding="utf-8") as file:
                file.write(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}\n")


def main() -> int:
    """The process: listen, and act when there is need to. Exit status 0: every emitter confirmed that it is off."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    try:
        job = pickle.load(sys.stdin.buffer)  # from the program that started this one
    except EOFError:
        return 0  # it ended before it had said anything, and before it had touched any instrument
    try:
        library = _import_ahead(job)
    except LabctlError:
        return 1  # the engine finds the same, and says so
    with suppress(OSError):
        os.write(1, _READY)
    listener = Listener(job.bench.watchdog, SystemClock())
    gone = listen(listener, lambda: os.getppid() != job.owner)
    report = Report(listener.run_file)
    if gone:
        report.say(f"{job.program} (process {job.owner}) has ended without a word: the light goes off")
    else:
        report.say(f"no sign of life from {job.program} for {job.bench.watchdog:g} s: it is ended, the light goes off")
        owner = locks.Owner(job.owner, job.program, 0.0)
        report.say(locks.end(owner, lambda: os.getppid() != job.owner))
    return 0 if take_over(job, library, report, SystemClock()) else 1


def _import_ahead(job: Job) -> InstrumentLibrary:
    """What takes time, before there is any hurry."""
    for entry in job.bench.instruments.values():
        with suppress(Exception):  # the engine finds the same, and says so
            extensions.load(entry.driver, extensions.DRIVERS)
    return open_library(job.bench, job.bench_path)


def listen(listener: Listener, gone: Callable[[], bool], pipe: int = 0) -> bool:
    """Until there is need to act. True: the owner is gone; False: it hangs."""
    while True:
        left_s = listener.left_s()
        if left_s <= 0:
            return False
        readable, _, _ = select.select([pipe], [], [], min(LOOK_S, left_s))
        if readable:
            data = os.read(pipe, 1 << 16)
            if not data:
                return True
            listener.hear(data)
        if gone():
            return True


def take_over(job: Job, library: InstrumentLibrary, report: Report, clock: Clock) -> bool:
    """Everything dark, again and again until it is confirmed; whether it was."""
    begun_s = clock.now()
    for attempt in range(TRIES):
        try:
            if attempt:
                clock.wait(AGAIN_S)
                library = open_library(job.bench, job.bench_path)
            left, lit = _try(job, library, report, clock)
        except LabctlError as error:
            report.say(f"WARNING: {error}")
            continue
        if not lit:
            what = f"all but {', '.join(left)} is off" if left else "light off"
            report.say(f"{what}, read back, after {clock.now() - begun_s:.2f} s")
            return True
        report.say(f"WARNING: {', '.join(lit)}: no confirmation that the light is off. {BY_HAND}")
    report.say(f"WARNING: given up after {clock.now() - begun_s:.0f} s. {BY_HAND}")
    return False


def _try(job: Job, library: InstrumentLibrary, report: Report, clock: Clock) -> tuple[list[str], list[str]]:
    """Who was left to another program, and who has not confirmed that it is dark."""
    leave = _in_other_hands(job, clock)
    for name, owner in leave.items():
        report.say(f"{name}: {owner} has it now, it is left to that program")
    states = darken(job.bench, library, leave)
    for state in states:
        report.say(_told(state))
    return list(leave), [state.instrument for state in states if not state.dark]


def _told(state: SafeState) -> str:
    readings = ", ".join(f"{key} {value}" for key, value in state.readings.items())
    return f"{state.instrument}: {'dark' if state.dark else 'NOT CONFIRMED DARK'} ({state.problem or readings})"


def _in_other_hands(job: Job, clock: Clock) -> dict[str, locks.Owner]:
    """Instruments that another living program has by now; the owner's are given some time to become free."""
    end = clock.now() + LOCKS_S
    while True:
        found = {name: locks.holder(entry.resource) for name, entry in job.bench.instruments.items()}
        others = {name: owner for name, owner in found.items() if owner is not None and owner.pid != job.owner}
        if not any(found.values()) or clock.now() >= end:
            return {name: owner for name, owner in others.items() if locks.lives(owner)}
        clock.wait(LOCKS_S / 20)


if __name__ == "__main__":
    sys.exit(main())
