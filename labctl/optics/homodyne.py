"""Homodyne receivers behind a digitizer: quadratures in shot-noise units out, or a reason why not."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.config import ReceiverRole
from labctl.interfaces import Digitizer, HomodyneDetector
from labctl.optics.drive import RowLayout, Timing
from labctl.protocol.gates import check_clipping
from labctl.values import Quadrature


class CollectedMode(HomodyneDetector):
    """The client's receiver: one quadrature of the one collected mode, one sample a row."""

    quadratures = 1
    kappa = 1.0

    def __init__(self, role: ReceiverRole, digitizer: Digitizer, timing: Timing) -> None:
        self._role = role
        self._digitizer = digitizer
        self._timing = timing

    def arm(self, rows: int, modes: int) -> None:
        """One sample per row, taken when the collected mode leaves the loop."""
        channel = self._role.channels[0]
        interval_s = self._timing.layout(modes).bins / self._timing.sample_rate_hz
        self._digitizer.configure({channel: self._role.full_scale}, interval_s, rows)
        self._digitizer.arm()

    def read(self) -> Sequence[Quadrature]:
        """One quadrature of shape (rows, 1)."""
        self._digitizer.wait()
        return [_read(self._digitizer, self._role, self._role.channels[0], 1, 1)]


class DualQuadrature(HomodyneDetector):
    """The server's phase-diverse receiver: X and P of every returned mode."""

    quadratures = 2
    kappa = 0.5

    def __init__(self, role: ReceiverRole, digitizer: Digitizer, timing: Timing) -> None:
        self._role = role
        self._digitizer = digitizer
        self._timing = timing
        self._layout = RowLayout(0, 0)

    def arm(self, rows: int, modes: int) -> None:
        """Every bin of every row, guards included."""
        self._layout = self._timing.layout(modes)
        self._digitizer.configure(
            dict.fromkeys(self._role.channels, self._role.full_scale),
            1 / self._timing.sample_rate_hz,
            rows * self._layout.bins,
        )
        self._digitizer.arm()

    def read(self) -> Sequence[Quadrature]:
        """X and P, each of shape (rows, modes), modes as they arrive: data first in a row, in reversed order."""
        layout = self._layout
        self._digitizer.wait()
        return [
            _read(self._digitizer, self._role, channel, layout.bins, layout.modes) for channel in self._role.channels
        ]


def _read(digitizer: Digitizer, role: ReceiverRole, channel: int, bins: int, modes: int) -> Quadrature:
    trace = digitizer.read(channel)
    check_clipping(digitizer.name, trace.clipped(), trace.codes.size)
    return Quadrature.of(trace, bins, modes, role.volts_per_snu)
