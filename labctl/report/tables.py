"""What a report tells in tables: rows of texts, nothing of HTML."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labctl.events import AdversaryResult, Interval, Leakage, NoiseCheck
from labctl.protocol.rowmodel import AmplifierTap
from labctl.record.attributes import flat
from labctl.record.reader import Run

#: Longest text of a single value.
LONGEST = 300


@dataclass(frozen=True)
class Sheet:
    """One table: ``note`` stands below it."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def sheets(run: Run) -> Iterator[Sheet]:
    """All tables of a report but those of the configuration."""
    yield _result(run)
    yield from _checks(run)
    yield from _noise(run)
    yield _calibration(run)
    if run.finished is not None and run.finished.adversary is not None:
        yield _dishonest(run.finished.adversary)


def records(run: Run) -> Iterator[Sheet]:
    """Configuration, instruments, read-back, and where the file comes from."""
    yield _pairs("Run", run.started.run)
    yield _pairs("Bench", run.started.bench)
    for name, snapshot in run.started.snapshots.items():
        yield _pairs(f"Instrument {name}", snapshot)
    if run.light_off is not None:
        rows = tuple(
            (state.instrument, "off" if state.dark else "NOT CONFIRMED", state.problem or text(dict(state.readings)))
            for state in run.light_off.readback
        )
        yield Sheet("Safe state, as read back", ("instrument", "light", "read back"), rows)
    yield _pairs("Provenance", run.provenance)


def verdict(run: Run) -> tuple[str, str]:
    """The verdict in a word, and a sentence about it."""
    if run.finished is None:
        return "running", "The run has no end in this file: it goes on, or the program that measured was killed."
    found, pooled = run.finished, run.finished.pooled
    word = found.verdict or found.status
    if found.cause:
        return word, found.cause
    if run.alarm is not None:
        limit = f"{run.alarm.excess:.4g} SNU where {run.alarm.threshold:.4g} SNU are allowed"
        return word, f"The alarm went off in image {run.alarm.image + 1}: excess noise {limit}."
    if pooled is None or pooled.threshold is None:
        return word, ""
    return word, f"Excess noise {pooled.excess.value:.4g} SNU; the alarm goes off at {pooled.threshold:.4g} SNU."


def _result(run: Run) -> Sheet:
    started, finished = run.started, run.finished
    done = len(run.images["index"]) if finished is None else finished.images
    rows = [("images", f"{done} of {started.images}", "")]
    if finished is not None and finished.accuracy is not None:
        rows.append(("accuracy", f"{finished.accuracy.value:.2%}", _range(finished.accuracy, ".2%")))
    rows.append(("accuracy without noise", f"{started.clean_accuracy:.2%}", ""))
    if finished is not None and finished.pooled is not None:
        pooled = finished.pooled
        rows.append(("excess noise, all layers", f"{pooled.excess.value:.5g} SNU", _range(pooled.excess, ".5g")))
        passed = pooled.transmittance
        rows.append(("transmittance", f"{passed.value:.5f}", _range(passed, ".5f")))
    confidence = started.run.get("confidence")
    shown = f"{confidence:.3g} interval" if isinstance(confidence, float) else "interval"
    return Sheet("Result", ("quantity", "value", shown), tuple(rows))


def _checks(run: Run) -> Iterator[Sheet]:
    finished = run.finished
    if finished is None or finished.pooled is None:
        return
    rows = [(f"layer {number}", *_leaks(each.leakage)) for number, each in enumerate(finished.layers)]
    rows.append(("all layers, worst", *_leaks(finished.pooled.leakage)))
    heads = ("", "weights, bits per mode", "weights, bits per weight", "data, bits (v1 bound)", "data, bits (journal)")
    note = (
        "Worst case within the intervals, for one transmission of the weights; "
        f"{finished.images} images leak at most {finished.images} times the weights' bits."
    )
    yield Sheet("Leakage", heads, tuple(rows), note)


def _leaks(leakage: Leakage) -> tuple[str, ...]:
    return (
        f"{leakage.weights_bits_per_mode:.4g}",
        f"{leakage.weights_bits_per_weight:.4g}",
        f"{leakage.data_bits_v1:.4g}",
        f"{leakage.data_bits_journal:.4g}",
    )


def _noise(run: Run) -> Iterator[Sheet]:
    finished = run.finished
    if finished is not None and finished.layers:
        rows = [_budget_row(f"layer {number}", each) for number, each in enumerate(finished.layers)]
        if finished.pooled is not None:
            rows.append(_budget_row("all layers", finished.pooled))
        heads = ("", "honest client", "bench, as calibrated", "expected", "measured", "interval", "samples")
        note = (
            "Excess noise ε per mode at the server's receiver, SNU. Vacuum and the receiver's own noise are in its "
            "calibration and not counted. 'labctl noise-budget' takes a simulated bench's noise apart by source."
        )
        yield Sheet("Noise budget: server", heads, tuple(rows), note)
    client = _client_noise(run)
    if client:
        note = "Variance at the client's receiver that the working point and the calibration lead one to expect, SNU."
        yield Sheet("Noise budget: client", ("source", "expected, SNU"), tuple(client), note)


def _budget_row(name: str, check: NoiseCheck) -> tuple[str, ...]:
    return (
        name,
        f"{check.expected:.5g}",
        f"{check.technical:.5g}",
        f"{check.expected + check.technical:.5g}",
        f"{check.excess.value:.5g}",
        _range(check.excess, ".5g"),
        f"{check.samples:,}",
    )


def _client_noise(run: Run) -> list[tuple[str, str]]:
    """By docs/physics.md, section 3; nothing where the configuration does not say what is needed."""
    gain = _number(run.started.run, "gain")
    n_sp = _number(run.started.bench, "amplifier", "n_sp")
    efficiency = _number(run.started.bench, "client_receiver", "efficiency")
    electronic = _number(run.started.bench, "client_receiver", "electronic_noise")
    if gain is None or n_sp is None or efficiency is None or electronic is None:
        return []
    if not (gain > 1 and n_sp >= 1 and 0 < efficiency <= 1 and electronic >= 0):
        return []
    amplified = efficiency * (AmplifierTap(gain, n_sp).measured_variance - 1)
    shares = {"vacuum": 1.0, "amplifier and tap": amplified, "electronic noise": electronic}
    return [*((name, f"{value:.5g}") for name, value in shares.items()), ("total", f"{sum(shares.values()):.5g}")]


def _number(table: Mapping[str, Any], *keys: str) -> float | None:
    value: Any = table
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) else None


def _calibration(run: Run) -> Sheet:
    rows = [("calibrated", text(run.started.bench.get("calibrated") or "not said")), *_age(run)]
    rows += [(key, f"{value:.6g}") for key, value in run.started.calibration.items()]
    return Sheet("Calibration in force", ("constant", "value"), tuple(rows), "Units are in the names.")


def _age(run: Run) -> list[tuple[str, str]]:
    """How old the calibration was when the run began, and how old it may be."""
    at, began = (
        _moment(each) for each in (run.started.bench.get("calibrated_at"), run.provenance.get("started"))
    )  # fmt: skip
    if at is None or began is None:
        return [("age when the run began", "not known: the bench file has no calibrated_at")]
    hours = (began - at).total_seconds() / 3600
    valid = _number(run.started.bench, "calibration_valid_hours")
    limit = "no limit" if valid is None else f"valid for {valid:g} hours" + (", STALE" if hours > valid else "")
    return [("age when the run began", f"{hours:.1f} hours ({limit})")]


def _moment(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _dishonest(found: AdversaryResult) -> Sheet:
    rows: list[tuple[str, str]] = []
    if found.attack is not None:
        attack = found.attack
        seen = "no alarm" if attack.alarm_image is None else f"alarm in image {attack.alarm_image + 1}"
        how = "by the attacker's detectors" if attack.measured else "by formula"
        rows += [
            (f"attack: {text(attack.name)}, strength {attack.strength:g}", seen),
            ("attacker learns, bits per mode", f"{attack.bits_per_mode:.4g} ({how})"),
            ("in theory, bits per mode", f"{attack.expected_bits_per_mode:.4g}"),
        ]
    if found.recovery is not None:
        recovery = found.recovery
        told = f"{recovery.overlap:.4g} (in theory {recovery.expected:.4g} (asymptotic), at most {recovery.bound:.4g})"
        rows.append((f"data recovered, mean overlap of {recovery.images} images", told))
    return Sheet("Somebody was dishonest", ("", ""), tuple(rows))


def _pairs(title: str, table: Mapping[str, Any]) -> Sheet:
    return Sheet(title, ("key", "value"), tuple((key, text(value)) for key, value in flat(table)))


def _range(interval: Interval, form: str) -> str:
    return f"{interval.low:{form}} to {interval.high:{form}}"


def text(value: object) -> str:
    """Any value, cut to a length that a page bears."""
    found = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return found if len(found) <= LONGEST else f"{found[:LONGEST]}… ({len(found)} characters)"
