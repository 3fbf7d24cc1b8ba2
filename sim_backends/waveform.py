"""The optical link sample by sample: symbols in, the receiver's sampled quadrature records out.

Symbols are the complex amplitudes α of successive time bins, pilots among them. Light whose noise exceeds the vacuum's
(behind an amplifier, say) has a positive P function: add its excess to α as a classical random amplitude, the vacuum is
added at the receiver. Everything is ideal unless :class:`~sim_backends.waveform_config.WaveformPhysics` says otherwise;
formulas in docs/physics.md, section 4a.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim_backends.waveform_config import WaveformPhysics, require
from sim_backends.waveform_filters import Pulse, Samples, Shaper
from sim_backends.waveform_laser import LaserNoise
from sim_backends.waveform_modulator import Transmitter
from sim_backends.waveform_receiver import Receiver, Record

#: Samples that go through the whole chain together, so that they stay in the processor's cache.
BLOCK_SAMPLES: Final = 24_576


@dataclass(frozen=True)
class WaveformRecord:
    """What the digitizer stored. ``samples``: shape (1, N) for a homodyne, (2, N) for a dual-quadrature receiver, X
    first; volts (float32), or codes (int16) when the digitizer has bits; times ``volts_per_unit`` they are volts.

    ``clipped_samples``: at or beyond the ends of the digitizer's range, over all outputs; ``overdriven_samples``: of
    the transmitter, see :class:`~sim_backends.waveform_modulator.Transmitter`.
    """

    samples: Record
    volts_per_unit: float
    sample_rate_hz: float
    clipped_samples: int
    overdriven_samples: int


class Link:
    """Transmitter, channel and receiver of one bench; every record starts anew, with darkness before it."""

    def __init__(self, physics: WaveformPhysics, pulse: Pulse) -> None:
        require(pulse.samples_per_symbol >= 1, f"{pulse.samples_per_symbol} samples per symbol")
        require(0 <= pulse.centre < len(pulse.taps), f"the pulse's centre {pulse.centre} lies outside its taps")
        self._physics = physics
        self._pulse = pulse
        self._block_symbols = max(1, BLOCK_SAMPLES // pulse.samples_per_symbol)

    @property
    def physics(self) -> WaveformPhysics:
        """What it was made with."""
        return self._physics

    def record(self, symbols: NDArray[np.complexfloating], generator: np.random.Generator) -> WaveformRecord:
        """The record of ``symbols``, shape (M,), and of the light's tail after them.

        Symbol k stands around sample k S, later by the pulse's ``centre`` and the filters' delays. Raises ConfigError
        without symbols. One generator draws everything: the record follows from its state.
        """
        require(symbols.ndim == 1 and symbols.size > 0, f"symbols have the shape {symbols.shape}")
        rate = self._pulse.samples_per_symbol
        block = self._block_symbols * rate
        shaper = Shaper(self._pulse, self._block_symbols)
        transmitter = Transmitter(self._physics.transmitter, self._physics.sample_rate_hz, block)
        laser = LaserNoise(self._physics, generator)
        receiver = Receiver(self._physics, block, generator)
        tail = math.ceil((len(self._pulse.taps) + transmitter.reach + receiver.reach) / rate)
        total = len(symbols) + tail
        digital = self._physics.receiver.adc_bits is not None
        outputs = 2 if self._physics.receiver.dual_quadrature else 1
        shape = (outputs, total * rate)
        samples: Record = np.empty(shape, np.int16) if digital else np.empty(shape, np.float32)
        for start in range(0, total, self._block_symbols):
            stop = min(start + self._block_symbols, total)
            light = transmitter(shaper(_part(symbols, start, stop)))
            receiver(light, laser(len(light)), samples[:, start * rate : stop * rate])
        return WaveformRecord(
            samples,
            receiver.volts_per_unit,
            self._physics.sample_rate_hz,
            receiver.clipped,
            transmitter.overdriven,
        )


def _part(symbols: NDArray[np.complexfloating], start: int, stop: int) -> Samples:
    """Symbols ``start`` to ``stop``; darkness beyond the last one."""
    part = symbols[start:stop].astype(np.complex64)
    missing = stop - start - len(part)
    return np.concatenate([part, np.zeros(missing, np.complex64)]) if missing else part
