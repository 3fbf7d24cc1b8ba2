"""What the server estimates from the light that comes back (docs/physics.md, section 5).

Model of one real sample, in sqrt(SNU) of the receiver's own shot noise: r = sqrt(κηT) s + noise of
variance σ0² + κηε, where s is the launched quadrature, κ = 1 for a homodyne and 1/2 for a
dual-quadrature receiver, η and σ0² = 1 + v_el the receiver's trusted constants; T and ε are those
of the light at the receiver's input (PRX 15, 041056, the server's check of the returned light).

Only four sums of a layer are needed, so that a caller accumulates them as the light arrives and
keeps no samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labctl.errors import ConfigError, GateError, ProtocolError

MIN_SAMPLES = 32
"""Fewer samples give no interval worth the name."""

_BLOCK = 2048
_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Receiver:
    """Trusted constants of the server's receiver.

    Parameters
    ----------
    kappa:
        1 (homodyne) or 1/2 (dual quadrature).
    efficiency:
        η in (0, 1].
    sigma0_sq:
        σ0² = 1 + v_el in SNU: calibrated variance without returned light, digitizer noise included.
    calibration_samples:
        N0 samples behind σ0² and the shot-noise unit, which come from one vacuum record; infinite if they are taken
        as exact. Their errors are common to all estimates.
    efficiency_se:
        Standard error of η.

    Raises
    ------
    ConfigError
        A constant outside its range.
    """

    kappa: float
    efficiency: float = 1.0
    sigma0_sq: float = 1.0
    calibration_samples: float = math.inf
    efficiency_se: float = 0.0

    def __post_init__(self) -> None:
        remedy = "Calibrate the server's receiver again."
        if self.kappa not in (0.5, 1.0):
            raise ConfigError(f"receiver kappa is {self.kappa}", "It is 1 or 0.5.")
        if not 0 < self.efficiency <= 1:
            raise ConfigError(f"receiver efficiency is {self.efficiency}", remedy)
        if not (math.isfinite(self.sigma0_sq) and self.sigma0_sq > 0):
            raise ConfigError(f"receiver variance sigma0_sq is {self.sigma0_sq} SNU", remedy)
        if not self.calibration_samples >= MIN_SAMPLES:
            raise ConfigError(f"{self.calibration_samples} calibration samples", remedy)
        if not (math.isfinite(self.efficiency_se) and self.efficiency_se >= 0):
            raise ConfigError(f"receiver efficiency_se is {self.efficiency_se}", remedy)

    @property
    def coupling(self) -> float:
        """κη: variance at the detector per SNU of excess noise at the receiver's input."""
        return self.kappa * self.efficiency

    @property
    def excess_se(self) -> float:
        """sqrt(2/N0) σ0²/(κη): standard error of every ε̂ from the calibration, SNU."""
        return math.sqrt(2 / self.calibration_samples) * self.sigma0_sq / self.coupling

    @property
    def unit_relative_se(self) -> float:
        """Relative standard error of the shot-noise unit, the vacuum record's variance less a dark one's of as many
        samples: sqrt(2/N0) sqrt(σ0⁴ + (σ0² - 1)²).
        """
        return math.sqrt(2 / self.calibration_samples) * math.hypot(self.sigma0_sq, max(self.sigma0_sq - 1, 0.0))


@dataclass(frozen=True)
class ResidualSums:
    """Sums over real samples: number N, Σs², Σsr, Σr² (SNU). Add them only where t is the same.

    ``turned``, ``stretches``: Σ q²/S of stretches of some rows, which tells how far their phase is off
    (:mod:`labctl.protocol.returned`), and how many these were; none where nobody looked.
    """

    n_samples: int = 0
    ss: float = 0.0
    sr: float = 0.0
    rr: float = 0.0
    turned: float = 0.0
    stretches: int = 0

    def __add__(self, other: ResidualSums) -> ResidualSums:
        return ResidualSums(
            self.n_samples + other.n_samples,
            self.ss + other.ss,
            self.sr + other.sr,
            self.rr + other.rr,
            self.turned + other.turned,
            self.stretches + other.stretches,
        )


def residual_sums(
    launched: npt.NDArray[np.generic],
    received: npt.NDArray[np.generic],
    *,
    launched_unit: float = 1.0,
    received_unit: float = 1.0,
    launched_squared: float | None = None,
) -> ResidualSums:
    """Sums of one layer, or of a part of it.

    Rows of float32 or of codes up to 16 bits are multiplied in float32, in blocks of at most 2048,
    and added up in float64: σ̂² then differs from the float64 result by less than 1e-7 of itself
    for a 784 x 784 layer (614,656 samples) at the modulations of interest. Wider types are reckoned
    in float64.

    Parameters
    ----------
    launched, received:
        s and r, alike in shape (..., rows, k), real or integer codes.
    launched_unit, received_unit:
        sqrt(SNU) per unit of the arrays (for codes without offset).
    launched_squared:
        Σs² in SNU if known from an earlier image of the same layer, to save time.

    Raises
    ------
    ProtocolError
        Shapes differ, or complex arrays.
    GateError
        A sum is not finite: some sample was not.
    """
    if launched.shape != received.shape or launched.ndim == 0:
        raise ProtocolError(f"launched quadratures {launched.shape} do not fit samples {received.shape}")
    ss, sr, rr = 0.0, 0.0, 0.0
    known = launched_squared is not None
    for s_plane, r_plane in zip(_planes(launched), _planes(received), strict=True):
        for first in range(0, len(s_plane), _BLOCK_ROWS):
            s, r = _rows(s_plane[first : first + _BLOCK_ROWS]), _rows(r_plane[first : first + _BLOCK_ROWS])
            ss += 0.0 if known else _dot(s, s)
            sr += _dot(s, r)
            rr += _dot(r, r)
    sums = ResidualSums(
        received.size,
        ss * launched_unit**2 if launched_squared is None else launched_squared,
        sr * launched_unit * received_unit,
        rr * received_unit**2,
    )
    if not math.isfinite(sums.ss + sums.sr + sums.rr):
        raise GateError(
            "the server's receiver gave a sample that is not finite",
            "Check the server's receiver and its digitizer.",
        )
    return sums


def _planes(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """The same as (planes, rows, k)."""
    if values.ndim < 3:
        return np.atleast_2d(values)[np.newaxis]
    return values.reshape(-1, *values.shape[-2:]) if values.ndim > 3 else values


def _rows(values: npt.NDArray[np.generic]) -> npt.NDArray[np.floating]:
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind == "c":
        raise ProtocolError("quadratures are real: launched_quadratures() gives them")
    narrow = (kind in "iu" and size <= 2) or (kind == "f" and size <= 4)
    return values.astype(np.float32 if narrow else np.float64, copy=False)


def _dot(left: npt.NDArray[np.floating], right: npt.NDArray[np.floating]) -> float:
    """Σ of products: by rows and blocks in the arrays' precision, then in float64."""
    total = 0.0
    for first in range(0, left.shape[-1], _BLOCK):
        block = slice(first, first + _BLOCK)
        total += float(np.vecdot(left[..., block], right[..., block]).sum(dtype=np.float64))
    return total


@dataclass(frozen=True)
class Estimate:
    """Unbiased estimates from N real samples, or the sample-weighted mean of several (see
    :func:`pool`).

    ``amplitude``: t̂ = sqrt(κηT) estimated. ``noise``: σ̂² in SNU. ``transmittance``, ``excess``
    (SNU): T̂ and ε̂ at the receiver's input, neither clamped. ``*_se``: standard errors; that of ε̂
    has a statistical part, which averages out over images, and one of the calibration, which does
    not.
    """

    samples: int
    amplitude: float
    noise: float
    transmittance: float
    transmittance_se: float
    excess: float
    excess_se_statistical: float
    excess_se_calibration: float

    @property
    def excess_se(self) -> float:
        """sqrt(2σ̂⁴/N + 2σ0⁴/N0)/(κη), SNU."""
        return math.hypot(self.excess_se_statistical, self.excess_se_calibration)


def estimate(sums: ResidualSums, receiver: Receiver) -> Estimate:
    """T̂ and ε̂ of one layer of one image.

    t̂ = Σsr/Σs²; σ̂² = Σ(r - t̂ s)²/(N - 1), one degree of freedom being spent on t̂; ε̂ = (σ̂² -
    σ0²)/(κη), never divided by T; T̂ = (t̂² - σ̂²/Σs²)/(κη). The last term is the bias SE(t̂)² of
    t̂²: small against SE(T̂) in one image (8e-7 against 0.002 for a 784 x 784 layer, 6e-5 against
    0.016 for 784 -> 10, at μ = 2), but it would not average out over thousands of them. SE(T̂)² =
    (4 t² SE(t̂)² + 2 SE(t̂)⁴)/(κη)², with t² = t̂² - SE(t̂)² or 0 if that is negative.

    Standard errors take the noise as equal in all modes. The honest excess sits in one of n: that
    adds (κηg)²/n of itself to the variance of ε̂, at most 1 % for n = 32.

    Raises
    ------
    GateError
        Sums that are not finite, fewer than 32 samples, nothing launched (Σs² = 0), or no noise
        left (σ̂² <= 0): shot noise is missing.
    """
    _check_sums(sums)
    amplitude = sums.sr / sums.ss
    noise = (sums.rr - amplitude * sums.sr) / (sums.n_samples - 1)
    if not noise > 0:
        raise GateError(
            f"the returned light has variance {noise} SNU: shot noise is missing",
            "Check the local oscillator and the receiver, then calibrate the shot noise again.",
        )
    coupling = receiver.coupling
    variance = noise / sums.ss
    squared = max(amplitude**2 - variance, 0.0)
    return Estimate(
        samples=sums.n_samples,
        amplitude=amplitude,
        noise=noise,
        transmittance=(amplitude**2 - variance) / coupling,
        transmittance_se=math.sqrt(4 * squared * variance + 2 * variance**2) / coupling,
        excess=(noise - receiver.sigma0_sq) / coupling,
        excess_se_statistical=math.sqrt(2 / (sums.n_samples - 1)) * noise / coupling,
        excess_se_calibration=receiver.excess_se,
    )


def _check_sums(sums: ResidualSums) -> None:
    if not all(math.isfinite(value) for value in (sums.ss, sums.sr, sums.rr)):
        raise GateError("the residual sums are not finite", "Check the server's receiver.")
    if sums.n_samples < MIN_SAMPLES:
        raise GateError(
            f"{sums.n_samples} samples are too few for an estimate of the excess noise",
            f"Use layers of at least {MIN_SAMPLES} real samples.",
        )
    if not sums.ss > 0:
        raise GateError("nothing was launched (sum of s² is 0)", "Check the server's modulator.")


def pool(estimates: Iterable[Estimate]) -> Estimate:
    """Mean weighted by samples: the run's value from layers and images, each with a t of its own.

    Statistical errors are independent and average out; the calibration's is the same in all and
    stays. Pooling is associative, so a run may carry on with ``pool([so_far, new])``. Compare with
    :func:`weighted_mean` of what is expected of each layer.

    Raises GateError if there is nothing to pool.
    """
    parts = list(estimates)
    weights = [part.samples for part in parts]
    total = sum(weights)

    def mean(value: Callable[[Estimate], float]) -> float:
        return weighted_mean([value(part) for part in parts], weights)

    def independent(error: Callable[[Estimate], float]) -> float:
        return math.hypot(*(part.samples * error(part) for part in parts)) / total

    return Estimate(
        samples=total,
        amplitude=mean(lambda part: part.amplitude),
        noise=mean(lambda part: part.noise),
        transmittance=mean(lambda part: part.transmittance),
        transmittance_se=independent(lambda part: part.transmittance_se),
        excess=mean(lambda part: part.excess),
        excess_se_statistical=independent(lambda part: part.excess_se_statistical),
        excess_se_calibration=mean(lambda part: part.excess_se_calibration),
    )


def weighted_mean(values: Sequence[float], samples: Sequence[int]) -> float:
    """Σ N v/Σ N: e.g. the excess noise expected of a run from that of its layers, weighted as
    :func:`pool` does.

    Raises GateError if there are no samples.
    """
    total = sum(samples)
    if total <= 0:
        raise GateError("no estimate to pool: nothing was measured yet")
    return math.fsum(n * value for n, value in zip(samples, values, strict=True)) / total
