"""The text that SCPI instruments speak: numbers, definite blocks, error entries, declared settings.

Nothing here talks to an instrument. Sources: IEEE Std 488.2-1992 (7.7.6 arbitrary block data, 8.7
response data) and SCPI-1999 vol. 1 (7.2.1 numeric values with INFinity and NaN, vol. 2 ch. 21 the
error queue).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from labctl.values import Range

T = TypeVar("T")

#: SCPI-1999 7.2.1.4 and 7.2.1.5: how "infinite" and "not a number" travel.
INFINITY: Final = 9.9e37
NOT_A_NUMBER: Final = 9.91e37

_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_INTEGER = re.compile(r"[+-]?\d+")
_WORDS: Final = {"NAN": math.nan, "INF": math.inf, "INFINITY": math.inf, "NINF": -math.inf}
_NEXT_ENTRY = re.compile(r'(?<="),(?=\s*[+-]?\d+\s*,\s*")')
_ERROR_ENTRY = re.compile(r'\s*([+-]?\d+)\s*,\s*"(.*)"\s*', re.DOTALL)

#: A definite block's length has at most nine digits.
MAX_BLOCK_BYTES: Final = 999_999_999


def parse_real(text: str) -> float:
    """The number in a reply (NR1, NR2 or NR3); 9.91E37 is NaN, 9.9E37 and beyond infinite.

    Raises ValueError for anything else, a number too big for a float included.
    """
    text = text.strip()
    if _DECIMAL.fullmatch(text) is None:
        special = _WORDS.get(text.upper())
        if special is None:
            raise ValueError(f"{text[:80]!r} is not a number")
        return special
    value = float(text)
    if abs(value) < INFINITY:
        return value
    if value == NOT_A_NUMBER:
        return math.nan
    if math.isinf(value):
        raise ValueError(f"{text[:80]!r} is too big for a number")
    return math.copysign(math.inf, value)


def parse_finite(text: str) -> float:
    """:func:`parse_real`, and ValueError where the instrument says "overflow" or "no reading"."""
    value = parse_real(text)
    if not math.isfinite(value):
        raise ValueError(f"{text.strip()!r} means {value}: overflow, or no reading")
    return value


def parse_integer(text: str) -> int:
    """An NR1 number, or an NR2/NR3 one that is whole. Raises ValueError."""
    text = text.strip()
    if _INTEGER.fullmatch(text):
        return int(text)
    value = parse_finite(text)
    if not value.is_integer():
        raise ValueError(f"{text!r} is not a whole number")
    return int(value)


def parse_switch(text: str) -> bool:
    """0 or 1, as a number or OFF/ON. Raises ValueError."""
    word = text.strip().upper()
    if word in ("1", "+1", "ON"):
        return True
    if word in ("0", "+0", "OFF"):
        return False
    raise ValueError(f"{text[:80]!r} is neither 0 nor 1")


def parse_word(text: str) -> str:
    """A mnemonic or a string with its quotes taken off. Raises ValueError when there is nothing."""
    word = text.strip().strip('"')
    if not word:
        raise ValueError("the reply is empty")
    return word


def format_real(value: float) -> str:
    """Fifteen digits, so that 1550e-9 m is 1550 nm. Raises ValueError for NaN and infinity."""
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be sent")
    return f"{value:.15g}"


def format_switch(value: bool) -> str:
    """1 or 0."""
    return "1" if value else "0"


@dataclass(frozen=True)
class ErrorEntry:
    """One line of an instrument's error queue; code 0 means that the queue is empty."""

    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


def parse_error_entry(reply: str) -> ErrorEntry:
    """``-222,"Data out of range"`` as a reply to SYSTem:ERRor?. Raises ValueError."""
    match = _ERROR_ENTRY.fullmatch(reply)
    if match is None:
        raise ValueError(f"{reply[:80]!r} is not an entry of an error queue")
    return ErrorEntry(int(match[1]), match[2].replace('""', '"'))


def parse_error_entries(reply: str) -> list[ErrorEntry]:
    """One entry, or several of them with commas between, oldest first. Raises ValueError."""
    return [parse_error_entry(entry) for entry in _NEXT_ENTRY.split(reply)]


def block_header(byte_count: int) -> bytes:
    """``#<digits><length>`` before ``byte_count`` bytes of data (IEEE 488.2, 7.7.6.2)."""
    if not 0 <= byte_count <= MAX_BLOCK_BYTES:
        raise ValueError(f"a block cannot have {byte_count} bytes, {MAX_BLOCK_BYTES} at most")
    length = str(byte_count)
    return f"#{len(length)}{length}".encode("ascii")


def block_prefix_length(start: bytes) -> int:
    """How many bytes the header of the block that begins with ``start`` (two bytes or more) has.

    Raises ValueError when this is no definite block ("#0", the indefinite form, included: it needs
    an END that a socket has not).
    """
    if start[:1] != b"#" or not start[1:2].isdigit():
        raise ValueError(f"{start[:40]!r} is not the beginning of a block")
    if start[1:2] == b"0":
        raise ValueError("a block of indefinite length came, where one of definite length was wanted")
    return 2 + int(start[1:2])


def block_length(header: bytes) -> int:
    """The number of data bytes that a complete header promises. Raises ValueError."""
    digits = header[2 : block_prefix_length(header)]
    if len(digits) != int(header[1:2]) or not digits.isdigit():
        raise ValueError(f"{header[:11]!r} is not the header of a block")
    return int(digits)


def make_block(data: bytes) -> bytes:
    """A definite block around ``data``."""
    return block_header(len(data)) + data


def parse_block(message: bytes) -> bytes:
    """The data of a message that is one definite block, with or without a line feed behind it.
    Raises ValueError.
    """
    start = block_prefix_length(message)
    count = block_length(message)
    rest = message[start + count :]
    if len(message) < start + count or rest not in (b"", b"\n", b"\r\n", b"\r"):
        raise ValueError(f"the block promises {count} bytes, {len(message) - start} came with its terminator")
    return message[start : start + count]


def int16_block(codes: NDArray[np.int16], left_shift: int = 0) -> tuple[bytes, memoryview]:
    """Header and data of a block of little-endian int16, each code shifted left.

    ``codes``: shape (N,); nothing is checked for overflow. The parts are joined with the rest of a
    message, so that samples are copied once.
    """
    words = np.multiply(codes, 1 << left_shift, dtype=np.int16) if left_shift else codes  # numpy shifts more slowly
    words = np.ascontiguousarray(words, dtype="<i2")
    return block_header(words.nbytes), words.data.cast("B")


@dataclass(frozen=True)
class Setting(Generic[T]):
    """One command of a manual: its header, what it takes, and what it is for.

    ``header`` may hold one ``{}`` for a channel's number. ``unit``: of the number on the wire; it
    is part of the name under which the value goes into a snapshot. ``suffix`` follows a number that
    is sent (" DB").
    """

    header: str
    parse: Callable[[str], T]
    format: Callable[[T], str]
    doc: str
    unit: str = ""
    limits: Range | None = None
    suffix: str = ""

    def name(self, channel: int | None = None) -> str:
        """The header as it is sent."""
        return self.header if channel is None else self.header.format(channel)

    def query(self, channel: int | None = None) -> str:
        return self.name(channel) + "?"

    def command(self, value: T, channel: int | None = None) -> str:
        """The text that sets ``value``. Raises ValueError when it lies outside the limits or cannot
        be sent.
        """
        if self.limits is not None and isinstance(value, (int, float)) and value not in self.limits:
            raise ValueError(f"{value:g} {self.unit} is outside {self.limits}".replace("  ", " "))
        return f"{self.name(channel)} {self.format(value)}{self.suffix}"


def real(header: str, doc: str, *, unit: str = "", limits: Range | None = None, suffix: str = "") -> Setting[float]:
    """A setting whose value is a finite number."""
    return Setting(header, parse_finite, format_real, doc, unit, limits, suffix)


def integer(header: str, doc: str, *, unit: str = "", limits: Range | None = None) -> Setting[int]:
    """A setting whose value is a whole number."""
    return Setting(header, parse_integer, str, doc, unit, limits)


def switch(header: str, doc: str) -> Setting[bool]:
    """A setting that is on (1) or off (0)."""
    return Setting(header, parse_switch, format_switch, doc)


def word(header: str, doc: str) -> Setting[str]:
    """A setting whose value is a mnemonic."""
    return Setting(header, parse_word, str, doc)
