"""Second suppliers: a fragment file says what of the ideal bench changes when an instrument is exchanged for another.

``suppliers/<vendor>_<model>.toml``: ``kind``, whose suite it joins; ``instrument``, the name of the one that is tested;
``error_queue`` (whether the instrument keeps a queue of its errors; left out: whether its simulated unit speaks SCPI);
``[bench]``, laid over the tables of the ideal bench.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.budget.sources import Tables, toml_text
from labctl.shipped import bench_path

FOLDER = Path(__file__).parent / "suppliers"
#: A table with one of these keys is about one model, and nothing of another model's stays in it.
OF_ONE_MODEL = ("driver", "model")


@dataclass(frozen=True)
class Fragment:
    """One file. ``changes``: its ``[bench]``."""

    name: str
    kind: str
    instrument: str
    changes: Mapping[str, Any]
    error_queue: bool | None = None

    @property
    def model(self) -> str:
        """The module of sim_backends that simulates it."""
        return str(merged(self)["world"]["units"][self.instrument]["model"])


def fragments() -> list[Fragment]:
    """All of them, by name. Raises TypeError for a key that none has."""
    found = []
    for path in sorted(FOLDER.glob("*.toml")):
        keys = tomllib.loads(path.read_text(encoding="utf-8"))
        found.append(Fragment(path.stem, changes=keys.pop("bench"), **keys))
    return found


def ideal() -> Tables:
    """The ideal bench, table by table."""
    return tomllib.loads(bench_path("ideal").read_text(encoding="utf-8"))


def overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> Tables:
    """``above`` over ``below``, table by table; lists, and tables about one model, are replaced whole."""
    tables = dict(deepcopy(dict(below)))
    for key, value in above.items():
        old = tables.get(key)
        merge = isinstance(old, Mapping) and isinstance(value, Mapping)
        if merge and not any(own in value for own in OF_ONE_MODEL):
            tables[key] = overlaid(old, value)
        else:
            tables[key] = deepcopy(value)
    return tables


def merged(fragment: Fragment) -> Tables:
    """The ideal bench with this supplier's instrument."""
    return overlaid(ideal(), fragment.changes)


def write_bench(tables: Mapping[str, Any], path: Path) -> Path:
    """A bench file of these tables."""
    path.write_text(toml_text(tables), encoding="utf-8")
    return path
