"""Homodyne receivers behind a digitizer: quadratures in shot-noise units out, or a reason why not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labctl.config import ReceiverRole
from labctl.errors import GateError
from labctl.interfaces import Digitizer, HomodyneDetector
from labctl.optics.drive import RowLayout, Timing
from labctl.values import Trace


class CollectedMode(HomodyneDetector):
    """The client's receiver: one quadrature of the one collected mode, one sample a row."""

    quadratures = 1
    kappa = 1.0

    def __init__(self, role: ReceiverRole, digitizer: Digitizer, timing: Timing) -> None:
        self._role = role
        self._digitizer = digitizer
        self._timing = timing
        self._rows = 0
        self._layout = RowLayout(0, 0)

    def arm(self, rows: int, modes: int) -> None:
        """One sample per row, taken when the collected mode leaves the loop."""
        self._rows, self._layout = rows, self._timing.layout(modes)
        channel = self._role.channels[0]
        interval_s = self._layout.bins / self._timing.sample_rate_hz
        self._digitizer.configure({channel: self._role.full_scale}, interval_s, rows)
        self._digitizer.arm()

    def read(self) -> NDArray[np.float32]:
        """Shape (1, rows, 1), sqrt(SNU)."""
        self._digitizer.wait()
        trace = self._digitizer.read(self._role.channels[0])
        _refuse_clipped(self._digitizer.name, trace)
        values = (trace.codes.astype(np.float32) - trace.y_reference) * np.float32(
            trace.y_increment_v / self._role.volts_per_snu
        ) + np.float32(trace.y_origin_v / self._role.volts_per_snu)
        return values.reshape(1, self._rows, 1)


class DualQuadrature(HomodyneDetector):
    """The server's phase-diverse receiver: X and P of every returned mode."""

    quadratures = 2
    kappa = 0.5

    def __init__(self, role: ReceiverRole, digitizer: Digitizer, timing: Timing) -> None:
        self._role = role
        self._digitizer = digitizer
        self._timing = timing
        self._rows = 0
        self._layout = RowLayout(0, 0)
        self._buffers: dict[tuple[int, int], NDArray[np.float32]] = {}

    def arm(self, rows: int, modes: int) -> None:
        """Every bin of every row, guards included."""
        self._rows, self._layout = rows, self._timing.layout(modes)
        self._digitizer.configure(
            dict.fromkeys(self._role.channels, self._role.full_scale),
            1 / self._timing.sample_rate_hz,
            rows * self._layout.bins,
        )
        self._digitizer.arm()

    def read(self) -> NDArray[np.float32]:
        """Shape (2, rows, modes), sqrt(SNU), modes in launch order, guards left out; overwritten by the next read."""
        layout = self._layout
        self._digitizer.wait()
        key = (self._rows, layout.modes)
        out = self._buffers.setdefault(key, np.empty((2, *key), dtype=np.float32))
        for quadrature, channel in enumerate(self._role.channels):
            trace = self._digitizer.read(channel)
            _refuse_clipped(self._digitizer.name, trace)
            _scale(trace, layout, self._role.volts_per_snu, out[quadrature])
        return out


def _scale(trace: Trace, layout: RowLayout, volts_per_snu: float, out: NDArray[np.float32]) -> None:
    """Codes of reversed bins to sqrt(SNU) in launch order: data come first in a returned row, last bin first."""
    data = trace.codes.reshape(-1, layout.bins)[:, : layout.modes][:, ::-1]
    np.multiply(data, np.float32(trace.y_increment_v / volts_per_snu), out=out)
    offset = (trace.y_origin_v - trace.y_reference * trace.y_increment_v) / volts_per_snu
    if offset:
        out += np.float32(offset)


def _refuse_clipped(name: str, trace: Trace) -> None:
    clipped = trace.clipped()
    if clipped:
        raise GateError(
            f"{name}: {clipped} of {trace.codes.size} samples lie outside the digitizer's range",
            "Raise the receiver's full_scale in bench.toml (and calibrate again), or lower mean_photons.",
        )
