"""From real weights and data to optical modes (docs/physics.md, section 2).

Two real numbers share one mode: the first in the X, the second in the P quadrature. Shot-noise
units, X = a + a†: a coherent state |α> has <X> = 2 Re α and <P> = 2 Im α.

The client's mode is b = Σ z_k* a_k, so <X_b> = sqrt(2μ) <x̂, w>/w_rms: one quadrature of one mode
carries the inner product of a row of weights with the data (PRX 15, 041056, the encoding of a layer
into coherent states and the client's linear transformation).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from labctl.errors import ConfigError, DataError, ProtocolError


def modes_per_row(inputs: int) -> int:
    """Number n = ceil(d/2) of modes that a row of d real weights takes; an odd d is padded with one
    0.

    Raises ConfigError for d < 1.
    """
    if inputs < 1:
        raise ConfigError(f"a layer of {inputs} inputs", "Give every layer at least one input.")
    return (inputs + 1) // 2


def weight_rms(weights: npt.ArrayLike) -> float:
    """Root mean square of a layer's weights, padding counted: w_rms² = Σ w²/(2 n m).

    Parameters
    ----------
    weights:
        Shape (m, d).

    Raises
    ------
    ProtocolError
        Not a matrix.
    DataError
        A weight that is not finite, or none that differs from zero: there is no light to scale.
    """
    matrix = np.asarray(weights, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] < 1:
        raise ProtocolError(f"weights of shape {matrix.shape} are no matrix (outputs, inputs)")
    padded = 2 * modes_per_row(matrix.shape[1]) * matrix.shape[0]
    largest = float(np.max(np.abs(matrix)))
    if not (math.isfinite(largest) and largest > 0):
        raise DataError(
            "the weights of a layer are all zero or not finite",
            "Train the network again, or restore the model file.",
        )
    return largest * math.sqrt(float(np.sum((matrix / largest) ** 2)) / padded)


def modulation_variance(mean_photons: float) -> float:
    """V_A = 2μ in shot-noise units: variance per quadrature of the launched amplitudes over a
    layer.

    Raises ConfigError unless the mean photon number per mode μ is positive and finite.
    """
    if not (math.isfinite(mean_photons) and mean_photons > 0):
        raise ConfigError(f"mean_photons is {mean_photons}", "Give a positive mean photon number per mode.")
    return 2 * mean_photons


@overload
def pack_rows(weights: npt.ArrayLike, mean_photons: float) -> npt.NDArray[np.complex64]: ...
@overload
def pack_rows(
    weights: npt.ArrayLike, mean_photons: float, dtype: type[np.complex128]
) -> npt.NDArray[np.complex128]: ...
def pack_rows(
    weights: npt.ArrayLike,
    mean_photons: float,
    dtype: type[np.complex64] | type[np.complex128] = np.complex64,
) -> npt.NDArray[np.complexfloating[Any, Any]]:
    """Amplitudes to launch for one layer.

    α_k = s (w_2k + i w_2k+1) with s = sqrt(μ/2)/w_rms: the mean photon number per mode over the
    layer is μ. Reckoned in float64, returned as ``dtype``.

    Parameters
    ----------
    weights:
        Shape (m, d), real.
    mean_photons:
        μ, photons per mode at launch, averaged over the layer.
    dtype:
        complex64 (what a modulator takes) or complex128.

    Returns
    -------
    Shape (m, ceil(d/2)), in sqrt(photons).

    Raises
    ------
    ConfigError, DataError, ProtocolError
        As :func:`modulation_variance` and :func:`weight_rms`.
    """
    modulation_variance(mean_photons)
    scale = math.sqrt(mean_photons / 2) / weight_rms(weights)
    matrix = np.asarray(weights, dtype=np.float64)
    rows, inputs = matrix.shape
    padded = np.zeros((rows, 2 * modes_per_row(inputs)))
    np.multiply(matrix, scale, out=padded[:, :inputs])
    return padded.view(np.complex128).astype(dtype, copy=False)


def launched_quadratures(
    amplitudes: npt.NDArray[np.complexfloating[Any, Any]],
) -> npt.NDArray[np.floating[Any]]:
    """(X, P) = (2 Re α, 2 Im α) in sqrt(SNU), shape (2, m, n), in the precision of α (m, n).

    The first axis is that of a receiver's record (quadratures, rows, modes); a homodyne receiver
    takes ``[:1]``.
    """
    return 2 * np.stack([amplitudes.real, amplitudes.imag])


@dataclass(frozen=True, eq=False)
class DataMode:
    """The optical mode that holds the inner products with one data vector.

    ``z``: complex128, shape (n,), Σ|z_k|² = 1. ``norm``: ‖x‖ of the data before normalisation.
    ``is_zero``: the data were all zero; ``z`` is then the fixed mode (1, 0, ..., 0) and the layer's
    products are 0 by definition.
    """

    z: npt.NDArray[np.complex128]
    norm: float
    is_zero: bool


def pack_data(data: npt.ArrayLike) -> DataMode:
    """Unit vector z_k = x̂_2k + i x̂_2k+1 of data x, with x̂ = x/‖x‖.

    Parameters
    ----------
    data:
        Real, shape (d,).

    Raises
    ------
    ProtocolError
        Not a vector.
    DataError
        A value that is not finite.
    """
    vector = np.asarray(data, dtype=np.float64)
    if vector.ndim != 1:
        raise ProtocolError(f"data of shape {vector.shape} are no vector")
    padded = np.zeros(2 * modes_per_row(vector.size))
    padded[: vector.size] = vector
    largest = float(np.max(np.abs(padded)))
    if not math.isfinite(largest):
        raise DataError("the data hold a value that is not finite", "Check the data set.")
    if largest == 0:
        padded[0] = 1.0
        return DataMode(padded.view(np.complex128), 0.0, True)
    padded /= largest
    length = float(np.linalg.norm(padded))
    return DataMode((padded / length).view(np.complex128), largest * length, False)
