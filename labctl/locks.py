"""One program at a time on an instrument, and who it is that holds it.

A lock is a file of its own per VISA resource, held with ``flock``: the kernel gives it back when its owner ends,
however that happens. It keeps programs of this computer apart, of all its users; nothing keeps another computer away
from an instrument on the network.

A bench that is simulated in process needs no lock, since every program has a world of its own. Such programs only put
down that they are there, so that ``labctl bench safe`` can end them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from labctl.clock import Clock, SystemClock
from labctl.errors import InstrumentBusy

#: Names another folder for the locks: only programs that use the same one keep out of each other's way.
FOLDER_VARIABLE: Final = "LABCTL_LOCKS"
#: How long an owner may take to go dark and let go after he was asked, and then to be gone.
PATIENCE_S: Final = 1.0
_POLL_S: Final = 0.02
_ATTEMPTS: Final = 3
_PROGRAM_LENGTH: Final = 100
_SHARED_FOLDER: Final = 0o1777
_SHARED_FILE: Final = 0o666


@dataclass(frozen=True)
class Owner:
    """A program that holds something. ``since``: seconds since 1970."""

    pid: int
    program: str
    since: float

    def __str__(self) -> str:
        return f"{self.program} (process {self.pid})"


class Held:
    """A lock of this program; ``release`` gives it back, safe to call twice."""

    def __init__(self, descriptor: int, remove: Path | None = None) -> None:
        self._descriptor = descriptor
        self._remove = remove

    def release(self) -> None:
        """The file of a lock stays, so that nobody waits at one that is no longer looked at."""
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        if self._remove is not None:
            self._remove.unlink(missing_ok=True)
        else:
            os.ftruncate(descriptor, 0)
        os.close(descriptor)


def folder() -> Path:
    """Where the locks are: one folder for all users of this computer."""
    named = os.environ.get(FOLDER_VARIABLE)
    return shared_folder(Path(named) if named else Path(tempfile.gettempdir()) / "labctl-locks")


def shared_folder(path: Path) -> Path:
    """``path``, made for all users of this computer where it is missing."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(_SHARED_FOLDER)
    return path


def take(name: str, resource: str) -> Held:
    """Hold the instrument called ``name`` at this resource, or say at once who does. Raises InstrumentBusy."""
    path = path_of(resource)
    descriptor = open_shared(path)
    for attempt in range(_ATTEMPTS):  # somebody may only be looking whether it is held
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _sign(descriptor)
            return Held(descriptor)
        if attempt + 1 < _ATTEMPTS:
            SystemClock().wait(_POLL_S)
    os.close(descriptor)
    raise busy(name, _owner(path))


def busy(name: str, owner: Owner | None) -> InstrumentBusy:
    """What a program is told that comes second."""
    return InstrumentBusy(
        name,
        f"is held by {owner or 'another program'}",
        "Wait for it or end it; 'labctl bench safe' ends it and switches the light off.",
    )


def attend(bench: str) -> Held:
    """Put down that this program simulates a bench; nobody is kept out."""
    path = path_of(bench).with_suffix(f".{os.getpid()}")
    descriptor = open_shared(path)
    with suppress(OSError):  # this very program attends already
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    _sign(descriptor)
    return Held(descriptor, path)


def holder(resource: str) -> Owner | None:
    """Who holds this resource now; None: nobody."""
    path = path_of(resource)
    return _owner(path) if path.exists() and _is_held(path) else None


def attending(bench: str) -> Iterator[Owner]:
    """The other programs that simulate this bench."""
    path = path_of(bench)
    for each in sorted(path.parent.glob(f"{path.stem}.*")):
        owner = _owner(each) if each.suffix != path.suffix and _is_held(each) else None
        if owner is not None and owner.pid != os.getpid():
            yield owner


def lives(owner: Owner) -> bool:
    """Whether this program still runs: a child of a dead one may hold its lock."""
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def end(owner: Owner, gone: Callable[[], bool], clock: Clock | None = None) -> str:
    """Ask a program to stop (SIGTERM), kill it when it has not let go after a second; what came of it, in words.

    ``gone``: whether it has let go. A program of labctl that is asked to stop switches its light off first.
    """
    clock = clock or SystemClock()
    for number, told in ((signal.SIGTERM, "was asked to stop, and did"), (signal.SIGKILL, "did not stop; killed")):
        try:
            os.kill(owner.pid, number)
        except ProcessLookupError:
            return f"{owner} had ended"
        except PermissionError:
            return f"{owner} belongs to another user and cannot be ended"
        until = clock.now() + PATIENCE_S
        while clock.now() < until:
            if gone():
                return f"{owner} {told}"
            clock.wait(_POLL_S)
    return f"{owner} was killed and still holds on"


def path_of(subject: str) -> Path:
    """The lock's file of a resource, or of a bench."""
    name = hashlib.sha256(subject.strip().upper().encode()).hexdigest()[:32]
    return folder() / f"{name}.lock"


def open_shared(path: Path) -> int:
    """A file in such a folder, for reading and writing, made where it is missing. Raises OSError.

    Sticky folders refuse O_CREAT on files of other users, and a link is nothing of ours."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    with suppress(FileNotFoundError):
        return os.open(path, flags)
    with suppress(FileExistsError):
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, _SHARED_FILE)
        os.fchmod(descriptor, _SHARED_FILE)
        return descriptor
    return os.open(path, flags)


def _sign(descriptor: int) -> None:
    text = json.dumps(asdict(Owner(os.getpid(), program_name(sys.argv), time.time()))).encode()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text, 0)


def program_name(words: Sequence[str]) -> str:
    """A command line (``sys.argv``) as its user knows it, in short: "labctl run digits", or the name of a script."""
    path = Path(words[0] if words else "")
    name = path.name
    if name == "__main__.py":  # python -m labctl.cli
        package = path.parent
        while (package.parent / "__init__.py").is_file():
            package = package.parent
        name = package.name
    name = "python" if name in ("", "-c", "-m") else name
    told = " ".join([name, *words[1:]])
    return told if len(told) <= _PROGRAM_LENGTH else f"{told[: _PROGRAM_LENGTH - 3]}..."


def _owner(path: Path) -> Owner | None:
    """Who signed; None where nothing legible stands."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Owner(int(found["pid"]), str(found["program"]), float(found["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_held(path: Path) -> bool:
    try:
        descriptor = open_shared(path)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
