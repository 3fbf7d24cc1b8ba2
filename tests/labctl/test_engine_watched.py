"""The engine under a second Ctrl-C, and with somebody who listens whether it is well."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import labctl.control
from labctl.errors import WatchdogError
from labctl.events import ImageFinished, LayerMeasured, StateChanged
from labctl.plan import Plan
from tests.fakes import FakeLibrary, use_fakes
from tests.labctl.test_bench import SAFE_ORDER
from tests.labctl.test_engine import Run, assert_dark, when


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)
    monkeypatch.setattr(labctl.control, "PAUSE_POLL_S", 0.001)


@pytest.mark.parametrize("again", ["stopping", "the laser's turn"])
def test_a_second_ctrl_c_does_not_skip_the_safe_state(tmp_path: Path, again: str) -> None:
    run = Run(tmp_path, images=1)
    ctrl_c = lambda: os.kill(os.getpid(), signal.SIGINT)  # noqa: E731
    run.bus.subscribe(LayerMeasured, when(LayerMeasured, ctrl_c))
    if again == "stopping":
        run.bus.subscribe(StateChanged, when(StateChanged, ctrl_c, lambda event: event.state == "stopping"))
    else:
        run.plans["laser", "safe_state"] = ctrl_c
    with pytest.raises(KeyboardInterrupt):
        run.execute()
    assert_dark(run)


class Listening:
    """Counts signs of life, and is gone at one of them."""

    def __init__(self, gone_at: int = -1) -> None:
        self.beats, self.lit, self.gone_at = 0, list[bool](), gone_at

    def ready(self) -> None:
        self.lit.append(FakeLibrary.latest.units["laser"].emission())

    def beat(self) -> None:
        self.beats += 1
        if self.beats > self.gone_at >= 0:
            raise WatchdogError("the watchdog is gone")


def test_every_step_is_a_sign_of_life_and_a_pause_gives_more(tmp_path: Path) -> None:
    run = Run(tmp_path, images=2)
    run.attendant = listening = Listening()
    run.execute()
    steps = len(Plan(2, 2))
    assert listening.beats >= steps + len(SAFE_ORDER)
    assert listening.lit == [False], "somebody is at his post before there is light"
    paused = Run(tmp_path, images=2)
    paused.attendant = patient = Listening()
    paused.bus.subscribe(ImageFinished, when(ImageFinished, paused.control.pause))

    def beat() -> None:
        patient.beats += 1
        if patient.beats == 100:  # a pause is as long as somebody wants it
            paused.control.resume()

    patient.beat = beat
    paused.execute()
    assert patient.beats > 100


def test_nobody_who_would_switch_the_light_off_ends_the_run(tmp_path: Path) -> None:
    run = Run(tmp_path, images=2)
    run.attendant = Listening(gone_at=5)
    with pytest.raises(WatchdogError, match="gone"):
        run.execute()
    assert len(run.of(LayerMeasured)) == 2
    assert_dark(run)
