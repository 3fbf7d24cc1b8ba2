"""The benchmark of drivers beside raw pyvisa runs; what it measures is for quiet machines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_each_operation_is_compared_and_kept(tmp_path: Path) -> None:
    words = ["benchmarks/driver_cost.py", "--repeats", "2", "--long-repeats", "2", "--out", str(tmp_path)]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (kept,) = tmp_path.glob("driver-cost-*.json")
    result = json.loads(kept.read_text(encoding="utf-8"))
    assert result == json.loads(done.stdout)
    compared = {name: found for name, found in result.items() if isinstance(found, dict)}
    assert len(compared) == 6
    for found in compared.values():
        (ratio,) = found.keys() & {"times_raw", "rate_over_raw"}
        assert found[ratio]["median"] > 0
        assert isinstance(found["met"], bool)
