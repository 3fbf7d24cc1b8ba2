"""Checksums of a run file: one for every row of a table, one for the head, one for the result, one for the provenance.

A row's is a CRC-32 over the table's name, the row's number (8 bytes) and the row's columns as stored, in their order,
all little endian. Those of groups are SHA-256 over names, kinds and values of everything in them, in order of names.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from labctl.errors import RecordError
from labctl.record import schema

#: Members and attributes that a group under a checksum may have in all, and how deep they may lie.
MOST_ITEMS, DEEPEST = 100_000, 8
_REMEDY = "Is this a run file of labctl, complete and unchanged?"


def row_type(columns: Sequence[schema.Column]) -> np.dtype[Any]:
    """The bytes of one row, without gaps."""
    return np.dtype([(each.name, f"<{each.kind}", (each.numbers,)) for each in columns])


def packed(columns: Sequence[schema.Column], block: NDArray[np.float64]) -> NDArray[Any]:
    """Rows from the numbers of all columns side by side, shape (rows, numbers)."""
    found = np.empty(len(block), row_type(columns))
    at = 0
    for column in columns:
        found[column.name] = block[:, at : at + column.numbers]
        at += column.numbers
    return found


def packed_columns(columns: Sequence[schema.Column], arrays: Mapping[str, NDArray[Any]], rows: int) -> NDArray[Any]:
    """The same from arrays of ``rows`` rows, by column name."""
    found = np.empty(rows, row_type(columns))
    for column in columns:
        found[column.name] = arrays[column.name].reshape(rows, column.numbers)
    return found


def of_rows(table: str, first: int, rows: NDArray[Any]) -> NDArray[np.uint32]:
    """Of each row, the first of which has the number ``first``."""
    raw, size, start = memoryview(rows.tobytes()), rows.dtype.itemsize, zlib.crc32(table.encode())
    found = np.empty(len(rows), np.uint32)
    for number in range(len(rows)):
        own = zlib.crc32((first + number).to_bytes(8, "little"), start)
        found[number] = zlib.crc32(raw[number * size : (number + 1) * size], own)
    return found


def of_counts(rows: Sequence[int]) -> int:
    """Of the numbers of rows that count."""
    return zlib.crc32(np.array(rows, "<i8").tobytes())


def of_head(file: h5py.File) -> str:
    """Of everything that is written before the first row, the provenance excepted."""
    digest = hashlib.sha256()
    _attributes(digest, file, skip={"status", schema.CHECKSUM})
    for name in (schema.CONFIG, schema.INSTRUMENTS, schema.CALIBRATION):
        _everything(digest, file[name])
    for table in tables(file):
        _attributes(digest, table)
        for name in sorted(table):
            _attributes(digest, table[name])
    return digest.hexdigest()


def of_end(file: h5py.File) -> str:
    """Of the result and of what was read back after the light was switched off."""
    digest = hashlib.sha256(str(file.attrs["status"]).encode())
    for name in (schema.RESULT, schema.SAFE_STATE):
        if name in file:
            _everything(digest, file[name], skip={schema.CHECKSUM})
    return digest.hexdigest()


def of_provenance(file: h5py.File) -> str:
    """Of that in which equal runs differ."""
    digest = hashlib.sha256()
    _everything(digest, file[schema.PROVENANCE], skip={schema.CHECKSUM})
    return digest.hexdigest()


def tables(file: h5py.File) -> Iterator[h5py.Group]:
    """All tables, in the order of their counts."""
    yield file[schema.IMAGES]
    layers = file[schema.LAYERS]
    for number in range(len(layers)):
        yield layers[str(number)]
    if schema.RECOVERY in file:
        yield file[schema.RECOVERY]


def _everything(digest: Any, group: h5py.Group, skip: Collection[str] = ()) -> None:
    for item in _items(group, 0):
        _attributes(digest, item, skip)
        if isinstance(item, h5py.Dataset):
            _value(digest, item.name, item[()])


def _items(item: Any, depth: int) -> Iterator[Any]:
    yield item
    if isinstance(item, h5py.Group):
        if len(item) > MOST_ITEMS or depth > DEEPEST:
            raise RecordError(f"{item.name} has too many members", _REMEDY)
        for name in sorted(item):
            if not isinstance(item.get(name, getlink=True), h5py.HardLink):
                raise RecordError(f"{name!r} in {item.name} is a link to elsewhere", _REMEDY)
            yield from _items(item[name], depth + 1)


def _attributes(digest: Any, item: Any, skip: Collection[str] = ()) -> None:
    if len(item.attrs) > MOST_ITEMS:
        raise RecordError(f"{item.name} has too many attributes", _REMEDY)
    for key in sorted(item.attrs):
        if key not in skip:
            _value(digest, f"{item.name}@{key}", item.attrs[key])


def _value(digest: Any, name: str, value: object) -> None:
    if isinstance(value, str):
        kind, raw = "text", value.encode("utf-8", "surrogateescape")
    else:
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise RecordError(f"{name} is of a kind that labctl does not use", _REMEDY)
        array = array.astype(array.dtype.newbyteorder("<"))
        kind, raw = f"{array.dtype.str}{array.shape}", array.tobytes()
    digest.update(f"{len(name)} {name} {kind} {len(raw)} ".encode("utf-8", "surrogateescape"))
    digest.update(raw)
