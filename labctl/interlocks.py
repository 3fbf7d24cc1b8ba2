"""Conditions from bench.toml that must hold before and during a run. Software reads them, it never replaces them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from labctl.bench_tables import InterlockEntry
from labctl.errors import ConfigError, InterlockError
from labctl.interfaces import Amplifier, BiasController, Instrument
from labctl.values import Scalar, Snapshot

REMEDY = "Find out why, put the bench in order, and start the run again."
#: Readings that an instrument's kind gives at the price of one question -> its method. All others are looked up in the
#: instrument's snapshot.
DIRECT = {
    "emission": "emission",
    "power_w": "power",
    "wavelength_m": "wavelength",
    "pump_a": "pump",
    "interlock_open": "interlock_open",
    "locked": "locked",
    "position": "position",
    "degree_of_polarisation": "degree_of_polarisation",
}
#: Kinds on slow lines: an answer takes longer than an image.
SLOW = (Amplifier, BiasController)


@dataclass
class Interlock:
    """One condition. ``reference``: what ``drift`` is measured from, once the light is on."""

    entry: InterlockEntry
    instrument: Instrument
    reference: float | None = None
    ask: Callable[[], Scalar] | None = field(init=False)

    def __post_init__(self) -> None:
        method = getattr(self.instrument, DIRECT.get(self.entry.reading, ""), None)
        self.ask = method if callable(method) else None

    @property
    def quick(self) -> bool:
        """Whether it may be read before each image."""
        return self.ask is not None and not isinstance(self.instrument, SLOW)

    def read(self, snapshots: dict[str, Snapshot]) -> Scalar | None:
        """The reading now, None when the instrument does not give it; ``snapshots``: taken in this round."""
        if self.ask is not None:
            return self.ask()
        name = self.instrument.name
        if name not in snapshots:
            snapshots[name] = self.instrument.snapshot()
        return snapshots[name].get(self.entry.reading)

    def check(self, value: Scalar | None) -> None:
        """Raises InterlockError when ``value`` is not as it must be, or is not there."""
        entry, due = self.entry, ""
        if value is None:
            raise InterlockError(f"{self.instrument.name}: there is no reading {entry.reading!r} now", REMEDY)
        if entry.equals is not None:
            same = isinstance(value, bool) == isinstance(entry.equals, bool) and value == entry.equals
            due = "" if same else f"{entry.equals!r} is due"
        elif isinstance(value, str) or not math.isfinite(value):
            due = "a number is due"
        else:
            due = self._outside(float(value))
        if due:
            shown = f"{value:.6g}" if isinstance(value, float) else repr(value)
            raise InterlockError(f"{self.instrument.name}: {entry.reading} is {shown} where {due}", REMEDY)

    def _outside(self, value: float) -> str:
        low, high, drift = (self.entry.limit(key) for key in ("min", "max", "drift"))
        if low is not None and value < low:
            return f"at least {low:.6g} {self.entry.unit}".rstrip() + " is due"
        if high is not None and value > high:
            return f"at most {high:.6g} {self.entry.unit}".rstrip() + " is due"
        if drift is not None and self.reference is not None and abs(value - self.reference) > drift:
            return f"it was {self.reference:.6g} when the light came on, and may drift by {drift:.6g}"
        return ""


def interlocks_of(entries: Iterable[InterlockEntry], instruments: Mapping[str, Instrument]) -> tuple[Interlock, ...]:
    """Of a bench file, in its order."""
    return tuple(Interlock(entry, instruments[entry.instrument]) for entry in entries)


def check_before(interlocks: Sequence[Interlock]) -> None:
    """Those that must hold before the signal is let out. Raises InterlockError; ConfigError for a reading that the
    instrument does not have.
    """
    snapshots: dict[str, Snapshot] = {}
    for each in interlocks:
        if each.entry.when != "during":
            value = each.read(snapshots)
            if value is None:
                raise ConfigError(
                    f"interlock: {each.instrument.name} has no reading {each.entry.reading!r}",
                    f"Use one of {', '.join(sorted({*snapshots[each.instrument.name], *_direct(each.instrument)}))}.",
                )
            each.check(value)


def check_during(interlocks: Sequence[Interlock]) -> None:
    """These, while the light is on. The first time sets what drifts are measured from. Raises InterlockError."""
    snapshots: dict[str, Snapshot] = {}
    for each in interlocks:
        if each.entry.when != "before":
            value = each.read(snapshots)
            each.check(value)
            if each.entry.drift is not None and each.reference is None and isinstance(value, (int, float)):
                each.reference = float(value)


def _direct(instrument: Instrument) -> list[str]:
    return [name for name, method in DIRECT.items() if callable(getattr(instrument, method, None))]
