"""Gates on what a record must show of its own noise: good ones pass, stuck and saturated ones do not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from labctl.errors import GateError
from labctl.protocol.traces import (
    ENOUGH,
    FALSE_ALARM_RATE,
    NoiseGate,
    Repeats,
    code_log_probability,
    converter_step,
    most_on_one_code,
    shortfall,
)
from labctl.values import Trace

#: Of the ideal bench's client: codes of 16 bits from a converter of 12, 8 V over 10 mV per sqrt(SNU).
STEP, UNIT = 16.0, 8 / 65536 / 0.01
VARIANCE = 2.0


def record(generator: np.random.Generator, rows: int, signal: float = 0.0, scale: float = 1.0) -> NDArray[np.int16]:
    """Noise of VARIANCE SNU times ``scale``, on a signal of so many SNU."""
    snu = np.sqrt(VARIANCE * scale) * generator.standard_normal(rows) + np.sqrt(signal) * generator.standard_normal(
        rows
    )
    return (STEP * np.round(snu / (STEP * UNIT))).astype(np.int16)


@pytest.mark.parametrize("rows", [1, 2, 10, 64, 784])
@pytest.mark.parametrize("signal", [0.0, 10.0])
def test_good_records_pass(rows: int, signal: float) -> None:
    """2000 of them; each fails with a probability of at most 4e-9."""
    generator, gate = np.random.default_rng(rows), NoiseGate("scope", VARIANCE)
    for _ in range(2000):
        gate.check(record(generator, rows, signal), STEP, UNIT)


def test_a_bit_less_noise_than_calibrated_passes() -> None:
    generator, gate = np.random.default_rng(1), NoiseGate("scope", VARIANCE)
    for _ in range(2000):
        gate.check(record(generator, 64, scale=0.85), STEP, UNIT)


def records_until(gate: NoiseGate, make: object, most: int = 200) -> tuple[int, GateError]:
    """How many are taken until one fails, and why."""
    assert callable(make)
    for number in range(1, most + 1):
        try:
            gate.check(make(), STEP, UNIT)
        except GateError as error:
            return number, error
    raise AssertionError("none failed")


@pytest.mark.parametrize(("rows", "repeats"), [(1, 10), (2, 6), (10, 2), (784, 2)])
def test_a_stuck_record_fails(rows: int, repeats: int) -> None:
    """The fewer samples, the more often must the same ones come."""
    kept = record(np.random.default_rng(rows), rows, 5.0)
    number, error = records_until(NoiseGate("scope", VARIANCE), lambda: kept)
    assert 1 < number <= repeats
    assert error.message.startswith("scope: ")
    assert error.shots == number


def test_a_stuck_record_of_another_layer_fails() -> None:
    repeats, kept = Repeats("scope"), record(np.random.default_rng(1), 64)
    repeats.check(kept, code_log_probability(STEP * UNIT, VARIANCE))
    with pytest.raises(GateError, match="same 10 samples as the one before: it is stuck"):
        repeats.check(kept[:10], code_log_probability(STEP * UNIT, VARIANCE))


def test_where_one_code_is_likely_repeats_say_nothing() -> None:
    repeats, zeros = Repeats("scope"), np.zeros(64, np.int16)
    for _ in range(100):
        repeats.check(zeros, code_log_probability(10.0, 1.0))


@pytest.mark.parametrize("signal", [0.0, 10.0, 1000.0])
@pytest.mark.parametrize("rows", [10, 64, 784])
def test_a_saturated_record_fails(signal: float, rows: int) -> None:
    """At one sqrt(SNU), as the simulated lab's fault does it."""
    generator, rail = np.random.default_rng(rows), np.int16(STEP * round(1 / (STEP * UNIT)))
    make = lambda: np.clip(record(generator, rows, signal), -rail, rail)  # noqa: E731
    number, error = records_until(NoiseGate("scope", VARIANCE), make)
    assert number * rows <= 1500
    assert error.shots == number


def test_noise_that_goes_is_noticed_beside_good_records() -> None:
    generator, gate = np.random.default_rng(3), NoiseGate("scope", VARIANCE)
    gate.check(record(generator, 784), STEP, UNIT)
    with pytest.raises(GateError, match="where the noise alone gives 2"):
        gate.check(record(generator, 784, scale=0.25), STEP, UNIT)


def test_a_constant_trace_has_no_shot_noise() -> None:
    with pytest.raises(GateError, match="the trace is constant, there is no shot noise in it"):
        NoiseGate("scope", VARIANCE).check(np.full(64, 16, np.int16), STEP, UNIT)


def test_bounds_hold_in_simulation() -> None:
    """Each bound is above the share of records that are as extreme, where that can be counted."""
    generator, rows, count = np.random.default_rng(4), 10, 200_000
    draws = np.round(generator.standard_normal((count, rows)) / 0.5)
    log_p = code_log_probability(0.5, 1.0)
    for most in (4, 5, 6):
        share = np.mean((draws == draws.max(axis=1, keepdims=True)).sum(axis=1) >= most)
        bound = math.comb(rows, most) * math.exp((most - 1) * log_p)
        assert share <= bound
    squares = ((draws * 0.5 - (draws * 0.5).mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    for ratio in (0.1, 0.3, 0.5):
        share = np.mean(squares <= ratio * (rows - 1))
        assert 0 < share <= math.exp(-shortfall(ratio * (rows - 1), rows - 1))


def test_how_many_may_be_alike() -> None:
    log_p = code_log_probability(0.2, 1.0)
    assert most_on_one_code(2, log_p) == 2, "two samples may always be"
    for rows in (10, 64, 784):
        most = most_on_one_code(rows, log_p)
        assert rows * math.exp(log_p) < most < rows
        assert most_on_one_code(rows, log_p, math.log(16)) >= most
    assert math.exp(-ENOUGH) == pytest.approx(FALSE_ALARM_RATE)
    assert shortfall(0.0, 5) == math.inf
    assert shortfall(5.0, 5) == 0.0


def test_the_step_of_a_converter_with_fewer_bits_than_its_codes() -> None:
    trace = Trace(np.zeros(1, np.int16), 1e-4, 0.0, 0, 1e-9, 0.0, -32768, 32767)
    assert converter_step(trace, 12) == pytest.approx(16, rel=1e-4)
    assert converter_step(trace, 16) == 1.0
