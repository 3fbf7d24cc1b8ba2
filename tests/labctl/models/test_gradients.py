"""The derivatives are the adjoints of the linear maps in labctl.protocol.layers: <A x, y> = <x, A' y>."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.models.gradients import through_gather, through_vectors
from labctl.protocol.layers import Convolution, Dense, LayerKind

LAYERS = [
    Dense(6, 4),
    Dense(6, 4, bias=True),
    Convolution(2, 6, 5, 3, 2, pool=1),
    Convolution(2, 7, 9, 3, 3, stride=2),
    Convolution(1, 5, 5, 3, 2, pool=2, bias=True),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_vectors(layer: LayerKind) -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal((3, layer.inputs))
    ahead = layer.vectors(values) - layer.vectors(np.zeros_like(values))  # without the ones of a bias
    back = rng.standard_normal(ahead.shape)
    assert np.vdot(ahead, back) == pytest.approx(np.vdot(values, through_vectors(layer, back)))


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_gather(layer: LayerKind) -> None:
    rng = np.random.default_rng(2)
    activated = rng.standard_normal((3, layer.transmissions, layer.shape[0]))
    ahead = layer.gather(activated)
    back = rng.standard_normal(ahead.shape)
    found = through_gather(layer, back)
    assert found.shape == activated.shape
    assert np.vdot(ahead, back) == pytest.approx(np.vdot(activated, found))
