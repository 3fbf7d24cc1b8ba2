from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import ConfigError, GateError
from labctl.protocol.estimation import Receiver, ResidualSums, estimate
from labctl.protocol.leakage import (
    Layer,
    data_leakage_journal,
    data_leakage_v1,
    expected_estimate,
    finite_size_leakage,
    holevo_entropy,
    known_leakage,
    layer_leakage,
    price_of_loss,
    weight_leakage,
)
from labctl.protocol.parameters import limits


def excess(gain: float) -> float:
    return 2 - 2 / gain


def entropy(v: float) -> float:
    """The definition, term by term."""
    up, down = (v + 1) / 2, (v - 1) / 2
    return up * math.log2(up) - (down * math.log2(down) if down > 0 else 0)


def symplectic(covariance: np.ndarray) -> np.ndarray:
    """Moduli of the eigenvalues of i Ω σ, one of each pair; order X1 P1 X2 P2 ..."""
    omega = np.kron(np.eye(covariance.shape[0] // 2), np.array([[0.0, 1.0], [-1.0, 0.0]]))
    values = np.sort(np.abs(np.linalg.eigvals(1j * omega @ covariance)))
    return np.maximum(values[::2], 1.0)


def holevo(photons: float, transmittance: float, noise: float) -> float:
    """Oracle: S(AB) - S(B | heterodyne on A) from the 4x4 covariance of the two-mode squeezed
    state of which the server keeps A and sends B."""
    V = 2 * photons + 1
    a, b = V * np.eye(2), (transmittance * (V - 1) + 1 + noise) * np.eye(2)
    c = math.sqrt(transmittance * (V**2 - 1)) * np.diag([1.0, -1.0])
    joint = np.block([[a, c], [c.T, b]])
    conditional = b - c.T @ np.linalg.inv(a + np.eye(2)) @ c
    return sum(map(entropy, symplectic(joint))) - sum(map(entropy, symplectic(conditional)))


@pytest.mark.parametrize(
    ("gain", "photons", "per_mode", "per_weight", "v1", "journal"),
    [
        (1.3, 4, "0.0457", "0.0228", "0.00156", "0.18660"),
        (1.3, 10, "0.1009", "0.0504", "0.00156", "0.18660"),
        (2, 2, "0.0477", "0.0238", "0.00729", "0.50459"),
        (2, 4, "0.0874", "0.0437", "0.00729", "0.50459"),
    ],
)
def test_published_operating_points(
    gain: float, photons: float, per_mode: str, per_weight: str, v1: str, journal: str
) -> None:
    g = excess(gain)
    weights = weight_leakage(photons, 1.0, g / 392)
    assert f"{weights:.4f}" == per_mode
    assert f"{weights / 2:.4f}" == per_weight
    assert f"{data_leakage_v1(g, 392):.5f}" == v1
    assert f"{data_leakage_journal(g, 392, 794):.5f}" == journal


@pytest.mark.parametrize(("transmittance", "bits"), [(1, "0.046"), (0.999, "0.077"), (0.99, "0.276")])
def test_loss_dominates(transmittance: float, bits: str) -> None:
    assert f"{weight_leakage(4, transmittance, excess(1.3) / 392):.3f}" == bits


def test_rows_of_the_first_layer_alone() -> None:
    assert f"{data_leakage_journal(excess(1.3), 392, 784):.5f}" == "0.18452"
    assert f"{data_leakage_journal(excess(2), 392, 784):.5f}" == "0.50000"


@given(st.floats(0.05, 50), st.floats(0.01, 1), st.floats(0, 5))
def test_holevo_quantity_from_the_covariance_matrix(photons: float, transmittance: float, noise: float) -> None:
    # the oracle's eigenvalues are good to about 1e-13 V², and entropies lose a factor log
    assert weight_leakage(photons, transmittance, noise) == pytest.approx(
        holevo(photons, transmittance, noise), rel=1e-7, abs=2e-8
    )


@given(st.floats(0.05, 50), st.floats(0, 0.999), st.floats(0, 5), st.floats(1e-3, 1))
def test_loss_and_noise_can_only_cost(photons: float, transmittance: float, noise: float, step: float) -> None:
    here = weight_leakage(photons, transmittance, noise)
    assert weight_leakage(photons, transmittance + step, noise) <= here + 1e-12
    assert weight_leakage(photons, transmittance, noise + step) >= here - 1e-12
    assert 0 <= here <= holevo_entropy(2 * photons + 1 + 2 * noise + 2)


def test_nothing_lost_nothing_learnt() -> None:
    assert weight_leakage(4, 1.0, 0.0) == 0.0
    # everything lost: the adversary holds the whole coherent-state ensemble
    assert weight_leakage(4, 0.0, 0.0) == pytest.approx(holevo_entropy(9.0))


def test_unphysical_estimates_are_clamped() -> None:
    assert weight_leakage(4, 1.02, -0.003) == 0.0
    assert weight_leakage(4, -0.1, 0.1) == weight_leakage(4, 0.0, 0.1)


@given(st.floats(1.001, 1e6))
def test_entropy_is_the_definition(v: float) -> None:
    assert holevo_entropy(v) == pytest.approx(entropy(v), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("photons", [1e-12, 1e-9, 1e-6])
def test_entropy_near_the_vacuum(photons: float) -> None:
    # u << 1: -u log2 u + u/ln 2
    v = 1 + 2 * photons
    u = (v - 1) / 2
    assert holevo_entropy(v) == pytest.approx(-u * math.log2(u) + u / math.log(2), rel=1e-6)
    assert holevo_entropy(1.0) == 0.0


def test_entropies_below_the_vacuum_are_refused() -> None:
    with pytest.raises(ConfigError):
        holevo_entropy(0.99)
    with pytest.raises(ConfigError):
        holevo_entropy(math.nan)


@given(st.floats(0, 4), st.integers(1, 1000), st.integers(1, 1000), st.floats(1e-3, 1))
def test_data_leakage_grows_with_noise_and_rows(g: float, modes: int, rows: int, step: float) -> None:
    assert data_leakage_v1(g, modes) >= 0
    assert data_leakage_v1(g + step, modes + 4) >= data_leakage_v1(g, modes + 4)
    journal = data_leakage_journal(g, modes, rows)
    assert data_leakage_journal(g + step, modes, rows) > journal
    assert data_leakage_journal(g, modes, rows + 1) >= journal
    assert journal == pytest.approx(0.5 * math.log2(1 + rows / modes * g**2 / (1 + g)), abs=1e-12)


def test_layer_takes_the_worst_ends() -> None:
    N = 614_656
    sums = ResidualSums(N, 4.0 * N, math.sqrt(0.5) * 4.0 * N, (1.0006 + 2.0) * N)
    measured = estimate(sums, Receiver(0.5))
    reach = limits(measured, Receiver(0.5), 0.95)
    leak = layer_leakage(Layer(2.0, 1.0, 392, 784), measured, reach)
    low, high = reach.transmittance.low, reach.excess.high
    assert leak.weights_bits_per_mode == weight_leakage(2.0, low, high)
    assert leak.weights_bits_per_mode_raw == weight_leakage(2.0, measured.transmittance, measured.excess)
    assert leak.weights_bits_per_mode > leak.weights_bits_per_mode_raw > 0
    assert leak.weights_bits_per_weight == leak.weights_bits_per_mode / 2
    assert leak.data_bits_v1 == data_leakage_v1(1.0, 392)
    assert leak.data_bits_journal == pytest.approx(0.5)


@pytest.mark.parametrize(("transmittance", "noise"), [(math.nan, 0.0), (1.0, math.nan)])
def test_no_leakage_without_an_estimate(transmittance: float, noise: float) -> None:
    with pytest.raises(GateError):
        weight_leakage(2.0, transmittance, noise)


def test_impossible_parameters_are_refused() -> None:
    with pytest.raises(ConfigError):
        weight_leakage(0.0, 1.0, 0.0)
    with pytest.raises(ConfigError):
        data_leakage_v1(-0.1, 392)
    with pytest.raises(ConfigError):
        data_leakage_journal(0.1, 392, 0)


# --- a known channel, and the worst case within intervals ------------------------------------------

PHOTONS, NOISE, LOSSY = st.floats(0.01, 1e3), st.floats(0, 5), st.floats(0, 1)


@given(PHOTONS, LOSSY, NOISE, st.floats(1e-3, 10))
def test_more_light_leaks_more(photons: float, transmittance: float, noise: float, step: float) -> None:
    """What the search for a working point relies on."""
    less, more = (weight_leakage(each, transmittance, noise) for each in (photons, photons + step))
    assert more >= less - 1e-12


@given(st.floats(1, 100), st.floats(1e-3, 10), PHOTONS, st.integers(1, 1000), st.integers(1, 1000))
def test_more_gain_leaks_more(gain: float, step: float, photons: float, modes: int, rows: int) -> None:
    less, more = (
        known_leakage(Layer(photons, excess(each), modes, rows), 1.0, excess(each) / modes)
        for each in (gain, gain + step)
    )
    assert more.weights_bits_per_mode >= less.weights_bits_per_mode - 1e-12
    assert more.data_bits_v1 >= less.data_bits_v1 - 1e-12
    assert more.data_bits_journal >= less.data_bits_journal - 1e-12


@given(PHOTONS, LOSSY, LOSSY, NOISE, NOISE, LOSSY, LOSSY)
def test_the_worst_case_is_at_the_ends_of_the_intervals(
    photons: float, t1: float, t2: float, noise1: float, noise2: float, inner_t: float, inner_noise: float
) -> None:
    low, high = min(t1, t2), max(noise1, noise2)
    inside = weight_leakage(
        photons, low + inner_t * (max(t1, t2) - low), high - inner_noise * (high - min(noise1, noise2))
    )
    assert inside <= weight_leakage(photons, low, high) + 1e-12


def test_a_known_channel_has_no_worst_case() -> None:
    layer = Layer(4.0, excess(1.3), 392, 784)
    found = known_leakage(layer, 0.999, 0.00118)
    assert found.weights_bits_per_mode == found.weights_bits_per_mode_raw == weight_leakage(4.0, 0.999, 0.00118)
    assert found.data_bits("v1") == found.data_bits_v1
    assert found.data_bits("journal") == found.data_bits_journal


def test_price_of_loss() -> None:
    bits = price_of_loss(4, excess(1.3) / 392)
    assert [f"{each:.3f}" for each in bits] == ["0.046", "0.077", "0.276"]
    assert price_of_loss(4, 0.1, (0.5,)) == (weight_leakage(4, 0.5, 0.1),)


RECEIVER = Receiver(0.5, 0.8, 1.05, 1e9)


@given(
    st.floats(0.1, 100), st.floats(0.1, 1), st.floats(0, 3), st.integers(32, 10**7), st.sampled_from([0.5, 0.95, 0.999])
)
def test_finite_size(photons: float, transmittance: float, noise: float, samples: int, confidence: float) -> None:
    """The expected estimate has the channel's values; its worst case lies between the exact value and the plan's."""
    layer = Layer(photons, 1.0, 32, 64)
    expected = expected_estimate(photons, transmittance, noise, samples, RECEIVER)
    assert expected.transmittance == pytest.approx(transmittance, rel=1e-9)
    assert expected.excess == pytest.approx(noise, rel=1e-9, abs=1e-9)
    exact = known_leakage(layer, transmittance, noise).weights_bits_per_mode
    measured = layer_leakage(layer, expected, limits(expected, RECEIVER, confidence))
    planned = finite_size_leakage(layer, expected, RECEIVER, confidence)
    assert planned.weights_bits_per_mode_raw == pytest.approx(exact, rel=1e-6, abs=1e-6)
    assert exact - 1e-6 <= measured.weights_bits_per_mode <= planned.weights_bits_per_mode + 1e-12
    assert planned.data_bits_v1 == measured.data_bits_v1
    more = finite_size_leakage(
        layer, expected_estimate(photons, transmittance, noise, 4 * samples, RECEIVER), RECEIVER, confidence
    )
    if samples >= 1000:  # of a few dozen samples the ends of the intervals are far from symmetric
        assert more.weights_bits_per_mode <= planned.weights_bits_per_mode + 1e-12


def test_an_honest_run_stays_below_its_plan() -> None:
    """In at least 95 of 100 trials, as the confidence says; 89 or fewer happen with probability 4e-3 at 95 %, and the
    seed is fixed."""
    rng = np.random.default_rng(5)
    layer, samples, receiver = Layer(2.0, 1.0, 392, 10), 7840, Receiver(0.5)
    noise, t = 1.0 / 392, math.sqrt(0.5)
    plan = finite_size_leakage(layer, expected_estimate(2.0, 1.0, noise, samples, receiver), receiver, 0.95)
    below = 0
    for _ in range(100):
        s = rng.normal(0, 2.0, samples)
        r = t * s + rng.normal(0, math.sqrt(1 + 0.5 * noise), samples)
        sums = ResidualSums(samples, float(s @ s), float(s @ r), float(r @ r))
        measured = estimate(sums, receiver)
        found = layer_leakage(layer, measured, limits(measured, receiver, 0.95))
        below += found.weights_bits_per_mode <= plan.weights_bits_per_mode
    assert below >= 90
    assert plan.weights_bits_per_mode > 2 * plan.weights_bits_per_mode_raw
