"""Run files of others, read in a process apart: a file that crashes, hangs or bloats HDF5 does it there.

One helper process is started at the first file and waits for further ones until this process ends; each file is read by
a child of it under limits (:mod:`labctl.record.apart_process`). What comes back are plain numbers and texts.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import labctl
from labctl import events, values
from labctl.errors import RecordError
from labctl.record import plain
from labctl.record.reader import Run

#: Largest file that is read.
MAX_FILE_BYTES: Final = 2**32
#: Time for a file: this long, and one second more for so many bytes.
SECONDS: Final = 3.0
BYTES_A_SECOND: Final = 50e6
#: Memory beside what the file's own bytes may take when they are read and copied.
SPARE_BYTES: Final = 2**28
COPIES: Final = 4
#: Time for the helper to load its libraries, on a machine that is busy with something else.
START_S: Final = 60.0
#: Modules are found where this process finds them, but not in the working directory.
PROGRAM: Final = (
    "import sys; sys.path[:] = sys.argv[2:]; from labctl.record.apart_process import serve; serve(int(sys.argv[1]))"
)
#: How much later than a child's own end this process loses patience with the helper.
GRACE_S: Final = 2.0
_REMEDY: Final = "Is this a run file of labctl, complete and unchanged?"

#: Types that may come back.
TYPES: Final[plain.Types] = {
    each.__name__: each
    for module in (events, values)
    for each in vars(module).values()
    if isinstance(each, type) and each.__module__ == module.__name__
} | {"Run": Run}


def open_run(path: Path) -> Run:
    """Read a run file. Raises RecordError when it is missing, damaged, something else, or takes too long to read."""
    return _run("open_run", Path(path))


def read_run(path: Path) -> Run:
    """The same, with what does not agree with its checksum told in the run's ``damage`` instead of refused."""
    return _run("read_run", Path(path))


def _run(task: str, path: Path) -> Run:
    found = _read(task, path)
    if not isinstance(found, Run):
        raise RecordError(f"{path}: cannot be read as a run", _REMEDY)
    return found


def _read(task: str, path: Path) -> Any:
    """What ``task`` makes of a file. Raises RecordError."""
    size = _size(path)
    seconds = SECONDS + size / BYTES_A_SECOND
    memory = SPARE_BYTES + COPIES * size
    request = {"task": task, "path": os.path.abspath(path), "seconds": seconds, "bytes": memory}
    data, status = _helper.ask(json.dumps(request).encode(), seconds + GRACE_S, memory)
    if status == -signal.SIGALRM:
        raise RecordError(f"{path}: reading it takes longer than {seconds:.1f} s, and was ended", _REMEDY)
    if status != 0:
        end = f"signal {-status}" if status < 0 else f"status {status}"
        raise RecordError(f"{path}: damaged so that the process that read it broke down ({end})", _REMEDY)
    try:
        found = plain.decode(data, TYPES)
    except ValueError as error:
        raise RecordError(f"{path}: cannot be read ({error})", _REMEDY) from None
    if isinstance(found, dict) and "error" in found:
        shown = str(found["error"]).replace(str(request["path"]), str(path))
        raise RecordError(shown, str(found["remedy"]) or _REMEDY)
    if isinstance(found, Run):
        object.__setattr__(found, "path", path)
    return found


def _size(path: Path) -> int:
    """Bytes of a plain file. Raises RecordError for others: opening a pipe or a device may wait for ever."""
    try:
        if not path.is_file():
            raise RecordError(f"{path}: no such file", "Check the path.")
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read ({error})", "Check the path.") from None
    if size > MAX_FILE_BYTES:
        raise RecordError(f"{path}: {size} bytes, more than the {MAX_FILE_BYTES} of the largest run file", _REMEDY)
    return size


class _Helper:
    """The helper process of this process; started when it is needed, and again after it was lost."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    def ask(self, request: bytes, seconds: float, most: int) -> tuple[bytearray, int]:
        """What a child of the helper wrote, at most ``most`` bytes, and its exit status; negative for a signal."""
        with self._lock:
            first = self._process is None or self._owner != os.getpid() or self._process.poll() is not None
            line = self._start() if first or self._line is None else self._line
            deadline = time.monotonic() + seconds + (START_S if first else 0.0)
            reader, writer = os.pipe()
            try:
                try:
                    socket.send_fds(line, [request], [writer])
                finally:
                    os.close(writer)
                data = _drained(reader, deadline, most)
                return data, _status(line, deadline)
            except (OSError, TimeoutError):
                self._end(patience_s=0.0)
                return bytearray(), -signal.SIGALRM if time.monotonic() > deadline else -signal.SIGKILL
            except BaseException:  # Ctrl-C: what this helper still says would be taken for the next file's
                self._end(patience_s=0.0)
                raise
            finally:
                os.close(reader)

    def _start(self) -> socket.socket:
        if self._owner == os.getpid():
            self._end(patience_s=0.0)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        place = str(Path(labctl.__file__).resolve().parents[1])
        paths = [place, *(each for each in sys.path if each and each != place)]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", PROGRAM, str(theirs.fileno()), *paths],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
        if self._owner == 0:
            atexit.register(self.close)
        self._line, self._owner = ours, os.getpid()
        return ours

    def close(self) -> None:
        """End the helper of this process; a further file starts another."""
        with self._lock:
            if self._owner == os.getpid():
                self._end(patience_s=1.0)

    def _end(self, patience_s: float) -> None:
        line, process, self._line, self._process = self._line, self._process, None, None
        if line is not None:
            line.close()
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience_s)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # of its own session: the helper, and a child that hangs
            process.wait()


def _drained(reader: int, deadline: float, most: int) -> bytearray:
    """All that comes until the other end is closed. Raises TimeoutError, or OSError for more than ``most`` bytes."""
    found = bytearray()
    while _ready(reader, deadline):
        piece = os.read(reader, 2**20)
        if not piece:
            return found
        found += piece
        if len(found) > most:
            raise OSError(f"more than {most} bytes")
    raise TimeoutError


def _status(line: socket.socket, deadline: float) -> int:
    text = b""
    while not text.endswith(b"\n"):
        if not _ready(line.fileno(), deadline):
            raise TimeoutError
        piece = line.recv(64)
        if not piece:
            raise ConnectionResetError
        text += piece
    return int(text)


def _ready(descriptor: int, deadline: float) -> bool:
    poll = select.poll()  # unlike select, for any number of open files
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(1000 * max(0.0, deadline - time.monotonic())))


_helper: Final = _Helper()
