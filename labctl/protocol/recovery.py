"""A server that looks for the data in what comes back (docs/physics.md, section 7).

The client's amplifier leaves its noise in the mode b that it measured: the residual of a row is a
complex random number times z, plus vacuum. All M rows of a layer are measured with the same z, so
their n x n covariance has one large eigenvalue, and its eigenvector is z up to a phase. That is the
spiked covariance model behind the journal's bound on the data (PRX 15, 041056); how well the
eigenvector agrees with z for large n and M is Baik, Ben Arous and Péché's and Paul's classical
result.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from labctl.errors import ConfigError, ProtocolError
from labctl.protocol.estimation import Receiver

Complex = npt.NDArray[np.complex128]


def complex_residuals(launched: npt.NDArray[np.floating], received: npt.NDArray[np.floating]) -> Complex:
    """(r_X + i r_P) - t̂ (s_X + i s_P) of every mode, shape (rows, modes), in √SNU.

    ``launched``, ``received``: s and r, shape (2, rows, modes), X first. t̂ = Σ s r/Σ s², real, over all
    of them. Raises ProtocolError for other shapes, or if nothing was launched.
    """
    if launched.shape != received.shape or launched.ndim != 3 or len(launched) != 2:
        raise ProtocolError(f"launched quadratures {launched.shape} do not fit samples {received.shape}")
    s, r = launched.astype(np.float64), received.astype(np.float64)
    squared = float(np.vdot(s, s))
    if squared == 0:
        raise ProtocolError("nothing was launched, so there is no residual")
    rest = r - float(np.vdot(s, r)) / squared * s
    return np.asarray(rest[0] + 1j * rest[1])


def leading_mode(residuals: Complex) -> Complex:
    """The eigenvector ẑ of the residuals' covariance with the largest eigenvalue, shape (modes,), norm 1,
    up to a phase."""
    covariance = residuals.T @ residuals.conj() / len(residuals)
    return np.asarray(np.linalg.eigh(covariance)[1][:, -1])


def overlap(found: Complex, mode: Complex) -> float:
    """|<ẑ,z>|² of two vectors of norm 1."""
    return float(abs(np.vdot(found, mode)) ** 2)


def spike(receiver: Receiver, returned_excess: float) -> float:
    """g_e = κ η T_b n_sp g/σ0²: noise of mode b in units of the receiver's own.

    ``returned_excess``: T_b n_sp g at the receiver's input, SNU.
    """
    return receiver.coupling * returned_excess / receiver.sigma0_sq


def expected_overlap(strength: float, rows: int, modes: int) -> float:
    """E |<ẑ,z>|² for g_e = ``strength`` and γ = n/M: (1 - γ/g_e²)/(1 + γ/g_e) above the threshold
    g_e > √γ, else 1/n, as of a random vector.

    Exact for n and M to infinity. Raises ConfigError for a negative strength or an empty layer.
    """
    if strength < 0 or rows < 1 or modes < 1:
        raise ConfigError(f"recovery from {rows} rows of {modes} modes, g_e = {strength}", "Give positive numbers.")
    ratio = modes / rows
    if strength <= math.sqrt(ratio):
        return 1 / modes
    return max((1 - ratio / strength**2) / (1 + ratio / strength), 1 / modes)


def overlap_bound(data_bits: float) -> float:
    """1 - 2^(-2 I_x): the share of the data's variance that I_x bits a symbol can tell of (journal)."""
    return -math.expm1(-2 * data_bits * math.log(2))


def as_data(found: Complex) -> npt.NDArray[np.float64]:
    """The real data vector x̂ that ẑ stands for, shape (2 modes,), padding included.

    The phase, of which the residuals tell nothing, is chosen so that Σ x̂ is largest: pixels are not
    negative.
    """
    total = complex(found.sum() * (1 - 1j))
    turned = found * (abs(total) / total if total else 1.0)
    return np.ascontiguousarray(turned).view(np.float64)
