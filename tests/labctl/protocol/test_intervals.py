from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from labctl.errors import ConfigError
from labctl.protocol.intervals import clopper_pearson, normal_interval, normal_quantile, variance_factors


def binomial(n: int, p: float, first: int, last: int) -> float:
    return math.fsum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(first, last + 1))


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_each_limit_leaves_half_of_the_rest_outside(counts: tuple[int, int]) -> None:
    k, n = counts
    low, high = clopper_pearson(k, n, 0.95)
    assert 0 <= low <= k / n <= high <= 1
    if k > 0:
        assert binomial(n, low, k, n) == pytest.approx(0.025, rel=1e-6)
    if k < n:
        assert binomial(n, high, 0, k) == pytest.approx(0.025, rel=1e-6)


@pytest.mark.parametrize("p", [0.02, 0.3, 0.5, 0.97])
def test_coverage_is_at_least_the_confidence(p: float) -> None:
    n = 50
    covered = 0.0
    for k in range(n + 1):
        low, high = clopper_pearson(k, n, 0.9)
        if low <= p <= high:
            covered += binomial(n, p, k, k)
    assert 0.9 <= covered < 1


def test_known_values() -> None:
    # 0 of 10: 1 - 0.025^(1/10); 360 of 360 at 95 %: 0.025^(1/360)
    assert clopper_pearson(0, 10, 0.95) == pytest.approx((0, 1 - 0.025 ** (1 / 10)))
    assert clopper_pearson(360, 360, 0.95) == pytest.approx((0.025 ** (1 / 360), 1))
    assert clopper_pearson(0, 0, 0.95) == (0.0, 1.0)


def test_normal_interval() -> None:
    assert normal_quantile(0.95) == pytest.approx(1.959964, abs=1e-6)
    assert normal_interval(1.0, 2.0, 0.95) == pytest.approx((1 - 3.919928, 1 + 3.919928), abs=1e-5)


@pytest.mark.parametrize("freedom", [1, 31, 639, 614_655])
def test_variance_factors_are_chi_square(freedom: int) -> None:
    low, high = variance_factors(freedom, 0.95)
    assert chi2.sf(freedom / low, freedom) == pytest.approx(0.025, rel=1e-6)
    assert chi2.cdf(freedom / high, freedom) == pytest.approx(0.025, rel=1e-6)
    assert high - 1 > 1 - low
    with pytest.raises(ConfigError):
        variance_factors(0, 0.95)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -0.5, math.nan])
def test_confidences_that_are_none(confidence: float) -> None:
    with pytest.raises(ConfigError):
        clopper_pearson(1, 2, confidence)
    with pytest.raises(ConfigError):
        normal_quantile(confidence)
    with pytest.raises(ConfigError):
        variance_factors(10, confidence)


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3), (0, -1)])
def test_counts_that_are_none(k: int, n: int) -> None:
    with pytest.raises(ConfigError):
        clopper_pearson(k, n, 0.95)
