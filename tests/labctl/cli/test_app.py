"""The command as a whole: help, version, start-up, and how errors leave it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from labctl.cli import app, main
from labctl.errors import LabctlError
from labctl.version import __version__

ROOT = Path(__file__).resolve().parents[3]
HEAVY = ("numpy", "scipy", "pydantic", "h5py", "rich", "labctl.config", "labctl.session", "pyvisa", "PyQt6")


def perform(*words: str) -> int:
    return app.perform(list(words), debug=False)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert perform("--help") == 0
    text = capsys.readouterr().out
    assert all(command in text for command in ("demo", "run", "bench", "--version"))


@pytest.mark.parametrize("words", [["demo", "--help"], ["run", "-h"], ["bench", "check", "--help"]])
def test_every_command_has_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert perform(*words) == 0
    assert "Usage: labctl" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert perform("--version") == 0
    assert capsys.readouterr().out == f"labctl {__version__}\n"


def test_help_loads_nothing_heavy_and_starts_at_once() -> None:
    """Below 0.3 s of processor time, the interpreter's start included; best of three."""
    script = (
        "import sys, labctl.cli\n"
        "try: labctl.cli.main(['--help'])\n"
        f"except SystemExit: print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    best = float("inf")
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.stderr == "[]\n"
    assert best < 0.3


def test_no_arguments_show_the_help_as_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert perform() == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Usage: labctl")


@pytest.mark.parametrize(
    "words",
    [
        ["bogus"],
        ["run"],
        ["run", "digits", "mnist"],
        ["demo", "--bogus"],
        ["demo", "--images", "0"],
        ["demo", "--images", "many"],
        ["demo", "--seed", "-1"],
        ["demo", "--seed", str(2**63)],
        ["bench", "bogus"],
        ["run", "no-such-run"],
        ["run", "no/such/run.toml"],
        ["run", "digits", "--bench", "no-such-bench"],
        ["bench", "check", "no-such-bench"],
        ["bench", "safe", "no/such/bench.toml"],
    ],
)
def test_usage_and_configuration_errors(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert perform(*words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("labctl: error: ")
    assert "\nlabctl: remedy: " in shown.err
    assert "Traceback" not in shown.err


@pytest.mark.parametrize("words", [["demo", "--images", "many"], ["run"], ["run", "no-such-run"]])
def test_with_json_an_error_is_one_object(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert perform(*words, "--json") == 2
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"error", "run_file"}
    assert found["error"].keys() == {"type", "message", "remedy"}
    assert found["error"]["type"] == "ConfigError"
    assert found["run_file"] is None


def failing(error: BaseException) -> object:
    def load(*arguments: object, **options: object) -> NoReturn:
        raise error

    return load


def test_an_unforeseen_error_is_told_without_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("labctl.experiment.load_experiment", failing(ZeroDivisionError("oh")))
    assert perform("demo", "--json") == 1
    shown = capsys.readouterr()
    assert json.loads(shown.out)["error"]["type"] == "ZeroDivisionError"
    assert "ZeroDivisionError: oh" in shown.err
    assert "Traceback" not in shown.err


@pytest.mark.parametrize("words", [["--debug", "demo"], ["demo", "--debug"]])
def test_debug_shows_the_traceback(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("labctl.experiment.load_experiment", failing(LabctlError("oh")))
    with pytest.raises(SystemExit, match="1"):
        main(words)
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_anything_is_at_stake_ends_at_once(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(*arguments: object, **options: object) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr("labctl.experiment.load_experiment", load)
    before = signal.getsignal(number)
    assert perform("demo", "--json") == 128 + number
    assert signal.getsignal(number) is before
    shown = capsys.readouterr()
    assert json.loads(shown.out)["error"]["message"] == f"ended by {number.name}"
    assert f"ended by {number.name}" in shown.err
