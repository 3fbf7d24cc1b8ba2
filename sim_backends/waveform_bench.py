"""The waveform mode at its place in the bench: what the generator's samples carry, and what the digitizer gets.

Between the two the light is symbols, one per bin: the client's optics take the pulses' modes out of the light, and send
such pulses back (docs/physics.md, section 4a). The client's clock follows the light, by the mean delay of both arms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from labctl.dsp.pulses import Pulse, rectangular, root_raised_cosine
from sim_backends.config import LaserPhysics as LaserConfig
from sim_backends.config import ReceiverPhysics as Homodyne
from sim_backends.physics import Complex, Double, Float
from sim_backends.waveform import Link
from sim_backends.waveform_config import LaserPhysics, ReceiverPhysics, WaveformPhysics
from sim_backends.waveform_filters import BlockFilter, Taps
from sim_backends.waveform_modulator import drive_taps
from sim_backends.waveform_schema import WaveformWorld

_QUIET = LaserConfig()


class SampledSender:
    """From the generator's volts to those at the modulator, and from the field behind it to symbols."""

    def __init__(self, config: WaveformWorld) -> None:
        self._config = config
        self._pulse = pulse_of(config)

    @property
    def samples_per_symbol(self) -> int:
        """Of the sender's generator and the server's digitizer."""
        return self._config.samples_per_symbol

    def _taps(self, sample_rate_hz: float) -> tuple[Taps, Taps]:
        sender = self._config.sender
        low_passes = [] if sender.low_pass is None else [sender.low_pass.low_pass()]
        return drive_taps(low_passes, sender.skew, sample_rate_hz)

    def electrodes(self, v_i: Double, v_q: Double, sample_rate_hz: float) -> tuple[Double, Double]:
        """Volts at the electrodes from the generator's, each longer by the filters' ringing; 0 V before and after."""
        taps = self._taps(sample_rate_hz)
        reach = max(map(len, taps)) - 1
        volts = np.concatenate([v_i + 1j * v_q, np.zeros(reach)]).astype(np.complex64)
        filtered = BlockFilter(*taps, len(volts))(volts) if reach else volts
        return filtered.real.astype(np.float64), filtered.imag.astype(np.float64)

    def symbols(self, field: Complex, bins: int, sample_rate_hz: float) -> Complex:
        """Amplitudes of the pulses' modes in a field (sqrt(photons) per sample), shape (rows * bins,): whole rows only,
        one at least.
        """
        from scipy import fft

        rate, taps = self._pulse.samples_per_symbol, self._taps(sample_rate_hz)
        ringing = max(map(len, taps)) - 1
        whole = max((len(field) - ringing - len(self._pulse.taps) + rate) // rate, 1)
        count = max(whole // bins, 1) * bins
        kept = min(whole, count)
        length = rate * int(fft.next_fast_len(-(-(len(field) + len(self._pulse.taps)) // rate)))
        # Beyond the segment the modulator stands where it stood at its end.
        padded = np.concatenate([field, np.full(length - len(field), field[-1])])
        delay = sum(_mean_delay(each) for each in taps) / 2
        response = np.conj(fft.fft(self._pulse.taps, length)) * np.exp(2j * np.pi * fft.fftfreq(length) * delay)
        folded = (fft.fft(padded) * response).reshape(rate, -1).sum(axis=0) / rate
        symbols: Complex = np.zeros(count, np.complex128)
        symbols[:kept] = fft.ifft(folded)[:kept]
        return symbols


@dataclass(frozen=True)
class Beam:
    """The laser as it is at present; ``noise``: its linewidth and intensity noise."""

    power_w: float
    wavelength_m: float
    noise: LaserConfig = _QUIET

    def on_samples(self, config: WaveformWorld, lo_delay_s: float) -> LaserPhysics:
        """One process for light and local oscillator. Which of the two is the later one does not change its law."""
        noise, phase = self.noise, config.phase
        rin = -math.inf if noise.rin_db_per_hz is None else noise.rin_db_per_hz
        return LaserPhysics(noise.linewidth, abs(phase.delay - lo_delay_s), rin, math.radians(phase.phase_deg))


class SampledReceiver:
    """The server's receiver, and the laser's noise and the phase on the light's way to it."""

    def __init__(self, config: WaveformWorld, homodyne: Homodyne, beam: Beam, sample_rate_hz: float) -> None:
        receiver = config.receiver
        saturation = math.inf if homodyne.saturation_power is None else homodyne.saturation_power
        # Powers are the laser's; those of the link stand on the diodes, where `lo_power` says how much that is.
        reference = homodyne.reference_power
        scale = 1.0 if homodyne.lo_power is None else homodyne.lo_power / (reference / (1 + reference / saturation))
        self._samples_per_symbol = config.samples_per_symbol
        self._link = Link(
            WaveformPhysics(
                sample_rate_hz,
                laser=beam.on_samples(config, homodyne.lo_delay),
                receiver=ReceiverPhysics(
                    efficiency=homodyne.efficiency,
                    electronic_noise_snu=homodyne.electronic_noise,
                    lo_power_w=scale * beam.power_w,
                    lo_reference_power_w=scale * reference,
                    lo_saturation_w=scale * saturation,
                    wavelength_m=beam.wavelength_m,
                    cmrr_db=math.inf if homodyne.cmrr is None else homodyne.cmrr,
                    low_pass=None if receiver.low_pass is None else receiver.low_pass.low_pass(),
                    skew_s=receiver.skew,
                    angle_error_rad=math.radians(receiver.angle_error_deg),
                    gain_ratio=receiver.gain_ratio,
                    volts_per_snu=homodyne.volts_per_snu,
                ),
            ),
            pulse_of(config),
        )

    def volts(self, plane: Float, samples: int, generator: np.random.Generator) -> Float:
        """Shape (2, N) with N >= ``samples``, X first: of symbols (2, rows, bins) in order of arrival, in sqrt(SNU) of
        light whose noise beyond the vacuum's is drawn already; darkness after them.
        """
        flat = plane.reshape(2, -1)
        symbols = np.zeros(max(flat.shape[1], -(-samples // self._samples_per_symbol)), np.complex64)
        symbols[: flat.shape[1]] = (flat[0] + 1j * flat[1]) / 2
        return np.asarray(self._link.record(symbols, generator).samples, dtype=np.float32)


def pulse_of(config: WaveformWorld) -> Pulse:
    """Of the modes that the client's optics take up."""
    if config.pulse == "rectangular":
        return rectangular(config.samples_per_symbol)
    return root_raised_cosine(config.samples_per_symbol, config.roll_off, config.span_symbols)


def _mean_delay(taps: Taps) -> float:
    """Group delay of slow signals, samples."""
    return float(np.arange(len(taps)) @ taps / taps.sum())
