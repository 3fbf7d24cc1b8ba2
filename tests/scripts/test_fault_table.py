"""docs/reference/faults.md has every fault in every role that it fits, and a sample of its rows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import fault_table
from sim_backends.faults import FAULTS

PAGE = fault_table.PAGE.read_text(encoding="utf-8")
ROWS = [
    ("UNPLUG", "laser"),
    ("HANGUP", "attenuator"),
    ("LATE", "server's generator"),
    ("BYTEORDER", "client's digitizer"),
    ("NAN", "bias controller"),
    ("STUCK", "client's digitizer"),
    ("STUCK", "server's digitizer"),
    ("SATURATED", "client's digitizer"),
    ("MODEHOP", "laser"),
    ("BIASDRIFT", "server's generator"),
    ("INTERLOCK", "amplifier"),
]


def sections() -> dict[str, list[str]]:
    """Rows of each fault's table."""
    parts = re.split(r"^## ([A-Z]+)\n", PAGE, flags=re.MULTILINE)[1:]
    return {
        name: [line for line in body.splitlines() if line.startswith("| ") and not line.startswith("| role")]
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


def test_every_pair_has_a_row_and_no_other(tmp_path: Path) -> None:
    assert list(sections()) == list(FAULTS)
    there = [(fault, row.split("|")[1].strip()) for fault, rows in sections().items() for row in rows]
    assert there == list(fault_table.Bench(tmp_path).pairs())


def test_no_run_gave_other_numbers_without_a_word() -> None:
    assert fault_table.SILENT not in PAGE


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "role"), ROWS)
def test_a_row_is_what_happens(fault: str, role: str, tmp_path: Path) -> None:
    assert fault_table.Bench(tmp_path).row(fault, role) in sections()[fault]


def test_a_silent_run_is_told(tmp_path: Path) -> None:
    bench = fault_table.Bench(tmp_path)
    well = fault_table.follow(bench.file("laser"))
    assert fault_table.told_of(well, well) == "unaffected"
    other = fault_table.Told(well.outcome, well.numbers[1:], well.lit)
    assert fault_table.told_of(other, well) == fault_table.SILENT
