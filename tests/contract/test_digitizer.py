"""What every digitizer must do; its trigger comes from the first generator of the bench."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.errors import InstrumentError, InstrumentTimeout, LimitError
from labctl.interfaces import Digitizer, Laser, WaveformGenerator
from tests.contract.conftest import ContractBench

RATE_HZ = 125e6
SAMPLES = 4800
FULL_SCALE_V = 0.4
SCOPE = "server_scope"


def triggered(bench: ContractBench) -> WaveformGenerator:
    """A generator whose marker reaches the digitizers, ready to be armed."""
    generator = bench.get(WaveformGenerator)
    generator.configure(RATE_HZ, dict.fromkeys((1, 2), generator.capabilities.amplitude_vpp.high))
    zeros = np.zeros(SAMPLES, np.int16)
    generator.load(1, {1: zeros, 2: zeros})
    for channel in (1, 2):
        generator.set_output(channel, True)
    return generator


def local_oscillator(bench: ContractBench, power_w: float = 10e-3) -> None:
    laser = bench.get(Laser)
    laser.set_power(power_w)
    laser.set_emission(True)


def shoot(digitizer: Digitizer, generator: WaveformGenerator) -> None:
    generator.arm(1, 1, external=False)
    digitizer.arm()
    generator.trigger()
    digitizer.wait()


def configured(bench: ContractBench, full_scale_v: float = FULL_SCALE_V, name: str = "") -> Digitizer:
    digitizer = bench.get(Digitizer, name)
    digitizer.configure({1: full_scale_v, 2: full_scale_v}, 1 / RATE_HZ, SAMPLES)
    return digitizer


def test_a_record_is_what_was_asked_for(bench: ContractBench) -> None:
    digitizer, generator = configured(bench), triggered(bench)
    shoot(digitizer, generator)
    for channel in (1, 2):
        trace = digitizer.read(channel)
        assert trace.codes.shape == (SAMPLES,)
        assert trace.codes.dtype == np.int16
        assert trace.x_increment_s == pytest.approx(1 / RATE_HZ)
        assert trace.x_origin_s == pytest.approx(0.0, abs=0.5 / RATE_HZ)
        assert np.abs(trace.volts()).max() <= FULL_SCALE_V
        span_v = (trace.high_clip - trace.low_clip) * trace.y_increment_v
        assert FULL_SCALE_V * 0.9 <= span_v <= FULL_SCALE_V * 1.5


def test_limits_are_refused(bench: ContractBench) -> None:
    digitizer = bench.get(Digitizer)
    limits = digitizer.capabilities
    for volts in (0.5 * limits.full_scale_v.low, 2 * limits.full_scale_v.high, math.nan):
        with pytest.raises(LimitError, match=digitizer.name):
            digitizer.configure({1: volts}, 1 / RATE_HZ, SAMPLES)
    for channel in (0, limits.channels + 1):
        with pytest.raises(LimitError, match=digitizer.name):
            digitizer.configure({channel: FULL_SCALE_V}, 1 / RATE_HZ, SAMPLES)
    for interval_s in (0.0, -1e-9, 0.5 / limits.sample_rate_hz.high, math.nan):
        with pytest.raises(LimitError, match=digitizer.name):
            digitizer.configure({1: FULL_SCALE_V}, interval_s, SAMPLES)
    for samples in (0, limits.memory_samples + 1):
        with pytest.raises(LimitError, match=digitizer.name):
            digitizer.configure({1: FULL_SCALE_V}, 1 / RATE_HZ, samples)
    with pytest.raises(InstrumentError, match="not been configured"):
        digitizer.arm()


def test_a_trigger_that_does_not_come(simulated: ContractBench) -> None:
    digitizer = configured(simulated)
    digitizer.arm()
    begun = simulated.lab.now()
    with pytest.raises(InstrumentTimeout, match="no trigger"):
        digitizer.wait()
    assert simulated.lab.now() - begun == pytest.approx(10, rel=0.05)
    digitizer.stop()
    assert digitizer.safe_state().dark


def test_one_arming_is_one_record(simulated: ContractBench) -> None:
    """A second trigger does not overwrite the record."""
    local_oscillator(simulated)
    digitizer, generator = configured(simulated, name=SCOPE), triggered(simulated)
    shoot(digitizer, generator)
    first = digitizer.read(1)
    generator.arm(1, 1, external=False)
    generator.trigger()
    assert np.array_equal(digitizer.read(1).codes, first.codes)
    shoot(digitizer, generator)
    assert not np.array_equal(digitizer.read(1).codes, first.codes)


def test_reading_before_a_record_is_an_error(simulated: ContractBench) -> None:
    with pytest.raises(InstrumentError):
        configured(simulated).read(1)


def test_another_client_reads_the_same_volts(simulated: ContractBench) -> None:
    """Volts in ASCII, computed by the unit itself, against our codes and preamble."""
    local_oscillator(simulated)
    digitizer, generator = configured(simulated, name=SCOPE), triggered(simulated)
    shoot(digitizer, generator)
    trace = digitizer.read(2)
    line = simulated.library.connect("reader", simulated.config.instruments[SCOPE].resource)
    line.open()
    line.write(":WAVeform:FORMat ASCii;:WAVeform:SOURce CHANnel2")
    text = bytes(line.query_block(":WAVeform:DATA?")).decode()
    line.close()
    volts = np.array([float(field) for field in text.split(",")])
    assert volts.shape == (SAMPLES,)
    assert np.std(volts) > 0
    assert np.allclose(volts, trace.volts(), rtol=1e-5, atol=1e-9)


def test_shot_noise_comes_through_with_its_volts(simulated: ContractBench) -> None:
    """Dual receiver, vacuum in: 20 mV per sqrt(SNU). The standard error of the deviation is
    1/sqrt(2N) = 1.0 %; four of them are allowed (error probability 6e-5 a figure; the seed is
    fixed).
    """
    local_oscillator(simulated)
    digitizer, generator = configured(simulated, name=SCOPE), triggered(simulated)
    shoot(digitizer, generator)
    for channel in (1, 2):
        volts = digitizer.read(channel).volts()
        assert np.std(volts) == pytest.approx(20e-3, rel=0.04)
        assert abs(np.mean(volts)) < 4 * 20e-3 / math.sqrt(SAMPLES)


def test_clipped_samples_are_counted_and_not_hidden(simulated: ContractBench) -> None:
    """At a full scale of 40 mV half the range is one standard deviation: 32 % of the samples are
    outside.
    """
    local_oscillator(simulated)
    digitizer, generator = configured(simulated, 40e-3, SCOPE), triggered(simulated)
    shoot(digitizer, generator)
    clipped = digitizer.read(1).clipped()
    wide = configured(simulated, FULL_SCALE_V, SCOPE)
    assert 0.1 * SAMPLES < clipped < 0.5 * SAMPLES
    shoot(wide, generator)
    assert wide.read(1).clipped() == 0


def test_a_draw_key_names_the_noise(simulated: ContractBench) -> None:
    local_oscillator(simulated)
    digitizer, generator = configured(simulated, name=SCOPE), triggered(simulated)
    codes = []
    for key in ((1, 2), (1, 3), (1, 2)):
        simulated.lab.set_draw_key(*key)
        shoot(digitizer, generator)
        codes.append(digitizer.read(1).codes.copy())
    assert np.array_equal(codes[0], codes[2])
    assert not np.array_equal(codes[0], codes[1])


def test_after_the_line_was_renewed_settings_are_not_taken_for_granted(simulated: ContractBench) -> None:
    digitizer = configured(simulated)
    simulated.lab.inject_fault(digitizer.name, "UNPLUG")
    with pytest.raises(InstrumentError):
        digitizer.arm()
    simulated.lab.clear_faults()
    digitizer.stop()
    with pytest.raises(InstrumentError, match="renewed"):
        digitizer.arm()


def test_another_range_changes_the_scale_and_not_the_volts(simulated: ContractBench) -> None:
    """Standard error of the deviation 1 %, four of them allowed."""
    local_oscillator(simulated)
    digitizer, generator = configured(simulated, name=SCOPE), triggered(simulated)
    steps_v = []
    for full_scale_v in (FULL_SCALE_V, 2 * FULL_SCALE_V):
        digitizer.configure({1: full_scale_v}, 1 / RATE_HZ, SAMPLES)
        shoot(digitizer, generator)
        trace = digitizer.read(1)
        steps_v.append(trace.y_increment_v)
        assert np.std(trace.volts()) == pytest.approx(20e-3, rel=0.04)
    assert steps_v[1] == pytest.approx(2 * steps_v[0], rel=1e-6)
