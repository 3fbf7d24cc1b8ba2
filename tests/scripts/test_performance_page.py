"""docs/performance.md states what the newest stored outputs hold, and is found out where it does not."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from scripts import performance_page
from scripts.performance_page import Figure

ROOT = Path(__file__).resolve().parents[2]
AGAIN = "python scripts/performance_page.py"


def test_the_page_states_what_is_stored() -> None:
    assert performance_page.PAGE.read_text(encoding="utf-8") == performance_page.page(), f"make it again: {AGAIN}"


def test_every_ratio_stands_in_an_output() -> None:
    """Without the script's own reading: of each table row with a ratio, the number is somewhere in the named output."""
    text, rows = performance_page.PAGE.read_text(encoding="utf-8"), 0
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[2:]:
        named = re.search(r"^`([\w-]+\.json)`", section, flags=re.MULTILINE)
        if named is None:
            continue
        output = json.loads((performance_page.RESULTS / named[1]).read_text(encoding="utf-8"))
        stored = {performance_page.written(number) for number in numbers(output)}
        for ratio in re.findall(r"^\| [^|]* / [^|]* \| ([\d.,]+) \|", section, flags=re.MULTILINE):
            assert ratio in stored, (named[1], ratio)
            rows += 1
    assert rows >= 10


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for each in value.values() for number in numbers(each)]
    if isinstance(value, list):
        return [number for each in value for number in numbers(each)]
    return [value] if isinstance(value, (int, float)) else []


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    for section in performance_page.SECTIONS:
        newest = performance_page.newest(section.benchmark)
        if newest is not None:
            shutil.copy(performance_page.RESULTS / newest[0], folder)
    return folder


def test_another_ratio_is_found_out(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(performance_page.page(results), encoding="utf-8")
    arguments = ["performance_page.py", "--check", "--results", str(results), "--out", str(page)]
    monkeypatch.setattr("sys.argv", arguments)
    assert performance_page.main() == 0
    (kernels,) = results.glob("kernels-*.json")
    output = json.loads(kernels.read_text(encoding="utf-8"))
    output["ratios"]["accuracy"]["reused_over_plain_loop"]["median"] += 0.5
    kernels.write_text(json.dumps(output), encoding="utf-8")
    assert performance_page.main() == 1


def test_a_later_output_counts(results: Path) -> None:
    (kernels,) = results.glob("kernels-*.json")
    output = json.loads(kernels.read_text(encoding="utf-8"))
    output["images_per_cpu_s"]["explicit"]["table"]["median"] = 123.0
    (results / "kernels-29991231T000000Z.json").write_text(json.dumps(output), encoding="utf-8")
    text = performance_page.page(results)
    assert "explicit, `table`, images/s of CPU: 123 instead of 600" in text
    assert "| explicit, `table`, images/s of CPU | 123 |" in text


def test_without_outputs_the_page_says_so(tmp_path: Path) -> None:
    text = performance_page.page(tmp_path)
    assert text.count("No output is stored yet.") == len(performance_page.SECTIONS) + 1


@pytest.mark.parametrize(
    ("value", "at_most", "met"),
    [({"median": 2.0, "min": 1, "max": 3}, False, True), (1.9, False, False), ([1.0, 2.1, 9.0], True, False)],
)
def test_a_limit_is_held_against_the_median(value: object, at_most: bool, met: bool) -> None:
    assert Figure("x", ("a", "b"), 2.0, at_most).met({"a": {"b": value}}) is met


def test_it_is_linked() -> None:
    for page, link in (("README.md", "(docs/performance.md)"), ("docs/README.md", "(performance.md)")):
        assert link in (ROOT / page).read_text(encoding="utf-8")
