"""From volts at a simulated InfiniiVision's inputs to the codes that ``:WAVeform:DATA?`` sends.

Keysight InfiniiVision 4000 X-Series Programmer's Guide, chapter ":WAVeform Commands" (pages 1448, 1460, 1476 and
":WAVeform:DATA"), the same text in the 2000 X-, 3000T X- and 5000 Series guides. What a code means::

    volts = (code - yreference) * yincrement + yorigin

* WORD, unsigned: yreference 32768; 8 divisions are ``levels * 256`` steps of yincrement. The converter's ``bits`` most
  significant bits count, the rest are 0. BYTE: the upper byte of the word (truncated), yreference 128; 8 divisions are
  ``levels`` steps. Signed (``:WAVeform:UNSigned 0``): the same minus 32768 or 128, yreference 0.
* 0x0000 or 0x00 is a hole: nothing was acquired there. 0x0001 or 0x01 was clipped at the bottom, 0xFFFF or 0xFF at
  the top.
* yorigin is the voltage at the centre of the screen, the channel's offset.

The converter is mid-tread and symmetric: codes from -(2**(bits-1) - 1) to 2**(bits-1) - 1 about the centre, everything
beyond is flagged as clipped. yincrement is first rounded to the nine digits that the preamble shows, and the
converter's step is that rounded number: the formula above is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

WORD_CENTRE: Final = 32768
BYTE_CENTRE: Final = 128

#: Words, centre subtracted.
HOLE: Final = -32768
CLIPPED_LOW: Final = -32767
CLIPPED_HIGH: Final = 32767

#: What ASCII format shows for a hole.
ASCII_HOLE: Final = 9.9e37

DIVISIONS: Final = 8


def nr3(value: float) -> str:
    """A number as the preamble shows it, nine digits: ``+1.60000000E-008``."""
    mantissa, exponent = f"{value:+.8E}".split("E")
    return f"{mantissa}E{int(exponent):+04d}"


@dataclass(frozen=True)
class Scale:
    """Vertical scale of a record.

    ``word_step_v``: yincrement of WORD format, volts as displayed (at the probe tip), as the preamble shows it.
    ``offset_v``: at the centre of the screen. ``bits``: of the converter, 8 to 12.
    """

    word_step_v: float
    offset_v: float
    bits: int

    @staticmethod
    @lru_cache
    def of(range_v: float, offset_v: float, bits: int, levels: int) -> Scale:
        """``range_v``: 8 divisions, which are ``levels`` BYTE steps."""
        return Scale(float(nr3(range_v / (levels * 256))), float(nr3(offset_v)), bits)

    @property
    def shift(self) -> int:
        """Zero bits at the lower end of a word."""
        return 16 - self.bits

    @property
    def byte_step_v(self) -> float:
        """yincrement of BYTE format."""
        return float(nr3(self.word_step_v * 256))


def quantise(samples: NDArray[np.float32], volts_per_unit: float, scale: Scale) -> NDArray[np.int16]:
    """Words minus 32768, shape (N,): what the converter makes of ``samples * volts_per_unit``.

    ``samples`` is overwritten. Values beyond the converter's range become CLIPPED_LOW and CLIPPED_HIGH.
    """
    step_v = scale.word_step_v * (1 << scale.shift)
    np.multiply(samples, np.float32(volts_per_unit / step_v), out=samples)
    if scale.offset_v:
        np.subtract(samples, np.float32(scale.offset_v / step_v), out=samples)
    np.rint(samples, out=samples)
    limit = float((1 << (scale.bits - 1)) - 1)
    if not samples.size or (samples.min() >= -limit and samples.max() <= limit):
        codes = samples.astype(np.int16)
        return np.left_shift(codes, scale.shift, out=codes)
    low, high = samples < -limit, ~(samples <= limit)  # not a number counts as too high
    np.clip(samples, -limit, limit, out=samples)
    samples[high] = limit
    codes = samples.astype(np.int16)
    np.left_shift(codes, scale.shift, out=codes)
    codes[low] = CLIPPED_LOW
    codes[high] = CLIPPED_HIGH
    return codes


@dataclass(frozen=True)
class Record:
    """What one channel acquired on one trigger.

    ``codes``: int16 of shape (N,), words minus 32768. Sample i was taken ``x_origin_s + i * x_increment_s`` after the
    trigger. ``kind``: 0 normal, 1 peak detect, 2 average, 3 high resolution. ``count``: averages.
    """

    codes: NDArray[np.int16]
    scale: Scale
    x_increment_s: float
    x_origin_s: float
    kind: int = 0
    count: int = 1

    def __len__(self) -> int:
        return len(self.codes)

    def volts(self) -> NDArray[np.float64]:
        """What was acquired, without holes."""
        volts: NDArray[np.float64] = self.codes[self.codes != HOLE] * self.scale.word_step_v + self.scale.offset_v
        return volts

    def thinned(self, points: int) -> Record:
        """Every k-th sample, k the whole number that brings the length closest to ``points``."""
        every = max(1, round(len(self.codes) / max(points, 1)))
        if every == 1:
            return self
        return Record(
            self.codes[::every],
            self.scale,
            self.x_increment_s * every,
            self.x_origin_s,
            self.kind,
            self.count,
        )


@dataclass(frozen=True)
class Readout:
    """How ``:WAVeform`` presents a record: ``FORMat``, ``BYTeorder``, ``UNSigned``."""

    format: str = "BYTE"
    msb_first: bool = True
    unsigned: bool = True

    @property
    def y_reference(self) -> int:
        """The code of the screen's centre."""
        if self.format == "ASC":
            return WORD_CENTRE
        if not self.unsigned:
            return 0
        return BYTE_CENTRE if self.format == "BYTE" else WORD_CENTRE

    def y_increment_v(self, scale: Scale) -> float:
        return scale.byte_step_v if self.format == "BYTE" else scale.word_step_v

    def preamble(self, record: Record) -> str:
        """The ten fields of ``:WAVeform:PREamble?``."""
        formats = {"BYTE": 0, "WORD": 1, "ASC": 4}
        numbers = (formats[self.format], record.kind, len(record), record.count)
        return ",".join(
            [
                *(f"{number:+d}" for number in numbers),
                nr3(record.x_increment_s),
                nr3(record.x_origin_s),
                "+0",
                nr3(self.y_increment_v(record.scale)),
                nr3(record.scale.offset_v),
                f"{self.y_reference:+d}",
            ]
        )

    def payload(self, record: Record) -> bytes | NDArray[np.uint16] | NDArray[np.uint8]:
        """The data of the block that :WAVeform:DATA? sends, in the bytes' order."""
        if self.format == "ASC":
            return _ascii(record)
        return self._words(record) if self.format == "WORD" else self._bytes(record)

    def _words(self, record: Record) -> NDArray[np.uint16]:
        words = np.ascontiguousarray(record.codes).view(np.uint16)
        if self.unsigned:
            words = words ^ np.uint16(0x8000)
        if self.msb_first != (np.little_endian is False):
            words = words.byteswap(inplace=self.unsigned)
        return words

    def _bytes(self, record: Record) -> NDArray[np.uint8]:
        """The upper byte; what falls on the hole's code without being one is clipped low."""
        upper = np.right_shift(record.codes, 8)
        if upper.size and upper.min() == -128:
            np.maximum(upper, -127, out=upper, where=record.codes != HOLE)
        values = upper.astype(np.int8).view(np.uint8)
        return values ^ np.uint8(0x80) if self.unsigned else values


def _ascii(record: Record) -> bytes:
    """Volts, comma separated, as ASCII format shows them."""
    volts = record.codes * record.scale.word_step_v + record.scale.offset_v
    volts[record.codes == HOLE] = ASCII_HOLE
    return ",".join(f"{value: .5E}" for value in volts.tolist()).encode("ascii")
