"""The ledger's file: only ever added to, whole at every moment, and refused when anything in it was changed."""

from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from labctl.errors import ConfigError, LedgerError
from labctl.ledger.book import Book, account_of
from labctl.schema import StrictModel


class Note(StrictModel):
    kind: Literal["note"] = "note"
    bits: float


KINDS: TypeAdapter[BaseModel] = TypeAdapter(Note)


def book(folder: Path) -> Book:
    return Book(folder / "x.ledger", "weights", KINDS)


def write(found: Book, *values: float) -> None:
    for value in values:
        with found.turn() as page:
            found.add(page, Note(bits=value))


def values_of(found: Book) -> list[float]:
    return [entry.bits for entry in found.read().entries if isinstance(entry, Note)]


def test_no_file_is_an_empty_book(tmp_path: Path) -> None:
    assert book(tmp_path).read().entries == ()
    assert not list(tmp_path.iterdir()), "reading makes nothing"


@settings(max_examples=20)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=6))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    folder = tmp_path_factory.mktemp("book")
    write(book(folder), *values)
    assert values_of(book(folder)) == values


def test_entries_are_numbered_and_only_added(tmp_path: Path) -> None:
    found = book(tmp_path)
    before = b""
    for number in range(3):
        with found.turn() as page:
            assert found.add(page, Note(bits=number)) == number
        raw = found.path.read_bytes()
        assert raw.startswith(before)
        before = raw
    assert len(raw.splitlines()) == 4, "a header, and a line an entry"
    assert account_of(found.path) == "weights"


def test_others_may_not_read_a_new_file_and_an_old_one_keeps_its_permissions(tmp_path: Path) -> None:
    found = book(tmp_path)
    write(found, 1.0)
    assert stat.S_IMODE(found.path.stat().st_mode) == 0o600
    found.path.chmod(0o640)
    write(found, 2.0)
    assert stat.S_IMODE(found.path.stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "x.ledger").symlink_to(tmp_path / "real" / "y.ledger")
    write(book(tmp_path), 1.0, 2.0)
    assert (tmp_path / "x.ledger").is_symlink()
    assert values_of(Book(tmp_path / "real" / "y.ledger", "weights", KINDS)) == [1.0, 2.0]


# --- damage ------------------------------------------------------------------------------------------


def damage_everywhere() -> list[tuple[str, int]]:
    return [(what, line) for what in ("change", "remove", "repeat") for line in range(3)] + [("swap", 1)]


@pytest.mark.parametrize(("what", "line"), damage_everywhere())
def test_a_changed_file_is_refused_and_left_alone(tmp_path: Path, what: str, line: int) -> None:
    found = book(tmp_path)
    write(found, 0.5, 1.5, 2.5)
    lines = found.path.read_bytes().splitlines(keepends=True)
    if what == "change":
        lines[line] = lines[line].replace(b"e", b"i", 1).replace(b".5", b".4", 1)
    elif what == "remove":
        del lines[line]
    elif what == "repeat":
        lines.insert(line, lines[line])
    else:
        lines[1], lines[2] = lines[2], lines[1]
    broken = b"".join(lines)
    found.path.write_bytes(broken)
    for attempt in (found.read, lambda: write(found, 3.5)):
        with pytest.raises(LedgerError, match=r"x\.ledger: damaged in line \d") as refusal:
            attempt()
        assert "does not repair" in refusal.value.remedy
    assert found.path.read_bytes() == broken


@pytest.mark.parametrize("size", [0, 1, 40, -1, -10])
def test_a_torn_file_is_refused(tmp_path: Path, size: int) -> None:
    found = book(tmp_path)
    write(found, 0.5, 1.5)
    found.path.write_bytes(found.path.read_bytes()[:size])
    with pytest.raises(LedgerError, match="damaged"):
        found.read()


@settings(max_examples=60)
@given(st.data())
def test_no_flipped_bit_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    found = book(tmp_path_factory.mktemp("book"))
    write(found, 0.5, 1.5)
    raw = bytearray(found.path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    found.path.write_bytes(raw)
    with pytest.raises(LedgerError):
        found.read()


def test_the_other_partys_file_and_other_files_are_refused(tmp_path: Path) -> None:
    write(book(tmp_path), 1.0)
    with pytest.raises(LedgerError, match="the account of weights, not of data"):
        Book(tmp_path / "x.ledger", "data", KINDS).read()
    (tmp_path / "folder").mkdir()
    with pytest.raises(LedgerError, match="not a file"):
        Book(tmp_path / "folder", "data", KINDS).read()
    other = tmp_path / "text"
    other.write_text("hello\n")
    with pytest.raises(LedgerError, match="damaged in line 1"):
        account_of(other)
    with pytest.raises(LedgerError, match="cannot be read"):
        account_of(tmp_path / "folder")
    with pytest.raises(ConfigError, match="no such file"):
        account_of(tmp_path / "missing")


def test_entries_of_another_version_are_refused(tmp_path: Path) -> None:
    class Other(StrictModel):
        kind: Literal["other"] = "other"

    found = Book(tmp_path / "x.ledger", "weights", TypeAdapter(Other))
    with found.turn() as page:
        found.add(page, Other())
    with pytest.raises(LedgerError, match=r"line 2: .* another version"):
        book(tmp_path).read()


# --- disks and processes -----------------------------------------------------------------------------


def test_a_disk_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = book(tmp_path)
    write(found, 1.0)
    before = found.path.read_bytes()

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(LedgerError, match="No space left on device"):
        write(found, 2.0)
    assert found.path.read_bytes() == before
    monkeypatch.undo()
    write(found, 3.0)
    assert values_of(found) == [1.0, 3.0], "what the failure left behind does not matter"


def test_everything_is_on_the_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = book(tmp_path)
    done: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (done.append("fsync"), fsync(descriptor))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("replace"), replace(a, b))[1])
    write(found, 1.0)
    assert done == ["fsync", "replace", "fsync"], "the copy, its taking the place, the folder"


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    missing = Book(tmp_path / "none" / "x.ledger", "weights", KINDS)
    for use in (missing.read, lambda: write(missing, 1.0)):
        with pytest.raises(ConfigError, match=r"x\.ledger: the folder .*none does not exist") as refusal:
            use()
        assert refusal.value.remedy
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("hello\n")
    with pytest.raises(ConfigError, match="no such file"):
        account_of(tmp_path / "file" / "x.ledger")


def test_a_lock_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "x.ledger.lock").mkdir()
    with pytest.raises(LedgerError, match="cannot be made") as refusal:
        write(book(tmp_path), 1.0)
    assert refusal.value.remedy


def _write_many(folder: Path, start: float) -> None:
    for number in range(25):
        write(book(folder), start + number)


def test_two_processes_take_turns(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write_many, args=(tmp_path, start)) for start in (0.0, 100.0)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    found = values_of(book(tmp_path))
    assert sorted(found) == [start + number for start in (0.0, 100.0) for number in range(25)]
    assert [value for value in found if value < 100] == [float(number) for number in range(25)]


def test_a_file_over_the_cap_is_neither_read_nor_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = book(tmp_path)
    write(found, 0.5, 1.5)
    before = found.path.read_bytes()
    monkeypatch.setattr("labctl.ledger.book.MAX_BYTES", len(before) + 10)
    with pytest.raises(LedgerError, match="full"):
        write(found, 2.5)
    assert found.path.read_bytes() == before
    monkeypatch.setattr("labctl.ledger.book.MAX_BYTES", len(before) - 1)
    with pytest.raises(LedgerError, match="larger than"):
        found.read()
