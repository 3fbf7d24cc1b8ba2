"""``labctl reproduce``: the paper's figures, made anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labctl.cli import exits
from labctl.cli.report import print_json, say

if TYPE_CHECKING:
    from labctl.reproduce.output import Made

_WORDS = {True: "agrees", False: "DIFFERS", None: "not comparable"}


def reproduce(  # noqa: PLR0913 - typer reads the options from the signature
    figures: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FIGURE]...", help="accuracy, plane, leakage, detection, attacks; default: all."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the figures.")] = Path("figures"),
    data: Annotated[
        Path | None, typer.Option(help="Folder of the MNIST files; the digits are used without them.")
    ] = None,
    images: Annotated[
        int | None, typer.Option(min=1, help="Images of the test set at every point. [default: all]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="All randomness follows from it.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Few points and images, to see that it works.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")
    ] = False,
) -> int:
    """Make the paper's figures anew from simulated runs, and compare them with its numbers."""
    from labctl.clock import SystemClock
    from labctl.reproduce.output import chosen
    from labctl.reproduce.output import reproduce as make
    from labctl.reproduce.study import load_study

    names = chosen(figures or ())
    study = load_study(data=data, images=images, seed=seed, quick=quick)
    made = make(names, study, out.absolute(), SystemClock(), say)
    if json:
        print_json({"figures": [_told(each) for each in made]})
    else:
        for each in made:
            _show(each)
    return exits.ACCEPTED


def _told(made: Made) -> dict[str, Any]:
    return {**made.manifest, "files": [str(path) for path in made.files]}


def _show(made: Made) -> None:
    print(f"{made.name}: {', '.join(path.name for path in made.files)} in {made.files[0].parent}")
    for each in made.manifest["comparisons"]:
        word = _WORDS[each["agrees"]]
        print(f"    {word:<14} {each['what']}: {each['found']} (expected: {each['expected']})")
