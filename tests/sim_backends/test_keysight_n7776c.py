"""The simulated N7776C: lock, units, sweep and lambda logging."""

from __future__ import annotations

import numpy as np
import pytest

from sim_backends.keysight_n7776c import N7776C
from sim_backends.unit import open_unit
from tests.sim_backends.rig import Client, QuietWorld


def laser(**options: object) -> Client:
    return Client(open_unit("keysight_n7776c", "laser", QuietWorld(), options))


def unit_of(client: Client) -> N7776C:
    assert isinstance(client.unit, N7776C)
    return client.unit


def wait(client: Client, seconds: float) -> None:
    assert isinstance(client.unit.world, QuietWorld)
    client.unit.world.time_s += seconds


@pytest.mark.parametrize("header", ["SOUR0:WAV", "sour:wav", ":SOURce1:WAVelength:CW", "WAV", ":SOUR0:CHAN1:WAV"])
def test_slot_zero_one_or_none(header: str) -> None:
    client = laser()
    client.write(f"{header} 1550.120000nm")
    assert client.ask(f"{header}?") == "+1.55012000E-006"
    assert client.errors() == []


def test_what_is_out_of_range() -> None:
    client = laser()
    for text in ("SOUR0:WAV 1470NM", "SOUR0:POW 14DBM", "SOUR2:WAV 1550NM"):
        client.write(text)
    assert client.errors() == [-222, -222, -114]


def test_power_units() -> None:
    client = laser()
    client.write("SOUR0:POW 10 dBm")
    assert client.ask("SOUR0:POW?") == "+1.00000000E+001"
    client.write("SOUR0:POW:UNIT W;:SOUR0:POW 5mW")
    assert float(client.ask("SOUR0:POW?")) == pytest.approx(5e-3, rel=1e-5)
    assert client.ask("SOUR0:POW:UNIT?") == "1"
    client.write("SOUR0:POW 0.004")
    assert unit_of(client).state.power_w == pytest.approx(4e-3, rel=2e-5)
    assert client.errors() == []


def test_the_lock() -> None:
    client = laser(locked=True, password="4321")
    client.write("SOUR0:POW:STAT 1")
    client.write(":LOCK 0,1234")
    assert client.errors() == [-203, -220]
    client.write(":LOCK 0,4321;:OUTP0 1")
    assert unit_of(client).state.emission
    client.write(":LOCK 1,4321")
    assert client.ask(":LOCK?;:SOUR0:POW:STAT?") == "1;0"


def test_complete_when_it_has_settled() -> None:
    client = laser(settle_s=2.0)
    client.write("*CLS;:SOUR0:WAV 1560NM;*OPC")
    assert client.ask("*ESR?") == "0"
    wait(client, 2.0)
    assert client.ask("*ESR?") == "1"
    client.write("SOUR0:WAV 1550NM;*OPC?")
    assert client.read() is None
    wait(client, 2.0)
    client.unit.elapse()
    assert client.read() == "1"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("wav:swe:star 1570nm", 368),
        ("wav:swe:step 0.0001nm;:wav:swe:star 1480nm;stop 1620nm", 373),
        ("wav:swe:llog 1", 375),
        ("wav:swe:llog 1;mode step;:trig0:outp stf", 376),
        ("wav:swe:star 1550nm", 0),
    ],
)
def test_whether_a_sweep_can_be(text: str, code: int) -> None:
    client = laser()
    client.write(text)
    assert client.ask("sour0:wav:swe:chec?").startswith(f"{code},")
    client.write("sour0:wav:swe 1")
    assert client.errors() == ([-221] if code else [])


def test_a_sweep_with_lambda_logging() -> None:
    client = laser()
    client.write("wav:swe:star 1550nm;stop 1551nm;step 0.25nm;speed 0.5nm/s;llog 1;:trig0:outp stf")
    assert client.ask("wav:swe:exp?") == "5"
    client.write("wav:swe 1")
    wait(client, 1.0)
    assert client.ask("wav:swe?") == "1"
    assert unit_of(client).state.wavelength_m == pytest.approx(1550.5e-9)
    client.write("wav 1530nm")
    assert client.errors() == [-221]
    client.write("wav:swe 2")
    wait(client, 10.0)
    assert client.ask("wav:swe?;:read:poin? llog") == "2;0"
    client.write("wav:swe 3")
    wait(client, 1.1)
    assert client.ask("wav:swe?;:sour0:read:points? llog") == "0;5"
    client.write("sour0:read:data? llog")
    block = client.read_bytes()
    assert block.startswith(b"#")
    start = 2 + int(block[1:2])
    logged_m = np.frombuffer(block[start:-1], "<f8")
    assert logged_m == pytest.approx(1550e-9 + 0.25e-9 * np.arange(5))
    assert client.errors() == []


def test_steps_by_hand() -> None:
    client = laser()
    client.write("wav:swe:mode man;star 1550nm;stop 1552nm;step 1nm;:wav:swe 1")
    client.write("wav:swe:step:next;next;next")
    assert float(client.ask("wav?")) == pytest.approx(1552e-9)
    client.write("wav:swe:step:prev;:wav:swe 0")
    assert float(client.ask("wav?")) == pytest.approx(1551e-9)
    assert client.errors() == [-221]


def test_reset_keeps_the_lock() -> None:
    client = laser(locked=True)
    client.write("sour0:wav 1560nm;:sour0:pow 5dbm;*RST")
    assert client.ask(":LOCK?;:WAV?;:POW?") == "1;+1.55000000E-006;+0.00000000E+000"
