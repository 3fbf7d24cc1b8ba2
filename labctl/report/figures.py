"""The figures of a report, as PNG. No text of a run file gets into them: it could be meant as a formula."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.record.reader import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 130
SIZE_INCHES = (6.4, 3.6)
#: Points of a line; of more images they are taken evenly.
MOST_POINTS = 4000
COLOURS = ("#1f5f99", "#b5442e", "#5c7f3b", "#7a5aa6")


def figures(run: Run) -> list[tuple[str, bytes]]:
    """Captions and PNG files; those that the run has no numbers for are left out."""
    found: list[tuple[str, bytes]] = []
    if len(run.images["index"]):
        found += [
            ("Accuracy so far, with its confidence interval.", _drawn(run, _accuracy)),
            ("Excess noise per mode so far, what an honest client causes, and where the alarm goes off.",
             _drawn(run, _excess)),
            ("Statistic of the sequential test, and the boundary at which the alarm goes off.", _drawn(run, _test)),
            ("Excess noise of single images, layer by layer (dots), and its running mean.", _drawn(run, _layers)),
            ("Images by true class and class inferred.", _drawn(run, _classes)),
        ]  # fmt: skip
    if run.recovered is not None and run.recovered.ndim == 3 and len(run.recovered):
        found.append(("What a curious server recovered of the first images.", _drawn(run, _pictures)))
    return found


def _drawn(run: Run, draw: Callable[[Figure, Run], None]) -> bytes:
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(
        {"font.size": 9, "axes.titlesize": 9, "axes.grid": True, "grid.alpha": 0.25, "axes.axisbelow": True}
    ):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure, run)
        stream = io.BytesIO()
        figure.savefig(stream, dpi=DPI, format="png", metadata={"Software": None})
    return stream.getvalue()


def _places(run: Run) -> NDArray[np.int64]:
    """Rows that are drawn."""
    count = len(run.images["index"])
    return np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(np.int64))


def _band(axes: Axes, run: Run, name: str, scale: float = 1.0) -> None:
    """A column with its interval, against the number of images."""
    at = _places(run)
    middle, low, high = (scale * run.images[f"{name}{end}"][at] for end in ("", "_low", "_high"))
    axes.fill_between(at + 1, low, high, color=COLOURS[0], alpha=0.2, linewidth=0, label="interval")
    axes.plot(at + 1, middle, color=COLOURS[0], label="measured", marker="." if len(at) == 1 else "")
    axes.set_xlabel("images")
    axes.set_xlim(1, max(2, at[-1] + 1))


def _accuracy(figure: Figure, run: Run) -> None:
    axes = figure.subplots()
    _band(axes, run, "accuracy", 100)
    if np.isfinite(run.started.clean_accuracy):
        axes.axhline(100 * run.started.clean_accuracy, color=COLOURS[2], linestyle="--", label="without noise")
    at = _places(run)
    settled = at[len(at) // 20 :]
    _look_at(axes, 100 * np.concatenate([run.images[f"accuracy_{end}"][settled] for end in ("low", "high")]))
    axes.set_ylabel("accuracy (%)")
    axes.legend(frameon=False)


def _excess(figure: Figure, run: Run) -> None:
    axes = figure.subplots()
    _band(axes, run, "excess")
    at = _places(run)
    axes.plot(at + 1, run.images["expected"][at], color=COLOURS[2], linestyle="--", label="honest client")
    axes.plot(at + 1, run.images["threshold"][at], color=COLOURS[1], label="alarm")
    settled = at[len(at) // 20 :]
    shown = np.concatenate([run.images[name][settled] for name in ("excess_low", "excess_high", "threshold")])
    _look_at(axes, shown)
    axes.set_ylabel("excess noise ε (SNU)")
    axes.legend(frameon=False)


def _test(figure: Figure, run: Run) -> None:
    axes, at = figure.subplots(), _places(run)
    axes.plot(at + 1, run.images["statistic"][at], color=COLOURS[0], label="statistic")
    axes.plot(at + 1, run.images["boundary"][at], color=COLOURS[1], label="boundary")
    axes.set_xlabel("images")
    axes.set_ylabel("statistic")
    axes.legend(frameon=False)


def _layers(figure: Figure, run: Run) -> None:
    every = figure.subplots(1, len(run.layers), squeeze=False, sharex=True)[0]
    for number, (axes, table) in enumerate(zip(every, run.layers, strict=True)):
        values = table["excess"]
        colour = COLOURS[number % len(COLOURS)]
        if len(values):
            at = np.unique(np.linspace(0, len(values) - 1, min(len(values), MOST_POINTS)).round().astype(np.int64))
            axes.plot(at + 1, values[at], ".", color=colour, alpha=0.35, markersize=3)
            axes.plot(at + 1, (np.cumsum(values) / np.arange(1, len(values) + 1))[at], color="black", linewidth=1)
        axes.set_title(f"layer {number}")
        axes.set_xlabel("images")
    every[0].set_ylabel("excess noise (SNU)")


def _classes(figure: Figure, run: Run) -> None:
    classes = run.started.classes
    counts = np.zeros((classes, classes), np.int64)
    label, found = (np.clip(run.images[name], 0, classes - 1) for name in ("label", "prediction"))
    np.add.at(counts, (label, found), 1)
    axes = figure.subplots()
    mesh = axes.imshow(counts, cmap="Blues", origin="lower")
    if classes <= 12:
        axes.set_xticks(range(classes))
        axes.set_yticks(range(classes))
        for (row, column), count in np.ndenumerate(counts):
            shade = "white" if count > counts.max() / 2 else "black"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=7, color=shade)
    axes.grid(False)
    axes.set_xlabel("class inferred")
    axes.set_ylabel("true class")
    figure.colorbar(mesh, ax=axes, label="images")


def _pictures(figure: Figure, run: Run) -> None:
    pictures: NDArray[Any] = run.recovered if run.recovered is not None else np.empty((0, 1, 1))
    shown = pictures[:16]
    for axes, picture in zip(figure.subplots(2, 8, squeeze=False).flat, shown, strict=False):
        axes.imshow(picture, cmap="gray")
    for axes in figure.axes:
        axes.set_axis_off()


def _look_at(axes: Axes, values: NDArray[Any]) -> None:
    """The range in which these are, with a margin; the first images' wide intervals go out of it."""
    finite = values[np.isfinite(values)]
    if len(finite):
        low, high = float(finite.min()), float(finite.max())
        margin = 0.08 * (high - low) or 1e-3
        axes.set_ylim(low - margin, high + margin)
