"""Names, locks and space on the disk."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labctl.errors import RecordError
from labctl.record import disk

LOCKS = (
    "import os, sys; from labctl.record import disk; disk.lock(os.open(sys.argv[1], os.O_RDWR)); print(1, flush=True);"
)
ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("links", [True, False])
def test_a_name_is_given_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    """Also where the file system knows no second name for a file."""
    if not links:

        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a.h5"
    part = disk.part_of(path)
    part.write_text("first")
    disk.give_name(part, path)
    assert [each.name for each in tmp_path.iterdir()] == ["a.h5"]
    part.write_text("second")
    with pytest.raises(FileExistsError):
        disk.give_name(part, path)
    assert (path.read_text(), part.read_text()) == ("first", "second")


def test_a_file_that_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_text("x")
    disk.refuse_if_written(path)
    words = [sys.executable, "-c", f"{LOCKS} sys.stdin.read()", str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(RecordError, match="another program is writing it"):
            disk.refuse_if_written(path)
        assert path.read_text() == "x", "readers are not kept out"
        other.kill()
    disk.refuse_if_written(path)


def test_space_is_kept_without_a_name(tmp_path: Path) -> None:
    reserve = disk.Reserve(tmp_path)
    reserve.hold(2**20)
    reserve.hold(2**10)
    assert list(tmp_path.iterdir()) == []
    reserve.free()
    reserve.free()


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSPC, "MiB are free"), (errno.EACCES, "cannot be written to"), (errno.EOPNOTSUPP, "")]
)
def test_space_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str) -> None:
    """Where none can be kept, at least what is free is looked at."""

    def refuse(*_: object) -> None:
        raise OSError(number, "said the disk")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    reserve = disk.Reserve(tmp_path)
    if said:
        with pytest.raises(RecordError, match=said):
            reserve.hold(2**20)
    else:
        reserve.hold(2**20)
        with pytest.raises(RecordError, match="MiB are free"):
            reserve.hold(2**60)
    reserve.free()
