"""The reference pages hold against the code: every column of the run file, every option, every key of the object."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labctl.cli import app
from labctl.record import schema
from labctl.summary import summary
from tests.labctl import sample_run

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
TYPES = {"i8": "int64", "f8": "float64"}


def rows(page: str, marker: str) -> list[list[str]]:
    """Cells of the table that follows ``<!-- marker -->``, without its head."""
    text = (REFERENCE / page).read_text().split(f"<!-- {marker} -->\n")[1]
    lines = re.match(r"(?:\|.*\n)+", text)
    assert lines is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[0].splitlines()[2:]]


@pytest.mark.parametrize(
    ("marker", "columns"),
    [
        ("columns: labctl.record.schema.image_columns", schema.image_columns(10)),
        ("columns: labctl.record.schema.LAYER_COLUMNS", schema.LAYER_COLUMNS),
    ],
)
def test_columns_of_the_run_file(marker: str, columns: tuple[schema.Column, ...]) -> None:
    expected = [[f"`{each.name}`", TYPES[each.kind], each.unit, each.meaning] for each in columns]
    assert rows("run-file.md", marker) == expected


@pytest.mark.parametrize("command", ["run", "power", "leakage", "optimise", "reproduce", "sim serve"])
def test_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    app.perform([*command.split(), "--help"], debug=False)
    options = set(re.findall(r"^ +(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    assert {row[0].strip("`") for row in rows("cli.md", f"options: labctl {command}")} == options


def test_keys_of_the_object() -> None:
    found = summary(sample_run.finished(), sample_run.started(), None)
    table = {row[0].strip("`"): row[1] for row in rows("cli.md", "json: labctl.summary.summary")}
    assert list(table) == list(found)
    for key in ("excess_noise", "transmittance", "leakage"):
        assert re.findall(r"`(\w+)`", table[key]) == list(found[key])
