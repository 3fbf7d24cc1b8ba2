"""Many standard normal numbers, exact or as good as exact, at different speeds.

* ``normal``: numpy's, one by one. The oracle, and the default.
* ``table``: 16 random bits choose one of 65,536 equally likely cells, into which all of the distribution but its tails
  is cut, and the number is the cell's mean. One number in 1024, at random, is instead drawn from the tails beyond 3.3
  standard deviations, without an end. What is missing are the widths of the cells: each moment up to the sixth is right
  to 1e-6 of its value, and the cumulative distribution to one cell's half, 8e-6.
* ``compiled``: whole shots in machine code (``sim_backends.compiled``), which needs numba.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

Method = Literal["normal", "table", "compiled"]
Float = NDArray[np.float32]
Double = NDArray[np.float64]

#: Cells of a table: as many as 16 bits tell apart.
CELLS: Final = 1 << 16
#: Probability of either tail.
TAIL: Final = 2.0**-11
#: Numbers made in one go: their random bits and the table lie in the second-level cache.
BLOCK: Final = 1 << 16


def _edges() -> Double:
    """The cells' limits as probabilities, shape (CELLS + 1,)."""
    return np.asarray(TAIL + (1 - 2 * TAIL) / CELLS * np.arange(CELLS + 1), dtype=np.float64)


@cache
def cell_means() -> Float:
    """Means of the normal distribution's cells, rising, shape (CELLS,).

    The mean between a and b is (φ(a) - φ(b)) / (Φ(b) - Φ(a)).
    """
    from scipy.special import ndtri

    density = np.exp(-(ndtri(_edges()[: CELLS // 2 + 1]) ** 2) / 2) / np.sqrt(2 * np.pi)
    lower = -np.diff(density) * CELLS / (1 - 2 * TAIL)
    return np.concatenate([lower, -lower[::-1]]).astype(np.float32)


@cache
def chi_square_means(freedom: int) -> Float:
    """The same of a chi-square distribution.

    The mean between a and b is k (F'(b) - F'(a)) / (F(b) - F(a)), F' with k + 2 degrees of freedom.
    """
    from scipy.special import gammainc, gammaincinv

    limits = gammaincinv(freedom / 2, _edges())
    means = freedom * np.diff(gammainc(freedom / 2 + 1, limits)) * CELLS / (1 - 2 * TAIL)
    return np.asarray(means, dtype=np.float32)


def fill(generator: np.random.Generator, out: Float, method: Method) -> None:
    """Fill a contiguous array with standard normal numbers, by ``normal`` or ``table``."""
    if method == "normal":
        generator.standard_normal(dtype=np.float32, out=out)
        return
    _fill(generator, out, cell_means(), _normal_tails)


def fill_chi_square(generator: np.random.Generator, out: Float, freedom: int) -> None:
    """Fill a contiguous array with chi-square numbers by the method ``table``."""
    from scipy.special import gammainccinv, gammaincinv

    def tails(share: Double, low: NDArray[np.bool_]) -> Double:
        half = freedom / 2
        return np.asarray(2 * np.where(low, gammaincinv(half, share), gammainccinv(half, share)))

    _fill(generator, out, chi_square_means(freedom), tails)


#: What stands in the tails, by the probability, up to TAIL, of what lies beyond, and whether that is below.
Tails = Callable[[Double, NDArray[np.bool_]], Double]


def _normal_tails(share: Double, low: NDArray[np.bool_]) -> Double:
    numbers = _quantile()(share)
    return np.asarray(np.negative(numbers, out=numbers, where=~low))


@cache
def _quantile() -> np.ufunc:
    """Of the normal distribution; looked up once, since imports cost where they are done a thousand times a second."""
    from scipy.special import ndtri

    return cast(np.ufunc, ndtri)


def _fill(generator: np.random.Generator, out: Float, means: Float, tails: Tails) -> None:
    numbers = out.reshape(-1)
    for start in range(0, len(numbers), BLOCK):
        _look_up(generator, numbers[start : start + BLOCK], means)
    outside, values = _tails(generator, len(numbers), tails)
    numbers[outside] = values


def _look_up(generator: np.random.Generator, out: Float, means: Float) -> None:
    """A cell's mean for each number."""
    words = generator.bit_generator.random_raw(-(-len(out) // 4)).view(np.uint16)[: len(out)]
    means.take(words, out=out, mode="clip")


def _tails(generator: np.random.Generator, count: int, tails: Tails) -> tuple[NDArray[np.int64], Double]:
    """Where numbers of the tails stand among ``count``, and they themselves."""
    outside = _chosen(generator, count)
    uniform = (1 - generator.random(len(outside))) * (2 * TAIL)
    low = uniform <= TAIL
    np.subtract(2 * TAIL + 2.0**-64, uniform, out=uniform, where=~low)
    return outside, tails(uniform, low)


def _chosen(generator: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Places of an array, each with the probability of both tails, independently: gaps are geometric numbers, which are
    exponential ones rounded up.
    """
    probability = 2 * TAIL
    likely = int(count * probability + 6 * math.sqrt(count * probability)) + 8
    places = np.zeros(1, np.int64)
    while places[-1] <= count:
        gaps = np.ceil(generator.standard_exponential(likely) * (-1 / math.log1p(-probability)))
        places = np.concatenate([places, places[-1] + gaps.cumsum().astype(np.int64)])
    return places[1 : places.searchsorted(count, "right")] - 1
