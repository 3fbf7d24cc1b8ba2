"""The command as a process of its own, on the shipped simulated bench."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labctl.record import open_run
from tests.labctl.run_files import differences

ROOT = Path(__file__).resolve().parents[3]


def command(*words: str) -> list[str]:
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from labctl.cli import main; main()"
    return [sys.executable, "-W", "error", "-c", program, *words]


def labctl(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), cwd=folder, capture_output=True, text=True, check=False)


def test_equal_seeds_give_equal_files_and_the_object_agrees_with_the_file(tmp_path: Path) -> None:
    one, other = (labctl(tmp_path, "run", "digits", "--images", "24", "--seed", "5", "--json") for _ in range(2))
    assert (one.returncode, other.returncode) == (0, 0), one.stderr + other.stderr
    found = json.loads(one.stdout)
    run = open_run(Path(found["run_file"]))
    assert found["run_file"].startswith(str(tmp_path / "runs"))
    assert found["run_file"] != json.loads(other.stdout)["run_file"]
    assert (run.status, run.started.seed, run.started.simulated) == ("complete", 5, True)
    assert len(run.images["index"]) == found["images"] == 24
    assert run.images["accuracy"][-1] == found["accuracy"]
    assert run.images["excess"][-1] == found["excess_noise"]["value"]
    assert run.images["correct"][-1] == np.sum(run.images["label"] == run.images["prediction"])
    assert run.light_off is not None
    assert run.light_off.dark
    assert differences(run.path, Path(json.loads(other.stdout)["run_file"])) == []


def test_a_profile_tells_where_an_image_went(tmp_path: Path) -> None:
    told = labctl(tmp_path, "run", "digits", "--images", "40", "--profile", "--json")
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)["profile"]
    assert found["images"] == 40
    assert {"twin", "labctl", "drivers"} <= {module["room"] for module in found["modules"]}
    assert sum(module["share"] for module in found["modules"]) == pytest.approx(1, abs=0.01)
    assert found["seconds"]["before"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_ends_in_order(tmp_path: Path, number: signal.Signals) -> None:
    """The signal is sent when the first progress line appears, a tenth of the way."""
    child = subprocess.Popen(
        command("demo", "--json"), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    told = ""
    while "images," not in told:
        line = child.stderr.readline()
        assert line, told
        told += line
    child.send_signal(number)
    shown, rest = child.communicate()
    assert child.returncode == 128 + number, told + rest
    assert "light off, read back" in rest
    assert "Traceback" not in rest
    found = json.loads(shown)
    assert (found["verdict"], found["error"]["type"]) == ("aborted", "RunAborted")
    assert 36 <= found["images"] < 360
    run = open_run(Path(found["run_file"]))
    assert run.status == "aborted"
    assert len(run.images["index"]) == found["images"]
    assert run.light_off is not None
    assert run.light_off.dark


def test_an_alarm_stops_the_run(tmp_path: Path) -> None:
    greedy = (ROOT / "examples" / "digits.toml").read_text() + "\n[adversary]\nclient_gain = 10.0\n"
    (tmp_path / "greedy.toml").write_text(greedy.replace("gain = 2.0 ", "gain = 1.1 "))
    done = labctl(tmp_path, "run", "greedy.toml", "--json")
    assert done.returncode == 3, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"] == "alarm"
    assert found["images"] < 360
    run = open_run(Path(found["run_file"]))
    assert run.alarm is not None
    assert run.alarm.excess > run.alarm.threshold


def test_too_many_images_are_refused(tmp_path: Path) -> None:
    done = labctl(tmp_path, "demo", "--images", "361", "--json")
    assert done.returncode == 2, done.stderr
    assert "360" in json.loads(done.stdout)["error"]["message"]
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_opens_and_writes_nothing(tmp_path: Path) -> None:
    done = labctl(tmp_path, "run", "digits", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 360
    assert list(tmp_path.iterdir()) == []


def test_an_output_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    done = labctl(tmp_path, "demo", "--images", "1", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["error"]["type"] == "RecordError"
    assert "light off, read back" in done.stderr


def test_the_shipped_bench_can_be_checked_and_made_safe(tmp_path: Path) -> None:
    checked = labctl(tmp_path, "bench", "check", "ideal")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count(": ok\n") == 10
    safe = labctl(tmp_path, "bench", "safe", "ideal")
    assert safe.returncode == 0, safe.stdout + safe.stderr
    assert safe.stdout.count(": dark\n") == 10


def test_a_terminal_without_greek_letters_ends_no_run(tmp_path: Path) -> None:
    done = subprocess.run(
        command("demo", "--images", "2"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "\\u03bc = 4" in done.stdout
