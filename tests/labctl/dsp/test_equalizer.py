"""Interference and carrier are found and undone."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.dsp.equalizer import calibrate_equalizer, symbol_response
from labctl.errors import CalibrationError, ProtocolError

CHANNEL = np.array([0.01, 0.03 - 0.02j, 1.0, 0.08j, -0.02])


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def bright(count: int = 20_000) -> np.ndarray:
    draws = rng().standard_normal((2, count))
    return (20 * (draws[0] + 1j * draws[1])).astype(np.complex64)


def through(symbols: np.ndarray, factor: complex = 1.0, offset: complex = 0.0) -> np.ndarray:
    return (np.convolve(symbols, factor * CHANNEL)[2:-2] + offset).astype(np.complex64)


def test_response_and_offset() -> None:
    sent = bright()
    found = symbol_response(through(sent, 0.5j, 3 - 1j), sent, 4)
    np.testing.assert_allclose(found.taps[2:-2], 0.5j * CHANNEL, atol=1e-5)
    np.testing.assert_allclose(found.taps[[0, 1, -2, -1]], 0, atol=1e-5)
    assert found.offset == pytest.approx(3 - 1j, abs=1e-4)


def test_interference_is_undone_and_the_gain_kept() -> None:
    sent = bright()
    factor, carrier = 0.5 - 0.3j, 2 + 1j
    received = through(sent + np.complex64(carrier), factor)
    found = calibrate_equalizer(received, sent)
    equal = np.convolve(received, found.taps)[12:-12][20:-20]
    np.testing.assert_allclose(equal, factor * (sent[20:-20] + found.carrier), atol=5e-3)
    # The carrier as it stands behind the equalizer, in units of what is sent.
    assert found.carrier == pytest.approx(carrier, abs=1e-3)


def test_without_interference_there_is_nothing_to_do() -> None:
    sent = bright()
    taps = calibrate_equalizer(sent, sent).taps
    np.testing.assert_allclose(taps, np.eye(25)[12], atol=1e-5)


def test_what_does_not_do_is_refused() -> None:
    sent = bright()
    with pytest.raises(ProtocolError, match="do not fit"):
        symbol_response(sent[1:], sent, 4)
    with pytest.raises(CalibrationError, match="too few"):
        symbol_response(sent[:100], sent[:100], 4)
    with pytest.raises(CalibrationError, match="alike"):
        symbol_response(np.ones(1000), np.ones(1000), 4)
    hole = np.convolve(sent, [1, 1])[: len(sent)].astype(np.complex64)
    with pytest.raises(CalibrationError, match="too little"):
        calibrate_equalizer(hole, sent)
