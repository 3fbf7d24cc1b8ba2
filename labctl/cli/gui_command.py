"""``labctl gui``: the desktop window. Found by name, so that nothing here imports Qt."""

from __future__ import annotations

from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated

import typer

from labctl.errors import ConfigError

#: What shows a run that can be started, or a recorded one, until its window is closed.
SHOW, REPLAY = "gui.app:show", "gui.app:replay"


def gui(
    run: Annotated[
        str | None, typer.Argument(help="RUN.toml, or a shipped run: digits, mnist; left out: that of the last time.")
    ] = None,
    bench: Annotated[str | None, typer.Option(help="BENCH.toml, or a shipped bench: ideal, telecom, waveform.")] = None,
    replay: Annotated[
        Path | None,
        typer.Option("--replay", metavar="RUN.h5", help="Show this recorded run; one that grows is followed."),
    ] = None,
) -> int:
    """Open the window: start and watch runs, or look at recorded ones."""
    if replay is None:
        return int(resolve_name(SHOW)(run, bench))
    if bench is not None or run is not None:
        raise ConfigError("--replay shows what the file holds: it takes neither RUN nor --bench", "Leave them out.")
    return int(resolve_name(REPLAY)(replay))
