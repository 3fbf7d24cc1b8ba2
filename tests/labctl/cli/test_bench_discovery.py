"""``labctl bench list`` and ``labctl bench new`` on a simulated lab."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl import locks
from labctl.cli import app
from labctl.cli.bench_discovery import look_around
from labctl.shipped import bench_path

Capture = pytest.CaptureFixture[str]
LIBRARY = f"{bench_path('ideal')}@labctl"


def perform(*words: str) -> int:
    return app.perform(list(words), debug=False)


def test_what_is_connected(capsys: Capture) -> None:
    assert perform("bench", "list", "--library", LIBRARY) == 0
    text = capsys.readouterr().out
    assert "TCPIP0::192.168.10.11::5000::SOCKET: SANTEC TSL-570" in text
    assert "    driver     drivers.amonics_aedfa:AEDFA\n" in text


def test_what_is_connected_for_a_program(capsys: Capture) -> None:
    assert perform("bench", "list", "--library", LIBRARY, "--resource", "TCPIP0::1.2.3.4::9::SOCKET", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["found"]
    assert len(rows) == 11
    assert rows[0]["kind"] == "Laser"
    assert rows[0]["identity"]["model"] == "TSL-570"
    assert rows[-1]["driver"] is None
    assert rows[-1]["problem"]


def test_a_new_bench_file_is_written_once(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "mine.bench.toml"
    assert perform("bench", "new", str(path), "--library", LIBRARY) == 0
    assert "10 of 10" in capsys.readouterr().err
    text = path.read_text()
    assert 'name = "mine"' in text
    assert perform("bench", "new", str(path), "--library", LIBRARY) == 2
    assert "exists" in capsys.readouterr().err
    assert path.read_text() == text
    assert perform("bench", "check", str(path)) == 2
    assert "is missing" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["mine.txt", "nowhere/mine.toml"])
def test_a_file_that_cannot_be(tmp_path: Path, name: str) -> None:
    assert perform("bench", "new", str(tmp_path / name), "--library", LIBRARY) == 2


def test_an_instrument_in_use_is_not_disturbed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(locks.FOLDER_VARIABLE, str(tmp_path))
    resource = "TCPIP0::127.0.0.1::1::SOCKET"
    held = locks.take("laser", resource)
    (found,) = [each for each in look_around("@py", [resource], []) if each.resource == resource]
    assert "is held by" in found.problem
    held.release()
    (found,) = [each for each in look_around("@py", [resource], []) if each.resource == resource]
    assert "is held by" not in found.problem
