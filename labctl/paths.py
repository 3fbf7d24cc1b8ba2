"""Paths that stand in a run file: relative to it, and within its folder unless a person says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labctl.errors import ConfigError


def resolve_paths(tables: dict[str, Any], path: Path, overrides: Mapping[str, Any], *, anywhere: bool) -> None:
    """Replace the paths in a RUN.toml's ``tables`` by what they lead to; ``overrides`` need not be looked at.

    What is not as it should be is left to the schema. Raises ConfigError for a path that leads out of the folder of
    the file ``path``, unless ``anywhere``.
    """
    for key in ("data_dir", "bench", "model", "dataset"):
        value = tables.get(key)
        if isinstance(value, str) and (key == "data_dir" or _is_path(value)) and overrides.get(key) is None:
            tables[key] = resolved(path, key, value, anywhere=anywhere)
    ledgers = tables.get("ledger")
    for key, ledger in ledgers.items() if isinstance(ledgers, dict) else ():
        if isinstance(ledger, dict) and isinstance(ledger.get("file"), str) and ledger["file"]:
            ledger["file"] = resolved(path, f"ledger.{key}.file", ledger["file"], anywhere=anywhere)


def resolved(path: Path, key: str, value: str, *, anywhere: bool) -> str:
    """What ``value`` in the file ``path`` leads to, links followed.

    Raises ConfigError where that is out of its folder, and for what is no path.
    """
    try:
        folder = path.parent.resolve()
        found = (folder / value).resolve()
        found.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # names too long, zero bytes, links in a circle
        raise ConfigError(f"{path}: key {key!r}: {value[:200]!r} is no path ({error})", "Mend the path.") from None
    if not anywhere and not found.is_relative_to(folder):
        raise ConfigError(
            f"{path}: key {key!r}: {value!r} leads out of the folder of the file that names it",
            f"Put it into {folder}, name it on the command line, or give labctl run --anywhere if you trust this file.",
        )
    return str(found)


def _is_path(value: str) -> bool:
    return "/" in value or value.endswith((".toml", ".safetensors", ".npz"))
