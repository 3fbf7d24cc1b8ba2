"""The order in which a network's numbers go through the client's loop: the bright ones last (docs/physics.md, 3a).

Light that enters the time-bin loop early goes round it more often, loses more and is turned further. A row's order is
free, as long as both parties keep to it: pixels and hidden units that mostly are dark go first and what they suffer is
felt little.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from labctl.errors import DataError
from labctl.models.network import Network
from labctl.protocol.layers import Dense, activate

Order = npt.NDArray[np.intp]


def bright_last(network: Network, images: npt.NDArray[np.float32]) -> tuple[Network, Order]:
    """The same network for images whose pixels stand in the order that comes with it: ``images[:, order]``.

    ``images``: shape (N, d), some that are typical. Hidden units are put in order as well, which changes no product.
    The last layer's outputs stay as they are. Raises DataError for a network that is not all dense layers without
    biases: a convolution's patches have an order of their own.
    """
    if any(not isinstance(layer, Dense) or layer.bias for layer in network.layers):
        raise DataError(
            f"network {network.name}: only dense layers without biases are put in order", "Use a dense network."
        )
    values = images.astype(np.float64)
    orders = []
    for weights in network.weights:
        orders.append(_by_share(values))
        values = np.asarray(activate(values @ weights.T.astype(np.float64), network.architecture.activation))
    orders.append(np.arange(network.outputs))
    pairs = zip(network.weights, pairwise(orders), strict=True)
    ordered = tuple(matrix[rows][:, columns] for matrix, (columns, rows) in pairs)
    return replace(network, weights=ordered), orders[0]


def _by_share(values: npt.NDArray[np.float64]) -> Order:
    """Columns by their mean share of a vector's square, rising."""
    squares = values**2
    norms = np.maximum(squares.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return np.argsort((squares / norms).mean(axis=0), kind="stable")
