"""Killed programs, calls of the system that never came, full disks: benchmarks/crash.py in short form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def crash(folder: Path, *words: str) -> dict[str, Any]:
    arguments = [sys.executable, "benchmarks/crash.py", *words, "--out", str(folder), "--folder", str(folder)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["problems"] == []
    assert done.returncode == 0
    assert len(list(folder.glob("crash-*.json"))) == 1
    return found


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path) -> None:
    found = crash(tmp_path, "kills", "--runs", "4", "--seed", "3")
    assert found["runs"] == 4
    assert sum(number for name, number in found["found"].items() if name.startswith("killed")) == 4


@pytest.mark.slow
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="needs the registers of x86-64")
def test_killed_at_calls_of_the_system(tmp_path: Path) -> None:
    found = crash(tmp_path, "syscalls", "--images", "5", "--every", "29")
    assert found["found"]["calls of the whole run"] > 50
    assert found["found"]["resumed"] > 3


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to mount a small disk")
def test_full_disks(tmp_path: Path) -> None:
    assert crash(tmp_path, "disk-full", "--runs", "2")["runs"] == 2


@pytest.mark.slow
def test_the_benchmark_of_recording_runs(tmp_path: Path) -> None:
    """What it measures is for quiet machines."""
    words = ["benchmarks/record.py", "--images", "300", "--rates", "1000", "--repeats", "1", "--live-seconds", "1"]
    arguments = [sys.executable, *words, "--out", str(tmp_path)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    found = json.loads(done.stdout)
    assert found["live_at_1000_per_s"]["rows_seen"] == 1000
    assert found["rates"][0]["crash_safe_processor_us"] < 100
