"""``labctl export`` and ``labctl report`` on a run file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl.cli import app
from labctl.events import EventBus
from labctl.record import RunRecorder
from tests.labctl import sample_run


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    writer, bus = RunRecorder(tmp_path, "sample", 7), EventBus()
    writer.attach(bus)
    for event in sample_run.whole_run(5):
        bus.publish(event)
    writer.close()
    assert writer.path is not None
    return writer.path


def perform(*words: str | Path) -> int:
    return app.perform([str(word) for word in words], debug=False)


def test_export(run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert perform("export", run_file, "--csv", "--json") == 0
    files = [Path(name) for name in json.loads(capsys.readouterr().out)["files"]]
    assert [path.parent for path in files] == [tmp_path] * 3
    assert all(path.is_file() for path in files)
    assert perform("export", run_file, "--csv", "--out", tmp_path / "csv") == 0
    assert len(capsys.readouterr().out.splitlines()) == len(list((tmp_path / "csv").iterdir())) == 3


def test_report(run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert perform("report", run_file) == 0
    assert capsys.readouterr().out == f"{run_file.with_suffix('.html')}\n"
    assert perform("report", run_file, "--out", tmp_path / "page.html", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"files": [str(tmp_path / "page.html")]}
    assert (tmp_path / "page.html").read_text("utf-8") == run_file.with_suffix(".html").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["export", "RUN"], 2, "--csv"),
        (["export", "none.h5", "--csv"], 1, "no such file"),
        (["report", "none.h5"], 1, "no such file"),
        (["report", "RUN", "--out", "/nowhere/x.html"], 1, "cannot be written"),
        (["export", "RUN", "--csv", "--out", "/dev/null/x"], 1, "cannot be written"),
    ],
)
def test_refusals(run_file: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int, said: str) -> None:
    assert perform(*(str(run_file) if word == "RUN" else word for word in words)) == status
    assert said in capsys.readouterr().err
