"""The safe state: order, second attempts, those that hang, and signals."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from labctl import safety
from labctl.bench import open_bench
from labctl.errors import InstrumentLost, UnsafeState
from labctl.safety import go_dark, unconfirmed
from labctl.values import SafeState
from tests.fakes import FakeLaser, FakeLibrary, fake_bench, use_fakes
from tests.labctl.test_bench import SAFE_ORDER, calls


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)


def failing(times: int) -> Callable[[], None]:
    left = [InstrumentLost("laser", "the line broke")] * times

    def fail() -> None:
        if left:
            raise left.pop()

    return fail


def dark_bench(
    folder: Path, plans: dict[tuple[str, str], Callable[[], None] | BaseException], beat: Callable[[], object] = list
) -> dict[str, SafeState]:
    with open_bench(fake_bench(folder)) as bench:
        bench.instruments["laser"].set_emission(True)
        FakeLibrary.latest.log.clear()
        FakeLibrary.latest.plans.update(plans)
        states = go_dark(bench.instruments.values(), opened=True, beat=beat)
        FakeLibrary.latest.plans.clear()
    return {state.instrument: state for state in states}


def test_one_that_fails_is_told_again_over_a_fresh_connection(tmp_path: Path) -> None:
    beats: list[None] = []
    states = dark_bench(tmp_path, {("laser", "safe_state"): failing(1)}, lambda: beats.append(None))
    assert states["laser"] == SafeState("laser", dark=True, readings={"read_back": True})
    told = [entry[1] for entry in FakeLibrary.latest.actions("laser")]
    assert told[:4] == ["safe_state", "close", "open", "safe_state"]
    assert list(dict.fromkeys(calls("safe_state"))) == SAFE_ORDER, "and in its turn"
    assert len(beats) >= len(SAFE_ORDER)


def test_a_beat_that_fails_keeps_nobody_lit(tmp_path: Path) -> None:
    assert all(state.dark for state in dark_bench(tmp_path, {}, lambda: 1 / 0).values())


def test_one_that_stays_lit_is_told_again_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeLaser, "go_dark", lambda self: None)
    states = dark_bench(tmp_path, {})
    assert calls("safe_state").count("laser") == 2
    assert states["laser"].readings == {"read_back": False}
    error = unconfirmed(states.values())
    assert isinstance(error, UnsafeState)
    assert error.message == "laser: no confirmation that the light is off"


def test_both_attempts_are_told(tmp_path: Path) -> None:
    lost = {("laser", "safe_state"): failing(1), ("laser", "open"): InstrumentLost("laser", "is silent")}
    states = dark_bench(tmp_path, lost)
    assert states["laser"].problem == "laser: the line broke; over a fresh connection: laser: is silent"
    assert not states["laser"].dark
    assert [name for name, state in states.items() if not state.dark] == ["laser"]


def test_one_that_hangs_keeps_nobody_lit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The amplifier answers only when all the others are dark."""
    monkeypatch.setattr(safety, "TURN_S", 0.001)
    others_done = threading.Event()

    def hang() -> None:
        assert others_done.wait(30)

    plans = {("amplifier", "safe_state"): hang, ("power_meter", "safe_state"): others_done.set}
    states = dark_bench(tmp_path, plans)
    assert all(state.dark for state in states.values())
    assert list(states) == SAFE_ORDER == calls("safe_state")


def test_one_that_never_comes_back_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "TURN_S", 0.001)
    monkeypatch.setattr(safety, "LIMIT_S", 0.01)
    over = threading.Event()
    states = dark_bench(tmp_path, {("laser", "safe_state"): lambda: over.wait(30) or None})
    over.set()
    assert states["laser"].problem == "did not come back within 0.01 s"
    assert [name for name, state in states.items() if not state.dark] == ["laser"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_all_is_dark(tmp_path: Path, number: int) -> None:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            dark_bench(tmp_path, {("amplifier", "safe_state"): lambda: os.kill(os.getpid(), number)})
    finally:
        signal.signal(signal.SIGTERM, before)
    assert calls("safe_state") == SAFE_ORDER
    assert not FakeLibrary.latest.units["laser"].emission()


def test_a_program_that_can_have_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with open_bench(fake_bench(tmp_path)) as bench:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        states = go_dark(bench.instruments.values(), opened=True)
        monkeypatch.undo()
    assert [state.instrument for state in states] == SAFE_ORDER
    assert all(state.dark for state in states)


def test_a_driver_that_wants_to_end_the_program_is_not_obeyed(tmp_path: Path) -> None:
    states = dark_bench(tmp_path, {("laser", "safe_state"): SystemExit("bye")})
    assert (states["laser"].dark, states["laser"].problem) == (False, "bye")
    assert list(dict.fromkeys(calls("safe_state"))) == SAFE_ORDER
