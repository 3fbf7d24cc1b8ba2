"""Interlocks: what must hold on the bench while the light is on. Software reads them, it never replaces them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from labctl.config import MonitorRole
from labctl.errors import InterlockError
from labctl.interfaces import Amplifier, Attenuator, BiasController, Laser, PowerMeter
from labctl.interlocks import REMEDY, Interlock, check_before, check_during

#: Amplifier and bias are asked again before the next image when either has passed since the last time: on their slow
#: lines an answer takes longer than an image.
ASK_SLOW_AFTER_S = 0.25
ASK_SLOW_AFTER_IMAGES = 10


@dataclass(frozen=True)
class Monitor:
    """A power meter on a tap of the laser."""

    role: MonitorRole
    meter: PowerMeter


@dataclass(frozen=True)
class Watch:
    """Reads every emitter and the monitor power; each reading is level-triggered, there is no memory.

    ``interlocks``: what the bench file demands besides.
    """

    laser: Laser
    laser_power_w: float
    attenuators: Sequence[tuple[Attenuator, int]]
    amplifier: Amplifier
    monitor: Monitor | None = None
    biases: Sequence[BiasController] = ()
    interlocks: Sequence[Interlock] = ()

    def before_signal(self) -> None:
        """The local oscillator is there, and nothing speaks against the signal. Raises InterlockError."""
        self._check_laser()
        self.check_loop()
        check_before(self.interlocks)

    def check_loop(self) -> None:
        """The pump's interlock loop, while the pump is off. Raises InterlockError."""
        if self.amplifier.interlock_open():
            raise InterlockError(f"{self.amplifier.name}: the interlock is open while the run needs the pump", REMEDY)

    def check(self) -> None:
        """Raises InterlockError naming the instrument whose condition does not hold."""
        self.check_light()
        self.check_slow()
        check_during(self.interlocks)

    def check_light(self) -> None:
        """Laser, shutters and monitor power. Raises InterlockError."""
        self._check_laser()
        for attenuator, channel in self.attenuators:
            if not attenuator.shutter(channel):
                raise InterlockError(
                    f"{attenuator.name}: the shutter of channel {channel} is closed while the run needs light", REMEDY
                )

    def _check_laser(self) -> None:
        if not self.laser.emission():
            raise InterlockError(f"{self.laser.name}: emission is off while the run needs it", REMEDY)
        if self.monitor is not None:
            self._check_power(self.monitor)

    def check_slow(self) -> None:
        """The pump, and the interlock loop when it is off; the modulator's bias. Raises InterlockError."""
        if not self.amplifier.emission():
            why = "the interlock is open" if self.amplifier.interlock_open() else "the pump is off"
            raise InterlockError(f"{self.amplifier.name}: {why} while the run needs it", REMEDY)
        for bias in self.biases:
            if not bias.locked():
                raise InterlockError(f"{bias.name}: the modulator's bias is not locked while the run needs it", REMEDY)

    def _check_power(self, monitor: Monitor) -> None:
        expected = self.laser_power_w * monitor.role.fraction
        power = monitor.meter.power()
        if not abs(power - expected) <= monitor.role.tolerance * expected:
            raise InterlockError(
                f"{monitor.meter.name}: {power * 1e3:.4g} mW on the monitor where {expected * 1e3:.4g} mW"
                f" +- {monitor.role.tolerance:.0%} are due",
                REMEDY,
            )


class _Turn:
    """Some conditions that are asked together, again when so many images or seconds have passed."""

    def __init__(self, ask: Callable[[], None], images: float, seconds: float) -> None:
        self.ask = ask
        self._limits = (images, seconds)
        self._images, self._due_s = 0, -math.inf
        self.asked = False  # since everybody was

    def due(self, now_s: float) -> bool:
        """Whether it is time, ``now_s`` by the bench's clock."""
        return now_s >= self._due_s or self._images >= self._limits[0]

    def was_asked(self, now_s: float) -> None:
        self._images, self._due_s = 0, now_s + self._limits[1]
        self.asked = True

    def image(self) -> None:
        self._images += 1


class Rounds:
    """Reads the interlocks before each image, those on slow lines not each time."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._turns = [_Turn(watch.check_slow, ASK_SLOW_AFTER_IMAGES, ASK_SLOW_AFTER_S)]
        turns: dict[tuple[float, float], list[Interlock]] = {}
        self._quick: list[Interlock] = []
        for each in watch.interlocks:
            images, seconds = each.entry.every_images, each.entry.every
            if images is None and seconds is None:
                if each.quick:
                    self._quick.append(each)
                    continue
                images, seconds = ASK_SLOW_AFTER_IMAGES, ASK_SLOW_AFTER_S
            turns.setdefault((images or math.inf, math.inf if seconds is None else seconds), []).append(each)
        self._turns += [_Turn(partial(check_during, found), *limits) for limits, found in turns.items()]
        self._all = True

    def ask_all(self) -> None:
        """Next time, leave nobody out."""
        self._all = True

    def before_image(self, now_s: float) -> bool:
        """Read what is due ``now_s`` by the bench's clock; whether everything was read. Raises InterlockError.

        When everybody's turn has come since the last time that all were read, all are.
        """
        self._watch.check_light()
        if self._quick:
            check_during(self._quick)
        due = [turn for turn in self._turns if self._all or turn.due(now_s)]
        if due and all(turn.asked or turn in due for turn in self._turns):
            due = self._turns
        for turn in due:
            turn.ask()
            turn.was_asked(now_s)
        complete = due is self._turns
        self._all = self._all and not complete
        for turn in self._turns:
            turn.asked = turn.asked and not complete
            turn.image()
        return complete
