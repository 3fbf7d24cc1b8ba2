"""``labctl calibrate``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl.calibration import rig
from labctl.cli import app, exits


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rig, "NOISE_SAMPLES", 200_000)
    monkeypatch.chdir(tmp_path)


def call(*words: str) -> int:
    return app.perform(["calibrate", *words], debug=False)


def test_the_plan_opens_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("ideal", "--plan") == exits.ACCEPTED
    printed = capsys.readouterr().out
    assert "modulator" in printed
    assert "(needs shot-noise)" in printed
    assert call("ideal", "--plan", "--json") == exits.ACCEPTED
    assert json.loads(capsys.readouterr().out)["plan"][0]["name"] == "electronic-noise"


def test_one_procedure_with_plots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("telecom", "--only", "shot-noise", "--plots", "plots") == exits.ACCEPTED
    printed = capsys.readouterr()
    assert "shot-noise: passed" in printed.out
    assert "server.volts_per_snu" in printed.out
    assert "kept in telecom.calibration" in printed.out
    assert "1/2 electronic-noise" in printed.err
    assert (tmp_path / "plots" / "shot-noise.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "plots" / "electronic-noise.png").exists()
    assert len(list((tmp_path / "telecom.calibration").glob("*.toml"))) == 3


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("telecom", "--only", "digitizer-range", "--json", "--store", "here") == exits.ACCEPTED
    told = json.loads(capsys.readouterr().out)
    assert (told["passed"], told["store"], told["error"]) == (True, "here", None)
    quantity = told["results"][1]["quantities"][0]
    low, high = quantity["interval_95"]
    assert low < quantity["value"] < high


def test_a_failure_has_its_own_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("telecom", "--only", "beauty") == exits.USAGE
    assert "no procedure 'beauty'" in capsys.readouterr().err
    text = (Path(__file__).parents[3] / "examples" / "telecom.bench.toml").read_text(encoding="utf-8")
    heading = "[world.server_receiver]\n"
    broken = tmp_path / "broken.bench.toml"
    broken.write_text(text.replace(heading, f'{heading}saturation_power = "30 mW"\n'), encoding="utf-8")
    assert call(str(broken), "--only", "shot-noise") == exits.ABORTED
    printed = capsys.readouterr()
    assert "the receiver saturates" in printed.err
    assert "FAILED" in printed.out
