"""The reference itself: textbook facts that it must reproduce before it may judge anything else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.physics.gaussian_reference import Gaussian, is_symplectic, symplectic_eigenvalues


def test_coherent_state() -> None:
    state = Gaussian(1)
    state.displace(0, 1.5 - 0.5j)
    np.testing.assert_allclose(state.mean, [3.0, -1.0])
    np.testing.assert_allclose(state.covariance, np.eye(2))


def test_phase_turns_the_amplitude() -> None:
    state = Gaussian(1)
    state.displace(0, 2.0)
    state.phase(0, math.pi / 2)
    np.testing.assert_allclose(state.mean, [0.0, 4.0], atol=1e-12)


def test_passive_optics_keep_vacuum_and_energy() -> None:
    state = Gaussian(2)
    state.displace(0, 3.0)
    state.displace(1, 4.0j)
    state.beam_splitter(0, 1, 0.3)
    np.testing.assert_allclose(state.covariance, np.eye(4), atol=1e-12)
    assert np.sum(state.mean**2) / 4 == pytest.approx(25.0)


def test_loss_mixes_with_vacuum() -> None:
    state = Gaussian(1)
    state.covariance = 5.0 * np.eye(2)
    state.displace(0, 1.0)
    state.lose(0, 0.25)
    np.testing.assert_allclose(state.mean, [1.0, 0.0])
    np.testing.assert_allclose(state.covariance, 2.0 * np.eye(2))


def test_two_mode_squeezed_vacuum() -> None:
    state = Gaussian(2)
    state.squeeze_two(0, 1, 2.0)
    np.testing.assert_allclose(np.diag(state.covariance), 3.0)
    assert state.covariance[0, 2] == pytest.approx(math.sqrt(8))
    assert state.covariance[1, 3] == pytest.approx(-math.sqrt(8))
    np.testing.assert_allclose(symplectic_eigenvalues(state.covariance), 1.0)


@pytest.mark.parametrize(("gain", "n_sp"), [(1.0, 1.0), (2.0, 1.0), (3.0, 1.7)])
def test_amplifier_adds_caves_noise(gain: float, n_sp: float) -> None:
    """Caves, Phys. Rev. D 26, 1817 (1982): at least G - 1 beyond G times the input's."""
    state = Gaussian(1)
    state.displace(0, 1.0j)
    state.amplify(0, gain, n_sp)
    np.testing.assert_allclose(state.mean, [0.0, 2 * math.sqrt(gain)])
    np.testing.assert_allclose(state.covariance, (gain + (gain - 1) * (2 * n_sp - 1)) * np.eye(2), atol=1e-12)


def test_every_operation_is_symplectic(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    apply = Gaussian._transform

    def note(state: Gaussian, modes: list[int], block: np.ndarray) -> None:
        seen.append(is_symplectic(block))
        apply(state, modes, block)

    monkeypatch.setattr(Gaussian, "_transform", note)
    state = Gaussian(2)
    state.phase(0, 0.4)
    state.beam_splitter(0, 1, 1.1)
    state.squeeze_two(0, 1, 1.8)
    state.lose(1, 0.6)
    state.amplify(0, 2.5, 1.3)
    assert seen == [True] * 5
    assert symplectic_eigenvalues(state.covariance).min() >= 1 - 1e-9
