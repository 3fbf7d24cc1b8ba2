"""``labctl power``: table and object, and what it refuses."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from labctl.cli import app
from labctl.cli.power_command import _count
from labctl.protocol.attacks import ATTACKS
from tests.labctl.test_reference import rows

Capture = pytest.CaptureFixture[str]
POINT = ("--gain", "1.3", "--photons", "4")


def perform(*words: str) -> int:
    return app.perform(["power", *words], debug=False)


def told(capsys: Capture, *words: str) -> dict[str, Any]:
    assert perform(*words, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_one_attack(capsys: Capture) -> None:
    found = told(capsys, *POINT, "--attack", "greedy", "--strength", "2", "--images", "200")
    assert (found["model"], found["bench"], found["images"]) == ("mnist", "ideal", 200)
    assert found["samples_per_image"] == 622_496
    assert found["expected_excess_snu"] == pytest.approx(0.00117739, rel=1e-5)
    assert found["resolution_snu"] == pytest.approx(0.00359, abs=1e-5)
    [attack] = found["attacks"]
    assert (attack["attack"], attack["strength"]) == ("greedy", 2)
    assert attack["excess_snu"] == pytest.approx(1 / 392)
    assert attack["power"] == pytest.approx(0.942, abs=2e-3)
    assert attack["images_to_alarm_50"] == pytest.approx(95, abs=1)
    assert attack["images_to_alarm_90"] == pytest.approx(181, abs=2)
    assert attack["fixed_sample_images"] == pytest.approx(130.5, abs=0.2)
    assert len(attack["layers"]) == 2


def test_all_attacks(capsys: Capture) -> None:
    attacks = told(capsys, *POINT, "--model", "digits", "--images", "50")["attacks"]
    assert {each["attack"] for each in attacks} == {kind.name for kind in ATTACKS}
    for each in attacks:
        unseen = each["attack"] in ("substitution", "tap")
        assert (each["transmittance"] < 1) == unseen
        assert (each["fixed_sample_images"] is None) == unseen
        assert (each["images_to_alarm_90"] is None) == (each["power"] < 0.9)


def test_least_strengths(capsys: Capture) -> None:
    """Of the telecom bench; what no strength gives away is shown at the usual ones."""
    words = (*POINT, "--model", "digits", "--bench", "telecom", "--images", "200", "--least")
    attacks = {each["attack"]: each for each in told(capsys, *words)["attacks"]}
    assert set(attacks) == {kind.name for kind in ATTACKS}
    for name, strength in {"greedy": 2.445, "all-modes": 1.0188, "resend": 0.0171, "injection": 0.0276}.items():
        assert attacks[name]["strength"] == pytest.approx(strength, rel=2e-3)
        assert 0.999 <= attacks[name]["power"] < 0.9995
    assert [attacks[name]["strength"] for name in ("substitution", "tap")] == [0.99, 0.01]
    [one] = told(capsys, *words, "--attack", "resend")["attacks"]
    assert one == attacks["resend"]


def test_all_strengths_of_one_attack(capsys: Capture) -> None:
    attacks = told(capsys, *POINT, "--attack", "resend", "--images", "50")["attacks"]
    assert [each["strength"] for each in attacks] == [0.01, 1.0]


def test_the_bench_counts(capsys: Capture, tmp_path_factory: pytest.TempPathFactory) -> None:
    from labctl.shipped import bench_path

    text = bench_path("ideal").read_text(encoding="utf-8")
    lossy = tmp_path_factory.mktemp("bench") / "lossy.bench.toml"
    lossy.write_text(text.replace('loss_back = "0 dB"', 'loss_back = "3 dB"').replace("1_000_000_000_000", "10_000"))
    found = told(capsys, *POINT, "--attack", "greedy", "--strength", "2", "--images", "50", "--bench", str(lossy))
    assert found["expected_excess_snu"] == pytest.approx(0.00117739 * 10**-0.3, rel=1e-5)
    assert found["images_to_resolve_3_sigma"] is None
    assert found["attacks"][0]["fixed_sample_images"] is None
    assert perform(*POINT, "--images", "50", "--bench", str(lossy)) == 0
    assert "calibration hides it" in capsys.readouterr().out


def test_the_table(capsys: Capture) -> None:
    assert perform(*POINT, "--images", "200") == 0
    text = capsys.readouterr().out
    assert "mnist on ideal: G = 1.3, μ = 4, false-alarm rate 0.001 over 200 images" in text
    assert "the honest part takes 84 images for 3 σ" in text
    assert re.search(r"substitution, T = 0\.99 +0", text)
    assert re.search(r"greedy, G' = 2 +0\.002551 +1 +0\.94\d+ +100\.\d +95 +181 +131 +1\.161 +0\.0874", text)
    assert re.search(r"tap, t = 0\.01 +0\.001177 +0\.99 +0\.001 +199\.\d +- +- +- ", text)
    assert "An honest client reads 0.818 bits" in text


def test_a_bench_that_was_not_measured_for_the_network(capsys: Capture) -> None:
    assert perform(*POINT, "--bench", "telecom") == 2
    assert "technical_modes" in capsys.readouterr().err


def test_keys_of_the_object_are_documented(capsys: Capture) -> None:
    found = told(capsys, *POINT, "--attack", "tap", "--images", "20", "--model", "digits")

    def keys(marker: str) -> list[str]:
        return [key for row in rows("cli.md", marker) for key in re.findall(r"`(\w+)`", row[0])]

    assert [*found] == ["model", "bench", "gain", "mean_photons", *keys("json: labctl power")]
    assert [*found["attacks"][0]] == keys("json: an attack")


def test_help_names_every_attack(capsys: Capture) -> None:
    assert perform("--help") == 0
    text = capsys.readouterr().out
    assert all(kind.name in text for kind in ATTACKS)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--gain", "1", "--photons", "4"],
        ["--gain", "1.3", "--photons", "0"],
        [*POINT, "--strength", "2"],
        [*POINT, "--attack", "greedy", "--strength", "2", "--least"],
        [*POINT, "--attack", "bribery", "--least"],
        [*POINT, "--attack", "bribery"],
        [*POINT, "--attack", "greedy", "--strength", "0.5"],
        [*POINT, "--attack", "tap", "--strength", "nan"],
        [*POINT, "--images", "0"],
        [*POINT, "--model", "no-such-model"],
        [*POINT, "--bench", "no-such-bench"],
        [*POINT, "--false-alarm-rate", "0.9"],
    ],
    ids=str,
)
def test_refusals(words: list[str], capsys: Capture) -> None:
    assert perform(*words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("labctl: error: ")
    assert "\nlabctl: remedy: " in shown.err


@pytest.mark.parametrize(("number", "text"), [(0.3, "1 image"), (1.2, "2 images"), (1200.0, "1,200 images")])
def test_counts_of_images(number: float, text: str) -> None:
    assert _count(number) == text
