"""One row of the protocol in tests/physics/gaussian_reference.py: every coupler, loss and detector of its way, bin by
bin. What the drives are is given; nothing is known of what they are for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.physics.gaussian_reference import Double, Gaussian


@dataclass(frozen=True)
class Setup:
    """Transmittances of the fibre out and back and of one turn of the loop; amplifier and tap; both receivers."""

    out: float = 1.0
    back: float = 1.0
    loop: float = 1.0
    gain: float = 2.0
    n_sp: float = 1.0
    returned: float = 0.5
    client_efficiency: float = 1.0
    client_electronic: float = 0.0
    server_efficiency: float = 1.0
    server_electronic: float = 0.0


@dataclass(frozen=True)
class Drives:
    """Coupler angles and phases of one pass, by bin in the order of launch."""

    theta: Double
    phi: Double


def row_moments(
    amplitudes: NDArray[np.complex128], forward: Drives, back: Drives, setup: Setup
) -> tuple[Double, Double]:
    """Mean and covariance of (client's X, server's X of every bin, server's P of every bin), bins in launch order."""
    bins = len(amplitudes)
    state = Gaussian(bins + 1)
    loop = bins  # the light in the loop is one more mode
    for k, amplitude in enumerate(amplitudes):
        state.displace(k, complex(amplitude))
        state.lose(k, setup.out)
    for k in range(bins):
        if k:
            state.lose(loop, setup.loop)
        state.phase(k, -forward.phi[k])
        state.beam_splitter(loop, k, forward.theta[k])
    state.amplify(loop, setup.gain, setup.n_sp)
    tapped = state.add_mode()
    # Power cos² of the angle stays in the loop's mode and goes back; sin² reaches the client (with the sign of -a).
    state.beam_splitter(loop, tapped, math.acos(math.sqrt(setup.returned)))
    state.phase(tapped, math.pi)
    for k in reversed(range(bins)):
        # The inverse of the forward coupler: a_k and c_{k-1} from c_k and o_k.
        state.beam_splitter(loop, k, -back.theta[k])
        state.phase(k, back.phi[k])
        if k:
            state.lose(loop, setup.loop)
    state.lose(tapped, setup.client_efficiency)
    state.blur(2 * tapped, setup.client_electronic)
    in_phase, quadrature = [], []
    for k in range(bins):
        state.lose(k, setup.back)
        other = state.add_mode()
        state.beam_splitter(k, other, math.pi / 4)
        state.phase(other, math.pi)  # both halves in phase with what came
        for arm in (k, other):
            state.lose(arm, setup.server_efficiency)
        in_phase.append(2 * k)
        quadrature.append(2 * other + 1)
    for index in in_phase + quadrature:
        state.blur(index, setup.server_electronic)
    return state.marginal([2 * tapped, *in_phase, *quadrature])
