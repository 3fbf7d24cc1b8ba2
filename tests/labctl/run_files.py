"""Compares run files as plain HDF5, without labctl's reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from labctl.record.schema import PROVENANCE


def contents(path: Path) -> dict[str, Any]:
    """Every attribute and dataset of the file outside /provenance."""
    found: dict[str, Any] = {}
    with h5py.File(path, "r") as file:

        def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if not name.startswith(PROVENANCE):
                found.update({f"{name}@{key}": value for key, value in item.attrs.items()})
                if isinstance(item, h5py.Dataset):
                    found[name] = item[()]

        file.visititems(note)
        found.update({f"@{key}": value for key, value in file.attrs.items()})
    return found


def differences(one: Path, other: Path) -> list[str]:
    """Where the contents of two files differ; NaN equals NaN."""
    first, second = contents(one), contents(other)
    return sorted(key for key in first.keys() | second.keys() if not _same(first.get(key), second.get(key)))


def _same(one: Any, other: Any) -> bool:
    return np.array_equal(one, other, equal_nan=np.asarray(one).dtype.kind == "f")
