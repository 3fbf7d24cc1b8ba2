"""Names of runs as parts of file names."""

from __future__ import annotations

import re

from labctl.errors import RecordError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_name(name: str) -> None:
    """Raises RecordError for a name that could lead elsewhere."""
    if not _NAME.fullmatch(name):
        raise RecordError(f"{name!r} cannot be part of a file name", "Use letters, digits, _ and -, at most 64.")
