"""``labctl ledger show``: what leaked so far, by one party's account."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from labctl.cli import exits
from labctl.cli.report import print_json

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")]


def show(file: Annotated[Path, typer.Argument(metavar="FILE", help="A leakage ledger.")], json: Json = False) -> int:
    """Check a ledger, and show what it adds up to. Changes nothing."""
    from labctl.ledger.book import account_of

    found = _weights(file) if account_of(file) == "weights" else _data(file)
    if json:
        print_json(found)
    elif found["account"] == "weights":
        _show_weights(found)
    else:
        _show_data(found)
    return exits.ACCEPTED


def _weights(file: Path) -> dict[str, Any]:
    from labctl.ledger.weights import weights_balances, weights_book, weights_charges

    charges = weights_charges(weights_book(file).read(), file)
    return {
        "file": str(file),
        "account": "weights",
        "models": [
            {
                "model": balance.model,
                "name": balance.name,
                "bits_per_weight": max(balance.bits_per_weight),
                "layers_bits_per_weight": list(balance.bits_per_weight),
                "images": balance.images,
                "runs": balance.runs,
                "unsettled_runs": balance.unsettled,
            }
            for balance in weights_balances(charges)
        ],
        "runs": len(charges),
        "unsettled_runs": sum(not each.settled for each in charges),
    }


def _data(file: Path) -> dict[str, Any]:
    from labctl.ledger.data import data_book, data_charges, row_totals

    charges = data_charges(data_book(file).read(), file)
    totals = row_totals(charges)
    return {
        "file": str(file),
        "account": "data",
        "rows": len(totals),
        "bits_per_symbol_v1": max((v1 for v1, _ in totals.values()), default=0.0),
        "bits_per_symbol_journal": max((journal for _, journal in totals.values()), default=0.0),
        "images": sum(len(each.rows) for each in charges),
        "runs": len(charges),
        "unsettled_runs": sum(not each.settled for each in charges),
    }


def _show_weights(found: dict[str, Any]) -> None:
    from labctl.cli.tables import show_table

    print(f"the server's account of its weights: {_runs(found)}")
    show_table(
        ["model", "digest", "bits per weight, worst layer", "by layer", "images", "runs"],
        [
            [
                each["name"],
                each["model"][:12],
                f"{each['bits_per_weight']:.4g}",
                ", ".join(f"{bits:.4g}" for bits in each["layers_bits_per_weight"]),
                str(each["images"]),
                str(each["runs"]),
            ]
            for each in found["models"]
        ],
    )


def _show_data(found: dict[str, Any]) -> None:
    print(f"the client's account of its data: {_runs(found)}")
    print(f"{found['rows']} different data rows, {found['images']} images in all")
    print(f"worst row: {found['bits_per_symbol_v1']:.4g} bits per symbol by the arXiv v1 bound,")
    print(f"           {found['bits_per_symbol_journal']:.4g} bits per symbol by the journal bound")


def _runs(found: dict[str, Any]) -> str:
    unsettled = found["unsettled_runs"]
    runs = f"{found['runs']} run{'' if found['runs'] == 1 else 's'}"
    if not unsettled:
        return runs
    return f"{runs}, of which {unsettled} did not settle (under way, or killed): counted as planned"
