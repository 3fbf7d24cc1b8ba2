from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from labctl.errors import ConfigError, GateError, ProtocolError
from labctl.protocol.estimation import (
    Estimate,
    Receiver,
    ResidualSums,
    estimate,
    pool,
    residual_sums,
)
from labctl.protocol.verification import LayerNull, SequentialTest, VerificationPlan
from labctl.protocol.walk import NoiseProfile
from tests.labctl.protocol.simulated_sums import first_alarms

DUAL = Receiver(0.5)


def excess(gain: float, modes: int) -> float:
    return (2 - 2 / gain) / modes


def mnist(gain: float, images: int, rate: float, receiver: Receiver = DUAL) -> VerificationPlan:
    eps = excess(gain, 392)
    layers = (LayerNull(614_656, 392, eps), LayerNull(7_840, 392, eps))
    return VerificationPlan(layers, receiver, images, rate)


def digits(gain: float, images: int, rate: float, receiver: Receiver = DUAL) -> VerificationPlan:
    eps = excess(gain, 32)
    layers = (LayerNull(4096, 32, eps), LayerNull(640, 32, eps))
    return VerificationPlan(layers, receiver, images, rate)


def honest(plan: VerificationPlan) -> list[NoiseProfile]:
    return [layer.profile for layer in plan.layers]


def make(samples: int, eps: float, receiver: Receiver = DUAL) -> Estimate:
    noise = receiver.sigma0_sq + receiver.coupling * eps
    ss = 4.0 * samples
    return estimate(ResidualSums(samples, ss, ss / 2, ss / 4 + noise * (samples - 1)), receiver)


@pytest.mark.parametrize(
    ("plan", "runs"),
    [
        (digits(1.3, 1, 0.1), 100_000),
        (digits(2.0, 30, 0.1), 20_000),
        (digits(2.0, 30, 0.01), 60_000),
        (digits(2.0, 8, 0.001), 400_000),
        (digits(2.0, 8, 0.01, Receiver(0.5, 0.8, 1.05, 30_000)), 100_000),
        (digits(2.0, 30, 0.01, Receiver(1.0, 1.0, 1.0, 5_000)), 60_000),
        (mnist(1.3, 200, 0.01), 5_000),
    ],
    ids=lambda value: f"{value.images}-{value.false_alarm_rate}" if hasattr(value, "images") else "",
)
def test_false_alarms_at_the_configured_rate(plan: VerificationPlan, runs: int) -> None:
    # chi-square noise, mode by mode: 4 standard errors, 7 cases, fails wrongly with 4e-4;
    # 3 % of the rate is allowed to the approximations
    rng = np.random.default_rng(plan.images)
    rate = sum(np.count_nonzero(first_alarms(plan, honest(plan), runs // 20, rng)) for _ in range(20)) / runs
    target = plan.false_alarm_rate
    error = math.sqrt(target * (1 - target) / runs)
    assert rate == pytest.approx(target, abs=4 * error + 0.03 * target)


def test_uncorrected_skewness_would_show() -> None:
    # guards the test above: without the Cornish-Fisher term the digits' rate would be wrong
    plan = digits(2.0, 8, 0.001)
    test = SequentialTest(plan)
    tail = NormalDist().cdf
    z = test._looks.z
    corrected = test._looks.boundary
    assert np.all(corrected > z)
    assert tail(-z[0]) / tail(-corrected[0]) > 1.2


def test_first_look_alone_is_the_exact_tail() -> None:
    # one layer, one image: threshold against the chi-square quantile itself
    from scipy.stats import chi2

    for samples in (640, 4096, 614_656):
        layer = LayerNull(samples, 1, 0.01)
        plan = VerificationPlan((layer,), DUAL, 1, 1e-3)
        exact = (1.005 * chi2.isf(1e-3, samples - 1) / (samples - 1) - 1) / 0.5
        [threshold] = SequentialTest(plan).thresholds
        assert threshold - 0.01 == pytest.approx(exact - 0.01, rel=2e-3)


def test_calibration_limits_what_can_be_seen() -> None:
    exact = SequentialTest(mnist(1.3, 10_000, 1e-3))
    rough = SequentialTest(mnist(1.3, 10_000, 1e-3, Receiver(0.5, 1.0, 1.0, 1e7)))
    assert np.all(rough.thresholds[100:] > exact.thresholds[100:])
    # an infinite run cannot tell less than z times the calibration's error
    floor = excess(1.3, 392) + 3.09 * Receiver(0.5, 1.0, 1.0, 1e7).excess_se
    assert rough.thresholds[-1] > floor
    assert exact.thresholds[-1] < floor


def test_technical_noise_is_allowed_and_its_error_counted() -> None:
    layer = LayerNull(4096, 32, 0.01, 0.005)
    plan = VerificationPlan((layer,), DUAL, 50, 0.01)
    assert layer.excess == pytest.approx(0.015)
    unsure = VerificationPlan((layer,), DUAL, 50, 0.01, common_excess_se=0.01)
    late = slice(5, None)
    assert np.all(SequentialTest(unsure).thresholds[late] > SequentialTest(plan).thresholds[late])


def test_updates_agree_with_the_pooled_estimate() -> None:
    plan = digits(2.0, 30, 0.01, Receiver(0.5, 0.9, 1.02, 1e6))
    rng = np.random.default_rng(41)
    test, seen = SequentialTest(plan), []
    for look in range(plan.horizon):
        layer = plan.layers[look % 2]
        eps = layer.excess + 0.06 + 0.04 * rng.standard_normal()
        seen.append(make(layer.samples, eps, plan.receiver))
        verdict = test.update(seen[-1])
        run = pool(seen)
        assert verdict.look == look + 1
        assert verdict.samples == run.samples
        assert verdict.excess == pytest.approx(run.excess, rel=1e-9)
        assert verdict.expected == pytest.approx(1 / 32)
        assert verdict.threshold == test.thresholds[look]
        crossed = verdict.excess > verdict.threshold
        assert (verdict.statistic > verdict.boundary) == crossed
        assert verdict.alarm or not crossed
    assert verdict.alarm
    assert verdict.alarm_look is not None
    with pytest.raises(ProtocolError, match="planned"):
        test.update(seen[0])


def test_alarm_is_remembered() -> None:
    plan = digits(2.0, 30, 0.01)
    test = SequentialTest(plan)
    assert not test.update(make(4096, 1 / 32)).alarm
    assert test.update(make(640, 5.0)).alarm_look == 2
    later = test.update(make(4096, -1.5))
    assert later.excess < later.threshold
    assert later.alarm
    assert later.alarm_look == 2


def test_all_mode_amplification_is_seen_at_once() -> None:
    test = SequentialTest(mnist(1.3, 10_000, 1e-3))
    assert test.update(make(614_656, 2 - 2 / 1.3)).alarm_look == 1


def test_from_samples_to_verdict() -> None:
    # honest digits layers with noise in mode b, and a client of gain 20, by the samples:
    # the honest run alarms with 1e-3
    rng = np.random.default_rng(51)
    for gain, alarmed in ((1.3, False), (20.0, True)):
        plan = VerificationPlan((LayerNull(4096, 32, excess(1.3, 32)),), DUAL, 60, 1e-3)
        test = SequentialTest(plan)
        for _ in range(plan.images):
            s = (2 * rng.standard_normal((2, 64, 32))).astype(np.float32)
            noise = rng.standard_normal(s.shape)
            noise[:, :, 0] *= math.sqrt(1 + 0.5 * (2 - 2 / gain))
            r = (math.sqrt(0.5) * s + noise).astype(np.float32)
            verdict = test.update(estimate(residual_sums(s, r), DUAL))
        assert verdict.alarm is alarmed


def test_estimates_must_follow_the_plan() -> None:
    test = SequentialTest(digits(2.0, 5, 0.01))
    with pytest.raises(ProtocolError, match="samples"):
        test.update(make(640, 0.03))
    bad = make(4096, 0.03)
    with pytest.raises(GateError):
        test.update(Estimate(**{**bad.__dict__, "excess": math.nan}))
    assert test.update(bad).look == 1


@pytest.mark.parametrize("rate", [0.0, -1e-3, 0.5, 1e-9, math.nan])
def test_impossible_rates_are_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match="false_alarm_rate"):
        digits(2.0, 5, rate)


def test_impossible_plans_are_refused() -> None:
    with pytest.raises(ConfigError):
        digits(2.0, 0, 0.01)
    with pytest.raises(ConfigError):
        VerificationPlan((), DUAL, 5, 0.01)
    with pytest.raises(ConfigError):
        LayerNull(10, 1, 0.01)
    with pytest.raises(ConfigError):
        LayerNull(1000, 10, -0.01)
    with pytest.raises(ConfigError):
        VerificationPlan((LayerNull(1000, 10, 0.01),), DUAL, 5, 0.01, math.nan)
