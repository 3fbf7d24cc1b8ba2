"""A network computed digitally with the noise that the optics put on its products (docs/physics.md, sections 2 and 3).

No light and no instrument: this tells in seconds what accuracy a working point will give, and networks are trained with
it. A run on the bench, simulated or real, finds its accuracy from the light alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from labctl.datasets import Dataset
from labctl.errors import DataError
from labctl.models.network import Matrix, Network
from labctl.normals import fill
from labctl.protocol.encoding import weight_rms
from labctl.protocol.intervals import clopper_pearson
from labctl.protocol.layers import activate

CONFIDENCE = 0.95


@dataclass(frozen=True)
class NoisyAccuracy:
    """Mean accuracy over the draws of the noise; ``low``, ``high``: 95 % interval of one run over as many images."""

    value: float
    low: float
    high: float


def noisy_scores(network: Network, images: Matrix, snr: float, rng: np.random.Generator) -> Matrix:
    """Scores when every product <x̂, w>/w_rms is read with Gaussian noise of variance 1/F².

    The client multiplies each product by ‖x‖ of its vector, which brings the patches of a convolution to one scale, and
    by w_rms where that is public. Vectors that are all zero have products 0.

    Parameters
    ----------
    images:
        float32, shape (N, inputs).
    snr:
        F² of the working point (:func:`labctl.protocol.rowmodel.snr_squared`); infinite for none.

    Returns
    -------
    float32, shape (N, outputs), up to a positive factor an image unless the scale is public.

    Raises
    ------
    DataError
        F² not positive.
    """
    if not snr > 0:
        raise DataError(f"a squared signal-to-noise ratio of {snr}", "Give a positive number.")
    values, last = images, len(network.weights) - 1
    for index, (layer, matrix) in enumerate(zip(network.layers, network.weights, strict=True)):
        w_rms = weight_rms(matrix)
        vectors = layer.vectors(values)
        products, lengths = _products(vectors, matrix / np.float32(w_rms))
        products += lengths * (rng.standard_normal(products.shape, dtype=np.float32) / np.float32(math.sqrt(snr)))
        if network.public_scale:
            products *= np.float32(w_rms)
        products = products.reshape(*vectors.shape[:-1], -1)
        values = layer.gather(products if index == last else activate(products, network.activation))
    return values


def _products(vectors: Matrix, normalised: Matrix) -> tuple[Matrix, Matrix]:
    """Products with all vectors, one below the other, and the vectors' lengths as a column."""
    flat = vectors.reshape(-1, vectors.shape[-1])
    return flat @ normalised.T, np.linalg.norm(flat, axis=1, keepdims=True)


class NoisySweep:
    """The same network and images at many working points: what :func:`noisy_accuracy` gives with one draw, quickly.

    The first layer's products are worked out once and kept: images x transmissions x outputs numbers of four bytes.
    Noise comes from the table of :mod:`labctl.normals`, and a few images go through the network together, so that their
    numbers stay in the cache.
    """

    def __init__(self, network: Network, dataset: Dataset, batch: int = 256) -> None:
        self._network, self._dataset, self._batch = network, dataset, batch
        rms = [weight_rms(matrix) for matrix in network.weights]
        self._scales = [np.float32(each if network.public_scale else 1.0) for each in rms]
        self._weights = [
            np.ascontiguousarray(matrix / np.float32(each)) for matrix, each in zip(network.weights, rms, strict=True)
        ]
        self._first = [
            _products(network.layers[0].vectors(dataset.images[start : start + batch]), self._weights[0])
            for start in range(0, len(dataset), batch)
        ]

    def accuracy(self, snr: float, rng: np.random.Generator) -> NoisyAccuracy:
        """At one working point, with fresh noise on every product. Raises DataError for F² that is not positive."""
        if not snr > 0:
            raise DataError(f"a squared signal-to-noise ratio of {snr}", "Give a positive number.")
        sigma, right = np.float32(1 / math.sqrt(snr)), 0
        for index, (products, lengths) in enumerate(self._first):
            scores = self._scores(products, lengths, sigma, rng)
            labels = self._dataset.labels[index * self._batch : (index + 1) * self._batch]
            right += int(np.count_nonzero(scores.argmax(axis=1) == labels))
        low, high = clopper_pearson(right, len(self._dataset), CONFIDENCE)
        return NoisyAccuracy(right / len(self._dataset), low, high)

    def _scores(self, products: Matrix, lengths: Matrix, sigma: np.float32, rng: np.random.Generator) -> Matrix:
        network, last = self._network, len(self._weights) - 1
        for index, layer in enumerate(network.layers):
            read = np.empty_like(products)
            fill(rng, read, "table")
            read *= lengths * sigma
            read += products
            if network.public_scale:
                read *= self._scales[index]
            shaped = read.reshape(-1, layer.transmissions, read.shape[1])
            values = layer.gather(shaped if index == last else activate(shaped, network.activation))
            if index < last:
                products, lengths = _products(network.layers[index + 1].vectors(values), self._weights[index + 1])
        return values


def noisy_accuracy(
    network: Network, dataset: Dataset, snr: float, draws: int, rng: np.random.Generator, batch: int = 1000
) -> NoisyAccuracy:
    """Accuracy over ``draws`` draws of the noise for every image, ``batch`` images at a time."""
    right = 0
    for _ in range(draws):
        for begin in range(0, len(dataset), batch):
            part = slice(begin, begin + batch)
            scores = noisy_scores(network, dataset.images[part], snr, rng)
            right += int(np.sum(scores.argmax(axis=1) == dataset.labels[part]))
    value = right / (draws * len(dataset))
    low, high = clopper_pearson(round(value * len(dataset)), len(dataset), CONFIDENCE)
    return NoisyAccuracy(value, low, high)
