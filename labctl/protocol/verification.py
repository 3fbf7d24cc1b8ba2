"""Sequential test: more excess noise than agreed stops the run (docs/physics.md, section 5).

No-cloning makes a client that measures more than agreed leave more noise (PRX 15, 041056, the
server's residual-noise check). One image resolves too little, so the test accumulates, and it looks
after every layer of every image. H0 says ε_l <= ε_agreed + calibrated technical noise in every
layer l; the false-alarm rate holds for the WHOLE run.

Statistic: S = Σ N_l (ε̂_l - ε_l) over all layers so far, i.e. the pooled, sample-weighted excess
noise against the equally weighted allowed one. Under H0, at its edge, S is a walk with known
variance V = Σ N_l² Var(ε̂_l). The error of σ0² is common to all looks: it adds N²SE0² to the
variance of S. Times V/(V + N²SE0²) S is again a Brownian motion, in the time V' = V²/(V + N²SE0²)
(exactly where every look has the same N/V, as whole images have), so the calibration error is part
of the walk and needs no allowance; V' stops growing where calibration limits the test.

Boundary: one-sided normal mixture (Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon, Ann. Stat.
49, 1055, 2021, eq. 14), sqrt(2 (V'+ρ) log(1 + sqrt((V'+ρ)/ρ)/(2a))), near the best at all scales,
with ρ the V' of one image. Its level a is set so that the walk of all planned looks crosses it with
exactly the false-alarm rate (:mod:`labctl.protocol.crossing`; within about 1 % of that rate). A
sample variance is chi-square, not normal: the boundary takes the first Cornish-Fisher term of the
skewness of S, z + γ (z² - 1)/6, which matters in runs with small layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from labctl.errors import ConfigError, GateError, ProtocolError
from labctl.protocol.boundary import calibrated_level, mixture_boundary
from labctl.protocol.estimation import MIN_SAMPLES, Estimate, Receiver
from labctl.protocol.walk import Floats, NoiseProfile, Stretch, Walk, cumulate, raised_by_skewness, walk

MAX_LOOKS = 10_000_000
_MIN_RATE, _MAX_RATE = 1e-7, 0.4


@dataclass(frozen=True)
class LayerNull:
    """What H0 allows in one layer.

    Parameters
    ----------
    samples:
        N, real samples of one estimate (2nm for a dual-quadrature receiver, nm for a homodyne).
    modes:
        n, modes of a row; the agreed excess sits in one of them.
    agreed_excess:
        ε in SNU, mean over the modes, at the server's receiver: T_b n_sp g/n.
    technical_excess:
        Calibrated technical noise in SNU, spread over all modes.

    Raises
    ------
    ConfigError
        Too few samples, or a negative excess.
    """

    samples: int
    modes: int
    agreed_excess: float
    technical_excess: float = 0.0

    def __post_init__(self) -> None:
        if self.samples < MIN_SAMPLES or self.modes < 1:
            raise ConfigError(
                f"a layer of {self.modes} modes and {self.samples} samples cannot be verified",
                f"Use layers of at least {MIN_SAMPLES} real samples.",
            )
        for value in (self.agreed_excess, self.technical_excess):
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"allowed excess noise is {value} SNU", "Give at least 0.")

    @property
    def excess(self) -> float:
        """All that is allowed, SNU."""
        return self.agreed_excess + self.technical_excess

    @property
    def profile(self) -> NoiseProfile:
        """All that is allowed, and where."""
        agreed = NoiseProfile.one_mode(self.agreed_excess * self.modes, self.modes)
        return agreed.raised(self.technical_excess)


@dataclass(frozen=True)
class VerificationPlan:
    """All looks that a run will take, known before it starts.

    Parameters
    ----------
    layers:
        H0 of each layer, in the order in which an image passes them. One look after each.
    receiver:
        The server's receiver, with the number of its calibration samples.
    images:
        Horizon: planned number of images.
    false_alarm_rate:
        Probability that an honest run of ``images`` images raises the alarm, in [1e-7, 0.4].
    common_excess_se:
        Standard error in SNU that the technical noise, the efficiency and the shot-noise unit leave in every ε̂ alike.

    Raises
    ------
    ConfigError
        A value outside its range.
    """

    layers: tuple[LayerNull, ...]
    receiver: Receiver
    images: int
    false_alarm_rate: float
    common_excess_se: float = 0.0

    def __post_init__(self) -> None:
        if not self.layers or self.images < 1 or self.horizon > MAX_LOOKS:
            raise ConfigError(
                f"{self.images} images of {len(self.layers)} layers cannot be planned",
                f"Give at least one of each, and at most {MAX_LOOKS} looks in all.",
            )
        if not _MIN_RATE <= self.false_alarm_rate <= _MAX_RATE:
            raise ConfigError(
                f"false_alarm_rate is {self.false_alarm_rate}",
                f"Give a rate from {_MIN_RATE} to {_MAX_RATE}.",
            )
        if not (math.isfinite(self.common_excess_se) and self.common_excess_se >= 0):
            raise ConfigError(
                f"the error that all looks share is {self.common_excess_se} SNU",
                "Give at least 0.",
            )

    @property
    def horizon(self) -> int:
        """Number of looks: one after each layer of each image."""
        return self.images * len(self.layers)

    @property
    def common_se(self) -> float:
        """Standard error in SNU that all looks share: of σ0² and of the technical noise."""
        return math.hypot(self.receiver.excess_se, self.common_excess_se)

    def walk(self, returned: Sequence[NoiseProfile]) -> Walk:
        """S at every look if the layers return this noise, one profile each."""
        stretches = [Stretch(layer.samples, each) for layer, each in zip(self.layers, returned, strict=True)]
        return walk(stretches, self.images, self.receiver, self.common_se)


@dataclass(frozen=True)
class Verdict:
    """The test after one look.

    ``look``: counted from 1. ``samples``: real samples so far. ``excess``: pooled ε̂ so far, SNU;
    ``expected``: what is allowed, weighted alike; ``threshold``: this look raises the alarm exactly
    if ``excess`` exceeds it. ``statistic`` and ``boundary``: the same in standard deviations of the
    pooled ε̂ under H0. ``alarm_look``: the first look that raised the alarm, None if none did.
    """

    look: int
    samples: int
    excess: float
    expected: float
    threshold: float
    statistic: float
    boundary: float
    alarm_look: int | None

    @property
    def alarm(self) -> bool:
        """Whether this look or an earlier one raised the alarm."""
        return self.alarm_look is not None


class SequentialTest:
    """Accumulates the layers' estimates in the plan's order and says when it is too much noise.

    The state is nothing but the estimates so far: to resume a run, feed its recorded estimates
    again.
    """

    def __init__(self, plan: VerificationPlan) -> None:
        self.plan = plan
        self._looks = planned_looks(plan)
        self._look = 0
        self._sum = 0.0
        self._alarm_look: int | None = None

    @property
    def thresholds(self) -> Floats:
        """Threshold of the pooled ε̂ at every planned look, SNU, shape (horizon,), read-only."""
        return self._looks.threshold

    def update(self, estimate: Estimate) -> Verdict:
        """One more layer.

        Raises
        ------
        ProtocolError
            More looks than planned, or an estimate of another number of samples than the plan's
            next layer has.
        GateError
            An estimate that is not finite.
        """
        if self._look >= self.plan.horizon:
            raise ProtocolError(
                f"look {self._look + 1} of {self.plan.horizon} planned ones",
                "The false-alarm rate holds for the planned images only: plan a new run.",
            )
        layer = self.plan.layers[self._look % len(self.plan.layers)]
        if estimate.samples != layer.samples:
            raise ProtocolError(f"look {self._look + 1}: {estimate.samples} samples, planned {layer.samples}")
        if not math.isfinite(estimate.excess):
            raise GateError(f"the excess noise is {estimate.excess} at look {self._look + 1}")
        self._sum += estimate.samples * (estimate.excess - layer.excess)
        self._look += 1
        return self._verdict()

    def _verdict(self) -> Verdict:
        looks, index = self._looks, self._look - 1
        samples = float(looks.samples[index])
        expected, threshold = float(looks.expected[index]), float(looks.threshold[index])
        excess = expected + self._sum / samples
        if excess > threshold and self._alarm_look is None:
            self._alarm_look = self._look
        return Verdict(
            look=self._look,
            samples=int(samples),
            excess=excess,
            expected=expected,
            threshold=threshold,
            statistic=self._sum / float(looks.deviation[index]),
            boundary=float(looks.boundary[index]),
            alarm_look=self._alarm_look,
        )


@dataclass(frozen=True, eq=False)
class Looks:
    """Every planned look, arrays of shape (horizon,).

    ``expected``: pooled excess that H0 allows, SNU. ``deviation``: of S under H0, calibration
    included. ``z``: boundary of a normal S in standard deviations; ``boundary``: of the S that there
    is. ``threshold``: the same in SNU on the scale of the pooled ε̂, read-only.
    """

    samples: Floats
    expected: Floats
    deviation: Floats
    z: Floats
    boundary: Floats
    threshold: Floats


@lru_cache(maxsize=32)
def planned_looks(plan: VerificationPlan) -> Looks:
    """The looks with their boundary. Raises ConfigError if no boundary is found."""
    null = plan.walk([layer.profile for layer in plan.layers])
    rho = float(null.time[len(plan.layers) - 1])
    level = calibrated_level(null.time, rho, plan.false_alarm_rate)
    z = mixture_boundary(null.time, rho, level) / np.sqrt(null.time)
    boundary = raised_by_skewness(z, null.skewness)
    expected = cumulate([layer.samples * layer.excess for layer in plan.layers], plan.images) / null.samples
    threshold = expected + boundary * null.deviation / null.samples
    threshold.flags.writeable = False
    return Looks(null.samples, expected, null.deviation, z, boundary, threshold)
