"""A run's log: JSON lines beside the run file, from the event bus and from Python's logging."""

from __future__ import annotations

import json
import logging
import threading
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from labctl import logs
from labctl.events import Event, EventBus
from labctl.logs import Level, RunLog
from labctl.session import run
from tests.labctl import sample_run

MOMENT_S = 1_769_904_000.0


def logged(path: Path | None, events: Iterable[Event], level: Level = "info") -> list[dict[str, Any]]:
    bus = EventBus()
    RunLog(lambda: path, level, lambda: MOMENT_S).attach(bus)
    for event in events:
        bus.publish(event)
    return lines(path) if path else []


def lines(run_file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run_file.with_suffix(".log").read_text("ascii").splitlines()]


def test_what_stands_in_it(tmp_path: Path) -> None:
    found = logged(tmp_path / "x.h5", sample_run.whole_run(3))
    assert [line["event"] for line in found] == ["RunStarted", "LightOff", "RunFinished"]
    assert {line["time"] for line in found} == {"2026-02-01T00:00:00.000+00:00"}
    assert {line["source"] for line in found} == {"labctl.run"}
    assert (found[0]["name"], found[0]["seed"], found[0]["bench"]) == ("sample", 7, "ideal")
    assert (found[-1]["status"], found[-1]["images"]) == ("complete", 3)
    assert not [thread for thread in threading.enumerate() if thread.name == "run log"]


def test_levels(tmp_path: Path) -> None:
    every = logged(tmp_path / "a.h5", sample_run.whole_run(3), "debug")
    assert [line["event"] for line in every].count("LayerMeasured") == 6
    assert [line["image"] for line in every if line["event"] == "ImageFinished"] == [0, 1, 2]
    alarm = logged(tmp_path / "b.h5", sample_run.alarmed_run(), "warning")
    assert [(line["event"], line["level"]) for line in alarm] == [("AlarmRaised", "warning")]
    lit = [sample_run.started(), sample_run.light_off(dark=False), sample_run.finished(0, status="failed", cause="x")]
    found = logged(tmp_path / "c.h5", lit, "error")
    assert [line["event"] for line in found] == ["LightOff", "RunFinished"]
    assert found[0]["not_confirmed"] == {"laser": "laser: does not answer"}


def test_what_drivers_say(tmp_path: Path) -> None:
    levels = {name: logging.getLogger(name).level for name in logs.SOURCES}
    bus, path = EventBus(), tmp_path / "x.h5"
    RunLog(lambda: path, "info", lambda: MOMENT_S).attach(bus)
    log = logging.getLogger("drivers.some_laser")
    log.info("%s is %d", "laser", 5, extra={"instrument": "laser", "power_w": float("inf"), "what": {1, 2}})
    log.debug("not this")
    for handler in logging.getLogger("drivers").handlers:  # pytest's own would break down
        handler.emit(logging.makeLogRecord({"msg": "%d", "args": ("no number",), "name": "drivers"}))
    try:
        raise ValueError("µ")
    except ValueError:
        log.exception("broke\nin two")
    logging.getLogger("elsewhere").info("not this")
    bus.publish(sample_run.finished())
    found = lines(path)
    assert [line["message"] for line in found[:3]] == ["laser is 5", "%d", "broke\nin two"]
    assert (found[0]["instrument"], found[0]["power_w"], found[0]["source"]) == ("laser", None, "drivers.some_laser")
    assert "ValueError: µ" in found[2]["exception"]
    assert {name: logging.getLogger(name).level for name in logs.SOURCES} == levels
    assert not any(isinstance(h, logs._Listener) for name in logs.SOURCES for h in logging.getLogger(name).handlers)


def test_what_was_said_before_there_was_a_run_file(tmp_path: Path) -> None:
    bus, path = EventBus(), None
    RunLog(lambda: path).attach(bus)
    logging.getLogger("drivers").warning("early")
    path = tmp_path / "x.h5"
    bus.publish(sample_run.finished())
    assert [line.get("message") for line in lines(path)] == ["early", None]


def test_without_a_run_file_there_is_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert logged(None, sample_run.whole_run(3)) == []
    assert not list(tmp_path.iterdir())


def test_it_rotates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_BYTES", 2000)
    logged(tmp_path / "x.h5", sample_run.whole_run(100), "debug")
    assert {path.name for path in tmp_path.iterdir()} == {"x.log", *(f"x.log.{number}" for number in range(1, 5))}
    assert all(path.stat().st_size <= 2000 for path in tmp_path.iterdir())


@pytest.mark.parametrize("taken", ["file", "link", "no folder"])
def test_what_cannot_be_written_ends_no_run(
    tmp_path: Path, taken: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = tmp_path / "x.h5", tmp_path / "other"
    other.write_text("precious")
    if taken == "file":
        path.with_suffix(".log").write_text("precious")
    elif taken == "link":
        path.with_suffix(".log").symlink_to(other)
    else:
        path = tmp_path / "none" / "x.h5"
    bus = EventBus()
    RunLog(lambda: path).attach(bus)
    for event in sample_run.whole_run(3):
        bus.publish(event)
    assert other.read_text() == "precious"
    assert taken == "no folder" or path.with_suffix(".log").read_text() == "precious"
    assert capsys.readouterr().err == ""


def test_a_full_disk_is_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is lost of the log shows when its file is closed; a thread that dies of it would fail this test."""
    monkeypatch.setattr(logs, "_file", lambda path: logs._Quiet("/dev/full"))
    bus = EventBus()
    RunLog(lambda: tmp_path / "x.h5").attach(bus)
    for event in sample_run.whole_run(3):
        bus.publish(event)
    assert capsys.readouterr().err == ""


def test_a_disk_that_hangs_does_not_hold_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = threading.Event()
    made = logs._file
    monkeypatch.setattr(logs, "_file", lambda path: (hanging.wait(30), made(path))[1])
    monkeypatch.setattr(logs, "PATIENCE_S", 0.05)
    monkeypatch.setattr(logs, "WAITING", 5)
    bus = EventBus()
    RunLog(lambda: tmp_path / "x.h5", "debug").attach(bus)
    for event in sample_run.whole_run(20):
        bus.publish(event)
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "run log")
    assert thread.daemon
    hanging.set()
    thread.join()
    found = lines(tmp_path / "x.h5")
    assert len(found) == 6
    assert found[-1]["left_out"] > 50


def test_a_run_leaves_its_log_and_its_exchange(tmp_path: Path) -> None:
    outcome = run("digits", images=3, out_dir=tmp_path)
    assert outcome.run_file is not None
    found = lines(outcome.run_file)
    assert "laser" in {line.get("instrument") for line in found}
    assert [line["state"] for line in found if line.get("event") == "StateChanged"] == [
        "preparing",
        "running",
        "stopping",
        "stopped",
    ]
    assert found[-1]["event"] == "RunFinished"


def test_warnings_of_python_are_not_lost(tmp_path: Path) -> None:
    with warnings.catch_warnings(action="always"):
        logging.captureWarnings(True)
        try:
            bus = EventBus()
            RunLog(lambda: tmp_path / "x.h5").attach(bus)
            warnings.warn("odd", UserWarning, stacklevel=1)
            bus.publish(sample_run.finished())
        finally:
            logging.captureWarnings(False)
    assert "odd" in lines(tmp_path / "x.h5")[0]["message"]
