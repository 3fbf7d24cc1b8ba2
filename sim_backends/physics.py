"""Formulas of the optical twin, as pure functions.

Shot-noise units (SNU): X = a + a†, P = -i(a - a†), vacuum variance 1 for each. A field of M rows of B time bins stands
as a *plane*: float32 of shape (2, M, B), X quadratures first, then P. Mode vectors z of B complex numbers stand as a
*basis*: float32 of shape (2, 2, B), so that ``sum(plane[q] @ basis[q].T for q in (0, 1))`` has the quadratures of b = Σ
z_k* a_k as columns. Sections refer to docs/physics.md; the protocol is Sulimany et al., Phys. Rev. X 15, 041056 (2025).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from threading import Thread
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labctl.normals import Method
from labctl.normals import fill as fill_normal

Float = NDArray[np.float32]
Double = NDArray[np.float64]
Complex = NDArray[np.complex128]

PLANCK_J_S: Final = 6.62607015e-34
LIGHT_SPEED_M_S: Final = 299_792_458.0

#: One random generator per quadrature, X and P.
Generators = tuple[np.random.Generator, np.random.Generator]
#: Numbers that take longer to draw than a thread takes to start.
WORTH_A_THREAD: Final = 1 << 16
#: Rows that are worked on together: few calls, and little memory besides the planes.
BLOCK_ROWS: Final = 512
#: Bytes that a processor fetches at once.
CACHE_LINE: Final = 64


def photons_per_bin(power_w: float, wavelength_m: float, rate_hz: float) -> float:
    """Mean photon number of one time bin of continuous light: P λ / (h c f)."""
    return power_w * wavelength_m / (PLANCK_J_S * LIGHT_SPEED_M_S * rate_hz)


@dataclass(frozen=True)
class IqImbalance:
    """What is not ideal in an IQ modulator. ``leak``: 10^(-extinction ratio in dB / 20) of each arm."""

    bias_i_v: float = 0.0
    bias_q_v: float = 0.0
    angle_error_rad: float = 0.0
    gain_ratio: float = 1.0
    leak: float = 0.0


#: A modulator without faults.
BALANCED: Final = IqImbalance()


def iq_transfer(
    v_i: Double | Float, v_q: Double | Float, v_pi_i: float, v_pi_q: float, imbalance: IqImbalance = BALANCED
) -> Complex | NDArray[np.complex64]:
    """Field transmission of an IQ modulator at null; 1 at most where it is balanced.

    (f_I + i r e^{iε} f_Q)/√2 with the arms' f = sin u - i δ cos u, u = π (v + bias)/2V_π, extinction δ, ratio r of the
    arms' fields and error ε of the third electrode. As precise as the voltages are.
    """

    def arm(volts: Double | Float, v_pi: float) -> Complex:
        angle = volts * (np.pi / (2 * v_pi))
        field = np.sin(angle)
        return np.asarray(field - 1j * imbalance.leak * np.cos(angle) if imbalance.leak else field)

    in_phase = arm(v_i + imbalance.bias_i_v, v_pi_i)
    quadrature = arm(v_q + imbalance.bias_q_v, v_pi_q)
    turn = 1j * imbalance.gain_ratio * complex(np.exp(1j * imbalance.angle_error_rad))
    return np.asarray((in_phase + turn * quadrature) / math.sqrt(2))


def loop_mode(theta: Double, phi: Double, loop_transmittance: float, loop_phase: float = 0.0) -> Complex:
    """The mode that one pass of the time-bin loop collects, shape (B,) (section 3a).

    z'_k = sin θ_k e^{iφ_k} Π_{j>k} cos θ_j T_l^{(B-1-k)/2} e^{-iδ(B-1-k)}, with a phase error δ of each round trip.
    What its norm lacks from 1 is vacuum.
    """
    round_trip = np.sqrt(loop_transmittance) * (np.exp(-1j * loop_phase) if loop_phase else 1.0)
    after = np.ones(theta.shape, dtype=np.result_type(theta, round_trip))
    after[:-1] = np.cumprod((np.cos(theta[1:]) * round_trip)[::-1])[::-1]
    return np.asarray(np.sin(theta) * np.exp(1j * phi) * after)


def basis_of(mode: Complex) -> Float:
    """The (2, 2, B) real basis of a mode vector z: [quadrature of the bins, quadrature of b, bin]."""
    real, imag = mode.real, mode.imag
    return np.array([[real, -imag], [imag, real]], dtype=np.float32)


def project(plane: Float, basis: Float) -> Double:
    """Quadratures of b = Σ z_k* a_k for every row, shape (M, 2)."""
    # A contiguous right-hand side: several times faster than a transposed view.
    parts = np.matmul(plane, np.ascontiguousarray(basis.transpose(0, 2, 1)))
    return np.asarray(parts[0] + parts[1], dtype=np.float64)


def plane_of(field: Complex, rows: int) -> Float:
    """Mean quadratures 2 Re α, 2 Im α of amplitudes of shape (rows * B,) or (rows, B), as a plane."""
    grid = field.reshape(rows, -1)
    return np.stack([2 * grid.real, 2 * grid.imag]).astype(np.float32)


def aligned(shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """An uninitialised array that begins with a cache line: vectors that straddle two cost twice as much.

    Memory of at least 4 MiB numpy asks the system to map in large pages.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.empty(size + CACHE_LINE, np.uint8)
    start = -room.__array_interface__["data"][0] % CACHE_LINE  # .ctypes takes as long as a small plane
    return room[start : start + size].view(dtype).reshape(shape)


def new_plane(rows: int, bins: int) -> Float:
    """An uninitialised plane, cut from memory in large pages."""
    numbers = 2 * rows * bins
    return aligned((max(numbers, 1 << 20),), np.float32)[:numbers].reshape(2, rows, bins)


def reversed_bins(plane: Float) -> Float:
    """The same plane in reversed bin order, as the light leaves the time-reversing buffer."""
    return np.ascontiguousarray(plane[:, :, ::-1])


@dataclass(frozen=True)
class LoopDrive:
    """One pass's settings: coupler angles θ and phases φ, shape (B,); the loop's transmittance and phase error."""

    theta: Double
    phi: Double
    transmittance: float
    phase: float = 0.0

    def mode(self) -> Complex:
        """The mode this pass collects (or, backwards, fills)."""
        return loop_mode(self.theta, self.phi, self.transmittance, self.phase)

    def same_as(self, other: LoopDrive) -> bool:
        """Whether the other pass has exactly these settings."""
        return (
            (self.transmittance, self.phase) == (other.transmittance, other.phase)
            and np.array_equal(self.theta, other.theta)
            and np.array_equal(self.phi, other.phi)
        )


def round_trip_mean(launched: Float, forward: LoopDrive, back: LoopDrive, loop_gain: float) -> Float:
    """Mean plane after forward pass, amplitude gain ``loop_gain`` on the collected mode, and return pass.

    Bin by bin through the loop as section 3a has it; for passes that are not each other's adjoint, or lossy ones. Means
    only: the passes are passive, so what surrounds the amplified mode stays vacuum noise of variance 1.
    """
    bins = launched.shape[2]
    light = launched[0] + 1j * launched[1]
    amplitude = np.sqrt(forward.transmittance) * np.exp(1j * forward.phase)
    outputs = np.empty_like(light)
    held = np.zeros(light.shape[0], dtype=light.dtype)
    for k in range(bins):
        arriving = np.exp(-1j * forward.phi[k]) * light[:, k]
        sine, cosine = np.sin(forward.theta[k]), np.cos(forward.theta[k])
        held = held * amplitude if k else held
        outputs[:, k] = cosine * arriving - sine * held
        held = cosine * held + sine * arriving
    held = held * loop_gain
    amplitude = np.sqrt(back.transmittance) * np.exp(-1j * back.phase)
    for k in range(bins - 1, -1, -1):
        sine, cosine = np.sin(back.theta[k]), np.cos(back.theta[k])
        waiting = outputs[:, k].copy()
        outputs[:, k] = np.exp(1j * back.phi[k]) * (sine * held + cosine * waiting)
        held = (cosine * held - sine * waiting) * amplitude
    return np.stack([outputs.real, outputs.imag]).astype(np.float32)


@dataclass(frozen=True)
class TapMoments:
    """Variances per quadrature, SNU: of the ``measured`` mode, of the ``excess`` beyond vacuum of the returned one, and
    their ``covariance`` (section 3).
    """

    measured: float
    excess: float
    covariance: float

    @classmethod
    def of(cls, gain: float, n_sp: float, returned_fraction: float) -> TapMoments:
        """For what :func:`amplify_and_tap` draws."""
        added, kept = 2 * n_sp * (gain - 1), returned_fraction
        return cls(1 + (1 - kept) * added, kept * added, math.sqrt(kept * (1 - kept)) * added)

    def returned_excess(self, measured: Double, white: Double) -> Double:
        """A classical amplitude with the law of the returned noise beyond vacuum, given the measured noise.

        The returned light has a positive P function: this much as a random displacement, and the vacuum is whatever
        detector's it comes to. ``white``: independent standard normal numbers, alike in shape.
        """
        left = max(self.excess - self.covariance**2 / self.measured, 0.0)
        return np.asarray(self.covariance / self.measured * measured + math.sqrt(left) * white)


@dataclass(frozen=True)
class TapNoise:
    """Noises of the amplified and tapped mode, SNU: shape (M, 2) each, columns X and P.

    ``measured``: at the client's detector before its own losses; ``returned``: in the mode that goes back.
    """

    measured: Double
    returned: Double


def amplify_and_tap(
    generator: np.random.Generator, rows: int, gain: float, n_sp: float, returned_fraction: float
) -> TapNoise:
    """Quantum noise of one mode through a phase-insensitive amplifier and a tap (sections 3 and 4).

    Every vacuum is drawn: the mode's own, the amplifier's (G-1)(2 n_sp - 1), and the tap's. For n_sp = 1 and a returned
    fraction 1/G the measured variance is (2G²-3G+2)/G, the returned one 3 - 2/G, their covariance 2(G-1)^1.5/G.
    """
    draws = generator.standard_normal((3, rows, 2))
    amplified = np.sqrt(gain) * draws[0] + np.sqrt((gain - 1) * (2 * n_sp - 1)) * draws[1]
    through, tapped = np.sqrt(returned_fraction), np.sqrt(1 - returned_fraction)
    return TapNoise(
        measured=tapped * amplified - through * draws[2],
        returned=through * amplified + tapped * draws[2],
    )


def detect(generator: np.random.Generator, mean: Double, noise: Double, efficiency: float, electronic: float) -> Double:
    """A detector of efficiency η and electronic noise v_el turns variance v into η v + (1 - η) + v_el."""
    signal: Double = np.sqrt(efficiency) * (mean + noise)
    if efficiency < 1:
        signal += np.sqrt(1 - efficiency) * generator.standard_normal(mean.shape)
    if electronic > 0:
        signal += np.sqrt(electronic) * generator.standard_normal(mean.shape)
    return signal


def vacuum_plane(generators: Generators, out: Float, threads: int = 1, method: Method = "normal") -> None:
    """Fill a plane with vacuum noise, X from the first generator, P from the second.

    With two threads the quadratures are drawn side by side; the numbers are the same. ``method``: see
    :mod:`labctl.normals`; not ``compiled``, which draws whole shots.
    """

    def fill(quadrature: int) -> None:
        fill_normal(generators[quadrature], out[quadrature], method)

    if threads < 2 or out[0].size < WORTH_A_THREAD:
        fill(0)
        fill(1)
        return
    beside = Thread(target=fill, args=(1,))
    beside.start()
    fill(0)
    beside.join()


def received_plane(vacuum: Float, mean: Float, basis: Float, in_mode: Double, isotropic_variance: float) -> Float:
    """Every received quadrature of a shot, explicitly: shape (2, M, B), SNU; ``vacuum`` is overwritten and returned.

    ``vacuum``: a plane of :func:`vacuum_plane`. ``mean``: plane of mean values at the receiver. ``basis``: the
    orthonormal basis (2, 2, B) of the one mode whose noise is not the others'. ``in_mode``: shape (M, 2), the noise
    (with any offset of its mean) to stand in that mode; all other modes get independent noise of
    ``isotropic_variance``. The mode's component is taken out of the white noise and the given one put in its place, so
    that the plane's covariance is exactly isotropic plus rank one.
    """
    scratch = np.empty((2, min(BLOCK_ROWS, mean.shape[1]), mean.shape[2]), dtype=np.float32)
    for start in range(0, mean.shape[1], BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, mean.shape[1]))
        block, work = vacuum[:, rows], scratch[:, : rows.stop - rows.start]
        if isotropic_variance != 1.0:
            block *= np.float32(np.sqrt(isotropic_variance))
        correction = (in_mode[rows] - project(block, basis)).astype(np.float32)
        block += mean[:, rows]
        np.matmul(correction, basis, out=work)
        block += work
    return vacuum


def received_quickly(vacuum: Float, mean: Float, basis: Float, in_mode: Double, isotropic_variance: float) -> Float:
    """:func:`received_plane` in fewer passes over a contiguous plane: the linear algebra adds to it where it stands.

    The last digits differ. For the fast methods, which have no numbers to keep.
    """
    from scipy.linalg.blas import sgemm

    if isotropic_variance != 1.0:
        vacuum *= np.float32(np.sqrt(isotropic_variance))
    correction = (in_mode - project(vacuum, basis)).astype(np.float32)
    for quadrature, own_basis in enumerate(basis):
        plane = vacuum[quadrature]
        plane += mean[quadrature]
        if plane.size:
            # Rows as columns, as Fortran has them: the same memory, and no copy.
            sgemm(1.0, own_basis.T, correction.T, 1.0, plane.T, overwrite_c=True)
    return vacuum
