"""Settings and results as HDF5 attributes, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import h5py
import numpy as np

from labctl.errors import RecordError
from labctl.events import AttackResult, Interval, Leakage, NoiseCheck, RecoveryResult
from labctl.values import Scalar

_NAN = float("nan")


def put(group: h5py.Group, values: Mapping[str, Scalar]) -> None:
    """Write scalars as attributes of ``group``."""
    for key, value in values.items():
        group.attrs[clean(key)] = _storable(value)


def get(group: h5py.Group) -> dict[str, Scalar]:
    """All attributes of ``group``, which must be scalars. Raises RecordError."""
    return {key: _scalar(f"{group.name}@{key}", value) for key, value in group.attrs.items()}


def clean(text: str) -> str:
    """``text`` with what HDF5 cannot hold (NUL, lone surrogates) escaped visibly."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def _storable(value: Scalar) -> object:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return value


def _scalar(where: str, value: object) -> Scalar:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (bool, int, float, str)):
        return value
    raise RecordError(f"attribute {where} is not a number or a text", "Is this a run file of labctl?")


def to_json(table: Mapping[str, Any]) -> str:
    """A configuration as JSON text, keys in their order."""
    return json.dumps(dict(table), ensure_ascii=True, default=str)


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Scalar]]:
    """Dotted keys and scalars of a nested configuration; lists as JSON text, None left out."""
    for key, value in table.items():
        at = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flat(value, f"{at}.")
        elif isinstance(value, (bool, int, float, str)):
            yield at, value
        elif value is not None:
            yield at, json.dumps(value, default=str)


def interval(name: str, value: Interval | None, unit: str = "") -> dict[str, float]:
    """An estimate and its interval; NaN where there is none."""
    found = value if value is not None else Interval(_NAN, _NAN, _NAN)
    return {f"{name}{unit}": found.value, f"{name}_low{unit}": found.low, f"{name}_high{unit}": found.high}


def read_interval(values: Mapping[str, Scalar], name: str, unit: str = "") -> Interval | None:
    """Inverse of :func:`interval`."""
    numbers = [float(values[f"{name}{end}{unit}"]) for end in ("", "_low", "_high")]
    return None if math.isnan(numbers[0]) else Interval(*numbers)


def check(value: NoiseCheck) -> dict[str, float | int]:
    """A residual-noise check as attributes, units in their names."""
    leakage = value.leakage
    return {
        **interval("excess", value.excess, "_snu"),
        "expected_snu": value.expected,
        "technical_snu": value.technical,
        "threshold_snu": _NAN if value.threshold is None else value.threshold,
        "samples": value.samples,
        **interval("transmittance", value.transmittance),
        "weights_bits_per_mode": leakage.weights_bits_per_mode,
        "weights_bits_per_weight": leakage.weights_bits_per_weight,
        "data_bits_v1": leakage.data_bits_v1,
        "data_bits_journal": leakage.data_bits_journal,
    }


def read_check(values: Mapping[str, Scalar]) -> NoiseCheck:
    """Inverse of :func:`check`."""
    threshold = float(values["threshold_snu"])
    return NoiseCheck(
        excess=_sure(values, "excess", "_snu"),
        expected=float(values["expected_snu"]),
        samples=int(values["samples"]),
        transmittance=_sure(values, "transmittance"),
        leakage=Leakage(
            weights_bits_per_mode=float(values["weights_bits_per_mode"]),
            weights_bits_per_weight=float(values["weights_bits_per_weight"]),
            data_bits_v1=float(values["data_bits_v1"]),
            data_bits_journal=float(values["data_bits_journal"]),
        ),
        threshold=None if math.isnan(threshold) else threshold,
        technical=float(values.get("technical_snu", 0.0)),
    )


def attack(value: AttackResult) -> dict[str, Scalar]:
    """An attack as attributes; ``alarm_image`` is -1 where there was no alarm."""
    return {**asdict(value), "alarm_image": -1 if value.alarm_image is None else value.alarm_image}


def read_attack(values: Mapping[str, Scalar]) -> AttackResult:
    """Inverse of :func:`attack`."""
    image = int(values["alarm_image"])
    return AttackResult(
        name=str(values["name"]),
        strength=float(values["strength"]),
        samples=int(values["samples"]),
        bits_per_mode=float(values["bits_per_mode"]),
        measured=bool(values["measured"]),
        expected_bits_per_mode=float(values["expected_bits_per_mode"]),
        alarm_image=None if image < 0 else image,
    )


def read_recovery(values: Mapping[str, Scalar]) -> RecoveryResult:
    """Of the attributes that a recovery's fields make."""
    numbers = {name: float(values[name]) for name in ("overlap", "expected", "bound")}
    return RecoveryResult(images=int(values["images"]), **numbers)


def _sure(values: Mapping[str, Scalar], name: str, unit: str = "") -> Interval:
    return read_interval(values, name, unit) or Interval(_NAN, _NAN, _NAN)
