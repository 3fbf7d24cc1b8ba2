"""Benches to calibrate, with records short enough for a test."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from labctl.calibration import amplifier, modulator, probe, rig, unitary
from labctl.calibration.statistics import BLOCKS
from labctl.shipped import bench_path

Bench = Callable[..., Path]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short records."""
    monkeypatch.setattr(rig, "NOISE_SAMPLES", 400_000)
    monkeypatch.setattr(modulator, "LOOPS", 2 * BLOCKS)
    monkeypatch.setattr(unitary, "OVERLAP_LOOPS", BLOCKS)
    monkeypatch.setattr(amplifier, "AMPLIFIER_THREES", 10 * BLOCKS)
    monkeypatch.setattr(probe, "THREES", 5 * BLOCKS)


def changed(text: str, table: str, key: str, value: str) -> str:
    """The bench file with one key of a table set."""
    heading = f"\n[{table}]\n"
    start = text.index(heading) + len(heading)
    end = text.find("\n[", start)
    section = text[start : len(text) if end < 0 else end]
    line = f"{key} = {value}"
    found, count = re.subn(rf"^{key} = [^\n]*", line, section, count=1, flags=re.MULTILINE)
    return text[:start] + (found if count else f"{line}\n{section}") + text[start + len(section) :]


@pytest.fixture
def telecom(tmp_path: Path) -> Bench:
    """The telecom bench with changes: (table, key, value) each."""

    def make(*changes: tuple[str, str, str]) -> Path:
        text = bench_path("telecom").read_text(encoding="utf-8")
        for table, key, value in changes:
            text = changed(text, table, key, value)
        path = tmp_path / "some.bench.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return make
