"""Parameter types of SCPI commands, and the forms in which values go back (SCPI-1999 volume 1,
chapters 7 and 8).

A parameter turns one token of program data into a value, or raises
:class:`~sim_backends.status.ScpiError`. Limits and the unit of a plain number may depend on the
instrument's state: give a function of the unit (the front end) instead.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from labctl.units import dbm_to_watt
from sim_backends.status import ScpiError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: (low, high), or a function of the front end that returns them.
Limits = tuple[float, float] | Callable[[Any], tuple[float, float]]

_NUMBER: Final = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:\s*[eE]\s*[+-]?\d+)?)\s*([A-Za-z%][A-Za-z/%]*)?\s*")
_BASES: Final = {"H": 16, "Q": 8, "B": 2}
_PREFIXES: Final = {
    "": 1.0, "EX": 1e18, "PE": 1e15, "T": 1e12, "G": 1e9, "MA": 1e6, "K": 1e3,
    "M": 1e-3, "U": 1e-6, "N": 1e-9, "P": 1e-12, "F": 1e-15, "A": 1e-18,
}  # fmt: skip
_SPECIAL: Final = {"MIN": 0, "MINIMUM": 0, "MAX": 1, "MAXIMUM": 1}


@dataclass(frozen=True)
class Block:
    """An answer that is a definite block ``#<digits><length><data>``; ``digits``: of the length,
    zero-padded. ``bare``: when nothing else is answered, nothing follows the data, not even a terminator.
    """

    data: bytes | bytearray | memoryview | NDArray[Any]
    digits: int = 8
    bare: bool = field(default=False, kw_only=True)

    def parts(self) -> tuple[bytes, memoryview]:
        """Header and payload; the payload is not copied."""
        data = self.data
        if isinstance(data, np.ndarray):
            data = np.ascontiguousarray(data).data
        view = memoryview(data).cast("B")
        return b"#%d%0*d" % (self.digits, self.digits, len(view)), view


#: What a query's handler may return; a float is formatted by the unit's ``format_real``.
Reply = str | int | float | bool | Block
#: What arrives at a parameter: text, or the payload of a block.
Token = str | memoryview


class Parameter(ABC, Generic[T_co]):
    """One place in a command's list of parameters. ``rest``: takes every token that is left; ``fixed``: what a text
    means does not depend on the unit's state.
    """

    rest = False
    optional = False
    fixed = False

    @abstractmethod
    def parse(self, token: Token, unit: Any) -> T_co:
        """The value that ``token`` means to the front end ``unit``. Raises ScpiError."""

    def special(self, token: str, unit: Any) -> Reply:
        """The answer to ``HEADER? MIN`` and the like. Raises ScpiError where there is none."""
        raise ScpiError(-108)


def _text(token: Token, wrong: int = -104) -> str:
    if isinstance(token, str):
        return token
    raise ScpiError(wrong)


class Number(Parameter[float]):
    """A decimal number with an optional unit, MINimum, MAXimum or DEFault.

    ``unit``: "M", "HZ", "S", "V", "A", "W", "DB", "NM/S" ... or "" for a pure number; the value
    comes out in it (powers may be given in DBM as well). ``plain``: the unit of a number without
    one, if it is not ``unit`` (a text, or a function of the front end that returns it). ``limits``
    are in ``unit``; without them MIN and MAX are not understood.
    """

    def __init__(
        self,
        unit: str = "",
        limits: Limits | None = None,
        *,
        default: float | None = None,
        plain: str | Callable[[Any], str] | None = None,
        resolution: float = 0.0,
    ) -> None:
        self._unit = unit.upper()
        self._limits = limits
        self._default = default
        self._plain = plain
        self._resolution = resolution

    def parse(self, token: Token, unit: Any) -> float:
        text = _text(token).strip()
        match = _NUMBER.fullmatch(text)
        if match is None:
            return self._word(text.upper(), unit)
        value = self.scale(float("".join(match[1].split())), match[2], unit)
        if not math.isfinite(value):  # a number too large for one, such as 1E999
            raise ScpiError(-222)
        if self._resolution:
            value = round(value / self._resolution) * self._resolution
        self._check(value, unit)
        return value

    def scale(self, value: float, suffix: str | None, unit: Any) -> float:
        """``value suffix`` in the parameter's unit."""
        if suffix is None:
            if self._plain is None:
                return value
            suffix = self._plain if isinstance(self._plain, str) else self._plain(unit)
            if not suffix:
                return value
        elif not self._unit:
            raise ScpiError(-138)
        suffix = suffix.upper()
        if self._unit == "W" and suffix == "DBM":
            return dbm_to_watt(value) if value < 3000 else math.inf
        factor = unit_factor(suffix, self._unit)
        if factor is None:
            raise ScpiError(-131)
        return value * factor

    def _word(self, word: str, unit: Any) -> float:
        if word in ("DEF", "DEFAULT") and self._default is not None:
            return self._default
        if word in _SPECIAL and self._limits is not None:
            return self.limits(unit)[_SPECIAL[word]]
        raise ScpiError(-148 if word and word[0].isalpha() else -104)

    def limits(self, unit: Any) -> tuple[float, float]:
        """In force now."""
        limits = self._limits
        if limits is None:
            return -math.inf, math.inf
        return limits if isinstance(limits, tuple) else limits(unit)

    def _check(self, value: float, unit: Any) -> None:
        low, high = self.limits(unit)
        slack = 1e-9  # relative, for limits that a unit conversion has rounded
        within = low - slack * abs(low) <= value <= high + slack * abs(high)
        if not math.isfinite(value) or not within:
            raise ScpiError(-222)

    def special(self, token: str, unit: Any) -> Reply:
        return self._word(token.strip().upper(), unit)


def unit_factor(suffix: str, unit: str) -> float | None:
    """How many ``unit`` one ``suffix`` is, both in capitals; None when they do not belong together.

    In front of HZ and OHM an M is mega, elsewhere milli (IEEE 488.2, 7.7.3).
    """
    if suffix == unit:
        return 1.0
    if not suffix.endswith(unit) or not unit:
        return None
    prefix = suffix[: len(suffix) - len(unit)]
    if prefix == "M" and unit in ("HZ", "OHM", "SA/S"):
        return 1e6
    return _PREFIXES.get(prefix)


class Integer(Parameter[int]):
    """A whole number (decimals are rounded), also ``#H``, ``#Q`` and ``#B`` forms."""

    fixed = True

    def __init__(self, low: int = -(2**31), high: int = 2**32 - 1) -> None:
        self._low, self._high = low, high

    def parse(self, token: Token, unit: Any) -> int:
        text = _text(token).strip()
        try:
            value = int(text)
        except ValueError:
            value = self._other(text)
        if not self._low <= value <= self._high:
            raise ScpiError(-222)
        return value

    def _other(self, text: str) -> int:
        upper = text.upper()
        if upper in _SPECIAL:
            return (self._low, self._high)[_SPECIAL[upper]]
        try:
            if upper.startswith("#") and upper[1:2] in _BASES:
                return int(upper[2:], _BASES[upper[1]])
            number = float(upper)
        except ValueError:
            raise ScpiError(-148 if upper[:1].isalpha() else -104) from None
        if not math.isfinite(number):
            raise ScpiError(-222)
        return math.floor(number + 0.5)

    def special(self, token: str, unit: Any) -> Reply:
        return self._other(token.strip())


class Boolean(Parameter[bool]):
    """``ON``, ``OFF`` or a number, which is true unless it rounds to 0."""

    fixed = True

    def parse(self, token: Token, unit: Any) -> bool:
        text = _text(token).strip().upper()
        if text in ("1", "ON"):
            return True
        if text in ("0", "OFF"):
            return False
        try:
            return round(float(text)) != 0
        except (ValueError, OverflowError):
            raise ScpiError(-148 if text[:1].isalpha() else -104) from None


class Choice(Parameter[str]):
    """One of some words, short or long form, any case. The value is the short form in capitals.

    Words are written as manuals do: ``Choice("MAIN", "WINDow", "XY")``. Names may contain digits.
    """

    fixed = True

    def __init__(self, *words: str) -> None:
        self._words: dict[str, str] = {}
        for word in words:
            short = "".join(letter for letter in word if not letter.islower())
            self._words[word.upper()] = self._words[short] = short

    def parse(self, token: Token, unit: Any) -> str:
        try:
            return self._words[_text(token).strip().upper()]
        except KeyError:
            raise ScpiError(-224) from None


class Text(Parameter[str]):
    """A quoted string; a bare word is taken as it stands."""

    fixed = True

    def parse(self, token: Token, unit: Any) -> str:
        text = _text(token).strip()
        quote = text[:1]
        if quote not in ("'", '"'):
            return text
        if len(text) < 2 or not text.endswith(quote):
            raise ScpiError(-151)
        return text[1:-1].replace(quote * 2, quote)


class Binary(Parameter[memoryview]):
    """The payload of a block. It looks into the sender's buffer: copy what is to be kept."""

    def parse(self, token: Token, unit: Any) -> memoryview:
        if isinstance(token, str):
            raise ScpiError(-161 if token.lstrip().startswith("#") else -104)
        return token


class Rest(Parameter[list[T]]):
    """All tokens that are left, at least ``least``, each of one type."""

    rest = True

    def __init__(self, each: Parameter[T], least: int = 1) -> None:
        self._each = each
        self.least = least

    def parse(self, token: Token, unit: Any) -> list[T]:
        return [self._each.parse(token, unit)]

    def parse_all(self, tokens: tuple[Token, ...], unit: Any) -> list[T]:
        """Every token in turn."""
        each = self._each.parse
        return [each(token, unit) for token in tokens]


class Maybe(Parameter[T]):
    """A trailing parameter that may be left out, which then means ``default``."""

    optional = True

    def __init__(self, parameter: Parameter[T], default: T) -> None:
        self._parameter = parameter
        self.default = default
        self.fixed = parameter.fixed

    def parse(self, token: Token, unit: Any) -> T:
        return self._parameter.parse(token, unit)


def scientific(value: float, digits: int = 8, exponent: int = 2) -> str:
    """``+1.55012000E-006`` and the like: sign, ``digits`` decimals, at least ``exponent`` digits of
    exponent (NR3).
    """
    mantissa, power = f"{value:+.{digits}E}".split("E")
    return f"{mantissa}E{power[0]}{power[1:].zfill(exponent)}"


def response(replies: Sequence[Reply], terminator: str, format_real: Callable[[float], str]) -> bytes:
    """One response message, answers joined by ``;`` (IEEE 488.2, 8.4.1). Blocks are copied once."""
    parts: list[bytes | memoryview] = []
    for reply in replies:
        if parts:
            parts.append(b";")
        if isinstance(reply, Block):
            parts.extend(reply.parts())
        else:
            parts.append(_written(reply, format_real).encode("latin-1", "replace"))
    parts.append(terminator.encode())
    return b"".join(parts)


def _written(reply: str | int | float | bool, format_real: Callable[[float], str]) -> str:
    if isinstance(reply, str):
        return reply
    if isinstance(reply, bool):
        return "1" if reply else "0"
    return str(reply) if isinstance(reply, int) else format_real(reply)
