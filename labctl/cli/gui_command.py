"""``labctl gui``: the desktop window. Found by name, so that nothing here imports Qt."""

from __future__ import annotations

from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated

import typer

#: What shows a recorded run until its window is closed.
REPLAY = "gui.app:replay"


def gui(
    replay: Annotated[Path, typer.Option("--replay", metavar="RUN.h5", help="Show this recorded run.")],
) -> int:
    """Show a recorded run in a window: accuracy and residual noise, image by image."""
    return int(resolve_name(REPLAY)(replay))
