"""The link over real pipes: answers, orders, a process that dies, and one that is left to itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from gui.engine_link import EngineLink
from labctl.engine_process.messages import Failed, Order, RunEnded, RunRequest
from labctl.events import Event, ImageFinished
from labctl.record import open_run
from tests.gui.conftest import PATIENCE_MS


@pytest.fixture
def link(qtbot: QtBot) -> Iterator[EngineLink]:
    link = EngineLink()
    yield link
    link.kill()
    link.close()


class Heard:
    """Events and answers, as they come."""

    def __init__(self, link: EngineLink) -> None:
        self.events: list[Event] = []
        self.answers: list[Any] = []
        self.deaths: list[str] = []
        link.events.connect(self.events.extend)
        link.died.connect(self.deaths.append)

    @property
    def images(self) -> int:
        return sum(isinstance(event, ImageFinished) for event in self.events)


def request(folder: Path, images: int) -> RunRequest:
    return RunRequest("digits", {"images": images}, str(folder / "runs"))


def test_a_run(qtbot: QtBot, link: EngineLink, tmp_path: Path) -> None:
    heard = Heard(link)
    link.ask(request(tmp_path, 8), heard.answers.append, heard.answers.append)
    assert link.busy
    qtbot.waitUntil(lambda: bool(heard.answers), timeout=PATIENCE_MS)
    assert isinstance(heard.answers[0], RunEnded)
    assert [event.image for event in heard.events if isinstance(event, ImageFinished)] == list(range(8))
    assert not link.busy
    link.close()
    assert link.pid is None


def test_a_death_is_told_and_the_next_request_starts_another(qtbot: QtBot, link: EngineLink, tmp_path: Path) -> None:
    heard = Heard(link)
    link.ask(request(tmp_path, 360), heard.answers.append, heard.answers.append)
    qtbot.waitUntil(lambda: heard.images > 0, timeout=PATIENCE_MS)
    assert link.pid is not None
    os.kill(link.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: bool(heard.deaths), timeout=PATIENCE_MS)
    assert "signal 9" in heard.deaths[0]
    assert isinstance(heard.answers[0], Failed)
    assert heard.answers[0].kind == "EngineDied"
    link.order(Order("pause"))  # to nobody
    link.ask(request(tmp_path, 2), heard.answers.append, heard.answers.append)
    qtbot.waitUntil(lambda: len(heard.answers) == 2, timeout=PATIENCE_MS)
    assert isinstance(heard.answers[1], RunEnded)


def test_a_process_that_cannot_start_says_why(qtbot: QtBot, link: EngineLink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    heard = Heard(link)
    link.ask(RunRequest("digits"), failed=heard.answers.append)
    qtbot.waitUntil(lambda: bool(heard.deaths), timeout=PATIENCE_MS)
    assert "status" in heard.deaths[0]


def test_left_to_itself_it_ends_its_run(qtbot: QtBot, link: EngineLink, tmp_path: Path) -> None:
    heard = Heard(link)
    link.ask(request(tmp_path, 40), heard.answers.append, heard.answers.append)
    qtbot.waitUntil(lambda: heard.images > 0, timeout=PATIENCE_MS)
    link.close(leave=True)
    assert link.pid is None

    def complete() -> bool:
        files = list((tmp_path / "runs").glob("*.h5"))
        return bool(files) and open_run(files[0]).status == "complete"

    qtbot.waitUntil(complete, timeout=PATIENCE_MS)
