from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from labctl.errors import ConfigError
from labctl.protocol import boundary as module
from labctl.protocol.boundary import calibrated_level, mixture_boundary


def crossing_rates(
    time: np.ndarray, boundaries: list[np.ndarray], rho: float, walks: int, seed: int
) -> list[tuple[float, float]]:
    """Oracle by importance sampling: (probability, standard error) of each boundary's crossing.

    Walks get a random upward drift, half normal of variance 1/rho, and the first crossing counts
    with the inverse likelihood ratio of that mixture, which is known in closed form. So even a rate
    of 1e-3 is met by most walks.
    """
    rng = np.random.default_rng(seed)
    deviations = np.sqrt(np.diff(time, prepend=0.0)).astype(np.float32)
    weights = np.zeros((len(boundaries), walks))
    for first in range(0, walks, 500):
        count = min(500, walks - first)
        drift = np.abs(rng.standard_normal(count)) / math.sqrt(rho)
        walk = rng.standard_normal((count, time.size), dtype=np.float32) * deviations
        walk = walk.cumsum(axis=1, dtype=np.float64) + drift[:, None] * time
        for index, boundary in enumerate(boundaries):
            crossed = walk > boundary
            look = crossed.argmax(axis=1)
            position, total = walk[np.arange(count), look], time[look] + rho
            ratio = 2 * np.sqrt(rho / total) * np.exp(position**2 / (2 * total))
            ratio *= ndtr(position / np.sqrt(total))
            weights[index, first : first + count] = np.where(crossed.any(axis=1), 1 / ratio, 0)
    return [(float(w.mean()), float(w.std() / math.sqrt(walks))) for w in weights]


@pytest.mark.parametrize("layers", [(1.0,), (1.0, 0.0128), (1.0, 0.156), (1.0, 0.3, 0.1)], ids=str)
@pytest.mark.parametrize("images", [1, 30, 200, 2000])
def test_rate_is_what_was_asked_for(layers: tuple[float, ...], images: int) -> None:
    # 16 x 3 comparisons at 4 standard errors and 1 % allowed to the method: fails wrongly
    # with less than 48 x 6e-5 = 3e-3 (fixed seeds)
    time = np.cumsum(np.tile(layers, images))
    rho, rates = float(sum(layers)), (0.1, 0.01, 0.001)
    boundaries = [mixture_boundary(time, rho, calibrated_level(time, rho, rate)) for rate in rates]
    walks = 40_000 if images <= 30 else 8000 if images == 200 else 2000
    found = crossing_rates(time, boundaries, rho, walks, seed=images + len(layers))
    for rate, (probability, error) in zip(rates, found, strict=True):
        assert error < 0.1 * rate
        assert probability == pytest.approx(rate, rel=0.01, abs=4 * error)


def test_looks_that_hardly_add_anything() -> None:
    # calibration limits the walk: its time saturates, hundreds of looks are almost one
    time = 1 / (1 / np.arange(1.0, 501) + 0.5)
    rho = float(time[0])
    bound = mixture_boundary(time, rho, calibrated_level(time, rho, 0.01))
    [(probability, error)] = crossing_rates(time, [bound], rho, 20_000, seed=5)
    assert error < 5e-4
    assert probability == pytest.approx(0.01, rel=0.02, abs=4 * error)


def test_continuous_motion_obeys_robbins_bound() -> None:
    # level a bounds the crossing of the continuous motion over an infinite horizon, so a
    # discrete walk crosses with less
    time = np.arange(1.0, 3001)
    assert calibrated_level(time, 1.0, 0.01) > 0.01


def test_boundary_grows_slower_than_time_and_falls_with_the_level() -> None:
    time = np.logspace(0, 6, 200)
    bound = mixture_boundary(time, 1.0, 0.001)
    assert np.all(np.diff(bound) > 0)
    assert np.all(np.diff(bound / time) < 0)
    assert np.all(mixture_boundary(time, 1.0, 0.01) < bound)


def test_no_convergence_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_ITERATIONS", 1)
    with pytest.raises(ConfigError, match="no boundary"):
        calibrated_level(np.arange(1.0, 31), 1.0, 1e-6)
