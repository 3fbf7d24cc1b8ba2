from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import ConfigError, GateError, ProtocolError
from labctl.protocol.estimation import (
    Estimate,
    Receiver,
    ResidualSums,
    estimate,
    pool,
    residual_sums,
    weighted_mean,
)

DUAL = Receiver(0.5)


def reference_noise(s: np.ndarray, r: np.ndarray) -> float:
    s, r = s.astype(np.float64).ravel(), r.astype(np.float64).ravel()
    t = s @ r / (s @ s)
    return float(np.sum((r - t * s) ** 2) / (s.size - 1))


def full_layer(seed: int, photons: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    s = (math.sqrt(2 * photons) * rng.standard_normal((2, 784, 392))).astype(np.float32)
    r = (math.sqrt(0.5) * s + rng.standard_normal(s.shape)).astype(np.float32)
    return s, r


@pytest.mark.parametrize(("seed", "photons"), [(1, 2.0), (2, 4.0), (3, 10.0)])
def test_float32_rows_lose_nothing_that_matters(seed: int, photons: float) -> None:
    s, r = full_layer(seed, photons)
    assert s.size == 614_656
    noise = estimate(residual_sums(s, r), DUAL).noise
    assert noise == pytest.approx(reference_noise(s, r), rel=1e-7)


def test_codes_are_as_good_as_samples() -> None:
    s, r = full_layer(4, 2.0)
    unit = 12 / 2**16
    codes = np.round(r / unit).astype(np.int16)
    launched_unit = 12 / 2**13
    launched = np.round(s / launched_unit).astype(np.int16)
    sums = residual_sums(launched, codes, launched_unit=launched_unit, received_unit=unit)
    expected = reference_noise(launched * launched_unit, codes * unit)
    assert estimate(sums, DUAL).noise == pytest.approx(expected, rel=1e-7)


def test_known_launch_saves_a_sum() -> None:
    s, r = full_layer(5, 2.0)
    whole = residual_sums(s, r)
    assert residual_sums(s, r, launched_squared=whole.ss) == whole


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5000,), (3, 4100), (2, 7, 11)])
def test_sums_of_any_shape(shape: tuple[int, ...], dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(6)
    s, r = rng.standard_normal((2, *shape)).astype(dtype)
    sums = residual_sums(s, r)
    assert sums.n_samples == s.size
    wide = s.astype(np.float64), r.astype(np.float64)
    assert sums.ss == pytest.approx(np.sum(wide[0] ** 2), rel=1e-6)
    assert sums.sr == pytest.approx(np.sum(wide[0] * wide[1]), abs=1e-4 * math.sqrt(s.size))
    assert sums.rr == pytest.approx(np.sum(wide[1] ** 2), rel=1e-6)


def test_parts_of_a_layer_add_up() -> None:
    s, r = full_layer(7, 2.0)
    parts = residual_sums(s[0], r[0]) + residual_sums(s[1], r[1])
    whole = residual_sums(s, r)
    assert parts.n_samples == whole.n_samples
    assert (parts.ss, parts.sr, parts.rr) == pytest.approx((whole.ss, whole.sr, whole.rr), rel=1e-12)


def test_worked_estimate() -> None:
    # N = 101, Σs² = 200, t̂ = 0.5, RSS = 110 - 0.25 * 200 = 60, σ̂² = 0.6; κη = 0.4
    receiver = Receiver(0.5, 0.8, 1.05, 5000)
    got = estimate(ResidualSums(101, 200.0, 100.0, 110.0), receiver)
    assert got.noise == pytest.approx(0.6)
    assert got.transmittance == pytest.approx((0.25 - 0.003) / 0.4)
    assert got.transmittance_se == pytest.approx(math.sqrt(4 * 0.247 * 0.003 + 2 * 0.003**2) / 0.4)
    assert got.excess == pytest.approx((0.6 - 1.05) / 0.4)
    assert got.excess_se_statistical == pytest.approx(0.6 * math.sqrt(2 / 100) / 0.4)
    assert got.excess_se == pytest.approx(math.sqrt(2 * 0.6**2 / 100 + 2 * 1.05**2 / 5000) / 0.4)


def test_resolution_of_one_image() -> None:
    for samples, resolution in ((614_656, 0.0036), (7_840, 0.032)):
        sums = ResidualSums(samples, 4.0 * samples, math.sqrt(0.5) * 4 * samples, 3.0 * samples)
        assert estimate(sums, DUAL).excess_se == pytest.approx(resolution, rel=0.02)


def simulated(runs: int, seed: int) -> tuple[list[Estimate], float, float]:
    """Small layers of low signal, where biases would show; each with a calibration of its own."""
    T, excess, samples, n0 = 0.3, 0.2, 64, 4000
    rng = np.random.default_rng(seed)
    receiver = Receiver(0.5, 0.8, 1.05, n0)
    s = rng.standard_normal(samples) * 1.5
    noise = rng.standard_normal((runs, samples)) * math.sqrt(1.05 + 0.4 * excess)
    r = math.sqrt(0.4 * T) * s + noise
    calibrated = 1.05 * rng.chisquare(n0, runs) / n0
    results = [
        estimate(
            ResidualSums(samples, float(s @ s), float(s @ row), float(row @ row)),
            Receiver(0.5, 0.8, sigma, n0),
        )
        for row, sigma in zip(r, calibrated.tolist(), strict=True)
    ]
    assert receiver.coupling == pytest.approx(0.4)
    return results, T, excess


def test_estimates_are_unbiased() -> None:
    # both means within 4.5 of their standard errors: fails wrongly with 1.4e-5
    results, T, excess = simulated(20_000, 11)
    transmittances = np.array([one.transmittance for one in results])
    excesses = np.array([one.excess for one in results])
    for got, true in ((transmittances, T), (excesses, excess)):
        assert abs(got.mean() - true) < 4.5 * got.std() / math.sqrt(got.size)
    # the bias that is taken out of t̂² and the degree of freedom would have been seen
    assert np.mean([one.noise for one in results]) / 0.4 / 64 > 4.5 * excesses.std() / 20_000**0.5


def test_standard_errors_are_true() -> None:
    # a standard deviation from 20,000 runs is good to 0.6 %: 4 % is over 6 of them
    results, _, _ = simulated(20_000, 12)
    for value, error in (("transmittance", "transmittance_se"), ("excess", "excess_se")):
        spread = np.std([getattr(one, value) for one in results])
        stated = math.sqrt(np.mean([getattr(one, error) ** 2 for one in results]))
        assert stated == pytest.approx(spread, rel=0.04)


@given(
    st.floats(0.1, 2),
    st.floats(0.2, 3),
    st.integers(32, 10**6),
    st.floats(0.1, 10),
    st.floats(0.3, 1),
)
def test_scale_of_receiver_is_taken_out(t: float, noise: float, n: int, power: float, efficiency: float) -> None:
    ss = power * n
    sums = ResidualSums(n, ss, t * ss, t * t * ss + noise * (n - 1))
    one = estimate(sums, Receiver(0.5, efficiency))
    full = estimate(sums, Receiver(1.0, 1.0))
    assert one.excess == pytest.approx(full.excess / (0.5 * efficiency), rel=1e-6, abs=1e-9)
    assert one.transmittance == pytest.approx(full.transmittance / (0.5 * efficiency), rel=1e-9)
    assert one.excess_se > full.excess_se


def make(samples: int, excess: float, receiver: Receiver = DUAL) -> Estimate:
    noise = receiver.sigma0_sq + receiver.coupling * excess
    ss = 4.0 * samples
    return estimate(ResidualSums(samples, ss, ss / 2, ss / 4 + noise * (samples - 1)), receiver)


def test_pooling_weighs_by_samples_and_keeps_the_calibration() -> None:
    receiver = Receiver(0.5, 1.0, 1.0, 100_000)
    parts = [make(614_656, 0.001, receiver), make(7_840, 0.05, receiver)] * 50
    run = pool(parts)
    assert run.samples == 50 * 622_496
    assert run.excess == pytest.approx((614_656 * 0.001 + 7_840 * 0.05) / 622_496)
    assert run.excess == pytest.approx(weighted_mean([0.001, 0.05], [614_656, 7_840]))
    one = pool(parts[:2])
    assert run.excess_se_statistical == pytest.approx(one.excess_se_statistical / math.sqrt(50))
    assert run.excess_se_calibration == pytest.approx(receiver.excess_se)
    assert run.excess_se > receiver.excess_se
    assert run.transmittance_se == pytest.approx(one.transmittance_se / math.sqrt(50))


def test_pooling_is_associative() -> None:
    parts = [make(n, e, Receiver(0.5, 0.9, 1.02, 1e5)) for n, e in ((100, 0.1), (50, 0.0), (70, 0.3))]
    whole, stepwise = pool(parts), pool([pool(parts[:2]), parts[2]])
    for name in Estimate.__dataclass_fields__:
        assert getattr(stepwise, name) == pytest.approx(getattr(whole, name), rel=1e-12)


@pytest.mark.parametrize(
    "sums",
    [
        ResidualSums(100, 0.0, 0.0, 100.0),
        ResidualSums(31, 100.0, 50.0, 100.0),
        ResidualSums(100, 100.0, math.nan, 100.0),
        ResidualSums(100, 100.0, 100.0, 100.0),
        ResidualSums(100, 100.0, 0.0, math.inf),
    ],
    ids=["nothing launched", "too few", "nan", "no noise", "infinite"],
)
def test_bad_sums_give_no_number(sums: ResidualSums) -> None:
    with pytest.raises(GateError):
        estimate(sums, DUAL)


def test_bad_samples_give_no_sums() -> None:
    s = np.ones((2, 4), dtype=np.float32)
    with pytest.raises(GateError):
        residual_sums(s, np.full_like(s, np.nan))
    with pytest.raises(ProtocolError):
        residual_sums(s, s[:, :3])
    with pytest.raises(ProtocolError):
        residual_sums(s, s.astype(np.complex64))
    with pytest.raises(GateError):
        pool([])


@pytest.mark.parametrize("constants", [(0.7,), (0.5, 0.0), (0.5, 1.1), (0.5, 1.0, 0.0), (0.5, 1.0, 1.0, 10)])
def test_impossible_receivers_are_refused(constants: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError):
        Receiver(*constants)
