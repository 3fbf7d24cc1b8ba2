"""What every digitizer must do; its trigger comes from the first generator of the bench, its noise from the receiver
that it listens to.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.config import ReceiverRole
from labctl.errors import InstrumentError, InstrumentTimeout, LimitError
from labctl.interfaces import Digitizer, Laser, WaveformGenerator
from labctl.values import Trace
from tests.contract.bench import ContractBench

SAMPLES = 4800
#: Standard deviations of the noise from end to end of the range.
SPAN = 20.0


def receiver(bench: ContractBench) -> ReceiverRole:
    """What the digitizer under test listens to; another one's, if it listens to none."""
    entries = (bench.config.client_receiver, bench.config.server_receiver)
    return next((each for each in entries if each.digitizer == bench.first("digitizer")), entries[1])


def full_scale_v(bench: ContractBench, digitizer: Digitizer) -> float:
    return max(SPAN * receiver(bench).volts_per_snu, digitizer.capabilities.full_scale_v.low)


def triggered(bench: ContractBench) -> WaveformGenerator:
    """A generator whose marker reaches the digitizers, ready to be armed."""
    generator = bench.get(WaveformGenerator)
    limits = generator.capabilities
    channels = range(1, min(2, limits.channels) + 1)
    generator.configure(bench.config.sample_rate, dict.fromkeys(channels, limits.amplitude_vpp.high))
    length = max(limits.min_length, -(-SAMPLES // limits.granularity) * limits.granularity)
    generator.load(1, dict.fromkeys(channels, np.zeros(length, np.int16)))
    for channel in channels:
        generator.set_output(channel, True)
    return generator


def local_oscillator(bench: ContractBench) -> None:
    laser = bench.get(Laser)
    laser.set_power(bench.config.laser.power)
    laser.set_emission(True)


def shoot(digitizer: Digitizer, generator: WaveformGenerator) -> None:
    generator.arm(1, 1, external=False)
    digitizer.arm()
    generator.trigger()
    digitizer.wait()


def set_up(bench: ContractBench, digitizer: Digitizer, volts: float) -> None:
    digitizer.configure(dict.fromkeys(receiver(bench).channels, volts), 1 / bench.config.sample_rate, SAMPLES)


def configured(bench: ContractBench) -> Digitizer:
    digitizer = bench.get(Digitizer)
    set_up(bench, digitizer, full_scale_v(bench, digitizer))
    return digitizer


def noisy(bench: ContractBench) -> tuple[Digitizer, WaveformGenerator, int]:
    """Shot noise on the digitizer's inputs, the first of which is told."""
    local_oscillator(bench)
    return configured(bench), triggered(bench), receiver(bench).channels[0]


def edges_v(trace: Trace) -> tuple[float, float]:
    """Volts at the codes that mean "outside the range"."""
    low, high = ((code - trace.y_reference) * trace.y_increment_v for code in (trace.low_clip, trace.high_clip))
    return low + trace.y_origin_v, high + trace.y_origin_v


# --- records ------------------------------------------------------------------------------------


def test_a_record_is_what_was_asked_for(bench: ContractBench) -> None:
    digitizer, generator = configured(bench), triggered(bench)
    shoot(digitizer, generator)
    interval_s, wanted_v = 1 / bench.config.sample_rate, full_scale_v(bench, digitizer)
    for channel in receiver(bench).channels:
        trace = digitizer.read(channel)
        assert trace.codes.shape == (SAMPLES,)
        assert trace.codes.dtype == np.int16
        assert trace.x_increment_s == pytest.approx(interval_s)
        assert trace.x_origin_s == pytest.approx(0.0, abs=0.5 * interval_s)
        assert np.abs(trace.volts()).max() <= wanted_v
        low_v, high_v = edges_v(trace)
        assert wanted_v * 0.9 <= high_v - low_v <= wanted_v * 1.5


def test_one_arming_is_one_record(simulated: ContractBench) -> None:
    """A second trigger does not overwrite the record."""
    digitizer, generator, channel = noisy(simulated)
    shoot(digitizer, generator)
    first = digitizer.read(channel)
    generator.arm(1, 1, external=False)
    generator.trigger()
    assert np.array_equal(digitizer.read(channel).codes, first.codes)
    shoot(digitizer, generator)
    assert not np.array_equal(digitizer.read(channel).codes, first.codes)


def test_records_are_what_the_world_gave(simulated: ContractBench) -> None:
    """Sample by sample, to a step of the converter and what float32 leaves of it."""
    digitizer, generator, _ = noisy(simulated)
    acquire, given = simulated.world.world.acquire, {}

    def note(unit: str, *rest: object) -> object:
        records = acquire(unit, *rest)  # type: ignore[arg-type]
        if unit == digitizer.name:
            given.update({n: record.samples * np.float64(record.volts_per_unit) for n, record in records.items()})
        return records

    vars(simulated.world.world)["acquire"] = note
    shoot(digitizer, generator)
    for channel in receiver(simulated).channels:
        trace = digitizer.read(channel)
        step_v = full_scale_v(simulated, digitizer) / 2**digitizer.capabilities.bits
        assert np.abs(trace.volts() - given[channel][:SAMPLES]).max() <= 1.5 * step_v


def test_shot_noise_comes_through_with_its_volts(simulated: ContractBench) -> None:
    """Vacuum in. The standard error of the deviation is 1/sqrt(2N) = 1.0 %; four of them are allowed (error probability
    6e-5 a figure; the seed is fixed).
    """
    digitizer, generator, _ = noisy(simulated)
    shoot(digitizer, generator)
    deviation_v = receiver(simulated).volts_per_snu
    for channel in receiver(simulated).channels:
        volts = digitizer.read(channel).volts()
        assert np.std(volts) == pytest.approx(deviation_v, rel=0.04)
        assert abs(np.mean(volts)) < 4 * deviation_v / math.sqrt(SAMPLES)


def test_another_range_changes_the_scale_and_not_the_volts(simulated: ContractBench) -> None:
    digitizer, generator, channel = noisy(simulated)
    steps_v = []
    for factor in (1, 2):
        set_up(simulated, digitizer, factor * full_scale_v(simulated, digitizer))
        shoot(digitizer, generator)
        trace = digitizer.read(channel)
        steps_v.append(trace.y_increment_v)
        assert np.std(trace.volts()) == pytest.approx(receiver(simulated).volts_per_snu, rel=0.04)
    assert steps_v[1] == pytest.approx(2 * steps_v[0], rel=1e-6)


def test_clipped_samples_are_counted_and_not_hidden(simulated: ContractBench) -> None:
    """Half the range is one standard deviation: 32 % of the samples are outside. Where the converter's range goes
    beyond the scale's there are less, and how many is told by its own edges; five standard errors are allowed (error
    probability 6e-7).
    """
    digitizer, generator, channel = noisy(simulated)
    deviation_v = receiver(simulated).volts_per_snu
    if 2 * deviation_v not in digitizer.capabilities.full_scale_v:
        pytest.skip("its smallest range holds this noise")
    set_up(simulated, digitizer, 2 * deviation_v)
    shoot(digitizer, generator)
    trace = digitizer.read(channel)
    low_v, high_v = edges_v(trace)
    outside = 0.5 * (math.erfc(-low_v / deviation_v / math.sqrt(2)) + math.erfc(high_v / deviation_v / math.sqrt(2)))
    assert outside > 0.05
    step = 2 * abs(trace.y_increment_v) / deviation_v
    assert abs(trace.clipped() / SAMPLES - outside) < 5 * math.sqrt(outside / SAMPLES) + step
    set_up(simulated, digitizer, full_scale_v(simulated, digitizer))
    shoot(digitizer, generator)
    assert digitizer.read(channel).clipped() == 0


def test_a_draw_key_names_the_noise(simulated: ContractBench) -> None:
    digitizer, generator, channel = noisy(simulated)
    codes = []
    for key in ((1, 2), (1, 3), (1, 2)):
        simulated.lab.set_draw_key(*key)
        shoot(digitizer, generator)
        codes.append(digitizer.read(channel).codes.copy())
    assert np.array_equal(codes[0], codes[2])
    assert not np.array_equal(codes[0], codes[1])


# --- what is refused ------------------------------------------------------------------------------


def test_limits_are_refused_and_nothing_is_sent(bench: ContractBench) -> None:
    digitizer = bench.get(Digitizer)
    limits, interval_s = digitizer.capabilities, 1 / bench.config.sample_rate
    channel, good_v = receiver(bench).channels[0], full_scale_v(bench, digitizer)
    with bench.nothing_sent():
        for volts in (0.5 * limits.full_scale_v.low, 2 * limits.full_scale_v.high, math.nan):
            with pytest.raises(LimitError, match=digitizer.name):
                digitizer.configure({channel: volts}, interval_s, SAMPLES)
        for nobody in (0, limits.channels + 1):
            with pytest.raises(LimitError, match=digitizer.name):
                digitizer.configure({nobody: good_v}, interval_s, SAMPLES)
        for wrong_s in (0.0, -1e-9, 0.5 / limits.sample_rate_hz.high, math.nan):
            with pytest.raises(LimitError, match=digitizer.name):
                digitizer.configure({channel: good_v}, wrong_s, SAMPLES)
        for samples in (0, limits.memory_samples + 1):
            with pytest.raises(LimitError, match=digitizer.name):
                digitizer.configure({channel: good_v}, interval_s, samples)
        with pytest.raises(InstrumentError, match="not been configured"):
            digitizer.arm()


def test_reading_before_a_record_is_an_error(simulated: ContractBench) -> None:
    digitizer = configured(simulated)
    with simulated.nothing_sent(), pytest.raises(InstrumentError):
        digitizer.read(receiver(simulated).channels[0])


def test_a_trigger_that_does_not_come(simulated: ContractBench) -> None:
    digitizer = configured(simulated)
    digitizer.arm()
    begun = simulated.lab.now()
    with pytest.raises(InstrumentTimeout, match="no trigger"):
        digitizer.wait()
    assert simulated.lab.now() - begun == pytest.approx(10, rel=0.05)
    digitizer.stop()
    assert digitizer.safe_state().dark


# --- lines that fail ------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["UNPLUG", "SILENT"])
def test_after_the_line_was_renewed_settings_are_not_taken_for_granted(simulated: ContractBench, fault: str) -> None:
    digitizer = configured(simulated)
    simulated.lab.inject_fault(digitizer.name, fault)
    with pytest.raises(InstrumentTimeout if fault == "SILENT" else InstrumentError):
        digitizer.arm()
    simulated.lab.clear_faults()
    digitizer.stop()
    with pytest.raises(InstrumentError, match="renewed"):
        digitizer.arm()
    set_up(simulated, digitizer, full_scale_v(simulated, digitizer))
    digitizer.arm()
