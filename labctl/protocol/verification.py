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
import numpy.typing as npt

from labctl.errors import ConfigError, GateError, ProtocolError
from labctl.protocol.boundary import calibrated_level, mixture_boundary
from labctl.protocol.crossing import Survival, survival
from labctl.protocol.estimation import MIN_SAMPLES, Estimate, Receiver

Floats = npt.NDArray[np.float64]

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
    technical_excess_se:
        Standard error in SNU of the technical noise, common to all layers and images.

    Raises
    ------
    ConfigError
        A value outside its range.
    """

    layers: tuple[LayerNull, ...]
    receiver: Receiver
    images: int
    false_alarm_rate: float
    technical_excess_se: float = 0.0

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
        if not (math.isfinite(self.technical_excess_se) and self.technical_excess_se >= 0):
            raise ConfigError(
                f"standard error of technical noise is {self.technical_excess_se} SNU",
                "Give at least 0.",
            )

    @property
    def horizon(self) -> int:
        """Number of looks: one after each layer of each image."""
        return self.images * len(self.layers)


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


@dataclass(frozen=True)
class Detection:
    """How soon a given excess noise raises the alarm, by the recursion that set the boundary."""

    layers: int
    survival: Survival

    def probability(self, images: float) -> float:
        """Probability of an alarm within the first ``images`` images."""
        return 1.0 - self.survival.at(images * self.layers)

    @property
    def power(self) -> float:
        """Probability of an alarm within the plan."""
        return self.survival.crossing

    @property
    def expected_images(self) -> float:
        """Mean number of images (layers in proportion) until an alarm or the plan's end."""
        return self.survival.expected_looks() / self.layers

    def images_to_alarm(self, probability: float) -> float:
        """Images by which the alarm is raised with this probability; inf if the plan ends first."""
        return self.survival.quantile(probability) / self.layers


class SequentialTest:
    """Accumulates the layers' estimates in the plan's order and says when it is too much noise.

    The state is nothing but the estimates so far: to resume a run, feed its recorded estimates
    again.
    """

    def __init__(self, plan: VerificationPlan) -> None:
        self.plan = plan
        self._looks = _calibrated_looks(plan)
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

    def detection(self, excess: Sequence[float]) -> Detection:
        """Speed and power of detection if the layers really return this much excess noise.

        Parameters
        ----------
        excess:
            ε in SNU at the server's receiver, one a layer, e.g. T_b n_sp (2 - 2/G')/n of a client
            using gain G'. What exceeds the agreed excess is taken as spread over the modes.

        Raises
        ------
        ConfigError
            Not one value a layer, or not finite.
        """
        layers = self.plan.layers
        if len(excess) != len(layers) or not all(math.isfinite(value) for value in excess):
            raise ConfigError(f"excess noise {excess} is not one number for each layer")
        real = [
            LayerNull(layer.samples, layer.modes, concentrated, value - concentrated)
            for layer, value in zip(layers, excess, strict=True)
            for concentrated in [min(layer.agreed_excess, max(value, 0.0))]
        ]
        walk = _walk(self.plan, tuple(real))
        pairs = zip(layers, excess, strict=True)
        shift = _cumulate(self.plan, [null.samples * (eps - null.excess) for null, eps in pairs])
        level = self._looks.z * self._looks.deviation - shift
        return Detection(len(layers), survival(walk.time, level * walk.time / walk.variance))


@dataclass(frozen=True, eq=False)
class _Walk:
    """S at every look: N, V, deviation with calibration, skewness, Brownian time V'."""

    samples: Floats
    variance: Floats
    deviation: Floats
    skewness: Floats
    time: Floats


@dataclass(frozen=True, eq=False)
class _Looks:
    """Every look's boundary: ``z`` without, ``boundary`` with skewness, ``threshold`` in SNU."""

    samples: Floats
    expected: Floats
    deviation: Floats
    z: Floats
    boundary: Floats
    threshold: Floats


@lru_cache(maxsize=32)
def _calibrated_looks(plan: VerificationPlan) -> _Looks:
    walk = _walk(plan, plan.layers)
    rho = float(walk.time[len(plan.layers) - 1])
    level = calibrated_level(walk.time, rho, plan.false_alarm_rate)
    z = mixture_boundary(walk.time, rho, level) / np.sqrt(walk.time)
    boundary = z + walk.skewness * (z**2 - 1) / 6
    allowed = _cumulate(plan, [layer.samples * layer.excess for layer in plan.layers])
    expected = allowed / walk.samples
    threshold = expected + boundary * walk.deviation / walk.samples
    threshold.flags.writeable = False
    return _Looks(walk.samples, expected, walk.deviation, z, boundary, threshold)


def _cumulate(plan: VerificationPlan, per_layer: Sequence[float]) -> Floats:
    """Sum over all layers up to each look, shape (horizon,)."""
    return np.cumsum(np.tile(np.asarray(per_layer, dtype=np.float64), plan.images))


def _walk(plan: VerificationPlan, layers: tuple[LayerNull, ...]) -> _Walk:
    """Moments of S if the layers' excess noise is that of ``layers``."""
    receiver = plan.receiver
    cumulants = [_cumulants(layer, receiver) for layer in layers]
    samples = _cumulate(plan, [layer.samples for layer in layers])
    variance = _cumulate(plan, [second for second, _ in cumulants])
    third = _cumulate(plan, [third for _, third in cumulants])
    common = receiver.excess_se**2 + plan.technical_excess_se**2
    deviation = np.sqrt(variance + samples**2 * common)
    unit = receiver.sigma0_sq / receiver.coupling
    third -= samples**3 * 8 * unit**3 / receiver.calibration_samples**2
    # V' may only grow; it could shrink where calibration limits and one layer is far noisier than
    # others.
    time = np.maximum.accumulate(variance**2 / deviation**2)
    return _Walk(samples, variance, deviation, third / deviation**3, time)


def _cumulants(layer: LayerNull, receiver: Receiver) -> tuple[float, float]:
    """Second and third cumulant of N ε̂: normal noise, of one variance in b, one elsewhere."""
    spread = receiver.sigma0_sq + receiver.coupling * layer.technical_excess
    in_b = spread + receiver.coupling * layer.agreed_excess * layer.modes
    freedom = layer.samples - 1

    def mean_power(power: int) -> float:
        return ((layer.modes - 1) * spread**power + in_b**power) / layer.modes

    unit = layer.samples / freedom / receiver.coupling
    return 2 * mean_power(2) * freedom * unit**2, 8 * mean_power(3) * freedom * unit**3
