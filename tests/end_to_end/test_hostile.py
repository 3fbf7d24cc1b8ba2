"""The long run of damaged files in short form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_damaged_files_end_in_values_and_errors_of_ours() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/hostile.py", "--cases", "300", "--seed", "5"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert done.returncode == 0, found["failures"]
    assert (found["passed"], found["failure_count"], found["cases"]) == (True, 0, 300)
    kinds = found["kinds"]
    assert len(kinds) == 12
    assert all("refused" in kind["ended"] for kind in kinds.values()), "every kind has something to refuse"
    assert kinds["run"]["ended"].get("same"), "and something that does no harm"
