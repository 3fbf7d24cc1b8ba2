"""The table for people."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.cli.result import show_result
from labctl.events import Leakage
from tests.labctl import sample_run


def test_all_that_was_measured_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("/a/rather/long/folder/" + "x" * 120 + ".h5")
    show_result(sample_run.started(), sample_run.finished(), path)
    text = capsys.readouterr().out
    for part in (
        "sample on the simulated bench ideal, G = 1.3, μ = 4, seed 7",
        "200 of 200",
        "0.95 interval",
        "90.00%",
        "85.00% to 94.00%",
        "without noise 97.20%",
        "0.0144 SNU",
        "0.0134 to 0.0154",
        "honest client 0.0144, alarm above 0.016",
        "0.99990",
        "0.05 bits",
        "below the paper's 0.1",
        "0.0016 bits",
        "below the paper's 0.01",
        "verdict: ACCEPTED",
        f"run file: {path}\n",
    ):
        assert part in text


def test_a_limit_that_is_passed_is_said_loudly(capsys: pytest.CaptureFixture[str]) -> None:
    leaky = sample_run.check(leakage=Leakage(0.2, 0.1, 0.02, 0.3))
    show_result(sample_run.started(), sample_run.finished(pooled=leaky), None)
    text = capsys.readouterr().out
    assert text.count("ABOVE the paper's") == 2
    assert "run file" not in text


def test_a_run_without_images(capsys: pytest.CaptureFixture[str]) -> None:
    ended = sample_run.finished(0, status="aborted", verdict="aborted", accuracy=None, pooled=None, layers=())
    show_result(sample_run.started(simulated=False, run={}), ended, None)
    text = capsys.readouterr().out
    assert "0 of 200" in text
    assert "sample on the bench ideal" in text
    assert "verdict: ABORTED" in text
    assert "leak" not in text
