from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import ConfigError
from labctl.protocol.estimation import Receiver
from labctl.protocol.walk import NoiseProfile, Stretch, freed_of_skewness, raised_by_skewness, walk
from tests.labctl.protocol.simulated_sums import residual_variance


def test_means_of_profiles() -> None:
    one = NoiseProfile.one_mode(0.5, 10)
    assert one.excess == pytest.approx(0.05)
    assert NoiseProfile.one_mode(0.5, 1).excess == pytest.approx(0.5)
    assert NoiseProfile.uniform(0.5).excess == 0.5
    assert one.raised(0.1).excess == pytest.approx(0.15)
    assert one.mixed(NoiseProfile.uniform(2.0), 0.25).excess == pytest.approx(0.75 * 0.05 + 0.5)


@pytest.mark.parametrize("parts", [(), ((0.5, 0.1),), ((1.2, 0.1), (-0.2, 0.1)), ((1.0, -0.1),), ((1.0, math.nan),)])
def test_profiles_that_are_none(parts: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ConfigError):
        NoiseProfile(parts)


@pytest.mark.parametrize(
    "profile",
    [
        NoiseProfile.uniform(0.3),
        NoiseProfile.one_mode(2.0, 4),
        NoiseProfile.one_mode(2.0, 8).mixed(NoiseProfile.uniform(4.0), 0.25),
    ],
    ids=["uniform", "one mode", "some rows"],
)
def test_cumulants_of_the_estimate(profile: NoiseProfile) -> None:
    """400,000 draws: variance within 5 of its standard errors (1.3 %), third cumulant within 12 % (5 as well)."""
    receiver, samples = Receiver(0.5, 0.9, 1.1), 64
    noise = residual_variance(samples, profile, receiver, (400_000,), np.random.default_rng(6))
    found = samples * (noise - receiver.sigma0_sq) / receiver.coupling
    second, third = profile.cumulants(samples, receiver)
    centred = found - found.mean()
    assert found.mean() / samples == pytest.approx(profile.excess, abs=5 * math.sqrt(second / 4e5) / samples)
    assert centred.var() == pytest.approx(second, rel=0.015)
    assert (centred**3).mean() == pytest.approx(third, rel=0.12)


def test_time_of_an_exactly_calibrated_walk_is_its_variance() -> None:
    stretches = [Stretch(4096, NoiseProfile.one_mode(0.5, 32)), Stretch(640, NoiseProfile.one_mode(0.5, 32))]
    found = walk(stretches, 3, Receiver(0.5), 0.0)
    assert found.time == pytest.approx(found.variance)
    assert found.samples.tolist() == [4096, 4736, 8832, 9472, 13568, 14208]
    assert found.skewness[0] == pytest.approx(math.sqrt(8 / 4095), rel=0.05)
    rough = walk(stretches, 3, Receiver(0.5), 0.01)
    assert np.all(rough.time < found.time)
    assert np.all(np.diff(rough.time) >= 0)


@given(st.floats(-8, 8), st.floats(-0.3, 0.3))
def test_skewness_is_put_on_and_taken_off(z: float, skewness: float) -> None:
    raised = raised_by_skewness(np.array([z]), np.array([skewness]))
    if abs(skewness * z) < 2.9:  # beyond 3/γ the first-order term bends back
        assert freed_of_skewness(raised, np.array([skewness]))[0] == pytest.approx(z, abs=1e-6)


@given(st.floats(-0.4, 0.4))
def test_taking_off_rises_all_the_way(skewness: float) -> None:
    standardised = np.linspace(-200, 200, 2001)
    freed = freed_of_skewness(standardised, np.full(2001, skewness))
    assert np.all(np.diff(freed) > 0)
