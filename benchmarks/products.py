"""What a client reads of a network's products in a run, against the digital ones: by chi-square, layer by layer.

Every number that the client's arithmetic gives is ŷ = <x̂, w>/w_rms + ν with ν normal of variance 1/F² (docs/physics.md,
section 3). The products expected are worked out here in plain loops, for the first layer from the image and for each
later one from what the client measured before it, so that patches, their order, lengths, activation and averages are
held against a second implementation, and every product of every patch against its noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

import labctl.parties.client as client
from labctl.models import Network
from labctl.protocol.layers import Convolution

Double = NDArray[np.float64]


@contextmanager
def listening() -> Iterator[list[Double]]:
    """The normalised products of every shot of the runs in the block, in their order."""
    heard: list[Double] = []
    genuine = client.normalised_products

    def listen(*arguments: Any) -> Double:
        found = genuine(*arguments)
        heard.append(found)
        return found

    vars(client)["normalised_products"] = listen
    try:
        yield heard
    finally:
        vars(client)["normalised_products"] = genuine


def residuals(network: Network, images: NDArray[Any], heard: Sequence[Double], snr_squared: float) -> list[Double]:
    """(ŷ - <x̂, w>/w_rms) F of every product, one array a layer; of ReLU networks without biases.

    ``images``: shape (N, inputs), in the order of the run. Vectors that are all zero, which have no product, are left
    out.
    """
    found: list[list[Double]] = [[] for _ in network.weights]
    shots = iter(heard)
    for image in images:
        values = image.astype(np.float64)
        for index, matrix in enumerate(network.weights):
            weights = matrix.astype(np.float64)
            weights /= np.sqrt(np.sum(weights**2) / (2 * -(-weights.shape[1] // 2) * len(weights)))
            layer = network.layers[index]
            patches = _patches(layer, values) if isinstance(layer, Convolution) else [values]
            lengths = [float(np.linalg.norm(patch)) for patch in patches]
            read = [next(shots) for _ in patches]
            for patch, length, products in zip(patches, lengths, read, strict=True):
                if length:
                    found[index].append((products - weights @ patch / length) * np.sqrt(snr_squared))
            activated = [np.maximum(length * products, 0) for length, products in zip(lengths, read, strict=True)]
            values = _averages(layer, activated) if isinstance(layer, Convolution) else activated[0]
    assert next(shots, None) is None, "the run had more shots than the network has patches"
    return [np.concatenate(each) for each in found]


def _patches(layer: Convolution, values: Double) -> list[Double]:
    picture = values.reshape(layer.channels, layer.height, layer.width)
    side = layer.kernel
    return [
        picture[:, row : row + side, column : column + side].ravel()
        for row in range(0, layer.height - side + 1, layer.stride)
        for column in range(0, layer.width - side + 1, layer.stride)
    ]


def _averages(layer: Convolution, activated: Sequence[Double]) -> Double:
    across = (layer.width - layer.kernel) // layer.stride + 1
    down, pool = len(activated) // across, layer.pool
    return np.array(
        [
            np.mean(
                [
                    activated[(row * pool + i) * across + column * pool + j][channel]
                    for i in range(pool)
                    for j in range(pool)
                ]
            )
            for channel in range(layer.filters)
            for row in range(down // pool)
            for column in range(across // pool)
        ]
    )


def chi_square(residuals: Double) -> dict[str, float]:
    """Of normal numbers: how many, Σ z²/n, and the two-sided probability that chance alone is as far off."""
    from scipy.stats import chi2

    total = float(np.sum(residuals**2))
    tail = float(min(chi2.sf(total, residuals.size), chi2.cdf(total, residuals.size)))
    return {"numbers": residuals.size, "ratio": total / residuals.size, "probability": 2 * tail}
