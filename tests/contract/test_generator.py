"""What every waveform generator must do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from labctl.errors import InstrumentError, InstrumentTimeout, LimitError
from labctl.interfaces import WaveformGenerator
from labctl.values import GeneratorCapabilities
from tests.contract.bench import ContractBench

#: Samples that tell one segment from another.
ENOUGH = 240


def amplitudes(generator: WaveformGenerator, channels: int = 2) -> dict[int, float]:
    """The smallest on every channel used."""
    count = min(channels, generator.capabilities.channels)
    return dict.fromkeys(range(1, count + 1), generator.capabilities.amplitude_vpp.low)


def configured(bench: ContractBench, channels: int = 2) -> WaveformGenerator:
    generator = bench.get(WaveformGenerator)
    generator.configure(bench.config.sample_rate, amplitudes(generator, channels))
    return generator


def shortest(capabilities: GeneratorCapabilities, periods: int = 0) -> int:
    """Samples of a segment that is short, and long enough to tell one from another."""
    enough = -(-ENOUGH // capabilities.granularity) * capabilities.granularity
    return max(capabilities.min_length, enough) + periods * capabilities.granularity


def noise(capabilities: GeneratorCapabilities, seed: int, periods: int = 0) -> NDArray[np.int16]:
    """Every code from one end to the other may occur."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(capabilities.code_min, capabilities.code_max + 1, shortest(capabilities, periods))
    codes[:2] = capabilities.code_min, capabilities.code_max
    return codes.astype(np.int16)


def loaded(generator: WaveformGenerator, segment: int, seed: int, periods: int = 0) -> dict[int, NDArray[np.int16]]:
    """Different samples on every channel used."""
    codes = {n: noise(generator.capabilities, 10 * seed + n, periods) for n in amplitudes(generator)}
    generator.load(segment, codes)
    return codes


class Listener:
    """What the unit under test plays at each trigger, seen from inside the simulated lab."""

    def __init__(self, bench: ContractBench) -> None:
        self.heard: list[dict[int, tuple[NDArray[np.float64], int]]] = []
        self._state, world = bench.unit.state, bench.world.world
        fire = world.fire_trigger

        def listen(unit: str) -> None:
            if unit == bench.unit.name:
                self._note()
                fire(unit)
            else:
                fire(unit)
                self._note()

        vars(world)["fire_trigger"] = listen

    def _note(self) -> None:
        playing = {
            number: (channel.playback.codes / channel.code_max, channel.playback.loops)
            for number, channel in enumerate(self._state.channels, 1)
            if channel.playback is not None
        }
        self.heard.append(playing)

    def last(self, sent: dict[int, NDArray[np.int16]], loops: int, capabilities: GeneratorCapabilities) -> None:
        """What was sent is what played last, as often as it should: to half a step of the converter."""
        assert set(sent) <= set(self.heard[-1])
        for channel, codes in sent.items():
            played, repeated = self.heard[-1][channel]
            if len(played) != len(codes):  # played unrolled, and perhaps silence after it
                due, repeated = np.tile(codes, loops), loops * repeated
                assert not np.any(played[len(due) :])
            else:
                due = codes
            assert repeated == loops
            assert np.abs(played[: len(due)] - due / capabilities.code_max).max() <= 0.5 / capabilities.code_max


# --- settings -----------------------------------------------------------------------------------


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


def test_settings_reach_the_world(simulated: ContractBench) -> None:
    generator, state = configured(simulated), simulated.unit.state
    assert state.sample_rate_hz == pytest.approx(simulated.config.sample_rate)
    for number, amplitude in amplitudes(generator).items():
        channel = state.channels[number - 1]
        assert channel.amplitude_vpp == pytest.approx(amplitude)
        for on in (True, False, True):
            generator.set_output(number, on)
            assert channel.output_on is on
    generator.safe_state()
    assert not any(channel.output_on for channel in state.channels)


def test_limits_are_refused_and_nothing_is_sent(bench: ContractBench) -> None:
    generator = configured(bench)
    limits, good = generator.capabilities, amplitudes(generator)
    zeros = np.zeros(shortest(limits), np.int16)
    wrong_codes = [zeros[: limits.min_length - 1], zeros.astype(np.float64)]
    if limits.granularity > 1:
        wrong_codes.append(zeros[:-1])
    if limits.code_max < np.iinfo(np.int16).max:
        wrong_codes.append(zeros + np.int16(limits.code_max + 1))
    with bench.nothing_sent():
        for rate_hz in (0.5 * limits.sample_rate_hz.low, 2 * limits.sample_rate_hz.high, math.nan):
            with pytest.raises(LimitError, match=generator.name):
                generator.configure(rate_hz, good)
        for amplitude in (0.5 * limits.amplitude_vpp.low, 2 * limits.amplitude_vpp.high, math.nan):
            with pytest.raises(LimitError, match=generator.name):
                generator.configure(limits.sample_rate_hz.low, {1: amplitude})
        for codes in wrong_codes:
            with pytest.raises(LimitError, match=generator.name):
                generator.load(1, {1: codes})
        for nobody in (0, limits.channels + 1):
            with pytest.raises(LimitError):
                generator.set_output(nobody, True)
    assert list(generator.problems()) == []


def test_what_was_not_loaded_is_not_armed(bench: ContractBench) -> None:
    generator = configured(bench)
    with bench.nothing_sent(), pytest.raises(LimitError):
        generator.arm(1, 1, external=False)


def test_configuring_forgets_all_segments(simulated: ContractBench) -> None:
    generator = configured(simulated)
    loaded(generator, 1, seed=1)
    generator.configure(simulated.config.sample_rate, amplitudes(generator))
    with pytest.raises(LimitError, match="not loaded"):
        generator.arm(1, 1, external=True)
    loaded(generator, 1, seed=1)
    generator.arm(1, 1, external=True)


# --- playing ------------------------------------------------------------------------------------


def test_a_shot_by_command(bench: ContractBench) -> None:
    generator = configured(bench)
    codes = np.zeros(shortest(generator.capabilities), np.int16)
    generator.load(1, dict.fromkeys(amplitudes(generator), codes))
    for loops in (1, 784, 1):
        generator.arm(1, loops, external=False)
        generator.trigger()
    generator.play(1, 5)
    generator.load_and_arm(1, dict.fromkeys(amplitudes(generator), codes), 3, external=True)
    generator.stop()
    assert list(generator.problems()) == []


def test_what_was_loaded_plays_to_the_bit(simulated: ContractBench) -> None:
    """New, new, overwritten, made anew; a segment that another was loaded after is still the old one."""
    generator, listener = configured(simulated), Listener(simulated)
    sent = {}
    for seed, (segment, periods) in enumerate(((1, 0), (2, 4), (1, 0), (1, 2))):
        sent[segment] = loaded(generator, segment, seed, periods)
        generator.arm(segment, 1, external=False)
        generator.trigger()
        listener.last(sent[segment], 1, generator.capabilities)
    generator.play(2, 3)
    listener.last(sent[2], 3, generator.capabilities)
    assert list(generator.problems()) == []


def test_what_plays_is_what_was_armed(simulated: ContractBench) -> None:
    generator, listener = configured(simulated), Listener(simulated)
    limits = generator.capabilities
    first = loaded(generator, 1, seed=1)
    seventh = {n: noise(limits, 20 + n) for n in first}
    generator.load_and_arm(7, seventh, 392, external=False)
    generator.trigger()
    listener.last(seventh, 392, limits)
    for segment, loops in ((1, 5), (7, 5), (7, 392), (1, 392)):
        generator.arm(segment, loops, external=False)
        generator.trigger()
        listener.last(first if segment == 1 else seventh, loops, limits)
    assert len(listener.heard) == 5


def test_stopped_it_plays_nothing(simulated: ContractBench) -> None:
    generator = configured(simulated)
    loaded(generator, 1, seed=1)
    generator.arm(1, 3, external=True)
    generator.stop()
    simulated.world.world.fire_trigger("somebody")
    assert all(channel.playback is None for channel in simulated.unit.state.channels)


def test_the_trigger_input_starts_what_waits_for_it(simulated: ContractBench) -> None:
    generator, listener = configured(simulated), Listener(simulated)
    sent = loaded(generator, 1, seed=1)
    generator.arm(1, 4, external=True)
    simulated.world.world.fire_trigger("somebody")
    listener.last(sent, 4, generator.capabilities)
    generator.arm(1, 4, external=False)
    simulated.world.world.fire_trigger("somebody")
    assert listener.heard[-1] == {}, "it waits for a command"


def test_one_channel_alone(simulated: ContractBench) -> None:
    generator, listener = configured(simulated, channels=1), Listener(simulated)
    codes = noise(generator.capabilities, 1)
    if generator.capabilities.channels > 1:
        with simulated.nothing_sent(), pytest.raises(LimitError, match="not been configured"):
            generator.load(1, {2: codes})
    generator.load(1, {1: codes})
    generator.arm(1, 1, external=False)
    generator.trigger()
    listener.last({1: codes}, 1, generator.capabilities)


# --- lines that fail ------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["UNPLUG", "SILENT"])
def test_after_the_line_was_renewed_memory_is_not_taken_for_granted(simulated: ContractBench, fault: str) -> None:
    generator = configured(simulated)
    loaded(generator, 1, seed=1)
    simulated.lab.inject_fault(generator.name, fault)
    with pytest.raises(InstrumentTimeout if fault == "SILENT" else InstrumentError):
        generator.arm(1, 1, external=True)
    simulated.lab.clear_faults()
    assert generator.safe_state().dark
    with pytest.raises(InstrumentError, match="renewed"):
        generator.arm(1, 1, external=True)
    generator.configure(simulated.config.sample_rate, amplitudes(generator))
    loaded(generator, 1, seed=1)
    generator.arm(1, 1, external=True)
