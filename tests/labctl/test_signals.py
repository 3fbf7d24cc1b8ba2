"""Signals that end programs: held back, asked for in order, left to whoever handles them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from labctl.signals import ENDING, InOrder, asked_first, handled_by, held_back


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Handlers as Python has them, and found so again."""
    kept = {number: signal.getsignal(number) for number in ENDING}
    defaults = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    for number, handler in defaults.items():
        signal.signal(number, handler)
    yield
    assert {number: signal.getsignal(number) for number in ENDING} == defaults
    for number, handler in kept.items():
        signal.signal(number, handler)


def send(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


def test_a_signal_waits_until_the_end() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):  # noqa: SIM117, PT012
        with held_back():
            send()
            send()
            done.append("all")
    assert done == ["all"]


def test_it_waits_for_what_fails_as_well() -> None:
    with pytest.raises(KeyboardInterrupt) as caught, held_back():  # noqa: PT012
        send()
        raise ValueError("of its own")
    assert isinstance(caught.value.__context__, ValueError)


def test_the_handler_in_force_hears_each_kind_once() -> None:
    heard: list[int] = []
    with handled_by(lambda number, frame: heard.append(number)), held_back():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            send(number)
        assert heard == []
    assert heard == [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


def test_one_that_only_asks_is_not_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []
    with handled_by(InOrder(asked.append)), held_back():
        send()
        send(signal.SIGTERM)
        assert asked == ["SIGINT", "SIGTERM"]
    said = capfd.readouterr().err
    assert "SIGINT: stopping at the next checkpoint" in said
    assert "SIGTERM: already stopping" in said


def test_nobody_s_signals_ask_first_and_act_at_the_end() -> None:
    asked: list[str] = []
    with pytest.raises(KeyboardInterrupt):  # noqa: SIM117, PT012
        with asked_first(asked.append):
            send()
            assert asked == ["SIGINT"]
            asked.append("the rest")
    assert asked == ["SIGINT", "the rest"]
    with asked_first(asked.append):
        pass


def test_somebody_s_signals_are_his() -> None:
    heard, asked = list[int](), list[str]()
    with handled_by(lambda number, frame: heard.append(number)), asked_first(asked.append):
        send(signal.SIGTERM)
    assert heard == [signal.SIGTERM]
    assert asked == []


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    heard: list[int] = []
    try:
        with handled_by(lambda number, frame: heard.append(number)):
            send(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert heard == []


def test_other_threads_hear_none() -> None:
    done: list[str] = []

    def work() -> None:
        with held_back(), asked_first(done.append), handled_by(lambda number, frame: None):
            done.append("worked")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["worked"]
