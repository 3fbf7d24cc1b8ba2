"""One laser's phase and intensity noise, as signal and local oscillator bring it to the receiver.

Wiener phase φ of variance 2πΔν|t|. Both lights are the laser's own, the signal a delay d later: only θ(t) = φ(t - d) -
φ(t) is seen, of variance 2πΔν d at any one time. Likewise for the relative intensity δ (docs/physics.md, section 4a).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim_backends.waveform_config import WaveformPhysics

Float = NDArray[np.float32]
Double = NDArray[np.float64]
Samples = NDArray[np.complex64]


@dataclass(frozen=True)
class LaserBlock:
    """What one block of samples gets: ``rotation`` of the signal's field (complex64, shape (N,), amplitude noise of
    both lights included), and the local oscillator's relative intensity ``lo_intensity`` (None: constant).
    """

    rotation: Samples | np.complex64
    lo_intensity: Float | None


class LaserNoise:
    """Block after block, from one generator."""

    def __init__(self, physics: WaveformPhysics, generator: np.random.Generator) -> None:
        laser, sample_rate_hz = physics.laser, physics.sample_rate_hz
        self._generator = generator
        delay = laser.delay_s * sample_rate_hz
        self._delay = math.floor(delay)
        self._fraction = delay - self._delay
        self._offset = laser.phase_rad
        self._step = math.sqrt(2 * math.pi * laser.linewidth_hz / sample_rate_hz)
        self._noisy_phase = self._step > 0 and delay > 0
        self._intensity = physics.rin_deviation
        if self._noisy_phase:
            self._steps = self._step * self._normal(self._delay + 1)
            self._difference = -float(self._steps[1:].sum(dtype=np.float64))
        if self._intensity > 0:
            self._past = self._intensity * self._normal(self._delay)

    def _normal(self, samples: int) -> Float:
        return self._generator.standard_normal(samples, dtype=np.float32)

    def __call__(self, samples: int) -> LaserBlock:
        """The next ``samples`` samples."""
        rotation: Samples | np.complex64 = np.complex64(np.exp(1j * self._offset))
        if self._noisy_phase:
            phase = self._phase(samples)
            rotation = np.empty(samples, np.complex64)
            np.cos(phase, out=rotation.real)
            np.sin(phase, out=rotation.imag)
        if not self._intensity > 0:
            return LaserBlock(rotation, None)
        signal, local = self._intensities(samples)
        amplitude = np.sqrt((1 + signal) * (1 + local))
        return LaserBlock(np.asarray(rotation * amplitude, np.complex64), local)

    def _phase(self, samples: int) -> Float:
        """θ, exact at every sample: a fractional delay falls on a Brownian bridge between two samples."""
        steps = np.concatenate([self._steps, np.float32(self._step) * self._normal(samples)])
        self._steps = steps[samples:]
        late = steps[1 : samples + 1]
        phase = np.full(samples, self._difference)
        if self._delay:
            phase += np.cumsum(late - steps[-samples:], dtype=np.float64)
            self._difference = float(phase[-1])
        if self._fraction:
            bridge = math.sqrt(self._fraction * (1 - self._fraction)) * self._step
            phase -= np.float32(self._fraction) * late
            phase += np.float32(bridge) * self._normal(samples)
        phase += self._offset
        return phase.astype(np.float32)

    def _intensities(self, samples: int) -> tuple[Float, Float]:
        local = np.float32(self._intensity) * self._normal(samples)
        both = np.concatenate([self._past, local])
        self._past = both[samples:]
        return both[:samples], local
