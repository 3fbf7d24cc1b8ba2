"""``labctl export`` and ``labctl report``: a run file for other programs, and for people."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from labctl.cli import exits
from labctl.cli.report import print_json

RunFile = Annotated[Path, typer.Argument(metavar="RUN.h5", help="A run file.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")]


def export(
    run: RunFile,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV: one file a table, units in the heads.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the files; else the run file's.")] = None,
    json: Json = False,
) -> int:
    """Write a run file's tables for other programs."""
    from labctl.errors import ConfigError
    from labctl.record import open_run
    from labctl.report import export_csv

    if not csv:
        raise ConfigError("no format is named", "Give --csv.")
    files = export_csv(open_run(run), run.parent if out is None else out)
    _tell(files, json=json)
    return exits.ACCEPTED


def report(
    run: RunFile,
    out: Annotated[
        Path | None, typer.Option(help="The page; else beside the run file, its name ending in .html.")
    ] = None,
    json: Json = False,
) -> int:
    """Write one page of HTML with a run's verdict, figures, leakage, noise, calibration and configuration."""
    from labctl.errors import RecordError
    from labctl.record import open_run
    from labctl.report import page

    path = run.with_suffix(".html") if out is None else out
    content = page(open_run(run))
    part = path.with_name(f"{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        with part.open("x", encoding="utf-8") as stream:
            stream.write(content)
        os.replace(part, path)
    except OSError as error:
        raise RecordError(f"{path}: cannot be written ({error.strerror})", "Name another file with --out.") from None
    _tell((path,), json=json)
    return exits.ACCEPTED


def _tell(files: tuple[Path, ...], *, json: bool) -> None:
    if json:
        print_json({"files": [str(path) for path in files]})
    else:
        for path in files:
            print(path)
