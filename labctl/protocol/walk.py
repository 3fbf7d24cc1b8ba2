"""The walk that the sequential test follows: its moments at every planned look (docs/physics.md,
section 5).

S = Σ N_l (ε̂_l - ε_l) is a sum of sample variances. How the excess noise is spread over the samples
of a layer matters for its moments: a client leaves it in one mode of each row, a client that
measures everything leaves it in all, and one that intercepts some rows leaves it in these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labctl.errors import ConfigError
from labctl.protocol.estimation import Receiver

Floats = npt.NDArray[np.float64]

_ROUNDING = 1e-9


@dataclass(frozen=True)
class NoiseProfile:
    """Excess noise of a layer's returned light, and how it is spread.

    Parameters
    ----------
    parts:
        (share of the samples, their excess noise in SNU at the server's receiver); shares sum to 1.

    Raises
    ------
    ConfigError
        Shares that do not sum to 1, or an excess that is negative or not finite.
    """

    parts: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        shares, excess = [share for share, _ in self.parts], [value for _, value in self.parts]
        if not all(share >= 0 for share in shares) or not abs(math.fsum(shares) - 1) < _ROUNDING:
            raise ConfigError(f"shares {shares} of a noise profile do not sum to 1")
        if not all(math.isfinite(value) and value >= 0 for value in excess):
            raise ConfigError(f"excess noise {excess} SNU of a noise profile", "Give finite values of at least 0.")

    @classmethod
    def uniform(cls, excess: float) -> NoiseProfile:
        """The same in all modes, SNU."""
        return cls(((1.0, excess),))

    @classmethod
    def one_mode(cls, excess_mode: float, modes: int) -> NoiseProfile:
        """All in one of ``modes`` modes, which has ``excess_mode`` SNU; the mean is that over n."""
        return cls(((1 / modes, excess_mode), (1 - 1 / modes, 0.0)))

    @property
    def excess(self) -> float:
        """ε in SNU, mean over the samples: what the server estimates."""
        return math.fsum(share * value for share, value in self.parts)

    def raised(self, excess: float) -> NoiseProfile:
        """The same with ``excess`` SNU more in all modes."""
        return NoiseProfile(tuple((share, value + excess) for share, value in self.parts))

    def mixed(self, other: NoiseProfile, fraction: float) -> NoiseProfile:
        """``fraction`` of the rows as in ``other``, the rest as here."""
        mine = tuple((share * (1 - fraction), value) for share, value in self.parts)
        return NoiseProfile(mine + tuple((share * fraction, value) for share, value in other.parts))

    def cumulants(self, samples: int, receiver: Receiver) -> tuple[float, float]:
        """Second and third cumulant of N ε̂ for N = ``samples`` of normal noise, one degree of freedom
        spent on t̂."""
        freedom = samples - 1
        unit = samples / freedom / receiver.coupling

        def mean_power(power: int) -> float:
            spread = ((share, receiver.sigma0_sq + receiver.coupling * value) for share, value in self.parts)
            return math.fsum(share * variance**power for share, variance in spread)

        return 2 * mean_power(2) * freedom * unit**2, 8 * mean_power(3) * freedom * unit**3


@dataclass(frozen=True)
class Stretch:
    """One layer of the walk: ``samples``, N of one estimate, and the noise in them."""

    samples: int
    profile: NoiseProfile


@dataclass(frozen=True, eq=False)
class Walk:
    """S at every look, all of shape (looks,): N so far, V, deviation with the common error, skewness,
    Brownian time V' = V²/(V + N²SE²)."""

    samples: Floats
    variance: Floats
    deviation: Floats
    skewness: Floats
    time: Floats


def walk(stretches: Sequence[Stretch], images: int, receiver: Receiver, common_se: float) -> Walk:
    """Moments of S over ``images`` images, a look after each stretch.

    ``common_se``: standard error in SNU that is the same at all looks: of σ0² and of the calibrated
    technical noise. The third cumulant takes that of σ0² to be a sample variance's.
    """
    cumulants = [each.profile.cumulants(each.samples, receiver) for each in stretches]
    samples = cumulate([each.samples for each in stretches], images)
    variance = cumulate([second for second, _ in cumulants], images)
    third = cumulate([third for _, third in cumulants], images)
    deviation = np.sqrt(variance + samples**2 * common_se**2)
    unit = receiver.sigma0_sq / receiver.coupling
    third -= samples**3 * 8 * unit**3 / receiver.calibration_samples**2
    # V' may only grow; it could shrink where calibration limits and one layer is far noisier than
    # others.
    time = np.maximum.accumulate(variance**2 / deviation**2)
    return Walk(samples, variance, deviation, third / deviation**3, time)


def cumulate(per_layer: Sequence[float], images: int) -> Floats:
    """Sum over all layers up to each look, shape (images * layers,)."""
    return np.cumsum(np.tile(np.asarray(per_layer, dtype=np.float64), images))


def raised_by_skewness(z: Floats, skewness: Floats) -> Floats:
    """The standardised S that is passed as often as ``z`` by a normal variable: z + γ (z² - 1)/6, first
    Cornish-Fisher term."""
    return z + skewness * (z**2 - 1) / 6


def freed_of_skewness(standardised: Floats, skewness: Floats) -> Floats:
    """Inverse of :func:`raised_by_skewness`; carried on, rising, into the tail that a skew variable does
    not have."""
    shifted = standardised + skewness / 6
    root: Floats = 2 * shifted / (1 + np.sqrt(np.maximum(1 + 2 / 3 * skewness * shifted, 0.0)))
    return root
