"""The result of a run as a table for people."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from labctl.events import AdversaryResult, Interval, NoiseCheck, RunFinished, RunStarted
from labctl.profiling import Profile
from labctl.summary import DATA_LIMIT, WEIGHTS_LIMIT

#: Of a module that stands in a profile's table.
LEAST_SHARE = 0.005
#: Columns where standard output is no terminal.
PLAIN_WIDTH = 110
_VERDICTS = {"accepted": "bold green", "alarm": "bold red", "aborted": "bold yellow"}


def show_result(started: RunStarted, finished: RunFinished, run_file: Path | None) -> None:
    """On standard output; what was not measured is left out."""
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    confidence = started.run.get("confidence")
    table = Table(box=SIMPLE, title=_title(started), title_justify="left", title_style="bold")
    table.add_column("quantity")
    table.add_column("value", justify="right")
    table.add_column("interval" if confidence is None else f"{confidence:.3g} interval", justify="right")
    table.add_column("to compare")
    images = f"{finished.images} of {started.images}"
    table.add_row("images", images, "", f"{finished.doubtful} more in doubt" if finished.doubtful else "")
    if finished.accuracy is not None:
        table.add_row(
            "accuracy",
            f"{finished.accuracy.value:.2%}",
            f"{finished.accuracy.low:.2%} to {finished.accuracy.high:.2%}",
            f"without noise {started.clean_accuracy:.2%}",
        )
    if finished.pooled is not None:
        _add_check(table, finished.pooled)
    if finished.adversary is not None:
        _add_adversary(table, finished.adversary)
    console.print(table)
    verdict = finished.verdict or finished.status
    console.print(Text("verdict: ") + Text(verdict.upper(), style=_VERDICTS.get(verdict, "bold")))
    for warning in finished.warnings:
        console.print(Text("warning: ", style="bold yellow") + Text(warning))
    if finished.pooled is not None:
        console.print("Leakage: worst layer, worst case within the intervals, for one transmission of the weights;")
        console.print("K images leak at most K times the weights' bits.")
    if run_file is not None:
        console.print(f"run file: {run_file}", soft_wrap=True, markup=False)


def show_profile(costs: Profile) -> None:
    """What an image took, by room and module; modules below half a hundredth count in their room alone."""
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    per_image = 1e3 * costs.seconds("images") / max(costs.images, 1)
    rest = f"; {costs.seconds('before'):.3g} s before, {costs.seconds('after'):.3g} s after"
    title = f"where the time of {costs.images} images went: {per_image:.3g} ms each{rest}"
    table = Table(box=SIMPLE, title=title, title_justify="left", title_style="bold")
    for head in ("room", "module"):
        table.add_column(head)
    for head in ("share", "ms per image"):
        table.add_column(head, justify="right")
    rows = costs.rows()
    for room in dict.fromkeys(row[0] for row in rows):
        inside = [row for row in rows if row[0] == room]
        table.add_row(room, "", f"{sum(row[2] for row in inside):.1%}", f"{sum(row[3] for row in inside):.3f}")
        for _, module, share, ms in inside:
            if share >= LEAST_SHARE:
                table.add_row("", module, f"{share:.1%}", f"{ms:.3f}", style="dim")
    console.print(table)


def _title(started: RunStarted) -> str:
    bench = started.bench.get("name", "?")
    kind = "simulated bench" if started.simulated else "bench"
    point = ", ".join(
        f"{letter} = {started.run[key]:g}"
        for letter, key in (("G", "gain"), ("μ", "mean_photons"))
        if key in started.run
    )
    return f"{started.name} on the {kind} {bench}, {point}, seed {started.seed}"


def _add_check(table: Table, check: NoiseCheck) -> None:
    technical = f", bench {check.technical:.4g}" if check.technical else ""
    threshold = "" if check.threshold is None else f", alarm above {check.threshold:.4g}"
    table.add_row(
        "excess noise per mode",
        f"{check.excess.value:.4g} SNU",
        _range(check.excess, ".4g"),
        f"honest client {check.expected:.4g}{technical}{threshold}",
    )
    passed = check.transmittance
    table.add_row("transmittance", f"{passed.value:.5f}", _range(passed, ".5f"), f"{check.samples:,} samples")
    leakage = check.leakage
    table.add_row(
        "weights leak, per mode",
        f"{leakage.weights_bits_per_mode:.4g} bits",
        "",
        _limit(leakage.weights_bits_per_mode, WEIGHTS_LIMIT),
    )
    table.add_row("weights leak, per weight", f"{leakage.weights_bits_per_weight:.4g} bits", "", "")
    table.add_row(
        "data leak, arXiv v1 bound", f"{leakage.data_bits_v1:.4g} bits", "", _limit(leakage.data_bits_v1, DATA_LIMIT)
    )
    table.add_row("data leak, journal bound", f"{leakage.data_bits_journal:.4g} bits", "", "")


def _add_adversary(table: Table, found: AdversaryResult) -> None:
    attack, recovery = found.attack, found.recovery
    if attack is not None:
        seen = "no alarm" if attack.alarm_image is None else f"alarm in image {attack.alarm_image + 1}"
        table.add_row(f"attack: {attack.name}", f"{attack.strength:g}", "", seen)
        how = f"in theory {attack.expected_bits_per_mode:.4g} bits" if attack.measured else "by formula"
        table.add_row("attacker learns, per mode", f"{attack.bits_per_mode:.4g} bits", "", how)
    if recovery is not None:
        table.add_row(
            "data recovered, overlap",
            f"{recovery.overlap:.4g}",
            "",
            f"in theory {recovery.expected:.4g} (asymptotic), bound {recovery.bound:.4g}",
        )


def _range(interval: Interval, form: str) -> str:
    return f"{interval.low:{form}} to {interval.high:{form}}"


def _limit(value: float, limit: float) -> str:
    return f"{'below' if value < limit else 'ABOVE'} the paper's {limit:g}"
