"""Pilots among the data: every ``period``-th symbol is known and bright, the first and the last one included."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.errors import ConfigError, ProtocolError

Symbols = NDArray[np.complex64]


@dataclass(frozen=True)
class PilotFrame:
    """Symbols 0, K, 2K, ... are pilots of the complex amplitude ``amplitude``; K = ``period`` >= 2.

    Raises ConfigError otherwise.
    """

    period: int
    amplitude: complex

    def __post_init__(self) -> None:
        if self.period < 2:
            raise ConfigError(f"a pilot every {self.period} symbols leaves no data", "Use a period of at least 2.")
        if not (math.isfinite(abs(self.amplitude)) and abs(self.amplitude) > 0):
            raise ConfigError(f"pilots of amplitude {self.amplitude}", "Pilots need light.")

    def length(self, data: int) -> int:
        """Symbols of a frame that carries ``data`` data symbols (the last period filled up with darkness)."""
        return -(-data // (self.period - 1)) * self.period + 1

    def interleave(self, data: NDArray[np.complexfloating]) -> Symbols:
        """Data of shape (N,) with pilots among them, shape (length(N),)."""
        if data.ndim != 1 or data.size == 0:
            raise ProtocolError(f"data symbols of shape {data.shape}: a frame takes one row, and not an empty one")
        frame = np.zeros(self.length(len(data)), np.complex64)
        slots = frame[:-1].reshape(-1, self.period)
        whole, rest = divmod(len(data), self.period - 1)
        slots[:whole, 1:] = data[: whole * (self.period - 1)].reshape(whole, self.period - 1)
        if rest:
            slots[whole, 1 : rest + 1] = data[-rest:]
        frame[:: self.period] = self.amplitude
        return frame

    def data(self, frame: Symbols, count: int) -> Symbols:
        """The ``count`` data symbols of a received frame, shape (count,)."""
        self._check(frame)
        if not 0 < count <= (len(frame) // self.period) * (self.period - 1):
            raise ProtocolError(f"a frame of {len(frame)} symbols does not hold {count} data symbols")
        return frame[:-1].reshape(-1, self.period)[:, 1:].reshape(-1)[:count]

    def pilots(self, frame: Symbols) -> Symbols:
        """The pilots of a received frame."""
        self._check(frame)
        return frame[:: self.period]

    def _check(self, frame: Symbols) -> None:
        if frame.ndim != 1 or len(frame) % self.period != 1 or len(frame) <= self.period:
            raise ProtocolError(f"{frame.shape} symbols are no frame with a pilot every {self.period}")
