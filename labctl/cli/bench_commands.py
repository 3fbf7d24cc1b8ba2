"""``labctl bench check``, ``snapshot``, ``safe``, ``rearm`` and ``technical-noise``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labctl.cli import exits
from labctl.cli.report import print_json, say
from labctl.cli.signals import stopping_in_order

if TYPE_CHECKING:
    from labctl.config import BenchConfig
    from labctl.technical import TechnicalMeasurement
    from labctl.upkeep import BenchReport
    from labctl.values import SafeState, Snapshot

BenchArgument = Annotated[
    str, typer.Argument(metavar="BENCH", help="BENCH.toml, or a shipped bench: ideal, telecom, waveform.")
]

#: The run whose working point the technical noise is measured at.
RUN = "digits-telecom"


def check(
    bench: BenchArgument,
    exchange: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every byte that is said and heard to this new file.")
    ] = None,
) -> int:
    """Open every instrument; show who answers, its limits, its state, its problems, and how old the calibration is."""
    from labctl.config import load_bench
    from labctl.shipped import bench_path
    from labctl.trips import standing
    from labctl.upkeep import check_bench

    path = bench_path(bench)
    config = load_bench(path)
    reports = check_bench(path, exchange)
    for each in reports:
        _show(each)
    print(_calibration(config))
    for trip in standing(config):
        print(f"tripped: {trip}; 'labctl bench rearm' re-arms the bench")
    bad = [each.name for each in reports if each.problems]
    if bad:
        say(f"{len(bad)} of {len(reports)} instruments have problems: {', '.join(bad)}")
    return exits.ERROR if bad else exits.ACCEPTED


def snapshot(bench: BenchArgument) -> int:
    """Print every setting and reading of every instrument, and who it is, as one JSON object."""
    from labctl.shipped import bench_path
    from labctl.upkeep import snapshot_bench

    path = bench_path(bench)
    taken_at = datetime.now(UTC).isoformat(timespec="seconds")
    print_json({"bench": str(path), "taken_at": taken_at, "instruments": snapshot_bench(path)})
    return exits.ACCEPTED


def safe(bench: BenchArgument) -> int:
    """Put everything into the safe state (light off), and read back that it is. A signal does not keep it from that."""
    from labctl.shipped import bench_path
    from labctl.upkeep import safe_bench

    with stopping_in_order(lambda reason: None) as request:
        states = safe_bench(bench_path(bench), say)
    for each in states:
        _show_safe(each)
    lit = [each.instrument for each in states if not each.dark]
    if lit:
        say(f"error: not confirmed dark: {', '.join(lit)}")
        say("remedy: look at the bench, and switch the light off by hand.")
        return exits.UNSAFE
    return exits.ACCEPTED if request.number is None else exits.SIGNALLED + request.number


def rearm(
    bench: BenchArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the bench's name.")] = False,
) -> int:
    """After an interlock tripped: say that the bench is in order, so that runs are let through again."""
    from labctl import trips
    from labctl.config import load_bench
    from labctl.shipped import bench_path

    config = load_bench(bench_path(bench))
    standing = trips.standing(config)
    if not standing:
        print(f"bench {config.name}: no interlock stands tripped")
        return exits.ACCEPTED
    for each in standing:
        print(f"tripped: {each}")
    if not yes and _typed(f"Is the bench in order? Type its name, {config.name}, to re-arm it: ") != config.name:
        say("not re-armed")
        return exits.ABORTED
    trips.rearm(config)
    print(f"bench {config.name}: re-armed")
    return exits.ACCEPTED


def _typed(question: str) -> str:
    try:
        return input(question).strip()
    except EOFError:
        return ""


def technical_noise(
    bench: BenchArgument,
    run: Annotated[str, typer.Option(help="Working point, network and data: RUN.toml or a shipped run.")] = RUN,
    images: Annotated[int, typer.Option(min=2, help="How many; where there are fewer, they are taken again.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of a simulated bench; best another one than the run's.")] = 2024,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")
    ] = False,
) -> int:
    """Measure the excess noise that the bench itself adds, in an honest run, for [link] of the bench file."""
    from labctl.experiment import load_experiment
    from labctl.technical import measure_technical_noise

    found = measure_technical_noise(load_experiment(run, bench=bench, seed=seed, technical=False), images)
    if json:
        print_json(_technical(found) | {"bench": bench, "run": run, "seed": seed})
    else:
        _show_technical(found)
    return exits.ACCEPTED


def _technical(found: TechnicalMeasurement) -> dict[str, Any]:
    return {
        "images": found.images,
        "calibrations": found.calibrations,
        "excess_snu": found.excess,
        "honest_excess_snu": found.honest_excess,
        "technical_excess_snu": found.technical_excess,
        "technical_excess_se_snu": found.excess_se,
        "layers": [{"technical_excess_snu": value, "standard_error_snu": error} for value, error in found.layers],
        "transmittance": found.transmittance,
        "transmittance_se": found.transmittance_se,
        "expected_transmittance": found.expected_transmittance,
        "toml": found.toml(),
    }


def _show_technical(found: TechnicalMeasurement) -> None:
    print(f"# {found.images:,} honest images: excess noise {found.excess:.5f} +- {found.excess_se:.5f} SNU,")
    print(f"# of which {found.honest_excess:.5f} are the honest client's.")
    if found.calibrations > 1:
        print(f"# The receiver was calibrated {found.calibrations} times; these errors are averaged.")
    for index, (value, error) in enumerate(found.layers):
        print(f"# layer {index}: technical noise {value:.5f} +- {error:.5f} SNU")
    print(f"# transmittance {found.transmittance:.5f} +- {found.transmittance_se:.5f},", end=" ")
    print(f"by the losses in [link] {found.expected_transmittance:.5f}.")
    print("# For [link] of the bench file; valid for this working point, network and data:")
    print(found.toml())


def _calibration(bench: BenchConfig) -> str:
    """Of what kind it is and how old, in one line."""
    told = f"calibration: {bench.calibrated or 'not described'}"
    if bench.calibrated_at is None:
        return f"{told}; not dated (calibrated_at)"
    hours = (datetime.now(UTC) - bench.calibrated_at).total_seconds() / 3600
    valid = bench.calibration_valid_hours
    if valid is None:
        return f"{told}; {hours:.1f} hours old"
    state = "STALE" if hours > valid else "valid"
    return f"{told}; {hours:.1f} hours old, {state} (calibration_valid_hours = {valid:g})"


def _show(report: BenchReport) -> None:
    print(f"{report.name}: {'PROBLEM' if report.problems else 'ok'}")
    print(f"    identity   {report.identity or 'unknown'}")
    print(f"    driver     {report.driver}")
    print(f"    resource   {report.resource}")
    if report.limits:
        print(f"    limits     {', '.join(f'{key} {value}' for key, value in report.limits.items())}")
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
