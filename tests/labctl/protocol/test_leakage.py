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
    holevo_entropy,
    layer_leakage,
    weight_leakage,
)


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
    leak = layer_leakage(Layer(2.0, 1.0, 392, 784), measured, 0.95)
    low, high = measured.transmittance_interval(0.95).low, measured.excess_interval(0.95).high
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
