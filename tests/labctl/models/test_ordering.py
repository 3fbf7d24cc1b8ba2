"""The order of pixels and hidden units: the same network, bright numbers last."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.errors import DataError
from labctl.models import Network
from labctl.models.ordering import bright_last
from labctl.protocol.layers import Convolution, Dense

RNG = np.random.default_rng(3)
IMAGES = RNG.random((40, 12), dtype=np.float32) * np.linspace(1.0, 0.1, 12, dtype=np.float32)


def matrix(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


NETWORK = Network("small", (matrix(8, 12), matrix(6, 8), matrix(3, 6)))


def test_the_scores_stay_and_the_bright_pixels_come_last() -> None:
    ordered, order = bright_last(NETWORK, IMAGES)
    assert list(order) != list(range(12))
    pixels = IMAGES[:, order]
    assert np.allclose(NETWORK.forward(IMAGES), ordered.forward(pixels), rtol=1e-5, atol=1e-5)
    for values in (pixels, np.maximum(pixels @ ordered.weights[0].T, 0)):
        share = (values**2 / (values**2).sum(axis=1, keepdims=True)).mean(axis=0)
        assert (np.diff(share) >= -1e-6).all()


@pytest.mark.parametrize("layer", [Convolution(1, 3, 4, 8, 2), Dense(11, 8, bias=True)])
def test_only_dense_layers_without_biases(layer: Convolution | Dense) -> None:
    network = Network("other", (matrix(*layer.shape), matrix(3, layer.given)), layers=(layer, Dense(layer.given, 3)))
    with pytest.raises(DataError, match="network other: only dense layers"):
        bright_last(network, IMAGES)
