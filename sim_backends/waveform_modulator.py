"""From wanted field to sent field: generator, driver amplifiers, IQ modulator (docs/physics.md, section 4a)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim_backends.physics import IqImbalance, iq_transfer
from sim_backends.waveform_config import LowPass, TransmitterPhysics
from sim_backends.waveform_filters import BlockFilter, Samples, Taps, cascade, delay_taps, low_pass_taps

Float = NDArray[np.float32]


def iq_field(v_i: Float, v_q: Float, physics: TransmitterPhysics) -> Samples:
    """Field behind the modulator in units of one fully open arm, shape (N,), from the electrodes' voltages.

    Each arm is a Mach-Zehnder interferometer at null, sin u - i δ cos u with u = π(v + bias)/2V_π and δ =
    10^(-extinction/20); the Q arm is turned by 90° plus the third electrode's error.
    """
    imbalance = IqImbalance(
        physics.bias_i_v,
        physics.bias_q_v,
        physics.angle_error_rad,
        physics.gain_ratio,
        10 ** (-physics.extinction_ratio_db / 20),
    )
    transfer = iq_transfer(v_i, v_q, physics.v_pi_i_v, physics.v_pi_q_v, imbalance)
    return np.asarray(transfer * math.sqrt(2), dtype=np.complex64)


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


def drive_taps(low_passes: Sequence[LowPass], skew_s: float, sample_rate_hz: float) -> tuple[Taps, Taps]:
    """Kernels of the I and the Q drive."""
    taps = cascade(low_pass_taps(each, sample_rate_hz) for each in low_passes)
    if not skew_s:
        return taps, taps
    return cascade([taps, delay_taps(0.0)]), cascade([taps, delay_taps(skew_s * sample_rate_hz)])


def _drive_filter(physics: TransmitterPhysics, sample_rate_hz: float, block: int) -> BlockFilter | None:
    low_passes = [each for each in (physics.generator_low_pass, physics.driver_low_pass) if each is not None]
    if not low_passes and not physics.skew_s:
        return None
    return BlockFilter(*drive_taps(low_passes, physics.skew_s, sample_rate_hz), block)
