"""PyArbTools by Keysight's engineers, on the simulated M8190A: over their own socket library, and over VISA's HiSLIP.

Their I/Q waveforms cannot be tried: ``np.complex``, which they look for, is gone from numpy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tkinter", reason="PyArbTools wants tkinter, a part of Python that Debian has in python3-tk")

from pyarbtools.error import InstrumentError
from pyarbtools.instruments import M8190A

from labctl.budget.sources import Tables
from sim_backends.state import GeneratorState
from tests.clients.desk import Desk

SINE = np.sin(2 * np.pi * np.arange(4800) / 480)
#: Full scale in 14-bit mode.
CODE_MAX = 8191


@pytest.fixture
def generator(tcp_desk: Desk) -> Iterator[Any]:
    made = M8190A("127.0.0.1", port=tcp_desk.port("server_awg"), reset=True)
    yield made
    made.err_check()
    made.close()


@pytest.fixture
def state(tcp_desk: Desk) -> GeneratorState:
    found = tcp_desk.lab.units["server_awg"].state
    assert isinstance(found, GeneratorState)
    return found


def configure(generator: Any) -> None:
    generator.configure(
        res="wpr", clkSrc="int", fs=2e9, refSrc="axi", refFreq=100e6,
        out1="dac", out2="dac", amp1=0.5, amp2=0.6, func1="arb", func2="arb", cf1=1e9, cf2=2e9,
    )  # fmt: skip


def test_settings_are_read_back(generator: Any, state: GeneratorState) -> None:
    assert generator.instId.startswith("Agilent Technologies,M8190A,")
    configure(generator)
    assert (generator.res, generator.fs, generator.cf1, generator.cf2) == ("wpr", 2e9, 1e9, 2e9)
    assert (float(generator.amp1), float(generator.amp2)) == (0.5, 0.6)
    assert state.sample_rate_hz == 2e9
    generator.configure(clkSrc="ext", fs=3e9)
    assert generator.fs == 3e9


def test_a_waveform_is_played(generator: Any, state: GeneratorState) -> None:
    """Theirs sets the format of channel 1 only, and starts channel 1 only: the other is coupled to it."""
    configure(generator)
    generator.write("trace2:dwidth wpr")
    generator.write("instrument:couple on")
    for channel in (1, 2):
        number = generator.download_wfm(SINE / channel, ch=channel, wfmFormat="real", sampleMkrLength=48)
        generator.play(number, channel)
    for channel, at in enumerate(state.channels, start=1):
        assert at.playback is not None
        assert at.output_on
        assert at.playback.loops == 0
        np.testing.assert_array_equal(at.playback.codes, np.trunc(CODE_MAX * SINE / channel))
    generator.stop(1)
    generator.err_check()  # and waits for it
    assert not state.channels[0].output_on
    generator.clear_all_wfm()
    assert generator.query("trace1:catalog?").strip() == "0,0"


def test_a_sequence_with_a_pause(generator: Any, state: GeneratorState) -> None:
    configure(generator)
    number = generator.download_wfm(SINE[:480], wfmFormat="real")
    generator.create_sequence(3)
    generator.insert_wfm_in_sequence(number, 0, seqStart=True, loopCount=2)
    generator.insert_idle_in_sequence(1, idleDelay=960)
    generator.insert_wfm_in_sequence(number, 2, seqEnd=True)
    generator.set_func(1, "sts")
    generator.play_sequence()
    playback = state.channels[0].playback
    assert playback is not None
    expected = np.trunc(CODE_MAX * SINE[:480])
    np.testing.assert_array_equal(playback.codes, np.concatenate([expected, expected, np.zeros(960), expected]))


def test_the_error_queue_is_read(generator: Any) -> None:
    generator.write("trace1:data 7, 0, 1")
    with pytest.raises(InstrumentError, match=r"^.'2\d\d,"):
        generator.err_check()


def test_complex_waveforms_are_beyond_them(generator: Any) -> None:
    with pytest.raises(AttributeError, match="complex"):
        generator.download_wfm(SINE.astype(complex))


class TestHislip:
    """By VISA. Theirs writes the resource in small letters, which pyvisa-py does not take."""

    @pytest.fixture
    def changes(self) -> Tables:
        return {"instruments": {"server_awg": {"resource": "TCPIP0::192.168.10.21::hislip0::INSTR"}}}

    def test_a_waveform_is_played(self, lab_desk: Desk) -> None:
        generator: Any = M8190A("192.168.10.21", apiType="pyvisa", protocol="hislip", port=0, reset=True)
        configure(generator)
        generator.play(generator.download_wfm(SINE, wfmFormat="real"))
        playback = lab_desk.lab.units["server_awg"].state.channels[0].playback
        np.testing.assert_array_equal(playback.codes, np.trunc(CODE_MAX * SINE))
        generator.err_check()
        generator.instance.close()
