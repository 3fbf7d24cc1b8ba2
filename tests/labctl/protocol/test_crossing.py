from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from labctl.protocol.crossing import survival

NORMAL = NormalDist()


def joint(information: np.ndarray, boundary: np.ndarray) -> float:
    """Oracle: multivariate normal probability of all looks below."""
    covariance = np.minimum.outer(information, information)
    return float(multivariate_normal(cov=covariance, abseps=1e-9, releps=1e-9).cdf(boundary))


@pytest.mark.parametrize("z", [-1.0, 0.5, 1.2816, 3.0902, 5.0])
def test_one_look_is_the_normal_tail(z: float) -> None:
    got = survival(np.array([2.5]), np.array([z * math.sqrt(2.5)]))
    assert got.crossing == pytest.approx(NORMAL.cdf(-z), abs=1e-10)


@settings(deadline=None, max_examples=60)
@given(st.floats(0.002, 5), st.floats(0, 4), st.floats(0, 4))
def test_two_looks_are_bivariate(growth: float, first: float, second: float) -> None:
    information = np.array([1.0, 1.0 + growth])
    boundary = np.array([first, second]) * np.sqrt(information)
    got = survival(information, boundary)
    assert got.probability[-1] == pytest.approx(joint(information, boundary), abs=2e-6)


def test_small_looks_in_between_are_exact() -> None:
    # the second look adds 1 %: it is grouped with the third
    information = np.array([1.0, 1.01, 2.0])
    boundary = np.array([1.5, 1.45, 2.2])
    got = survival(information, boundary)
    assert got.looks.tolist() == [1, 3]
    assert got.probability[-1] == pytest.approx(joint(information, boundary), abs=2e-6)


def test_two_looks_in_between_err_to_crossing() -> None:
    information = np.array([1.0, 1.008, 1.016, 2.0])
    boundary = np.array([1.5, 1.5, 1.5, 2.2])
    truth = joint(information, boundary)
    got = float(survival(information, boundary).probability[-1])
    assert truth - 0.01 < got < truth + 1e-6


def test_dense_looks_approach_the_reflection_principle() -> None:
    # continuous: P(sup B over [0, 1] > b) = 2 Q(b); from b/√I = 8 on it is as good as from 0.
    # 100,000 looks between: the discrete walk crosses as the continuous one does b + 0.5826 step.
    information = np.linspace(0.02, 1, 100_001)
    b = 1.5
    step = math.sqrt(information[1] - information[0])
    got = survival(information, np.full(information.size, b))
    assert got.crossing == pytest.approx(2 * NORMAL.cdf(-(b + 0.5826 * step)), rel=2e-3)


def test_nothing_is_lost_on_the_way() -> None:
    information = np.arange(1.0, 5001)
    far = 30 * np.sqrt(information)
    assert survival(information, far).crossing == pytest.approx(0, abs=1e-8)


def test_drift_is_a_shift_of_the_boundary() -> None:
    # Wald: B - θI with a flat boundary is crossed at the end with this probability
    information = np.array([4.0])
    got = survival(information, np.array([3.0 - 0.7 * 4]))
    assert got.crossing == pytest.approx(NORMAL.cdf(-(3.0 - 2.8) / 2))


def test_overwhelming_drift_crosses_at_once() -> None:
    information = np.arange(1.0, 101)
    got = survival(information, 4 * np.sqrt(information) - 100 * information)
    assert got.crossing == 1.0
    assert got.at(1) == pytest.approx(0, abs=1e-12)


def test_speed_of_a_drifting_walk() -> None:
    # 20,000 walks: mean and median held within about 5 standard errors
    rng = np.random.default_rng(21)
    information = np.arange(1.0, 301)
    boundary = 4 * np.sqrt(information)
    drift = 0.5
    got = survival(information, boundary - drift * information)
    walks = rng.standard_normal((20_000, 300), dtype=np.float32).cumsum(axis=1, dtype=np.float64)
    crossed = walks + drift * information > boundary
    assert crossed.any(axis=1).all()
    looks = crossed.argmax(axis=1) + 1
    alive = got.at_all(np.arange(300))
    assert alive.sum() == pytest.approx(looks.mean(), abs=5 * looks.std() / math.sqrt(looks.size))
    assert np.flatnonzero(alive < 0.5)[0] == pytest.approx(np.median(looks), abs=1.5)
    assert got.at(40) == pytest.approx(np.mean(looks > 40), abs=0.018)
    assert got.at(0) == 1.0


def test_a_look_that_adds_little_crosses_seldom() -> None:
    # layers of very different size: the small one shares a group with the next large one
    information = np.cumsum(np.tile([1.0, 0.0128], 3))
    boundary = 2.0 * np.sqrt(information)
    got = survival(information, boundary)
    assert 2 not in got.looks
    for look in (1, 2, 3):
        assert got.at(look) == pytest.approx(joint(information[:look], boundary[:look]), abs=3e-3)


def test_looks_without_information_are_counted() -> None:
    got = survival(np.ones(3), np.full(3, 1.5))
    assert got.at(3) == pytest.approx(got.probability[-1])
    assert got.at_all(np.arange(4))[0] == 1.0


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.floats(0.0, 2.0), min_size=1, max_size=40),
    st.floats(0.5, 4),
    st.floats(0.01, 1),
)
def test_survival_falls_and_a_wider_boundary_helps(steps: list[float], z: float, wider: float) -> None:
    information = 1 + np.cumsum(steps)
    got = survival(information, z * np.sqrt(information))
    assert got.looks[-1] == information.size
    assert np.all(np.diff(got.looks) > 0)
    assert np.all(np.diff(got.probability) <= 1e-9)
    other = survival(information, (z + wider) * np.sqrt(information))
    assert other.crossing < got.crossing


@pytest.mark.parametrize(
    ("information", "boundary"),
    [
        (np.array([]), np.array([])),
        (np.array([1.0, 2.0]), np.array([1.0])),
        (np.array([0.0, 1.0]), np.array([1.0, 1.0])),
        (np.array([2.0, 1.0]), np.array([1.0, 1.0])),
        (np.array([1.0, math.inf]), np.array([1.0, 1.0])),
        (np.array([1.0, 2.0]), np.array([1.0, math.nan])),
    ],
)
def test_impossible_looks_are_refused(information: np.ndarray, boundary: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"looks|informations"):
        survival(information, boundary)
