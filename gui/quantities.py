"""Numbers with units for people: names such as ``power_w`` carry their unit, and it is shown as a lab writes it."""

from __future__ import annotations

import math

#: Suffix of a name -> unit, and the multiples it is shown in: (factor, prefix), largest first.
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))
_UNITS = {
    "w": "W",
    "hz": "Hz",
    "v": "V",
    "vpp": "V pp",
    "a": "A",
    "s": "s",
    "snu": "SNU",
    "db": "dB",
    "dbm": "dBm",
    "c": "°C",
    "k": "K",
    "ohm": "Ω",
}
_PLAIN = {"SNU", "dB", "dBm", "°C", "K"}


def label_of(name: str) -> str:
    """``power_w`` -> "power"."""
    stem, _, suffix = name.rpartition("_")
    return (stem if stem and suffix in {*_UNITS, "m"} else name).replace("_", " ")


def text_of(name: str, value: object) -> str:
    """A value in the unit that its name says."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    suffix = name.rpartition("_")[2]
    if suffix == "m" and 1e-7 < abs(value) < 1e-4:
        return f"{value * 1e9:.3f} nm"
    unit = "m" if suffix == "m" else _UNITS.get(suffix)
    if unit is None:
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    return scaled(float(value), unit)


def scaled(value: float, unit: str, digits: int = 5) -> str:
    """With the prefix that suits it; units that take none, none."""
    if not math.isfinite(value):
        return "—"
    if unit in _PLAIN or not unit or value == 0:
        return f"{value:.{digits}g} {unit}".rstrip()
    size = abs(value)
    factor, prefix = next(((f, p) for f, p in _PREFIXES if size >= f), _PREFIXES[-1])
    return f"{value / factor:.{digits}g} {prefix}{unit}"


def number(value: float | None, digits: int = 4) -> str:
    """A pure number, a dash where there is none."""
    return "—" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


def duration(seconds: float) -> str:
    """h:mm:ss, or m:ss below an hour; a dash where it is not known."""
    if not math.isfinite(seconds):
        return "—"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
