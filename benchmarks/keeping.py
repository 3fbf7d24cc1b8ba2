"""What a benchmark found: printed as one JSON object, and kept in a file with its date in the name."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from labctl import __version__

RESULTS = Path(__file__).parent / "results"


def made_by(benchmark: str) -> dict[str, Any]:
    """What a figure cannot be read without: which benchmark, when, with which versions, on what machine."""
    return {
        "benchmark": benchmark,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "labctl": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def keep(found: Mapping[str, Any], folder: Path) -> None:
    """``found``: with what :func:`made_by` gives. The file is ``folder``/<benchmark>-<date>.json."""
    text = json.dumps(found, indent=2) + "\n"
    sys.stdout.write(text)
    folder.mkdir(parents=True, exist_ok=True)
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    (folder / f"{found['benchmark']}-{stamp}.json").write_text(text, encoding="utf-8")
