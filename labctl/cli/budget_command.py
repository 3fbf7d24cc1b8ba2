"""``labctl noise-budget``: every source's share of the noise that client and server measure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from labctl.cli import exits
from labctl.cli.report import print_json

if TYPE_CHECKING:
    from labctl.budget import Budget, Line
    from labctl.budget.shares import Share
    from labctl.experiment import Experiment

_HEADS = ("source", "client", "+-", "formula", "off", "server", "+-", "formula", "off", "ε, SNU")
_NOTES = (
    "client, server: share of the noise variance, in SNU of the party's receiver; formula: the same, computed.",
    "off: by how much the total falls when this source alone is switched off.",
    "ε: the server's share at its receiver's input, as the check counts it; vacuum and the receiver's own noise do not",
    "count in ε, the calibrated σ0² holds them.",
)


def noise_budget(  # noqa: PLR0913 - typer reads the options from the signature
    bench: Annotated[str, typer.Option(help="BENCH.toml, or a shipped bench: ideal, telecom.")] = "telecom",
    gain: Annotated[float, typer.Option(help="Amplifier gain G, a power ratio.")] = 1.3,
    photons: Annotated[float, typer.Option(help="Photons per mode at launch, μ.")] = 4.0,
    model: Annotated[
        str, typer.Option(help="A shipped model, or a .safetensors file; its first layer is sent.")
    ] = "digits",
    dataset: Annotated[str, typer.Option(help="digits, mnist, or a .npz file.")] = "digits",
    images: Annotated[int, typer.Option(min=2, help="Images sent in each of the trials.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="All trials draw the same vacuum.")] = 1,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")
    ] = False,
) -> int:
    """Tell every source's share of the noise on a simulated bench, switched on and off one at a time."""
    from labctl.budget import noise_budget as reckon

    experiment = _experiment(
        {
            "bench": bench,
            "gain": gain,
            "mean_photons": photons,
            "model": model,
            "dataset": dataset,
            "images": images,
            "seed": seed,
        }
    )
    found = reckon(experiment)
    if json:
        print_json({"bench": bench, "gain": gain, "mean_photons": photons, "model": model} | _object(found))
    else:
        _show(f"{model} on {bench}: G = {gain:g}, μ = {photons:g}", found)
    return exits.ACCEPTED


def _experiment(tables: dict[str, Any]) -> Experiment:
    from labctl.config import RunConfig
    from labctl.experiment import prepare_experiment
    from labctl.schema import validate

    where = "the command line"
    return prepare_experiment(validate(RunConfig, {"name": "noise-budget", **tables}, where), where, technical=False)


def _object(found: Budget) -> dict[str, Any]:
    return {
        "rows": found.rows,
        "images": found.images,
        "coupling": found.coupling,
        "lines": [_line(each) for each in found.lines],
        "total": _line(found.total),
    }


def _line(line: Line) -> dict[str, Any]:
    return {"source": line.source, "client": vars(line.client), "server": vars(line.server)}


def _show(title: str, found: Budget) -> None:
    from labctl.cli.tables import show_table

    print(f"{title}; {found.rows} rows, {found.images} images a trial")
    show_table(_HEADS, [_row(each, found.coupling) for each in (*found.lines, found.total)])
    for note in _NOTES:
        print(note)


def _row(line: Line, coupling: float) -> list[str]:
    excess = f"{line.server.value / coupling:.4f}"
    return [line.source, *_cells(line.client), *_cells(line.server), excess]


def _cells(share: Share) -> list[str]:
    return [f"{share.value:.4f}", f"{share.standard_error:.4f}", _maybe(share.formula), _maybe(share.off)]


def _maybe(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
