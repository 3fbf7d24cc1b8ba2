"""``labctl calibrate``: the bench's constants, measured, judged and kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labctl.cli import exits
from labctl.cli.report import print_json, say, say_error
from labctl.cli.signals import stopping_in_order

if TYPE_CHECKING:
    from labctl.calibrate import Calibration
    from labctl.calibration.result import Result
    from labctl.calibration.store import Store
    from labctl.events import EventBus


def calibrate(  # noqa: PLR0913 - typer reads the options from the signature
    bench: Annotated[str, typer.Argument(metavar="BENCH", help="BENCH.toml, or a shipped bench: ideal, telecom.")],
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="One procedure, with what it needs and has no fresh result; repeatable."),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Folder of the results. [default: calibration.store, or NAME.calibration]")
    ] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for a PNG a procedure; none are drawn without it.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of a simulated bench.")] = 0,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Then measure the bench's own noise with this run, honest: the baseline."),
    ] = None,
    images: Annotated[int, typer.Option(min=2, help="Of the baseline.")] = 1000,
    show_plan: Annotated[bool, typer.Option("--plan", help="List the procedures; open nothing.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")
    ] = False,
) -> int:
    """Measure a bench's constants, judge each against its criterion, and keep them with their errors and date."""
    from labctl.calibrate import calibrate as measure
    from labctl.calibration.force import store_of
    from labctl.calibration.plot import draw
    from labctl.config import load_bench
    from labctl.engine import RunControl
    from labctl.events import EventBus
    from labctl.shipped import bench_path

    if show_plan:
        return _show_plan(json)
    path = bench_path(bench)
    config = load_bench(path)
    kept, bus, control = store_of(config, path, store), EventBus(), RunControl()
    _follow(bus)
    with stopping_in_order(control.abort) as request:
        found = measure(path, config, kept, only=only or (), seed=seed, bus=bus, control=control)
    if baseline is not None and found.passed:
        found = _with_baseline(found, path, kept, (baseline, images, seed))
    drawn = [draw(result, plots) for result in found.results] if plots is not None else []
    if json:
        print_json(_told(found, str(path), kept.folder, [str(each) for each in drawn if each is not None]))
    else:
        for result in found.results:
            _show(result)
        print(f"kept in {kept.folder}")
    if found.error is not None:
        say_error(found.error)
        return exits.status_of(found.error) if request.number is None else exits.SIGNALLED + request.number
    return exits.ACCEPTED if found.passed else exits.ABORTED


def _with_baseline(found: Calibration, path: Path, store: Store, run: tuple[str, int, int]) -> Calibration:
    from labctl.baseline import measure_baseline

    name, images, seed = run
    say(f"baseline: {images} honest images of {name}")
    result = measure_baseline(path, store, name, images, seed=seed)
    return replace(found, results=(*found.results, result))


def _show_plan(json: bool) -> int:
    from labctl.calibration.plan import PLAN

    if json:
        print_json({"plan": [{"name": each.name, "title": each.title, "needs": list(each.needs)} for each in PLAN]})
        return exits.ACCEPTED
    for each in PLAN:
        needs = f" (needs {', '.join(each.needs)})" if each.needs else ""
        print(f"{each.name:<18} {each.title}{needs}")
    return exits.ACCEPTED


def _follow(bus: EventBus) -> None:
    from labctl.events import ProcedureFinished, ProcedureStarted

    def begun(event: ProcedureStarted) -> None:
        say(f"{event.index + 1}/{event.count} {event.name}: {event.title}")

    def over(event: ProcedureFinished) -> None:
        if event.outcome != "passed":
            say(f"{event.name} {event.outcome}: {event.message}")
            say(f"remedy: {event.remedy}")

    bus.subscribe(ProcedureStarted, begun)
    bus.subscribe(ProcedureFinished, over)


def _show(result: Result) -> None:
    print(f"{result.procedure}: {result.outcome}")
    for quantity in result.quantities:
        low, high = quantity.interval()
        print(f"    {quantity.name:<32} {quantity.value:.6g} [{low:.6g}, {high:.6g}] {quantity.unit}".rstrip())
    for demand in result.demands:
        print(f"    {'ok    ' if demand.held else 'FAILED'} {demand.text}")
        if not demand.held:
            print(f"           {demand.remedy}")
    if result.message and not result.demands:
        print(f"    {result.message}\n    {result.remedy}")
    for each in result.assumed:
        print(f"    assumed {each}")


def _told(found: Calibration, bench: str, folder: Path, plots: list[str]) -> dict[str, Any]:
    error = found.error
    return {
        "bench": bench,
        "store": str(folder),
        "passed": found.passed,
        "error": None if error is None else {"message": str(error), "remedy": error.remedy},
        "plots": plots,
        "results": [_result(result) for result in found.results],
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "procedure": result.procedure,
        "outcome": result.outcome,
        "taken_at": result.taken_at,
        "message": result.message,
        "remedy": result.remedy,
        "assumed": list(result.assumed),
        "demands": [vars(demand) for demand in result.demands],
        "quantities": [
            {
                "name": quantity.name,
                "value": quantity.value,
                "standard_error": quantity.standard_error,
                "interval_95": list(quantity.interval()),
                "unit": quantity.unit,
            }
            for quantity in result.quantities
        ],
    }
