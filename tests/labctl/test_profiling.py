"""Where the time goes: samples counted where they belong, and the timer put away."""

from __future__ import annotations

import signal
import threading
import types
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from labctl.errors import ConfigError
from labctl.events import EventBus, StateChanged
from labctl.profiling import PERIOD_S, Profile, module_of, profiled, room_of


def frame_in(*modules: str) -> types.FrameType:
    """Innermost last: each calls the next."""
    source = "import sys\ndef call(inner):\n    return inner[0](inner[1:]) if inner else sys._getframe()\n"
    calls: list[Callable[..., types.FrameType]] = []
    for module in modules:
        scope: dict[str, Any] = {"__name__": module}
        exec(source, scope)
        calls.append(scope["call"])
    return calls[0](calls[1:])


@pytest.mark.parametrize(
    ("modules", "found"),
    [
        (("labctl.engine", "drivers.link"), "drivers.link"),
        (("labctl.engine", "numpy.core", "numpy.linalg"), "labctl.engine"),
        (("drivers.link", "pyvisa.resources", "sim_backends.shot", "numpy"), "sim_backends.shot"),
        (("json", "numpy"), "elsewhere"),
        (("labctlish", "driversome"), "elsewhere"),
    ],
)
def test_a_sample_counts_where_our_code_stood(modules: tuple[str, ...], found: str) -> None:
    assert module_of(frame_in(*modules)) == found


@pytest.mark.parametrize(
    ("module", "room"),
    [
        ("labctl.parties.client", "labctl"),
        ("drivers.link", "drivers"),
        ("pyvisa.resources.messagebased", "pyvisa"),
        ("sim_backends.shot", "twin"),
        ("sim_backends.waveform_bench", "twin"),
        ("sim_backends.scpi", "simulated instruments"),
        ("sim_backends.visa_session", "simulated instruments"),
        ("elsewhere", "elsewhere"),
    ],
)
def test_rooms(module: str, room: str) -> None:
    assert room_of(module) == room


def test_rows_are_of_the_images_alone_the_dearest_room_first() -> None:
    counted = Counter({"drivers.link": 30, "sim_backends.shot": 40, "sim_backends.draws": 20, "drivers.scpi": 10})
    profile = Profile(
        samples={"before": Counter({"labctl.engine": 5}), "images": counted, "after": Counter()}, images=4
    )
    assert [row[:2] for row in profile.rows()] == [
        ("twin", "sim_backends.shot"),
        ("twin", "sim_backends.draws"),
        ("drivers", "drivers.link"),
        ("drivers", "drivers.scpi"),
    ]
    assert sum(row[2] for row in profile.rows()) == pytest.approx(1.0)
    assert profile.rows()[0][3] == pytest.approx(1e3 * 40 * PERIOD_S / 4)
    assert profile.seconds("before") == pytest.approx(5 * PERIOD_S)


def test_phases_follow_the_run() -> None:
    profile, bus = Profile(), EventBus()
    profile.attend(bus)
    for state, phase in (("preparing", "before"), ("running", "images"), ("paused", "images"), ("stopping", "after")):
        bus.publish(StateChanged(state))
        assert profile.phase == phase


def test_the_timer_runs_and_is_put_away() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with profiled(EventBus()) as profile:
        while not profile.samples["before"]:  # ends with the first sample, or never
            pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_only_the_main_thread_is_profiled() -> None:
    caught: list[Exception] = []

    def attempt() -> None:
        try:
            with profiled(EventBus()):
                pass
        except ConfigError as error:
            caught.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    assert len(caught) == 1
