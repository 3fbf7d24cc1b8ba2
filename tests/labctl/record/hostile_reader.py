"""What HDF5 might do with a file that was made to harm, in the place of the reader."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path


def sleep(path: Path) -> None:
    time.sleep(600)


def spin(path: Path) -> None:
    while True:
        pass


def crash(path: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leave(path: Path) -> None:
    os._exit(3)


def bloat(path: Path) -> bytes:
    return bytes(2**33)


def write(path: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with tempfile.NamedTemporaryFile(dir=path.parent) as stream:
        stream.write(b"x" * 10_000)


def flood(path: Path) -> str:
    return "x" * 40_000_000


def something(path: Path) -> list[int]:
    return [1, 2, 3]


def unknown(path: Path) -> object:
    return lambda: None
