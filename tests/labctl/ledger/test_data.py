"""The client's account: rows known by their content, added up over runs, refused before anything is sent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labctl.errors import BudgetRefusal, LedgerError
from labctl.ledger.data import (
    DIGEST_DIGITS,
    DataGuard,
    DataReserved,
    DataSettled,
    DataTerms,
    data_book,
    data_charges,
    row_digests,
    row_totals,
)

ROWS = tuple(f"{number:0{DIGEST_DIGITS}x}" for number in range(20))


def guard(
    folder: Path, rows: tuple[str, ...] = ROWS[:5], budget: float = 1.0, convention: str = "journal"
) -> DataGuard:
    terms = DataTerms("r", True, rows, 0.01, 0.3, convention)
    return DataGuard(folder / "d.ledger", budget, terms, lambda: "t")


def totals(folder: Path) -> dict[str, tuple[float, float]]:
    path = folder / "d.ledger"
    return row_totals(data_charges(data_book(path).read(), path))


def run(folder: Path, rows: tuple[str, ...] = ROWS[:5], begun: int | None = None) -> None:
    found = guard(folder, rows, 100.0)
    found.reserve()
    for image in range(len(rows) if begun is None else begun):
        for layer in range(2):
            found.before_shot(image, layer)
    found.settle()


def test_rows_are_known_by_their_content() -> None:
    images = np.random.default_rng(1).random((4, 7)).astype(np.float32)
    images[3] = images[0]
    digests = row_digests(images)
    assert digests[3] == digests[0]
    assert len(set(digests)) == 3
    assert row_digests(images[::-1]) == digests[::-1], "whatever their place"
    assert row_digests(images.astype(np.float64)) == digests
    assert all(len(each) == DIGEST_DIGITS for each in digests)


def test_runs_add_up_row_by_row(tmp_path: Path) -> None:
    run(tmp_path, ROWS[:5])
    run(tmp_path, ROWS[3:7])
    found = totals(tmp_path)
    assert found[ROWS[0]] == (0.01, 0.3)
    assert found[ROWS[3]] == pytest.approx((0.02, 0.6))
    assert set(found) == set(ROWS[:7])


def test_only_images_that_were_begun_count(tmp_path: Path) -> None:
    run(tmp_path, ROWS[:5], begun=2)
    assert set(totals(tmp_path)) == set(ROWS[:2])
    run(tmp_path, ROWS[:5], begun=0)
    assert totals(tmp_path)[ROWS[0]] == (0.01, 0.3)


def test_a_run_that_never_settles_counts_in_full(tmp_path: Path) -> None:
    found = guard(tmp_path)
    found.reserve()
    found.before_shot(0, 0)
    assert set(totals(tmp_path)) == set(ROWS[:5])


@pytest.mark.parametrize(("convention", "budget"), [("journal", 0.6), ("v1", 0.02)])
def test_a_run_that_would_exceed_is_refused_and_not_entered(tmp_path: Path, convention: str, budget: float) -> None:
    run(tmp_path)
    guard(tmp_path, ROWS[4:8], budget, convention).check()
    run(tmp_path)
    before = (tmp_path / "d.ledger").read_bytes()
    found = guard(tmp_path, (*ROWS[8:], ROWS[4]), budget, convention)
    for attempt in (found.check, found.reserve):
        with pytest.raises(BudgetRefusal, match=rf"the data of image 12 to .* {convention} bound.*{budget}") as refusal:
            attempt()
        assert "bits_per_symbol_budget" in refusal.value.remedy
    assert (tmp_path / "d.ledger").read_bytes() == before
    guard(tmp_path, ROWS[8:], budget, convention).reserve()


def test_the_same_row_twice_in_one_run(tmp_path: Path) -> None:
    with pytest.raises(BudgetRefusal, match=r"image 0 to 0\.6"):
        guard(tmp_path, (ROWS[0], ROWS[0]), 0.5).reserve()
    guard(tmp_path, (ROWS[0], ROWS[0]), 0.6).reserve()
    assert totals(tmp_path) == {ROWS[0]: (0.02, 0.6)}


@pytest.mark.parametrize("wrong", ["rows", "unknown", "twice", "too many"])
def test_entries_that_do_not_fit_together_are_damage(tmp_path: Path, wrong: str) -> None:
    book = data_book(tmp_path / "d.ledger")
    rows = "".join(ROWS[:2]) + ("0" if wrong == "rows" else "")
    entries = [DataReserved(time="t", run="r", simulated=True, images=2, rows=rows, bits_v1=0.0, bits_journal=0.0)]
    settled = DataSettled(time="t", of=3 if wrong == "unknown" else 0, images=3 if wrong == "too many" else 2)
    more = [settled, settled] if wrong == "twice" else [settled]
    for entry in (*entries, *more):
        with book.turn() as page:
            book.add(page, entry)
    with pytest.raises(LedgerError, match="damaged in line"):
        totals(tmp_path)
