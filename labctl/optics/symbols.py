"""Rows of modes as what a generator plays: one sample per bin, or pulses of several samples with pilots among them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labctl.config import WaveformRole
from labctl.dsp.frame import PilotFrame
from labctl.dsp.pulses import Pulse, rectangular, root_raised_cosine
from labctl.dsp.shaping import shape, symbols_in
from labctl.optics.drive import RowLayout, Timing

Amplitudes = NDArray[np.complex64]

#: Symbols of the bright frame that a receiver is calibrated with.
BRIGHT_SYMBOLS = 1 << 15
#: The modulator's full scale over the largest sample. A bandwidth before the modulator acts on volts, not on the field,
#: and what the arms' sine then leaves of the pilots in the data goes with the fourth power of the inverse
#: (docs/physics.md, section 4a).
HEADROOM = 2.0


class Modulation(Protocol):
    """Complex amplitudes (rows, modes) to samples (N,), in sqrt(photons) of a sample, and back."""

    def samples(self, amplitudes: Amplitudes) -> Amplitudes:
        """What is to be played for a layer."""
        ...

    def amplitudes(self, samples: Amplitudes, rows: int, modes: int) -> Amplitudes:
        """What such samples carry."""
        ...


class OnePerBin:
    """Each bin is one sample, and guards are dark."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing

    def samples(self, amplitudes: Amplitudes) -> Amplitudes:
        """Rows with their guards, shape (rows * bins,)."""
        layout = self._timing.layout(amplitudes.shape[1])
        padded = np.zeros((len(amplitudes), layout.bins), dtype=np.complex64)
        padded[:, layout.data_slots] = amplitudes
        return padded.reshape(-1)

    def amplitudes(self, samples: Amplitudes, rows: int, modes: int) -> Amplitudes:
        """The bins with light."""
        return samples.reshape(rows, -1)[:, self._timing.layout(modes).data_slots]


@dataclass(frozen=True, eq=False)
class PulseTrain:
    """Each bin is a symbol of the pulse's shape; every K-th one is a pilot.

    ``bright``: slots (rows, bins) of the frame that the receiver is calibrated with.
    """

    pulse: Pulse
    pilots: PilotFrame
    timing: Timing
    bright: Amplitudes

    @classmethod
    def of(cls, role: WaveformRole, timing: Timing, generator: np.random.Generator) -> PulseTrain:
        """As bench.toml says; ``generator`` shuffles the bright frame. Raises ConfigError for no pulse."""
        if role.pulse == "rectangular":
            pulse = rectangular(role.samples_per_symbol)
        else:
            pulse = root_raised_cosine(role.samples_per_symbol, role.roll_off, role.span_symbols)
        # At 45°, so that both arms of the modulator share it.
        amplitude = math.sqrt(role.pilot_photons / 2) * (1 + 1j)
        return cls(pulse, PilotFrame(role.pilot_period, amplitude), timing, _bright(amplitude, timing, generator))

    def samples(self, amplitudes: Amplitudes) -> Amplitudes:
        """Pulses of all bins and what they ring on, filled up to a length that the generator plays."""
        layout = self.timing.layout(amplitudes.shape[1])
        slots = np.zeros((len(amplitudes), layout.bins), dtype=np.complex64)
        slots[:, layout.data_slots] = amplitudes
        slots[:, layout.pilot_slots] = self.pilots.amplitude
        return self.played(slots)

    def played(self, slots: Amplitudes) -> Amplitudes:
        """Samples of all slots (rows, bins), pilots included."""
        shaped = shape(slots.reshape(-1), self.pulse)
        return np.concatenate([shaped, np.zeros(-len(shaped) % self.timing.granularity, np.complex64)])

    def amplitudes(self, samples: Amplitudes, rows: int, modes: int) -> Amplitudes:
        """The bins with data, behind the matched filter."""
        layout = self.timing.layout(modes)
        found = symbols_in(samples, self.pulse, rows * layout.bins)
        return found.reshape(rows, layout.bins)[:, layout.data_slots]

    def frame_length(self, rows: int, layout: RowLayout) -> int:
        """Symbols of the received rows from the first pilot to the last; the slots after it are dark guards."""
        return rows * layout.bins - self.pilots.period + 1

    def frame_data(self, rows: int, layout: RowLayout) -> int:
        """Symbols between the pilots of that frame."""
        length = self.frame_length(rows, layout)
        return length - len(range(0, length, self.pilots.period))

    def returned(self, data: Amplitudes, rows: int, layout: RowLayout) -> Amplitudes:
        """From all symbols between pilots, in order of arrival, to those of the modes: shape (rows, modes)."""
        arrival = layout.bins - 1 - layout.data_slots[::-1]
        slots = layout.bins * np.arange(rows)[:, np.newaxis] + arrival
        modes: Amplitudes = data[slots - slots // self.pilots.period - 1]
        return modes

    def arriving(self) -> Amplitudes:
        """The symbols between pilots of the bright frame when it has passed the loop, in order of arrival."""
        layout = self.timing.layout(1)
        order = self.bright[:, ::-1].reshape(-1)[: self.frame_length(len(self.bright), layout)]
        return self.pilots.data(order, self.frame_data(len(self.bright), layout))


def _bright(pilot: complex, timing: Timing, generator: np.random.Generator) -> Amplitudes:
    """Symbols of four random phases, as bright as the pilots, each second one at 90° to the one before.

    So α² of each pair adds up to 0, however the phase turns meanwhile: what the calibration takes for an imbalance of
    the receiver's outputs is one then, and not the choice of symbols.
    """
    layout = timing.layout(1)
    rows = -(-BRIGHT_SYMBOLS // layout.bins)
    slots = np.full((rows, layout.bins), pilot, np.complex64)
    between = RowLayout(layout.bins - len(layout.pilot_slots), layout.bins, layout.pilot_period).data_slots
    turns = generator.integers(0, 4, rows * len(between))
    turns[1::2] = turns[: len(turns) - 1 : 2] + 1 + 2 * generator.integers(0, 2, len(turns) // 2)
    slots[:, between] *= 1j ** (turns.reshape(rows, -1) % 4)
    return slots
