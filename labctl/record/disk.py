"""What a run file needs of the disk: a name of its own, space that nobody else takes, bytes that are really there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from labctl.errors import RecordError

#: Ends the name of a file that is being made, and takes the other's place when it is whole.
PART = ".part"
#: Where in a run file its writer's lock lies: far behind its end.
_LOCK_AT = 2**62


def make_folder(folder: Path) -> None:
    """With its parents, if it is not there. Raises RecordError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(
            f"{folder}: cannot be made or is no folder ({error.strerror})",
            "Name another output folder.",
        ) from None


def part_of(path: Path) -> Path:
    """Where the file that is to be called ``path`` is made."""
    return path.with_name(path.name + PART)


def give_name(made: Path, path: Path) -> None:
    """Call a file ``path`` from now on, in one step. Raises FileExistsError when there is such a file."""
    try:
        os.link(made, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without a second name for a file
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        os.rename(made, path)
    else:
        made.unlink()
    sync_folder(path.parent)


def put_in_place(made: Path, path: Path) -> None:
    """``made``, which is on the disk already, takes the place of ``path``."""
    os.replace(made, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """The names in a folder are on the disk when this returns."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock(descriptor: int) -> None:
    """Say that this process writes the file; readers are not kept out, and the lock ends with the process."""
    with contextlib.suppress(OSError):  # a file system that knows no locks
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _LOCK_AT)


def refuse_if_written(path: Path) -> None:
    """Raises RecordError when another process writes this file."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _LOCK_AT)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise RecordError(f"{path}: another program is writing it", "Wait until its run has ended.") from None
    finally:
        os.close(descriptor)


class Reserve:
    """Space on the disk that is kept for the end of a run: in a file without a name, which ends with the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = -1
        self._size = 0

    def hold(self, size: int) -> None:
        """Keep at least so many bytes. Raises RecordError when the disk has no more."""
        if size <= self._size:
            return
        try:
            if self._descriptor < 0:
                with tempfile.TemporaryFile(dir=self._folder) as file:
                    self._descriptor = os.dup(file.fileno())
            os.posix_fallocate(self._descriptor, 0, size)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise no_space(self._folder) from None
            if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
                check_free(self._folder, size)  # a file system that keeps none: at least look
                return
            raise RecordError(
                f"{self._folder}: cannot be written to ({error.strerror})", "Name another output folder."
            ) from None
        self._size = size

    def free(self) -> None:
        """Give the space back. Safe to call twice."""
        descriptor, self._descriptor, self._size = self._descriptor, -1, 0
        if descriptor >= 0:
            os.close(descriptor)


def check_free(folder: Path, size: int) -> None:
    """Raises RecordError when less than so many bytes are free."""
    if shutil.disk_usage(folder).free < size:
        raise no_space(folder)


def no_space(folder: Path) -> RecordError:
    """The error for a disk that is full."""
    return RecordError(
        f"{folder}: only {shutil.disk_usage(folder).free / 2**20:.0f} MiB are free on this disk",
        "Free some space, or name an output folder on another disk.",
    )
