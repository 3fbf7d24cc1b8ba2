"""The digital network with the optics' noise: against the exact one, and against the noise's stated variance."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from labctl.datasets import Dataset, load_dataset
from labctl.errors import DataError
from labctl.models import Network, load_network
from labctl.models.noise import NoisySweep, noisy_accuracy, noisy_scores
from labctl.protocol.encoding import weight_rms
from labctl.protocol.layers import Convolution, Dense

RNG = np.random.default_rng(11)
IMAGES = RNG.random((6, 36), dtype=np.float32)


def matrix(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


CONVOLUTIONAL = Network(
    "small",
    (matrix(3, 9), matrix(5, 12), matrix(4, 5)),
    layers=(Convolution(1, 6, 6, 3, 3, pool=2), Dense(12, 5), Dense(5, 4)),
)
CURVED = Network(
    "curved",
    (matrix(3, 10), matrix(4, 13)),
    "tanh",
    layers=(Convolution(1, 6, 6, 3, 3, pool=2, bias=True), Dense(12, 4, bias=True)),
    public_scale=True,
)


def test_without_noise_the_scores_are_the_exact_ones_up_to_a_factor() -> None:
    found = noisy_scores(CONVOLUTIONAL, IMAGES, math.inf, np.random.default_rng(0))
    exact = CONVOLUTIONAL.forward(IMAGES)
    factors = found / exact
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:1, :1], factors.shape), rtol=1e-3)
    assert (factors > 0).all()


def test_with_a_public_scale_they_are_the_exact_ones() -> None:
    found = noisy_scores(CURVED, IMAGES, math.inf, np.random.default_rng(0))
    np.testing.assert_allclose(found, CURVED.forward(IMAGES), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width", [3, 4])
def test_the_noise_of_a_normalised_product_has_variance_one_over_f_squared(width: int) -> None:
    """40,000 values: the ratio's standard error is 0.7 %, 5 % off is a chance of 1e-11."""
    network, snr = Network("one", (matrix(40_000, width),)), 2.5
    image = np.full((1, width), 0.7, np.float32)
    lengths, w_rms = np.linalg.norm(image), weight_rms(network.weights[0])
    scores = noisy_scores(network, image, snr, np.random.default_rng(1))
    noise = scores / lengths - network.forward(image) / lengths / w_rms
    assert np.var(noise) * snr == pytest.approx(1, abs=0.05)


def test_dark_patches_have_no_noise() -> None:
    network = Network("one", (matrix(3, 9),), layers=(Convolution(1, 6, 6, 3, 3),))
    image = np.zeros((1, 36), np.float32)
    image[0, 35] = 1.0  # only in the last patch
    scores = noisy_scores(network, image, 1.0, np.random.default_rng(1)).reshape(3, 16)
    assert not scores[:, :15].any()
    assert scores[:, 15].all()


def test_accuracy_rises_with_the_signal_to_noise_and_ends_at_the_clean_one() -> None:
    network, dataset = load_network("digits"), load_dataset("digits", "test", None)
    found = [noisy_accuracy(network, dataset, snr, 3, np.random.default_rng(2)) for snr in (0.1, 1.0, 8.0, 1e12)]
    assert all(low.value < high.value for low, high in pairwise(found))
    assert found[-1].value == pytest.approx(network.accuracy(dataset.images, dataset.labels), abs=1e-9)
    for each in found:
        assert each.low < each.value < each.high


def test_interval_is_that_of_one_run_over_the_images() -> None:
    """8 of 10 right: Clopper-Pearson 0.4439 to 0.9748 at 95 %."""
    network = Network("sign", (np.array([[1.0], [-1.0]], np.float32),))
    images = np.full((10, 1), 0.5, np.float32)
    labels = np.array([0] * 8 + [1] * 2, np.int64)
    dataset = Dataset("ten", images, labels, (1, 1), 2)
    found = noisy_accuracy(network, dataset, math.inf, 7, np.random.default_rng(0), batch=4)
    assert found.value == 0.8
    assert (found.low, found.high) == (pytest.approx(0.4439, abs=1e-4), pytest.approx(0.9748, abs=1e-4))


@pytest.mark.parametrize("snr", [0.0, -1.0, math.nan])
def test_no_signal_is_refused(snr: float) -> None:
    with pytest.raises(DataError, match="signal-to-noise"):
        noisy_scores(CONVOLUTIONAL, IMAGES, snr, np.random.default_rng(0))


@pytest.mark.parametrize("network", [CONVOLUTIONAL, CURVED], ids=["convolution", "public scale"])
def test_a_sweep_without_noise_has_the_exact_accuracy(network: Network) -> None:
    images = RNG.random((70, 36), dtype=np.float32)
    labels = network.forward(images).argmax(axis=1)
    labels[::3] = (labels[::3] + 1) % 4
    sweep = NoisySweep(network, Dataset("own", images, labels, (6, 6), 4), batch=32)
    found = sweep.accuracy(math.inf, np.random.default_rng(0))
    assert found.value == pytest.approx(46 / 70)
    assert found.low < found.value < found.high
    with pytest.raises(DataError, match="signal-to-noise"):
        sweep.accuracy(0.0, np.random.default_rng(0))


def test_a_sweep_has_the_same_accuracy_as_the_plain_way() -> None:
    """Means of 40 draws over 360 digits, 4.9 standard errors of their difference apart at most: 1e-6."""
    network, dataset = load_network("digits"), load_dataset("digits", "test", None)
    sweep, rng = NoisySweep(network, dataset), np.random.Generator(np.random.SFC64(3))
    quick = np.array([sweep.accuracy(0.5, rng).value for _ in range(40)])
    plain = np.array([noisy_accuracy(network, dataset, 0.5, 1, rng).value for _ in range(40)])
    assert abs(quick.mean() - plain.mean()) < 4.9 * np.sqrt((quick.var() + plain.var()) / 40)
    assert quick.mean() < 0.95
