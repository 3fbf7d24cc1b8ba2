"""Runs the digits with each fault of the simulated lab in each role that it fits, and writes docs/reference/faults.md.

    python scripts/fault_table.py [--check] [--out docs/reference/faults.md]

Each pair twice: the fault there from the beginning, and beginning after the tenth image. ``--check`` writes nothing and
compares with the page; it prints one JSON object, and its exit status is 1 when a row differs, or when any run came to
its end with other numbers than without the fault.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drivers.visa import VisaLibrary
from labctl.engine import RunControl
from labctl.errors import LabctlError
from labctl.events import EventBus, ImageFinished, LayerMeasured, LightOff
from labctl.experiment import load_experiment
from labctl.session import Outcome, run_experiment
from labctl.shipped import bench_path
from sim_backends.faults import FAULTS, fault_named
from sim_backends.lab import Lab

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "faults.md"
IMAGES, STRUCK = 25, 10
#: What a run must not do: give other numbers, and say nothing.
SILENT = "**other numbers, and not a word**"
#: Role -> who plays it, on the ideal bench with a bias controller added.
ROLES = {
    "laser": "laser",
    "server's generator": "server_awg",
    "attenuator": "attenuator",
    "bias controller": "bias_i",
    "client's generator, forward": "client_awg_forward",
    "client's generator, return": "client_awg_return",
    "client's generator, tap": "client_awg_tap",
    "amplifier": "amplifier",
    "client's digitizer": "client_scope",
    "server's digitizer": "server_scope",
    "power meter": "power_meter",
}
BIAS = (
    (
        "[instruments.laser]\n",
        '[instruments.bias_i]\ndriver = "drivers.thorlabs_mbx:MBX"\nresource = "ASRL/dev/ttyUSB1::INSTR"\n\n'
        "[instruments.laser]\n",
    ),
    ("[modulator]\n", '[modulator]\nbias = ["bias_i"]\n'),
    ("[world.units]\n", '[world.units]\nbias_i = { model = "thorlabs_mbx" }\n'),
    ("[world.places]\n", '[world.places]\nbias_i = "bias_i:1"\n'),
)
HEAD = """# What each fault does to a run

Made by `scripts/fault_table.py`, which runs the digits on the ideal bench with each [fault](simulated-lab.md#faults) in
each role that it fits; changes of this page by hand are lost.

*From the beginning*: the fault is there before the first instrument is opened. *After the tenth image*: it begins
between two images of a run that went well. The cells tell how the run ended, by which error ([exit
statuses](cli.md#exit-statuses)), and which instrument its message names; how many of the finished images count (the
others are in doubt, and [marked in the run file](run-file.md#images-in-doubt)); and who did not confirm that it is
dark. "unaffected": the run was completed, and every number in it is the one without the fault.

A run never repeats anything by itself: what was sent once has leaked once. No run gives other numbers than without the
fault and says nothing.
"""
#: Appended to the section of a fault.
NOTES = {
    "STUCK": "Readings of light by amplifier, attenuator and bias controller enter no number. A power meter that is"
    " stuck at the right power is not told from one that is not.",
    "BYTEORDER": "Only digitizers send blocks in a run.",
    "NAN": "Only the power meter is asked for a real number while a run goes on; the bias controller's voltages are"
    " read back when it is switched off.",
    "NOREADING": "As `NAN`.",
    "QUEUEFULL": "Those that are only asked questions while the light is on do not look at their error queue.",
    "BIASDRIFT": "Light that leaks through the modulator is noise to the server: the residual-noise check raises the"
    " alarm, which is how such a run is to end.",
}


@dataclass(frozen=True)
class Told:
    """What a run said: its outcome, every number, and who did not go dark."""

    outcome: Outcome
    numbers: tuple[object, ...]
    lit: tuple[str, ...] | None


class Bench:
    """Files of benches with a fault; ``folder``: where they are written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ideal = text = bench_path("ideal").read_text(encoding="utf-8")
        for old, new in BIAS:
            text = text.replace(old, new, 1)
        self._texts = {False: ideal, True: text}
        self._well: dict[bool, Told] = {}

    def file(self, unit: str, more: str = "") -> Path:
        """With a bias controller where that is the unit."""
        path = self._folder / "fault.bench.toml"
        path.write_text(self._texts[unit == ROLES["bias controller"]] + more, encoding="utf-8")
        return path

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Faults and roles that fit, in the order of the page."""
        lab = Lab(self.file(ROLES["bias controller"]))
        for fault in FAULTS:
            for role, unit in ROLES.items():
                drives = fault != "BIASDRIFT" or unit == ROLES["server's generator"]
                if fault_named(fault).fits(lab.units[unit]) and drives:
                    yield fault, role

    def row(self, fault: str, role: str) -> str:
        """One line of the page."""
        unit = ROLES[role]
        broken = f'\n[[world.faults]]\nunit = "{unit}"\nfault = "{fault}"\nat = "0 s"\n'
        early = follow(self.file(unit, broken))
        late = follow(self.file(unit), (fault, unit))
        cells = [told_of(each, self._reference(unit)) for each in (early, late)]
        return f"| {role} | {' | '.join(cells)} |"

    def _reference(self, unit: str) -> Told:
        bias = unit == ROLES["bias controller"]
        if bias not in self._well:
            self._well[bias] = follow(self.file(unit))
        return self._well[bias]


def follow(bench: Path, strike: tuple[str, str] | None = None) -> Told:
    """One run; ``strike``: fault and unit, after so many images."""
    bus, numbers, dark = EventBus(), list[object](), list[LightOff]()
    library = VisaLibrary(f"{bench.resolve()}@labctl")
    control = library.control()
    assert control is not None
    control.set_stepped_clock(True)  # waits cost no time

    def image(event: ImageFinished) -> None:
        numbers.append((event.scores, event.pooled, event.layers))
        if strike is not None and event.image + 1 == STRUCK:
            control.inject_fault(strike[1], strike[0])

    bus.subscribe(ImageFinished, image)
    bus.subscribe(LayerMeasured, numbers.append)
    bus.subscribe(LightOff, dark.append)
    try:
        outcome = run_experiment(load_experiment("digits", bench=str(bench), images=IMAGES), bus, RunControl(), None)
    finally:
        library.close()
    lit = tuple(state.instrument for state in dark[-1].readback if not state.dark) if dark else None
    return Told(outcome, tuple(numbers), lit)


def told_of(told: Told, well: Told) -> str:
    """A cell."""
    finished, error = told.outcome.finished, told.outcome.error
    if error is None:
        if finished.verdict == "alarm":
            return f"alarm; {finished.images} images count"
        return "unaffected" if told.numbers == well.numbers else SILENT
    if told.lit is None:
        return f"{finished.status} before any light: {_named(error)}"
    counted = f"{finished.images} of {finished.images + finished.doubtful} images count"
    lit = f"; {', '.join(told.lit)} not confirmed dark" if told.lit else ""
    return f"{finished.status}: {_named(error)}; {counted}{lit}"


def _named(error: LabctlError) -> str:
    """Class, and the instrument that the message begins with."""
    name = str(error).partition(":")[0]
    return f"{type(error).__name__}, {name}"


def page(rows: dict[str, list[str]]) -> str:
    """``rows``: by fault."""
    parts = [HEAD]
    for fault, lines in rows.items():
        about = " ".join((FAULTS[fault].__doc__ or "").split())
        parts.append(f"\n## {fault}\n\n{about}\n")
        parts.append(
            "\n| role | from the beginning | after the tenth image |\n|---|---|---|\n" + "\n".join(lines) + "\n"
        )
        if fault in NOTES:
            parts.append(f"\n{NOTES[fault]}\n")
    return "".join(parts)


def main() -> int:
    """Write the page, or compare with it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--out", type=Path, default=PAGE)
    arguments = parser.parse_args()
    rows: dict[str, list[str]] = {fault: [] for fault in FAULTS}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for fault, role in bench.pairs():
            rows[fault].append(bench.row(fault, role))
    text = page(rows)
    silent = text.count(SILENT)
    found = {"rows": sum(map(len, rows.values())), "runs": 2 * sum(map(len, rows.values())), "silent": silent}
    if arguments.check:
        there = set(arguments.out.read_text(encoding="utf-8").splitlines())
        found["changed"] = len(set(text.splitlines()) - there)
    else:
        arguments.out.write_text(text, encoding="utf-8")
    passed = not silent and not found.get("changed", 0)
    sys.stdout.write(json.dumps({"passed": passed, **found}) + "\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
