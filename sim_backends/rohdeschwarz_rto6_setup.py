"""Vertical, horizontal and trigger settings of a simulated Rohde & Schwarz RTO6, and the codes of its records.

After public drivers of the RTO1000 and RTO2000: CHANnel, TIMebase, ACQuire, HDEFinition; volts as they compute them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim_backends.state import DigitizerChannelState

DIVISIONS: Final = 10
#: Codes of 16 bits within the ten divisions of the screen: of 256 levels, 253.
CODES_ON_SCREEN: Final = 253 * 256
#: High definition: up to this filter bandwidth (Hz) a record has so many bits, 10 beyond (assumed, to be checked).
HIGH_DEFINITION: Final = ((50e6, 16), (100e6, 14), (200e6, 13), (500e6, 12))
MIN_POINTS: Final = 1000
RESET_RANGE_S: Final = 100e-9
RESET_RATE_HZ: Final = 10e9


def resolution_bits(bandwidth_hz: float) -> int:
    """In high definition mode."""
    return next((bits for widest, bits in HIGH_DEFINITION if bandwidth_hz <= widest * (1 + 1e-9)), 10)


class Channel:
    """One input; ``state`` is what the world sees."""

    def __init__(self, number: int, state: DigitizerChannelState) -> None:
        self.state = state
        self.on = number == 1
        self.scale_v = 0.05
        self.offset_v = 0.0
        self.position = 0.0
        self.inverted = False
        self.coupling = "DCL"
        self.bandwidth = "FULL"
        self.grounded = False
        self.impedance_ohm = 50.0
        self.put("position", 0.0)

    def put(self, name: str, value: object) -> None:
        """Change one setting."""
        setattr(self, name, value)
        self.state.full_scale_v = DIVISIONS * self.scale_v
        self.state.offset_v = self.zero_v

    @property
    def zero_v(self) -> float:
        """Voltage at code 0: offset, and the position in divisions above the centre."""
        return self.offset_v - self.position * self.scale_v


class TimeBase:
    """Length of the screen, samples in it, and where the trigger lies. ``reference``: percent of the screen from its
    left edge at which ``position_s`` after the trigger stands.
    """

    def __init__(self, memory_points: int, max_rate_hz: float) -> None:
        self._memory_points = memory_points
        self._max_rate_hz = max_rate_hz
        self.range_s = RESET_RANGE_S
        self.rate_hz = min(RESET_RATE_HZ, max_rate_hz)
        self.position_s = 0.0
        self.reference = 50.0
        self.keeps = "RES"

    @property
    def points(self) -> int:
        """Samples of a record."""
        return max(1, round(self.range_s * self.rate_hz))

    @property
    def before(self) -> int:
        """Samples before the trigger; negative when the record begins after it."""
        return -round(self.start_s * self.rate_hz)

    @property
    def start_s(self) -> float:
        """From the trigger to the left edge of the screen."""
        return self.position_s - self.reference / 100 * self.range_s

    def set_range(self, range_s: float) -> None:
        """TIMebase:RANGe: the resolution or the number of samples stays."""
        points = self.points
        self.range_s = range_s
        if self.keeps == "RECL":
            self.rate_hz = points / range_s
        self._clamp()

    def set_rate(self, rate_hz: float) -> None:
        """ACQuire:SRATe: the time on the screen stays."""
        self.rate_hz = rate_hz
        self._clamp()

    def set_points(self, points: int) -> None:
        """ACQuire:POINts: the time on the screen stays."""
        self.rate_hz = points / self.range_s
        self._clamp()

    def _clamp(self) -> None:
        """As fast, and as many samples, as there can be."""
        self.rate_hz = min(self.rate_hz, self._max_rate_hz, self._memory_points / self.range_s)
        self.rate_hz = max(self.rate_hz, MIN_POINTS / self.range_s)


@dataclass(frozen=True)
class Record:
    """What one channel recorded. ``codes``: int16, shape (N,), volts are codes * step_v + zero_v."""

    codes: NDArray[np.int16]
    step_v: float
    zero_v: float
    start_s: float
    interval_s: float

    @classmethod
    def of(
        cls, samples: NDArray[np.float32], volts_per_unit: float, channel: Channel, bits: int, time_base: TimeBase
    ) -> Record:
        """Of volts ``samples * volts_per_unit``; ``samples`` is overwritten. What lies outside stays at the ends."""
        step_v = channel.scale_v * DIVISIONS / CODES_ON_SCREEN
        shift = 16 - bits
        sign = -1.0 if channel.inverted else 1.0
        np.multiply(samples, np.float32(sign * volts_per_unit / (step_v * (1 << shift))), out=samples)
        if channel.zero_v:
            np.subtract(samples, np.float32(channel.zero_v / (step_v * (1 << shift))), out=samples)
        np.rint(samples, out=samples)
        top = (1 << (bits - 1)) - 1
        np.clip(samples, -top - 1, top, out=samples)
        codes = np.nan_to_num(samples, nan=top, copy=False).astype(np.int16)
        np.left_shift(codes, shift, out=codes)
        return cls(codes, step_v, channel.zero_v, -time_base.before / time_base.rate_hz, 1 / time_base.rate_hz)

    def volts(self) -> NDArray[np.float32]:
        """Shape (N,)."""
        return (self.codes * self.step_v + self.zero_v).astype(np.float32)
