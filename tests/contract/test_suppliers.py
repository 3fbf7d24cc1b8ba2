"""Fragments: what they may say, and how they are laid over the ideal bench."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.config import load_bench
from tests.contract.bench import KINDS, kind_of, simulated_subjects
from tests.contract.suppliers import Fragment, fragments, ideal, merged, overlaid, write_bench


def test_tables_are_merged_lists_and_models_replaced() -> None:
    below = {"a": {"x": 1, "y": [1, 2]}, "b": {"driver": "old", "options": {"z": 1}}, "c": 1}
    above = {"a": {"y": [3]}, "b": {"driver": "new"}, "d": {"e": 1}}
    assert overlaid(below, above) == {"a": {"x": 1, "y": [3]}, "b": {"driver": "new"}, "c": 1, "d": {"e": 1}}
    assert below["a"] == {"x": 1, "y": [1, 2]}


def test_nothing_laid_over_the_ideal_bench_is_the_ideal_bench(tmp_path: Path) -> None:
    path = write_bench(merged(Fragment("none", "laser", "laser", {})), tmp_path / "same.bench.toml")
    written, shipped = load_bench(path), load_bench(Path("examples/ideal.bench.toml"))
    assert written == shipped
    assert ideal() == merged(Fragment("none", "laser", "laser", {}))


@pytest.mark.parametrize("fragment", fragments(), ids=lambda fragment: fragment.name)
def test_a_fragment_is_a_bench_and_of_its_kind(fragment: Fragment, tmp_path: Path) -> None:
    config = load_bench(write_bench(merged(fragment), tmp_path / "merged.bench.toml"))
    assert kind_of(config, fragment.instrument) == fragment.kind
    assert fragment.kind in KINDS


def test_subjects_have_different_names() -> None:
    names = [each.name for each in simulated_subjects(Path("examples/ideal.bench.toml"))]
    assert len(set(names)) == len(names)
