"""Parameters of a run with their intervals, source of error by source of error (docs/physics.md,
section 5).

Four things are estimated: transmittance T, excess noise ε, electronic noise v_el and mean photon
number μ. What the server trusts stays apart from what it does not: the noise of its own receiver is
in σ0² = 1 + v_el and never in ε; technical noise that was calibrated (:class:`TechnicalNoise`)
enters the null hypothesis of the test beside the agreed ε, with its uncertainty, and can be taken
off to see what is left; the leakage counts all of ε as the adversary's, technical noise included.

Intervals: each source of error has limits of its own (normal, of a sample variance, of a squared
amplitude), and those of a sum lie at the root of the summed squares of their distances (the method of variance
estimates recovery: Zou and Donner, Stat. Med. 27, 1693, 2008). With many samples that is the normal
interval; with few it keeps its confidence on both sides, of which the leakage uses one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from labctl.errors import ConfigError, GateError
from labctl.protocol.estimation import MIN_SAMPLES, Estimate, Receiver, ResidualSums, estimate
from labctl.protocol.intervals import Interval, check_confidence, normal_quantile, variance_factors


@dataclass(frozen=True)
class Source:
    """One source of a parameter's error, in the parameter's unit; normal unless a kind says otherwise.

    ``name``: what it comes from. ``standard_error``: its share of the parameter's.
    """

    name: str
    standard_error: float

    def reach(self, confidence: float) -> Interval:
        """Distances down and up, from the parameter to this source's two-sided limits."""
        half = normal_quantile(confidence) * self.standard_error
        return Interval(half, half)

    def scaled(self, factor: float) -> Source:
        """Of a parameter that is ``factor`` > 0 times as large."""
        return replace(self, standard_error=self.standard_error * factor)


@dataclass(frozen=True)
class SampleVariance(Source):
    """A sample variance of normal samples, to which the parameter is linear.

    ``freedom``: its degrees of freedom. ``falling``: whether the parameter falls when it rises.
    """

    freedom: float
    falling: bool = False

    def reach(self, confidence: float) -> Interval:
        if math.isinf(self.freedom):
            return super().reach(confidence)
        variance = self.standard_error * math.sqrt(self.freedom / 2)
        low, high = variance_factors(self.freedom, confidence)
        down, up = variance * (1 - low), variance * (high - 1)
        return Interval(up, down) if self.falling else Interval(down, up)


@dataclass(frozen=True)
class SquaredAmplitude(Source):
    """A normal amplitude t̂ ± u, whose square less u² is ``value``, the parameter."""

    value: float

    def reach(self, confidence: float) -> Interval:
        value = max(self.value, 0.0)
        error = math.hypot(value, self.standard_error / math.sqrt(2)) - value  # u², from SE² = 4t²u² + 2u⁴
        amplitude, half = math.sqrt(value + error), normal_quantile(confidence) * math.sqrt(error)
        return Interval(value - max(amplitude - half, 0.0) ** 2, (amplitude + half) ** 2 - value)

    def scaled(self, factor: float) -> Source:
        return replace(self, standard_error=self.standard_error * factor, value=self.value * factor)


@dataclass(frozen=True)
class VarianceRatio(Source):
    """Two sample variances d̂ and v̂; the parameter is d/(v - d), ``value`` its estimate.

    ``ratio``: d̂/v̂. ``freedom``: degrees of freedom of d̂ and v̂.
    """

    value: float
    ratio: float
    freedom: tuple[int, int]

    def reach(self, confidence: float) -> Interval:
        check_confidence(confidence)
        from scipy.special import fdtri

        tail = (1 - confidence) / 2
        low, high = (self.ratio / float(fdtri(*self.freedom, p)) for p in (1 - tail, tail))
        up = high / (1 - high) - self.value if high < 1 else math.inf
        return Interval(self.value - low / (1 - low), up)


@dataclass(frozen=True)
class Parameter:
    """An unbiased estimate, not clamped, and where its error comes from (independent sources)."""

    value: float
    sources: tuple[Source, ...]

    @property
    def standard_error(self) -> float:
        """All sources together."""
        return math.hypot(*(source.standard_error for source in self.sources))

    def interval(self, confidence: float) -> Interval:
        """Two-sided; half of what is left to 1 lies beyond each end. Raises ConfigError for a confidence
        outside (0, 1)."""
        reaches = [source.reach(confidence) for source in self.sources]
        return Interval(
            self.value - math.hypot(*(each.low for each in reaches)),
            self.value + math.hypot(*(each.high for each in reaches)),
        )

    def scaled(self, factor: float) -> Parameter:
        """``factor`` > 0, exactly known, times this."""
        return Parameter(self.value * factor, tuple(source.scaled(factor) for source in self.sources))


@dataclass(frozen=True)
class NoiseRecord:
    """A receiver's record without signal: sample variance (V², or any unit) of ``samples`` samples.

    Raises ConfigError for a variance that is not positive or fewer than 32 samples.
    """

    variance: float
    samples: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.variance) and self.variance > 0):
            raise ConfigError(f"a noise record of variance {self.variance}", "Record it again.")
        if self.samples < MIN_SAMPLES:
            raise ConfigError(f"a noise record of {self.samples} samples", f"Record at least {MIN_SAMPLES}.")

    @property
    def relative_se(self) -> float:
        """sqrt(2/(N-1)) of the variance."""
        return math.sqrt(2 / (self.samples - 1))


@dataclass(frozen=True)
class ReceiverNoise:
    """A receiver's calibrated noise.

    ``electronic``: v_el in SNU. ``shot_noise``: variance of one SNU in the records' unit;
    ``shot_noise_relative_se``: its relative standard error, which every T shares.
    """

    electronic: Parameter
    shot_noise: float
    shot_noise_relative_se: float

    @property
    def clearance_db(self) -> float:
        """10 log10(1/v_el); infinite without electronic noise."""
        value = self.electronic.value
        return -10 * math.log10(value) if value > 0 else math.inf


def receiver_noise(dark: NoiseRecord, vacuum: NoiseRecord) -> ReceiverNoise:
    """Electronic noise from a record without local oscillator and one with it, both without signal.

    The shot-noise unit is u = v - d and v_el = d/u, for variances d and v. Of d/u the bias 2 q (1+q)
    (q/N_d + (1+q)/N_v), q = v_el, is taken off (second order in the records' errors).

    Raises
    ------
    GateError
        The local oscillator adds no noise.
    """
    unit = vacuum.variance - dark.variance
    if not unit > 0:
        raise GateError(
            f"the receiver's variance is {vacuum.variance:.4g} with local oscillator and {dark.variance:.4g} without:"
            " there is no shot noise",
            "Check that the local oscillator reaches the receiver.",
        )
    raw = dark.variance / unit
    n_dark, n_vacuum = dark.samples - 1, vacuum.samples - 1
    bias = 2 * raw * (1 + raw) * (raw / n_dark + (1 + raw) / n_vacuum)
    error = raw * (1 + raw) * math.hypot(dark.relative_se, vacuum.relative_se)
    records = VarianceRatio(
        "dark and vacuum records", error, raw - bias, dark.variance / vacuum.variance, (n_dark, n_vacuum)
    )
    unit_se = math.hypot(vacuum.variance * vacuum.relative_se, dark.variance * dark.relative_se)
    return ReceiverNoise(Parameter(raw - bias, (records,)), unit, unit_se / unit)


def _scale_sources(value: float, receiver: Receiver) -> tuple[Source, ...]:
    """Errors of a ``value`` that goes as 1/(η u), u the shot-noise unit."""
    return (
        Source("efficiency", abs(value) * receiver.efficiency_se / receiver.efficiency),
        Source("shot-noise unit", abs(value) * receiver.unit_relative_se),
    )


def transmittance(found: Estimate, receiver: Receiver) -> Parameter:
    """T, launch to the receiver's input, where the launched amplitudes are known exactly."""
    value = found.transmittance
    returned = SquaredAmplitude("returned light", found.transmittance_se, value)
    return Parameter(value, (returned, *_scale_sources(value, receiver)))


def transmittance_by_reference(found: Estimate, reference: Estimate, path: Parameter) -> Parameter:
    """T against a reference shot of the same light, sent straight into the same receiver.

    T = T_path T̂/T̂_ref: launched amplitude, η and the shot-noise unit drop out. ``path``: calibrated
    transmittance of the reference path. Raises GateError if no reference light was seen.
    """
    if not (reference.transmittance > 0 and path.value > 0):
        raise GateError(
            f"the reference shot has transmittance {reference.transmittance:.3g}",
            "Check the reference path, and take the shot again.",
        )
    relative = reference.transmittance_se / reference.transmittance
    ratio = path.value / reference.transmittance / (1 + relative**2)
    value = found.transmittance * ratio
    return Parameter(
        value,
        (
            SquaredAmplitude("returned light", found.transmittance_se * ratio, value),
            Source("reference light", abs(value) * relative),
            Source("reference path", abs(value) * path.standard_error / path.value),
        ),
    )


def excess_noise(found: Estimate, receiver: Receiver) -> Parameter:
    """ε in SNU at the receiver's input, all that is not the receiver's own noise."""
    value = found.excess
    statistical = found.excess_se_statistical
    freedom = 2 * (found.noise / (receiver.coupling * statistical)) ** 2
    return Parameter(
        value,
        (
            SampleVariance("returned light", statistical, freedom),
            SampleVariance("vacuum calibration", found.excess_se_calibration, receiver.calibration_samples, True),
            *_scale_sources(value, receiver),
        ),
    )


@dataclass(frozen=True)
class TechnicalNoise:
    """Excess noise of the apparatus as calibrated, SNU at the receiver's input, equal in all modes.

    Raises ConfigError for values that are negative or not finite.
    """

    excess: float = 0.0
    excess_se: float = 0.0

    def __post_init__(self) -> None:
        for value in (self.excess, self.excess_se):
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"technical noise {self.excess} +- {self.excess_se} SNU", "Give at least 0.")


def per_layer(
    excess: float | Sequence[float], excess_se: float | Sequence[float], layers: int
) -> tuple[TechnicalNoise, ...]:
    """Technical noise of each layer: one number for all, or one for each.

    Raises ConfigError for a list of another length than the network has layers.
    """

    def spread(key: str, values: float | Sequence[float]) -> list[float]:
        if isinstance(values, (int, float)):
            return [float(values)] * layers
        if len(values) != layers:
            raise ConfigError(
                f"bench key 'link.{key}' has {len(values)} numbers, the network has {layers} layers",
                "Give one number for all layers, or a list with one for each.",
            )
        return list(values)

    values, errors = spread("technical_excess", excess), spread("technical_excess_se", excess_se)
    return tuple(TechnicalNoise(value, error) for value, error in zip(values, errors, strict=True))


def common_error(technical: Sequence[TechnicalNoise], samples: Sequence[int]) -> float:
    """Standard error in SNU that the pooled ε of any look has from the layers' technical noise, at most.

    As if the layers' errors were one: Σ N_l SE_l / Σ N_l over the layers of the look, the largest of all looks at the
    first image, which no later look exceeds.
    """
    added, counted, largest = 0.0, 0, 0.0
    for each, number in zip(technical, samples, strict=True):
        added, counted = added + number * each.excess_se, counted + number
        largest = max(largest, added / counted)
    return largest


def technical_noise(measured: Parameter) -> TechnicalNoise:
    """Technical noise from the ε of shots through the whole bench with the client's amplifier unpumped
    and nothing tapped.

    A negative estimate counts as no technical noise; its error stays.
    """
    return TechnicalNoise(max(measured.value, 0.0), measured.standard_error)


def beyond_technical(excess: Parameter, technical: TechnicalNoise) -> Parameter:
    """What is left of ε when the calibrated technical noise is taken off: agreed noise and, perhaps, an
    attack. Not for the leakage, which trusts nothing outside the receiver."""
    source = Source("technical noise", technical.excess_se)
    return Parameter(excess.value - technical.excess, (*excess.sources, source))


def mean_photons(reference: ResidualSums, receiver: Receiver, path: Parameter) -> Parameter:
    """μ, photons per mode at launch, from a reference shot into the server's own receiver.

    μ = T̂_ref Σs²/(2N)/T_path, where s are the quadratures that were meant to be launched: T̂_ref says by
    how much the light is brighter than meant. ``path``: calibrated transmittance of the reference
    path. Raises GateError as :func:`~labctl.protocol.estimation.estimate`, or if the path lets nothing
    through.
    """
    if not path.value > 0:
        raise GateError(f"the reference path has transmittance {path.value}", "Calibrate it again.")
    found = transmittance(estimate(reference, receiver), receiver)
    brightness = found.scaled(reference.ss / (2 * reference.n_samples) / path.value)
    share = path.standard_error / path.value
    value = brightness.value / (1 + share**2)
    return Parameter(value, (*brightness.sources, Source("reference path", abs(value) * share)))


@dataclass(frozen=True)
class WorstCase:
    """Ends of the intervals that leak most, within what is physical: μ high, T low and in [0, 1], ε high
    and at least 0."""

    mean_photons: float
    transmittance: float
    excess: float


def worst_case(photons: Parameter, passed: Parameter, excess: Parameter, confidence: float) -> WorstCase:
    """For the leakage (:func:`labctl.protocol.leakage.weight_leakage`): each true value is worse with a
    probability of (1 - confidence)/2. Raises ConfigError for a confidence outside (0, 1)."""
    return WorstCase(
        photons.interval(confidence).high,
        min(max(passed.interval(confidence).low, 0.0), 1.0),
        max(excess.interval(confidence).high, 0.0),
    )


class Limits(NamedTuple):
    """Two-sided intervals of T and of ε (SNU) at the receiver's input, not clamped."""

    transmittance: Interval
    excess: Interval


def limits(found: Estimate, receiver: Receiver, confidence: float) -> Limits:
    """What an estimate leaves open, the receiver's calibration included.

    For a pooled estimate as well: the errors of η, of the shot-noise unit and of σ0² are common to all that was pooled,
    and stay. The same numbers as ``interval`` of :func:`transmittance` and :func:`excess_noise` gives, at a tenth of
    the cost: this is asked after every image. Raises ConfigError for a confidence outside (0, 1).
    """
    quantile = normal_quantile(confidence)
    relative = quantile * math.hypot(receiver.efficiency_se / receiver.efficiency, receiver.unit_relative_se)
    value = max(found.transmittance, 0.0)
    error = math.hypot(value, found.transmittance_se / math.sqrt(2)) - value
    amplitude, half = math.sqrt(value + error), quantile * math.sqrt(error)
    down, up = value - max(amplitude - half, 0.0) ** 2, (amplitude + half) ** 2 - value
    shared = relative * abs(found.transmittance)
    passed = Interval(found.transmittance - math.hypot(down, shared), found.transmittance + math.hypot(up, shared))
    # A sample variance v of freedom f has the limits v f/χ²; ε falls with that of the vacuum.
    sample = found.noise / receiver.coupling
    low, high = variance_factors(2 * (sample / found.excess_se_statistical) ** 2, confidence)
    vacuum, shared = receiver.sigma0_sq / receiver.coupling, relative * abs(found.excess)
    dark_low, dark_high = 1.0, 1.0
    if not math.isinf(receiver.calibration_samples):
        dark_low, dark_high = variance_factors(receiver.calibration_samples, confidence)
    down = math.hypot(sample * (1 - low), vacuum * (dark_high - 1), shared)
    up = math.hypot(sample * (high - 1), vacuum * (1 - dark_low), shared)
    return Limits(passed, Interval(found.excess - down, found.excess + up))


def known(value: float, standard_error: float = 0.0, name: str = "calibration") -> Parameter:
    """A constant as a parameter, exact or with a normal error."""
    return Parameter(value, (Source(name, standard_error),))
