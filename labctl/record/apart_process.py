"""The process that reads foreign HDF5 files for another one (:mod:`labctl.record.apart` starts it and asks it).

It waits at a socket. Each request brings the writing end of a pipe, and is obeyed in a child of its own: under limits
of time, memory and open files, and without leave to write any file. HDF5's C code meets the file there and nowhere
else. The child writes what it read to the pipe, and its end is reported at the socket.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Final

from labctl.errors import RecordError
from labctl.record import plain

#: What can be asked for: functions of a path, by name.
TASKS: Final = {name: f"labctl.record.reader:{name}" for name in ("open_run", "read_run")}
#: Open files of a child: the pipe, the run file, and what libraries want.
FILES: Final = 32
#: Longest request, bytes.
REQUEST: Final = 2**16


def serve(descriptor: int) -> None:
    """Answer requests at the socket ``descriptor`` until its other end is closed."""
    for task in TASKS.values():
        resolve_name(task)  # loaded once, for all children
    with socket.socket(fileno=descriptor) as line:
        while True:
            text, descriptors, _, _ = socket.recv_fds(line, REQUEST, 1)
            if not text or not descriptors:
                return
            line.sendall(b"%d\n" % _obey(json.loads(text), descriptors[0], line))


def _obey(request: dict[str, Any], pipe: int, line: socket.socket) -> int:
    """In a child; its status as a parent is told it: negative for a signal."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            line.close()
            _limit(request["seconds"], request["bytes"])
            _answer(request, pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(pipe)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _limit(seconds: float, memory: int) -> None:
    """The kernel ends this process when it takes longer; beyond ``memory`` more bytes allocations fail."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    ceiling = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))


def _refusal(message: str, remedy: str = "") -> list[bytes]:
    return plain.encode({"error": message, "remedy": remedy})


def _answer(request: dict[str, Any], pipe: int) -> None:
    path = Path(request["path"])
    try:
        pieces = plain.encode(resolve_name(TASKS[request["task"]])(path))
    except RecordError as error:
        pieces = _refusal(error.message, error.remedy)
    except MemoryError:
        pieces = _refusal(f"{path}: reading it takes more memory than a file of its size can need")
    except Exception as error:  # noqa: BLE001 - whatever a damaged file leads to is told, not shown as a traceback
        pieces = _refusal(f"{path}: cannot be read ({type(error).__name__}: {error})")
    with os.fdopen(pipe, "wb") as stream:
        for piece in pieces:
            stream.write(piece)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
