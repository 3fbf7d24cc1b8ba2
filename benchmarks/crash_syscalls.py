"""Kills a writer before its k-th call of the system that changes a file (see benchmarks/crash.py)."""

from __future__ import annotations

import argparse
import ctypes
import os
import platform
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from labctl.clock import SteppedClock
from labctl.errors import LabctlError
from labctl.events import (
    Event,
    EventBus,
    ImageFinished,
    Interval,
    LayerMeasured,
    Leakage,
    LightOff,
    NoiseCheck,
    RunFinished,
    RunStarted,
)
from labctl.record import open_run
from labctl.record.compare import differences
from labctl.record.disk import PART
from labctl.record.rebuild import recover
from labctl.record.writer import RunWriter
from labctl.values import SafeState

#: Numbers of x86-64: write, pwrite64, writev, fsync, truncate, ftruncate, rename, link, unlink, fallocate, renameat,
#: linkat, unlinkat, sendfile, copy_file_range, openat with its flags.
CHANGING = {1, 18, 20, 74, 76, 77, 82, 86, 87, 285, 264, 265, 263, 40, 326, 257}
_TRACEME, _GETREGS, _SYSCALL, _SETOPTIONS, _TRACESYSGOOD = 0, 12, 24, 0x4200, 1
_ORIG_RAX, _RAX = 15, 10
_ENOSYS = 2**64 - 38


def events(images: int) -> Iterator[Event]:
    """A run of two layers that never happened."""
    check = NoiseCheck(Interval(0.01, 0.0, 0.02), 0.01, 4736, Interval(1.0, 0.9, 1.1), Leakage(0.1, 0.1, 0.1, 0.1))
    yield RunStarted("sample", {}, {}, True, 7, images, ((64, 64), (10, 64)), 10, 0.97, {}, {}, "labctl")
    for image in range(images):
        for layer in (0, 1):
            yield LayerMeasured(image, layer, 4096, 1.0 + image, 2.0 + layer, 3.0, 0.01, 1.0)
        scores = tuple(float(image + each) for each in range(10))
        accuracy = Interval(1.0, 0.5, 1.0)
        yield ImageFinished(
            image, image, 1, 1, scores, image + 1, accuracy, check, (check,), 0.1, 4.0, float(image), float(image)
        )
    yield LightOff((SafeState("laser", True, {"emission": False}, ""),))
    yield RunFinished("complete", "accepted", "", images, Interval(1.0, 0.5, 1.0), check, (check,))


def write(folder: Path, images: int, writer: RunWriter | None = None, first: int = 0) -> Path:
    """The whole run, or from an image on; flushes and syncs of the disk fall between."""
    clock, bus = SteppedClock(), EventBus()
    made = writer or RunWriter(folder, "sample", 7, wall_time=lambda: 1.77e9, clock=clock)
    made.attach(bus)
    for event in events(images):
        if getattr(event, "image", first) >= first:
            bus.publish(event)
        if isinstance(event, ImageFinished):
            clock.wait(0.1)
    made.close()
    assert made.path is not None
    return made.path


class Traced:
    """A child under ptrace, stopped at every call of the system."""

    def __init__(self, folder: Path, images: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.ptrace.restype = ctypes.c_long
        self._libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.child = os.fork()
        if not self.child:
            try:
                self._libc.ptrace(_TRACEME, 0, None, None)
                os.kill(os.getpid(), signal.SIGSTOP)
                write(folder, images)
                os._exit(0)
            finally:
                os._exit(1)
        os.waitpid(self.child, 0)
        self._libc.ptrace(_SETOPTIONS, self.child, None, ctypes.c_void_p(_TRACESYSGOOD))

    def to_call(self, number: int) -> int:
        """Kill it at the ``number``-th call that changes a file; the number of its calls if it ended before."""
        made, registers = 0, (ctypes.c_ulonglong * 27)()
        while True:
            self._libc.ptrace(_SYSCALL, self.child, None, None)
            _, status = os.waitpid(self.child, 0)
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                if os.waitstatus_to_exitcode(status) != 0:
                    raise RuntimeError(f"the writer ended with {os.waitstatus_to_exitcode(status)}")
                return made
            if os.WSTOPSIG(status) != signal.SIGTRAP | 0x80:
                continue
            self._libc.ptrace(_GETREGS, self.child, None, registers)
            if registers[_RAX] != _ENOSYS or registers[_ORIG_RAX] not in CHANGING:
                continue  # leaving a call, or one that changes nothing
            made += 1
            if made == number:
                os.kill(self.child, signal.SIGKILL)
                os.waitpid(self.child, 0)
                return -1


def syscalls(arguments: argparse.Namespace) -> dict[str, Any]:
    """Every k-th of them."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return {"skipped": "needs Linux on x86-64", "problems": []}
    found: Counter[str] = Counter()
    problems: list[str] = []
    before = call = 0
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        whole = write(Path(name) / "whole", arguments.images)
        while True:
            call += arguments.every
            folder = Path(name) / str(call)
            made = Traced(folder, arguments.images).to_call(call)
            try:
                rows = look(folder, whole, arguments.images, found)
            except (LabctlError, OSError) as error:
                problems.append(f"call {call}: {type(error).__name__}: {error}")
                rows = before
            if rows < before:
                problems.append(f"call {call}: {rows} images, {before} were there before call {call - arguments.every}")
            before = rows
            if made >= 0:
                found["calls of the whole run"] = made
                break
    if not (found["calls of the whole run"] > 50 and before == arguments.images):
        problems.append(f"{found['calls of the whole run']} calls, {before} images at the end")
    return {"images": arguments.images, "every": arguments.every, "found": dict(found), "problems": problems}


def look(folder: Path, whole: Path, images: int, found: Counter[str]) -> int:
    """Images in the file that was left; raises LabctlError unless it is a prefix of the whole run, and can go on."""
    files = list(folder.glob("*.h5")) if folder.exists() else []
    if not files:
        found["before there was a file"] += 1
        return 0
    (path,) = files
    run = open_run(path)
    rows = len(run.images["index"])
    found[f"file: {run.status}"] += 1
    if run.status == "running":
        recover(path)
        run = open_run(path)
        found["recovered"] += 1
        if len(run.images["index"]) != rows:
            raise LabctlError(f"recovered {len(run.images['index'])} of {rows} images")
        write(folder, images, RunWriter(folder, "sample", 7, resumed=(replace(run), rows)), rows)
        found["resumed"] += 1
    if unlike := differences(whole, path):
        raise LabctlError(f"differs from the whole run: {unlike[:3]}")
    if left := list(folder.glob(f"*{PART}")):
        found["parts left"] += len(left)
    return rows
