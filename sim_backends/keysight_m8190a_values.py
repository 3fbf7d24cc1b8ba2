"""What the commands of a simulated Keysight M8190A carry: samples, words of the sequence table, and lists.

Keysight M8190A User's Guide (M8190-91030), chapter 8 "General Programming", :TRACe, :SEQuence and :STABle subsystems.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sim_backends.keysight_m8190a_memory import WHOLE_SEGMENT
from sim_backends.scpi import Block, Integer, ScpiError
from sim_backends.scpi_values import Parameter, Token


class Samples(Parameter["NDArray[np.int16]"]):
    """A block of little-endian int16, or one number of a list."""

    def parse(self, token: Token, unit: object) -> NDArray[np.int16]:
        if isinstance(token, str):
            return np.array([Integer(-32768, 32767).parse(token, unit)], dtype=np.int16)
        if len(token) % 2:
            raise ScpiError(-161, "a sample has two bytes")
        return np.frombuffer(token, dtype="<i2")


class _Word(Integer):
    """32 bits, also as ``0x80000000``, which is how examples print the control word."""

    def _other(self, text: str) -> int:
        try:
            return int(text, 16) if text[:2].lower() == "0x" else super()._other(text)
        except ValueError:
            raise ScpiError(-104) from None


class Words(Parameter["list[int]"]):
    """A block of little-endian uint32, one number, or several in parentheses."""

    def parse(self, token: Token, unit: object) -> list[int]:
        if isinstance(token, str):
            each = _Word(0, WHOLE_SEGMENT)
            return [each.parse(word, unit) for word in token.strip().strip("()").split(",")]
        if len(token) % 4:
            raise ScpiError(-161, "a word has four bytes")
        words: list[int] = np.frombuffer(token, dtype="<u4").tolist()
        return words


def block_of(words: NDArray[np.int16] | NDArray[np.uint32]) -> Block:
    """With as many digits of its length as it needs."""
    return Block(words, digits=len(str(words.nbytes)))


def pairs(pairs: Iterable[tuple[int, int]]) -> str:
    """``1,480,2,960`` as catalogues list them; ``0,0`` when there is nothing."""
    return ",".join(f"{first},{second}" for first, second in pairs) or "0,0"
