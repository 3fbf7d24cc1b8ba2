"""Simulated labs whose light is looked at from inside while runs use them, and moments to strike at."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from drivers.connection import VisaConnection
from labctl import locks
from labctl.shipped import bench_path
from sim_backends.lab import Lab, open_lab
from sim_backends.server import LabServer
from sim_backends.state import AmplifierState, AttenuatorState, GeneratorState, LaserState

_LOOK_S = 0.002
_PATIENCE_S = 60.0

Strike = Callable[[], None]


def lit(lab: Lab) -> list[str]:
    """Names of the simulated instruments that emit light, or drive it."""
    return [name for name, unit in lab.units.items() if _emits(unit.state)]


def _emits(state: object) -> bool:
    match state:
        case LaserState():
            return state.emission and not state.shutter_closed
        case AmplifierState():
            return state.emission
        case AttenuatorState():
            return any(channel.shutter_open for channel in state.channels.values())
        case GeneratorState():
            return any(channel.output_on for channel in state.channels)
    return False


@contextlib.contextmanager
def before_messages(strikes: Mapping[int, Strike]) -> Iterator[list[tuple[str, str]]]:
    """Strike before messages to instruments, by their number from 0; yields all that were sent, and to whom."""
    said: list[tuple[str, str]] = []
    numbers, perform = itertools.count(), VisaConnection._perform

    def struck(line: VisaConnection, command: Any, *arguments: Any) -> Any:
        strike = strikes.get(next(numbers))
        if strike is not None:
            strike()
        said.append((line.name, str(command)[:40]))
        return perform(line, command, *arguments)

    with mock.patch.object(VisaConnection, "_perform", struck):
        yield said


@contextlib.contextmanager
def lab_of(bench: Path) -> Iterator[Lab]:
    """The lab that runs on this bench in this process use, kept to be looked at."""
    lab = open_lab(str(bench))
    try:
        yield lab
    finally:
        lab.clear_faults()
        lab.close()


@dataclass
class ServedLab:
    """A lab on TCP ports, and its bench file for others."""

    lab: Lab
    bench: Path


@contextlib.contextmanager
def served(folder: Path, watchdog_s: float = 120.0) -> Iterator[ServedLab]:
    """The ideal bench's lab, served by a thread of this process; locks are kept in ``folder``."""
    own, others = folder / "lab.bench.toml", folder / "served.bench.toml"
    text = bench_path("ideal").read_text(encoding="utf-8")
    own.write_text(text.replace('name = "ideal"', f'name = "ideal"\nwatchdog = "{watchdog_s:g} s"'), encoding="utf-8")
    with (
        lab_of(own) as lab,
        LabServer(own) as server,
        mock.patch.dict(os.environ, {locks.FOLDER_VARIABLE: str(folder / "locks")}),
    ):
        others.write_text(server.bench_toml(), encoding="utf-8")
        thread = threading.Thread(target=server.run, name="lab server")
        thread.start()
        try:
            yield ServedLab(lab, others)
        finally:
            server.stop()
            thread.join()


def until(condition: Callable[[], bool], what: str) -> float:
    """Seconds until ``condition`` holds."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > _PATIENCE_S:
            raise RuntimeError(f"{what} did not come about within {_PATIENCE_S:g} s")
        time.sleep(_LOOK_S)
    return time.monotonic() - start
