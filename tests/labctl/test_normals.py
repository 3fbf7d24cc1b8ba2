"""The table's normal numbers against the exact distribution, by integrals and by draws.

Each test of draws may fail at another seed with a probability of about 1e-6: 4.9 standard errors, or p < 1e-6.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import chi2, chisquare, kstest, norm

from labctl.normals import BLOCK, CELLS, TAIL, cell_means, chi_square_means, fill, fill_chi_square

SIGMAS, SIGNIFICANCE = 4.9, 1e-6
EDGE = float(-ndtri(TAIL))
MOMENTS = {2: 1.0, 4: 3.0, 6: 15.0}


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def drawn(count: int, seed: int = 1) -> np.ndarray:
    out = np.empty(count, np.float32)
    fill(rng(seed), out, "table")
    return out


def beyond(edge: float, power: int) -> float:
    """∫ z^power φ from ``edge`` to infinity, by parts."""
    density = float(norm.pdf(edge))
    if power == 0:
        return float(ndtr(-edge))
    return edge ** (power - 1) * density + (power - 1) * beyond(edge, power - 2)


@pytest.mark.parametrize("power", MOMENTS)
def test_moments_of_table_and_tails_are_right_to_a_millionth(power: int) -> None:
    inner = cell_means().astype(np.float64)
    found = np.mean(inner**power) * (1 - 2 * TAIL) + 2 * beyond(EDGE, power)
    assert found == pytest.approx(MOMENTS[power], rel=1e-6)
    assert abs(np.sum(inner)) < 1e-9 * CELLS


def test_every_cell_lies_where_it_should() -> None:
    means = cell_means().astype(np.float64)
    edges = ndtri(TAIL + (1 - 2 * TAIL) * np.arange(CELLS + 1) / CELLS)
    assert np.all(means > edges[:-1] - 2e-7)
    assert np.all(means < edges[1:] + 2e-7)
    np.testing.assert_array_equal(means, -means[::-1])


def test_distribution_of_a_million() -> None:
    assert kstest(drawn(1_000_000), "norm").pvalue > SIGNIFICANCE
    counts, _ = np.histogram(drawn(2_000_000, 2), ndtri(np.linspace(0, 1, 501)))
    assert chisquare(counts).pvalue > SIGNIFICANCE


@pytest.mark.parametrize("power", [1, 2, 3, 4, 6])
def test_moments_of_draws(power: int) -> None:
    values = drawn(2_000_000, 3).astype(np.float64) ** power
    error = values.std() / np.sqrt(values.size)
    assert abs(values.mean() - MOMENTS.get(power, 0.0)) < SIGMAS * error


def test_tails_have_their_own_distribution_and_no_end() -> None:
    outside = np.abs(np.concatenate([drawn(1 << 22, seed) for seed in range(4, 7)]).astype(np.float64))
    outside = outside[outside > EDGE]
    uniform = ndtr(-outside) / ndtr(-EDGE)
    assert kstest(uniform, "uniform").pvalue > SIGNIFICANCE
    assert outside.max() > 4.5  # 3.3 is where the table ends; none beyond 4.5 in 12 million: e^-86


def test_neighbours_are_independent() -> None:
    values = drawn(4 * BLOCK, 9)
    for shift in (1, 2, 3, 4, 64, BLOCK):
        for one, other in ((values, values), (values**2 - 1, values**2 - 1), (values, values**2 - 1)):
            products = one[shift:] * other[:-shift]
            assert abs(products.mean()) < SIGMAS * products.std() / np.sqrt(products.size)


def test_the_same_numbers_from_the_same_state() -> None:
    np.testing.assert_array_equal(drawn(BLOCK + 3), drawn(BLOCK + 3))
    assert not np.array_equal(drawn(1000, 1), drawn(1000, 2))


@pytest.mark.parametrize("count", [0, 1, 3, 5, BLOCK - 1, BLOCK + 1])
def test_any_length(count: int) -> None:
    out = np.full(count, np.nan, np.float32)
    fill(rng(), out, "table")
    assert np.all(np.isfinite(out))


def test_the_plain_way_is_numpy_s() -> None:
    out = np.empty((2, 50), np.float32)
    fill(rng(), out, "normal")
    np.testing.assert_array_equal(out, rng().standard_normal((2, 50), dtype=np.float32))


@pytest.mark.parametrize("freedom", [1, 2, 7, 781])
def test_chi_square_numbers(freedom: int) -> None:
    out = np.empty(1_000_000, np.float32)
    fill_chi_square(rng(11), out, freedom)
    assert kstest(out.astype(np.float64), chi2(freedom).cdf).pvalue > SIGNIFICANCE
    spread = chi2(freedom).std() / np.sqrt(out.size)
    assert abs(out.mean(dtype=np.float64) - freedom) < SIGMAS * spread
    square = (out.astype(np.float64) - freedom) ** 2
    assert abs(square.mean() - 2 * freedom) < SIGMAS * square.std() / np.sqrt(square.size)


@pytest.mark.parametrize("freedom", [1, 2, 7, 781])
def test_moments_of_the_chi_square_table(freedom: int) -> None:
    """Of its inner part, against integrals: E[x; a..b] and E[x²; a..b] by distributions of more degrees of freedom."""
    edges = chi2(freedom).ppf([TAIL, 1 - TAIL])
    means = chi_square_means(freedom).astype(np.float64)
    first = freedom * np.diff(chi2(freedom + 2).cdf(edges)).item()
    second = freedom * (freedom + 2) * np.diff(chi2(freedom + 4).cdf(edges)).item()
    assert means.mean() * (1 - 2 * TAIL) == pytest.approx(first, rel=1e-6)
    assert np.mean(means**2) * (1 - 2 * TAIL) == pytest.approx(second, rel=1e-6)


def test_a_tail_is_drawn_with_its_probability() -> None:
    count = 1 << 22
    outside = np.abs(drawn(count, 12)) > EDGE
    expected = 2 * TAIL * count
    assert abs(outside.sum() - expected) < SIGMAS * np.sqrt(expected)
    gaps = np.diff(np.flatnonzero(outside))
    assert abs(gaps.mean() - 1 / (2 * TAIL)) < SIGMAS * gaps.std() / np.sqrt(gaps.size)
