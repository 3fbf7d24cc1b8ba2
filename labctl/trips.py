"""Interlocks that tripped, kept until a person re-arms the bench.

A trip is written down under every resource of its bench, so that no other bench file with one of these instruments
gets round it. An empty file is none. A bench that is simulated in process has a new world each time, and keeps none.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from labctl import locks
from labctl.config import BenchConfig
from labctl.errors import TripStands

#: Unlike the folder of the locks this one is still there when the computer was started again.
_LASTING: Final = Path("/var/tmp")
_LARGEST: Final = 10_000


@dataclass(frozen=True)
class Trip:
    """``bench``: its name; ``since``: seconds since 1970."""

    bench: str
    reason: str
    since: float
    program: str = ""

    def __str__(self) -> str:
        when = datetime.fromtimestamp(self.since, UTC).isoformat(timespec="seconds")
        return f"{self.reason} (bench {self.bench}, {when})"


def keep(bench: BenchConfig, reason: str, now_s: float) -> None:
    """Write down that an interlock of this bench tripped. Raises OSError when that is not possible."""
    if bench.in_process:
        return
    text = json.dumps(asdict(Trip(bench.name, reason[:2000], now_s, Path(sys.argv[0]).name)))
    for path in _paths(bench):
        _write(path, text.encode())


def standing(bench: BenchConfig) -> tuple[Trip, ...]:
    """Trips of any instrument of this bench that nobody has re-armed, each once."""
    if bench.in_process:
        return ()
    found = (_read(path) for path in _paths(bench))
    return tuple(dict.fromkeys(trip for trip in found if trip is not None))


def refuse_tripped(bench: BenchConfig) -> None:
    """Raises TripStands when somebody has to re-arm the bench first."""
    trips = standing(bench)
    if trips:
        raise TripStands(
            f"bench {bench.name}: an interlock tripped and was not re-armed: {'; '.join(map(str, trips))}",
            "Put the bench in order, then re-arm it with 'labctl bench rearm'.",
        )


def rearm(bench: BenchConfig) -> None:
    """A person says that the bench is in order: forget its trips. Raises OSError when that is not possible."""
    for path in _paths(bench):
        if path.exists():
            _write(path, b"")


def _paths(bench: BenchConfig) -> list[Path]:
    folder = locks.folder()
    if locks.FOLDER_VARIABLE not in os.environ and _LASTING.is_dir():
        folder = locks.shared_folder(_LASTING / "labctl-trips")
    return [folder / locks.path_of(each.resource).with_suffix(".trip").name for each in bench.instruments.values()]


def _write(path: Path, text: bytes) -> None:
    descriptor = locks.open_shared(path)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> Trip | None:
    """What stands there; what cannot be read is a trip all the same."""
    if not path.is_symlink() and not path.exists():
        return None
    text = b""
    with suppress(OSError, ValueError, KeyError, TypeError):
        with path.open("rb") as stream:
            text = stream.read(_LARGEST)
        if not text:
            return None
        found = json.loads(text)
        return Trip(str(found["bench"]), str(found["reason"]), float(found["since"]), str(found.get("program", "")))
    return Trip("?", f"{path} cannot be read", 0.0)
