"""A sender, the simulated link and a receiver, for tests that hold the waveform mode against theory."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from labctl.dsp.frame import PilotFrame
from labctl.dsp.matched import FrontEnd
from labctl.dsp.procedure import CalibrationRecords, calibrate
from labctl.dsp.pulses import Pulse, root_raised_cosine
from labctl.dsp.receive import Received, ReceiverConstants, SymbolReceiver
from labctl.dsp.recording import Recording
from labctl.protocol.estimation import Estimate, Receiver, estimate, residual_sums
from labctl.protocol.gates import GateLimits
from sim_backends.waveform import Link
from sim_backends.waveform_config import WaveformPhysics

RATE_HZ = 500e6
PULSE = root_raised_cosine(4, 0.4)
FRAME = PilotFrame(16, 40.0)
#: Wide enough for the phase noise to be seen in the excess.
LIMITS = GateLimits(phase_variance=0.1)


def rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def modulation(count: int, variance_snu: float, seed: int) -> np.ndarray:
    """Gaussian α with the variance V_A of 2 Re α and of 2 Im α."""
    draws = rng(seed).standard_normal((2, count))
    return (math.sqrt(variance_snu) / 2 * (draws[0] + 1j * draws[1])).astype(np.complex64)


def recorded(physics: WaveformPhysics, symbols: np.ndarray, seed: int, pulse: Pulse = PULSE) -> Recording:
    record = Link(physics, pulse).record(symbols, rng(seed))
    assert record.overdriven_samples == 0
    return Recording(record.samples, record.volts_per_unit, record.clipped_samples)


def design(physics: WaveformPhysics) -> ReceiverConstants:
    """The constants of a receiver without filters, taken from its description."""
    receiver = physics.receiver
    front_end = FrontEnd((PULSE.centre, PULSE.centre), (receiver.volts_per_snu, receiver.volts_per_snu))
    return ReceiverConstants(front_end, sigma0_sq=1 + receiver.electronic_noise_snu)


def calibrated(physics: WaveformPhysics, seed: int, symbols: int = 400_000) -> ReceiverConstants:
    """The constants of a receiver from calibration records."""
    sent = modulation(100_000, 400.0, seed)
    darkness = np.zeros(symbols, np.complex64)
    blocked = dataclasses.replace(physics, transmittance=0.0)
    unlit = dataclasses.replace(blocked, receiver=dataclasses.replace(physics.receiver, lo_power_w=0.0))
    records = CalibrationRecords(
        recorded(blocked, darkness, seed + 1),
        recorded(unlit, darkness, seed + 2),
        recorded(physics, FRAME.interleave(sent), seed + 3),
        sent,
    )
    return calibrate("server", records, PULSE, FRAME, LIMITS)


@dataclass(frozen=True)
class Outcome:
    """What was received of how many data symbols, and what the server makes of it."""

    received: Received
    estimate: Estimate


def run(
    physics: WaveformPhysics, constants: ReceiverConstants, seed: int, *, count: int = 300_000, v_a: float = 8.0
) -> Outcome:
    """Gaussian modulation through the link, received and estimated as the server does."""
    sent = modulation(count, v_a, seed)
    recording = recorded(physics, FRAME.interleave(sent), seed + 1)
    received = SymbolReceiver("server", PULSE, FRAME, constants, LIMITS).receive(recording, count)
    sums = residual_sums(np.stack([2 * sent.real, 2 * sent.imag]), received.quadratures())
    receiver = Receiver(0.5, physics.receiver.efficiency, constants.sigma0_sq, constants.samples)
    return Outcome(received, estimate(sums, receiver))
