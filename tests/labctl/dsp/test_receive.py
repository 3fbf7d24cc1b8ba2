"""Gates come before numbers, and the carrier is taken out at the pilots' scale."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.dsp.frame import PilotFrame
from labctl.dsp.matched import FrontEnd
from labctl.dsp.pulses import rectangular
from labctl.dsp.receive import ReceiverConstants, SymbolReceiver
from labctl.dsp.recording import Recording
from labctl.errors import GateError, ProtocolError
from labctl.protocol.gates import GateLimits

FRAME = PilotFrame(10, 30 + 0j)
COUNT = 9000


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def data() -> np.ndarray:
    draws = rng().standard_normal((2, COUNT))
    return (draws[0] + 1j * draws[1]).astype(np.complex64)


def recording(symbols: np.ndarray, clipped: int = 0) -> Recording:
    """Of rectangular pulses at 1 V per sqrt(SNU), with shot noise."""
    light = np.repeat(symbols / 2, 4)
    rows = np.stack([light.real, light.imag]) + rng(2).standard_normal((2, len(light)))
    return Recording(rows.astype(np.float32), clipped=clipped)


def receiver(carrier: complex = 0.0, **limits: float) -> SymbolReceiver:
    constants = ReceiverConstants(FrontEnd((0, 0)), carrier)
    return SymbolReceiver("server", rectangular(4), FRAME, constants, GateLimits(**limits))


def test_data_in_snu_at_the_pilots_phase() -> None:
    sent = data()
    received = receiver().receive(recording(2 * FRAME.interleave(sent) * np.exp(1j)), COUNT)
    assert received.symbols.shape == (COUNT,)
    quadratures = received.quadratures()
    residual = quadratures - np.stack([2 * sent.real, 2 * sent.imag])
    assert np.var(residual) == pytest.approx(1, rel=4.5 * math.sqrt(1 / COUNT))  # fails once in 150,000
    assert received.lock.locked


def test_a_carrier_is_taken_out() -> None:
    sent, carrier = data(), 4 - 3j
    light = 2 * (FRAME.interleave(sent) + carrier) * math.sqrt(0.5) * np.exp(2j)
    received = receiver(carrier=carrier).receive(recording(light), COUNT)
    residual = received.symbols - 2 * sent * math.sqrt(0.5)
    assert abs(np.mean(residual)) < 4.5 * math.sqrt(2 / COUNT) + 0.01
    assert np.var(residual) == pytest.approx(2, rel=4.5 * math.sqrt(1 / COUNT))


def test_gates() -> None:
    light = 2 * FRAME.interleave(data())
    with pytest.raises(GateError, match="server: 1 of"):
        receiver().receive(recording(light, clipped=1), COUNT)
    with pytest.raises(GateError, match="server: no phase reference"):
        receiver().receive(recording(0 * light), COUNT)
    with pytest.raises(GateError, match="residual phase variance"):
        receiver(phase_variance=1e-9).receive(recording(light), COUNT)
    with pytest.raises(ProtocolError, match="do not hold"):
        receiver().receive(recording(light), 2 * COUNT)
