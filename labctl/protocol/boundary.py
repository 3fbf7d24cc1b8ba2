"""The boundary of the sequential test: a one-sided normal mixture with a calibrated level.

Robbins, Ann. Math. Stat. 41, 1397 (1970); Howard, Ramdas, McAuliffe and Sekhon, Ann. Stat. 49, 1055
(2021), eq. 14.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from labctl.errors import ConfigError
from labctl.protocol.crossing import survival

Floats = npt.NDArray[np.float64]

_TOLERANCE = 1e-4
_MAX_ITERATIONS = 40


def mixture_boundary(time: Floats, rho: float, level: float) -> Floats:
    """One-sided normal mixture boundary of a Brownian motion.

    sqrt(2 (V+ρ) log(1 + sqrt((V+ρ)/ρ)/(2a))). ``time``: V. ``rho``: V where it is to be tight,
    roughly. ``level``: a; the continuous motion crosses it with a probability of at most a over an
    infinite horizon.
    """
    total = time + rho
    return np.sqrt(2 * total * np.log1p(np.sqrt(total / rho) / (2 * level)))


def calibrated_level(time: Floats, rho: float, false_alarm_rate: float) -> float:
    """Level a at which the motion crosses the boundary with the wanted probability.

    ``time``: the times of the looks; only at these does a crossing count. Secant steps on the
    normal quantile of the crossing probability as a function of log a, where it is nearly a
    straight line. Raises ConfigError if it does not converge.
    """
    quantile = NormalDist().inv_cdf
    target = quantile(false_alarm_rate)

    def miss(log_level: float) -> float:
        boundary = mixture_boundary(time, rho, math.exp(log_level))
        crossing = survival(time, boundary).crossing
        return quantile(min(max(crossing, 1e-15), 1 - 1e-15)) - target

    before, after = math.log(false_alarm_rate), math.log(2 * false_alarm_rate)
    miss_before, miss_after = miss(before), miss(after)
    for _ in range(_MAX_ITERATIONS):
        if abs(miss_after) < _TOLERANCE / max(1.0, -target):
            return math.exp(after)
        step = -miss_after * (after - before) / (miss_after - miss_before)
        before, miss_before = after, miss_after
        after += min(max(step, -2.0), 2.0)
        miss_after = miss(after)
    raise ConfigError(
        f"no boundary found for a false-alarm rate of {false_alarm_rate}",
        "Choose another rate or number of images.",
    )
