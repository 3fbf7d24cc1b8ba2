"""From the light at the receiver to its digitizer's record (docs/physics.md, section 4a).

A sample is one temporal mode of its own: shot noise is white, of variance 1 SNU per sample and detector, before the
receiver's bandwidth. A pulse of unit energy collects variance 1 of it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sim_backends.physics import photons_per_bin
from sim_backends.waveform_config import ReceiverPhysics, WaveformPhysics
from sim_backends.waveform_filters import BlockFilter, Samples, cascade, delay_taps, low_pass_taps
from sim_backends.waveform_laser import LaserBlock

#: Volts (float32) or codes (int16), shape (N,) per output.
Record = NDArray[np.float32] | NDArray[np.int16]


class Receiver:
    """Block after block. ``clipped``: samples so far outside the digitizer's range, X and P counted separately."""

    def __init__(self, physics: WaveformPhysics, block: int, generator: np.random.Generator) -> None:
        receiver = physics.receiver
        self._physics = receiver
        self._generator = generator
        power = receiver.kappa * receiver.efficiency * physics.transmittance
        lit = receiver.lo_power_w > 0
        lo_gain = receiver.lo_gain if lit else 1.0
        # In sqrt(SNU) of the present shot noise, per unit of α.
        self._amplitude = 2 * math.sqrt(power) if lit else 0.0
        self._deviation = math.sqrt((1.0 if lit else 0.0) + receiver.electronic_noise_snu / lo_gain)
        photons = photons_per_bin(
            receiver.effective_power_w(receiver.lo_power_w), receiver.wavelength_m, physics.sample_rate_hz
        )
        self._leak = 10 ** (-receiver.cmrr_db / 20) * math.sqrt(receiver.efficiency * photons)
        self._volts = receiver.volts_per_snu * math.sqrt(lo_gain)
        self._filter = _detector_filter(receiver, physics.sample_rate_hz, block)
        if self._filter is not None:
            self._filter.prime(self._noise(self._filter.reach))
        self.clipped = 0

    @property
    def reach(self) -> int:
        """Samples by which the record may come later than the light."""
        return self._filter.reach if self._filter else 0

    @property
    def volts_per_unit(self) -> float:
        """Volts per unit of the record: 1, or one step of the digitizer."""
        receiver = self._physics
        if receiver.adc_bits is None:
            return 1.0
        return float(receiver.adc_full_scale_v / 2 ** (receiver.adc_bits - 1))

    def _noise(self, samples: int) -> Samples:
        """Shot and electronic noise of both outputs, sqrt(SNU)."""
        noise: Samples = np.empty(samples, np.complex64)
        parts = noise.view(np.float32)
        self._generator.standard_normal(dtype=np.float32, out=parts)
        if self._deviation != 1:
            parts *= np.float32(self._deviation)
        return noise

    def __call__(self, light: Samples, laser: LaserBlock, out: Record) -> None:
        """α per sample, shape (N,), into ``out``, shape (1 or 2, N)."""
        outputs = self._noise(len(light))
        if self._amplitude > 0:
            outputs += self._signal(light, laser)
        if laser.lo_intensity is not None and self._leak > 0:
            outputs += np.complex64(1 + 1j) * (np.float32(self._leak) * laser.lo_intensity)
        if self._filter is not None:
            outputs = self._filter(outputs)
        self._digitize(outputs.real, self._volts, out[0])
        if self._physics.dual_quadrature:
            self._digitize(outputs.imag, self._volts * self._physics.gain_ratio, out[1])

    def _signal(self, light: Samples, laser: LaserBlock) -> Samples:
        signal: Samples = light * (laser.rotation * np.float32(self._amplitude))
        error = self._physics.angle_error_rad
        if error:
            # The P detector sees the quadrature at 90° + error.
            signal.imag = np.float32(math.cos(error)) * signal.imag + np.float32(math.sin(error)) * signal.real
        return signal

    def _digitize(self, values: NDArray[np.float32], volts: float, out: Record) -> None:
        receiver = self._physics
        scaled = values * np.float32(volts / self.volts_per_unit)
        if receiver.adc_bits is None:
            full_scale = receiver.adc_full_scale_v
            if math.isfinite(full_scale):
                self.clipped += _beyond(scaled, -full_scale, full_scale)
                np.clip(scaled, -full_scale, full_scale, out=scaled)
            out[:] = scaled
            return
        high = 2 ** (receiver.adc_bits - 1) - 1
        np.rint(scaled, out=scaled)
        self.clipped += _beyond(scaled, -high - 1, high)
        out[:] = np.clip(scaled, -high - 1, high)


def _beyond(values: NDArray[np.float32], low: float, high: float) -> int:
    if values.max() < high and values.min() > low:
        return 0
    return int(np.count_nonzero((values >= high) | (values <= low)))


def _detector_filter(physics: ReceiverPhysics, sample_rate_hz: float, block: int) -> BlockFilter | None:
    taps = np.ones(1) if physics.low_pass is None else low_pass_taps(physics.low_pass, sample_rate_hz)
    if physics.skew_s:
        late = cascade([taps, delay_taps(physics.skew_s * sample_rate_hz)])
        return BlockFilter(cascade([taps, delay_taps(0.0)]), late, block)
    return None if physics.low_pass is None else BlockFilter(taps, taps, block)
