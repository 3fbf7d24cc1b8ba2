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
        vectors = layer.vectors(values)
        w_rms = weight_rms(matrix)
        flat = vectors.reshape(-1, vectors.shape[-1])
        lengths = np.linalg.norm(flat, axis=1, keepdims=True)
        products = flat @ (matrix / np.float32(w_rms)).T
        products += lengths * (rng.standard_normal(products.shape, dtype=np.float32) / np.float32(math.sqrt(snr)))
        if network.public_scale:
            products *= np.float32(w_rms)
        products = products.reshape(*vectors.shape[:-1], -1)
        values = layer.gather(products if index == last else activate(products, network.activation))
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
