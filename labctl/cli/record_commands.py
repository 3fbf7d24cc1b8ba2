"""``labctl verify``, ``recover`` and ``diff``: run files after the run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labctl.cli import exits
from labctl.cli.report import print_json, say

RunFile = Annotated[Path, typer.Argument(metavar="RUN.h5", help="A run file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")]


def verify(file: RunFile, json: Json = False) -> int:
    """Check every checksum of a run file, and that nothing is missing or of another kind. Changes nothing."""
    from labctl.errors import RecordError
    from labctl.record.apart import read_run

    run = read_run(file)
    if not run.verified:
        raise RecordError(
            f"{file}: was written by a labctl that made no checksums", "It can be read, but not verified."
        )
    rows = len(run.images["index"]) + sum(len(columns["N"]) for columns in run.layers)
    if json:
        values = {"run_file": str(file), "status": run.status, "records": rows, "damage": list(run.damage)}
        print_json(values)
    else:
        for said in run.damage:
            print(f"damaged: {said}")
        if not run.damage:
            print(f"whole: {rows} records, status {run.status}")
    return exits.ERROR if run.damage else exits.ACCEPTED


def recover(file: RunFile, json: Json = False) -> int:
    """Bring the file of a run that was killed back to an ordinary one; keep of a damaged one what is whole."""
    from labctl.record.rebuild import recover as recover_file

    found = recover_file(file)
    if json:
        original = None if found.original is None else str(found.original)
        values = {"run_file": str(file), "images": found.images, "changed": found.changed}
        print_json(values | {"damage": list(found.lost), "original": original})
        return exits.ACCEPTED
    for said in found.lost:
        say(f"damaged: {said}")
    if found.original is not None:
        say(f"the damaged file: {found.original}")
    if found.changed:
        print(f"recovered: {found.images} images in {file}")
    else:
        print(f"nothing to recover: {file} is whole, with {found.images} images")
    return exits.ACCEPTED


def diff(
    one: Annotated[Path, typer.Argument(metavar="A.h5", help="A run file.")],
    other: Annotated[Path, typer.Argument(metavar="B.h5", help="Another.")],
    json: Json = False,
) -> int:
    """Compare two run files bit for bit, all but what says when and where they were made. Equal: exit status 0."""
    from labctl.record.compare import differences

    found = differences(one, other)
    if json:
        print_json({"equal": not found, "differences": found})
    elif found:
        for said in found:
            print(said)
    else:
        print("equal, provenance aside")
    return exits.ERROR if found else exits.ACCEPTED
