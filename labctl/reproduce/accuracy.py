"""Accuracy against the client's signal to noise F: one curve, whatever gain and photon number make it."""

from __future__ import annotations

from itertools import product
from math import sqrt
from typing import TYPE_CHECKING, Final

import numpy as np

from labctl.reproduce.result import COLOURS, LIMIT_COLOUR, MARKERS, Cell, Comparison, Result
from labctl.reproduce.study import Accuracy, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE: Final = 1
GAINS: Final = (1.3, 2.0, 3.4142)
#: F² in dB.
FULL, QUICK = np.arange(-12.5, 15.1, 2.5), np.arange(-10.0, 10.1, 5.0)
#: The paper's headline, at a working point that keeps its limits (docs/physics.md, section 6).
HEADLINE: Final = 0.96
HEADLINE_POINT: Final = (2.0, 4.0)
#: Standard deviations by which two gains may differ at one F², in the worst of all pairs.
SIGMAS: Final = 4.0

Points = dict[tuple[float, float], Accuracy]


def make(study: Study) -> Result:
    """Simulate every point, and compare."""
    grid = QUICK if study.quick else FULL
    points: Points = {
        (gain, float(snr_db)): study.accuracy((FIGURE, index), gain, study.photons_for(gain, 10 ** (snr_db / 10)))
        for index, (gain, snr_db) in enumerate(product(GAINS, grid))
    }
    headline = study.accuracy((FIGURE, 1000), *HEADLINE_POINT)
    rows: list[tuple[Cell, ...]] = [
        (gain, each.mean_photons, snr_db, each.value, each.low, each.high, each.correct, each.images)
        for (gain, snr_db), each in points.items()
    ]
    rows.append(_headline_row(study, headline))
    columns = ("gain", "mean_photons", "snr_db", "accuracy", "accuracy_low", "accuracy_high", "correct", "images")
    comparisons = [_compare_headline(study, headline), _compare_gains(points)]

    def draw(figure: Figure) -> None:
        _draw(figure, study, points, headline)

    return Result(columns, rows, comparisons, draw)


def _headline_row(study: Study, found: Accuracy) -> tuple[Cell, ...]:
    snr_db = study.snr_db(found.gain, found.mean_photons)
    return (found.gain, found.mean_photons, snr_db, found.value, found.low, found.high, found.correct, found.images)


def _compare_headline(study: Study, found: Accuracy) -> Comparison:
    bits = study.leakage(found.gain, found.mean_photons)
    where = f"G = {found.gain:g}, μ = {found.mean_photons:g}"
    told = f"{found.value:.2%} ({found.low:.2%} to {found.high:.2%})"
    if not study.is_mnist:
        return Comparison(f"accuracy at {where}", "published for MNIST only", told, None)
    leaks = f"I_w = {bits.weights_bits_per_mode:.3g}, I_x = {bits.data_bits_v1:.3g}"
    within_limits = bits.weights_bits_per_mode < 0.1 and bits.data_bits_v1 < 0.01
    return Comparison(
        f"accuracy at {where}: {leaks}", "published: above 96 % at I_w < 0.1, I_x < 0.01", told,
        within_limits and found.high >= HEADLINE,
    )  # fmt: skip


def _compare_gains(points: Points) -> Comparison:
    worst = 0.0
    for (gain, snr_db), one in points.items():
        for other_gain in GAINS:
            if other_gain > gain:
                worst = max(worst, _deviation(one, points[other_gain, snr_db]))
    return Comparison(
        "accuracy at equal F and different gains", "depends on F alone", f"at most {worst:.1f} σ apart", worst < SIGMAS
    )


def _deviation(one: Accuracy, other: Accuracy) -> float:
    share = (one.correct + other.correct) / (one.images + other.images)
    spread = sqrt(share * (1 - share) * (1 / one.images + 1 / other.images))
    return abs(one.value - other.value) / spread if spread > 0 else 0.0


def _draw(figure: Figure, study: Study, points: Points, headline: Accuracy) -> None:
    axes = figure.subplots()
    for gain, colour, marker in zip(GAINS, COLOURS, MARKERS, strict=False):
        mine = [(snr_db, each) for (of, snr_db), each in points.items() if of == gain]
        axes.errorbar(
            [snr_db for snr_db, _ in mine],
            [100 * each.value for _, each in mine],
            yerr=_bars([each for _, each in mine]),
            color=colour,
            marker=marker,
            markersize=4,
            capsize=2,
            linewidth=1,
            label=f"G = {gain:g}",
        )
    snr_db = study.snr_db(headline.gain, headline.mean_photons)
    label = f"G = {headline.gain:g}, μ = {headline.mean_photons:g}: {100 * headline.value:.1f} %"
    axes.plot([snr_db], [100 * headline.value], "*", color=COLOURS[4], markersize=12, zorder=5, label=label)
    clean = 100 * study.experiment.clean_accuracy
    axes.axhline(clean, color=LIMIT_COLOUR, linestyle=":", linewidth=1, label=f"without noise {clean:.1f} %")
    if study.is_mnist:
        axes.axhline(100 * HEADLINE, color=LIMIT_COLOUR, linestyle="--", linewidth=1, label="published: above 96 %")
    axes.set_xlabel("signal to noise of a normalised product, 10 log₁₀ F² (dB)")
    axes.set_ylabel("accuracy (%)")
    axes.set_title(study.title)
    axes.legend(loc="lower right")


def _bars(points: list[Accuracy]) -> list[list[float]]:
    return [
        [100 * (each.value - each.low) for each in points],
        [100 * (each.high - each.value) for each in points],
    ]
