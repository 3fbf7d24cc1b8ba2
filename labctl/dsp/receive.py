"""The whole of it: a recording in, gates first, data symbols in sqrt(SNU) out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labctl.dsp.frame import PilotFrame, Symbols
from labctl.dsp.matched import FrontEnd, MatchedFilter
from labctl.dsp.phase import PhaseLock, recover_phase
from labctl.dsp.pulses import Pulse
from labctl.dsp.recording import Recording
from labctl.protocol.gates import GateLimits


@dataclass(frozen=True)
class Received:
    """``symbols``: data only, shape (N,), X + iP in sqrt(SNU), turned to the pilots' phase. ``lock``: how well."""

    symbols: Symbols
    lock: PhaseLock

    def quadratures(self) -> NDArray[np.float32]:
        """Shape (2, N), X first."""
        return np.stack([self.symbols.real, self.symbols.imag])


@dataclass(frozen=True)
class ReceiverConstants:
    """Calibrated constants of a dual-quadrature receiver and its processing.

    ``carrier``: α that leaks through at all times. ``sigma0_sq``: σ0² = 1 + v_el, variance without signal in SNU, mean
    of both quadratures; ``samples``: N0, real samples behind it.
    """

    front_end: FrontEnd
    carrier: complex = 0.0
    sigma0_sq: float = 1.0
    samples: float = math.inf


class SymbolReceiver:
    """A dual-quadrature receiver's processing; ``limits``: what the pilot lock must keep to."""

    def __init__(
        self,
        name: str,
        pulse: Pulse,
        frame: PilotFrame,
        constants: ReceiverConstants,
        limits: GateLimits,
    ) -> None:
        self._name = name
        self._filter = MatchedFilter(pulse, constants.front_end)
        self._frame = frame
        self._constants = constants
        self._limits = limits

    def receive(self, recording: Recording, count: int) -> Received:
        """The first ``count`` data symbols.

        Raises GateError when samples were clipped or the pilots give no phase reference, ProtocolError when the
        recording is too short.
        """
        recording.require_unclipped(self._name)
        symbols = self._filter(recording, self._frame.length(count))
        pilot = self._frame.amplitude + self._constants.carrier
        turned, lock = recover_phase(
            symbols,
            replace(self._frame, amplitude=pilot),
            noise_snu=self._constants.sigma0_sq,
        )
        lock.require(self._name, self._limits)
        data = self._frame.data(turned, count)
        if self._constants.carrier:
            data = data - np.complex64(self._constants.carrier * lock.pilot_amplitude_snu / abs(pilot))
        return Received(data, lock)
