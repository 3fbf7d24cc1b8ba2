"""The client's arithmetic between the layers (docs/physics.md, sections 2, 3 and 5).

Everything starts from the measured samples; the products are known up to the positive factor
w_rms/‖x‖, which a ReLU network without biases does not need. What follows them is in
:mod:`labctl.protocol.layers`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labctl.errors import ConfigError, GateError, ProtocolError
from labctl.protocol.encoding import DataMode

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Readout:
    """Public constants that turn the client's samples into normalised products.

    Parameters
    ----------
    gain:
        Agreed amplifier gain G > 1.
    mean_photons:
        μ, photons per mode at launch.
    transmittance_in:
        T_in in (0, 1], launch to amplifier.
    efficiency:
        η_c in (0, 1] of the client's receiver.

    Raises
    ------
    ConfigError
        A value outside its range; G = 1 measures nothing.
    """

    gain: float
    mean_photons: float
    transmittance_in: float = 1.0
    efficiency: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gain) and self.gain > 1):
            raise ConfigError(f"gain is {self.gain}: nothing to measure", "Give a gain above 1.")
        if not (math.isfinite(self.mean_photons) and self.mean_photons > 0):
            raise ConfigError(f"mean_photons is {self.mean_photons}", "Give a positive number.")
        for name in ("transmittance_in", "efficiency"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise ConfigError(f"client's {name} is {value}", "Give a value within (0, 1].")

    @property
    def scale(self) -> float:
        """sqrt(η_c (G-1) 2μ T_in): mean sample in sqrt(SNU) per unit of normalised product."""
        return math.sqrt(self.efficiency * (self.gain - 1) * 2 * self.mean_photons * self.transmittance_in)


def normalised_products(samples: npt.ArrayLike, readout: Readout, mode: DataMode) -> Floats:
    """Estimates ŷ of <x̂, w>/w_rms, one a row: ŷ = r/sqrt(η_c (G-1) 2μ T_in).

    Parameters
    ----------
    samples:
        r, shape (m,): the client's measured quadratures in sqrt(SNU) of its own receiver.
    mode:
        The data mode that was measured. For zero data the products are 0, whatever was measured.

    Returns
    -------
    float64, shape (m,).

    Raises
    ------
    ProtocolError
        Not a vector.
    GateError
        A sample that is not finite.
    """
    measured = np.asarray(samples, dtype=np.float64)
    if measured.ndim != 1 or measured.size == 0:
        raise ProtocolError(f"client's samples have shape {measured.shape}, not one a row")
    if not np.isfinite(measured).all():
        raise GateError(
            "the client's receiver gave a sample that is not finite",
            "Check the client's receiver and its digitizer.",
        )
    if mode.is_zero:
        return np.zeros_like(measured)
    return measured / readout.scale


def predict_class(products: Floats) -> int:
    """Index of the largest product of the last layer; the lowest wins a tie (all dead: 0)."""
    return int(np.argmax(products))
