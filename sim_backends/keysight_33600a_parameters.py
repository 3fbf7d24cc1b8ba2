"""Parameters that only Keysight's 33500 and 33600 Series take: amplitudes, numbers without end, points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.keysight_33600a_channel import CODE_MAX, OPEN_OHM
from sim_backends.scpi import Maybe, Number, ScpiError, Setting, Text
from sim_backends.scpi_table import Entry
from sim_backends.scpi_values import Parameter, Token


class Volts(Number):
    """Also with the suffix VPP."""

    def scale(self, value: float, suffix: str | None, unit: Any) -> float:
        """``value suffix`` in volts."""
        return super().scale(value, suffix[:-2] if suffix and suffix.upper().endswith("VPP") else suffix, unit)


class OrInfinity(Number):
    """INFinity is 9.9E37."""

    def parse(self, token: Token, unit: Any) -> float:
        """The number, or what stands for "without end"."""
        if isinstance(token, str) and token.strip().upper() in ("INF", "INFINITY"):
            return OPEN_OHM
        return super().parse(token, unit)


class Applied(Setting[str]):
    """``APPLy:<function> [<frequency>[,<amplitude>[,<offset>]]]``: all of it at once, and the output on. Of ARBitrary
    the first number is the sample rate.
    """

    def __init__(self, pattern: str, functions: Sequence[str]) -> None:
        super().__init__(pattern, Text(), "")
        self._functions = functions

    def reset(self, unit: object) -> None:
        """Nothing is kept here."""

    def entries(self) -> Iterator[Entry]:
        """A command for each function, and one query."""
        volts = Maybe(Volts("V", default=0.1), None), Maybe(Volts("V", default=0.0), None)
        for word in self._functions:
            short = "".join(letter for letter in word if not letter.islower())
            numbers = (Maybe(Text(), ""), *volts)
            yield Entry(f"{self._pattern}:{word}", numbers, partial(self._apply, short), returns=False)
        yield Entry(f"{self._pattern}?", (), lambda unit, number: unit.applied(number), returns=True)

    @staticmethod
    def _apply(function: str, unit: Any, *given: Any) -> None:
        number, rate, amplitude_v, offset_v = given
        unit.apply(number, function, rate, amplitude_v, offset_v)


class Points(Parameter["NDArray[np.int16]"]):
    """A block of codes, or one of a list of numbers. ``scaled``: from -1 to 1, in blocks as float32."""

    def __init__(self, *, scaled: bool) -> None:
        self._type = "f4" if scaled else "i2"
        self._number = Number("", (-1, 1)) if scaled else Number("", (-CODE_MAX, CODE_MAX))
        self._factor = CODE_MAX if scaled else 1

    def parse(self, token: Token, unit: Any) -> NDArray[np.int16]:
        """Codes, in the byte order that the unit was told."""
        if isinstance(token, str):
            values = np.array([self._number.parse(token, unit)])
        else:
            kind = np.dtype(("<" if unit.byte_order == "SWAP" else ">") + self._type)
            if len(token) % kind.itemsize:
                raise ScpiError(800, "Block length must be even")
            values = np.frombuffer(token, dtype=kind)
            if not np.all(np.abs(values.astype(np.float64)) <= CODE_MAX / self._factor):
                raise ScpiError(-222)
        codes: NDArray[np.int16] = np.rint(values * self._factor).astype(np.int16)
        return codes
