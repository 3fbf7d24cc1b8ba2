"""``labctl verify``, ``recover``, ``diff`` and ``run --resume``, as a shell sees them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import h5py
import pytest

from labctl.cli import app
from labctl.events import Event, EventBus
from labctl.record import open_run, schema
from labctl.record.table import BLOCK
from labctl.record.writer import RunWriter
from tests.labctl import sample_run


def perform(*words: str | Path) -> int:
    return app.perform([str(word) for word in words], debug=False)


def record(folder: Path, events: Iterable[Event]) -> Path:
    made, bus = RunWriter(folder, "sample", 7), EventBus()
    made.attach(bus)
    for event in events:
        bus.publish(event)
    made.close()
    assert made.path is not None
    return made.path


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return record(tmp_path / "whole", sample_run.whole_run(20))


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    path = record(tmp_path / "damaged", sample_run.whole_run(20))
    with h5py.File(path, "r+") as file:
        file["images/scores"][7, 0] += 1
    return path


def test_verify(whole: Path, damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert perform("verify", whole) == 0
    assert capsys.readouterr().out == "whole: 60 records, status complete\n"
    assert perform("verify", damaged) == 1
    assert "damaged: /images: 1 of 20 rows do not agree with their checksum: 7" in capsys.readouterr().out
    assert perform("verify", damaged, "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["records"], len(found["damage"])) == ("complete", 60, 1)
    assert perform("verify", whole.with_name("nothing.h5")) == 1
    assert "no such file" in capsys.readouterr().err


def test_verify_says_where_there_is_nothing_to_verify(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with h5py.File(whole, "r+") as file:
        file.attrs["format_version"] = 1
        del file.attrs[schema.CHECKSUM], file["committed"]
        file["committed"] = [20, 20, 20]
    assert perform("verify", whole) == 1
    assert "made no checksums" in capsys.readouterr().err


def test_recover(whole: Path, damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert perform("recover", whole) == 0
    assert capsys.readouterr().out == f"nothing to recover: {whole} is whole, with 20 images\n"
    left = record(tmp_path / "left", [sample_run.started(), *sample_run.images(BLOCK)])
    assert perform("recover", left) == 0
    assert capsys.readouterr().out == f"recovered: {BLOCK} images in {left}\n"
    assert perform("recover", damaged, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["changed"], found["original"]) == (7, True, f"{damaged}.damaged")
    assert perform("verify", damaged) == 0
    assert len(open_run(damaged).images["index"]) == 7


def test_recover_tells_what_was_damaged(damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert perform("recover", damaged) == 0
    said = capsys.readouterr().err
    assert "labctl: damaged: /images: 1 of 20 rows" in said
    assert f"labctl: the damaged file: {damaged}.damaged" in said


def test_diff(whole: Path, damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same, other = (record(tmp_path / str(seed), sample_run.whole_run(20, seed=seed)) for seed in (7, 8))
    assert perform("diff", whole, same) == 0
    assert capsys.readouterr().out == "equal, provenance aside\n"
    assert perform("diff", whole, other) == 1
    assert "images/scores: 20 of 20 rows differ, the first is row 0" in capsys.readouterr().out
    assert perform("diff", whole, other, "--json") == 1
    assert json.loads(capsys.readouterr().out)["equal"] is False
    assert perform("diff", whole, damaged) == 1
    assert "checksum" in capsys.readouterr().err


def test_resume_stands_alone(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ("digits",),
        ("--seed", "3"),
        ("--bench", "ideal"),
        ("--images", "4"),
        ("--data", "."),
        ("--out", "x"),
    ):
        assert perform("run", "--resume", whole, *words) == 2
        assert "the file says which run it is" in capsys.readouterr().err
    assert perform("run") == 2
    assert "neither RUN nor --resume is given" in capsys.readouterr().err
    assert perform("run", "--resume", whole) == 2
    assert "the run is complete" in capsys.readouterr().err


def test_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """From a run that ended after one of two images; the other is done by the command."""
    from labctl.engine import RunControl
    from labctl.events import ImageFinished
    from labctl.experiment import load_experiment
    from labctl.session import run_experiment

    bus, control = EventBus(), RunControl()
    bus.subscribe(ImageFinished, lambda event: control.abort("enough"))
    outcome = run_experiment(load_experiment("digits", images=2), bus, control, tmp_path)
    assert outcome.run_file is not None
    capsys.readouterr()
    assert perform("run", "--resume", outcome.run_file, "--dry-run") == 0
    assert "1 of 2 images are done" in capsys.readouterr().err
    assert perform("run", "--resume", outcome.run_file, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["run_file"]) == (2, str(outcome.run_file))
    assert open_run(outcome.run_file).status == "complete"
