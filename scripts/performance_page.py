"""Writes docs/performance.md and docs/images/growth.png from the newest outputs in benchmarks/results.

    python scripts/performance_page.py [--check] [--results benchmarks/results] [--out docs/performance.md]

``--check`` writes nothing; its exit status is 1 when the page states anything that the stored outputs do not hold.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "images" / "growth.png"
RESULTS = ROOT / "benchmarks" / "results"

HEAD = """# Performance

Made by `scripts/performance_page.py` from the newest outputs in `benchmarks/results`; changes of this page by hand are
lost, and a test fails when it does not state what is stored. `make bench` runs all of it
([what each measures](../benchmarks/README.md)).

Quote the ratios: those who are compared took turns on the same machine, so that its ups and downs cancel. A figure is
the median of the repeats; behind it are the quartiles, or the extremes where only they are kept. "CPU" is the processor
time of the thread or the process that works. It leaves out what others on the machine take, but not that they make the
caches, and with simultaneous threads the core itself, slower.
"""


@dataclass(frozen=True)
class Figure:
    """A row of a table. ``path``: where the number or its spread stands in the output; ``limit``: at least so much, or
    with ``at_most`` at most.
    """

    what: str
    path: tuple[str, ...]
    limit: float | None = None
    at_most: bool = False
    unit: str = ""

    def found(self, output: Mapping[str, Any]) -> Any:
        """None where the output has no such thing: an optional package was not installed."""
        here: Any = output
        for key in self.path:
            if isinstance(here, list):
                here = here[int(key)]
            elif key in here:
                here = here[key]
            else:
                return None
        return here

    def met(self, output: Mapping[str, Any]) -> bool | None:
        """None without a limit, or without a number."""
        value = self.found(output)
        if self.limit is None or value is None:
            return None
        number = median(value)
        return number <= self.limit if self.at_most else number >= self.limit

    def row(self, output: Mapping[str, Any]) -> str:
        """In Markdown."""
        value = self.found(output)
        stated = "not measured" if value is None else written(median(value)) + self.unit
        about = between(value)
        limit = "" if self.limit is None else ("≤ " if self.at_most else "≥ ") + written(self.limit) + self.unit
        verdict = {None: "", True: "yes", False: "**no**"}[self.met(output)]
        return f"| {self.what} | {stated} | {about} | {limit} | {verdict} |"


@dataclass(frozen=True)
class Section:
    """``benchmark``: how the names of its outputs begin; ``meaning``: what its figures tell."""

    benchmark: str
    title: str
    meaning: str
    figures: tuple[Figure, ...]


def median(value: Any) -> float:
    """Of a spread, or of a list of repeats, or the number itself."""
    if isinstance(value, dict):
        return float(value["median"])
    if isinstance(value, list):
        return float(sorted(value)[len(value) // 2])
    return float(value)


def between(value: Any) -> str:
    """What lies about the median."""
    if isinstance(value, list):
        return f"{written(min(value))} to {written(max(value))}"
    if not isinstance(value, dict):
        return ""
    low, high = value["quartiles"] if "quartiles" in value else (value["min"], value["max"])
    return f"{written(low)} to {written(high)}"


def written(number: float) -> str:
    """Three digits at least, thousands set apart."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def ratio(group: str, ours: str, other: str, what: str, limit: float | None = None) -> Figure:
    """Of the kernels' benchmark."""
    return Figure(what, ("ratios", group, f"{ours}_over_{other}"), limit)


SECTIONS = (
    Section(
        "kernels",
        "Kernels",
        "784-784-10 on one core, each way to do the same beside the ways that come to mind first. A sweep's point is"
        " all images of the test set with fresh noise; *explicit* draws every returned quadrature, the client's"
        " correlated sample and the row powers of each image; *sufficient statistics* draws sums with the same"
        " distribution, the products given. `[world] noise` chooses between `normal`, `table` and `compiled`"
        " ([decision 20](decisions/0020-noise-from-a-table.md)).",
        (
            ratio("accuracy", "reused", "plain_loop", "sweep, products kept / plain float32 batches of 64", 6.0),
            ratio("accuracy", "fresh", "plain_loop", "sweep, all anew / plain float32 batches of 64", 1.3),
            ratio("accuracy", "reused", "torch_loop", "sweep, products kept / PyTorch DataLoader", 25.0),
            ratio("accuracy", "fresh", "torch_loop", "sweep, all anew / PyTorch DataLoader", 4.5),
            ratio("explicit", "normal", "naive_complex128", "explicit, `normal` / naive complex128"),
            ratio("explicit", "table", "naive_complex128", "explicit, `table` / naive complex128"),
            ratio("explicit", "compiled", "naive_complex128", "explicit, `compiled` / naive complex128"),
            ratio("explicit", "table", "normal", "explicit, `table` / `normal`"),
            ratio("explicit", "compiled", "normal", "explicit, `compiled` / `normal`"),
            ratio("bare", "table_normals", "standard_normal_float32", "normal numbers, table / numpy's"),
            Figure("explicit, `table`, images/s of CPU", ("images_per_cpu_s", "explicit", "table"), 600),
            Figure("explicit, `compiled`, images/s of CPU", ("images_per_cpu_s", "explicit", "compiled"), 3000),
            Figure("explicit, `table`, two processes, images/s by the wall", ("two_processes", "images_per_s"), 1200),
            Figure("the same by CPU", ("two_processes", "images_per_cpu_s"), 1200),
            Figure("sufficient statistics, images/s", ("images_per_cpu_s", "statistics", "sums_of_images"), 60_000),
            Figure("row by row, images/s", ("images_per_cpu_s", "statistics", "sums_of_rows"), 30_000),
        ),
    ),
    Section(
        "throughput",
        "Full path",
        "The shipped `mnist` run, sequencer, drivers, VISA library, twin, estimates, run file and events on, beside the"
        " explicit kernel that draws the same images with the same method; *with guards*: beside the kernel on rows"
        " padded as the generators need them, which is the work that the full path really has.",
        (
            Figure("full path / kernel", ("full_over_kernel",), 0.75),
            Figure("full path / kernel with guards", ("full_over_kernel_with_guards",), 0.75),
            Figure("full path, images/s by the wall", ("full_images_per_s",)),
            Figure("kernel, images/s by the wall", ("kernel_images_per_s",)),
        ),
    ),
    Section(
        "waveform",
        "Waveform mode",
        "Data symbols per second through simulation, reception and estimate at 4 samples a symbol: for an ideal bench,"
        " and for one with most of what docs/physics.md, section 4a, lists.",
        (
            Figure("ideal, symbols/s of CPU", ("ideal", "symbols_per_cpu_s"), 1e6),
            Figure("imperfect, symbols/s of CPU", ("imperfect", "symbols_per_cpu_s"), 1e6),
            Figure("peak resident memory, MB", ("peak_rss_mb",)),
        ),
    ),
    Section(
        "record",
        "Run file",
        "Crash-safe writing beside raw chunked h5py. At the rates at which images come it costs the run nothing; as"
        " fast as records can be made, its own process is the limit.",
        (Figure("crash-safe / raw, as fast as possible", ("unlimited", "ratio")),),
    ),
    Section(
        "driver-cost",
        "Drivers",
        "A driver beside raw pyvisa that does the same with the same checks on the same simulated instrument.",
        (),
    ),
    Section(
        "serve",
        "Simulated lab over TCP",
        "A run on a bench that another process serves, beside the same in process: two processes, and every byte"
        " through the loopback. *Crowded*: a client's round trip beside 400 connections that say nothing.",
        (
            Figure("images/s over TCP / in process", ("over_tcp_over_in_process",)),
            Figure("round trip, crowded / alone", ("crowded_over_alone",)),
        ),
    ),
    Section(
        "window",
        "Window",
        "A full-speed run in the window beside the same engine read by a counter.",
        (
            Figure("images/s in the window / alone", ("throughput_ratio",), 0.85),
            Figure("gap of a 10 ms timer, 99.9th percentile", ("gap_ms", "p99.9"), 50.0, at_most=True, unit=" ms"),
            Figure("`labctl gui` painted after", ("painted_after_s",), 2.0, at_most=True, unit=" s"),
        ),
    ),
    Section(
        "startup",
        "Start",
        "From the start of the process until the help is printed, and until the first image of the demo is done. Where"
        " others use the machine the wall shows their share too.",
        (
            Figure("`labctl --help`, CPU", ("help", "processor_s"), 0.3, at_most=True, unit=" s"),
            Figure("`labctl --help`, wall", ("help", "wall_s"), 0.3, at_most=True, unit=" s"),
            Figure("first image of `labctl demo`, CPU", ("demo_first_image", "processor_s"), 2.0, True, " s"),
            Figure("first image of `labctl demo`, wall", ("demo_first_image", "wall_s"), 2.0, True, " s"),
        ),
    ),
)


def paragraph(text: str) -> str:
    """In lines of the pages' width."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def newest(benchmark: str, results: Path = RESULTS) -> tuple[str, dict[str, Any]] | None:
    """Name and content of a benchmark's latest output; None where there is none."""
    names = sorted(results.glob(f"{benchmark}-2*.json"))
    return (names[-1].name, json.loads(names[-1].read_text(encoding="utf-8"))) if names else None


def all_figures(section: Section, output: Mapping[str, Any]) -> Iterator[Figure]:
    """Those of the section, and those that an output has as many of as it likes."""
    if section.benchmark == "record":
        for index, rate in enumerate(output["rates"]):
            what = f"crash-safe / raw, {written(rate['offered_per_s'])} records/s offered"
            yield Figure(what, ("rates", str(index), "ratio"), 0.9)
    if section.benchmark == "driver-cost":
        for name, of in output.items():
            if isinstance(of, dict) and "times_raw" in of:
                yield Figure(f"{name}, times raw", (name, "times_raw"), output["most_times_raw"], at_most=True)
            if isinstance(of, dict) and "rate_over_raw" in of:
                yield Figure(f"{name}, rate / raw", (name, "rate_over_raw"), output["least_rate_over_raw"])
    yield from section.figures


def conditions(name: str, output: Mapping[str, Any]) -> str:
    """When, where, with what."""
    told = [str(output["date"])]
    told += [f"{key} {output[key]}" for key in ("labctl", "python", "numpy", "scipy", "pyvisa") if key in output]
    told += [f"{output[key]}" for key in ("machine",) if key in output]
    told += [f"{output['processors']} processors"] if "processors" in output else []
    told += [f"load {output['load']:.2g}"] if "load" in output else []
    return f"`{name}`: {', '.join(told)}."


def section_text(section: Section, results: Path) -> tuple[str, list[str]]:
    """A section in Markdown, and what in it falls short."""
    text, stored = f"\n## {section.title}\n\n{paragraph(section.meaning)}\n\n", newest(section.benchmark, results)
    if stored is None:
        return text + "No output is stored yet.\n", [f"{section.title}: no output is stored"]
    name, output = stored
    figures = list(all_figures(section, output))
    text += "| | median | between | demanded | met |\n|---|---|---|---|---|\n"
    text += "".join(figure.row(output) + "\n" for figure in figures)
    short = [
        f"{figure.what}: {written(median(figure.found(output)))}{figure.unit} instead of"
        f" {written(figure.limit or 0)}{figure.unit}"
        for figure in figures
        if figure.met(output) is False
    ]
    return f"{text}\n{conditions(name, output)}\n", [f"{section.title}: {each}" for each in short]


# --- growth -----------------------------------------------------------------------------------------------------------

#: Curve -> what grows, and what its cost is the cost of.
CURVES = {
    "width": ("rows and inputs of a layer", "an image, every mode drawn"),
    "modes": ("modes of a row, 256 rows", "an image, every mode drawn"),
    "depth": ("layers, 256 wide", "an image, every mode drawn"),
    "samples_per_symbol": ("samples per symbol", "100,000 symbols, simulated, received, estimated"),
    "instruments": ("instruments", "an image of the digits, the added ones read before it"),
    "instruments_start": ("instruments", "a run's way to its first image"),
    "images": ("images", "the whole run so far"),
}


def growth_text(results: Path) -> tuple[str, list[str]]:
    """The curves' table and picture, and memory."""
    text, stored = "\n## How cost grows\n\n", newest("growth", results)
    if stored is None:
        return text + "No output is stored yet.\n", ["How cost grows: no output is stored"]
    name, output = stored
    text += (
        paragraph(
            "CPU time, medians. The exponent is that of a power through the upper half of each curve: 1 is linear, and"
            " a layer's work grows with the square of its width. Below *law from* the cost leaves that law by more than"
            " a quarter, because what is done once does not grow; the last slope is the exponent between the last two"
            " points, where caches no longer hold the work. Ten instruments are there anyway; what each more costs is"
            " the slope of a straight line."
        )
        + "\n\n![Cost over what grows, with the fitted powers](images/growth.png)\n\n"
        "| what grows | from, to | cost of | ms | exponent | last slope | law from | ms for one more |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    for key, (what, cost) in CURVES.items():
        curve = output[key]
        ends, ms, begins = curve["values"], curve["ms"], curve["leaves_law_below"]
        text += (
            f"| {what} | {ends[0]:,} to {ends[-1]:,} | {cost} | {written(ms[0])} to {written(ms[-1])} |"
            f" {curve['exponent']:.2f} | {curve['last_slope']:.2f} | {'' if begins is None else written(begins)} |"
            f" {curve['one_more_ms']:.3g} |\n"
        )
    memory = output["images"]["memory"]
    resident = [f"{written(mib)} after {int(images):,}" for images, mib in memory["resident_mib"].items()]
    text += "\n" + paragraph(
        f"Resident memory of the `{output['images']['run']}` run with all its processes, MiB: {', '.join(resident)}"
        f" images; {memory['mib_per_1000_images']:.2g} more with each 1,000 after the first tenth, which makes"
        f" {written(memory['at_10000_images_mib'])} after 10,000 (demanded: at most {written(memory['limit_mib'])})."
    )
    text += f"\n\n{conditions(name, output)}\n"
    fits = memory["at_10000_images_mib"] <= memory["limit_mib"]
    return text, [] if fits else ["Memory: more than demanded"]


def draw(output: Mapping[str, Any], path: Path) -> None:
    """The curves and their laws, logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 4, figsize=(14, 6.5), layout="constrained")
    for panel, (key, (what, cost)) in zip(panels.flat, CURVES.items(), strict=False):
        curve = output[key]
        values, straight = curve["values"], key.startswith("instruments")
        panel.plot(values, curve["ms"], "o-", markersize=4, label="measured")
        if straight:
            line = [
                sum(curve["ms"]) / len(values) + curve["one_more_ms"] * (v - sum(values) / len(values)) for v in values
            ]
            panel.plot(values, line, "--", color="grey", label=f"{curve['one_more_ms']:.2g} ms for one more")
            panel.set_ylim(0, None)
        else:
            fitted = [curve["constant"] * value ** curve["exponent"] for value in values]
            panel.plot(values, fitted, "--", color="grey", label=f"exponent {curve['exponent']:.2f}")
            panel.set(xscale="log", yscale="log")
        panel.set_xticks(values, [str(value) for value in values], rotation=45, fontsize=8)
        panel.set_xticks([], minor=True)
        panel.set(xlabel=what, ylabel="ms of CPU")
        panel.set_title(textwrap.fill(cost, 34), fontsize=8)
        panel.legend(fontsize=8)
    memory = output["images"]["memory"]["resident_mib"]
    last = panels.flat[-1]
    last.plot([int(images) for images in memory], list(memory.values()), "o-", markersize=4)
    last.set(xlabel="images", ylabel="resident MiB", ylim=(0, 1.2 * max(memory.values())))
    last.set_title("the whole run's processes", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def page(results: Path = RESULTS) -> str:
    """The whole page."""
    texts, short = [], []
    for section in SECTIONS:
        text, lacking = section_text(section, results)
        texts.append(text)
        short += lacking
    text, lacking = growth_text(results)
    texts.append(text)
    short += lacking
    summary = "".join(f"- {each}\n" for each in short) or "Nothing of what is demanded.\n"
    return f"{HEAD}\n## What falls short\n\n{summary}{''.join(texts)}"


def main() -> int:
    """Write the page and its picture, or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=PAGE)
    chosen = parser.parse_args()
    text = page(chosen.results)
    if chosen.check:
        same = chosen.out.read_text(encoding="utf-8") == text
        sys.stdout.write("as stored\n" if same else f"{chosen.out} does not state what is stored; make it again\n")
        return 0 if same else 1
    chosen.out.write_text(text, encoding="utf-8")
    grown = newest("growth", chosen.results)
    if grown is not None:
        draw(grown[1], PICTURE if chosen.out == PAGE else chosen.out.with_name("growth.png"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
