"""How soon the sequential test notices an attack (docs/physics.md, sections 5 and 7).

Everything follows from the moments of the pooled sums: under an attack the statistic S drifts by
Σ N_l (ε_l' - ε_l), and its variance and skewness are those of the noise that the attack leaves. The
recursion that set the boundary then gives the distribution of the first crossing
(:mod:`labctl.protocol.crossing`); nothing is simulated. Technical noise is taken to be as
calibrated.

Beside it stands the fixed-sample test, which looks once, after a number of images chosen in advance:
it needs about as many images, and someone who knows the attack to choose them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from labctl.errors import ConfigError
from labctl.protocol.attacks import Agreed, Attack, Gain, named_attack
from labctl.protocol.crossing import Survival, survival
from labctl.protocol.design import RowShape
from labctl.protocol.estimation import Receiver, weighted_mean
from labctl.protocol.parameters import TechnicalNoise, common_error
from labctl.protocol.verification import LayerNull, VerificationPlan, planned_looks
from labctl.protocol.walk import Floats, NoiseProfile, cumulate, freed_of_skewness

POWER = 0.9
"""Of the fixed-sample numbers."""
CAUGHT = 0.999
"""Probability of an alarm within the run from which on an attack counts as caught."""


@dataclass(frozen=True, eq=False)
class Detection:
    """In which image the alarm is raised, if it is.

    ``images``: of the plan; ``layers``: looks an image; ``survival``: of the looks.
    """

    images: int
    layers: int
    survival: Survival

    def probability(self, images: int) -> float:
        """Probability of an alarm within the first ``images`` images. Raises ConfigError beyond the
        plan."""
        if not 0 <= images <= self.images:
            raise ConfigError(
                f"power after {images} images of a run of {self.images}",
                "Ask within the plan, or plan more images: the alarm's threshold depends on their number.",
            )
        return 1.0 - self.survival.at(images * self.layers)

    @property
    def power(self) -> float:
        """Probability of an alarm within the plan."""
        return self.survival.crossing

    def distribution(self) -> Floats:
        """Probability that the alarm is raised in image k + 1, shape (images,); sums to :attr:`power`."""
        return -np.diff(self._alive())

    @property
    def expected_images(self) -> float:
        """Mean number of images begun until the alarm, or the plan's end where there is none."""
        return float(self._alive()[:-1].sum())

    def images_to_alarm(self, probability: float) -> float:
        """Fewest images within which the alarm is raised with this probability; inf if the plan ends
        first."""
        reached = np.flatnonzero(1 - self._alive() >= probability)
        return float(reached[0]) if reached.size else math.inf

    def _alive(self) -> Floats:
        """Probability of no alarm within the first k images, k = 0 ... images."""
        return self.survival.at_all(np.arange(self.images + 1) * self.layers)


def detection(plan: VerificationPlan, returned: Sequence[NoiseProfile]) -> Detection:
    """When the test of ``plan`` raises the alarm if the layers return this noise.

    ``returned``: one profile a layer, without the technical noise, which comes on top as calibrated.
    Raises ConfigError unless there is one for each.
    """
    _check_layers(plan, returned)
    looks = planned_looks(plan)
    real = [each.raised(layer.technical_excess) for layer, each in zip(plan.layers, returned, strict=True)]
    walk = plan.walk(real)
    drift = [layer.samples * (each.excess - layer.excess) for layer, each in zip(plan.layers, real, strict=True)]
    standardised = (looks.boundary * looks.deviation - cumulate(drift, plan.images)) / walk.deviation
    level = freed_of_skewness(standardised, walk.skewness) * np.sqrt(walk.time)
    return Detection(plan.images, len(plan.layers), survival(walk.time, level))


def resolution(plan: VerificationPlan, images: int = 1) -> float:
    """Standard error in SNU of the pooled ε̂ of an honest run after ``images`` images, calibration
    included: 0.0036 for one image of a 784 x 784 layer on an ideal dual receiver."""
    return _Look.of(plan, [layer.profile for layer in plan.layers]).standard_error(1 / images)


def images_to_resolve(plan: VerificationPlan, sigmas: float) -> float:
    """Images, not rounded, after which the honest client's ε stands out of the standard error of ε̂ by
    ``sigmas``, technical noise not counted; inf if calibration forbids it.

    85 for 3 σ of the agreed ε at G = 1.3 with one 784 x 784
    layer."""
    look = _Look.of(plan, [layer.profile for layer in plan.layers])
    honest = weighted_mean([layer.agreed_excess for layer in plan.layers], [layer.samples for layer in plan.layers])
    room = (honest / sigmas) ** 2 - look.common
    return look.variance / room if room > 0 else math.inf


def fixed_sample_images(plan: VerificationPlan, returned: Sequence[NoiseProfile], power: float = POWER) -> float:
    """Images after which one single look at the plan's false-alarm rate raises the alarm with ``power``.

    The number K, not rounded, at which z_α SE0(K) + z_β SE1(K) = ε1 - ε0, normal statistics; inf where
    the attack leaves no more than allowed, or the calibration hides it. 132 for G' = 2 where G = 1.3
    is agreed, at rate 1e-3 and power 0.9, with one 784 x 784 layer an image. The plan's horizon does
    not matter. Raises ConfigError as :func:`detection`, and for a power outside [0.5, 1).
    """
    _check_layers(plan, returned)
    if not 0.5 <= power < 1:
        raise ConfigError(f"power of {power}", "Give a power of at least 0.5, below 1.")
    real = [each.raised(layer.technical_excess) for layer, each in zip(plan.layers, returned, strict=True)]
    null, attacked = _Look.of(plan, [layer.profile for layer in plan.layers]), _Look.of(plan, real)
    quantile = NormalDist().inv_cdf
    alarm, miss = -quantile(plan.false_alarm_rate), quantile(power)
    gap = attacked.excess - null.excess

    def short(inverse_images: float) -> float:
        return alarm * null.standard_error(inverse_images) + miss * attacked.standard_error(inverse_images) - gap

    if short(0.0) >= 0:
        return math.inf
    from scipy.optimize import brentq

    return float(1 / brentq(short, 0.0, (gap / alarm) ** 2 / null.variance, xtol=1e-300, rtol=1e-12))


def plan_check(
    shapes: Sequence[RowShape],
    agreed: Agreed,
    receiver: Receiver,
    images: int,
    false_alarm_rate: float,
    technical: Sequence[TechnicalNoise] = (),
) -> VerificationPlan:
    """The plan that holds ``images`` images of layers of these shapes against what was agreed.

    Of each mode a receiver gives 1/κ real samples. A convolution's rows count once per patch.
    ``technical``: calibrated noise of the bench in each layer, none unless given. Raises ConfigError for a check that
    cannot be made.
    """
    technical = technical or [TechnicalNoise()] * len(shapes)
    layers = tuple(
        LayerNull(
            round(shape.modes * shape.rows / receiver.kappa),
            shape.modes,
            agreed.one_mode(agreed.gain, shape.modes).excess,
            own.excess,
        )
        for shape, own in zip(shapes, technical, strict=True)
    )
    shared = common_error(technical, [layer.samples for layer in layers])
    return VerificationPlan(layers, receiver, images, false_alarm_rate, shared)


@dataclass(frozen=True)
class Assessment:
    """One attack: ``excess`` (SNU, pooled over the layers as the test does) and ``transmittance`` that it
    leaves, ``gains`` (one a layer), and when it is noticed."""

    attack: Attack
    excess: float
    transmittance: float
    gains: tuple[Gain, ...]
    detection: Detection
    fixed_sample_images: float


def assess(plan: VerificationPlan, agreed: Agreed, attack: Attack) -> Assessment:
    """Trace, gain and detection of an attack. Raises ConfigError where no boundary is found."""
    traces = [attack.trace(agreed, layer.modes) for layer in plan.layers]
    noise = [trace.noise for trace in traces]
    samples = [layer.samples for layer in plan.layers]
    return Assessment(
        attack=attack,
        excess=weighted_mean([each.excess for each in noise], samples),
        transmittance=traces[0].transmittance,
        gains=tuple(attack.gain(agreed, layer.modes) for layer in plan.layers),
        detection=detection(plan, noise),
        fixed_sample_images=fixed_sample_images(plan, noise),
    )


def least_strength(plan: VerificationPlan, agreed: Agreed, name: str, probability: float = CAUGHT) -> float:
    """Weakest attack of this name that raises the alarm within the plan with this probability, to 1e-3 of what it is
    above the harmless strength; inf where no strength does, as for those that leave a lower T alone.

    Raises ConfigError for an unknown name.
    """
    spans = {
        "greedy": (agreed.gain, 1000.0),
        "all-modes": (1.0, 1000.0),
        "resend": (0.0, 1.0),
        "injection": (0.0, 100.0),
    }
    if name not in spans:
        named_attack(name, 0.5)  # known, or refused
        return math.inf
    harmless, high = spans[name]

    def caught(more: float) -> bool:
        return assess(plan, agreed, named_attack(name, harmless + more)).detection.power >= probability

    if not caught(high):
        return math.inf
    low = 1e-6 * high
    while high > low * 1.001:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if caught(middle) else (middle, high)
    return harmless + high


@dataclass(frozen=True)
class _Look:
    """Pooled ε̂ of K images: mean ``excess``, variance ``variance``/K + ``common``, SNU."""

    excess: float
    variance: float
    common: float

    @classmethod
    def of(cls, plan: VerificationPlan, real: Sequence[NoiseProfile]) -> _Look:
        """One image of the plan's layers with this noise, technical noise included."""
        samples = [layer.samples for layer in plan.layers]
        pairs = list(zip(real, samples, strict=True))
        variance = math.fsum(each.cumulants(count, plan.receiver)[0] for each, count in pairs)
        mean = weighted_mean([each.excess for each in real], samples)
        return cls(mean, variance / sum(samples) ** 2, plan.common_se**2)

    def standard_error(self, inverse_images: float) -> float:
        return math.sqrt(self.variance * inverse_images + self.common)


def _check_layers(plan: VerificationPlan, returned: Sequence[NoiseProfile]) -> None:
    if len(returned) != len(plan.layers):
        raise ConfigError(f"{len(returned)} noise profiles for {len(plan.layers)} layers", "Give one a layer.")
