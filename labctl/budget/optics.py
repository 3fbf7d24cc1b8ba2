"""Mean light of one layer through optics with faults (docs/physics.md, sections 3a and 4): no noise, no randomness.

Amplitudes are in sqrt(photons), a row of n modes in order of launch. Guard bins carry no light that is read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.budget.faults import Modulator, Unitary
from labctl.config import ModulatorRole, UnitaryRole
from labctl.optics.unitary import loop_settings
from labctl.units import db_to_ratio

Double = NDArray[np.float64]
Complex = NDArray[np.complex128]


def sent_light(wanted: Complex, full_scale: float, role: ModulatorRole, faults: Modulator, hours: float) -> Complex:
    """What a modulator with faults makes of a drive that is predistorted for one without, same shape.

    ``full_scale``: amplitude of one arm fully open. (sin u_I - iδ cos u_I) + i r e^{iψ} (sin u_Q - iδ cos u_Q), with
    u = (V_π,cal/V_π) arcsin(wanted/full scale) + π bias/2V_π.
    """
    leak = 0.0 if faults.extinction_ratio is None else 10 ** (-faults.extinction_ratio / 20)

    def arm(part: Double, calibrated: float, v_pi: float, bias: float) -> Complex:
        angle = np.arcsin(np.clip(part / full_scale, -1, 1)) * (calibrated / v_pi) + math.pi * bias / (2 * v_pi)
        return np.asarray(np.sin(angle) - 1j * leak * np.cos(angle))

    bias_i = faults.bias_i + hours * faults.bias_drift_i_per_hour
    bias_q = faults.bias_q + hours * faults.bias_drift_q_per_hour
    in_phase = arm(wanted.real, role.in_phase.v_pi, faults.v_pi_i, bias_i)
    quadrature = arm(wanted.imag, role.quadrature.v_pi, faults.v_pi_q, bias_q)
    turn = 1j * faults.gain_ratio * np.exp(1j * math.radians(faults.angle_error_deg))
    return np.asarray(full_scale * (in_phase + turn * quadrature))


@dataclass(frozen=True, eq=False)
class Loop:
    """The client's loop set to collect z, with faults; forward and return pass.

    ``forward``, ``back``: shape (n + 1, n), what each pass makes of the bins; the last row is what the loop holds.
    """

    forward: Complex
    back: Complex

    @classmethod
    def of(cls, z: Complex, role: UnitaryRole, faults: Unitary) -> Loop:
        """Settings for z by the calibrated half-wave voltages, light by the true ones."""
        theta, phi = loop_settings(z)
        held = math.sqrt(db_to_ratio(-faults.loop_loss)) * np.exp(1j * math.radians(faults.loop_phase_error_deg))
        forward = _forward(
            theta * (role.forward_coupler.v_pi / faults.v_pi_forward_coupler),
            phi * (role.forward_phase.v_pi / faults.v_pi_forward_phase),
            held,
        )
        # The way back is the adjoint of a way there with its own settings; what is lost on it stays lost.
        back = _forward(
            theta * (role.return_coupler.v_pi / faults.v_pi_return_coupler),
            phi * (role.return_phase.v_pi / faults.v_pi_return_phase),
            held,
        )
        return cls(forward, back)

    @property
    def collected(self) -> Complex:
        """The mode z' that the forward pass takes, shape (n,). What its norm lacks from 1 is vacuum."""
        return np.asarray(self.forward[-1].conj())

    @property
    def filled(self) -> Complex:
        """The mode z'' that the return pass fills, alike."""
        return np.asarray(self.back[-1].conj())

    @property
    def undone(self) -> bool:
        """Whether the return pass undoes the forward pass: the same settings, nothing lost."""
        held = float(np.sum(np.abs(self.forward) ** 2))
        return np.array_equal(self.forward, self.back) and abs(held - self.forward.shape[1]) < 1e-9

    def round_trip(self, amplitude: float) -> Complex:
        """(n, n): returned = this @ sent, with an amplitude factor √(τG) on what was collected."""
        held = np.ones(len(self.forward))
        held[-1] = amplitude
        return np.asarray(self.back.conj().T @ (held[:, None] * self.forward))


def _forward(theta: Double, phi: Double, round_trip: complex) -> Complex:
    """(n + 1, n): what leaves the coupler in each bin, and what the loop holds at the end (section 3a)."""
    modes = len(theta)
    out = np.zeros((modes + 1, modes), np.complex128)
    held = np.zeros(modes, np.complex128)
    for k in range(modes):
        arriving = np.zeros(modes, np.complex128)
        arriving[k] = np.exp(-1j * phi[k])
        held = held * round_trip
        out[k] = np.cos(theta[k]) * arriving - np.sin(theta[k]) * held
        held = np.cos(theta[k]) * held + np.sin(theta[k]) * arriving
    out[modes] = held
    return out
