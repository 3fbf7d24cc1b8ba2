"""The safe state: everything dark, in the one order that there is, whoever asks for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from labctl.errors import UnsafeState
from labctl.interfaces import (
    Amplifier,
    Attenuator,
    BiasController,
    Digitizer,
    Instrument,
    Laser,
    OpticalSwitch,
    PolarisationController,
    PowerMeter,
    WaveformGenerator,
)
from labctl.signals import held_back
from labctl.values import SafeState

#: Those that emit nothing in any case.
PASSIVE = (OpticalSwitch, PolarisationController, Digitizer, PowerMeter)
#: Who goes dark first: pumps, what lets the signal out, laser and local oscillator, then drives and biases; last those
#: that emit nothing.
SAFE_ORDER = (Amplifier, Attenuator, Laser, WaveformGenerator, BiasController, *PASSIVE, Instrument)
#: How often one is told to go dark: the second time over a fresh connection.
SAFE_ATTEMPTS = 2
#: How long the next one waits for one that takes its time or hangs, seconds.
TURN_S = 1.0
#: When nobody waits any longer for one that does not come back, seconds; every driver gives up before.
LIMIT_S = 60.0
_POLL_S = 0.5

BY_HAND = "Look at the bench, and switch the light off by hand."


def _safe_rank(instrument: Instrument) -> int:
    return next(rank for rank, kind in enumerate(SAFE_ORDER) if isinstance(instrument, kind))


def go_dark(
    instruments: Iterable[Instrument], *, opened: bool, beat: Callable[[], None] = lambda: None
) -> tuple[SafeState, ...]:
    """Everything dark in order, each read back; told in that order. Raises nothing, and signals wait until it is done.

    One that fails is told again over a fresh connection. One that hangs keeps the next from its turn for a second and
    no longer. ``opened``: whether their connections stand. ``beat`` is called as it goes on; its errors do not matter.
    """
    turns = [_Turn(instrument, opened) for instrument in sorted(instruments, key=_safe_rank)]
    with held_back():
        for turn in turns:
            turn.begin()
            turn.wait(TURN_S)
            _quietly(beat)
        end = time.monotonic() + LIMIT_S
        for turn in turns:
            while not turn.wait(min(_POLL_S, max(0.0, end - time.monotonic()))) and time.monotonic() < end:
                _quietly(beat)
    return tuple(turn.state() for turn in turns)


def unconfirmed(states: Iterable[SafeState]) -> UnsafeState | None:
    """The error that names everybody who did not confirm that it is dark; None when all did."""
    lit = ", ".join(state.instrument for state in states if not state.dark)
    if not lit:
        return None
    return UnsafeState(f"{lit}: no confirmation that the light is off", BY_HAND)


def _quietly(beat: Callable[[], None]) -> None:
    with suppress(Exception):
        beat()


class _Turn:
    """One instrument going dark, in a thread of its own."""

    def __init__(self, instrument: Instrument, opened: bool) -> None:
        self._instrument, self._opened = instrument, opened
        self._state: SafeState | None = None
        self._thread = threading.Thread(target=self._run, name=f"safe state of {instrument.name}", daemon=True)

    def begin(self) -> None:
        try:
            self._thread.start()
        except RuntimeError:  # no thread can be had, as in a program that is at its end
            self._run()

    def wait(self, seconds: float) -> bool:
        """Whether it is over."""
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def state(self) -> SafeState:
        return self._state or _unreached(self._instrument, f"did not come back within {LIMIT_S:g} s")

    def _run(self) -> None:
        self._state = _darken(self._instrument, self._opened)


def _darken(instrument: Instrument, opened: bool) -> SafeState:
    """Told again when it failed: what kept it from going dark may be over, or have been the line's fault."""
    problems: list[str] = []
    state: SafeState | None = None
    for attempt in range(SAFE_ATTEMPTS):
        try:
            if attempt:
                instrument.close()
            if attempt or not opened:
                instrument.open()
            state = instrument.safe_state()
        except BaseException as error:  # noqa: BLE001  (a driver's own fault must not be the last word on the light)
            state = None
            problems.append(str(error) or type(error).__name__)
        else:
            if state.dark:
                return state
            problems.append(state.problem)
    told = "; over a fresh connection: ".join(dict.fromkeys(filter(None, problems)))
    if state is None:
        return _unreached(instrument, told)
    return SafeState(state.instrument, state.dark, state.readings, told)


def _unreached(instrument: Instrument, problem: str) -> SafeState:
    """What can be said of one that gave no read-back."""
    return SafeState(instrument.name, dark=isinstance(instrument, PASSIVE), problem=problem)
