"""The simulated N7744A: channels, units, ranges, functions."""

from __future__ import annotations

import numpy as np
import pytest

from sim_backends.unit import open_unit
from tests.sim_backends.rig import Client, QuietWorld


def meter(power_w: float = 1e-3, **options: object) -> Client:
    world = QuietWorld()
    world.power_w["meter"] = power_w
    return Client(open_unit("keysight_n7744a", "meter", world, options))


def wait(client: Client, seconds: float) -> None:
    assert isinstance(client.unit.world, QuietWorld)
    client.unit.world.time_s += seconds


def block(client: Client, text: str, dtype: str) -> list[float]:
    client.write(text)
    data = client.read_bytes()
    assert data[:1] == b"#"
    start = 2 + int(data[1:2])
    assert int(data[2:start]) == len(data) - start - 1
    found: list[float] = np.frombuffer(data[start:-1], dtype).tolist()
    return found


def test_channels_and_units() -> None:
    client = meter(light_on_channel=2)
    assert client.ask("READ2:POW?") == "+0.00000000E+000"
    assert client.ask("FETC1:CHAN1:SCAL:POW:DC?") == "-2.00000000E+002"
    client.write("SENS2:POW:UNIT W")
    assert client.ask("FETC2:POW?") == "+1.00000000E-003"
    assert client.ask("SENS1:POW:UNIT?;:SENS2:POW:UNIT?") == "0;1"
    assert client.ask("*OPC?") == "1"
    assert client.errors() == []
    client.write("READ5:POW?")
    assert client.errors() == [-114]
    eight = meter(variant="N7745A", light_on_channel=8)
    assert eight.ask("READ8:POW?") == "+0.00000000E+000"


def test_settings_go_back_in_si() -> None:
    client = meter()
    client.write(":SENS1:POW:WAV 1550.120000NM;:SENS1:POW:ATIM 100MS;:SENS1:CORR -1.5DB")
    assert client.ask(":SENS1:POW:WAV?") == "+1.55012000E-006"
    assert client.ask(":SENS1:POW:ATIM?") == "+1.00000000E-001"
    assert client.ask(":SENS1:CORR?") == "-1.50000000E+000"
    assert client.ask(":READ1:POW?") == "-1.50000000E+000"
    assert float(client.ask(":SENS1:POW:WAV? MAX")) == pytest.approx(1650e-9)
    client.write(":SENS1:POW:WAV 1700NM")
    assert client.errors() == [-222]


@pytest.mark.parametrize("channel", [1, 2, 3, 4])
def test_what_pymeasure_says_to_it(channel: int) -> None:
    """The exchange that PyMeasure holds its own driver of this series to."""
    client = meter()
    client.write(f"SENSe{channel}:POWer:WAVelength 1550NM")
    assert float(client.ask(f"SENSe{channel}:POWer:WAVelength?")) == pytest.approx(1.55e-6)
    assert client.errors() == []


def test_a_fixed_range_that_is_too_small() -> None:
    client = meter()
    client.write(":SENS1:POW:RANG -20DBM;:SENS1:POW:RANG:AUTO 0")
    assert client.ask(":READ1:POW?") == "+3.40282300E+038"
    client.write(":SENS1:POW:RANG:AUTO 1")
    assert client.ask(":READ1:POW?") == "+0.00000000E+000"


def test_zero() -> None:
    client = meter(power_w=1e-6)
    client.write(":SENS1:POW:UNIT 1;:SENS1:CORR:COLL:ZERO")
    assert float(client.ask(":READ1:POW?")) == 0.0
    client.write("*RST;:SENS1:POW:UNIT 1")
    assert float(client.ask(":READ1:POW?")) == pytest.approx(1e-6)
    assert client.ask(":SENS1:CORR:COLL:ZERO?") == "0"


def test_all_channels_at_once() -> None:
    client = meter(light_on_channel=3)
    assert block(client, ":FETC:POW:ALL?", "<f4") == [-200.0, -200.0, 0.0, -200.0]
    assert block(client, ":READ:POW:ALL:CONF?", "<u2") == [1, 1, 2, 1, 3, 1, 4, 1]


def test_logging() -> None:
    client = meter()
    client.write("SENS1:POW:UNIT W;:SENS1:FUNC:PAR:LOGG 5,100MS")
    assert client.ask("SENS1:FUNC:PAR:LOGG?") == "+5,+1.00000000E-001"
    assert client.ask("SENS1:FUNC:STAT?") == "NONE,PROGRESS"
    client.write("SENS1:FUNC:STAT LOGG,STAR")
    wait(client, 0.4)
    assert client.ask("SENS1:FUNC:STAT?") == "LOGGING_STABILITY,PROGRESS"
    client.write("SENS1:FUNC:RES?")
    assert client.errors() == [-230]
    wait(client, 0.1)
    assert client.ask("SENS1:FUNC:STAT?") == "LOGGING_STABILITY,COMPLETE"
    assert block(client, "SENS1:FUNC:RES?", "<f4") == pytest.approx([1e-3] * 5)
    client.write("SENS1:FUNC:STAT LOGG,STOP")
    assert client.ask("SENS1:FUNC:STAT?") == "NONE,PROGRESS"


def test_stability_and_what_cannot_be() -> None:
    client = meter()
    client.write("SENS1:FUNC:PAR:STAB 1S,250MS,100MS;:SENS1:FUNC:STAT STAB,STAR")
    wait(client, 1.25)
    assert len(block(client, "SENS1:FUNC:RES?", "<f4")) == 5
    client.write("SENS1:FUNC:STAT LOGG,STAR")
    client.write("SENS1:FUNC:PAR:STAB 1S,50MS,100MS")
    client.write("SENS1:FUNC:PAR:MINM WIND,100")
    client.write("SENS2:FUNC:RES?")
    assert client.errors() == [-221, -221, -200, -230]
