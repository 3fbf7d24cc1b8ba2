"""The client's account: bits of each symbol of a data row that may have leaked, added up over runs.

A row is known by a digest of its content, so that it is recognised in another run or another data set. What one
transmission leaks follows from the gain that the client uses (docs/physics.md, section 6) and not from a measurement:
what a run will come to is known before it. Nothing here holds or sees weights, nor anything that the server measured.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, TypeAdapter

from labctl.errors import BudgetRefusal
from labctl.events import LayerMeasured
from labctl.ledger.book import ROUNDING, Bits, Book, Number, Page, Reserved, damaged
from labctl.schema import StrictModel
from labctl.values import Convention

#: Hexadecimal digits of a row's digest; two rows that share one would be counted as one, which errs to the safe side.
DIGEST_DIGITS = 16


class DataReserved(Reserved):
    """A run; ``rows``: digests of its data rows in order, one after the other; bits of each symbol of each row."""

    rows: Annotated[str, Field(pattern=r"^[0-9a-f]+$")]
    bits_v1: Bits
    bits_journal: Bits


class DataSettled(StrictModel):
    """The run of reservation ``of`` has ended; ``images``: how many of its rows were begun, from the first."""

    kind: Literal["settle"] = "settle"
    time: str
    of: Number
    images: Number


_KINDS: TypeAdapter[BaseModel] = TypeAdapter(Annotated[DataReserved | DataSettled, Field(discriminator="kind")])


@dataclass(frozen=True)
class DataCharge:
    """What one run counts for. ``rows``: digests of the rows that count."""

    reserved: DataReserved
    rows: tuple[str, ...]
    settled: bool


def data_book(path: Path) -> Book:
    """The client's file at ``path``, which need not exist yet."""
    return Book(path, "data", _KINDS)


def row_digests(images: npt.NDArray[np.float32]) -> tuple[str, ...]:
    """A digest of each row of ``images``, shape (rows, symbols): SHA-256 of its float32 values, cut short."""
    rows = np.ascontiguousarray(images, dtype="<f4")
    return tuple(hashlib.sha256(row.tobytes()).hexdigest()[:DIGEST_DIGITS] for row in rows)


def data_charges(page: Page, path: Path) -> tuple[DataCharge, ...]:
    """Every run in the book. Raises LedgerError for entries that do not fit together."""
    charges: dict[int, DataCharge] = {}
    for number, entry in enumerate(page.entries):
        if isinstance(entry, DataReserved):
            if len(entry.rows) != entry.images * DIGEST_DIGITS:
                raise damaged(path, number + 2, f"{entry.images} images, but another number of rows")
            charges[number] = DataCharge(entry, _split(entry.rows), False)
            continue
        assert isinstance(entry, DataSettled)
        before = charges.get(entry.of)
        if before is None or before.settled or entry.images > before.reserved.images:
            raise damaged(path, number + 2, f"it does not belong to the reservation in line {entry.of + 2}")
        charges[entry.of] = DataCharge(before.reserved, before.rows[: entry.images], True)
    return tuple(charges.values())


def row_totals(charges: Sequence[DataCharge]) -> dict[str, tuple[float, float]]:
    """Bits per symbol of each row by its digest: v1 and journal."""
    totals: dict[str, tuple[float, float]] = {}
    for charge in charges:
        for row, times in Counter(charge.rows).items():
            v1, journal = totals.get(row, (0.0, 0.0))
            totals[row] = (v1 + times * charge.reserved.bits_v1, journal + times * charge.reserved.bits_journal)
    return totals


@dataclass(frozen=True)
class DataTerms:
    """What the account must know of a run. ``rows``: digests in run order; ``bits_*``: of one transmission; ``first``:
    image of this part, of a run that is taken up again."""

    run: str
    simulated: bool
    rows: tuple[str, ...]
    bits_v1: float
    bits_journal: float
    convention: Convention
    first: int = 0


class DataGuard:
    """Holds one run to the budget. ``now``: the time of day as text."""

    def __init__(self, file: Path, budget: float, terms: DataTerms, now: Callable[[], str]) -> None:
        self._book = data_book(file)
        self._budget = budget
        self._terms = terms
        self._now = now
        self._begun = 0
        self._number = -1

    def check(self) -> None:
        """Raise BudgetRefusal if the run as planned would exceed the budget. Writes nothing."""
        self._refuse(self._book.read())

    def reserve(self) -> None:
        """Enter all rows of the run, or raise BudgetRefusal."""
        terms = self._terms
        entry = DataReserved(
            time=self._now(),
            run=terms.run,
            simulated=terms.simulated,
            images=len(terms.rows),
            rows="".join(terms.rows),
            bits_v1=terms.bits_v1,
            bits_journal=terms.bits_journal,
        )
        with self._book.turn() as page:
            self._refuse(page)
            self._number = self._book.add(page, entry)

    def before_shot(self, image: int, layer: int) -> None:
        """An image counts from its first shot on, with the figure of its worst layer."""
        self._begun = max(self._begun, image + 1 - self._terms.first)

    def settle(self) -> None:
        """Enter how far the run came."""
        with self._book.turn() as page:
            data_charges(page, self._book.path)
            self._book.add(page, DataSettled(time=self._now(), of=self._number, images=self._begun))

    @property
    def number(self) -> int:
        """Of the reservation in the book."""
        return self._number

    def settle_killed(self, number: int, images: int, layers: Sequence[LayerMeasured]) -> None:
        """For a program that was killed: the images that its file holds, and one that may have been under way.

        A reservation that is settled, or is another run's, is left alone.
        """
        with self._book.turn() as page:
            data_charges(page, self._book.path)
            settled = [entry.of for entry in page.entries if isinstance(entry, DataSettled)]
            reserved = page.entries[number] if 0 <= number < len(page.entries) else None
            if isinstance(reserved, DataReserved) and reserved.run == self._terms.run and number not in settled:
                begun = min(images + 1, reserved.images)
                self._book.add(page, DataSettled(time=self._now(), of=number, images=begun))

    def _refuse(self, page: Page) -> None:
        terms, which = self._terms, 0 if self._terms.convention == "v1" else 1
        spent = row_totals(data_charges(page, self._book.path))
        bits = (terms.bits_v1, terms.bits_journal)[which]
        times = Counter(terms.rows)
        for image, row in enumerate(terms.rows):
            before = spent.get(row, (0.0, 0.0))[which]
            total = before + times[row] * bits
            if total > self._budget * (1 + ROUNDING):
                raise BudgetRefusal(
                    f"{self._book.path}: run {terms.run!r} would bring what leaked of the data of image {image} to"
                    f" {total:.4g} bits per symbol ({before:.4g} by other runs; {terms.convention} bound); the budget"
                    f" is {self._budget:.4g}",
                    "Take other data or less gain, or allow more (ledger.data.bits_per_symbol_budget).",
                )


def _split(rows: str) -> tuple[str, ...]:
    return tuple(rows[start : start + DIGEST_DIGITS] for start in range(0, len(rows), DIGEST_DIGITS))
