"""The one linear pass against its steps done one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.dsp.matched import BLOCK_SAMPLES, FrontEnd, MatchedFilter
from labctl.dsp.pulses import Pulse, rectangular, root_raised_cosine
from labctl.dsp.recording import Recording
from labctl.errors import CalibrationError, ProtocolError
from tests.labctl.dsp.pulse_train import pulses

RRC = root_raised_cosine(4, 0.4, 16)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def symbols_of(count: int) -> np.ndarray:
    draws = rng().standard_normal((2, count))
    return draws[0] + 1j * draws[1]


def recording(symbols: np.ndarray, pulse: Pulse, delays: tuple[float, float]) -> Recording:
    length = (len(symbols) + 40) * pulse.samples_per_symbol
    rows = [pulses(symbols.real, pulse, delays[0], length), pulses(symbols.imag, pulse, delays[1], length)]
    return Recording(np.array(rows, np.float32))


@given(st.floats(33, 60), st.floats(-16, 16))
@settings(max_examples=25)
def test_delay_and_skew_are_taken_out(delay: float, skew: float) -> None:
    delays = (delay + 16, delay + 16 + skew)
    symbols = symbols_of(200)
    received = MatchedFilter(RRC, FrontEnd(delays))(recording(symbols, RRC, delays), 200)
    assert received.dtype == np.complex64
    np.testing.assert_allclose(received, symbols, atol=0.015)  # the interference of the pulse's cut


@pytest.mark.parametrize("rate", [1, 4, 5])
def test_rectangular_pulses_and_many_blocks(rate: int) -> None:
    pulse = rectangular(rate)
    count = 2 * BLOCK_SAMPLES // rate + 77
    symbols = symbols_of(count)
    record = recording(symbols, pulse, (3, 3))
    received = MatchedFilter(pulse, FrontEnd((3, 3)))(record, count)
    np.testing.assert_allclose(received, symbols, atol=1e-4)


def test_many_blocks_are_as_one() -> None:
    """Against plain correlation in double precision."""
    count = 3 * BLOCK_SAMPLES // 4
    rows = rng(2).standard_normal((2, 4 * count + 400)).astype(np.float32)
    received = MatchedFilter(RRC, FrontEnd((40, 40)))(Recording(rows), count)
    exact = [np.correlate(row.astype(float), RRC.taps)[40 - RRC.centre :: 4][:count] for row in rows]
    np.testing.assert_allclose(received.real, exact[0], atol=1e-5)
    np.testing.assert_allclose(received.imag, exact[1], atol=1e-5)


def test_white_noise_keeps_its_variance() -> None:
    """4.5 standard errors: fails once in 150,000."""
    count = 100_000
    rows = rng(3).standard_normal((2, 4 * count + 400)).astype(np.float32)
    received = MatchedFilter(RRC, FrontEnd((40.3, 40.8)))(Recording(rows), count)
    for part in (received.real, received.imag):
        assert np.var(part, dtype=float) == pytest.approx(1, rel=4.5 * math.sqrt(2 / count))


@given(st.floats(-0.5, 0.5), st.floats(0.5, 2.0), st.floats(0.1, 10), st.floats(0.1, 10))
@settings(max_examples=25)
def test_imbalance_and_units(angle: float, gain: float, unit_x: float, unit_p: float) -> None:
    symbols = symbols_of(100)
    seen = symbols.real * unit_x
    seen = seen + 1j * unit_p * gain * (symbols.imag * math.cos(angle) + symbols.real * math.sin(angle))
    front_end = FrontEnd((0, 0), (unit_x, unit_p), angle, gain)
    received = MatchedFilter(rectangular(4), front_end)(recording(seen, rectangular(4), (0, 0)), 100)
    np.testing.assert_allclose(received, symbols, atol=2e-5 * max(1, unit_x / unit_p, unit_p / unit_x))


def test_equalizer_taps_stand_one_symbol_apart() -> None:
    symbols = symbols_of(300)
    taps = (0.1j, -0.2, 1.0, 0.3 + 0.1j, 0.05)
    received = MatchedFilter(rectangular(4), FrontEnd((20, 20), equalizer=taps))(
        recording(symbols, rectangular(4), (20, 20)), 300
    )
    np.testing.assert_allclose(received, np.convolve(symbols, taps)[2:-2], atol=1e-4)


def test_codes_and_a_single_quadrature() -> None:
    codes = rng(4).integers(-2000, 2000, (1, 4000)).astype(np.int16)
    received = MatchedFilter(rectangular(4), FrontEnd((0, 0), (2.0, 2.0)))(Recording(codes, 0.5), 1000)
    assert not received.imag.any()
    np.testing.assert_allclose(received.real, codes[0].reshape(-1, 4).sum(axis=1) / 2 * 0.25, rtol=1e-5, atol=1e-3)


def test_a_record_too_short_is_refused() -> None:
    record = Recording(np.zeros((2, 1000), np.float32))
    matched = MatchedFilter(RRC, FrontEnd((32, 32)))
    fitting = (1000 - len(RRC.taps)) // 4 + 1
    matched(record, fitting)
    for count in (fitting + 1, 0):
        with pytest.raises(ProtocolError, match="do not hold"):
            matched(record, count)
    with pytest.raises(ProtocolError, match="do not hold"):
        MatchedFilter(RRC, FrontEnd((30, 32)))(record, 10)


@pytest.mark.parametrize(
    "constants",
    [
        {"delay_samples": (math.nan, 0)},
        {"delay_samples": (0, 100)},
        {"delay_samples": (0, 0), "unit_v": (0, 1)},
        {"delay_samples": (0, 0), "angle_error_rad": 1.0},
        {"delay_samples": (0, 0), "gain_ratio": -1.0},
        {"delay_samples": (0, 0), "equalizer": (1.0, 0.0)},
    ],
)
def test_constants_out_of_range_are_refused(constants: dict) -> None:
    with pytest.raises(CalibrationError):
        FrontEnd(**constants)
