"""Errors from the scatter of blocks: the delete-one jackknife, and fits of a few parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.calibration.result import Double, Quantity
from labctl.errors import CalibrationError

Moments = dict[str, NDArray[np.complex128] | NDArray[np.float64]]
#: Blocks that a record is cut into: enough for a t of nearly 2, few enough to be long.
BLOCKS = 20


@dataclass(frozen=True, eq=False)
class Estimate:
    """Parameters, shape (K,), with their covariance (K, K) from ``degrees`` + 1 blocks."""

    values: Double
    covariance: Double
    degrees: float

    def errors(self) -> Double:
        """Standard errors, shape (K,)."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))

    def quantity(self, index: int, name: str, unit: str = "", known: float = 0.0) -> Quantity:
        """``known``: a standard error beside the blocks', of what was taken from elsewhere."""
        error = float(self.errors()[index])
        return Quantity(name, float(self.values[index]), math.hypot(error, known), unit, self.degrees)


def jackknife(blocks: Moments, estimator: Callable[[Moments], Double]) -> Estimate:
    """Parameters from block moments, each array of shape (blocks, ...), alike in their first axis.

    ``estimator`` takes the mean moments. The covariance is that of leaving one block out at a time, so what fluctuates
    from block to block is counted, and what is common to all of them is not.
    """
    count = len(next(iter(blocks.values())))
    total = {name: values.sum(axis=0) for name, values in blocks.items()}
    whole = np.asarray(estimator({name: each / count for name, each in total.items()}), np.float64)
    left = np.array(
        [
            estimator({name: (total[name] - values[index]) / (count - 1) for name, values in blocks.items()})
            for index in range(count)
        ]
    )
    spread = left - left.mean(axis=0)
    return Estimate(whole, (count - 1) / count * spread.T @ spread, count - 1)


def cut(samples: NDArray[np.float64] | NDArray[np.complex128], blocks: int = BLOCKS) -> NDArray[np.float64]:
    """The first axis as (blocks, length), what is left over put aside."""
    length = len(samples) // blocks
    return np.asarray(samples[: blocks * length].reshape(blocks, length, *samples.shape[1:]))


def block_variances(samples: Double, blocks: int = BLOCKS) -> Double:
    """Variance about the whole record's mean in each block, shape (blocks,)."""
    centred = cut(samples - samples.mean(), blocks)
    return np.asarray((centred**2).mean(axis=1))


def mean_of(name: str, blocks: Double, unit: str = "") -> Quantity:
    """Mean over blocks with the error of their scatter."""
    count = len(blocks)
    return Quantity(name, float(blocks.mean()), float(blocks.std(ddof=1)) / math.sqrt(count), unit, count - 1)


def solve(residuals: Callable[[Double], Double], start: Double, what: str) -> Double:
    """Least squares from ``start``. Raises CalibrationError where no solution is found."""
    from scipy.optimize import least_squares

    failure = CalibrationError(f"{what}: no curve fits the points", "Look at what the receivers see.")
    try:
        found = least_squares(residuals, start, x_scale="jac", xtol=1e-13, ftol=1e-13, gtol=1e-13, max_nfev=400)
    except ValueError as error:  # residuals that are not finite
        raise failure from error
    if not (found.success and np.isfinite(found.x).all()):
        raise failure
    return np.asarray(found.x)
