"""A run file while it grows, for programs that show it: what came since they looked the last time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from labctl.errors import RecordError
from labctl.record import checksums, schema
from labctl.record.reader import open_file, open_run

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class News:
    """New rows of the images and of each layer, by column; ``ended``: whether this was the last of them."""

    images: Columns
    layers: tuple[Columns, ...]
    ended: bool


class LiveRun:
    """Follows one growing file; a context manager. ``started``: as :func:`open_run` gives it.

    Once the run has ended, its file is another one under the same name: read that with :func:`open_run`. Raises
    RecordError for what is no run file, and for rows that do not agree with their checksum.
    """

    def __init__(self, path: Path) -> None:
        self.started = open_run(path).started
        self._path = path
        self._file = open_file(path)
        self._inode = os.stat(path).st_ino
        layers = (schema.LAYER_COLUMNS for _ in self.started.layer_shapes)
        columns = [schema.image_columns(self.started.classes), *layers]
        groups = list(checksums.tables(self._file))[: len(columns)]
        self._tables = [_Rows(*each) for each in zip(groups, columns, strict=True)]

    def update(self) -> News:
        """What came since the last call."""
        ended = self._has_ended()  # asked first: what is read then is complete
        counts = self._counts()
        images, *layers = [table.until(rows) for table, rows in zip(self._tables, counts, strict=False)]
        return News(images, tuple(layers), ended)

    def _has_ended(self) -> bool:
        with contextlib.suppress(OSError):
            return os.stat(self._path).st_ino != self._inode or self._file.attrs["status"] != "running"
        return True

    def _counts(self) -> Sequence[int]:
        committed = self._file[schema.COMMITTED]
        for _ in range(3):  # the writer may be at it
            committed.refresh()
            *counts, check = (int(each) for each in committed[()])
            if check == checksums.of_counts(counts):
                return counts
        raise RecordError(f"{self._path}: the numbers of rows do not agree with their checksum", "Try again.")

    def close(self) -> None:
        """Safe to call twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


class _Rows:
    """One table, as far as it was read."""

    def __init__(self, group: h5py.Group, columns: Sequence[schema.Column]) -> None:
        self._name = str(group.name)
        self._columns = columns
        self._sets = {each.name: group[each.name] for each in (*columns, schema.CRC_COLUMN)}
        self._read = 0

    def until(self, rows: int) -> Columns:
        first, self._read = self._read, max(rows, self._read)
        found = {}
        for name, dataset in self._sets.items():
            if rows > first:
                dataset.refresh()
            found[name] = np.asarray(dataset[first : self._read])
        due = checksums.packed_columns(self._columns, found, self._read - first)
        if not np.array_equal(found.pop(schema.CRC), checksums.of_rows(self._name, first, due)):
            raise RecordError(f"{self._name}: new rows do not agree with their checksum", "Check the disk.")
        return found
