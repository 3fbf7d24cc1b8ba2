"""A receiver's sampled record before any processing, and the gate against clipping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.errors import ProtocolError
from labctl.protocol.gates import check_clipping
from labctl.values import Trace


@dataclass(frozen=True)
class Recording:
    """``samples``: shape (1, N) of a homodyne receiver, (2, N) of a dual-quadrature one, X first; int16 codes whose 0
    is 0 V, or float32; times ``volts_per_unit`` they are volts. ``clipped``: samples outside the digitizer's range.

    Raises ProtocolError for another shape.
    """

    samples: NDArray[np.int16] | NDArray[np.float32]
    volts_per_unit: float = 1.0
    clipped: int = 0

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or len(self.samples) not in (1, 2):
            raise ProtocolError(f"a recording of shape {self.samples.shape} is neither (1, N) nor (2, N)")

    @classmethod
    def of(cls, traces: Sequence[Trace]) -> Recording:
        """Of the digitizer's channels, X first. Raises ProtocolError when their lengths differ."""
        if len({trace.codes.size for trace in traces}) != 1:
            raise ProtocolError("the channels of one receiver recorded different numbers of samples")
        clipped = sum(trace.clipped() for trace in traces)
        first = traces[0]
        plain = all(
            trace.y_origin_v == 0 and trace.y_reference == 0 and trace.y_increment_v == first.y_increment_v
            for trace in traces
        )
        if plain:
            return cls(np.stack([trace.codes for trace in traces]), first.y_increment_v, clipped)
        return cls(np.stack([trace.volts().astype(np.float32) for trace in traces]), 1.0, clipped)

    @property
    def length(self) -> int:
        """Samples per quadrature."""
        return int(self.samples.shape[1])

    def require_unclipped(self, name: str) -> None:
        """Raises GateError, naming the receiver ``name``, when a sample lay outside the digitizer's range."""
        check_clipping(name, self.clipped, self.samples.size)
