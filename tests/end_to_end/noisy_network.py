"""The network computed digitally with the noise that section 3 of docs/physics.md states for its normalised products.

Written from that page alone: no light, no instrument, none of labctl's own arithmetic.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from labctl.datasets import Dataset
from labctl.models import Network


def chances(network: Network, dataset: Dataset, f_squared: float, draws: int, seed: int) -> NDArray[np.float64]:
    """Probability that each image is predicted right, shape (N,), from this many draws of the noise."""
    rng = np.random.default_rng(seed)
    right = np.zeros(len(dataset))
    first = _products(dataset.images, network.weights[0])
    for _ in range(draws):
        products = _noisy(first, f_squared, rng)
        for weights in network.weights[1:]:
            products = _noisy(_products(np.maximum(products, 0), weights), f_squared, rng)
        right += np.argmax(products, axis=1) == dataset.labels
    return right / draws


def _products(data: NDArray[np.floating], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """<x̂, w>/w_rms with w_rms² = Σw²/(2nm); NaN for data that are all zero."""
    rows, inputs = weights.shape
    w_rms = math.sqrt(np.sum(weights.astype(np.float64) ** 2) / (2 * math.ceil(inputs / 2) * rows))
    length = np.linalg.norm(data, axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.asarray(data / length @ weights.T / w_rms, dtype=np.float32)


def _noisy(products: NDArray[np.float32], f_squared: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Variance 1/F² on each product; those of zero data are 0 by definition."""
    noise = rng.standard_normal(products.shape, dtype=np.float32) / np.float32(math.sqrt(f_squared))
    return np.nan_to_num(products + noise, nan=0.0)
