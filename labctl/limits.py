"""Interlocks: what must hold on the bench while the light is on. Software reads them, it never replaces them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labctl.config import MonitorRole
from labctl.errors import InterlockError
from labctl.interfaces import Amplifier, Attenuator, BiasController, Laser, PowerMeter

#: Amplifier and bias are asked again before the next image when either has passed since the last time: on their slow
#: lines an answer takes longer than an image.
ASK_SLOW_AFTER_S = 0.25
ASK_SLOW_AFTER_IMAGES = 10

REMEDY = "Find out why, put the bench in order, and start the run again."


@dataclass(frozen=True)
class Monitor:
    """A power meter on a tap of the laser."""

    role: MonitorRole
    meter: PowerMeter


@dataclass(frozen=True)
class Watch:
    """Reads every emitter and the monitor power; each reading is level-triggered, there is no memory."""

    laser: Laser
    laser_power_w: float
    attenuators: Sequence[tuple[Attenuator, int]]
    amplifier: Amplifier
    monitor: Monitor | None = None
    biases: Sequence[BiasController] = ()

    def check(self) -> None:
        """Raises InterlockError naming the instrument whose condition does not hold."""
        self.check_light()
        self.check_slow()

    def check_light(self) -> None:
        """Laser, shutters and monitor power. Raises InterlockError."""
        if not self.laser.emission():
            raise InterlockError(f"{self.laser.name}: emission is off while the run needs it", REMEDY)
        for attenuator, channel in self.attenuators:
            if not attenuator.shutter(channel):
                raise InterlockError(
                    f"{attenuator.name}: the shutter of channel {channel} is closed while the run needs light", REMEDY
                )
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


class Rounds:
    """Reads the interlocks before each image, those on slow lines not each time."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._due_s = float("-inf")
        self._images = 0

    def ask_all(self) -> None:
        """Next time, leave nobody out."""
        self._due_s = float("-inf")

    def before_image(self, now_s: float) -> None:
        """Read what is due ``now_s`` by the bench's clock. Raises InterlockError."""
        self._watch.check_light()
        if now_s >= self._due_s or self._images >= ASK_SLOW_AFTER_IMAGES:
            self._watch.check_slow()
            self._due_s, self._images = now_s + ASK_SLOW_AFTER_S, 0
        self._images += 1
