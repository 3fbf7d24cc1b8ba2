"""Frozen dataclasses that cross the boundaries between rooms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

#: One setting or reading in a snapshot: a value whose unit stands in its key.
Scalar = float | int | bool | str
Snapshot = Mapping[str, Scalar]

#: Which of the two published bounds on the data's leakage is meant (docs/physics.md, section 6).
Convention = Literal["v1", "journal"]


@dataclass(frozen=True)
class Identity:
    """Who answers at an address, as the instrument tells it."""

    vendor: str
    model: str
    serial: str = ""
    firmware: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.vendor, self.model, self.serial) if part)


@dataclass(frozen=True)
class Range:
    """Closed interval of allowed values, in ``unit``."""

    low: float
    high: float
    unit: str = ""

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g} {self.unit}".rstrip()


@dataclass(frozen=True)
class GeneratorCapabilities:
    """What a waveform generator can play.

    ``code_min``/``code_max``: the DAC's signed integer codes; ``code_max`` is the positive full scale, half the
    peak-to-peak amplitude. ``granularity``, ``min_length``: samples of a segment.
    """

    channels: int
    sample_rate_hz: Range
    amplitude_vpp: Range
    bits: int
    code_min: int
    code_max: int
    granularity: int
    min_length: int
    memory_samples: int


@dataclass(frozen=True)
class DigitizerCapabilities:
    """``full_scale_v``: peak-to-peak input range of a channel; ``bits``: effective bits of the acquisition used."""

    channels: int
    full_scale_v: Range
    sample_rate_hz: Range
    bits: int
    memory_samples: int


@dataclass(frozen=True)
class Trace:
    """One digitizer channel's record, in the instrument's own integer codes.

    ``codes``: int16, shape (N,), one per sample. Volts are (code - y_reference) * y_increment + y_origin; sample i was
    taken at i * x_increment + x_origin seconds after the trigger. ``low_clip``/``high_clip``: the codes that mean
    "outside the range".
    """

    codes: NDArray[np.int16]
    y_increment_v: float
    y_origin_v: float
    y_reference: int
    x_increment_s: float
    x_origin_s: float
    low_clip: int
    high_clip: int

    def holding(self, codes: NDArray[np.int16]) -> Trace:
        """Other samples on the same scales."""
        return Trace(
            codes,
            self.y_increment_v,
            self.y_origin_v,
            self.y_reference,
            self.x_increment_s,
            self.x_origin_s,
            self.low_clip,
            self.high_clip,
        )

    def volts(self) -> NDArray[np.float64]:
        """Shape (N,), volts."""
        return (self.codes.astype(np.float64) - self.y_reference) * self.y_increment_v + self.y_origin_v

    def clipped(self) -> int:
        """How many samples lay outside the range."""
        if self.codes.size == 0:
            return 0
        if self.codes.max() < self.high_clip and self.codes.min() > self.low_clip:
            return 0
        return int(np.count_nonzero((self.codes >= self.high_clip) | (self.codes <= self.low_clip)))


@dataclass(frozen=True)
class Quadrature:
    """A receiver's record of one quadrature.

    ``samples``: shape (rows, modes), int16 in the digitizer's own codes where code 0 is 0, float32 otherwise; times
    ``unit_snu`` they are in sqrt(SNU) of the receiver's own shot noise.
    """

    samples: NDArray[np.int16] | NDArray[np.float32]
    unit_snu: float

    @classmethod
    def of(cls, trace: Trace, bins: int, modes: int, volts_per_snu: float) -> Quadrature:
        """The first ``modes`` of every ``bins`` samples, a row each."""
        codes = trace.codes.reshape(-1, bins)[:, :modes]
        unit = trace.y_increment_v / volts_per_snu
        offset = (trace.y_origin_v - trace.y_reference * trace.y_increment_v) / volts_per_snu
        if offset == 0:
            return cls(codes, unit)
        return cls(codes * np.float32(unit) + np.float32(offset), 1.0)

    def values(self) -> NDArray[np.float32]:
        """Shape (rows, modes), sqrt(SNU)."""
        return np.multiply(self.samples, np.float32(self.unit_snu), dtype=np.float32)


@dataclass(frozen=True)
class SafeState:
    """What the read-back said after an instrument was told to go dark.

    ``dark``: the read-back confirms that nothing is emitted any more. ``readings``: what was read.
    """

    instrument: str
    dark: bool
    readings: Snapshot = field(default_factory=dict)
    problem: str = ""


class Presence(Enum):
    """What is known of a VISA resource."""

    NOT_ASKED = "not asked"
    HELD = "held by another program"
    LOST = "could not connect"
    SILENT = "silent"
    UNKNOWN = "answered, but unknown"
    RECOGNISED = "recognised"


@dataclass(frozen=True)
class FoundInstrument:
    """What is at a VISA resource.

    ``driver``: "module:Class" or a registered name, "" where no driver knows it, for the reason in ``problem``; one
    that is recognised and cannot be used as it is has a problem too. ``kind``: the name of its class in
    :mod:`labctl.interfaces`. ``holder``, ``holder_pid``: the program that holds it, and its process.
    """

    resource: str
    presence: Presence
    driver: str = ""
    kind: str = ""
    identity: Identity | None = None
    problem: str = ""
    holder: str = ""
    holder_pid: int | None = None
