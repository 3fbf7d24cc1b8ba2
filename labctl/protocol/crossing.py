"""When does a Gaussian walk, looked at now and then, cross a boundary for the first time?

The estimates that a sequential test looks at form, times their information (the inverse of their
variance), a Brownian motion sampled at these informations (Jennison and Turnbull, "Group Sequential
Methods", 2000, section 3.1), a calibration error common to all looks included. This module gives
the probability that no look so far exceeded its boundary.

Method: recursion of the sub-density of the walks that have not crossed (Armitage, McPherson and
Rowe 1969), on Gauss-Legendre nodes in standardised units. Looks that add little information are
grouped:

* up to two looks inside a group: the probability that the walk, pinned at the group's ends, is
  below the boundary at each of them. Exact for one; for two the product, which is at most the joint
  probability (errs to crossing).
* more: the continuous crossing probability of the pinned walk, with the boundary moved out by the
  mean overshoot of the discrete walk, 0.5826 standard deviations of one step (Siegmund 1985;
  Broadie, Glasserman and Kou 1997).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_OVERSHOOT: Final = 0.5825971579390107
"""-zeta(1/2)/sqrt(2 pi): mean overshoot of a Gaussian walk over a distant level, in steps."""
_LOWEST: Final = -6.5
_HIGHEST: Final = 8.0
_FINE: Final = 0.02
_COARSE: Final = 0.1
_FINE_UP_TO: Final = 50.0
"""Groups add 2 % of information while it is below 50 times the first look's, 10 % from there on."""
_SMALLEST_STEP: Final = 1e-3
"""A last group that adds less than this fraction is taken to add it (errs to crossing)."""
_EXACT_LOOKS: Final = 2


@dataclass(frozen=True, eq=False)
class Survival:
    """Probability of not having crossed, after some of the looks.

    ``looks``: int, shape (K,), increasing, counted from 1, the last one is the last look of the
    plan. ``probability``: shape (K,), that none of the looks 1..looks[i] exceeded its boundary.
    ``information``: of every look, shape (looks[-1],).
    """

    looks: npt.NDArray[np.int64]
    probability: Floats
    information: Floats

    @property
    def crossing(self) -> float:
        """Probability that any look exceeds its boundary."""
        return 1.0 - float(self.probability[-1])

    def at(self, look: int) -> float:
        """Survival after ``look`` looks (0: none yet), within groups in proportion to information."""
        return float(self.at_all(np.asarray(look)))

    def at_all(self, looks: npt.NDArray[np.integer]) -> Floats:
        """The same after each of these numbers of looks, any shape."""
        ends = np.concatenate(([0], self.looks))
        probability = np.concatenate(([1.0], self.probability))
        information = np.concatenate(([0.0], self.information))
        group = np.searchsorted(self.looks, looks)
        before, after = information[ends[group]], information[ends[group + 1]]
        grows = after > before
        share = np.where(grows, (information[looks] - before) / np.where(grows, after - before, 1.0), 1.0)
        alive: Floats = probability[group] + share * (probability[group + 1] - probability[group])
        return alive


def survival(information: Floats, boundary: Floats) -> Survival:
    """Probability that a Brownian motion B stays at or below a boundary at every look.

    Parameters
    ----------
    information:
        Times of the looks, shape (K,), positive and not decreasing.
    boundary:
        Level of B at each look, shape (K,). A drift of B is stated by subtracting its mean from the
        boundary.

    Returns
    -------
    Survival at the ends of the groups of looks (single looks as long as each adds 2 % or more).

    Raises
    ------
    ValueError
        Shapes differ, or informations are not positive and increasing.
    """
    _check(information, boundary)
    ends = _group_ends(information)
    times = _group_times(information, ends)
    levels = boundary[ends] / np.sqrt(times)
    counts = _node_counts(times, levels)
    nodes, weights = _nodes(levels[0], counts[0])
    mass = weights * np.exp(-0.5 * nodes**2) / math.sqrt(2 * math.pi)
    alive = [float(mass.sum())]
    for group, (begin, end) in enumerate(pairwise(ends), start=1):
        inside = slice(begin + 1, end)
        span = _Span(times[group - 1], times[group], information[inside], boundary[inside])
        new, weights = _nodes(levels[group], counts[group])
        mass = weights * (_kernel(nodes, new, span, levels[group - 1 : group + 1]) @ mass)
        nodes = new
        alive.append(float(mass.sum()))
    return Survival(np.asarray(ends, dtype=np.int64) + 1, np.asarray(alive), information)


def _check(information: Floats, boundary: Floats) -> None:
    if information.ndim != 1 or information.shape != boundary.shape or information.size == 0:
        raise ValueError(f"looks {information.shape} and boundary {boundary.shape} do not fit")
    increasing = information[0] > 0 and np.all(np.diff(information) >= 0)
    if not (increasing and np.all(np.isfinite(information)) and np.all(np.isfinite(boundary))):
        raise ValueError("informations must be positive and increasing, boundaries finite")


def _group_ends(information: Floats) -> list[int]:
    """Indices of the looks that end a group; the first look is always one."""
    ends, last = [0], information.size - 1
    while ends[-1] < last:
        now = information[ends[-1]]
        growth = _FINE if now < _FINE_UP_TO * information[0] else _COARSE
        following = int(np.searchsorted(information, now * (1 + growth)))
        if following > last and len(ends) > 1:
            ends.pop()
        ends.append(min(following, last))
    return ends


def _group_times(information: Floats, ends: list[int]) -> Floats:
    """Times of the groups' ends; the last one moved out if its group is too short to resolve."""
    times = information[ends]
    if times.size > 1:
        times[-1] = max(times[-1], times[-2] * (1 + _SMALLEST_STEP))
    return times


def _node_counts(times: Floats, levels: Floats) -> list[int]:
    """Nodes that resolve the steps before and after each group's end."""
    spread = np.sqrt(1 - times[:-1] / times[1:])
    narrowest = np.minimum(np.append(spread, 1.0), np.append(1.0, spread))
    width = np.minimum(levels, _HIGHEST) - _LOWEST
    counts = np.maximum(96, 32 * np.ceil(1.6 * width / narrowest / 32))
    return [int(count) for count in counts]


def _nodes(top: float, count: int) -> tuple[Floats, Floats]:
    """Gauss-Legendre nodes and weights from far below up to ``top``; none if all has crossed."""
    high = min(top, _HIGHEST)
    if high <= _LOWEST:
        return np.empty(0), np.empty(0)
    unit, weights = _legendre(count)
    half = (high - _LOWEST) / 2
    return _LOWEST + half * (unit + 1), half * weights


@lru_cache(maxsize=64)
def _legendre(count: int) -> tuple[Floats, Floats]:
    unit, weights = np.polynomial.legendre.leggauss(count)
    return unit, weights


@dataclass(frozen=True, eq=False)
class _Span:
    """A group: times of its ends, times and boundary of the looks in between."""

    begin: float
    end: float
    times: Floats
    boundary: Floats

    @property
    def length(self) -> float:
        return self.end - self.begin


def _kernel(nodes: Floats, new: Floats, span: _Span, levels: Floats) -> Floats:
    """Density (new, nodes) of coming, without a crossing in between, from node to new node.

    Nodes and ``levels``, the boundary at both ends, are standardised.
    """
    spread = math.sqrt(1 - span.begin / span.end)
    distance = (new[:, None] - math.sqrt(span.begin / span.end) * nodes[None, :]) / spread
    density: Floats = np.exp(-0.5 * distance**2) / (spread * math.sqrt(2 * math.pi))
    if span.times.size == 0:
        return density
    scale = np.sqrt([span.begin, span.end])
    start, stop = nodes * scale[0], new * scale[1]
    if span.times.size > _EXACT_LOOKS:
        return density * _below_bridge(start, stop, span, levels * scale)
    return density * _below_looks(start, stop, span)


def _below_looks(start: Floats, stop: Floats, span: _Span) -> Floats:
    """Probability, (stop, start), that a walk pinned at both is below the boundary at each look."""
    from scipy.special import ndtr

    below = np.ones((stop.size, start.size))
    for time, level in zip(span.times, span.boundary, strict=True):
        before, after = time - span.begin, span.end - time
        deviation = math.sqrt(before * after / span.length)
        if deviation > 0:
            mean = (stop[:, None] * before + start[None, :] * after) / span.length
            below *= ndtr((level - mean) / deviation)
    return below


def _below_bridge(start: Floats, stop: Floats, span: _Span, levels: Floats) -> Floats:
    """The same for many looks, by the continuous motion and a boundary moved out."""
    steps = np.diff(span.times, prepend=span.begin, append=span.end)
    outward = levels + _OVERSHOOT * float((steps**1.5).sum()) / span.length
    room = (outward[0] - start)[None, :] * (outward[1] - stop)[:, None]
    below: Floats = -np.expm1(-2 * room / span.length)
    return below
