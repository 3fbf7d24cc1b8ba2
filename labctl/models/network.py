"""The network itself and its digital reference.

Only ReLU without biases: such a network is positively homogeneous, so the protocol may normalise
the data of every layer and never needs an absolute scale (docs/physics.md, section 2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from labctl.datasets import Dataset
from labctl.errors import DataError

MAX_LAYERS = 64
MAX_WEIGHTS = 2**26
"""Cap on the number of weights of one network (784-784-10 has 622,496)."""

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Network:
    """Weights of a multi-layer perceptron without biases.

    Parameters
    ----------
    name:
        What the network is called in run files.
    weights:
        One float32 matrix (m_l, d_l) a layer, d_{l+1} = m_l; kept read-only.
    activation:
        Between layers (not after the last one). Only ``relu``.
    metadata:
        Text about its origin: training seed, data set, ``clean_accuracy``.

    Raises
    ------
    DataError
        No layer, shapes that do not chain, a weight that is not finite, a layer that is all zero,
        too large, an activation that needs an absolute scale, or a ``clean_accuracy`` that is none.
    """

    name: str
    weights: tuple[Matrix, ...]
    activation: str = "relu"
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.activation != "relu":
            raise DataError(
                f"network {self.name}: activation {self.activation!r} is refused: "
                "the light carries normalised data, and only ReLU gives the same classes "
                "whatever the scale",
                "Train the network with ReLU between its layers and no biases.",
            )
        _check_sizes(self.name, self.weights)
        for layer, matrix in enumerate(self.weights):
            _check_values(self.name, layer, matrix)
        object.__setattr__(self, "weights", tuple(_read_only(matrix) for matrix in self.weights))
        object.__setattr__(self, "metadata", dict(self.metadata))
        _ = self.clean_accuracy

    @property
    def layer_shapes(self) -> tuple[tuple[int, int], ...]:
        """(m_l, d_l) of every layer: outputs, inputs."""
        return tuple((matrix.shape[0], matrix.shape[1]) for matrix in self.weights)

    @property
    def inputs(self) -> int:
        """Length of the data vector of the first layer."""
        return self.layer_shapes[0][1]

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return self.layer_shapes[-1][0]

    @property
    def clean_accuracy(self) -> float | None:
        """Test accuracy without optical noise, as the metadata state it; None if they do not."""
        text = self.metadata.get("clean_accuracy")
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0.0 <= value <= 1.0:
            raise DataError(
                f"network {self.name}: clean_accuracy {text!r} is not a number in 0..1",
                "Correct the metadata of the model file.",
            )
        return value

    def forward(self, images: Matrix) -> Matrix:
        """Scores without any optics: the digital reference.

        Parameters
        ----------
        images:
            float32, shape (N, d_0).

        Returns
        -------
        float32, shape (N, outputs): the last layer's products.

        Raises
        ------
        DataError
            Wrong shape, or products beyond the range of float32.
        """
        if images.ndim != 2 or images.shape[1] != self.inputs:
            raise DataError(
                f"network {self.name}: images of shape {images.shape}, it takes (N, {self.inputs})",
                "Choose a data set and a network that fit.",
            )
        hidden = images
        with np.errstate(over="ignore", invalid="ignore"):
            for matrix in self.weights[:-1]:
                hidden = np.maximum(hidden @ matrix.T, np.float32(0))
            scores = hidden @ self.weights[-1].T
        if not np.isfinite(scores).all():
            raise DataError(
                f"network {self.name}: its products overflow float32",
                "Scale its weights down: the classes stay the same.",
            )
        return scores

    def predict(self, images: Matrix) -> npt.NDArray[np.int64]:
        """Class with the highest score, shape (N,); the lowest class wins a tie."""
        classes: npt.NDArray[np.int64] = np.argmax(self.forward(images), axis=1)
        return classes

    def accuracy(self, images: Matrix, labels: npt.NDArray[np.int64]) -> float:
        """Fraction of images (N, d_0) whose predicted class is the label (N,)."""
        return float(np.mean(self.predict(images) == labels))


def check_fits(network: Network, dataset: Dataset) -> None:
    """Raise :class:`DataError` unless the network takes these images and has these classes."""
    pixels = dataset.images.shape[1]
    if network.inputs != pixels:
        raise DataError(
            f"network {network.name} takes {network.inputs} inputs, data set {dataset.name} has {pixels} pixels",
            "Choose a data set and a network that fit.",
        )
    if network.outputs != dataset.classes:
        raise DataError(
            f"network {network.name} has {network.outputs} outputs, data set {dataset.name} {dataset.classes} classes",
            "Choose a data set and a network that fit (an .npz file may state its `classes`).",
        )


def _check_sizes(name: str, weights: tuple[Matrix, ...]) -> None:
    remedy = "Store one matrix (outputs, inputs) a layer, each taking what the one before gives."
    if not 1 <= len(weights) <= MAX_LAYERS:
        raise DataError(f"network {name}: {len(weights)} layers, not 1 to {MAX_LAYERS}", remedy)
    for layer, matrix in enumerate(weights):
        if matrix.ndim != 2 or 0 in matrix.shape or matrix.dtype != np.float32:
            raise DataError(
                f"network {name}: layer {layer} is {matrix.dtype} {matrix.shape}, not a float32 matrix",
                remedy,
            )
    for layer, (before, after) in enumerate(pairwise(weights)):
        if after.shape[1] != before.shape[0]:
            raise DataError(
                f"network {name}: layer {layer} gives {before.shape[0]} values, "
                f"layer {layer + 1} takes {after.shape[1]}",
                remedy,
            )
    total = sum(matrix.size for matrix in weights)
    if total > MAX_WEIGHTS:
        raise DataError(f"network {name}: {total} weights, over the cap of {MAX_WEIGHTS}", remedy)


def _check_values(name: str, layer: int, matrix: Matrix) -> None:
    remedy = "Train the network again, or restore the model file."
    if not np.isfinite(matrix).all():
        raise DataError(f"network {name}: layer {layer} holds a weight that is not finite", remedy)
    if not matrix.any():
        raise DataError(f"network {name}: layer {layer} is all zero: no light to send", remedy)


def _read_only(matrix: Matrix) -> Matrix:
    view = np.ascontiguousarray(matrix).view()
    view.flags.writeable = False
    return view
