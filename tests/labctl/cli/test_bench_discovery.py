"""``labctl bench list`` and ``labctl bench new``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labctl import discovery, locks
from labctl.cli import app
from labctl.shipped import bench_path
from labctl.values import FoundInstrument, Identity, Presence

Capture = pytest.CaptureFixture[str]
LIBRARY = f"{bench_path('ideal')}@labctl"
NOBODY = "TCPIP0::1.2.3.4::9::SOCKET"


def perform(*words: str) -> int:
    return app.perform(list(words), debug=False)


def test_what_is_connected(capsys: Capture) -> None:
    assert perform("bench", "list", "--library", LIBRARY) == 0
    told = capsys.readouterr()
    assert "TCPIP0::192.168.10.11::5000::SOCKET: SANTEC TSL-570" in told.out
    assert "    driver     drivers.amonics_aedfa:AEDFA\n" in told.out
    assert told.err == "labctl: 10 of 10 that answered are recognised\n"


def test_what_is_connected_for_a_program(capsys: Capture) -> None:
    assert perform("bench", "list", "--library", LIBRARY, "--resource", NOBODY, "--all", "--json") == 0
    rows = {row["resource"]: row for row in json.loads(capsys.readouterr().out)["found"]}
    assert len(rows) == 11
    laser = rows["TCPIP0::192.168.10.11::5000::SOCKET"]
    assert (laser["name"], laser["state"], laser["kind"]) == (None, "recognised", "Laser")
    assert laser["identity"]["model"] == "TSL-570"
    assert (rows[NOBODY]["driver"], rows[NOBODY]["state"]) == (None, "could not connect")
    assert rows[NOBODY]["problem"]


def test_only_what_is_named_is_asked(capsys: Capture) -> None:
    assert perform("bench", "list", "--library", LIBRARY, "--resource", NOBODY) == 0
    told = capsys.readouterr()
    assert told.err == "labctl: 0 of 0 that answered are recognised; 10 not asked; 1 could not connect\n"
    assert "--all asks it too" in told.out


def test_the_instruments_of_a_bench_file_by_name(capsys: Capture) -> None:
    assert perform("bench", "list", "ideal") == 0
    told = capsys.readouterr()
    assert told.out.startswith("laser: TCPIP0::192.168.10.11::5000::SOCKET: SANTEC TSL-570")
    assert told.err == "labctl: 10 of 10 that answered are recognised\n"
    assert perform("bench", "list", "ideal", "--json") == 0
    told_json = json.loads(capsys.readouterr().out)
    assert told_json["library"] == LIBRARY
    assert told_json["found"][6]["name"] == "amplifier"


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[FoundInstrument]:
    """What is found, whoever looks."""
    found = [
        FoundInstrument("A", Presence.RECOGNISED, "drivers.x:Y", "Laser", Identity("ACME", "L")),
        FoundInstrument("B", Presence.UNKNOWN, problem="says 'moo'"),
        FoundInstrument("C", Presence.SILENT, problem="no answer"),
        FoundInstrument("D", Presence.HELD, problem="is held", holder="labctl run digits", holder_pid=7),
    ]
    monkeypatch.setattr(discovery, "look_around", lambda search: found)
    return found


def test_every_state_is_told_and_the_last_line_counts_what_answered(
    answering: list[FoundInstrument], capsys: Capture
) -> None:
    assert perform("bench", "list", "--json") == 0
    told = capsys.readouterr()
    assert told.err == "labctl: 1 of 2 that answered are recognised; 1 held by another program; 1 silent\n"
    rows: list[dict[str, Any]] = json.loads(told.out)["found"]
    assert [row["state"] for row in rows] == [
        "recognised",
        "answered, but unknown",
        "silent",
        "held by another program",
    ]
    assert [row["holder"] for row in rows] == [None, None, None, {"program": "labctl run digits", "pid": 7}]


def test_a_new_bench_file_is_written_once(answering: list[FoundInstrument], tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "mine.bench.toml"
    assert perform("bench", "new", str(path)) == 0
    assert "1 of 2 that answered" in capsys.readouterr().err
    text = path.read_text()
    assert 'name = "mine"' in text
    assert perform("bench", "new", str(path)) == 2
    assert "exists" in capsys.readouterr().err
    assert path.read_text() == text
    assert perform("bench", "check", str(path)) == 2
    assert "keys are missing: sample_rate; [laser] wavelength, power" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["mine.txt", "nowhere/mine.toml"])
def test_a_file_that_cannot_be(answering: list[FoundInstrument], tmp_path: Path, name: str) -> None:
    assert perform("bench", "new", str(tmp_path / name)) == 2


@pytest.mark.parametrize("library", ["@labctl", LIBRARY])
def test_a_simulated_lab_gives_no_bench_file(tmp_path: Path, capsys: Capture, library: str) -> None:
    assert perform("bench", "new", str(tmp_path / "mine.toml"), "--library", library) == 2
    told = capsys.readouterr().err
    assert "is a simulated lab" in told
    assert "labctl sim serve" in told
    assert not list(tmp_path.iterdir())


def test_an_instrument_in_use_is_named_with_who_uses_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    monkeypatch.setenv(locks.FOLDER_VARIABLE, str(tmp_path))
    resource = "TCPIP0::127.0.0.1::1::SOCKET"
    held = locks.take("laser", resource)
    assert perform("bench", "list", "--resource", resource) == 0
    told = capsys.readouterr()
    assert f"{resource}: held by another program\n" in told.out
    assert "1 held by another program" in told.err
    held.release()
