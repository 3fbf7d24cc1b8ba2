"""Trips are kept until a person re-arms the bench, whatever the bench file is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl import locks, trips
from labctl.config import BenchConfig, load_bench
from labctl.errors import InterlockError, TripStands
from labctl.shipped import bench_path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(locks.FOLDER_VARIABLE, str(tmp_path / "locks"))
    return tmp_path / "locks"


@pytest.fixture
def bench() -> BenchConfig:
    return load_bench(bench_path("ideal")).model_copy(update={"visa_library": "@py"})


def test_nothing_stands_at_first(bench: BenchConfig) -> None:
    assert trips.standing(bench) == ()
    trips.refuse_tripped(bench)
    trips.rearm(bench)


def test_a_trip_stands_until_it_is_rearmed(bench: BenchConfig) -> None:
    trips.keep(bench, "laser: too warm", 1_700_000_000.0)
    with pytest.raises(TripStands, match=r"laser: too warm \(bench ideal, 2023-11-14T22:13:20") as caught:
        trips.refuse_tripped(bench)
    assert isinstance(caught.value, InterlockError)
    assert "labctl bench rearm" in caught.value.remedy
    trips.rearm(bench)
    trips.refuse_tripped(bench)
    trips.keep(bench, "again", 0.0)
    assert [trip.reason for trip in trips.standing(bench)] == ["again"]


def test_another_file_with_one_of_the_instruments_does_not_get_round_it(bench: BenchConfig) -> None:
    trips.keep(bench, "laser: too warm", 0.0)
    shared = {"other": bench.instruments["laser"]}
    other = bench.model_copy(update={"name": "other", "instruments": shared})
    with pytest.raises(TripStands, match="bench other: an interlock tripped"):
        trips.refuse_tripped(other)
    elsewhere = bench.instruments["laser"].model_copy(update={"resource": "GPIB0::1::INSTR"})
    trips.refuse_tripped(bench.model_copy(update={"instruments": {"laser": elsewhere}}))


def test_a_simulated_bench_in_process_keeps_none(folder: Path) -> None:
    bench = load_bench(bench_path("ideal"))
    trips.keep(bench, "x", 0.0)
    assert trips.standing(bench) == ()
    assert not folder.exists()


@pytest.mark.parametrize(
    "content", [b"{", b'"text"', b"{}", b"\xff\xfe", b'{"bench": "b", "reason": "r", "since": "x"}']
)
def test_what_cannot_be_read_is_a_trip(bench: BenchConfig, folder: Path, content: bytes) -> None:
    trips.keep(bench, "x", 0.0)
    for path in folder.glob("*.trip"):
        path.write_bytes(content)
    with pytest.raises(TripStands, match="cannot be read"):
        trips.refuse_tripped(bench)
    trips.rearm(bench)
    trips.refuse_tripped(bench)


def test_a_link_is_not_followed(bench: BenchConfig, folder: Path, tmp_path: Path) -> None:
    trips.keep(bench, "x", 0.0)
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    path = next(folder.glob("*.trip"))
    path.unlink()
    path.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"):
        trips.rearm(bench)
    assert victim.read_text() == "untouched"


def test_they_outlast_a_restart(bench: BenchConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(locks.FOLDER_VARIABLE)
    monkeypatch.setattr(trips, "_LASTING", tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    trips.keep(bench, "x", 0.0)
    assert len(list((tmp_path / "labctl-trips").glob("*.trip"))) == len(bench.instruments)
