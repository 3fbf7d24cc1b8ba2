"""The watchdog: when it acts, what it does, and the engine's end of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl import locks, watchdog
from labctl.bench import open_library
from labctl.clock import SteppedClock
from labctl.config import load_bench
from labctl.errors import InstrumentLost, WatchdogError
from labctl.watchdog import Job, Listener, Report, Watchdog, listen, take_over
from tests.fakes import FakeLibrary, fake_bench, use_fakes
from tests.labctl.test_bench import SAFE_ORDER, calls
from tests.labctl.test_upkeep import OWNER, REAL

NOBODY = 2**22 + 1  # beyond the largest process id that Linux gives


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)
    monkeypatch.setenv(locks.FOLDER_VARIABLE, str(tmp_path / "locks"))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    path = fake_bench(tmp_path, REAL)
    return Job(NOBODY, "labctl run digits", path, load_bench(path))


# --- when -----------------------------------------------------------------------------------------


def test_silence_counts_from_the_last_sign_of_life() -> None:
    clock = SteppedClock()
    listener = Listener(120.0, clock)
    clock.wait(119.0)
    assert listener.left_s() == 1.0
    listener.hear(b"\n")
    clock.wait(119.0)
    assert listener.left_s() == 1.0
    clock.wait(2.0)
    assert listener.left_s() < 0


def test_it_is_told_where_the_run_is_recorded() -> None:
    listener = Listener(120.0, SteppedClock())
    listener.hear(b"\n\nbeside /home/me/ru")
    assert listener.run_file is None
    listener.hear(b"ns/a run.h5\n\n")
    assert listener.run_file == Path("/home/me/runs/a run.h5")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            assert end == ends[1]


def test_an_owner_whose_pipe_is_closed_is_gone(pipe: tuple[int, int]) -> None:
    read, write = pipe
    listener = Listener(120.0, SteppedClock())
    os.write(write, b"\nbeside /x.h5\n")
    os.close(write)
    assert listen(listener, lambda: False, read)
    assert listener.run_file == Path("/x.h5")


def test_an_owner_whose_pipe_somebody_else_holds_is_gone_when_he_is(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"\n")
    assert listen(Listener(120.0, SteppedClock()), lambda: True, pipe[0])


def test_an_owner_who_is_silent_hangs(pipe: tuple[int, int]) -> None:
    clock = SteppedClock()
    listener = Listener(120.0, clock)
    clock.wait(120.0)
    assert not listen(listener, lambda: False, pipe[0])


# --- what -----------------------------------------------------------------------------------------


def test_it_takes_the_bench_over_and_says_so(job: Job, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    report = Report(tmp_path / "a.h5")
    assert take_over(job, open_library(job.bench, job.bench_path), report, SteppedClock())
    assert calls("open") == calls("safe_state") == SAFE_ORDER, "each is opened in its turn, the pumps first"
    assert FakeLibrary.latest.closed
    log = (tmp_path / "a.watchdog.log").read_text()
    assert "amplifier: dark" in log
    assert log.splitlines()[-1].split(" ", 1)[1] == "light off, read back, after 0.00 s"
    assert "labctl watchdog: light off, read back" in capfd.readouterr().err
    locks.take("laser", job.bench.instruments["laser"].resource).release()


def test_it_goes_on_until_the_light_is_off(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteppedClock()
    lost = InstrumentLost("laser", "is silent")

    def library_of(bench: object, path: object) -> FakeLibrary:
        made = open_library(job.bench, job.bench_path)
        if clock.now() < 12:
            FakeLibrary.latest.plans["laser", "open"] = lost
        return FakeLibrary.latest if made is not None else made

    monkeypatch.setattr(watchdog, "open_library", library_of)
    assert take_over(job, library_of(None, None), Report(tmp_path / "a.h5"), clock)
    assert clock.now() == 3 * watchdog.AGAIN_S
    log = (tmp_path / "a.watchdog.log").read_text()
    assert log.count("WARNING: laser: no confirmation that the light is off. Look at the bench") == 3
    assert "laser: NOT CONFIRMED DARK (laser: is silent)" in log


def test_it_gives_up_loudly(job: Job, capfd: pytest.CaptureFixture[str]) -> None:
    clock = SteppedClock()
    broken = job.bench.model_copy(update={"visa_library": "@py", "instruments": {}})
    entry = job.bench.instruments["laser"].model_copy(update={"driver": "tests.fakes:NoSuchDriver"})
    lasting = Job(job.owner, job.program, job.bench_path, broken.model_copy(update={"instruments": {"laser": entry}}))
    assert not take_over(lasting, open_library(job.bench, job.bench_path), Report(None), clock)
    said = capfd.readouterr().err
    assert said.count("there is no driver") == watchdog.TRIES
    assert "WARNING: given up after 295 s. Look at the bench" in said


def test_what_another_program_has_by_now_is_left_to_it(job: Job, capfd: pytest.CaptureFixture[str]) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(job.bench_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        clock = SteppedClock()
        assert take_over(job, open_library(job.bench, job.bench_path), Report(None), clock)
        assert clock.now() >= watchdog.LOCKS_S, "locks are given time to become free"
        assert calls("open") == []
        said = capfd.readouterr().err
        assert f"laser: python {job.bench_path} (process {other.pid}) has it now" in said
        assert "all but laser, server_awg" in said
    finally:
        other.kill()
        other.communicate()


def test_what_a_child_of_the_dead_holds_is_taken_all_the_same(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """It signed with the number of a program that is no more."""
    monkeypatch.setattr(locks.os, "getpid", lambda: NOBODY + 1)
    held = locks.take("laser", job.bench.instruments["laser"].resource)
    monkeypatch.undo()
    use_fakes(monkeypatch)
    monkeypatch.setenv(locks.FOLDER_VARIABLE, str(job.bench_path.parent / "locks"))
    assert take_over(job, open_library(job.bench, job.bench_path), Report(None), SteppedClock())
    assert calls("safe_state") == SAFE_ORDER
    held.release()


# --- the engine's end -----------------------------------------------------------------------------


def test_signs_of_life_until_it_is_dismissed(job: Job) -> None:
    dog = Watchdog(job.bench_path, job.bench)
    try:
        dog.ready()
        dog.ready()
        dog.beat()
        dog.beside(job.bench_path)
        assert os.getpgid(dog.pid) == dog.pid, "Ctrl-C in the terminal is not for it"
    finally:
        dog.dismiss()
        dog.dismiss()
    with pytest.raises(WatchdogError, match=r"has ended \(status -9\)"):
        dog.beat()


def test_one_that_is_gone_is_noticed(job: Job) -> None:
    dog = Watchdog(job.bench_path, job.bench)
    os.kill(dog.pid, 9)
    with pytest.raises(WatchdogError, match="watchdog") as caught:
        dog.ready()
    assert "switch the light off" in caught.value.remedy
    dog.dismiss()


def test_one_that_cannot_be_started(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(WatchdogError, match="cannot be started"):
        Watchdog(job.bench_path, job.bench)
