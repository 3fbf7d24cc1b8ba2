"""A finished run as one object for programs: what ``--json`` prints (docs/reference/cli.md)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from labctl.errors import LabctlError
from labctl.events import AdversaryResult, Interval, Leakage, NoiseCheck, RunFinished, RunStarted

#: The paper's headline (arXiv:2408.05629): bits per mode of the weights, bits of the data by the first version's bound.
WEIGHTS_LIMIT = 0.1
DATA_LIMIT = 0.01


def summary(finished: RunFinished, started: RunStarted, run_file: Path | None) -> dict[str, Any]:
    """The result object, of JSON types only: what was not measured, or is not a finite number, is None.

    ``excess_noise`` is the sample-weighted mean over the layers, ``leakage`` the worst layer's.
    """
    accuracy = finished.accuracy
    return {
        "run_file": _path(run_file),
        "images": int(finished.images),
        "images_doubtful": int(finished.doubtful),
        "accuracy": None if accuracy is None else _number(accuracy.value),
        "accuracy_interval": None if accuracy is None else [_number(accuracy.low), _number(accuracy.high)],
        "verdict": finished.verdict,
        **_check(finished.pooled),
        "layers": [_check(layer) for layer in finished.layers],
        "adversary": None if finished.adversary is None else _adversary(finished.adversary),
        "warnings": list(finished.warnings),
        "seed": int(started.seed),
        "simulated": bool(started.simulated),
    }


def failure(error: BaseException, run_file: Path | None) -> dict[str, Any]:
    """The object for a run that has no result: what went wrong, what to do, and what was recorded."""
    text = {
        "type": type(error).__name__,
        "message": str(error) or type(error).__name__,
        "remedy": error.remedy if isinstance(error, LabctlError) else "",
    }
    return {"error": text, "run_file": _path(run_file)}


def _check(check: NoiseCheck | None) -> dict[str, Any]:
    if check is None:
        return dict.fromkeys(("excess_noise", "transmittance", "leakage", "threshold"))
    return {
        "excess_noise": {
            **_interval(check.excess),
            "expected": _number(check.expected),
            "technical": _number(check.technical),
            "samples": int(check.samples),
            "unit": "SNU",
        },
        "transmittance": _interval(check.transmittance),
        "leakage": _leakage(check.leakage),
        "threshold": _number(check.threshold),
    }


def _interval(interval: Interval) -> dict[str, float | None]:
    return {"value": _number(interval.value), "low": _number(interval.low), "high": _number(interval.high)}


def _leakage(leakage: Leakage) -> dict[str, float | None]:
    return {
        "weights_bits_per_mode": _number(leakage.weights_bits_per_mode),
        "weights_bits_per_weight": _number(leakage.weights_bits_per_weight),
        "data_bits_v1": _number(leakage.data_bits_v1),
        "data_bits_journal": _number(leakage.data_bits_journal),
    }


def _adversary(found: AdversaryResult) -> dict[str, Any]:
    attack, recovery = found.attack, found.recovery
    return {
        "attack": attack
        and {
            "name": attack.name,
            "strength": _number(attack.strength),
            "samples": int(attack.samples),
            "bits_per_mode": _number(attack.bits_per_mode),
            "measured": bool(attack.measured),
            "expected_bits_per_mode": _number(attack.expected_bits_per_mode),
            "alarm_image": attack.alarm_image,
        },
        "recovery": recovery
        and {
            "images": int(recovery.images),
            "overlap": _number(recovery.overlap),
            "expected": _number(recovery.expected),
            "bound": _number(recovery.bound),
        },
    }


def _number(value: float | None) -> float | None:
    """JSON has no NaN and no infinity."""
    return float(value) if value is not None and math.isfinite(value) else None


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)
