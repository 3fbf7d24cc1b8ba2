"""From wanted field to sent field: generator, driver amplifiers, IQ modulator (docs/physics.md, section 4a)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sim_backends.waveform_config import TransmitterPhysics
from sim_backends.waveform_filters import BlockFilter, Samples, cascade, delay_taps, low_pass_taps

Float = NDArray[np.float32]


def iq_field(v_i: Float, v_q: Float, physics: TransmitterPhysics) -> Samples:
    """Field behind the modulator in units of one fully open arm, shape (N,), from the electrodes' voltages.

    Each arm is a Mach-Zehnder interferometer at null, sin u - i δ cos u with u = π(v + bias)/2V_π and δ =
    10^(-extinction/20); the Q arm is turned by 90° plus the third electrode's error.
    """
    leak = 10 ** (-physics.extinction_ratio_db / 20)
    field: Samples = np.empty(v_i.shape, np.complex64)
    u_i = (v_i + np.float32(physics.bias_i_v)) * np.float32(np.pi / (2 * physics.v_pi_i_v))
    u_q = (v_q + np.float32(physics.bias_q_v)) * np.float32(np.pi / (2 * physics.v_pi_q_v))
    in_phase, quadrature = np.sin(u_i), np.sin(u_q)
    along = physics.gain_ratio * math.cos(physics.angle_error_rad)
    across = -physics.gain_ratio * math.sin(physics.angle_error_rad)
    field.real = in_phase + np.float32(across) * quadrature if across else in_phase
    field.imag = np.float32(along) * quadrature if along != 1 else quadrature
    if leak > 0:
        # -i δ cos u of either arm, the Q arm's turned likewise.
        remainder = leak * np.cos(u_q)
        field.real += np.float32(along) * remainder
        field.imag += np.float32(across) * -remainder - leak * np.cos(u_i)
    return field


class Transmitter:
    """Block after block. ``overdriven``: samples so far of which an arm was asked for more than it, or the generator,
    can give; they went out at the limit.
    """

    def __init__(self, physics: TransmitterPhysics | None, sample_rate_hz: float, block: int) -> None:
        self._physics = physics
        self._filter = None if physics is None else _drive_filter(physics, sample_rate_hz, block)
        self.overdriven = 0

    @property
    def reach(self) -> int:
        """Samples by which the light may come later than its symbol's pulse."""
        return self._filter.reach if self._filter else 0

    def __call__(self, wanted: Samples) -> Samples:
        """α per sample as wanted -> as sent, shape (N,)."""
        physics = self._physics
        if physics is None:
            return wanted
        drive = self._drive(wanted, physics)
        if self._filter is not None:
            drive = self._filter(drive)
        field = iq_field(drive.real, drive.imag, physics)
        field *= np.float32(physics.peak_amplitude)
        return field

    def _drive(self, wanted: Samples, physics: TransmitterPhysics) -> Samples:
        """Volts out of the generator, I as real and Q as imaginary part."""
        parts = (wanted * np.float32(1 / physics.peak_amplitude)).view(np.float32)
        limited = np.clip(parts, -1, 1)
        beyond = limited != parts
        volts = np.arcsin(limited)
        volts *= np.float32(2 * physics.design_v_pi_v / np.pi)
        full_scale = physics.generator_full_scale_v
        if math.isfinite(full_scale):
            beyond |= np.abs(volts) > full_scale
            np.clip(volts, -full_scale, full_scale, out=volts)
        if physics.generator_bits is not None:
            step = full_scale / (2 ** (physics.generator_bits - 1) - 1)
            volts = np.rint(volts * np.float32(1 / step)) * np.float32(step)
        self.overdriven += int(np.count_nonzero(beyond.reshape(-1, 2).any(axis=1))) if beyond.any() else 0
        return volts.view(np.complex64)


def _drive_filter(physics: TransmitterPhysics, sample_rate_hz: float, block: int) -> BlockFilter | None:
    low_passes = [each for each in (physics.generator_low_pass, physics.driver_low_pass) if each is not None]
    taps = cascade(low_pass_taps(each, sample_rate_hz) for each in low_passes)
    if physics.skew_s:
        late = cascade([taps, delay_taps(physics.skew_s * sample_rate_hz)])
        return BlockFilter(cascade([taps, delay_taps(0.0)]), late, block)
    return BlockFilter(taps, taps, block) if low_passes else None
