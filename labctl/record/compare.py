"""Whether two run files say the same: everything but the provenance, bit for bit; NaN equals NaN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from labctl.record import schema
from labctl.record.apart import open_run
from labctl.record.reader import open_file

#: Follow from the rest, which is compared itself.
_FOLLOWING = (schema.CHECKSUM, schema.CRC)
#: Longest value that is shown.
_SHOWN = 60


def differences(one: Path, other: Path) -> list[str]:
    """What differs, one line for each attribute or column, in order of their names.

    Raises RecordError for a file that is damaged or no run file.
    """
    for path in (one, other):
        open_run(path)
    first, second = _contents(one), _contents(other)
    found = []
    for name in sorted(first.keys() | second.keys()):
        if name not in second:
            found.append(f"{name}: only in {one}")
        elif name not in first:
            found.append(f"{name}: only in {other}")
        elif (said := _difference(first[name], second[name])) is not None:
            found.append(f"{name}: {said}")
    return found


def _contents(path: Path) -> dict[str, Any]:
    """Every attribute ("group@key") and dataset outside the provenance."""
    found: dict[str, Any] = {}
    with open_file(path) as file:

        def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if name.partition("/")[0] == schema.PROVENANCE or name.rpartition("/")[2] in _FOLLOWING:
                return
            found.update({f"{name}@{key}": value for key, value in item.attrs.items() if key not in _FOLLOWING})
            if isinstance(item, h5py.Dataset):
                found[name] = item[()]

        note("", file)
        file.visititems(note)
    return found


def _difference(one: Any, other: Any) -> str | None:
    if isinstance(one, str) or isinstance(other, str):
        return None if one == other else _shown(one, other)
    first, second = np.asarray(one), np.asarray(other)
    if first.shape != second.shape or first.dtype != second.dtype:
        return f"{first.dtype} of shape {first.shape} and {second.dtype} of shape {second.shape}"
    same = first == second
    if first.dtype.kind == "f":
        same |= np.isnan(first) & np.isnan(second)
    if np.all(same):
        return None
    if not first.shape:
        return _shown(one, other)
    rows = np.flatnonzero(~same.reshape(len(first), -1).all(axis=1))
    return f"{len(rows)} of {len(first)} rows differ, the first is row {rows[0]}"


def _shown(*values: Any) -> str:
    texts = [repr(value.item() if isinstance(value, np.generic) else value) for value in values]
    return " and ".join(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..." for text in texts)
