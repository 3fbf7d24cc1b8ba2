"""Named multiples at the edges: texts such as ``"1550.12 nm"`` or ``"10 dBm"`` become SI numbers.

Inside labctl every number is in SI (or in shot-noise units, SNU, where a name says so); a unit is spoken only in files,
on the command line and on the wire of an instrument.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final

#: Powers of ten.
_PREFIXES: Final = {
    "p": -12,
    "n": -9,
    "u": -6,
    "\u00b5": -6,  # micro sign
    "\u03bc": -6,  # the Greek letter
    "m": -3,
    "": 0,
    "k": 3,
    "M": 6,
    "G": 9,
    "T": 12,
}
_BASES: Final = ("W", "m", "Hz", "s", "V", "A", "K", "Sa/s")
_PLAIN: Final = {"dB": "dB", "%": ""}
_QUANTITY = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S*)\s*")


def parse_quantity(text: str, unit: str) -> float:
    """The number that ``text`` means, in ``unit``.

    ``unit`` is an SI unit ("W", "m", "Hz", "s", "V", "A", "K", "Sa/s"), "°C", "dB", or "" for a pure number. Powers may
    also be given in dBm. Raises ValueError, with a text fit for an operator, when the text has no number, another unit,
    no unit where one is needed, or a number that is not finite.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a number with a unit, such as {example(unit)!r}")
    try:
        scaled = _scale(match[1], match[2], unit)
    except ArithmeticError:
        scaled = math.inf
    if scaled is None:
        raise ValueError(f"{text!r} is not in {unit or 'plain numbers'}, write e.g. {example(unit)!r}")
    if not math.isfinite(scaled):
        raise ValueError(f"{text!r} is not finite")
    return scaled


def _scale(number: str, suffix: str, unit: str) -> float | None:
    value = float(number)
    if unit == "W" and suffix == "dBm":
        return dbm_to_watt(value)
    if unit in ("dB", ""):
        if suffix == "%" and unit == "":
            return value / 100
        return value if suffix == unit else None
    if unit == "°C":
        return value if suffix in ("°C", "degC") else None
    if unit in _BASES and suffix.endswith(unit):
        prefix = suffix[: len(suffix) - len(unit)]
        if prefix in _PREFIXES:
            # Shifted in decimal, so that 700 mV is the float 0.7 exactly.
            return float(Decimal(number).scaleb(_PREFIXES[prefix]))
    return None


def example(unit: str) -> str:
    """A text of this unit, for messages."""
    return {
        "W": "10 mW",
        "m": "1550.12 nm",
        "Hz": "125 MHz",
        "Sa/s": "125 MSa/s",
        "s": "20 ms",
        "V": "350 mV",
        "A": "120 mA",
        "dB": "3.5 dB",
    }.get(unit, "1.5" + (f" {unit}" if unit else ""))


def dbm_to_watt(dbm: float) -> float:
    """0 dBm is 1 mW."""
    return float(1e-3 * 10 ** (dbm / 10))


def watt_to_dbm(watt: float) -> float:
    """Raises ValueError for powers that have no logarithm."""
    if watt <= 0:
        raise ValueError(f"{watt} W has no value in dBm")
    return 10 * math.log10(watt / 1e-3)


def db_to_ratio(db: float) -> float:
    """Power ratio of a gain in dB (a loss is a negative gain)."""
    return float(10 ** (db / 10))


def ratio_to_db(ratio: float) -> float:
    """Raises ValueError for ratios that have no logarithm."""
    if ratio <= 0:
        raise ValueError(f"a power ratio of {ratio} has no value in dB")
    return 10 * math.log10(ratio)
