"""The parsers' long run in short form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_random_and_mutated_input_ends_in_values_and_typed_errors() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/fuzz.py", "--cases", "20000", "--seed", "3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)
    assert done.returncode == 0, found["failures"]
    assert found["passed"]
    assert found["failure_count"] == 0
    assert sum(found["ended"].values()) == 20000
    assert min(found["ended"].values()) > 100, "every ending occurs"
