"""A paused run: the light is on, so the interlocks are read, and nobody can leave it like that for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

import labctl.control
from labctl.control import RunControl
from labctl.errors import InterlockError, RunAborted
from labctl.events import ImageFinished, ImagesDoubtful, StateChanged
from tests.fakes import FakeLibrary, use_fakes
from tests.labctl.test_engine import Run, assert_dark, when


class Ticking:
    """A clock on which a tenth of a second passes whenever somebody looks."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def now(self) -> float:
        self.now_s += 0.1
        return self.now_s

    def wait(self, seconds: float) -> None:
        raise AssertionError("nobody waits on it")


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)
    monkeypatch.setattr(labctl.control, "PAUSE_POLL_S", 0.0005)


def paused(folder: Path, **keys: object) -> Run:
    """A run that pauses after its first image, and is resumed by nobody."""
    run = Run(folder, images=3, **keys)
    run.control = RunControl(Ticking())
    run.bus.subscribe(ImageFinished, when(ImageFinished, run.control.pause))
    return run


def test_interlocks_are_read_while_a_run_is_paused(tmp_path: Path) -> None:
    """The laser goes off in the middle of the pause: the run ends there, with the reason, and with no step more."""
    run = paused(tmp_path)
    laser_off = lambda: FakeLibrary.latest.units["laser"].set_emission(False)  # noqa: E731
    run.bus.subscribe(StateChanged, when(StateChanged, laser_off, lambda event: event.state == "paused"))
    with pytest.raises(InterlockError, match="laser: emission is off"):
        run.execute()
    assert run.states() == ["preparing", "running", "paused", "stopping", "stopped"]
    (doubt,) = run.of(ImagesDoubtful)
    assert (doubt.first, doubt.images) == (0, 1)
    assert_dark(run)


def test_those_on_slow_lines_are_read_as_well(tmp_path: Path) -> None:
    run = paused(tmp_path)
    pump_off = lambda: FakeLibrary.latest.units["amplifier"].set_emission(False)  # noqa: E731
    run.bus.subscribe(StateChanged, when(StateChanged, pump_off, lambda event: event.state == "paused"))
    with pytest.raises(InterlockError, match="amplifier: the pump is off"):
        run.execute()
    assert_dark(run)


def test_a_pause_that_is_too_long_ends_the_run(tmp_path: Path) -> None:
    run = paused(tmp_path, pause_limit_s=30.0)
    with pytest.raises(RunAborted, match=r"aborted: paused for 30 s, as long as the run allows") as caught:
        run.execute()
    assert "--resume" in caught.value.remedy
    assert run.engine is not None
    assert (run.engine.images, run.of(ImagesDoubtful)) == (1, [])
    assert_dark(run)


def test_before_the_light_is_on_there_is_nothing_to_read(tmp_path: Path) -> None:
    run = Run(tmp_path, images=1, pause_limit_s=5.0)
    run.control = RunControl(Ticking())
    run.control.pause()
    with pytest.raises(RunAborted, match="paused for 5 s"):
        run.execute()
    assert not [entry for entry in FakeLibrary.latest.log if entry[1:] == ("set_emission", True)]


def test_a_look_in_a_second_and_all_of_them_after_it(tmp_path: Path) -> None:
    """``held`` is told how long it has been, once a second."""
    control, told = RunControl(Ticking()), list[float]()

    def held(held_s: float) -> None:
        told.append(held_s)
        if len(told) == 3:
            control.resume()

    control.pause()
    control.checkpoint(lambda paused: None, held=held)
    assert len(told) == 3
    assert all(1 <= after - before < 1.5 for before, after in zip([0.0, *told], told, strict=False))
