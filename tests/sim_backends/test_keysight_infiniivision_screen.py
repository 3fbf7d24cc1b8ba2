"""What a simulated InfiniiVision measures of a record, its picture, and the analysis of segments."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
import pytest

from sim_backends.keysight_infiniivision import InfiniiVision
from sim_backends.keysight_infiniivision_screen import HEIGHT, WIDTH, bitmap, png
from sim_backends.state import ChannelRecord
from tests.sim_backends.rig import Client, QuietWorld


class Ramp(QuietWorld):
    """From 0 V to 1 V on channel 1, half of it on channel 2."""

    def acquire(
        self, unit: str, channels: Sequence[int], sample_interval_s: float, samples: int
    ) -> dict[int, ChannelRecord]:
        return {n: ChannelRecord(np.linspace(0, 1, samples, dtype=np.float32), 1 / n) for n in channels}


@pytest.fixture
def client() -> Client:
    made = Client(InfiniiVision("scope", Ramp()))
    made.write(":CHAN1:RANG 4;:CHAN2:RANG 4;:CHAN2:DISP 1;:ACQ:TYPE HRES;:TIM:REF LEFT;:TIM:RANG 1E-3;:TIM:POS 1E-4")
    return made


@pytest.mark.parametrize(
    ("query", "volts"),
    [
        (":MEAS:VPP?", 1.0),
        (":MEASure:VPP? CHANnel2", 0.5),
        (":MEAS:VMAX?", 1.0),
        (":MEAS:VMIN?", 0.0),
        (":MEAS:VAV? DISPlay,CHAN1", 0.5),
        (":MEAS:VRMS?", 1 / np.sqrt(3)),
        (":MEAS:VRMS? DISP,AC,CHAN1", 1 / np.sqrt(12)),
        (":MEAS:SOUR CHAN2;VPP?", 0.5),
    ],
)
def test_voltages_of_a_record(client: Client, query: str, volts: float) -> None:
    """Within two steps of 12 bits over 4 V."""
    assert float(client.ask(query)) == pytest.approx(volts, abs=2e-3)
    assert client.errors() == []


def test_a_channel_that_is_not_shown_has_none(client: Client) -> None:
    assert client.ask(":MEAS:VPP? CHAN3") == "+9.90000000E+037"


def test_segments_are_analysed_in_segmented_mode_only(client: Client) -> None:
    client.write(":ACQ:SEGM:ANAL")
    assert client.errors() == [-221]
    client.write(":ACQ:MODE SEGM;:ACQ:SEGM:ANALyze")
    assert client.errors() == []


def test_pictures_are_what_their_heads_say() -> None:
    head, data = png().split(b"IDAT", 1)
    assert struct.unpack(">II", head[16:24]) == (WIDTH, HEIGHT)
    assert len(zlib.decompress(data.split(b"IEND")[0][:-8])) == (WIDTH + 1) * HEIGHT
    for bits in (8, 24):
        picture = bitmap(bits)
        size, _, _, start = struct.unpack("<IHHI", picture[2:14])
        assert (size, size - start) == (len(picture), WIDTH * HEIGHT * bits // 8)
