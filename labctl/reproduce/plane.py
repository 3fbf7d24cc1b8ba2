"""Accuracy over the plane of what leaks of the weights and of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from labctl.protocol.design import Budget, RowShape, optimise
from labctl.reproduce.result import COLOURS, Comparison, Result
from labctl.reproduce.study import Accuracy, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE: Final = 2
#: Points along each axis.
FULL, QUICK = 7, 4
#: Corners of the plane as working points (G, μ); more gain than the last measures worse and leaks more.
LEAST, MOST = (1.12, 0.25), (3.4142, 16.0)
#: The paper's headline limits: bits per mode, and bits by the v1 bound; and its accuracy within them.
WEIGHTS_LIMIT, DATA_LIMIT, HEADLINE = 0.1, 0.01, 0.96

Double = NDArray[np.float64]


def make(study: Study) -> Result:
    """Every point of the grid is a pair of leakages; gain and photons that spend just that follow from it."""
    count = QUICK if study.quick else FULL
    least, most = study.leakage(*LEAST), study.leakage(*MOST)
    weights = np.geomspace(least.weights_bits_per_mode, most.weights_bits_per_mode, count)
    data = np.geomspace(least.data_bits_v1, most.data_bits_v1, count)
    grid = [
        [_accuracy(study, i * count + j, w_bits, x_bits) for j, w_bits in enumerate(weights)]
        for i, x_bits in enumerate(data)
    ]
    rows = [
        (w_bits, x_bits, each.gain, each.mean_photons, each.value, each.low, each.high, each.correct, each.images)
        for x_bits, line in zip(data, grid, strict=True)
        for w_bits, each in zip(weights, line, strict=True)
    ]
    columns = (
        "weights_bits_per_mode",
        "data_bits_v1",
        "gain",
        "mean_photons",
        "accuracy",
        "accuracy_low",
        "accuracy_high",
        "correct",
        "images",
    )

    def draw(figure: Figure) -> None:
        _draw(figure, study, weights, data, grid)

    return Result(columns, list(rows), [_compare(study)], draw)


def _accuracy(study: Study, index: int, weights_bits: float, data_bits: float) -> Accuracy:
    gain = _solve(lambda gain: study.leakage(gain, 1.0).data_bits_v1 - data_bits, LEAST[0] / 1.01, MOST[0] * 1.01)
    photons = _solve(
        lambda log_photons: study.leakage(gain, np.exp(log_photons)).weights_bits_per_mode - weights_bits, -15.0, 10.0
    )
    return study.accuracy((FIGURE, index), gain, float(np.exp(photons)))


def _solve(equation: object, low: float, high: float) -> float:
    from scipy.optimize import brentq

    return float(brentq(equation, low, high, xtol=1e-10))


def _compare(study: Study) -> Comparison:
    """The best working point within the paper's limits, whatever the grid."""
    what = f"best accuracy at I_w < {WEIGHTS_LIMIT:g}, I_x < {DATA_LIMIT:g}"
    if not study.is_mnist:
        return Comparison(what, "published for MNIST only", "not to be compared: rows are too short", None)
    shapes = [RowShape(modes, rows) for rows, modes in study.shapes()]
    point = optimise(shapes, Budget(WEIGHTS_LIMIT, DATA_LIMIT))
    found = study.accuracy((FIGURE, 1000), point.gain, point.mean_photons)
    told = (
        f"{found.value:.2%} ({found.low:.2%} to {found.high:.2%}) at G = {point.gain:.3g}, μ = {point.mean_photons:.3g}"
    )
    return Comparison(what, "published: above 96 %", told, found.high >= HEADLINE)


def _draw(figure: Figure, study: Study, weights: Double, data: Double, grid: list[list[Accuracy]]) -> None:
    axes = figure.subplots()
    values = np.array([[100 * each.value for each in line] for line in grid])
    mesh = axes.pcolormesh(_edges(weights), _edges(data), values, cmap="cividis", shading="flat")
    middle = (values.min() + values.max()) / 2
    for i, x_bits in enumerate(data):
        for j, w_bits in enumerate(weights):
            shade = "black" if values[i, j] > middle else "white"
            axes.text(w_bits, x_bits, f"{values[i, j]:.1f}", ha="center", va="center", fontsize=7, color=shade)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.grid(False)
    if study.is_mnist:
        axes.contour(weights, data, values, levels=[100 * HEADLINE], colors=[COLOURS[2]], linestyles="--")
        axes.plot([], [], color=COLOURS[2], linestyle="--", label=f"{HEADLINE:.0%} accuracy")
    low_x, low_y = _edges(weights)[0], _edges(data)[0]
    if low_x < WEIGHTS_LIMIT < _edges(weights)[-1] and low_y < DATA_LIMIT < _edges(data)[-1]:
        corner = [low_x, WEIGHTS_LIMIT, WEIGHTS_LIMIT], [DATA_LIMIT, DATA_LIMIT, low_y]
        axes.plot(*corner, color=COLOURS[1], linewidth=2, label="the paper's limits")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(0.0, -0.12), ncols=2, frameon=False)
    figure.colorbar(mesh, ax=axes, label="accuracy (%)")
    axes.set_xlabel("weights leak, I_w (bits per mode)")
    axes.set_ylabel("data leak, I_x (bits per symbol, v1 bound)")
    axes.set_title(f"{study.title} a point, T = 1")


def _edges(centres: Double) -> Double:
    """Of cells around values that are evenly spaced in the logarithm."""
    half = np.sqrt(centres[1] / centres[0])
    return np.append(centres / half, centres[-1] * half)
