"""Whatever ends a run, the light goes off: the long runs of benchmarks/safety.py in short form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def part(name: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "benchmarks/safety.py", name, "--short"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, found
    assert found["passed"]
    return found


@pytest.mark.slow
def test_ctrl_c_at_every_step_once_and_twice() -> None:
    found = part("sigint")
    assert found["runs"] >= 3 * 3 * found["steps"]
    assert found["with_light_on"] > 10
    assert found["ended"]["aborted"] > found["runs"] / 3


@pytest.mark.slow
def test_runs_that_are_killed_or_stopped_leave_no_light_on() -> None:
    found = part("watchdog")
    assert (found["kills"], found["stops"]) == (3, 1)
    assert 0 < found["slowest_s"] <= found["dark_within_s"]


@pytest.mark.slow
def test_an_instrument_that_is_unplugged_is_named() -> None:
    found = part("unplug")
    assert found["instruments"] == found["unplugs"] == 10
    assert found["noticed"] >= 8
    assert found["errors"]["InstrumentLost"] >= 5
