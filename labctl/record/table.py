"""One table of a run file: rows gathered in memory, columns appended to their datasets in blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from labctl.record import checksums
from labctl.record.schema import CRC_COLUMN, Column

#: Rows a chunk of a dataset holds.
CHUNK = 256
#: Rows gathered before they are written: a chunk of them, but no more than so many bytes.
BLOCK, BLOCK_BYTES = CHUNK, 2**18


class Table:
    """The writer's side of a group of equally long columns."""

    def __init__(self, group: h5py.Group, columns: Sequence[Column]) -> None:
        self._name = str(group.name)
        self._columns = columns
        self._checksums = _create(group, CRC_COLUMN)
        self._datasets = [_create(group, column) for column in columns]
        numbers = sum(column.numbers for column in columns)
        self._buffer = np.empty((max(1, min(BLOCK, BLOCK_BYTES // (8 * numbers))), numbers))
        self._pending = 0
        self._written = 0

    @property
    def rows(self) -> int:
        """Rows added so far."""
        return self._written + self._pending

    def add(self, row: Sequence[float]) -> bool:
        """Gather one row: the numbers of all columns in order. Whether that made a full block, which is written."""
        self._buffer[self._pending] = row
        self._pending += 1
        full = self._pending == len(self._buffer)
        if full:
            self.write()
        return full

    def extend(self, arrays: Mapping[str, NDArray[Any]], rows: int) -> None:
        """Append the first ``rows`` rows of columns that were read, by name."""
        whole = np.column_stack([arrays[column.name][:rows].reshape(rows, column.numbers) for column in self._columns])
        for first in range(0, rows, len(self._buffer)):
            block = whole[first : first + len(self._buffer)]
            self._buffer[: len(block)] = block
            self._pending = len(block)
            self.write()

    def write(self) -> int:
        """Append what was gathered; returns the rows written in all. Not yet flushed to the file."""
        if self._pending:
            rows = checksums.packed(self._columns, self._buffer[: self._pending])
            for column, dataset in zip(self._columns, self._datasets, strict=True):
                self._append(dataset, column, rows[column.name])
            self._append(self._checksums, CRC_COLUMN, checksums.of_rows(self._name, self._written, rows))
            self._written += self._pending
            self._pending = 0
        return self._written

    def _append(self, dataset: h5py.Dataset, column: Column, block: NDArray[Any]) -> None:
        """The low-level calls of h5py: a tenth of the time of ``dataset[first:] = block``."""
        wide = () if column.width is None else (column.width,)
        extent = (self._written + len(block), *wide)
        target = h5py.h5s.create_simple(extent)
        target.select_hyperslab((self._written, *(0 for _ in wide)), (len(block), *wide))
        source = h5py.h5s.create_simple((len(block), *wide))
        numbers = np.ascontiguousarray(block.reshape(len(block), *wide), dtype=column.kind)
        dataset.id.set_extent(extent)
        dataset.id.write(source, target, numbers)


def _create(group: h5py.Group, column: Column) -> h5py.Dataset:
    wide = () if column.width is None else (column.width,)
    dataset = group.create_dataset(
        column.name,
        shape=(0, *wide),
        maxshape=(None, *wide),
        chunks=(CHUNK, *wide),
        dtype=column.kind,
    )
    _label(dataset, {"unit": column.unit, "meaning": column.meaning})
    return dataset


def _label(dataset: h5py.Dataset, texts: Mapping[str, str]) -> None:
    for key, text in texts.items():
        dataset.attrs[key] = text
