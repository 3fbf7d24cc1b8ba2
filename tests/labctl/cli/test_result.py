"""The table for people."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.cli.result import show_result
from labctl.events import AdversaryResult, AttackResult, Leakage, RecoveryResult
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


@pytest.mark.parametrize(("alarm_image", "seen"), [(None, "no alarm"), (12, "alarm in image 13")])
def test_what_the_dishonest_got(alarm_image: int | None, seen: str, capsys: pytest.CaptureFixture[str]) -> None:
    attack = AttackResult("tap", 0.1, 5000, 0.4812, True, 0.4854, alarm_image)
    adversary = AdversaryResult(attack, RecoveryResult(20, 0.34, 0.246, 0.698))
    show_result(sample_run.started(), sample_run.finished(adversary=adversary), None)
    text = " ".join(capsys.readouterr().out.split())
    assert f"attack: tap 0.1 {seen}" in text
    assert "attacker learns, per mode 0.4812 bits in theory 0.4854 bits" in text
    assert "data recovered, overlap 0.34 in theory 0.246 (asymptotic), bound 0.698" in text


def test_a_greedy_client_s_gain_is_marked_as_computed(capsys: pytest.CaptureFixture[str]) -> None:
    adversary = AdversaryResult(AttackResult("greedy", 3.0, 0, 0.037, False, 0.037, None), None)
    show_result(sample_run.started(), sample_run.finished(adversary=adversary), None)
    assert "0.037 bits by formula" in " ".join(capsys.readouterr().out.split())


def test_warnings_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    warned = sample_run.finished(warnings=("layer 1: transmittance 0.98000",))
    show_result(sample_run.started(200), warned, None)
    assert "warning: layer 1: transmittance 0.98000" in capsys.readouterr().out
