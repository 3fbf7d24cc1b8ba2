"""Accuracy against μ for several gains, through the whole path, beside docs/physics.md, section 3.

The prediction is the network computed digitally with Gaussian noise of variance 1/F² on its normalised products
(tests/end_to_end/noisy_network.py), for the same images. It gives each image's probability of being right, so the
number of right ones has a known mean and variance, smaller than the binomial one. Seeds are fixed; with others

* a single working point would be off by 4.5 standard deviations about once in 150,000 times (nine of them);
* the sum of squares would exceed its 99.999 % point about once in 100,000 times;
* one of the nine honest runs would raise the alarm once in 110 times (the agreed rate of 1e-3 a run), and stop short.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from scipy.stats import chi2

from labctl.config import RunConfig
from labctl.engine import RunControl
from labctl.events import EventBus
from labctl.experiment import prepare_experiment
from labctl.protocol.rowmodel import AmplifierTap, ClientReceiver, snr_squared
from labctl.session import run_experiment
from tests.end_to_end.noisy_network import chances

GAINS = [1.3, 2.0, 3.4142]
PHOTONS = [1.0, 4.0, 16.0]
DRAWS = 200
SIGMAS = 4.5


@dataclass(frozen=True)
class Point:
    """One run: how many images were right, and how many should be by F² and by other factors of it."""

    right: int
    images: int
    chances: dict[float, np.ndarray]

    def deviation(self, factor: float = 1.0) -> float:
        """Right ones beyond those expected, in standard deviations; the draws' own error is included."""
        p = self.chances[factor]
        return float((self.right - p.sum()) / np.sqrt(np.sum(p * (1 - p)) * (1 + 1 / DRAWS)))


def run_point(gain: float, mean_photons: float, seed: int) -> Point:
    config = RunConfig(
        name="point", dataset="digits", model="digits", gain=gain, mean_photons=mean_photons, images=240, seed=seed
    )
    experiment = prepare_experiment(config)
    outcome = run_experiment(experiment, EventBus(), RunControl(), None)
    assert (outcome.verdict, outcome.error) == ("accepted", None)
    assert outcome.accuracy is not None
    receiver = ClientReceiver(1.0, experiment.bench.client_receiver.noise_variance - 1)
    f_squared = snr_squared(AmplifierTap(gain), mean_photons, 1.0, receiver)
    return Point(
        round(outcome.accuracy * experiment.images),
        experiment.images,
        {
            factor: chances(experiment.network, experiment.dataset, factor * f_squared, DRAWS, seed)
            for factor in (0.5, 1.0, 2.0)
        },
    )


@pytest.fixture(scope="module")
def points() -> dict[tuple[float, float], Point]:
    """All working points by (G, μ), each with a seed of its own."""
    return {
        (gain, photons): run_point(gain, photons, seed)
        for seed, (gain, photons) in enumerate(product(GAINS, PHOTONS), start=1)
    }


@pytest.mark.slow
@pytest.mark.parametrize("photons", PHOTONS)
@pytest.mark.parametrize("gain", GAINS)
def test_accuracy_is_that_of_the_normalised_noise(
    points: dict[tuple[float, float], Point], gain: float, photons: float
) -> None:
    point = points[gain, photons]
    expected = point.chances[1.0].mean()
    assert abs(point.deviation()) < SIGMAS, f"{point.right}/{point.images} right, expected {expected:.4f}"


@pytest.mark.slow
def test_all_points_together(points: dict[tuple[float, float], Point]) -> None:
    total = sum(point.deviation() ** 2 for point in points.values())
    assert total < chi2.ppf(1 - 1e-5, len(points))


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_another_convention_of_the_noise_would_be_seen(points: dict[tuple[float, float], Point], factor: float) -> None:
    """μ/DX2 as in the authors' scripts, or 4μ/DX2, is excluded by the same sum of squares."""
    total = sum(point.deviation(factor) ** 2 for point in points.values())
    assert total > chi2.ppf(1 - 1e-12, len(points))
