"""From volts at a simulated Tektronix MSO's inputs to the codes that CURVe? sends.

After the WFMOutpre commands in Tektronix's tm_devices: volts are (code - YOFf) * YMUlt + YZEro, YOFf is always 0 and
YZEro the voltage at code 0. In 16 bits a division is 6400 codes, 25 * 256, so that ten divisions leave 2.4 % above the
screen; in 8 bits it is 25. A converter of fewer bits fills the upper ones. What lies beyond its ends stays at its ends;
there is no code for "clipped".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

CODES_PER_DIVISION: Final = 6400
DIVISIONS: Final = 10
LOWEST: Final = -32768

#: Up to this sample rate (Hz) high resolution has so many bits (data sheet of the 5 Series).
HIGH_RESOLUTION: Final = ((125e6, 16), (312.5e6, 15), (625e6, 14), (1.25e9, 13))

#: What DATa:ENCdg means: text or binary, format, byte order.
ENCODINGS: Final = {
    "ASCII": ("ASCII", "", ""),
    "RIBINARY": ("BINARY", "RI", "MSB"),
    "RPBINARY": ("BINARY", "RP", "MSB"),
    "FPBINARY": ("BINARY", "RI", "MSB"),  # constrained to what an analogue channel has
    "SRIBINARY": ("BINARY", "RI", "LSB"),
    "SRPBINARY": ("BINARY", "RP", "LSB"),
    "SFPBINARY": ("BINARY", "RI", "LSB"),
}


def bits_at(rate_hz: float, *, high_resolution: bool, fastest_12_bits_hz: float) -> int:
    """Of the converter at a sample rate."""
    if rate_hz > fastest_12_bits_hz * (1 + 1e-9):
        return 8
    if high_resolution:
        return next((bits for fastest, bits in HIGH_RESOLUTION if rate_hz <= fastest * (1 + 1e-9)), 12)
    return 12


def shown(value: float) -> str:
    """A number as replies have it."""
    mantissa, exponent = f"{value:.9E}".split("E")
    return f"{mantissa}E{int(exponent):+d}"


@dataclass(frozen=True)
class Record:
    """What one channel recorded. ``codes``: int16, shape (N,); ``trigger``: the sample at which the trigger came."""

    codes: NDArray[np.int16]
    step_v: float
    zero_v: float
    rate_hz: float
    trigger: int

    @classmethod
    def of(
        cls, samples: NDArray[np.float32], volts_per_unit: float, scale_v: float, zero_v: float, bits: int
    ) -> Record:
        """Of volts ``samples * volts_per_unit``; ``samples`` is overwritten. Rate and trigger are to be added."""
        step_v = float(shown(scale_v / CODES_PER_DIVISION))
        shift = 16 - bits
        np.multiply(samples, np.float32(volts_per_unit / (step_v * (1 << shift))), out=samples)
        if zero_v:
            np.subtract(samples, np.float32(zero_v / (step_v * (1 << shift))), out=samples)
        np.rint(samples, out=samples)
        top = (1 << (bits - 1)) - 1
        np.clip(samples, -top - 1, top, out=samples)
        codes = np.nan_to_num(samples, nan=top, copy=False).astype(np.int16)
        np.left_shift(codes, shift, out=codes)
        return cls(codes, step_v, float(shown(zero_v)), 0.0, 0)

    def __len__(self) -> int:
        return len(self.codes)


@dataclass
class Readout:
    """How the DATa and WFMOutpre commands present a record: ``start`` and ``stop`` count from 1."""

    encoding: str = "BINARY"
    format: str = "RI"
    order: str = "MSB"
    width: int = 1
    start: int = 1
    stop: int = 1_000_000_000
    every: int = 1

    def set_encoding(self, name: str) -> None:
        """``DATa:ENCdg``."""
        encoding, form, order = ENCODINGS[name]
        self.encoding = encoding
        self.format, self.order = form or self.format, order or self.order

    @property
    def name(self) -> str:
        """As ``DATa:ENCdg?`` tells it."""
        if self.encoding == "ASCII":
            return "ASCII"
        return ("S" if self.order == "LSB" else "") + self.format + "BINARY"

    def _sent(self, record: Record) -> NDArray[np.int16]:
        return record.codes[self.start - 1 : max(self.stop, self.start) : self.every]

    def points(self, record: Record) -> int:
        """How many are sent."""
        return len(self._sent(record))

    def step_v(self, record: Record) -> float:
        """YMUlt for the width sent."""
        return record.step_v * (256 if self.width == 1 else 1)

    def payload(self, record: Record) -> bytes | NDArray[np.int16] | NDArray[np.int8]:
        """The numbers, as text or as the data of a block."""
        codes = self._sent(record)
        if self.width == 1:
            narrow = np.right_shift(codes, 8).astype(np.int8)
            if self.encoding == "ASCII":
                return ",".join(map(str, narrow.tolist())).encode()
            return narrow if self.format == "RI" else (narrow.view(np.uint8) ^ np.uint8(0x80)).view(np.int8)
        if self.encoding == "ASCII":
            return ",".join(map(str, codes.tolist())).encode()
        wide = np.ascontiguousarray(codes).astype("<i2", copy=False)
        if self.format == "RP":
            wide = (wide.view("<u2") ^ np.uint16(0x8000)).view("<i2")
        return wide if self.order == "LSB" else wide.byteswap()
