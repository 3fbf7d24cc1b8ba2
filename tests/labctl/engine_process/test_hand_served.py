"""A bench by hand that is not in the process that holds it: a lab over TCP, as a real one would be."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from labctl import locks
from labctl.bench import make_instrument, open_library
from labctl.config import load_bench
from labctl.engine_process.messages import ConnectRequest, HandReport, SetPropertyRequest
from labctl.interfaces import Laser
from labctl.upkeep import snapshot_bench
from tests.end_to_end.test_served_lab import serve
from tests.labctl.engine_process.conversation import PATIENCE_S, Conversation


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(locks.FOLDER_VARIABLE, str(tmp_path / "locks"))


def wait_for_the_watchdog(bench: Path) -> None:
    """Until the bench is dark; looked at without holding it."""
    config, end = load_bench(bench), time.monotonic() + PATIENCE_S
    library = open_library(config, bench)
    laser = make_instrument("laser", config.instruments["laser"], library)
    assert isinstance(laser, Laser)
    laser.open()
    while laser.emission():
        assert time.monotonic() < end
    laser.close()
    library.close()
    while any(locks.holder(each.resource) for each in config.instruments.values()):
        assert time.monotonic() < end


@pytest.mark.slow
def test_dark_when_the_window_dies_or_the_process_is_killed(tmp_path: Path) -> None:
    """Of a lab over TCP, as a real one would be; a killed one has a watchdog, which takes the bench over."""
    lab = serve(tmp_path)
    for ending in ("hang up", "SIGKILL"):
        with Conversation(tmp_path) as talk:
            assert isinstance(talk.answer(talk.ask(ConnectRequest(str(lab.bench)))), HandReport)
            assert isinstance(talk.answer(talk.ask(SetPropertyRequest("laser", "emission", True))), HandReport)
            if ending == "hang up":
                talk.hang_up()
            else:
                os.kill(talk.process.pid, signal.SIGKILL)
            talk.process.wait(PATIENCE_S)
            if ending == "SIGKILL":
                wait_for_the_watchdog(lab.bench)
        assert snapshot_bench(lab.bench)["laser"]["diode_on"] is False
    assert lab.end(signal.SIGTERM)[0] == 0
