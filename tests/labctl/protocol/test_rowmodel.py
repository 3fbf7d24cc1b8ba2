from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import ConfigError
from labctl.protocol.rowmodel import AmplifierTap, ClientReceiver, snr_squared

gains = st.floats(1.0001, 50)


def propagated(gain: float, n_sp: float, tau: float) -> tuple[np.ndarray, np.ndarray]:
    """Oracle: linear map of the X quadratures (signal, thermal idler, tap vacuum) to (measured,
    returned); gives means per unit input and the 2x2 covariance."""
    amplify = np.array([[math.sqrt(gain), math.sqrt(gain - 1), 0], [0, 0, 1]])
    split = np.array([[math.sqrt(1 - tau), -math.sqrt(tau)], [math.sqrt(tau), math.sqrt(1 - tau)]])
    both = split @ amplify
    return both[:, 0], both @ np.diag([1, 2 * n_sp - 1, 1]) @ both.T


@given(gains, st.floats(1, 4), st.one_of(st.none(), st.floats(0.05, 0.99)))
def test_moments_follow_from_the_linear_map(gain: float, n_sp: float, tau: float | None) -> None:
    tap = AmplifierTap(gain, n_sp, tau)
    means, covariance = propagated(gain, n_sp, 1 / gain if tau is None else tau)
    assert math.sqrt(tap.signal_gain) == pytest.approx(means[0], rel=1e-6)
    assert tap.amplitude_factor == pytest.approx(means[1])
    assert tap.measured_variance == pytest.approx(covariance[0, 0])
    assert 1 + tap.returned_excess == pytest.approx(covariance[1, 1])
    assert tap.covariance == pytest.approx(covariance[0, 1], rel=1e-6)


@given(gains, st.floats(1, 4))
def test_closed_forms_as_agreed(gain: float, n_sp: float) -> None:
    G, tap = gain, AmplifierTap(gain, n_sp)
    assert tap.measured_variance == pytest.approx((G - 1) + (G - 1) ** 2 * (2 * n_sp - 1) / G + 1 / G)
    assert tap.returned_excess == pytest.approx(n_sp * (2 - 2 / G))
    assert tap.covariance == pytest.approx(2 * n_sp * (G - 1) * math.sqrt(G - 1) / G)
    assert AmplifierTap(gain).measured_variance == pytest.approx((2 * G**2 - 3 * G + 2) / G)


def test_worked_values() -> None:
    tap = AmplifierTap(1.3)
    assert tap.measured_variance == pytest.approx(1.13846, abs=5e-6)
    assert tap.returned_excess == pytest.approx(0.461538, abs=5e-7)
    assert tap.covariance == pytest.approx(0.252795, abs=5e-7)
    assert tap.honest_excess(392) == pytest.approx(0.00117739, abs=5e-9)
    assert tap.honest_excess(392, 0.5) == pytest.approx(0.00117739 / 2, abs=5e-9)
    assert AmplifierTap(3.4142).product_variance == pytest.approx(1.8284, abs=5e-5)


def test_best_gain_is_where_it_should_be() -> None:
    gains = np.linspace(1.01, 20, 20000)
    variances = [AmplifierTap(float(gain)).product_variance for gain in gains]
    assert gains[int(np.argmin(variances))] == pytest.approx(2 + math.sqrt(2), abs=2e-3)


@given(gains, st.floats(0.01, 100))
def test_ideal_signal_to_noise(gain: float, photons: float) -> None:
    tap = AmplifierTap(gain)
    assert snr_squared(tap, photons) == pytest.approx(2 * photons / tap.product_variance)


@given(gains, st.floats(0.1, 0.999), st.floats(0.1, 0.999), st.floats(0, 1))
def test_imperfections_only_cost(gain: float, t_in: float, efficiency: float, noise: float) -> None:
    tap, receiver = AmplifierTap(gain), ClientReceiver(efficiency, noise)
    F2 = snr_squared(tap, 2.0, t_in, receiver)
    v_m = tap.measured_variance
    assert pytest.approx(2 * 2 * t_in * efficiency * (gain - 1) / (efficiency * v_m + 1 - efficiency + noise)) == F2
    assert snr_squared(tap, 2.0) > F2


def test_mismatched_tap_adds_excess() -> None:
    assert AmplifierTap(2.0).mismatch_excess(4.0, 392) == pytest.approx(0, abs=1e-30)
    tap = AmplifierTap(2.0, returned_fraction=0.45)
    expected = 0.9 * 8 * (math.sqrt(0.9) - 1) ** 2 / 392
    assert tap.mismatch_excess(4.0, 392, 0.9) == pytest.approx(expected)


def test_nothing_measured_nothing_known() -> None:
    tap = AmplifierTap(1.0)
    assert tap.returned_excess == 0
    assert tap.measured_variance == 1
    assert tap.product_variance == math.inf
    assert snr_squared(tap, 2.0) == 0


@pytest.mark.parametrize(
    ("gain", "n_sp", "tau"),
    [(0.99, 1, None), (math.nan, 1, None), (2, 0.9, None), (2, 1, 0.0), (2, 1, 1.1)],
)
def test_impossible_amplifiers_are_refused(gain: float, n_sp: float, tau: float | None) -> None:
    with pytest.raises(ConfigError):
        AmplifierTap(gain, n_sp, tau)


def test_impossible_receivers_are_refused() -> None:
    with pytest.raises(ConfigError):
        ClientReceiver(0.0)
    with pytest.raises(ConfigError):
        ClientReceiver(0.9, -0.1)
