"""What every waveform generator must do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from labctl.errors import InstrumentError, LimitError
from labctl.interfaces import WaveformGenerator
from labctl.values import GeneratorCapabilities
from tests.contract.conftest import ContractBench


def amplitudes(generator: WaveformGenerator, channels: int = 2) -> dict[int, float]:
    """The smallest on every channel used."""
    count = min(channels, generator.capabilities.channels)
    return dict.fromkeys(range(1, count + 1), generator.capabilities.amplitude_vpp.low)


def configured(bench: ContractBench, channels: int = 2) -> WaveformGenerator:
    generator = bench.get(WaveformGenerator)
    generator.configure(generator.capabilities.sample_rate_hz.low, amplitudes(generator, channels))
    return generator


def shortest(capabilities: GeneratorCapabilities, periods: int = 0) -> int:
    return capabilities.min_length + periods * capabilities.granularity


def noise(capabilities: GeneratorCapabilities, seed: int, periods: int = 0) -> NDArray[np.int16]:
    """Every code from one end to the other may occur."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(capabilities.code_min, capabilities.code_max + 1, shortest(capabilities, periods))
    codes[:2] = capabilities.code_min, capabilities.code_max
    return codes.astype(np.int16)


def test_settings_are_read_back(bench: ContractBench) -> None:
    generator = bench.get(WaveformGenerator)
    limits = generator.capabilities
    generator.configure(limits.sample_rate_hz.high, {1: limits.amplitude_vpp.high})
    snapshot = generator.snapshot()
    assert snapshot["sample_rate_hz"] == pytest.approx(limits.sample_rate_hz.high)
    assert snapshot["amplitude_1_vpp"] == pytest.approx(limits.amplitude_vpp.high)
    generator.set_output(1, True)
    assert generator.output(1)
    assert generator.safe_state().dark
    assert not generator.output(1)


def test_limits_are_refused(bench: ContractBench) -> None:
    generator = configured(bench)
    limits = generator.capabilities
    good = amplitudes(generator)
    for rate_hz in (0.5 * limits.sample_rate_hz.low, 2 * limits.sample_rate_hz.high, math.nan):
        with pytest.raises(LimitError, match=generator.name):
            generator.configure(rate_hz, good)
    for amplitude in (0.5 * limits.amplitude_vpp.low, 2 * limits.amplitude_vpp.high, math.nan):
        with pytest.raises(LimitError, match=generator.name):
            generator.configure(limits.sample_rate_hz.low, {1: amplitude})
    zeros = np.zeros(shortest(limits), np.int16)
    too_large = zeros.astype(np.int32) + limits.code_max + 1
    for codes in (zeros[:-1], np.zeros(limits.granularity, np.int16), too_large.astype(np.int16)):
        with pytest.raises(LimitError, match=generator.name):
            generator.load(1, {1: codes})
    with pytest.raises(LimitError):
        generator.set_output(limits.channels + 1, True)
    assert list(generator.problems()) == []


def test_what_was_not_loaded_is_not_armed(bench: ContractBench) -> None:
    generator = configured(bench)
    with pytest.raises(LimitError):
        generator.arm(1, 1, external=False)


def test_a_shot_by_command(bench: ContractBench) -> None:
    generator = configured(bench)
    codes = np.zeros(shortest(generator.capabilities), np.int16)
    generator.load(1, dict.fromkeys(amplitudes(generator), codes))
    for loops in (1, 784, 1):
        generator.arm(1, loops, external=False)
        generator.trigger()
    generator.load_and_arm(1, dict.fromkeys(amplitudes(generator), codes), 3, external=True)
    generator.stop()
    assert list(generator.problems()) == []


def memory(bench: ContractBench, name: str, channel: int, segment: int, samples: int) -> NDArray[np.int16]:
    """Sample words as they lie in the unit, read by another client."""
    line = bench.library.connect("reader", bench.config.instruments[name].resource)
    line.open()
    words = line.query_array(f":TRACe{channel}:DATA:BLOCk? {segment},0,{samples}", np.dtype("<i2"))
    line.close()
    return words


def test_samples_arrive_to_the_bit(simulated: ContractBench) -> None:
    generator = configured(simulated)
    limits = generator.capabilities
    for segment, periods in ((1, 0), (2, 4), (1, 0), (1, 2)):  # new, new, overwritten, made anew
        sent = {channel: noise(limits, 10 * segment + channel, periods) for channel in (1, 2)}
        generator.load(segment, sent)
        for channel, codes in sent.items():
            words = memory(simulated, generator.name, channel, segment, len(codes))
            assert np.array_equal(words >> (16 - limits.bits), codes)
            assert not np.any(words & ((1 << (16 - limits.bits)) - 1)), "marker bits are 0"


def test_what_plays_is_what_was_armed(simulated: ContractBench) -> None:
    generator = configured(simulated)
    limits = generator.capabilities
    name = generator.name
    line = simulated.library.connect("reader", simulated.config.instruments[name].resource)
    line.open()
    generator.load(1, {n: noise(limits, n) for n in (1, 2)})
    generator.load_and_arm(7, {n: noise(limits, 20 + n) for n in (1, 2)}, 392, external=False)
    for segment, loops in ((7, 392), (1, 5), (7, 5), (7, 392)):
        generator.arm(segment, loops, external=False)
        for channel in (1, 2):
            index = int(line.query(f":STABle{channel}:SEQuence:SELect?"))
            entry = [int(x) for x in line.query(f":STABle{channel}:DATA? {index},6").split(",")]
            assert entry[2:4] == [loops, segment]
    line.close()


def test_configuring_forgets_all_segments(simulated: ContractBench) -> None:
    generator = configured(simulated)
    codes = noise(generator.capabilities, 1)
    generator.load(1, {1: codes, 2: codes})
    generator.configure(generator.capabilities.sample_rate_hz.low, amplitudes(generator))
    with pytest.raises(LimitError, match="not loaded"):
        generator.arm(1, 1, external=True)
    generator.load(1, {1: codes, 2: codes})
    generator.arm(1, 1, external=True)


def test_one_channel_alone(simulated: ContractBench) -> None:
    generator = configured(simulated, channels=1)
    codes = noise(generator.capabilities, 1)
    with pytest.raises(LimitError, match="not been configured"):
        generator.load(1, {2: codes})
    generator.load(1, {1: codes})
    generator.arm(1, 1, external=False)
    generator.trigger()


def test_after_the_line_was_renewed_memory_is_not_taken_for_granted(simulated: ContractBench) -> None:
    generator = configured(simulated)
    codes = noise(generator.capabilities, 1)
    generator.load(1, {1: codes, 2: codes})
    simulated.lab.inject_fault(generator.name, "UNPLUG")
    with pytest.raises(InstrumentError):
        generator.arm(1, 1, external=True)
    simulated.lab.clear_faults()
    assert generator.safe_state().dark
    with pytest.raises(InstrumentError, match="renewed"):
        generator.arm(1, 1, external=True)
