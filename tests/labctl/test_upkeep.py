"""Checking a bench, and making it dark whoever holds it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl import locks
from labctl.bench import open_bench
from labctl.config import load_bench
from labctl.errors import InstrumentBusy
from labctl.upkeep import check_bench, safe_bench, snapshot_bench
from tests.fakes import FakeLibrary, fake_bench, use_fakes
from tests.labctl.test_bench import SAFE_ORDER, calls

REAL = {'visa_library = "@labctl"': 'visa_library = "@py"'}
OWNER = """
import sys
from pathlib import Path
from labctl import locks
from labctl.config import load_bench
path = Path(sys.argv[1])
bench = load_bench(path)
held = [locks.attend(str(path.resolve()))] if bench.simulated else [
    locks.take(name, entry.resource) for name, entry in bench.instruments.items()
]
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)
    monkeypatch.setenv(locks.FOLDER_VARIABLE, str(tmp_path / "locks"))


@pytest.fixture(params=["real", "simulated"])
def owned(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A bench file, and another program that has the bench open."""
    path = fake_bench(tmp_path, REAL if request.param == "real" else None)
    other = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    yield path, other
    other.kill()
    other.communicate()


def test_check_reports_each_on_its_own(tmp_path: Path) -> None:
    changes = {
        "tests.fakes:FakeLaser": "tests.fakes:LostLaser",
        "tests.fakes:FakeAmplifier": "tests.fakes:NoSuchDriver",
    }
    reports = {report.name: report for report in check_bench(fake_bench(tmp_path, changes))}
    assert sorted(reports) == sorted(SAFE_ORDER)
    assert reports["laser"].problems == ("laser: does not answer",)
    assert reports["laser"].identity is None
    assert "no driver" in reports["amplifier"].problems[0]
    well = reports["attenuator"]
    assert str(well.identity) == "FAKE FakeAttenuator 1"
    assert well.state == {"opened": True}
    assert well.problems == ()
    assert FakeLibrary.latest.closed


def test_safe_bench_reaches_whom_it_can(tmp_path: Path) -> None:
    changes = {
        "tests.fakes:FakeLaser": "tests.fakes:LostLaser",
        "tests.fakes:FakePowerMeter": "tests.fakes:LostMeter",
    }
    states = {state.instrument: state for state in safe_bench(fake_bench(tmp_path, changes))}
    assert list(states) == SAFE_ORDER
    assert [name for name, state in states.items() if not state.dark] == ["laser"]
    assert "does not answer" in states["laser"].problem
    assert "is silent" in states["power_meter"].problem
    assert len(calls("close")) == 10 + 2, "the lost ones were tried over another connection"


def test_what_an_instrument_can_do_is_reported(tmp_path: Path) -> None:
    reports = {report.name: report for report in check_bench(fake_bench(tmp_path))}
    assert "W" in reports["laser"].limits["power_w"]
    assert "dB" in reports["attenuator"].limits["attenuation_db"]
    assert int(reports["server_awg"].limits["bits"]) > 0


def test_a_bench_in_use_is_refused_by_name(owned: tuple[Path, subprocess.Popen[str]]) -> None:
    path, other = owned
    if load_bench(path).simulated:
        with open_bench(path):
            return
    with pytest.raises(InstrumentBusy, match=f"laser: is held by .*process {other.pid}"), open_bench(path):
        raise AssertionError("opened")
    reports = check_bench(path)
    assert all(f"process {other.pid}" in report.problems[0] for report in reports)
    assert calls("open") == []


def test_the_light_goes_off_whoever_holds_the_bench(owned: tuple[Path, subprocess.Popen[str]]) -> None:
    path, other = owned
    told: list[str] = []
    states = safe_bench(path, told.append)
    assert [state.instrument for state in states] == SAFE_ORDER
    assert all(state.dark for state in states)
    assert other.wait() != 0
    (text,) = told
    assert f"process {other.pid}) was asked to stop, and did" in text
    assert ("simulated lab that it held was in it" in text) is load_bench(path).simulated
    with open_bench(path):
        pass


def test_locks_are_given_back(tmp_path: Path) -> None:
    path = fake_bench(tmp_path, REAL)
    resource = load_bench(path).instruments["laser"].resource
    with open_bench(path), pytest.raises(InstrumentBusy, match="laser"):
        locks.take("laser", resource)
    check_bench(path)
    safe_bench(path)
    locks.take("laser", resource).release()


def test_a_snapshot_of_all(tmp_path: Path) -> None:
    found = snapshot_bench(fake_bench(tmp_path))
    assert list(found) == calls("open")
    assert json.loads(json.dumps(found))["laser"]["model"] == "FakeLaser"
