"""benchmarks/kernels.py in short form: what it says, and that its contestants do the same work. No times are judged."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("results")
    words = ["--run", "digits", "--images", "300", "--repeats", "3", "--seconds", "0.002", "--out", str(folder)]
    done = subprocess.run(
        [sys.executable, "benchmarks/kernels.py", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (kept,) = folder.iterdir()
    assert kept.name.startswith("kernels-2")
    result: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    assert result == json.loads(done.stdout)
    return result


def test_ratios_come_first_and_lie_between_their_extremes(found: dict[str, Any]) -> None:
    keys = list(found)
    assert keys.index("ratios") < keys.index("images_per_cpu_s")
    assert {"date", "machine", "processors", "load", "python", "numpy", "labctl"} <= set(keys)
    for group in (*found["ratios"].values(), *found["images_per_cpu_s"].values()):
        for spread in group.values():
            assert 0 < spread["min"] <= spread["median"] <= spread["max"]


def test_who_is_compared_is_who_was_measured(found: dict[str, Any]) -> None:
    rates = found["images_per_cpu_s"]
    assert {"plain_loop", "reused", "fresh"} <= set(rates["accuracy"])
    assert {"naive_complex128", "normal", "table"} <= set(rates["explicit"])
    assert ("compiled" in rates["explicit"]) == (find_spec("numba") is not None)
    assert ("torch_loop" in rates["accuracy"]) == (find_spec("torch") is not None)
    for name, group in found["ratios"].items():
        for pair in group:
            ours, other = pair.split("_over_")
            assert {ours, other} <= set(rates[name])


def test_contestants_find_the_same_accuracy(found: dict[str, Any]) -> None:
    """300 digits, of which about one in ten is wrong: the difference's deviation is 0.024, five allowed."""
    values = found["accuracy_found"].values()
    assert max(values) - min(values) < 0.12
