"""Waveforms made of short segments, and what the simulated AWG5200 plays of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.tektronix_awg5200 import AWG5200
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import InstrumentRefused, InstrumentReply, InstrumentTimeout, LimitError
from labctl.shipped import bench_path
from sim_backends.lab import Lab, open_lab
from sim_backends.state import GeneratorState

RESOURCE = "TCPIP0::192.168.10.21::4000::SOCKET"


@dataclass
class SimulatedBench:
    """A lab with two AWG5208s; the server's marker reaches the client's trigger input."""

    path: Path
    lab: Lab
    server: AWG5200
    client: AWG5200

    def state(self, name: str = "client_awg_forward") -> GeneratorState:
        state = self.lab.units[name].state
        assert isinstance(state, GeneratorState)
        return state


def simulated_bench(folder: Path, wait: str = "run_mode", **options: object) -> Iterator[SimulatedBench]:
    text = bench_path("ideal").read_text(encoding="utf-8")
    more = "".join(f", {key} = {value!r}".replace("'", '"') for key, value in options.items())
    for number, name in ((21, "server_awg"), (22, "client_awg_forward")):
        text = text.replace(f"192.168.10.{number}::5025", f"192.168.10.{number}::4000")
        text = text.replace(f'{name} = {{ model = "keysight_m8190a"', f'{name} = {{ model = "tektronix_awg5200"{more}')
    path = folder / "tek.bench.toml"
    path.write_text(text, encoding="utf-8")
    library = VisaLibrary(f"{path}@labctl")
    made = [
        AWG5200(name, f"TCPIP0::192.168.10.{number}::4000::SOCKET", library, SteppedClock(), sequence_wait=wait)
        for number, name in ((21, "server_awg"), (22, "client_awg_forward"))
    ]
    for one in made:
        one.open()
        one.configure(125e6, {1: 0.7, 2: 0.7})
    lab = open_lab(str(path))
    yield SimulatedBench(path, lab, *made)
    lab.close()
    library.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[SimulatedBench]:
    yield from simulated_bench(tmp_path)


def noise(count: int, seed: int, code_max: int = 16383) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-code_max, code_max + 1, count).astype(np.int16)


@pytest.mark.parametrize(
    ("length", "loops", "tiles", "total"),
    [
        (432, 784, 7, 3024),  # the smallest divisor of 784 that gives 2400 samples
        (448, 784, 7, 3136),
        (432, 787, 787, 787 * 432),  # a prime number of loops: all of them
        (128, 10, 10, 2400),  # all loops are too short: silence follows
        (2400, 784, 1, 2400),
        (1200, 2, 2, 2400),
    ],
)
def test_rows_shorter_than_the_instruments_minimum(
    bench: SimulatedBench, length: int, loops: int, tiles: int, total: int
) -> None:
    codes = {1: noise(length, 1), 2: noise(length, 2)}
    bench.client.load_and_arm(1, codes, loops, external=True)
    bench.server.load(1, dict.fromkeys((1, 2), np.zeros(2400, np.int16)))
    bench.server.play(1, 1)
    for channel, sent in codes.items():
        playing = bench.state().channels[channel - 1].playback
        assert playing is not None
        assert np.array_equal(playing.codes, sent), "the world sees the row, not the waveform that holds it"
        assert playing.loops == loops
    lists = bench.lab.units["client_awg_forward"].lists
    waveform = lists.waveform(f"c0_1_1_{total}")
    assert len(waveform) == total
    assert np.array_equal(waveform.codes(16383)[: tiles * length], np.tile(codes[1], tiles))
    assert not waveform.samples[tiles * length :].any()
    assert list(bench.client.problems()) == []


def test_every_code_of_16_bits_survives(tmp_path: Path) -> None:
    for bench in simulated_bench(tmp_path):
        library = VisaLibrary(f"{bench.path}@labctl")
        full = AWG5200("awg", "TCPIP0::192.168.10.22::4000::SOCKET", library, SteppedClock(), bits=16)
        full.open()
        full.configure(125e6, {3: 0.7})
        every = np.arange(-32767, 32768, dtype=np.int16)
        full.load_and_arm(1, {3: every}, 1, external=True)
        played = bench.lab.units["client_awg_forward"].lists.waveform("c0_3_1_65535").codes(32767)
        assert np.array_equal(played, every)
        library.close()


def test_a_segment_is_overwritten_and_played_another_number_of_times(bench: SimulatedBench) -> None:
    client = bench.client
    for seed, length, loops in ((1, 432, 784), (2, 432, 784), (3, 448, 16), (4, 432, 784), (4, 432, 12), (4, 432, 1)):
        codes = dict.fromkeys((1, 2), noise(length, seed))
        client.load_and_arm(1, codes, loops, external=True)
        bench.lab.units["client_awg_forward"].on_trigger()
        playing = bench.state().channels[0].playback
        assert playing is not None
        if loops > 1:
            assert np.array_equal(playing.codes, codes[1])
            assert playing.loops == loops
        else:
            assert np.array_equal(playing.codes[:length], codes[1])
            assert not playing.codes[length:].any()
    client.load(1, {1: noise(432, 9)})  # one channel alone; the other keeps what it has
    client.arm(1, 784, external=True)
    bench.lab.units["client_awg_forward"].on_trigger()
    first, second = (channel.playback for channel in bench.state().channels[:2])
    assert first is not None
    assert second is not None
    assert np.array_equal(first.codes, noise(432, 9))
    assert np.array_equal(second.codes, noise(432, 4))


def test_each_trigger_reaches_those_armed_for_it(bench: SimulatedBench) -> None:
    zeros = dict.fromkeys((1, 2), np.zeros(2400, np.int16))
    ones = dict.fromkeys((1, 2), np.ones(2400, np.int16))
    bench.client.load_and_arm(1, ones, 1, external=True)
    bench.client.trigger()
    assert bench.state().channels[0].playback is None, "a command does not start what waits for the cable"
    bench.client.arm(1, 1, external=False)
    bench.server.load(1, zeros)
    bench.server.play(1, 1)
    assert bench.state().channels[0].playback is None, "nor the cable what waits for a command"
    bench.client.arm(1, 1, external=True)
    bench.server.play(1, 1)
    assert bench.state().channels[0].playback is not None


def test_without_a_marker_bit_there_is_no_trigger(bench: SimulatedBench) -> None:
    bench.client.load_and_arm(1, dict.fromkeys((1, 2), np.ones(2400, np.int16)), 1, external=True)
    library = VisaLibrary(f"{bench.path}@labctl")
    blind = AWG5200("awg", RESOURCE, library, SteppedClock(), bits=16)
    blind.open()
    blind.configure(125e6, {1: 0.7})
    blind.load(1, {1: np.zeros(2400, np.int16)})
    blind.play(1, 1)
    assert bench.state().channels[0].playback is None
    library.close()


def test_sequences_that_do_not_obey_the_run_mode(tmp_path: Path) -> None:
    codes = dict.fromkeys((1, 2), noise(432, 5))
    for bench in simulated_bench(tmp_path, "step", sequences_wait="step"):
        for _ in range(2):
            for external in (True, False):
                bench.client.load_and_arm(1, codes, 784, external=external)
                assert bench.state().channels[0].playback is None
                bench.lab.units["client_awg_forward"].on_trigger()
                assert (bench.state().channels[0].playback is not None) is external
        assert list(bench.client.problems()) == []


def test_the_wrong_kind_of_waiting_is_noticed(tmp_path: Path) -> None:
    for bench in simulated_bench(tmp_path, "run_mode", sequences_wait="step"):
        with pytest.raises((InstrumentReply, InstrumentTimeout), match="trigger"):
            bench.client.load_and_arm(1, dict.fromkeys((1, 2), noise(432, 5)), 784, external=True)


def test_memory_is_checked_before_anything_is_sent(tmp_path: Path) -> None:
    for bench in simulated_bench(tmp_path, max_length=20_000):
        bench.client.load(1, dict.fromkeys((1, 2), noise(8000, 1)))
        with pytest.raises(LimitError, match="fit"):
            bench.client.load(2, dict.fromkeys((1, 2), noise(4000, 1)))
        assert list(bench.client.problems()) == []
        bench.client.load(1, dict.fromkeys((1, 2), noise(8000, 2)))


def test_after_a_refusal_everything_is_sent_anew(bench: SimulatedBench) -> None:
    """Somebody else has taken the second name: the message is obeyed in part."""
    client, codes = bench.client, {1: noise(432, 1), 2: noise(432, 2)}
    lists = bench.lab.units["client_awg_forward"].lists
    other = bench.lab.units["client_awg_forward"].connect(stream=True)
    assert other is not None
    other.receive(b'WLISt:WAVeform:NEW "c0_2_1_3024",3024,REAL\n')
    with pytest.raises(InstrumentRefused, match="taken"):
        client.load_and_arm(1, codes, 784, external=True)
    for _ in range(2):
        client.load_and_arm(1, codes, 784, external=True)
        bench.lab.units["client_awg_forward"].on_trigger()
        playing = [channel.playback for channel in bench.state().channels[:2]]
        assert [np.array_equal(one.codes, codes[n]) for n, one in enumerate(playing, start=1) if one] == [True, True]
    assert "c1_2_1_3024" in lists.waveforms
    assert list(client.problems()) == []


def test_safe_state_and_snapshot(bench: SimulatedBench) -> None:
    bench.client.set_output(2, True)
    snapshot = bench.client.snapshot()
    assert (snapshot["bits_1"], snapshot["amplitude_1_vpp"], snapshot["output_2"]) == (15, 0.7, True)
    assert bench.client.safe_state().dark
    assert not bench.client.output(2)
    with pytest.raises(LimitError):
        bench.client.output(9)
