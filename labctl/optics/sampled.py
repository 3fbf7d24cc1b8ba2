"""The server's receiver where a bin is a pulse of several samples: records in, modes in shot-noise units out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labctl.config import ReceiverRole
from labctl.dsp.procedure import CalibrationRecords, calibrate
from labctl.dsp.receive import ReceiverConstants, SymbolReceiver
from labctl.dsp.recording import Recording
from labctl.errors import CalibrationError
from labctl.interfaces import Digitizer, HomodyneDetector
from labctl.optics.drive import RowLayout
from labctl.optics.symbols import PulseTrain
from labctl.protocol.gates import GateLimits
from labctl.protocol.traces import SAMPLED_COMPARED, SAMPLED_LOG_PROBABILITY, Repeats
from labctl.values import Quadrature

NAME = "server receiver"
#: Samples beyond the last pulse: delays of the receiver, the ringing of its filters.
MARGIN = 512


class SampledDualQuadrature(HomodyneDetector):
    """Phase-diverse, with matched filter and pilots (docs/physics.md, section 4a); to be calibrated before its first
    layer is read.
    """

    quadratures = 2
    kappa = 0.5

    def __init__(self, role: ReceiverRole, digitizer: Digitizer, pulses: PulseTrain, limits: GateLimits) -> None:
        self._role = role
        self._digitizer = digitizer
        self._pulses = pulses
        self._limits = limits
        self._calibrated: tuple[ReceiverConstants, SymbolReceiver] | None = None
        self._rows, self._layout = 0, RowLayout(0, 0)
        self._repeats = Repeats(digitizer.name, SAMPLED_COMPARED)

    def arm(self, rows: int, modes: int) -> None:
        """Every sample of every row, and the tail of the last pulse."""
        self._rows, self._layout = rows, self._pulses.timing.layout(modes)
        self.arm_for(rows * self._layout.bins)

    def arm_for(self, symbols: int) -> None:
        """Every sample of so many successive symbols."""
        pulse, timing = self._pulses.pulse, self._pulses.timing
        self._digitizer.configure(
            dict.fromkeys(self._role.channels, self._role.full_scale),
            1 / timing.sent_sample_rate_hz,
            symbols * pulse.samples_per_symbol + len(pulse.taps) + MARGIN,
        )
        self._digitizer.arm()

    def recording(self) -> Recording:
        """What the digitizer stored."""
        self._digitizer.wait()
        traces = [self._digitizer.read(channel) for channel in self._role.channels]
        self._repeats.check(traces[0].codes, SAMPLED_LOG_PROBABILITY)
        return Recording.of(traces)

    @property
    def bright_shape(self) -> tuple[int, int]:
        """Rows and bins of the bright frame."""
        rows, bins = self._pulses.bright.shape
        return rows, bins

    def calibrate(self, vacuum: Recording, dark: Recording, bright: Recording) -> None:
        """Constants from records without signal, without local oscillator either, and of the bright frame.

        Raises GateError or CalibrationError when the records do not give them.
        """
        records = CalibrationRecords(vacuum, dark, bright, self._pulses.arriving())
        constants = calibrate(NAME, records, self._pulses.pulse, self._pulses.pilots, self._limits)
        receiver = SymbolReceiver(NAME, self._pulses.pulse, self._pulses.pilots, constants, self._limits)
        self._calibrated = (constants, receiver)

    @property
    def constants(self) -> ReceiverConstants | None:
        """As calibrated; None before."""
        return None if self._calibrated is None else self._calibrated[0]

    def read(self) -> Sequence[Quadrature]:
        """X and P, each of shape (rows, modes), modes as they arrive, turned to the pilots' phase."""
        recording = self.recording()
        if self._calibrated is None:
            raise CalibrationError(f"{NAME}: it has not been calibrated", "Calibrate it before the first layer.")
        count = self._pulses.frame_data(self._rows, self._layout)
        modes = self._pulses.returned(self._calibrated[1].receive(recording, count).symbols, self._rows, self._layout)
        return [Quadrature(np.ascontiguousarray(part), 1.0) for part in (modes.real, modes.imag)]
