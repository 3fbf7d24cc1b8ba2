"""Numbers as the M8190A's examples print them: idle entries of the sequence table, and the trigger's level."""

from __future__ import annotations

import numpy as np
import pytest

from sim_backends.keysight_m8190a import M8190A
from tests.sim_backends.rig import Client, QuietWorld

FIRST, LAST, IDLE = 1 << 28, 1 << 30, 0x8000_0000


def generator() -> tuple[M8190A, Client]:
    unit = M8190A("awg", QuietWorld())
    return unit, Client(unit)


@pytest.mark.parametrize("control", ["0x80000000", "0X80000000", "#H80000000", "#Q20000000000", "2147483648"])
def test_an_idle_entry_is_kept(control: str) -> None:
    _, client = generator()
    client.write(f":STAB1:DATA 1,{control},1,0,0,1000,0")
    assert client.errors() == []
    assert client.ask(":STAB1:DATA? 1,6") == "2147483648,1,0,0,1000,0"


@pytest.mark.parametrize("word", ["0x", "0xG", "0x100000000", "x80"])
def test_what_is_no_word_is_refused(word: str) -> None:
    _, client = generator()
    client.write(f":STAB1:DATA 1,{word},1,0,0,1000,0")
    assert client.errors()[0] in (-104, -148, -222)
    assert client.ask(":STAB1:DATA? 1,6") == "0,0,0,0,0,0"


def test_an_idle_entry_is_a_pause_of_its_delay() -> None:
    unit, client = generator()
    client.write(":TRAC1:DWID WPR;:TRAC1:DEF 1,240,100")
    client.write(f":STAB1:DATA 0,0x{FIRST:X},1,1,1,0,0xFFFFFFFF;:STAB1:DATA 1,0x{IDLE:X},0,0,0,1000,0")
    client.write(f":STAB1:DATA 2,0x{LAST:X},0,1,1,0,0xFFFFFFFF")
    client.write(":FUNC1:MODE STS;:STAB1:SEQ:SEL 0;:INIT:IMM1")
    assert client.errors() == []
    playing = unit.state.channels[0].playback
    assert playing is not None
    assert np.array_equal(playing.codes, np.repeat([100, 0, 100], [240, 1000, 240]))


@pytest.mark.parametrize("header", [":TRIG:LEV", ":TRIGger:SEQuence:STARt:LEVel", ":ARM:TRIG:LEV"])
def test_the_level_of_the_trigger_input(header: str) -> None:
    _, client = generator()
    client.write(f"{header} 0.5")
    assert client.ask(":ARM:TRIG:LEV?;:TRIG:LEV?") == "5.00000000E-01;5.00000000E-01"
    client.write(f"{header} 6")
    assert client.errors() == [-222]


def test_a_sample_clock_from_outside() -> None:
    _, client = generator()
    client.write(":FREQ:RAST:EXT 5e9;:FREQ:RAST:SOUR EXT")
    assert client.ask(":FREQ:RAST:EXT?;:FREQ:RAST:SOUR?") == "5.00000000E+09;EXT"
    assert client.errors() == []
