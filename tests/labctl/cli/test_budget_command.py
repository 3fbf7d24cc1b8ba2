"""``labctl noise-budget``: a table for people and an object for programs."""

from __future__ import annotations

import json

import pytest

from labctl.cli import app

Capture = pytest.CaptureFixture[str]


def test_a_table(capsys: Capture) -> None:
    assert app.perform(["noise-budget", "--bench", "ideal", "--images", "2"], debug=False) == 0
    out = capsys.readouterr().out
    assert "digits on ideal: G = 1.3, μ = 4; 64 rows, 2 images a trial" in out
    assert all(word in out for word in ("vacuum", "amplifier and tap", "interaction", "total"))


def test_an_object(capsys: Capture) -> None:
    words = ["noise-budget", "--bench", "ideal", "--gain", "2", "--images", "2", "--json"]
    assert app.perform(words, debug=False) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["gain"], found["rows"], found["images"], found["coupling"]) == (2.0, 64, 2, 0.5)
    shares = [line["server"]["value"] for line in found["lines"]]
    assert sum(shares) == pytest.approx(found["total"]["server"]["value"])


def test_a_gain_beyond_the_amplifier_is_refused(capsys: Capture) -> None:
    assert app.perform(["noise-budget", "--gain", "100", "--images", "2"], debug=False) == 2
    assert "outside the amplifier's calibration" in capsys.readouterr().err
