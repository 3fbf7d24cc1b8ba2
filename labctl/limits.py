"""Interlocks: what must hold on the bench while the light is on. Software reads them, it never replaces them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labctl.config import MonitorRole
from labctl.errors import InterlockError
from labctl.interfaces import Amplifier, Attenuator, Laser, PowerMeter

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

    def check(self) -> None:
        """Raises InterlockError naming the instrument whose condition does not hold."""
        if not self.laser.emission():
            raise InterlockError(f"{self.laser.name}: emission is off while the run needs it", REMEDY)
        if not self.amplifier.emission():
            why = "the interlock is open" if self.amplifier.interlock_open() else "the pump is off"
            raise InterlockError(f"{self.amplifier.name}: {why} while the run needs it", REMEDY)
        for attenuator, channel in self.attenuators:
            if not attenuator.shutter(channel):
                raise InterlockError(
                    f"{attenuator.name}: the shutter of channel {channel} is closed while the run needs light", REMEDY
                )
        if self.monitor is not None:
            self._check_power(self.monitor)

    def _check_power(self, monitor: Monitor) -> None:
        expected = self.laser_power_w * monitor.role.fraction
        power = monitor.meter.power()
        if not abs(power - expected) <= monitor.role.tolerance * expected:
            raise InterlockError(
                f"{monitor.meter.name}: {power * 1e3:.4g} mW on the monitor where {expected * 1e3:.4g} mW"
                f" +- {monitor.role.tolerance:.0%} are due",
                REMEDY,
            )
