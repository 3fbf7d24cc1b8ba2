"""Head and end of a run file: what is written before the first row, and after the last."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import h5py
import numpy as np

from labctl.events import AdversaryResult, AlarmRaised, LightOff, RunFinished, RunStarted
from labctl.record import attributes, checksums, schema
from labctl.values import Scalar, Snapshot

Picture = tuple[tuple[float, ...], ...]


def iso(seconds: float) -> str:
    """A moment, given in seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def provenance(event: RunStarted, started_s: float, process: int) -> dict[str, Scalar]:
    """Of a run that begins; ``process``: the program that measures."""
    return {
        "started": iso(started_s),
        "software": event.software,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "h5py": h5py.__version__,
        "hdf5": h5py.version.hdf5_version,
        "platform": platform.platform(),
        "host": platform.node(),
        "process": process,
        "writer": os.getpid(),
        "operator": str(event.run.get("operator", "")),
    }


def write_head(file: h5py.File, event: RunStarted) -> None:
    """Everything known before the first row but the provenance; the tables come after it."""
    attributes.put(
        file,
        {
            "format": schema.FORMAT,
            "format_version": schema.FORMAT_VERSION,
            "name": event.name,
            "simulated": event.simulated,
            "seed": event.seed,
            "images": event.images,
            "classes": event.classes,
            "clean_accuracy": event.clean_accuracy,
            "status": "running",
        },
    )
    file.attrs["layer_shapes"] = np.array(event.layer_shapes, "i8").reshape(-1, 2)
    config = file.create_group(schema.CONFIG)
    for key, table in (("run", event.run), ("bench", event.bench)):
        config.attrs[key] = attributes.to_json(table)
        attributes.put(config.create_group(key), dict(attributes.flat(table)))
    attributes.put(config.create_group(schema.DIGESTS), event.digests)
    instruments = file.create_group(schema.INSTRUMENTS, track_order=True)
    for name, snapshot in event.snapshots.items():
        attributes.put(instruments.create_group(name), snapshot)
    attributes.put(file.create_group(schema.CALIBRATION), event.calibration)


def seal_head(file: h5py.File) -> None:
    """After the tables were made: the checksum of the head."""
    file.attrs[schema.CHECKSUM] = checksums.of_head(file)


def write_provenance(file: h5py.File, values: Snapshot) -> None:
    """Put or change, with its checksum."""
    group = file.require_group(schema.PROVENANCE)
    attributes.put(group, values)
    group.attrs[schema.CHECKSUM] = checksums.of_provenance(file)


def write_end(file: h5py.File, event: RunFinished, alarm: AlarmRaised | None, light_off: LightOff | None) -> None:
    """How the run ended."""
    file.attrs["status"] = event.status
    result = file.create_group(schema.RESULT)
    attributes.put(
        result,
        {
            "status": event.status,
            "verdict": event.verdict or "",
            "cause": event.cause,
            "images": event.images,
            "warnings": json.dumps(event.warnings),
            "doubtful": event.doubtful,
            "doubtful_from": event.images if event.doubtful else -1,
            **attributes.interval("accuracy", event.accuracy),
        },
    )
    if event.pooled is not None:
        attributes.put(result.create_group("pooled"), attributes.check(event.pooled))
    layers = result.create_group(schema.LAYERS)
    for number, check in enumerate(event.layers):
        attributes.put(layers.create_group(str(number)), attributes.check(check))
    if alarm is not None:
        values = {"image": alarm.image, "excess_snu": alarm.excess, "threshold_snu": alarm.threshold}
        attributes.put(result.create_group("alarm"), values)
    if light_off is not None:
        dark = file.create_group(schema.SAFE_STATE, track_order=True)
        for state in light_off.readback:
            group = dark.create_group(state.instrument)
            attributes.put(group, {"dark": state.dark, "problem": state.problem})
            attributes.put(group.create_group("readings"), state.readings)


def write_adversary(file: h5py.File, found: AdversaryResult, pictures: Sequence[Picture]) -> None:
    """What the dishonest got; the overlaps, written as they came, stand under the result as well."""
    result: h5py.Group = file[schema.RESULT]
    if found.attack is not None:
        attributes.put(result.create_group(schema.ATTACK), attributes.attack(found.attack))
    if found.recovery is not None:
        group = result.create_group(schema.RECOVERY)
        attributes.put(group, asdict(found.recovery))
        group.create_dataset("pictures", data=np.array(pictures, "f8"))
        if schema.RECOVERY in file:
            group[schema.OVERLAPS] = file[schema.RECOVERY][schema.OVERLAPS]


def seal_end(file: h5py.File) -> None:
    """The checksum of the result."""
    file[schema.RESULT].attrs[schema.CHECKSUM] = checksums.of_end(file)


def changed(values: Mapping[str, Scalar], **more: Scalar) -> dict[str, Scalar]:
    """A provenance with more in it, its old checksum left out."""
    return {key: value for key, value in values.items() if key != schema.CHECKSUM} | more
