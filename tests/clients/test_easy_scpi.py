"""easy-scpi, which makes commands of attributes, on the simulated N7764A. It lets one name the VISA library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from easy_scpi import Instrument

from tests.clients.desk import Desk


@pytest.fixture
def attenuator(desk: Desk) -> Iterator[Any]:
    made = Instrument(backend=desk.library, prefix_cmds=True, read_termination="\n", write_termination="\n")
    made.rid = desk.resource("attenuator")
    made.connect()
    yield made
    assert made.syst.err().startswith("+0,")
    made.disconnect()


def test_attenuation_and_shutter(desk: Desk, attenuator: Any) -> None:
    channel = desk.lab.units["attenuator"].state.channels[3]
    assert attenuator.id.split(",")[1] == "N7764A"
    attenuator.outp3.stat(0)
    attenuator.inp3.wav("1550.12nm")
    attenuator.inp3.att("12.345dB")
    assert float(attenuator.inp3.att()) == pytest.approx(12.345)
    assert float(attenuator.inp3.wav()) == pytest.approx(1550.12e-9)
    assert int(attenuator.outp3.stat()) == 0
    assert not channel.shutter_open
    attenuator.outp3.stat("ON")
    assert float(attenuator.inp3.att("MIN", query=True)) == 0.0
    assert float(attenuator.inp3.att("MAX", query=True)) >= 45.0
    assert channel.attenuation_db == pytest.approx(12.345)
    assert channel.shutter_open


def test_a_sweep_of_the_attenuation(desk: Desk, attenuator: Any) -> None:
    """What comes out of the first slot falls as it says."""
    laser = desk.lab.units["laser"].state
    laser.emission, laser.power_w = True, 10e-3
    attenuator.outp1(1)
    found = []
    for wanted in (0, 10, 20, 30):
        attenuator.inp1.att(wanted)
        found.append(float(attenuator.inp1.att()))
    assert found == [0.0, 10.0, 20.0, 30.0]
