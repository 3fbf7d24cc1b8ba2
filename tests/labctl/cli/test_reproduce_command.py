"""``labctl reproduce``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl.cli import app, exits


@pytest.fixture(autouse=True)
def no_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABCTL_MNIST", raising=False)


def call(*words: str) -> int:
    return app.perform(["reproduce", *words], debug=False)


def test_one_figure_in_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "figures"
    assert call("leakage", "--quick", "--images", "20", "--out", str(out)) == exits.ACCEPTED
    assert {path.suffix for path in out.iterdir()} == {".png", ".pdf", ".csv", ".json"}
    printed = capsys.readouterr()
    assert printed.out.startswith("leakage: leakage.png, leakage.pdf, leakage.csv, leakage.json in ")
    assert "agrees" in printed.out
    assert "leakage: done" in printed.err


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("leakage", "--quick", "--images", "20", "--seed", "7", "--json", "--out", str(tmp_path))
    assert call(*words) == exits.ACCEPTED
    (figure,) = json.loads(capsys.readouterr().out)["figures"]
    assert (figure["figure"], figure["seed"], figure["images"]) == ("leakage", 7, 20)
    assert all(Path(path).is_file() for path in figure["files"])


def test_an_unknown_figure_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("beauty", "--out", str(tmp_path / "none")) == exits.USAGE
    assert "accuracy, plane, leakage, detection, attacks" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_more_images_than_there_are(tmp_path: Path) -> None:
    assert call("leakage", "--images", "9999", "--out", str(tmp_path)) == exits.USAGE
