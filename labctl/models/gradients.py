"""Derivatives of what :mod:`labctl.protocol.layers` does between the products: for training only."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from labctl.protocol.layers import Dense, LayerKind

Real = TypeVar("Real", bound=np.floating[Any])


def through_vectors(layer: LayerKind, gradient: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """Gradient by the data, (N, inputs), from that by the vectors, (N, P, row length)."""
    if layer.bias:
        gradient = gradient[..., :-1]
    if isinstance(layer, Dense):
        return gradient[:, 0, :]
    down, across = layer.positions
    side, stride = layer.kernel, layer.stride
    patches = gradient.reshape(-1, down, across, layer.channels, side, side).transpose(0, 3, 4, 5, 1, 2)
    pictures = np.zeros((len(gradient), layer.channels, layer.height, layer.width), dtype=gradient.dtype)
    for row in range(side):
        for column in range(side):
            rows, columns = slice(row, row + stride * down, stride), slice(column, column + stride * across, stride)
            pictures[:, :, rows, columns] += patches[:, :, row, column]
    return pictures.reshape(len(gradient), -1)


def through_gather(layer: LayerKind, gradient: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """Gradient by the activated products, (N, P, rows), from that by the next layer's data, (N, given)."""
    if isinstance(layer, Dense):
        return gradient[:, None, :]
    pool = layer.pool
    down, across = (count // pool for count in layer.positions)
    means = gradient.reshape(-1, layer.filters, down, 1, across, 1) / gradient.dtype.type(pool**2)
    spread = np.broadcast_to(means, (len(gradient), layer.filters, down, pool, across, pool))
    return spread.transpose(0, 2, 3, 4, 5, 1).reshape(len(gradient), layer.transmissions, layer.filters)
