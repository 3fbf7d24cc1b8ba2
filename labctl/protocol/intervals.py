"""Confidence intervals that every number of a run carries."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

from labctl.errors import ConfigError


class Interval(NamedTuple):
    """Closed two-sided interval, in the unit of the quantity it belongs to."""

    low: float
    high: float


@lru_cache(maxsize=64)
def normal_quantile(confidence: float) -> float:
    """Half width, in standard errors, of a two-sided normal interval (1.96 for 0.95).

    Raises ConfigError unless 0 < ``confidence`` < 1.
    """
    check_confidence(confidence)
    return NormalDist().inv_cdf((1 + confidence) / 2)


def normal_interval(value: float, standard_error: float, confidence: float) -> Interval:
    """Two-sided normal interval around an unbiased estimate. Raises ConfigError as above."""
    half = normal_quantile(confidence) * standard_error
    return Interval(value - half, value + half)


def clopper_pearson(successes: int, trials: int, confidence: float) -> Interval:
    """Two-sided interval of a proportion whose coverage is at least ``confidence`` for any true
    value.

    Each limit leaves (1 - confidence)/2 of the binomial distribution outside (Clopper and Pearson,
    Biometrika 26, 404, 1934). Without any trial nothing is known: (0, 1).

    Raises
    ------
    ConfigError
        Counts that are no counts, or a confidence outside (0, 1).
    """
    check_confidence(confidence)
    if not 0 <= successes <= trials:
        raise ConfigError(
            f"{successes} successes in {trials} trials is not a proportion",
            "Give 0 <= successes <= trials.",
        )
    from scipy.special import betaincinv

    tail, failures = (1 - confidence) / 2, trials - successes
    low = float(betaincinv(successes, failures + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, failures, 1 - tail)) if failures else 1.0
    return Interval(low, high)


@lru_cache(maxsize=256)
def variance_factors(freedom: float, confidence: float) -> Interval:
    """Two-sided interval of a variance, as factors of the sample variance of normal samples: ν/χ².

    ``freedom``: ν. Raises ConfigError for a confidence outside (0, 1) or a ν that is not positive.
    """
    check_confidence(confidence)
    if not (math.isfinite(freedom) and freedom > 0):
        raise ConfigError(f"a sample variance with {freedom} degrees of freedom", "Give a positive number.")
    from scipy.special import gammainccinv, gammaincinv

    tail, half = (1 - confidence) / 2, freedom / 2
    return Interval(half / float(gammainccinv(half, tail)), half / float(gammaincinv(half, tail)))


def check_confidence(confidence: float) -> None:
    """Raise ConfigError unless 0 < ``confidence`` < 1."""
    if not 0 < confidence < 1:
        raise ConfigError(
            f"confidence is {confidence}, not between 0 and 1",
            "Give a confidence such as 0.95.",
        )
