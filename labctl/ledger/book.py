"""The file of a ledger: lines are only ever added, each bears a checksum over all before it (docs/reference/files.md).

A new state is written to a copy that then takes the file's place, after an fsync: whenever the machine stops, the file
is the old one or the new one. A lock beside the file makes two processes take turns. A file that is not exactly as it
was written is refused; nothing is repaired.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from labctl.errors import ConfigError, LedgerError
from labctl.schema import StrictModel

#: Sums of bits that differ by less than this share are the same.
ROUNDING = 1e-9
#: Largest file, bytes: some thousand runs over ten thousand images.
MAX_BYTES = 2**28
#: Hexadecimal digits of a line's checksum.
CHECK_DIGITS = 32
RESTORE = "Restore the file from a copy, or find out what leaked before you start a new one; labctl does not repair it."

Account = Literal["weights", "data"]
Bits = Annotated[float, Field(ge=0)]
Number = Annotated[int, Field(ge=0)]


class Header(StrictModel):
    """First line of the file."""

    format: Literal["labctl ledger"] = "labctl ledger"
    version: Literal[1] = 1
    account: Account


class Reserved(StrictModel):
    """What every reservation says: when, for which run, of how many images. An account adds what it counts."""

    kind: Literal["reserve"] = "reserve"
    time: str
    run: str
    simulated: bool
    images: Annotated[int, Field(ge=1)]


Entry = TypeVar("Entry", bound=BaseModel)


@dataclass(frozen=True)
class Page:
    """The entries of a book at one moment; entry ``n`` stands in line n + 2 of the file."""

    entries: tuple[BaseModel, ...]
    raw: bytes
    check: str


class Book:
    """One ledger file of one ``account``. ``kinds``: a pydantic type (a union) that all its entries have."""

    def __init__(self, path: Path, account: Account, kinds: TypeAdapter[BaseModel]) -> None:
        self.path = path.resolve()
        self._account = account
        self._kinds = kinds

    def read(self) -> Page:
        """All entries; none where there is no file yet. Raises LedgerError for a damaged file, ConfigError for a path
        in a folder that is not there."""
        if not self.path.exists():
            self._check_folder()
            return Page((), b"", "")
        if not self.path.is_file():
            raise LedgerError(f"{self.path}: not a file", "Name a file for the ledger.")
        try:
            with self.path.open("rb") as stream:
                raw = stream.read(MAX_BYTES + 1)
        except OSError as error:
            raise LedgerError(f"{self.path}: cannot be read ({error.strerror})", "Check its permissions.") from None
        if len(raw) > MAX_BYTES:
            raise LedgerError(f"{self.path}: larger than {MAX_BYTES} bytes", "Is this a ledger of labctl?")
        header, *texts, check = _verified(raw, self.path)
        self._check_header(header)
        return Page(tuple(self._entry(text, number) for number, text in enumerate(texts, start=2)), raw, check)

    @contextmanager
    def turn(self) -> Iterator[Page]:
        """What stands in the book, with everybody else kept from writing to it meanwhile."""
        with self._lock():
            yield self.read()

    def add(self, page: Page, entry: BaseModel) -> int:
        """Write ``entry`` after ``page``, which is the book's present state, within :meth:`turn`; returns its number.

        Raises LedgerError when it is not on the disk; the file is then as it was before.
        """
        text, check = b"", page.check
        lines = [entry] if page.raw else [Header(account=self._account), entry]
        for line in lines:
            body = line.model_dump_json().encode()
            check = _chained(check, body)
            text += check.encode() + b" " + body + b"\n"
        if len(page.raw) + len(text) > MAX_BYTES:
            raise LedgerError(
                f"{self.path}: full ({MAX_BYTES} bytes)",
                "Keep it, and go on with a ledger of a part of the budget: what is in this one has leaked for good.",
            )
        self._replace(page.raw + text)
        return len(page.entries)

    def _replace(self, content: bytes) -> None:
        copy = self.path.with_name(f"{self.path.name}.part")
        try:
            descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            if self.path.exists():
                shutil.copymode(self.path, copy)
            os.replace(copy, self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise LedgerError(
                f"{self.path}: cannot be written ({error.strerror})", "Check the disk and the folder's permissions."
            ) from None

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self._check_folder()
        beside = self.path.with_name(f"{self.path.name}.lock")
        try:
            descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LedgerError(
                f"{beside}: cannot be made ({error.strerror})", "Name a ledger file in a folder that can be written to."
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)  # which unlocks

    def _check_folder(self) -> None:
        if not self.path.parent.is_dir():
            raise ConfigError(
                f"{self.path}: the folder {self.path.parent} does not exist",
                "Make the folder, or name a ledger file in one that exists.",
            )

    def _check_header(self, text: str) -> None:
        header = _parsed(TypeAdapter(Header), text, self.path, 1)
        if header.account != self._account:
            raise LedgerError(
                f"{self.path}: the account of {header.account}, not of {self._account}",
                "Name the other party's file; each party keeps its own.",
            )

    def _entry(self, text: str, line: int) -> BaseModel:
        return _parsed(self._kinds, text, self.path, line)


def account_of(path: Path) -> Account:
    """Whose account a ledger file is. Raises ConfigError where there is none, LedgerError where it is none."""
    try:
        with path.open("rb") as stream:
            raw = stream.readline(1000)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"{path}: no such file", "Check the path.") from None
    except OSError as error:
        raise LedgerError(f"{path}: cannot be read ({error.strerror})", "Name a ledger file.") from None
    header, _ = _verified(raw, path)
    return _parsed(TypeAdapter(Header), header, path, 1).account


def damaged(path: Path, line: int, reason: str) -> LedgerError:
    """The error for a line that cannot have been written so."""
    return LedgerError(f"{path}: damaged in line {line}: {reason}", RESTORE)


def _chained(check: str, body: bytes) -> str:
    return hashlib.sha256(check.encode() + body).hexdigest()[:CHECK_DIGITS]


def _verified(raw: bytes, path: Path) -> Sequence[str]:
    """The lines' texts, and the last checksum. Raises LedgerError unless every line has its own."""
    if not raw.endswith(b"\n"):
        line = raw.count(b"\n") + 1
        raise damaged(path, line, "it is empty" if not raw else "it has no end")
    texts: list[str] = []
    check = ""
    for number, text in enumerate(raw.removesuffix(b"\n").split(b"\n"), start=1):
        stated, _, body = text.partition(b" ")
        check = _chained(check, body)
        if stated.decode("ascii", "replace") != check:
            raise damaged(path, number, "its checksum is wrong: this line or one before it was changed")
        texts.append(body.decode("utf-8", "replace"))
    return [*texts, check]


def _parsed(kinds: TypeAdapter[Entry], text: str, path: Path, line: int) -> Entry:
    try:
        return kinds.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise damaged(path, line, f"{where}: {first['msg']}; was it written by another version of labctl?") from None
