"""A run's tables as CSV files, one a table, units in the heads of the columns."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labctl.errors import RecordError
from labctl.record.reader import Columns, Run


def export_csv(run: Run, folder: Path) -> tuple[Path, ...]:
    """Write ``<run file's stem>-images.csv``, ``-layer-0.csv`` and so on into ``folder``; returns the files.

    Numbers are written so that the same ones are read back. A file of the same name is replaced, when the new one is
    complete. Raises RecordError when a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tuple(
            _write(folder / f"{run.path.stem}-{name}.csv", _columns(kind, table, run))
            for name, kind, table in _tables(run)
        )
    except OSError as error:
        raise RecordError(f"{folder}: cannot be written to ({error.strerror})", "Name another folder.") from None


def _tables(run: Run) -> Iterator[tuple[str, str, Columns]]:
    """Name, kind (as in ``Run.units``) and columns."""
    yield "images", "images", run.images
    for number, table in enumerate(run.layers):
        yield f"layer-{number}", "layers", table
    if run.overlaps is not None:
        yield "recovery", "recovery", {"overlaps": run.overlaps}
    if run.rechecks is not None:
        yield "rechecks", "rechecks", run.rechecks


def _columns(kind: str, table: Columns, run: Run) -> list[tuple[str, Sequence[Any]]]:
    """Heads and columns; one of several numbers a row becomes as many."""
    found: list[tuple[str, Sequence[Any]]] = []
    for name, values in table.items():
        unit = run.units.get(f"{kind}/{name}", "1")
        shown = "" if unit == "1" else f" [{unit}]"
        if values.ndim == 1:
            found.append((f"{name}{shown}", values.tolist()))
        else:
            wide = np.reshape(values, (len(values), -1))
            found += [(f"{name}_{number}{shown}", wide[:, number].tolist()) for number in range(wide.shape[1])]
    return found


def _write(path: Path, columns: list[tuple[str, Sequence[Any]]]) -> Path:
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with part.open("x", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([head for head, _ in columns])
        writer.writerows(zip(*(values for _, values in columns), strict=True))
    os.replace(part, path)
    return path
