"""``labctl bench check`` and ``labctl bench safe``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli import exits
from labctl.cli.report import say
from labctl.cli.signals import stopping_in_order

if TYPE_CHECKING:
    from labctl.bench import BenchReport
    from labctl.values import SafeState, Snapshot

BenchArgument = Annotated[str, typer.Argument(metavar="BENCH", help="BENCH.toml, or a shipped bench: ideal.")]


def check(bench: BenchArgument) -> int:
    """Open every instrument; show who answers, its state, and its problems."""
    from labctl.bench import check_bench
    from labctl.shipped import bench_path

    reports = check_bench(bench_path(bench))
    for each in reports:
        _show(each)
    bad = [each.name for each in reports if each.problems]
    if bad:
        say(f"{len(bad)} of {len(reports)} instruments have problems: {', '.join(bad)}")
    return exits.ERROR if bad else exits.ACCEPTED


def safe(bench: BenchArgument) -> int:
    """Put everything into the safe state (light off), and read back that it is. A signal does not keep it from that."""
    from labctl.bench import safe_bench
    from labctl.shipped import bench_path

    with stopping_in_order(lambda reason: None) as request:
        states = safe_bench(bench_path(bench))
    for each in states:
        _show_safe(each)
    lit = [each.instrument for each in states if not each.dark]
    if lit:
        say(f"error: not confirmed dark: {', '.join(lit)}")
        say("remedy: look at the bench, and switch the light off by hand.")
        return exits.ERROR
    return exits.ACCEPTED if request.number is None else exits.SIGNALLED + request.number


def _show(report: BenchReport) -> None:
    print(f"{report.name}: {'PROBLEM' if report.problems else 'ok'}")
    print(f"    identity   {report.identity or 'unknown'}")
    print(f"    driver     {report.driver}")
    print(f"    resource   {report.resource}")
    if report.state:
        print(f"    state      {_readings(report.state)}")
    for problem in report.problems:
        print(f"    problem    {problem}")


def _show_safe(state: SafeState) -> None:
    print(f"{state.instrument}: {'dark' if state.dark else 'NOT CONFIRMED DARK'}")
    if state.readings:
        print(f"    read back  {_readings(state.readings)}")
    if state.problem:
        print(f"    problem    {state.problem}")


def _readings(values: Snapshot) -> str:
    return ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()
    )
