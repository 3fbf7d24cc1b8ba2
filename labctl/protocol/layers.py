"""What both parties know of a layer: how data become the vectors that its rows meet, and what follows (docs/physics.md,
section 2).

A row of weights meets one vector per transmission. A dense layer's only vector is the data themselves. A convolution's
rows are its filters and its vectors are patches of the data, so that its weights are sent once per patch. A bias is one
more weight of each row, which meets a 1 that the client appends to its vectors. Everything here is done digitally by
the client between the transmissions; the server needs only ``shape`` and ``transmissions``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from labctl.errors import DataError

Real = TypeVar("Real", bound=np.floating[Any])

MAX_TRANSMISSIONS = 2**16
"""Cap on the patches of one layer."""

Activation = Literal["relu", "tanh", "sigmoid"]
ACTIVATIONS: tuple[Activation, ...] = ("relu", "tanh", "sigmoid")


@dataclass(frozen=True)
class Dense:
    """Every output from every input.

    ``inputs``, ``outputs``: numbers taken and given; ``bias``: whether the last weight of each row is one.
    """

    inputs: int
    outputs: int
    bias: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, weights of a row), the bias counted."""
        return self.outputs, self.inputs + self.bias

    @property
    def transmissions(self) -> int:
        """How often the rows are sent for one image."""
        return 1

    @property
    def given(self) -> int:
        """Length of what the next layer takes."""
        return self.outputs

    def vectors(self, values: npt.NDArray[Real]) -> npt.NDArray[Real]:
        """Data (N, inputs) as vectors for the rows, (N, 1, row length)."""
        return _with_ones(values[:, None, :], self.bias)

    def gather(self, activated: npt.NDArray[Real]) -> npt.NDArray[Real]:
        """Activated products (N, 1, rows) as data for the next layer, (N, outputs)."""
        return activated[:, 0, :]


@dataclass(frozen=True)
class Convolution:
    """Filters over patches, then the mean over squares of ``pool`` x ``pool`` neighbours.

    Data are channel by channel, line by line: (channels, height, width) in one row of numbers. No padding; the last
    lines and columns that a stride does not reach are left out.

    Parameters
    ----------
    channels, height, width:
        What comes in.
    filters:
        M, rows of the weight matrix; channels that go out.
    kernel:
        Side of a patch; a row has channels * kernel² weights, and one more with ``bias``.
    stride:
        From patch to patch, both ways.
    pool:
        Side of the squares that are averaged after the activation; it must divide the number of positions.

    Raises
    ------
    DataError
        Sizes that do not fit each other.
    """

    channels: int
    height: int
    width: int
    filters: int
    kernel: int
    stride: int = 1
    pool: int = 1
    bias: bool = False

    def __post_init__(self) -> None:
        sizes = (self.channels, self.height, self.width, self.filters, self.kernel, self.stride, self.pool)
        if min(sizes) < 1 or self.kernel > min(self.height, self.width):
            raise DataError(f"{self}: a size that is none", "Give sizes of at least 1, and a kernel within the image.")
        if any(count % self.pool for count in self.positions):
            raise DataError(
                f"{self}: {self.positions} positions are not whole squares of {self.pool}",
                "Choose another pool, kernel or stride.",
            )
        if self.transmissions > MAX_TRANSMISSIONS:
            raise DataError(f"{self}: over the cap of {MAX_TRANSMISSIONS} patches", "Use smaller images.")

    @property
    def positions(self) -> tuple[int, int]:
        """Patches down and across."""
        return (self.height - self.kernel) // self.stride + 1, (self.width - self.kernel) // self.stride + 1

    @property
    def inputs(self) -> int:
        """Length of the data taken."""
        return self.channels * self.height * self.width

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, weights of a row), the bias counted."""
        return self.filters, self.channels * self.kernel**2 + self.bias

    @property
    def transmissions(self) -> int:
        """How often the rows are sent for one image: once per patch."""
        return math.prod(self.positions)

    @property
    def given(self) -> int:
        """Length of what the next layer takes."""
        return self.filters * self.transmissions // self.pool**2

    def vectors(self, values: npt.NDArray[Real]) -> npt.NDArray[Real]:
        """Data (N, inputs) as patches (N, P, row length), line by line; within a patch channel by channel."""
        pictures = values.reshape(-1, self.channels, self.height, self.width)
        windows = np.lib.stride_tricks.sliding_window_view(pictures, (self.kernel, self.kernel), axis=(2, 3))
        chosen = windows[:, :, :: self.stride, :: self.stride].transpose(0, 2, 3, 1, 4, 5)
        return _with_ones(chosen.reshape(len(values), self.transmissions, -1), self.bias)

    def gather(self, activated: npt.NDArray[Real]) -> npt.NDArray[Real]:
        """Activated products (N, P, filters) as data for the next layer, averaged, (N, given), channel by channel."""
        down, across = (count // self.pool for count in self.positions)
        squares = activated.reshape(-1, down, self.pool, across, self.pool, self.filters)
        means: npt.NDArray[Real] = squares.mean(axis=(2, 4))
        return means.transpose(0, 3, 1, 2).reshape(len(activated), -1)


LayerKind = Dense | Convolution


@dataclass(frozen=True)
class Architecture:
    """All that both parties know of a network.

    ``layers``: in order; ``activation``: between them; ``scales``: w_rms of each layer where the server makes it
    public, None where it does not. Raises DataError, naming the layer, where the scales are needed and not given.
    """

    layers: tuple[LayerKind, ...]
    activation: Activation = "relu"
    scales: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        reason = scale_dependence(self.layers, self.activation)
        if self.scales is None and reason is not None:
            raise DataError(f"{reason}, and the scale of the weights is not public", "Ask the server for it.")
        if self.scales is not None and len(self.scales) != len(self.layers):
            raise DataError(f"{len(self.scales)} scales for {len(self.layers)} layers", "Give one a layer.")

    def factor(self, index: int, length: float) -> float:
        """What turns the normalised products with a vector of this length into the numbers that the layer needs.

        1 where any positive factor will do: a layer that is sent once, without public scale. The patches of a
        convolution need their lengths, to have one scale among them; with w_rms the products are absolute.
        """
        if self.scales is not None:
            return length * self.scales[index]
        return length if self.layers[index].transmissions > 1 else 1.0

    def following(self, index: int, products: npt.NDArray[Real]) -> npt.NDArray[Real]:
        """Data of the next layer, (given,), from all products of layer ``index``, (P, rows); scores after the last."""
        last = index == len(self.layers) - 1
        found = self.layers[index].gather((products if last else activate(products, self.activation))[None])
        return found.reshape(-1)


def activate(products: npt.NDArray[Real], activation: str) -> npt.NDArray[Real]:
    """The activation, element by element. Raises DataError for one that is not in ACTIVATIONS."""
    if activation == "relu":
        return np.asarray(np.maximum(products, products.dtype.type(0)))
    if activation == "tanh":
        return np.asarray(np.tanh(products))
    if activation == "sigmoid":
        return np.asarray((1 + np.tanh(products / 2)) / 2)
    raise DataError(f"unknown activation {activation!r}", f"Use one of {', '.join(ACTIVATIONS)}.")


def scale_dependence(layers: Sequence[LayerKind], activation: str) -> str | None:
    """Why these layers need the absolute scale of their products, naming the first such layer; None if they do not.

    Light carries normalised vectors: products are known up to w_rms (the client knows the length of its own vectors).
    The classes do not depend on that factor if nothing but ReLU follows a product and no layer has a bias. A bias of
    the first layer does no harm: the client has the scale of its own data.
    """
    for index, layer in enumerate(layers):
        if layer.bias and index > 0:
            return f"layer {index} has a bias"
        if activation != "relu" and index < len(layers) - 1:
            return f"layer {index} is followed by {activation!r}"
    return None


def _with_ones(vectors: npt.NDArray[Real], bias: bool) -> npt.NDArray[Real]:
    if not bias:
        return vectors
    ones = np.ones((*vectors.shape[:-1], 1), dtype=vectors.dtype)
    return np.concatenate([vectors, ones], axis=-1)
