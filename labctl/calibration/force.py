"""Measured constants in the place of those that bench.toml declares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from labctl.bench_tables import ImbalanceRole
from labctl.calibration.drift import references
from labctl.calibration.result import Result
from labctl.calibration.store import Store, working_point
from labctl.config import BenchConfig
from labctl.errors import CalibrationError
from labctl.schema import GainPoint
from labctl.units import ratio_to_db

#: Procedures whose results a run rests on.
NEEDED: Final = (
    "shot-noise",
    "modulator",
    "phase-reference",
    "tap",
    "transmittance",
    "amplifier",
    "unitary",
    "overlap",
)
#: How far beyond its drive's reach a V_pi may lie: sin² is 1 there to 1e-3.
SHORT: Final = 0.02


def store_of(config: BenchConfig, path: Path, folder: Path | None = None) -> Store:
    """The store that the bench file names, relative to it; ``folder`` goes first. Without both: NAME.calibration."""
    if folder is None and config.calibration.store is not None:
        folder = path.parent / config.calibration.store
    return Store(folder or Path(f"{config.name}.calibration"), config.name)


def calibrated(config: BenchConfig, path: Path) -> BenchConfig:
    """The bench with the constants that its store holds; as it is where it names no store.

    The results' age is left to the run, which refuses stale ones. Raises CalibrationError where one that a run rests on
    is missing, failed, or was measured at another working point.
    """
    if config.calibration.store is None:
        return config
    store = store_of(config, path)
    results = store.latest()
    remedy = f"Run: labctl calibrate {path}"
    for name in NEEDED:
        if name not in results:
            raise CalibrationError(f"{store.folder}: the bench was not calibrated: there is no {name}", remedy)
        if not results[name].passed:
            raise CalibrationError(
                f"{store.folder}: {name} {results[name].outcome} on {results[name].taken_at}: {results[name].message}",
                f"{results[name].remedy} {remedy}".strip(),
            )
        for key, value in working_point(config).items():
            if results[name].point.get(key) != value:
                raise CalibrationError(
                    f"{store.folder}: {name} was measured at {key} = {results[name].point.get(key)}, the bench file has"
                    f" {value:g}",
                    remedy,
                )
    used = {name: results[name] for name in results if results[name].passed}
    first = min(datetime.fromisoformat(used[name].taken_at) for name in NEEDED)
    told = f"measured, the oldest of {len(used)} results on {first.isoformat(timespec='seconds')}, in {store.folder}"
    made = with_results(config, used)
    held = made.calibration.model_copy(update={"references": references(config, used, NEEDED)})
    return made.model_copy(
        update={
            "calibration": held,
            "calibrated": told,
            "calibrated_at": first,
            "calibration_valid_hours": config.calibration.valid_hours,
        }
    )


@dataclass
class _Changes:
    """New values by table of bench.toml, and what is told of each."""

    results: Mapping[str, Result]
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)

    def value(self, procedure: str, name: str) -> float | None:
        """None where the procedure did not pass."""
        result = self.results.get(procedure)
        if result is None or not result.passed:
            return None
        return next((each.value for each in result.quantities if each.name == name), None)

    def put(self, table: str, key: str, value: Any, procedure: str, name: str) -> None:
        """Note a new value, and where it comes from."""
        result = self.results[procedure]
        source = next((str(each) for each in result.quantities if each.name == name), name)
        self.tables.setdefault(table, {})[key] = value
        self.told[f"{table}.{key}"] = f"{source} ({procedure}, {result.taken_at})"


def with_results(config: BenchConfig, results: Mapping[str, Result]) -> BenchConfig:
    """Every constant that a passed result tells, in its place; the rest as declared.

    Raises CalibrationError for a gain that does not rise with the pump, or a V_pi that a drive does not reach.
    """
    changes = _Changes(results)
    for receiver in ("client", "server"):
        for name in ("volts_per_snu", "noise_variance", "electronic_noise"):
            value = changes.value("shot-noise", f"{receiver}.{name}")
            if value is not None:
                changes.put(f"{receiver}_receiver", name, max(value, 0.0), "shot-noise", f"{receiver}.{name}")
        samples = changes.value("shot-noise", f"{receiver}.calibration_samples")
        if samples is not None:
            key = f"{receiver}.calibration_samples"
            changes.put(f"{receiver}_receiver", "calibration_samples", int(samples), "shot-noise", key)
    _drives(config, changes)
    _losses(changes)
    _gains(config, changes)
    _technical(changes)
    return _replaced(config, changes)


def _drives(config: BenchConfig, changes: _Changes) -> None:
    drives = [("modulator", "in_phase", "modulator", "modulator.v_pi_i")]
    drives += [("modulator", "quadrature", "modulator", "modulator.v_pi_q")]
    drives += [
        ("unitary", name, "unitary", f"unitary.{name}.v_pi")
        for name in ("forward_coupler", "forward_phase", "return_coupler", "return_phase")
    ]
    for table, key, procedure, name in drives:
        value = changes.value(procedure, name)
        if value is not None:
            drive = getattr(getattr(config, table), key)
            updated = drive.model_copy(update={"v_pi": _reached(value, drive.amplitude / 2, f"{table}.{key}")})
            changes.put(table, key, updated, procedure, name)
    _imbalance(changes)
    tap = changes.value("tap", "tap.v_pi")
    if tap is not None:
        changes.put("tap", "v_pi", _reached(tap, config.tap.amplitude / 2, "tap"), "tap", "tap.v_pi")


def _imbalance(changes: _Changes) -> None:
    names = ("bias_i", "bias_q", "leak", "gain_ratio", "angle_error")
    values = [changes.value("modulator", f"modulator.{name}") for name in names]
    bias_i, bias_q, leak, ratio, angle = values
    if bias_i is None or bias_q is None or leak is None or ratio is None or angle is None:
        return
    imbalance = ImbalanceRole.model_construct(
        bias_i=bias_i,
        bias_q=bias_q,
        extinction_ratio=-20 * math.log10(leak) if leak > 0 else None,
        gain_ratio=ratio,
        angle_error_deg=math.degrees(angle),
    )
    changes.put("modulator", "imbalance", imbalance, "modulator", "modulator.bias_i and after it")


def _reached(v_pi: float, reach: float, where: str) -> float:
    """V_pi, or the drive's reach where it falls short of it by next to nothing."""
    if v_pi > reach * (1 + SHORT):
        raise CalibrationError(
            f"{where}: V_pi is {v_pi:g} V, the generator reaches {reach:g} V",
            "Raise the channel's amplitude, or put a driver amplifier before the modulator.",
        )
    return min(v_pi, reach)


def _losses(changes: _Changes) -> None:
    """What the loop loses of all modes together counts with the fibres', half of it each way."""
    passed = changes.value("overlap", "unitary.passed") or 1.0
    for way in ("out", "back"):
        value = changes.value("transmittance", f"link.loss_{way}")
        if value is not None:
            loss = max(value - ratio_to_db(min(passed, 1.0)) / 2, 0.0)
            changes.put("link", f"loss_{way}", loss, "transmittance", f"link.loss_{way}")


def _gains(config: BenchConfig, changes: _Changes) -> None:
    declared = [point for point in config.amplifier.pump_calibration if point.gain > 1]
    gains = [changes.value("amplifier", f"amplifier.gain_{index}") for index in range(len(declared))]
    measured = [value for value in gains if value is not None]
    if len(measured) != len(declared) or not declared:
        return
    unpumped = [point for point in config.amplifier.pump_calibration if point.gain <= 1]
    curve = unpumped + [
        GainPoint.model_construct(pump=point.pump, gain=gain) for point, gain in zip(declared, measured, strict=True)
    ]
    if any(after.gain <= before.gain for before, after in pairwise(curve)):
        raise CalibrationError(
            "amplifier: the measured gain does not rise with the pump current", "Look at the amplifier, and its plot."
        )
    changes.put("amplifier", "pump_calibration", curve, "amplifier", "amplifier.gain_0 and after it")
    n_sp = changes.value("amplifier", "amplifier.n_sp")
    if n_sp is not None:
        changes.put("amplifier", "n_sp", max(n_sp, 1.0), "amplifier", "amplifier.n_sp")


def _technical(changes: _Changes) -> None:
    """One number for all layers, or one for each where the baseline told them apart; and what it was measured with."""
    result = changes.results.get("baseline")
    if result is None or not result.passed:
        return
    found = {each.name.removeprefix("baseline."): each for each in result.quantities}
    layers = [found[name] for name in sorted(found) if name.startswith("technical_excess_")]
    whole = found["technical_excess"]
    values: dict[str, Any] = {
        "technical_excess": [max(each.value, 0.0) for each in layers] if layers else max(whole.value, 0.0),
        "technical_excess_se": [each.standard_error for each in layers] if layers else whole.standard_error,
        "technical_modes": [int(found[name].value) for name in sorted(found) if name.startswith("modes_")],
        "technical_mean_photons": found["mean_photons"].value,
    }
    for key, value in values.items():
        changes.put("link", key, value, "baseline", "baseline.technical_excess")


def _replaced(config: BenchConfig, changes: _Changes) -> BenchConfig:
    update: dict[str, Any] = {
        table: getattr(config, table).model_copy(update=values) for table, values in changes.tables.items()
    }
    update["calibration"] = config.calibration.model_copy(update={"in_force": changes.told})
    return config.model_copy(update=update)
