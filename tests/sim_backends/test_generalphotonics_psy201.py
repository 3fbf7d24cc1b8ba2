"""The simulated PSY-201."""

from __future__ import annotations

import math

import pytest

from sim_backends.generalphotonics_psy201 import PSY201
from sim_backends.state import PolarisationState
from sim_backends.unit import open_unit
from tests.sim_backends.rig import Client, QuietWorld


def controller(**options: object) -> Client:
    made = open_unit("generalphotonics_psy201", "pol", QuietWorld(), {"settle_s": 0, **options})
    return Client(made, ending="\r\n")


def state_of(client: Client) -> PolarisationState:
    assert isinstance(client.unit, PSY201)
    return client.unit.state


def test_identity_and_ends_of_replies() -> None:
    client = controller(serial="7")
    client.write("*IDN?")
    assert client.read_bytes() == b"General Photonics,PSY-201,7,1.1\r\n"


def test_over_a_line_that_has_messages() -> None:
    client = Client(controller().unit, stream=False)
    client.connection.receive(b":MEAS:DOP?", end=True)
    assert client.read() == "+1.000"


@pytest.mark.parametrize("text", [":CONT:SOP 0,0.71,-0.71", ":CONTrol:SOP 0.00,0.71,-0.71", "cont:sop 0, .71, -.71"])
def test_a_state_is_normalised_and_measured(text: str) -> None:
    client = controller()
    assert client.ask(":MEAS:SOP?") == "+1.000,+0.000,+0.000"
    client.write(text)
    assert client.read() is None
    assert client.ask(":MEASure:SOP?") == "+0.000,+0.707,-0.707"
    assert math.hypot(*state_of(client).stokes) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("angles", "stokes"),
    [("0,90", (1, 0, 0)), ("90,90", (0, 1, 0)), ("0,0", (0, 0, 1)), ("180,90", (-1, 0, 0)), ("0,180", (0, 0, -1))],
)
def test_angles_on_the_sphere(angles: str, stokes: tuple[float, float, float]) -> None:
    client = controller()
    client.write(f":CONT:ANGL {angles}")
    assert state_of(client).stokes == pytest.approx(stokes, abs=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        ":CONT:SOP 1,1,0",
        ":CONT:SOP 0,1",
        ":CONT:SOP nan,0,0",
        ":CONT:SOP one,0,0",
        ":CONT:SOP",
        ":CONT:ANGL 361,0",
        ":CONT:ANGL 0",
        ":CONT:SOPX 0,1,0",
        ":CONTR:SOP 0,1,0",
        ":NONSENSE?",
    ],
)
def test_what_is_no_state_or_no_command_stays_silent(text: str) -> None:
    client = controller()
    client.write(text)
    assert client.read() is None
    assert state_of(client).stokes == (1.0, 0.0, 0.0)


def test_a_state_takes_its_time() -> None:
    client = controller(settle_s=0.2)
    world = client.unit.world
    assert isinstance(world, QuietWorld)
    client.write(":CONT:SOP 0,1,0")
    assert client.ask("*OPC?") == "0"
    assert client.ask(":MEAS:SOP?") == "+1.000,+0.000,+0.000"
    world.time_s += 0.2
    assert client.ask("*OPC?") == "1"
    assert client.ask(":MEAS:SOP?") == "+0.000,+1.000,+0.000"


@pytest.mark.parametrize(("decimals", "shown"), [(0, "1550"), (2, "1550.12")])
def test_wavelength(decimals: int, shown: str) -> None:
    client = controller(wavelength_decimals=decimals)
    client.write(":CONF:WLEN 1550.123")
    for outside in ("1479.9", "1620.1", "1550,1550"):
        client.write(f":CONF:WLEN {outside}")
    assert client.ask(":CONF:WLEN?") == client.ask("CONFigure:WLENgth?") == shown


@pytest.mark.parametrize(("scrambler", "fastest"), [("DISC", 20000), ("TRIangle", 2000), ("TORN", 2000)])
def test_scrambling(scrambler: str, fastest: int) -> None:
    client = controller()
    for rate, kept in ((f"{fastest:.2f}", fastest), ("0.005", fastest), (f"{fastest + 1}", fastest)):
        client.write(f":CONT:SCR:{scrambler}:RATE {rate}")
        assert float(client.ask(f":CONT:SCR:{scrambler}:RATE?")) == kept
    client.write(f":CONT:SCR:{scrambler}:STAT 1")
    assert state_of(client).scrambling
    assert client.ask(f":CONTrol:SCRamble:{scrambler}:STATe?") == "1"
    client.write(f":CONT:SCR:{scrambler}:STAT 0")
    assert not state_of(client).scrambling
    client.write(f":CONT:SCR:{scrambler}:STAT 1")
    client.write(":CONT:SOP 0,1,0")
    assert not state_of(client).scrambling, "a state that is set ends it"


def test_only_the_running_scrambler_is_stopped() -> None:
    client = controller()
    client.write(":CONT:SCR:TORN:TYPE 1")
    assert client.ask(":CONT:SCR:TORN:TYPE?") == "1"
    client.write(":CONT:SCR:TORN:STAT 1")
    client.write(":CONT:SCR:DISC:STAT 0")
    assert state_of(client).scrambling


def test_one_that_does_not_tell_whether_it_scrambles() -> None:
    client = controller(scrambling_query=False)
    client.write(":CONT:SCR:DISC:STAT?")
    assert client.read() is None


def test_power_and_degree_of_polarisation() -> None:
    client = controller(dop=0.97)
    assert client.ask(":MEAS:DOP?") == "+0.970"
    assert client.ask(":MEAS:POW?") == "-60.00"


def test_words_switch_a_scrambler() -> None:
    client = controller()
    client.write(":CONT:SCR:TRI:STAT ON")
    assert (client.ask(":CONT:SCR:TRI:STAT?"), state_of(client).scrambling) == ("1", True)
    client.write(":CONT:SCR:TRI:STAT OFF")
    assert (client.ask(":CONT:SCR:TRI:STAT?"), state_of(client).scrambling) == ("0", False)
