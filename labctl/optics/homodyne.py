"""Homodyne receivers behind a digitizer: quadratures in shot-noise units out, or a reason why not."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.config import ReceiverRole
from labctl.interfaces import Digitizer, HomodyneDetector
from labctl.optics.drive import RowLayout, Timing
from labctl.protocol.gates import check_clipping
from labctl.protocol.traces import NoiseGate, Repeats, code_log_probability, converter_step
from labctl.values import Quadrature, Trace


class CollectedMode(HomodyneDetector):
    """The client's receiver: one quadrature of the one collected mode, one sample a row.

    ``gate``: knows how large its records must and can be; without one, vacuum noise at least.
    """

    quadratures = 1
    kappa = 1.0

    def __init__(self, role: ReceiverRole, digitizer: Digitizer, timing: Timing, gate: NoiseGate | None = None) -> None:
        self._role = role
        self._digitizer = digitizer
        self._timing = timing
        self._gate = gate or NoiseGate(digitizer.name, 1.0)
        self._modes = 1

    def arm(self, rows: int, modes: int) -> None:
        """One sample per row, taken when the collected mode leaves the loop."""
        channel = self._role.channels[0]
        self._modes = modes
        interval_s = self._timing.layout(modes).bins / self._timing.sample_rate_hz
        self._digitizer.configure({channel: self._role.full_scale}, interval_s, rows)
        self._digitizer.arm()

    def read(self) -> Sequence[Quadrature]:
        """One quadrature of shape (rows, 1)."""
        self._digitizer.wait()
        trace = _read(self._digitizer, self._role.channels[0])
        step = converter_step(trace, self._digitizer.capabilities.bits)
        self._gate.check(trace.codes, step, trace.y_increment_v / self._role.volts_per_snu, self._modes)
        return [Quadrature.of(trace, 1, 1, self._role.volts_per_snu)]


class DualQuadrature(HomodyneDetector):
    """The server's phase-diverse receiver: X and P of every returned mode."""

    quadratures = 2
    kappa = 0.5

    def __init__(self, role: ReceiverRole, digitizer: Digitizer, timing: Timing) -> None:
        self._role = role
        self._digitizer = digitizer
        self._timing = timing
        self._layout = RowLayout(0, 0)
        self._repeats = Repeats(digitizer.name)

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
        layout, unit = self._layout, self._role.volts_per_snu
        self._digitizer.wait()
        traces = [_read(self._digitizer, channel) for channel in self._role.channels]
        step = converter_step(traces[0], self._digitizer.capabilities.bits) * traces[0].y_increment_v / unit
        self._repeats.check(traces[0].codes, code_log_probability(step, 1.0))
        return [Quadrature.of(trace, layout.bins, layout.modes, unit) for trace in traces]


def _read(digitizer: Digitizer, channel: int) -> Trace:
    trace = digitizer.read(channel)
    check_clipping(digitizer.name, trace.clipped(), trace.codes.size)
    return trace
