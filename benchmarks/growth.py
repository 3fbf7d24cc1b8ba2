"""How cost and memory grow with what a run is made of: one curve per quantity, with its exponent.

    python benchmarks/growth.py [--short] [--repeats 5] [--images 2000] [--run mnist] [--data DIR] [--out FOLDER]

width               one layer of so many rows and inputs, every mode drawn (noise from the table)
modes               256 rows of so many modes, likewise
depth               so many layers of 256 rows and inputs, likewise
samples_per_symbol  100,000 symbols of the waveform mode simulated, received and estimated, by samples a symbol
instruments         an image of the digits, everything on, with so many instruments on the bench, the added ones power
                    meters that an interlock reads before each image; and the same run's way to the first image
images              the whole run so far, everything on, by how many images are done; and resident memory, of this
                    process and of those that it started

Costs are processor time of this thread, medians; contestants of a curve take turns. The law of a curve is a power whose
exponent is fitted to its upper half (logarithms, least squares); ``leaves_law_below`` is the largest value under which
the law is off by more than a quarter, None where it holds throughout; ``last_slope`` is what the last two points say,
and ``one_more_ms`` the slope of a straight line.
Prints one JSON object; ``scripts/performance_page.py`` draws it.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
import waveform
from keeping import RESULTS, keep, made_by
from stages import own_bench
from throughput import Kernel

from labctl.dsp.pulses import root_raised_cosine
from labctl.engine import RunControl
from labctl.events import EventBus, ImageFinished, StateChanged
from labctl.experiment import Experiment, load_experiment
from labctl.models import Network
from labctl.session import run_experiment
from labctl.shipped import bench_path
from sim_backends.world import World

#: How far a law may be off.
OFF = 1.25
SYMBOLS = 100_000
VALUES: dict[str, tuple[int, ...]] = {
    "width": (64, 128, 256, 512, 1024, 2048, 4096),
    "modes": (16, 32, 64, 128, 256, 512, 1024, 2048),
    "depth": (1, 2, 4, 8, 16, 32),
    "samples_per_symbol": (2, 4, 8, 16, 32),
    "instruments": (10, 12, 16, 24, 42),
}
SHORT: dict[str, tuple[int, ...]] = {
    "width": (16, 32, 64),
    "modes": (8, 16, 32),
    "depth": (1, 2, 4),
    "samples_per_symbol": (2, 4, 8),
    "instruments": (10, 12, 14),
}


def law(values: list[float], costs: list[float]) -> dict[str, Any]:
    """A power through the upper half of a curve, and where it does not hold."""
    half = len(values) // 2 if len(values) > 3 else 0
    x, y = np.log(values), np.log(costs)
    exponent, constant = np.polyfit(x[half:], y[half:], 1)
    off = np.flatnonzero(np.abs(y - (exponent * x + constant))[:-1] > np.log(OFF))
    return {
        "exponent": round(float(exponent), 3),
        "constant": float(np.exp(constant)),
        "last_slope": round(float((y[-1] - y[-2]) / (x[-1] - x[-2])), 3),
        "leaves_law_below": values[int(off[-1]) + 1] if off.size else None,
    }


def in_turn(works: Mapping[int, Callable[[], object]], repeats: int) -> dict[int, float]:
    """Median milliseconds of this thread's processor time for each; the first call does not count."""
    spent: dict[int, list[float]] = {value: [] for value in works}
    for work in works.values():
        work()
    for _ in range(repeats):
        for value, work in works.items():
            start = time.thread_time()
            work()
            spent[value].append(1e3 * (time.thread_time() - start))
    return {value: statistics.median(each) for value, each in spent.items()}


def layers(experiment: Experiment, *shapes: tuple[int, int]) -> Callable[[], object]:
    """One image through layers of such weights, every mode drawn."""
    generator = np.random.default_rng(1)
    weights = tuple(generator.standard_normal(shape, dtype=np.float32) for shape in shapes)
    grown = SimpleNamespace(run=experiment.run, bench=experiment.bench, network=Network("grown", weights))
    kernel, image = Kernel(grown, guards=False, noise="table"), generator.random(shapes[0][1], dtype=np.float32)
    return lambda: kernel.infer(image)


def symbols(samples: int, count: int) -> Callable[[], object]:
    """The waveform mode on an ideal bench with so many samples a symbol."""
    pulse = root_raised_cosine(samples, 0.4)
    waveform.PULSE = pulse
    one = waveform.Pass(
        dataclasses.replace(waveform.IDEAL, sample_rate_hz=samples * 125e6), count, np.random.default_rng(1)
    )

    def work() -> None:
        waveform.PULSE = pulse
        one()

    return work


def more_instruments(folder: Path, added: int) -> str:
    """The ideal bench with so many power meters more, each read before each image."""
    text = bench_path("ideal").read_text(encoding="utf-8")
    boxes, watches, units = "", "", "[world.units]\n"
    for index in range(added):
        boxes += (
            f'[instruments.meter_{index}]\ndriver = "drivers.thorlabs_pm100d:PM100D"\n'
            f'resource = "USB0::0x1313::0x8078::P1{index:06d}::INSTR"\n\n'
        )
        watches += f'[[interlocks]]\ninstrument = "meter_{index}"\nreading = "power_w"\nmax = "1 W"\n\n'
        units += f'meter_{index} = {{ model = "thorlabs_pm100d" }}\n'
    text = text.replace("[laser]\n", boxes + watches + "[laser]\n").replace("[world.units]\n", units)
    path = folder / f"{added}.bench.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@dataclasses.dataclass
class Marks:
    """Processor time of this thread and resident memory at some of a run's images, and when the first began."""

    at: tuple[int, ...]
    begun_s: float = 0.0
    spent_s: dict[int, float] = dataclasses.field(default_factory=dict)
    resident_mib: dict[int, float] = dataclasses.field(default_factory=dict)

    def run(self, experiment: Experiment, folder: Path) -> None:
        """Everything on, drivers to file."""
        bus = EventBus()
        bus.subscribe(StateChanged, self._state)
        bus.subscribe(ImageFinished, self._image)
        start_s = time.thread_time()
        outcome = run_experiment(experiment, bus, RunControl(), folder)
        if outcome.error is not None:
            raise outcome.error
        self.begun_s -= start_s

    def _state(self, event: StateChanged) -> None:
        if event.state == "running":
            self.begun_s = self._began_s = time.thread_time()

    def _image(self, event: ImageFinished) -> None:
        if event.image + 1 in self.at:
            self.spent_s[event.image + 1] = time.thread_time() - self._began_s
            self.resident_mib[event.image + 1] = family_mib()


def family_mib() -> float:
    """Of this process and of all that descend from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
            continue
    family, more = set(), {os.getpid()}
    while more:
        family |= more
        more = {pid for pid, parent in parents.items() if parent in family} - family
    pages = 0
    for pid in family:
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def by_instruments(values: tuple[int, ...], images: int, repeats: int) -> dict[str, dict[int, float]]:
    """Milliseconds of an image, and of the way to the first."""
    spent: dict[str, dict[int, list[float]]] = {key: {n: [] for n in values} for key in ("image", "start")}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(repeats + 1):
            for instruments in values:
                bench = more_instruments(Path(folder), instruments - values[0])
                marks = Marks((2, images))
                marks.run(load_experiment("digits", bench=bench, images=images), Path(folder))
                if turn:  # the first imports and fills caches
                    took = marks.spent_s[images] - marks.spent_s[2]
                    spent["image"][instruments].append(1e3 * took / (images - 2))
                    spent["start"][instruments].append(1e3 * marks.begun_s)
    return {key: {n: statistics.median(each) for n, each in of.items()} for key, of in spent.items()}


def by_images(chosen: argparse.Namespace) -> dict[str, Any]:
    """One long run; the first tenth warms up where memory's slope is concerned."""
    at = tuple(sorted({max(round(chosen.images * share), 1) for share in (0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1)}))
    marks = Marks(at)
    with tempfile.TemporaryDirectory() as folder:
        bench = str(own_bench(Path(folder), "table"))
        marks.run(load_experiment(chosen.run, bench=bench, data=chosen.data, images=chosen.images), Path(folder))
    settled = [(done, mib) for done, mib in marks.resident_mib.items() if done >= chosen.images / 10]
    slope = float(np.polyfit(*zip(*settled, strict=True), 1)[0])
    last = marks.resident_mib[at[-1]]
    return {
        **curve({done: 1e3 * spent for done, spent in marks.spent_s.items()}),
        "run": chosen.run,
        "memory": {
            "resident_mib": {str(done): round(mib, 1) for done, mib in marks.resident_mib.items()},
            "mib_per_1000_images": round(1e3 * slope, 3),
            "at_10000_images_mib": round(last + max(slope, 0) * max(10_000 - at[-1], 0), 1),
            "limit_mib": 1024,
        },
    }


def curve(costs: Mapping[int, float]) -> dict[str, Any]:
    """Values, their costs, and the law."""
    values, spent = list(costs), list(costs.values())
    return {
        "values": values,
        "ms": [round(each, 4) for each in spent],
        **law([float(v) for v in values], spent),
        "one_more_ms": round(float(np.polyfit(values, spent, 1)[0]), 6),
    }


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """All curves."""
    World.threads = 1
    images = by_images(chosen)  # first: what the others leave in memory would count
    values, repeats = (SHORT if chosen.short else VALUES), chosen.repeats
    digits = load_experiment("digits", images=1)
    count = SYMBOLS // 20 if chosen.short else SYMBOLS
    works: dict[str, dict[int, Callable[[], object]]] = {
        "width": {n: layers(digits, (n, n)) for n in values["width"]},
        "modes": {n: layers(digits, (256, 2 * n)) for n in values["modes"]},
        "depth": {n: layers(digits, *[(256, 256)] * n) for n in values["depth"]},
        "samples_per_symbol": {n: symbols(n, count) for n in values["samples_per_symbol"]},
    }
    curves = {name: curve(in_turn(each, repeats)) for name, each in works.items()}
    del works
    of_instruments = by_instruments(values["instruments"], 4 if chosen.short else 40, repeats)
    curves["instruments"] = curve(of_instruments["image"])
    curves["instruments_start"] = curve(of_instruments["start"])
    return {**curves, "images": images}


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="few and small")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--run", default="mnist")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    result = {
        **made_by("growth"),
        "repeats": chosen.repeats,
        **measure(chosen),
    }
    keep(result, chosen.out)


if __name__ == "__main__":
    main()
