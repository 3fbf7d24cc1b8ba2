"""benchmarks/growth.py and startup.py in short form: what they say, how laws are found. No times are judged."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def told(folder: Path, name: str, *words: str) -> dict[str, Any]:
    command = [sys.executable, f"benchmarks/{name}.py", *words, "--out", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (kept,) = folder.iterdir()
    assert kept.name.startswith(f"{name}-2")
    result: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    assert result == json.loads(done.stdout)
    return result


def test_growth_has_every_curve_and_memory(tmp_path: Path) -> None:
    found = told(tmp_path, "growth", "--short", "--repeats", "1", "--images", "30", "--run", "digits")
    for key in ("width", "modes", "depth", "samples_per_symbol", "instruments", "instruments_start", "images"):
        curve = found[key]
        assert len(curve["values"]) == len(curve["ms"]) >= 3
        assert min(curve["ms"]) > 0
        assert {"exponent", "constant", "last_slope", "leaves_law_below", "one_more_ms"} <= set(curve)
    memory = found["images"]["memory"]
    assert list(memory["resident_mib"]) == [str(images) for images in found["images"]["values"]]
    assert 20 < memory["resident_mib"]["30"] < memory["limit_mib"]


def test_startup_tells_both_starts_and_what_help_leaves_alone(tmp_path: Path) -> None:
    found = told(tmp_path, "startup", "--repeats", "2")
    assert found["help"]["heavy"] == []
    assert {"numpy", "pyvisa"} <= set(found["demo_first_image"]["heavy"]) <= {"numpy", "scipy", "pyvisa"}
    for start in ("help", "demo_first_image"):
        assert 0 < found[start]["processor_s"]["median"] <= 60
        assert found[start]["limit_s"] in (0.3, 2.0)


@pytest.fixture(scope="module")
def growth() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return import_module("growth")


def test_a_law_is_that_of_the_upper_half_and_a_fixed_cost_is_where_it_ends(growth: ModuleType) -> None:
    values = [float(2**n) for n in range(10)]
    square = growth.law(values, [3 * value**2 for value in values])
    assert square["exponent"] == pytest.approx(2, abs=1e-3)
    assert square["constant"] == pytest.approx(3, rel=1e-3)
    assert square["leaves_law_below"] is None
    bent = growth.law(values, [100 + 3 * value**2 for value in values])
    assert bent["leaves_law_below"] == 16
    steeper = growth.law(values, [value * (2 if value == values[-1] else 1) for value in values])
    assert steeper["last_slope"] == pytest.approx(2)
