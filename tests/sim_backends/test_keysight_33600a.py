"""The simulated 33600A: waveforms, memory, triggers, and what it refuses with which number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sim_backends.keysight_33600a import Trueform
from sim_backends.state import Playback
from tests.sim_backends.rig import Client, QuietWorld

BURST = "FUNC ARB;:BURS:STAT ON;NCYC {};:TRIG:SOUR {};:SOUR2:FUNC ARB;:SOUR2:BURS:STAT ON;NCYC {};:TRIG2:SOUR {}"


class Listening(QuietWorld):
    """Notes what plays at each trigger."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[list[Playback | None]] = []
        self.unit: Trueform | None = None

    def fire_trigger(self, unit: str) -> None:
        assert self.unit is not None
        self.heard.append([channel.playback for channel in self.unit.state.channels])


def generator(**options: Any) -> tuple[Trueform, Client, Listening]:
    world = Listening()
    world.unit = Trueform("awg", world, options)
    world.unit.options.finish()
    return world.unit, Client(world.unit), world


def block(data: bytes) -> bytes:
    return b"#%d%d" % (len(str(len(data))), len(data)) + data


def send(client: Client, head: str, data: bytes) -> None:
    client.connection.receive(head.encode() + block(data) + b"\n")


def playing(unit: Trueform, channel: int = 1) -> Playback:
    found = unit.state.channels[channel - 1].playback
    assert found is not None
    return found


@pytest.mark.parametrize(("order", "kind"), [("NORM", ">i2"), ("SWAP", "<i2")])
def test_codes_in_both_byte_orders(order: str, kind: str) -> None:
    unit, client, _ = generator()
    codes = np.array([-32767, 32767, *range(256, 300)])
    client.write(f"FORM:BORD {order}")
    send(client, "SOUR2:DATA:ARB:DAC wave, ", codes.astype(kind).tobytes())
    client.write("SOUR2:FUNC ARB;FUNC:ARB wave")
    assert np.array_equal(playing(unit, 2).codes, codes)
    assert unit.state.channels[0].playback is None
    assert client.ask("SOUR2:DATA:ATTR:POIN? wave;:SOUR2:FUNC:ARB:POIN?") == "46;46"
    assert client.errors() == []


def test_scaled_points_as_floats_and_as_text() -> None:
    unit, client, _ = generator()
    values = np.linspace(-1, 1, 33)
    send(client, "FORM:BORD SWAP;:DATA:ARB wave,", values.astype("<f4").tobytes())
    client.write("DATA:ARB text," + ",".join(f"{value:.9f}" for value in values) + ";:FUNC ARB")
    for name in ("wave", "text"):
        client.write(f"FUNC:ARB '{name}'")
        assert np.array_equal(playing(unit).codes, np.rint(values * 32767))
    assert client.errors() == []


def test_what_is_refused() -> None:
    _, client, _ = generator(memory_points=100)
    codes = ",".join(map(str, range(40)))
    for text, code in (
        (f"DATA:ARB:DAC wave,{codes}", 0),
        (f"DATA:ARB:DAC WAVE,{codes}", 786),
        (f"DATA:ARB:DAC much,{codes},{codes}", 781),
        ("DATA:ARB:DAC short,1,2,3", -222),
        ("DATA:ARB:DAC wrong," + codes.replace("39", "-32768"), -222),
        ("DATA:ARB scaled,2," + codes, -222),
        (f"DATA:ARB:DAC twelveletter,{codes},{codes}", 781),
        (f"DATA:ARB:DAC fourteenletter,{codes}", -222),
        ("FUNC:ARB nobody", 785),
        ("VOLT 10.1", -222),
        ("VOLT:OFFS 5", -222),
        ("FUNC:ARB:FILT OFF;SRAT 3E8", -222),
        ("FUNC:ARB:FILT STEP;SRAT 1.1E9", -222),
        ("INIT", -213),
        ("*TRG", -211),
    ):
        client.write(text)
        assert client.errors() == ([code] if code else []), text
    assert client.ask("DATA:VOL:FREE?") == "60"
    client.write("DATA:VOL:CLE")
    assert client.ask("DATA:VOL:FREE?;CAT?") == r'100;"INT:\BUILTIN\EXP_RISE.ARB"'


def test_an_odd_block() -> None:
    _, client, _ = generator()
    send(client, "DATA:ARB:DAC odd,", b"\x00" * 65)
    assert client.errors() == [800]


def test_the_converter_may_round() -> None:
    unit, client, _ = generator(converter_bits=14)
    codes = np.arange(-32767, 32767, 501)
    client.write("DATA:ARB:DAC wave," + ",".join(map(str, codes)) + ";:FUNC ARB;FUNC:ARB wave")
    played = playing(unit).codes
    assert np.abs(played - codes).max() <= 2
    assert not np.any(played[1:] % 4), "all but the end of the range"


def test_a_sequence_is_unrolled() -> None:
    unit, client, _ = generator()
    one, two = np.arange(40), np.arange(100, 140)
    for name, codes in (("one", one), ("two", two)):
        client.write(f"DATA:ARB:DAC {name}," + ",".join(map(str, codes)))
    text = '"seq","one",0,once,highAtStart,0,"two",3,repeat,maintain,0'
    send(client, "SOUR1:DATA:SEQ ", text.encode())
    client.write("FUNC ARB;FUNC:ARB seq")
    assert np.array_equal(playing(unit).codes, np.concatenate([one, two, two, two]))
    send(client, "DATA:SEQ ", b'"bad","one",0,onceWaitTrig,maintain,0')
    send(client, "DATA:SEQ ", b'"odd","one",0')
    send(client, "DATA:SEQ ", b'"seq","one",0,once,maintain,0')
    assert client.errors() == [-221, -109, 786]


def test_both_channels_start_on_one_command_and_fire_the_line_once() -> None:
    unit, client, world = generator()
    client.write(BURST.format(3, "BUS", 5, "BUS"))
    client.write("*TRG")
    assert [[each.loops for each in heard if each] for heard in world.heard] == [[3, 5]]
    assert all(channel.playback is None for channel in unit.state.channels), "a burst takes no time"
    client.write("BURS:NCYC INF;:*TRG")
    assert playing(unit).loops == 0
    client.write("ABOR")
    assert unit.state.channels[0].playback is None
    assert client.errors() == []


@pytest.mark.parametrize(
    ("outputs", "fired"),
    [("OUTP:SYNC OFF", 0), ("OUTP:SYNC:SOUR CH2", 0), ("OUTP:SYNC OFF;:OUTP:TRIG ON", 1), ("OUTP:SYNC ON", 1)],
)
def test_who_fires_the_line(outputs: str, fired: int) -> None:
    _, client, world = generator()
    client.write(BURST.format(1, "BUS", 1, "EXT") + ";:" + outputs + ";:*TRG")
    assert len(world.heard) == fired


def test_a_channel_that_is_not_initiated_waits_for_nothing() -> None:
    unit, client, world = generator()
    client.write(BURST.format(2, "EXT", 2, "EXT") + ";:INIT:CONT:ALL OFF;:TRIG:COUN 2")
    unit.on_trigger()
    assert all(channel.playback is None for channel in unit.state.channels)
    client.write("INIT:ALL")
    for starts in (True, True, False):
        unit.on_trigger()
        assert (unit.state.channels[0].playback is not None) is starts
        client.write("VOLT 1;:SOUR2:VOLT 1")  # what was begun from outside is over when the channel is written to
        assert unit.state.channels[0].playback is None
    client.write("TRIG:COUN 1;:INIT1;:TRIG1")
    assert len(world.heard) == 1
    client.write("INIT1;:ABOR;:TRIG1")
    assert client.errors() == [-211]


def test_inverted_it_plays_the_negative() -> None:
    unit, client, _ = generator()
    client.write("DATA:ARB:DAC wave," + ",".join(map(str, range(40))) + ";:FUNC ARB;FUNC:ARB wave;:OUTP:POL INV")
    assert np.array_equal(playing(unit).codes, -np.arange(40))


def test_waveforms_may_keep_rates_of_their_own() -> None:
    _, client, _ = generator(own_rates=True)
    client.write("DATA:ARB:DAC one," + ",".join(map(str, range(40))) + ";:FUNC:ARB one;:FUNC:ARB:SRAT 1E6")
    client.write(r'FUNC:ARB "INT:\BUILTIN\EXP_RISE.ARB"')
    assert float(client.ask("FUNC:ARB:SRAT?")) == 40e3
    client.write("FUNC:ARB one;:FUNC:ARB:FREQ 1E3")
    assert float(client.ask("FUNC:ARB:SRAT?")) == 40e3
    assert float(client.ask("FUNC:ARB:PER?")) == pytest.approx(1e-3)
    assert client.errors() == []


def test_one_channel_alone() -> None:
    _, client, _ = generator(variant="33611A")
    assert client.ask("*IDN?").split(",")[1] == "33611A"
    client.write("SOUR2:VOLT 1")
    assert client.errors() == [-114]


@pytest.mark.parametrize(
    ("commands", "shown"),
    [
        ("APPL:SIN 1e3,1,0", '"SIN +1.0E+03,+1.0E+00,+0.0E+00"'),
        ("APPLy:SINusoid 5 KHZ, 3.0 VPP, -2.5 V", '"SIN +5.0E+03,+3.0E+00,-2.5E+00"'),
        ("APPL:SQU 2000;:APPL:RAMP", '"RAMP +2.0E+03,+1.0E-01,+0.0E+00"'),
        ("VOLT 2;:APPL:DC DEF, DEF, 1", '"DC +1.0E+03,+1.0E-01,+1.0E+00"'),
        ("APPL:ARB 1e6,1,0", '"ARB +1.0E+06,+1.0E+00,+0.0E+00"'),
    ],
)
def test_a_function_at_once(commands: str, shown: str) -> None:
    """Only a waveform is seen by the world."""
    unit, client, _ = generator()
    client.write(commands)
    function, _, numbers = client.ask("APPL?").strip('"').partition(" ")
    assert f'"{function} {",".join(f"{float(number):+.1E}" for number in numbers.split(","))}"' == shown
    assert client.ask("FUNC?") == function
    assert client.errors() == []
    assert unit.state.channels[0].output_on
    assert (unit.state.channels[0].playback is not None) == (function == "ARB")


def test_a_function_at_once_out_of_range() -> None:
    unit, client, _ = generator()
    client.write("APPL:SIN 1e3,30,0")
    assert client.errors() == [-222]
    assert not unit.state.channels[0].output_on


def test_a_sequence_in_a_block() -> None:
    unit, client, _ = generator()
    client.write("DATA:ARB:DAC a," + ",".join(["100"] * 40))
    send(client, "SOUR1:DATA:SEQ ", b'"s","a",3,repeat,maintain,4,"a",1,once,maintain,4')
    client.write("FUNC:ARB s;:FUNC ARB")
    assert client.errors() == []
    assert len(playing(unit).codes) == 160
