"""Parameters: unbiased where the truth is known, and intervals that cover it as often as they say.

Bias: the mean of R runs lies within 4.5 of its standard errors (p = 7e-6 each). Coverage: of the 95 % interval within
93 to 97 %, which R = 2000 runs of a right interval miss with 8e-5 (4.1 binomial standard errors); each side, which the
leakage uses alone, within 1.1 to 3.9 % (4 standard errors, p = 6e-5). Seeds are fixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import ConfigError, GateError
from labctl.protocol.estimation import Estimate, Receiver, ResidualSums, estimate, pool
from labctl.protocol.intervals import normal_quantile
from labctl.protocol.leakage import weight_leakage
from labctl.protocol.parameters import (
    NoiseRecord,
    Parameter,
    Source,
    TechnicalNoise,
    beyond_technical,
    excess_noise,
    known,
    limits,
    mean_photons,
    receiver_noise,
    technical_noise,
    transmittance,
    transmittance_by_reference,
    worst_case,
)
from labctl.protocol.walk import NoiseProfile
from tests.labctl.protocol.simulated_sums import drawn_sums

RUNS = 2000
CONFIDENCE = 0.95


def check(truth: float, found: Sequence[Parameter]) -> None:
    """Unbiased, standard error as stated, coverage in all and on each side."""
    values = np.array([each.value for each in found])
    spread = values.std(ddof=1)
    assert abs(values.mean() - truth) < 4.5 * spread / math.sqrt(len(found))
    stated = np.mean([each.standard_error for each in found])
    assert stated == pytest.approx(spread, rel=0.08)  # 5 standard errors of a standard deviation
    intervals = [each.interval(CONFIDENCE) for each in found]
    below = np.mean([truth < interval.low for interval in intervals])
    above = np.mean([truth > interval.high for interval in intervals])
    assert 0.93 <= 1 - below - above <= 0.97
    assert 0.011 <= below <= 0.039
    assert 0.011 <= above <= 0.039


def runs(one: Callable[[np.random.Generator], Parameter], seed: int) -> list[Parameter]:
    rng = np.random.default_rng(seed)
    return [one(rng) for _ in range(RUNS)]


def calibrated(receiver: Receiver, rng: np.random.Generator) -> Receiver:
    """The receiver as a calibration of its own finds it."""
    n0 = receiver.calibration_samples
    sigma0_sq = receiver.sigma0_sq * (rng.chisquare(n0) / n0 if math.isfinite(n0) else 1.0)
    return Receiver(receiver.kappa, receiver.efficiency, sigma0_sq, n0)


SHOTS = {
    "one digits layer": (4096, 32, Receiver(0.5)),
    "ten rows of it": (640, 32, Receiver(0.5)),
    "784 to 784": (614_656, 392, Receiver(0.5)),
    "784 to 10, lossy receiver": (7840, 392, Receiver(0.5, 0.8, 1.1)),
    "calibration counts as much": (4096, 32, Receiver(0.5, 0.9, 1.05, 5000)),
    "calibration decides": (614_656, 392, Receiver(1.0, 1.0, 1.02, 20_000)),
    "the smallest calibration": (640, 32, Receiver(0.5, 0.9, 1.05, 200)),
}


@pytest.mark.parametrize("shot", SHOTS)
def test_excess_noise(shot: str) -> None:
    samples, modes, receiver = SHOTS[shot]
    profile = NoiseProfile.one_mode(0.46, modes).raised(0.01)

    def one(rng: np.random.Generator) -> Parameter:
        sums = drawn_sums(samples, 4.0 * samples, 0.9, profile, receiver, rng)
        mine = calibrated(receiver, rng)
        return excess_noise(estimate(sums, mine), mine)

    check(profile.excess, runs(one, samples))


@pytest.mark.parametrize("images", [1, 20])
@pytest.mark.parametrize("ss_per_sample", [0.04, 4.0])
def test_transmittance(images: int, ss_per_sample: float) -> None:
    """The dimmest light has μ = 0.02: there the square of t̂ would be biased by a third of its error."""
    receiver, profile = Receiver(0.5, 0.8, 1.1), NoiseProfile.one_mode(0.5, 32)

    def one(rng: np.random.Generator) -> Parameter:
        sums = [drawn_sums(4096, ss_per_sample * 4096, 0.7, profile, receiver, rng) for _ in range(images)]
        return transmittance(pool(estimate(each, receiver) for each in sums), receiver)

    check(0.7, runs(one, images))


def test_transmittance_with_an_uncertain_receiver() -> None:
    true = Receiver(0.5, 0.8, 1.1)

    def one(rng: np.random.Generator) -> Parameter:
        sums = drawn_sums(4096, 80_000.0, 0.7, NoiseProfile.uniform(0.0), true, rng)
        assumed = Receiver(0.5, 0.8 * (1 + 0.01 * rng.standard_normal()), 1.1, 100_000, 0.008)
        unit = 1 + assumed.unit_relative_se * rng.standard_normal()
        found = estimate(ResidualSums(sums.n_samples, sums.ss, sums.sr / math.sqrt(unit), sums.rr / unit), assumed)
        return transmittance(found, assumed)

    check(0.7, runs(one, 5))


def test_transmittance_by_reference_does_not_need_the_receiver() -> None:
    """η and the shot-noise unit are wrong by 10 and 5 %, the light is 20 % brighter than meant."""
    true, assumed = Receiver(0.5, 0.8), Receiver(0.5, 0.88)
    quiet = NoiseProfile.uniform(0.0)

    def wrong(rng: np.random.Generator, passed: float) -> Estimate:
        sums = drawn_sums(4096, 4.8 * 4096, passed, quiet, true, rng)
        meant = ResidualSums(4096, sums.ss / 1.2, sums.sr / math.sqrt(1.2 * 1.05), sums.rr / 1.05)
        return estimate(meant, assumed)

    def one(rng: np.random.Generator) -> Parameter:
        path = known(0.9 * (1 + 0.01 * rng.standard_normal()), 0.009, "path")
        return transmittance_by_reference(wrong(rng, 0.7), wrong(rng, 0.9), path)

    check(0.7, runs(one, 6))


@pytest.mark.parametrize(
    ("electronic", "dark", "vacuum"), [(0.1, 2000, 2000), (0.02, 100_000, 20_000), (1.0, 500, 500)]
)
def test_electronic_noise(electronic: float, dark: int, vacuum: int) -> None:
    unit = 4e-4  # V²

    def one(rng: np.random.Generator) -> Parameter:
        records = [
            NoiseRecord(variance * rng.chisquare(count - 1) / (count - 1), count)
            for variance, count in ((unit * electronic, dark), (unit * (1 + electronic), vacuum))
        ]
        return receiver_noise(*records).electronic

    check(electronic, runs(one, dark))


def test_a_calibrated_receiver() -> None:
    found = receiver_noise(NoiseRecord(1e-6, 10_000_000), NoiseRecord(1.1e-5, 10_000_000))
    assert found.electronic.value == pytest.approx(0.1, rel=1e-5)
    assert found.clearance_db == pytest.approx(10, abs=1e-4)
    assert found.shot_noise == pytest.approx(1e-5)
    assert found.shot_noise_relative_se == pytest.approx(math.sqrt(2e-7) * math.hypot(1.1, 0.1), rel=1e-6)
    with pytest.raises(GateError, match="no shot noise"):
        receiver_noise(NoiseRecord(1.1, 100), NoiseRecord(1.0, 100))


@pytest.mark.parametrize("photons", [0.05, 4.0])
def test_mean_photon_number(photons: float) -> None:
    """The light is meant to have μ = 2."""
    receiver, samples = Receiver(0.5, 0.8, 1.05), 4096

    def one(rng: np.random.Generator) -> Parameter:
        sums = drawn_sums(samples, 2 * photons * samples, 0.5, NoiseProfile.uniform(0.01), receiver, rng)
        brighter = math.sqrt(photons / 2)
        meant = ResidualSums(samples, 4.0 * samples, sums.sr / brighter, sums.rr)
        path = known(0.5 * (1 + 0.01 * rng.standard_normal()), 0.005, "path")
        return mean_photons(meant, receiver, path)

    check(photons, runs(one, int(100 * photons)))


def test_technical_noise_is_taken_off() -> None:
    receiver, technical = Receiver(0.5, 0.9, 1.03, 1e6), 0.05
    agreed = NoiseProfile.one_mode(0.46, 32)

    def one(rng: np.random.Generator) -> Parameter:
        def measured(profile: NoiseProfile, shots: int) -> Parameter:
            mine = calibrated(receiver, rng)
            sums = [drawn_sums(4096, 16_000.0, 0.9, profile, receiver, rng) for _ in range(shots)]
            return excess_noise(pool(estimate(each, mine) for each in sums), mine)

        before = technical_noise(measured(NoiseProfile.uniform(technical), 10))
        return beyond_technical(measured(agreed.raised(technical), 3), before)

    check(agreed.excess, runs(one, 9))


def test_what_is_trusted_never_enters_the_excess() -> None:
    """v_el of 1 SNU: the same ε as without, and an interval that is wider."""
    quiet, loud = Receiver(0.5), Receiver(0.5, 1.0, 2.0)
    profile = NoiseProfile.one_mode(0.46, 32)
    found = []
    for receiver in (quiet, loud):
        rng = np.random.default_rng(3)
        sums = [drawn_sums(614_656, 4e6, 0.9, profile, receiver, rng) for _ in range(100)]
        found.append(excess_noise(pool(estimate(each, receiver) for each in sums), receiver))
    for each in found:
        assert each.value == pytest.approx(profile.excess, abs=4.5 * each.standard_error)
        assert each.standard_error < 1e-3
    assert found[1].standard_error == pytest.approx(2 * found[0].standard_error, rel=0.02)


def test_few_samples_widen_the_upper_side() -> None:
    """Where the normal interval would be too short on the side that the leakage uses."""
    sums = ResidualSums(64, 256.0, 256 * math.sqrt(0.5), 128 + 63.0)
    found = excess_noise(estimate(sums, Receiver(0.5)), Receiver(0.5))
    low, high = found.interval(0.95)
    assert high - found.value > 1.2 * (found.value - low)
    assert high > found.value + normal_quantile(0.95) * found.standard_error
    many = excess_noise(pool([estimate(sums, Receiver(0.5))] * 100_000), Receiver(0.5))
    half = normal_quantile(0.95) * many.standard_error
    expected = (many.value - half, many.value + half)
    assert many.interval(0.95) == pytest.approx(expected, rel=5e-3, abs=1e-5)


def test_budget_of_sources() -> None:
    receiver = Receiver(0.5, 0.8, 1.1, 1e5, 0.008)
    found = estimate(ResidualSums(4096, 16_000.0, 16_000 * 0.6, 16_000 * 0.36 + 1.12 * 4095), receiver)
    names = [source.name for source in excess_noise(found, receiver).sources]
    assert names == ["returned light", "vacuum calibration", "efficiency", "shot-noise unit"]
    passed = transmittance(found, receiver)
    assert [source.name for source in passed.sources] == ["returned light", "efficiency", "shot-noise unit"]
    assert passed.sources[1].standard_error == pytest.approx(passed.value * 0.01)
    assert passed.scaled(2.0).interval(0.9) == pytest.approx([2 * end for end in passed.interval(0.9)])


def test_what_is_common_to_all_does_not_average_out() -> None:
    """Of many pooled images, the errors of the efficiency and of the shot-noise unit are left."""
    exact, real = Receiver(0.5, 0.8, 1.1), Receiver(0.5, 0.8, 1.1, 10**6, 0.008)
    sums = ResidualSums(4096, 16_000.0, 16_000 * 0.6, 16_000 * 0.36 + 1.12 * 4095)
    widths = []
    for receiver in (exact, real):
        reach = limits(pool([estimate(sums, receiver)] * 10_000), receiver, 0.95)
        widths.append(reach.transmittance.high - reach.transmittance.low)
    relative = math.hypot(0.01, real.unit_relative_se)
    value = estimate(sums, real).transmittance
    assert widths[0] < 1e-3
    assert widths[1] == pytest.approx(2 * normal_quantile(0.95) * value * relative, rel=0.01)
    assert real.unit_relative_se == pytest.approx(math.sqrt(2e-6) * math.hypot(1.1, 0.1))


@given(
    st.integers(33, 10**6),
    st.floats(0.01, 10.0),
    st.floats(-0.2, 1.2),
    st.floats(0.5, 2.0),
    st.sampled_from([math.inf, 200.0, 1e6]),
    st.sampled_from([0.0, 0.01]),
    st.sampled_from([0.5, 0.95, 0.999]),
)
def test_limits_are_the_intervals_of_the_parameters(
    samples: int, light: float, t: float, noise: float, calibration: float, efficiency_se: float, confidence: float
) -> None:
    receiver = Receiver(0.5, 0.8, 1.1, calibration, efficiency_se)
    ss = light * samples
    found = estimate(ResidualSums(samples, ss, t * ss, t**2 * ss + noise * samples), receiver)
    for each in (found, pool([found] * 3)):
        got = limits(each, receiver, confidence)
        expected = (transmittance(each, receiver), excess_noise(each, receiver))
        for ends, parameter in zip(got, expected, strict=True):
            assert list(ends) == pytest.approx(list(parameter.interval(confidence)), rel=1e-9, abs=1e-12)


def test_worst_case_for_the_leakage() -> None:
    photons, passed = known(4.0, 0.1), known(0.9, 0.01)
    excess = Parameter(0.02, (Source("returned light", 0.005),))
    worst = worst_case(photons, passed, excess, 0.95)
    assert worst.mean_photons == pytest.approx(4.196, abs=1e-3)
    assert worst.transmittance == pytest.approx(0.8804, abs=1e-4)
    assert worst.excess == pytest.approx(0.0298, abs=1e-4)
    assert weight_leakage(worst.mean_photons, worst.transmittance, worst.excess) > weight_leakage(4.0, 0.9, 0.02)
    clamped = worst_case(photons, known(1.2, 0.01), known(-0.1, 0.001), 0.95)
    assert (clamped.transmittance, clamped.excess) == (1.0, 0.0)


def test_technical_noise_is_not_negative() -> None:
    assert technical_noise(known(-0.003, 0.002)) == TechnicalNoise(0.0, 0.002)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ConfigError):
        NoiseRecord(0.0, 100)
    with pytest.raises(ConfigError):
        NoiseRecord(1.0, 10)
    for error in (-0.1, math.nan):
        with pytest.raises(ConfigError, match="efficiency_se"):
            Receiver(0.5, efficiency_se=error)
    with pytest.raises(ConfigError):
        TechnicalNoise(-0.1)
    sums = ResidualSums(4096, 16_000.0, 16_000 * 0.6, 16_000 * 0.36 + 1.12 * 4095)
    with pytest.raises(GateError):
        mean_photons(sums, Receiver(0.5), known(0.0))
    found = estimate(sums, Receiver(0.5))
    dark = Estimate(**{**found.__dict__, "transmittance": -0.001})
    with pytest.raises(GateError, match="reference"):
        transmittance_by_reference(found, dark, known(1.0))
    with pytest.raises(ConfigError):
        known(1.0, 0.1).interval(1.0)
