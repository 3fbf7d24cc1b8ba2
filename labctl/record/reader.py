"""Reads a run file: finished, still growing, or left by a killed process.

Foreign files are not trusted: links to other files, external and virtual storage, filters and object types are refused,
sizes are checked before anything is read, and what does not agree with its checksum is no run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import h5py
import numpy as np
from numpy.typing import NDArray

from labctl.errors import RecordError
from labctl.events import AdversaryResult, AlarmRaised, LightOff, RunFinished, RunStarted, Status, Verdict
from labctl.record import attributes, checksums, schema
from labctl.values import SafeState, Snapshot

#: Largest dataset that is read.
MAX_BYTES = 2**31
#: How often a file that grows is read before what is wrong with it is believed.
ATTEMPTS = 3
#: What is said of a group that was changed.
DAMAGED_HEAD = "the head (configuration, instruments, calibration) does not agree with its checksum"
DAMAGED_PROVENANCE = "the provenance does not agree with its checksum"
DAMAGED_RESULT = "the result does not agree with its checksum"
#: Damaged rows that are told by number.
TOLD = 8
_REMEDY = "Is this a run file of labctl, complete and unchanged?"

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Run:
    """A recorded run, all in memory; the file is closed.

    ``images``: column name -> array, one row per image ((rows, classes) for ``scores``); ``layers``: the same for each
    layer, which may be one row ahead when the run ended within an image; ``units``: unit of each column, by
    "images/<column>" and "layers/<column>". ``finished`` is None while the run goes on, and stays so when its process
    was killed. ``recovered``: what a curious server found of the first images, shape (images, height, width), and
    ``overlaps``: how well, of all, shape (images,); None where there was none; ``rechecks``: one row a number looked
    at again while the run went on, None where none was asked for. ``damage``: what does not agree with its
    checksum, in words, where it was asked for in spite of that; ``whole``: rows before the first such row, of each
    table; ``verified``: whether there are checksums at all.
    """

    path: Path
    status: Status
    started: RunStarted
    images: Columns
    layers: tuple[Columns, ...]
    units: Mapping[str, str]
    provenance: Snapshot
    finished: RunFinished | None
    alarm: AlarmRaised | None
    light_off: LightOff | None
    overlaps: NDArray[Any] | None = None
    recovered: NDArray[Any] | None = None
    rechecks: Columns | None = None
    damage: tuple[str, ...] = ()
    whole: tuple[int, ...] = ()
    verified: bool = True

    @property
    def doubtful(self) -> NDArray[np.bool_]:
        """Which of the images do not count, shape (rows of ``images``,)."""
        rows = np.arange(len(self.images["index"]))
        counted = len(rows) if self.finished is None or not self.finished.doubtful else self.finished.images
        return rows >= counted


def open_run(path: Path) -> Run:
    """Read a run file. Raises RecordError when it is missing, damaged, or something else."""
    run = read_run(path)
    if not run.damage:
        return run
    more = f" (and {len(run.damage) - 1} more)" if len(run.damage) > 1 else ""
    raise RecordError(
        f"{path}: {run.damage[0]}{more}", "'labctl verify' tells all of it, 'labctl recover' keeps what is whole."
    )


def read_run(path: Path) -> Run:
    """The same, with what does not agree with its checksum told instead of refused."""
    for _ in range(ATTEMPTS - 1):
        run = _read_run(path)
        if not (run.damage and run.status == "running"):
            return run
    return _read_run(path)  # a writer may have been at work on what was read


def _read_run(path: Path) -> Run:
    file = open_file(path)
    try:
        with file:
            return _read(path, file)
    except RecordError as error:
        raise RecordError(f"{path}: {error.message}", error.remedy) from None
    except (KeyError, OSError, RuntimeError, ValueError, TypeError, RecursionError) as error:
        raise RecordError(f"{path}: cannot be read as a run ({error})", _REMEDY) from error


def open_file(path: Path) -> h5py.File:
    """A finished file opens plainly; one that grows, or whose writer was killed, as its reader."""
    if not path.is_file():
        raise RecordError(f"{path}: no such file", "Check the path.")
    try:
        return h5py.File(path, "r")
    except (OSError, RuntimeError, ValueError):
        written = _being_written(path)  # HDF5 waits for minutes for the writer of a file that is only damaged
    try:
        return h5py.File(path, "r", swmr=written)  # its end may have been written meanwhile
    except (OSError, RuntimeError, ValueError) as error:
        raise RecordError(f"{path}: not a readable HDF5 file ({error})", _REMEDY) from None


def _being_written(path: Path) -> bool:
    """What the superblock says: its version 3 has flags for a writer, one for a writer with readers (SWMR)."""
    with path.open("rb") as stream:
        head = stream.read(12)
    return head[:9] == b"\x89HDF\r\n\x1a\n\x03" and head[11:] != b"\x00"


def _read(path: Path, file: h5py.File) -> Run:
    head = {key: file.attrs[key] for key in ("format", "format_version", "status")}
    if head["format"] != schema.FORMAT:
        raise RecordError("HDF5, but not a run file", _REMEDY)
    version = int(head["format_version"])
    if version not in (schema.FORMAT_VERSION, schema.WITHOUT_CHECKSUMS):
        raise RecordError(
            f"format version {version} is not {schema.FORMAT_VERSION}",
            "Read it with the labctl that wrote it.",
        )
    if version == schema.WITHOUT_CHECKSUMS and schema.CHECKSUM in file.attrs:
        raise RecordError(f"format version {version} has no checksums, and the file has some", _REMEDY)
    provenance = attributes.get(_group(file, schema.PROVENANCE))
    started = _started(file, str(provenance["software"]))
    tables = _Tables(file, version)
    images = tables.read(_group(file, schema.IMAGES), schema.image_columns(started.classes))
    layers = [
        tables.read(_group(_group(file, schema.LAYERS), str(number)), schema.LAYER_COLUMNS)
        for number in range(len(started.layer_shapes))
    ]
    found = tables.read(_group(file, schema.RECOVERY), schema.RECOVERY_COLUMNS) if schema.RECOVERY in file else None
    rechecks = tables.read(_group(file, schema.RECHECKS), schema.RECHECK_COLUMNS) if schema.RECHECKS in file else None
    result = _group(file, schema.RESULT) if schema.RESULT in file else None
    if (head["status"] == "running") != (result is None):
        raise RecordError(f"a run that is {head['status']!r} does not fit the result that is there or not", _REMEDY)
    recovered = None if result is None else _recovered(result)
    return Run(
        path=path,
        status=_one_of(head["status"], Status),
        started=started,
        images=images,
        layers=tuple(layers),
        units=tables.units,
        provenance={key: value for key, value in provenance.items() if key != schema.CHECKSUM},
        finished=None if result is None else _finished(result),
        alarm=None if result is None else _alarm(result),
        light_off=_light_off(file),
        overlaps=None if found is None else found[schema.OVERLAPS],
        recovered=recovered,
        rechecks=rechecks,
        damage=(*tables.damage, *([] if version == schema.WITHOUT_CHECKSUMS else _damaged_groups(file))),
        whole=tuple(tables.whole),
        verified=version != schema.WITHOUT_CHECKSUMS,
    )


class _Tables:
    """The tables of a file one after the other, as far as their rows count."""

    def __init__(self, file: h5py.File, version: int) -> None:
        self._checked = version != schema.WITHOUT_CHECKSUMS
        self._counts = [int(rows) for rows in _dataset(file, schema.COMMITTED)[()]]
        self.units: dict[str, str] = {}
        self.damage: list[str] = []
        self.whole: list[int] = []
        self._uncertain = self._checked and self._counts.pop() != checksums.of_counts(self._counts)
        if self._uncertain:
            self.damage.append("the numbers of rows that count do not agree with their checksum")

    def read(self, group: h5py.Group, columns: Sequence[schema.Column]) -> Columns:
        """All columns of the next table."""
        known = len(_dataset(group, columns[0].name))
        rows = self._counts.pop(0) if self._counts else known
        if self._uncertain:
            rows = known  # those that do not count are not whole, or whole all the same
        found, units = _table(group, self._known(columns), rows)
        kind = "layers" if str(group.name).startswith("/layers/") else str(group.name)[1:]
        self.units |= {f"{kind}/{name}": unit for name, unit in units.items()}
        self.whole.append(self._check(group, columns, found, rows) if self._checked else rows)
        return found

    def _known(self, columns: Sequence[schema.Column]) -> Sequence[schema.Column]:
        """Files without checksums lack more."""
        return columns if self._checked else [each for each in columns if each.name not in schema.LATER_COLUMNS]

    def _check(self, group: h5py.Group, columns: Sequence[schema.Column], found: Columns, rows: int) -> int:
        """How many rows come before the first that is damaged."""
        stored = _table(group, [schema.CRC_COLUMN], rows)[0][schema.CRC]
        due = checksums.of_rows(str(group.name), 0, checksums.packed_columns(columns, found, rows))
        wrong = np.flatnonzero(stored != due)
        if not len(wrong):
            return rows
        said = ", ".join(map(str, wrong[:TOLD])) + (", ..." if len(wrong) > TOLD else "")
        self.damage.append(f"{group.name}: {len(wrong)} of {rows} rows do not agree with their checksum: {said}")
        return int(wrong[0])


def _damaged_groups(file: h5py.File) -> list[str]:
    """Head, provenance and result, as far as they do not agree with their checksums."""
    found = []
    for said, holder, due in (
        (DAMAGED_HEAD, "/", checksums.of_head),
        (DAMAGED_PROVENANCE, schema.PROVENANCE, checksums.of_provenance),
        (DAMAGED_RESULT, schema.RESULT, checksums.of_end),
    ):
        if holder in file and file[holder].attrs.get(schema.CHECKSUM) != due(file):
            found.append(said)
    return found


def _started(file: h5py.File, software: str) -> RunStarted:
    config = _group(file, schema.CONFIG)
    instruments = _group(file, schema.INSTRUMENTS)
    head = file.attrs
    return RunStarted(
        name=str(head["name"]),
        run=_table_of(config.attrs["run"]),
        bench=_table_of(config.attrs["bench"]),
        simulated=bool(head["simulated"]),
        seed=int(head["seed"]),
        images=int(head["images"]),
        layer_shapes=tuple((int(rows), int(columns)) for rows, columns in head["layer_shapes"]),
        classes=int(head["classes"]),
        clean_accuracy=float(head["clean_accuracy"]),
        snapshots={name: attributes.get(_group(instruments, name)) for name in instruments},
        calibration={key: float(value) for key, value in attributes.get(_group(file, schema.CALIBRATION)).items()},
        software=software,
        digests=_digests(config),
    )


def _digests(config: h5py.Group) -> dict[str, str]:
    if schema.DIGESTS not in config:
        return {}
    return {key: str(value) for key, value in attributes.get(_group(config, schema.DIGESTS)).items()}


def _finished(result: h5py.Group) -> RunFinished:
    values = attributes.get(result)
    layers = _group(result, schema.LAYERS)
    pooled = _group(result, "pooled") if "pooled" in result else None
    return RunFinished(
        status=_one_of(values["status"], Status),
        verdict=_one_of(values["verdict"], Verdict) if values["verdict"] else None,
        cause=str(values["cause"]),
        images=int(values["images"]),
        doubtful=int(values.get("doubtful", 0)),
        accuracy=attributes.read_interval(values, "accuracy"),
        pooled=None if pooled is None else attributes.read_check(attributes.get(pooled)),
        layers=tuple(
            attributes.read_check(attributes.get(_group(layers, str(number)))) for number in range(len(layers))
        ),
        adversary=_adversary(result),
        warnings=_warnings(values.get("warnings", "[]")),
    )


def _warnings(text: object) -> tuple[str, ...]:
    """None in files from before there were any."""
    found = json.loads(str(text))
    if not isinstance(found, list):
        raise RecordError("the warnings are not a list", _REMEDY)
    return tuple(map(str, found))


def _adversary(result: h5py.Group) -> AdversaryResult | None:
    attack, recovery = (
        attributes.get(_group(result, name)) if name in result else None for name in (schema.ATTACK, schema.RECOVERY)
    )
    if attack is None and recovery is None:
        return None
    return AdversaryResult(
        None if attack is None else attributes.read_attack(attack),
        None if recovery is None else attributes.read_recovery(recovery),
    )


def _recovered(result: h5py.Group) -> NDArray[Any] | None:
    if schema.RECOVERY not in result:
        return None
    return cast("NDArray[Any]", _dataset(_group(result, schema.RECOVERY), "pictures")[()])


def _alarm(result: h5py.Group) -> AlarmRaised | None:
    if "alarm" not in result:
        return None
    values = attributes.get(_group(result, "alarm"))
    return AlarmRaised(
        image=int(values["image"]),
        excess=float(values["excess_snu"]),
        threshold=float(values["threshold_snu"]),
    )


def _light_off(file: h5py.File) -> LightOff | None:
    if schema.SAFE_STATE not in file:
        return None
    states = []
    safe = _group(file, schema.SAFE_STATE)
    for name in safe:
        group = _group(safe, name)
        values = attributes.get(group)
        readings = attributes.get(_group(group, "readings"))
        states.append(SafeState(name, bool(values["dark"]), readings, str(values["problem"])))
    return LightOff(tuple(states))


def _table(group: h5py.Group, columns: Sequence[schema.Column], rows: int) -> tuple[Columns, dict[str, str]]:
    found: dict[str, NDArray[Any]] = {}
    units: dict[str, str] = {}
    for column in columns:
        dataset = _dataset(group, column.name)
        wide = () if column.width is None else (column.width,)
        if dataset.shape[1:] != wide or dataset.dtype.kind != column.kind[0] or len(dataset) < rows:
            raise RecordError(
                f"{dataset.name}: {dataset.dtype} of shape {dataset.shape} is not what belongs there",
                _REMEDY,
            )
        found[column.name] = np.asarray(dataset[:rows])
        units[column.name] = str(dataset.attrs["unit"])
    return found, units


def _member(parent: h5py.Group, name: str) -> Any:
    """What ``name`` is in ``parent`` itself: soft and external links lead elsewhere and are refused."""
    link = parent.get(name, getlink=True)
    if link is None:
        raise RecordError(f"{name!r} is missing in {parent.name}", _REMEDY)
    if not isinstance(link, h5py.HardLink):
        raise RecordError(f"{name!r} in {parent.name} is a link to elsewhere", _REMEDY)
    return parent[name]


def _group(parent: h5py.Group, name: str) -> h5py.Group:
    found = _member(parent, name)
    if not isinstance(found, h5py.Group):
        raise RecordError(f"{found.name} is not a group", _REMEDY)
    return found


def _dataset(parent: h5py.Group, name: str) -> h5py.Dataset:
    found = _member(parent, name)
    if not isinstance(found, h5py.Dataset):
        raise RecordError(f"{found.name} is not a dataset", _REMEDY)
    layout = found.id.get_create_plist()
    if found.is_virtual or found.external or layout.get_nfilters():
        raise RecordError(f"{found.name} is stored in a way that labctl does not use", _REMEDY)
    if math.prod(found.shape) * found.dtype.itemsize > MAX_BYTES:
        raise RecordError(f"{found.name} is too large", _REMEDY)
    return found


def _table_of(text: object) -> dict[str, Any]:
    table = json.loads(str(text))
    if not isinstance(table, dict):
        raise RecordError("the configuration is not a table", _REMEDY)
    return cast(dict[str, Any], table)


def _one_of(value: object, kind: Any) -> Any:
    if value not in get_args(kind):
        raise RecordError(f"{value!r} is none of {', '.join(get_args(kind))}", _REMEDY)
    return value
