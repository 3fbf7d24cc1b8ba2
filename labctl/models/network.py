"""The network itself and its digital reference.

A ReLU network without biases is positively homogeneous, so the protocol may normalise the data of every layer and never
needs an absolute scale. Biases and other activations need it, and are refused unless the owner of the weights makes
w_rms of each layer public (docs/physics.md, section 2).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import cast

import numpy as np
import numpy.typing as npt

from labctl.datasets import Dataset
from labctl.errors import DataError
from labctl.protocol.encoding import weight_rms
from labctl.protocol.layers import (
    ACTIVATIONS,
    Activation,
    Architecture,
    Convolution,
    Dense,
    LayerKind,
    activate,
    scale_dependence,
)

MAX_LAYERS = 64
MAX_WEIGHTS = 2**26
"""Cap on the number of weights of one network (784-784-10 has 622,496)."""

Matrix = npt.NDArray[np.float32]

_CHAIN_REMEDY = "Store one matrix (outputs, inputs) a layer, each taking what the one before gives."


@dataclass(frozen=True, eq=False)
class Network:
    """Weights of a network, and how its layers hang together.

    Parameters
    ----------
    name:
        What the network is called in run files.
    weights:
        One float32 matrix (rows, weights of a row) a layer; kept read-only. A convolution's rows are its filters; a
        bias is the last weight of its row.
    activation:
        Between layers (not after the last one): ``relu``, ``tanh`` or ``sigmoid``.
    metadata:
        Text about its origin: training seed, data set, ``clean_accuracy``.
    layers:
        What each layer does with its matrix; left out: all dense, without biases.
    public_scale:
        Whether the owner of the weights tells the client w_rms of each layer.

    Raises
    ------
    DataError
        No layer, shapes that do not chain, a weight that is not finite, a layer that is all zero,
        too large, layers that need an absolute scale which is not public, or a ``clean_accuracy`` that is none.
    """

    name: str
    weights: tuple[Matrix, ...]
    activation: str = "relu"
    metadata: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[LayerKind, ...] = ()
    public_scale: bool = False

    def __post_init__(self) -> None:
        _check_matrices(self.name, self.weights)
        if not self.layers:
            dense = tuple(Dense(matrix.shape[1], matrix.shape[0]) for matrix in self.weights)
            object.__setattr__(self, "layers", dense)
        _check_chain(self.name, self.weights, self.layers)
        self._check_scale()
        for layer, matrix in enumerate(self.weights):
            _check_values(self.name, layer, matrix)
        object.__setattr__(self, "weights", tuple(_read_only(matrix) for matrix in self.weights))
        object.__setattr__(self, "metadata", dict(self.metadata))
        _ = self.clean_accuracy

    def _check_scale(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise DataError(
                f"network {self.name}: activation {self.activation!r} is not known",
                f"Use one of {', '.join(ACTIVATIONS)}.",
            )
        reason = scale_dependence(self.layers, self.activation)
        if reason is not None and not self.public_scale:
            raise DataError(
                f"network {self.name}: {reason}, which is refused: the light carries normalised data, and only ReLU "
                "without biases gives the same classes whatever the scale",
                "Train the network with ReLU between its layers and no biases, or make the scale of its weights "
                'public (metadata public_scale = "true").',
            )

    @property
    def scales(self) -> tuple[float, ...] | None:
        """w_rms of each layer, if it is public."""
        return tuple(weight_rms(matrix) for matrix in self.weights) if self.public_scale else None

    @property
    def architecture(self) -> Architecture:
        """What the client may know."""
        return Architecture(self.layers, cast(Activation, self.activation), self.scales)

    @property
    def layer_shapes(self) -> tuple[tuple[int, int], ...]:
        """(rows, weights of a row) of every layer."""
        return tuple((matrix.shape[0], matrix.shape[1]) for matrix in self.weights)

    @property
    def inputs(self) -> int:
        """Length of the data vector of the first layer."""
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return self.layers[-1].given

    @cached_property
    def digest(self) -> str:
        """SHA-256 of shapes and float32 weights, hexadecimal: the same weights under another name have the same.

        A convolution's geometry counts as well: over other patches the same filters are another layer.
        """
        found = hashlib.sha256()
        for layer, matrix in zip(self.layers, self.weights, strict=True):
            found.update(f"{matrix.shape[0]}x{matrix.shape[1]}:".encode())
            if isinstance(layer, Convolution):
                sizes = (layer.channels, layer.height, layer.width, layer.kernel, layer.stride, layer.pool, layer.bias)
                found.update(f"convolution {' '.join(str(int(size)) for size in sizes)}:".encode())
            found.update(matrix.astype("<f4").tobytes())
        return found.hexdigest()

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
        values = images
        last = len(self.weights) - 1
        with np.errstate(over="ignore", invalid="ignore"):
            for index, (layer, matrix) in enumerate(zip(self.layers, self.weights, strict=True)):
                vectors = layer.vectors(values)
                products = (vectors.reshape(-1, vectors.shape[-1]) @ matrix.T).reshape(*vectors.shape[:-1], -1)
                values = layer.gather(products if index == last else activate(products, self.activation))
        scores = values
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


def _check_matrices(name: str, weights: Sequence[Matrix]) -> None:
    if not 1 <= len(weights) <= MAX_LAYERS:
        raise DataError(f"network {name}: {len(weights)} layers, not 1 to {MAX_LAYERS}", _CHAIN_REMEDY)
    for layer, matrix in enumerate(weights):
        if matrix.ndim != 2 or 0 in matrix.shape or matrix.dtype != np.float32:
            raise DataError(
                f"network {name}: layer {layer} is {matrix.dtype} {matrix.shape}, not a float32 matrix",
                _CHAIN_REMEDY,
            )
    total = sum(matrix.size for matrix in weights)
    if total > MAX_WEIGHTS:
        raise DataError(f"network {name}: {total} weights, over the cap of {MAX_WEIGHTS}", _CHAIN_REMEDY)


def _check_chain(name: str, weights: Sequence[Matrix], layers: Sequence[LayerKind]) -> None:
    """Each layer takes what the one before gives, and has the matrix that it says."""
    if len(layers) != len(weights):
        raise DataError(f"network {name}: {len(layers)} layers described, {len(weights)} matrices", _CHAIN_REMEDY)
    for index, (layer, matrix) in enumerate(zip(layers, weights, strict=True)):
        if matrix.shape != layer.shape:
            raise DataError(
                f"network {name}: layer {index} is a matrix {matrix.shape}, described as {layer.shape}", _CHAIN_REMEDY
            )
    for index, (before, after) in enumerate(pairwise(layers)):
        if after.inputs != before.given:
            raise DataError(
                f"network {name}: layer {index} gives {before.given} values, layer {index + 1} takes {after.inputs}",
                _CHAIN_REMEDY,
            )


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
