"""``labctl bench check`` and ``labctl bench safe``, with benches that answer as told."""

from __future__ import annotations

import json
import os
import re
import signal
import tomllib
from pathlib import Path

import pytest

from labctl import trips
from labctl.cli import app
from labctl.config import load_bench
from labctl.shipped import bench_path
from labctl.upkeep import BenchReport
from labctl.values import Identity, SafeState
from tests.labctl import sample_run

Capture = pytest.CaptureFixture[str]

LASER = BenchReport(
    "laser",
    "drivers.santec_tsl570:TSL570",
    "TCPIP0::192.168.10.11::5000::SOCKET",
    Identity("SANTEC", "TSL-570", "1701"),
    {"wavelength_m": 1.55012e-6, "emission": False},
)
LOST = BenchReport("scope", "drivers.x:Y", "TCPIP0::h::5025::SOCKET", problems=("scope: does not answer",))


@pytest.fixture
def bench_file(tmp_path: Path) -> str:
    path = tmp_path / "b.toml"
    path.write_text(bench_path("ideal").read_text())
    return str(path)


def perform(*words: str) -> int:
    return app.perform(list(words), debug=False)


def test_a_healthy_bench(bench_file: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    asked: list[Path] = []
    monkeypatch.setattr("labctl.upkeep.check_bench", lambda path, exchange: asked.append(path) or [LASER])
    assert perform("bench", "check", bench_file) == 0
    assert asked == [Path(bench_file)]
    text = capsys.readouterr().out
    assert text.startswith("laser: ok\n")
    for part in ("SANTEC TSL-570 1701", LASER.driver, LASER.resource, "wavelength_m 1.55012e-06", "emission False"):
        assert part in text
    assert text.splitlines()[-1].startswith("calibration: design values")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("calibrated_at = 2020-01-01T00:00:00Z", r"\d+\.\d hours old$"),
        ("calibrated_at = 2020-01-01T00:00:00Z\ncalibration_valid_hours = 12", r"hours old, STALE .*= 12\)$"),
        ("", r"not dated"),
    ],
)
def test_the_age_of_the_calibration(
    bench_file: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture, lines: str, told: str
) -> None:
    monkeypatch.setattr("labctl.upkeep.check_bench", lambda path, exchange: [LASER])
    path = Path(bench_file)
    path.write_text(f"{lines}\n{path.read_text()}")
    assert perform("bench", "check", bench_file) == 0
    assert re.search(told, capsys.readouterr().out.strip())


def test_every_byte_of_a_check_can_be_kept(bench_file: str, tmp_path: Path) -> None:
    kept = tmp_path / "exchange.jsonl"
    assert perform("bench", "check", bench_file, "--exchange", str(kept)) == 0
    assert "*IDN?" in kept.read_text()
    assert perform("bench", "check", bench_file, "--exchange", str(kept)) == 2


def test_a_snapshot_is_one_json_object(bench_file: str, capsys: Capture) -> None:
    assert perform("bench", "snapshot", bench_file) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bench"] == bench_file
    assert found["instruments"]["laser"]["model"] == "TSL-570"
    assert found["instruments"]["laser"]["diode_on"] is False


def test_one_instrument_with_a_problem(bench_file: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("labctl.upkeep.check_bench", lambda path, exchange: [LASER, LOST])
    assert perform("bench", "check", bench_file) == 1
    shown = capsys.readouterr()
    assert "scope: PROBLEM" in shown.out
    assert "problem    scope: does not answer" in shown.out
    assert shown.err == "labctl: 1 of 2 instruments have problems: scope\n"


def test_a_dark_bench(bench_file: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("labctl.upkeep.safe_bench", lambda path, say: sample_run.light_off().readback)
    assert perform("bench", "safe", bench_file) == 0
    assert capsys.readouterr().out.startswith("laser: dark\n    read back  emission False\n")


def test_a_bench_that_stays_lit(bench_file: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("labctl.upkeep.safe_bench", lambda path, say: sample_run.light_off(dark=False).readback)
    assert perform("bench", "safe", bench_file) == 5
    shown = capsys.readouterr()
    assert "laser: NOT CONFIRMED DARK" in shown.out
    assert "error: not confirmed dark: laser" in shown.err


def test_a_signal_does_not_keep_a_bench_lit(bench_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def safe_bench(path: Path, say: object) -> tuple[SafeState, ...]:
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("dark")
        return sample_run.light_off().readback

    monkeypatch.setattr("labctl.upkeep.safe_bench", safe_bench)
    assert perform("bench", "safe", bench_file) == 143
    assert done == ["dark"]


def test_technical_noise_as_lines_for_the_bench_file(capsys: Capture) -> None:
    assert app.perform(["bench", "technical-noise", "telecom", "--images", "3"], debug=False) == 0
    lines = tomllib.loads(capsys.readouterr().out)  # all but the keys is comment
    assert lines.keys() == {"technical_excess", "technical_excess_se", "technical_modes", "technical_mean_photons"}
    assert (lines["technical_modes"], lines["technical_mean_photons"]) == ([32, 32], 4.0)


def test_technical_noise_as_an_object(capsys: Capture) -> None:
    words = ["bench", "technical-noise", "ideal", "--images", "3", "--seed", "9", "--json"]
    assert app.perform(words, debug=False) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["bench"], found["images"], found["seed"], len(found["layers"])) == ("ideal", 3, 9, 2)
    assert found["technical_excess_snu"] == pytest.approx(found["excess_snu"] - found["honest_excess_snu"])


# --- rearm ------------------------------------------------------------------------------------------


@pytest.fixture
def tripped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bench of real instruments, one of whose interlocks tripped."""
    monkeypatch.setenv("LABCTL_LOCKS", str(tmp_path / "locks"))
    path = tmp_path / "real.bench.toml"
    path.write_text(bench_path("ideal").read_text().replace('visa_library = "@labctl"', 'visa_library = "@py"'))
    trips.keep(load_bench(path), "laser: too warm", 1_700_000_000.0)
    return str(path)


@pytest.mark.parametrize(("typed", "status"), [("ideal", 0), ("  ideal ", 0), ("yes", 4), ("", 4), (None, 4)])
def test_rearm_asks_for_the_benchs_name(
    tripped: str, typed: str | None, status: int, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        if typed is None:
            raise EOFError
        return typed

    monkeypatch.setattr("builtins.input", answer)
    assert perform("bench", "rearm", tripped) == status
    assert len(asked) == 1
    assert "ideal" in asked[0]
    told = capsys.readouterr()
    assert "tripped: laser: too warm (bench ideal, 2023-11-14T22:13:20+00:00)" in told.out
    assert ("re-armed" in told.out) == (status == 0)
    assert bool(trips.standing(load_bench(Path(tripped)))) == (status != 0)


def test_rearm_without_asking(tripped: str, capsys: Capture) -> None:
    assert perform("bench", "rearm", tripped, "--yes") == 0
    assert perform("bench", "rearm", tripped) == 0
    assert "no interlock stands tripped" in capsys.readouterr().out


def test_a_run_on_a_tripped_bench_is_refused_unopened(tripped: str, tmp_path: Path, capsys: Capture) -> None:
    status = perform("run", "digits", "--bench", tripped, "--images", "1", "--out", str(tmp_path / "runs"))
    assert status == 4
    told = capsys.readouterr().err
    assert "an interlock tripped and was not re-armed: laser: too warm" in told
    assert "labctl bench rearm" in told


def test_check_tells_of_a_trip(tripped: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("labctl.upkeep.check_bench", lambda path, exchange: [LASER])
    assert perform("bench", "check", tripped) == 0
    assert "tripped: laser: too warm" in capsys.readouterr().out
