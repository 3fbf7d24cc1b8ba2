"""A run file that is being written: its tables, and how many of their rows count."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from labctl.events import RunStarted
from labctl.record import checksums, disk, layout, schema
from labctl.record.reader import Run
from labctl.record.table import Table
from labctl.values import Snapshot


class RunFile:
    """Made under the name ``path``, which nothing may have yet; complete but for its rows when this returns.

    Raises what h5py raises: FileExistsError, OSError, RuntimeError.
    """

    def __init__(self, path: Path, event: RunStarted, provenance: Snapshot) -> None:
        self.h5 = h5py.File(path, "x", libver="latest", rdcc_nbytes=2**16)
        try:
            layout.write_head(self.h5, event)
            layout.write_provenance(self.h5, provenance)
            self.images = Table(self.h5.create_group(schema.IMAGES), schema.image_columns(event.classes))
            layers = self.h5.create_group(schema.LAYERS)
            self.layers = [
                Table(layers.create_group(str(number)), schema.LAYER_COLUMNS)
                for number in range(len(event.layer_shapes))
            ]
            self.overlaps: Table | None = None
            if event.run.get("adversary", {}).get("server_recovers_data"):
                self.overlaps = Table(self.h5.create_group(schema.RECOVERY), schema.RECOVERY_COLUMNS)
            self.rechecks: Table | None = None
            if event.run.get("recheck"):
                self.rechecks = Table(self.h5.create_group(schema.RECHECKS), schema.RECHECK_COLUMNS)
            none = [0] * len(self._tables)
            self.h5.create_dataset(schema.COMMITTED, data=np.array([*none, checksums.of_counts(none)], "i8"))
            layout.seal_head(self.h5)
        except BaseException:
            self.close()
            raise

    @property
    def _tables(self) -> list[Table]:
        """In the order of their counts."""
        return [self.images, *self.layers, *(each for each in (self.overlaps, self.rechecks) if each is not None)]

    def fill(self, run: Run, rows: Sequence[int]) -> None:
        """The first rows of another file, so many of each table."""
        found = [run.images, *run.layers, *([] if run.overlaps is None else [{schema.OVERLAPS: run.overlaps}])]
        found += [] if run.rechecks is None else [run.rechecks]
        for table, columns, count in zip(self._tables, found, rows, strict=True):
            table.extend(columns, count)

    def follow(self) -> None:
        """From now on the file can be read while it grows."""
        self.h5.swmr_mode = True
        self.h5.flush()
        disk.lock(self.h5.id.get_vfd_handle())

    def commit(self) -> None:
        """Rows first, then how many count: a reader never meets a row that is not complete."""
        rows = [table.write() for table in self._tables]
        self.h5.flush()
        counts = np.array([*rows, checksums.of_counts(rows)], "i8")
        self.h5[schema.COMMITTED].id.write(h5py.h5s.ALL, h5py.h5s.ALL, counts)
        self.h5.flush()

    def sync(self) -> None:
        """Onto the disk itself."""
        os.fsync(self.h5.id.get_vfd_handle())

    def close(self) -> None:
        """Safe to call twice; what can no longer be written is left out."""
        with contextlib.suppress(OSError, RuntimeError):
            self.h5.close()
