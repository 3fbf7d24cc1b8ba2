"""Readings that a calibration holds for: noted with each result, and looked at by the runs that rest on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from labctl.bench_tables import InterlockEntry
from labctl.calibration.result import Result
from labctl.calibration.rig import Rig
from labctl.config import BenchConfig
from labctl.errors import CalibrationError, ConfigError, Drifted
from labctl.interfaces import Instrument
from labctl.interlocks import Interlock
from labctl.values import Scalar, Snapshot

#: What the monitor's power is called in a result's working point.
POWER = "monitor_power_w"
REMEDY = "Let the bench settle, then run: labctl calibrate, and start the run again."


@dataclass
class HeldTo(Interlock):
    """A reading that must be what it was while calibrating. ``was``: at each procedure; ``most``: that it may differ
    by, a fraction of what it was where ``relative``. ``lit``: whether it tells something only once the laser is on.
    """

    was: Mapping[str, float] = field(default_factory=dict)
    most: float = 0.0
    relative: bool = False
    lit: bool = False

    def check(self, value: Scalar | None) -> None:
        """Raises Drifted, which names the procedures whose results do not count any more."""
        if value is None or isinstance(value, str) or not math.isfinite(value):
            super().check(None if value is None else math.nan)
            return
        off = {
            name: then
            for name, then in self.was.items()
            if abs(float(value) - then) > self.most * (abs(then) if self.relative else 1.0)
        }
        if off:
            name, then = max(off.items(), key=lambda each: abs(float(value) - each[1]))
            unit = self.entry.unit
            allowed = f"{self.most:.3g} of it" if self.relative else f"{self.most:.4g} {unit}".rstrip()
            raise Drifted(
                f"{self.instrument.name}: {self.entry.reading} is {float(value):.6g} {unit}".rstrip()
                + f", and was {then:.6g} when {name} was measured; the calibration holds within {allowed}",
                REMEDY,
            )


def key_of(instrument: str, reading: str) -> str:
    """In a result's working point."""
    return f"{instrument}.{reading}"


def noted(config: BenchConfig, instruments: Mapping[str, Instrument], rig: Rig) -> dict[str, float]:
    """What a result is to hold for beside the working point of bench.toml, as it is now; all is dark afterwards.

    Raises ConfigError for a reading that an instrument does not have.
    """
    found: dict[str, float] = {}
    snapshots: dict[str, Snapshot] = {}
    for entry in config.calibration.drift:
        value = Interlock(entry.condition(), instruments[entry.instrument]).read(snapshots)
        if value is None or isinstance(value, str) or not math.isfinite(value):
            raise ConfigError(
                f"calibration.drift: {entry.instrument} has no number {entry.reading!r}",
                "Name a reading that 'labctl bench check' shows.",
            )
        found[key_of(entry.instrument, entry.reading)] = float(value)
    if config.calibration.power_drift is not None:
        meter = rig.parts.monitor
        if meter is None:
            raise ConfigError("calibration.power_drift needs a monitor", "Add [monitor], or take the key out.")
        rig.oscillator()
        found[POWER] = meter.power()
        rig.dark()
    return found


def references(config: BenchConfig, results: Mapping[str, Result], needed: Sequence[str]) -> dict[str, float]:
    """Numbers that runs are held to, by "procedure/reading". Raises CalibrationError where one was not noted."""
    role = config.calibration
    keys = [key_of(entry.instrument, entry.reading) for entry in role.drift]
    keys += [POWER] if role.power_drift is not None else []
    found: dict[str, float] = {}
    for name in needed:
        for key in keys:
            if key not in results[name].point:
                raise CalibrationError(
                    f"{name} was measured before bench.toml asked for {key}: nobody knows what it was then",
                    "Run: labctl calibrate",
                )
            found[f"{name}/{key}"] = results[name].point[key]
    for quantity in results["phase-reference"].quantities:
        if quantity.name in ("server.phase", "client.phase"):
            found |= {quantity.name: quantity.value, f"{quantity.name}_se": quantity.standard_error}
    return found


def held_to(config: BenchConfig, instruments: Mapping[str, Instrument]) -> tuple[HeldTo, ...]:
    """The conditions of a run; none where its constants come from no store. Raises ConfigError."""
    role, made = config.calibration, []

    def was(key: str) -> dict[str, float]:
        ending = f"/{key}"
        return {name.removesuffix(ending): value for name, value in role.references.items() if name.endswith(ending)}

    for entry in role.drift:
        then = was(key_of(entry.instrument, entry.reading))
        made.append(HeldTo(entry.condition(), instruments[entry.instrument], was=then, most=entry.allowed))
    if role.power_drift is not None:
        if config.monitor is None:
            raise ConfigError("calibration.power_drift needs a monitor", "Add [monitor], or take the key out.")
        meter = instruments[config.monitor.instrument]
        power = InterlockEntry(instrument=meter.name, reading="power_w", drift="0 W")
        made.append(HeldTo(power, meter, was=was(POWER), most=role.power_drift, relative=True, lit=True))
    return tuple(made)
