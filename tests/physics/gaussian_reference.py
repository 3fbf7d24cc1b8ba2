"""Gaussian optics by covariance matrices, written from the textbook: a second opinion on the simulated bench.

It knows no formula of the protocol, and nothing of labctl. A state of N modes is its mean vector and its covariance
matrix in the order X_0, P_0, X_1, P_1, ...; X = a + a†, vacuum variance 1. Every channel is a symplectic matrix on the
modes and on an environment that is written out as further modes and then forgotten (Weedbrook et al., Rev. Mod. Phys.
84, 621, 2012, sections II and V).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Double = NDArray[np.float64]


class Gaussian:
    """A Gaussian state, changed in place. It starts as vacuum of ``modes`` modes."""

    def __init__(self, modes: int) -> None:
        self.mean: Double = np.zeros(2 * modes)
        self.covariance: Double = np.eye(2 * modes)

    def add_mode(self, variance: float = 1.0) -> int:
        """One more mode, thermal with this variance per quadrature; returns its number."""
        size = len(self.mean)
        covariance = np.zeros((size + 2, size + 2))
        covariance[:size, :size] = self.covariance
        covariance[size:, size:] = variance * np.eye(2)
        self.mean = np.concatenate([self.mean, [0.0, 0.0]])
        self.covariance = covariance
        return size // 2

    def forget(self, mode: int) -> None:
        """Trace the last mode out (only the last one, so that numbers keep their meaning)."""
        assert 2 * (mode + 1) == len(self.mean)
        self.mean = self.mean[:-2]
        self.covariance = self.covariance[:-2, :-2]

    def displace(self, mode: int, amplitude: complex) -> None:
        """D(α): the means move by 2 Re α and 2 Im α."""
        self.mean[2 * mode : 2 * mode + 2] += (2 * amplitude.real, 2 * amplitude.imag)

    def phase(self, mode: int, angle: float) -> None:
        """a -> exp(iφ) a."""
        c, s = math.cos(angle), math.sin(angle)
        self._transform([mode], np.array([[c, -s], [s, c]]))

    def beam_splitter(self, first: int, second: int, angle: float) -> None:
        """a -> cos θ a + sin θ b, b -> cos θ b - sin θ a."""
        c, s = math.cos(angle) * np.eye(2), math.sin(angle) * np.eye(2)
        self._transform([first, second], np.block([[c, s], [-s, c]]))

    def squeeze_two(self, first: int, second: int, gain: float) -> None:
        """Two-mode squeezing: a -> √G a + √(G-1) b†, b -> √G b + √(G-1) a†."""
        mirror = np.diag([1.0, -1.0])
        strong, weak = math.sqrt(gain) * np.eye(2), math.sqrt(gain - 1) * mirror
        self._transform([first, second], np.block([[strong, weak], [weak, strong]]))

    def lose(self, mode: int, transmittance: float) -> None:
        """A beam splitter with vacuum, whose other output is forgotten."""
        environment = self.add_mode()
        self.beam_splitter(mode, environment, math.acos(math.sqrt(transmittance)))
        self.forget(environment)

    def amplify(self, mode: int, gain: float, n_sp: float) -> None:
        """Phase-insensitive amplifier: two-mode squeezing with a thermal idler of variance 2 n_sp - 1."""
        idler = self.add_mode(2 * n_sp - 1)
        self.squeeze_two(mode, idler, gain)
        self.forget(idler)

    def blur(self, index: int, variance: float) -> None:
        """Classical noise of a detector's electronics on one quadrature (0: X of mode 0, 1: its P, ...)."""
        self.covariance[index, index] += variance

    def marginal(self, indices: list[int]) -> tuple[Double, Double]:
        """Mean and covariance of some quadratures."""
        return self.mean[indices], self.covariance[np.ix_(indices, indices)]

    def _transform(self, modes: list[int], block: Double) -> None:
        indices = [2 * mode + part for mode in modes for part in (0, 1)]
        symplectic = np.eye(len(self.mean))
        symplectic[np.ix_(indices, indices)] = block
        self.mean = symplectic @ self.mean
        self.covariance = symplectic @ self.covariance @ symplectic.T


def is_symplectic(block: Double) -> bool:
    """S Ω Sᵀ = Ω."""
    omega = np.kron(np.eye(len(block) // 2), np.array([[0.0, 1.0], [-1.0, 0.0]]))
    return bool(np.allclose(block @ omega @ block.T, omega))


def symplectic_eigenvalues(covariance: Double) -> Double:
    """Of a covariance matrix, ascending, one a mode; a physical state has none below 1."""
    omega = np.kron(np.eye(len(covariance) // 2), np.array([[0.0, 1.0], [-1.0, 0.0]]))
    values = np.sort(np.abs(np.linalg.eigvals(1j * omega @ covariance)))
    return np.asarray(values[::2], dtype=np.float64)
