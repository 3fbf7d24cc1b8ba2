"""The calibration of a dual-quadrature receiver from four records, in the order in which the constants need each other.

Delays and skew, shot noise, imbalance of the quadratures, interference and carrier; then the shot noise once more,
behind the filter as it will be used. The X output's shot noise is the unit of both: the signal stands alike in the two,
P may have somewhat more noise, and σ0² is the mean.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labctl.dsp.calibration import ShotNoise, calibrate_imbalance, calibrate_shot_noise, find_delays
from labctl.dsp.equalizer import Equalizer, calibrate_equalizer
from labctl.dsp.frame import PilotFrame, Symbols
from labctl.dsp.matched import FrontEnd, MatchedFilter
from labctl.dsp.phase import recover_phase
from labctl.dsp.pulses import Pulse
from labctl.dsp.receive import ReceiverConstants
from labctl.dsp.recording import Recording
from labctl.protocol.gates import GateLimits


@dataclass(frozen=True)
class CalibrationRecords:
    """``vacuum``: local oscillator on, no signal. ``dark``: neither. ``bright``: the frame of ``sent`` data symbols,
    random, E[α²] = 0, much brighter than the vacuum.
    """

    vacuum: Recording
    dark: Recording
    bright: Recording
    sent: NDArray[np.complexfloating]


def calibrate(
    name: str, records: CalibrationRecords, pulse: Pulse, frame: PilotFrame, limits: GateLimits
) -> ReceiverConstants:
    """All constants of the receiver ``name``; ``limits``: of its clearance and of the bright record's pilots.

    Raises GateError for clipped records, pilots without lock or too little clearance, CalibrationError when a constant
    cannot be had from these records, ProtocolError when they do not fit together.
    """
    for recording in (records.vacuum, records.dark, records.bright):
        recording.require_unclipped(name)
    sent = frame.interleave(records.sent)
    front_end = FrontEnd(find_delays(records.bright, sent, pulse))
    front_end = replace(front_end, unit_v=_shot_noise(name, records, pulse, front_end, limits).unit_v)
    data = frame.data(MatchedFilter(pulse, front_end)(records.bright, len(sent)), len(records.sent))
    imbalance = calibrate_imbalance(data)
    front_end = replace(front_end, angle_error_rad=imbalance.angle_error_rad, gain_ratio=imbalance.gain_ratio)
    equalizer = _equalizer(name, MatchedFilter(pulse, front_end)(records.bright, len(sent)), sent, frame, limits)
    front_end = replace(front_end, equalizer=equalizer.taps)
    scale = _shot_noise(name, records, pulse, front_end, limits).unit_v[0]
    front_end = replace(front_end, unit_v=(front_end.unit_v[0] * scale, front_end.unit_v[1] * scale))
    vacuum = _symbols(records.vacuum, pulse, front_end)
    variance = (np.var(vacuum.real, dtype=np.float64) + np.var(vacuum.imag, dtype=np.float64)) / 2
    return ReceiverConstants(front_end, equalizer.carrier, float(variance), 2 * len(vacuum))


def _shot_noise(
    name: str, records: CalibrationRecords, pulse: Pulse, front_end: FrontEnd, limits: GateLimits
) -> ShotNoise:
    vacuum, dark = (_symbols(each, pulse, front_end) for each in (records.vacuum, records.dark))
    return calibrate_shot_noise(name, vacuum, dark, limits)


def _equalizer(name: str, received: Symbols, sent: Symbols, frame: PilotFrame, limits: GateLimits) -> Equalizer:
    turned, lock = recover_phase(received, frame)
    lock.require(name, limits)
    return calibrate_equalizer(turned, sent)


def _symbols(recording: Recording, pulse: Pulse, front_end: FrontEnd) -> Symbols:
    """As many symbols as the recording holds."""
    count = int((recording.length - max(front_end.delay_samples) - len(pulse.taps)) // pulse.samples_per_symbol)
    return MatchedFilter(pulse, front_end)(recording, max(count, 1))
