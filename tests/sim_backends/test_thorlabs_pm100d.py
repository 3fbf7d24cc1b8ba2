"""The simulated PM100D over its wire."""

from __future__ import annotations

import math

import pytest

from sim_backends.unit import open_unit
from tests.sim_backends.rig import Client, QuietWorld


@pytest.fixture
def world() -> QuietWorld:
    quiet = QuietWorld()
    quiet.power_w["meter"] = 1.02345678e-3
    return quiet


@pytest.fixture
def client(world: QuietWorld) -> Client:
    return Client(open_unit("thorlabs_pm100d", "meter", world, {}))


def test_identity_and_sensor(client: Client) -> None:
    assert client.ask("*IDN?") == "THORLABS,PM100D,P0012345,2.4.0"
    fields = client.ask("SYST:SENS:IDN?").split(",")
    assert fields[0] == '"S144C"'
    assert int(fields[5]) & 33 == 33  # measures power, wavelength settable
    assert client.ask(":SYSTem:ERRor?") == '+0,"No error"'


@pytest.mark.parametrize("header", ["MEAS:POW?", "MEASure?", "READ?", ":MEAS:SCAL:POW?"])
def test_power_as_the_world_has_it(client: Client, header: str) -> None:
    assert client.ask(header) == "1.02345678E-03"


def test_a_measurement_is_fetched_after_it_was_started(world: QuietWorld, client: Client) -> None:
    assert float(client.ask("FETC?")) == 9.91e37
    client.write("INIT")
    world.power_w["meter"] = 0.0
    assert client.ask("FETC?") == "1.02345678E-03"
    assert client.ask("READ?;FETC?") == "0.00000000E+00;0.00000000E+00"


def test_wavelength_in_nanometres(client: Client) -> None:
    client.write("SENSE:CORR:WAV 1310")
    assert float(client.ask("SENS:CORR:WAV?")) == pytest.approx(1310.0)
    assert [float(client.ask(f"SENS:CORR:WAV? {end}")) for end in ("MIN", "MAX", "DEF")] == pytest.approx(
        [800.0, 1700.0, 1550.0]
    )
    client.write("SENS:CORR:WAV 700")
    assert client.errors() == [-222]


def test_what_else_a_photodiode_tells(client: Client) -> None:
    client.write("SENS:CORR:POW:RESP 0.5;:SENS:CORR:BEAM 10")
    assert float(client.ask("MEAS:CURR?")) == pytest.approx(0.5 * 1.02345678e-3)
    assert float(client.ask("MEAS:PDEN?")) == pytest.approx(1.02345678e-3 / (math.pi * 0.5**2))
    assert float(client.ask("MEAS:FREQ?")) == 0.0
    assert client.errors() == []


def test_its_clock_stands(client: Client) -> None:
    assert client.ask("SYST:VERS?;DATE?;TIME?") == "1999.0;2024,1,1;0,0,0"
    client.write("SYST:DATE 2026,11,24;TIME 22,5,0")
    assert client.ask("SYST:DATE?;TIME?") == "2026,11,24;22,5,0"
    client.write("SYST:DATE 2026,13,1")
    assert client.errors() == [-222]


def test_loss_before_the_sensor_is_added(client: Client) -> None:
    client.write("SENS:CORR:LOSS:INP:MAGN 10")
    assert client.ask("SENS:CORR?") == "1.00000000E+01"
    assert float(client.ask("MEAS:POW?")) == pytest.approx(1.02345678e-2)


def test_power_in_dbm_and_the_dark(world: QuietWorld, client: Client) -> None:
    client.write("SENS:POW:UNIT DBM")
    assert client.ask("SENS:POW:UNIT?") == "DBM"
    world.power_w["meter"] = 1e-2
    assert float(client.ask("MEAS:POW?")) == pytest.approx(10.0)
    world.power_w["meter"] = 0.0
    assert client.ask("MEAS:POW?") == "-9.90000000E+37"


def test_ranges(client: Client) -> None:
    assert client.ask("SENS:POW:RANG:AUTO?") == "1"
    assert float(client.ask("SENS:POW:RANG?")) == pytest.approx(5e-3)
    client.write("SENS:POW:DC:RANG:UPP 6e-4")
    assert client.ask("SENS:POW:RANG:AUTO?") == "0"
    assert float(client.ask("SENS:POW:RANG?")) == pytest.approx(5e-3)
    assert float(client.ask("MEAS:POW?")) < 1
    client.write("SENS:POW:RANG 4e-4")
    assert float(client.ask("SENS:POW:RANG:UPP?")) == pytest.approx(5e-4)
    assert float(client.ask("MEAS:POW?")) == 9.9e37  # over range
    client.write("SENS:POW:RANG:AUTO 1")
    assert float(client.ask("MEAS:POW?")) < 1
    assert float(client.ask("SENS:POW:RANG? MAX")) == pytest.approx(0.5)


def test_zero_takes_the_present_light_for_dark(world: QuietWorld, client: Client) -> None:
    world.power_w["meter"] = 2e-9
    client.write("SENS:CORR:COLL:ZERO:INIT")
    assert client.ask("SENS:CORR:COLL:ZERO:STAT?") == "0"
    assert float(client.ask("SENS:CORR:COLL:ZERO:MAGN?")) == 2e-9
    world.power_w["meter"] = 5e-9
    assert float(client.ask("MEAS:POW?")) == pytest.approx(3e-9)


def test_relative_measurement(client: Client) -> None:
    client.write("SENS:POW:REF 1 MW;REF:STAT 1")
    assert float(client.ask("MEAS:POW?")) == pytest.approx(2.345678e-5)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("SENS:AVER", "300"),
        ("SENS:AVER:COUN", "10"),
        ("INP:FILT", "1"),
        ("INP:PDI:FILT:LPAS:STAT", "1"),
        ("SYST:LFR", "60"),
    ],
)
def test_settings_are_kept_and_reset(client: Client, header: str, value: str) -> None:
    before = client.ask(header + "?")
    client.write(f"{header} {value}")
    assert client.ask(header + "?") == value
    client.write("*RST")
    assert client.ask(header + "?") == before != value


def test_what_has_nothing_to_do_is_accepted(client: Client) -> None:
    client.write("CONF:POW;:ABOR;:SYST:BEEP;:SENS:CORR:COLL:ZERO:ABOR;:SENS:CORR:BEAM 9;:DISP:BRIG 0.5")
    assert client.ask("CONF?") == "POW"
    assert client.errors() == []


@pytest.mark.parametrize(
    ("bare", "query", "shown"),
    [
        ("AVER 5", ":SENS:AVER?", "5"),
        ("AVERage:COUNt 7", "SENSe:AVERage:COUNt?", "7"),
        ("CORR:WAV 1310", "SENS:CORR:WAV?", "1.31000000E+03"),
        ("CORR:LOSS:INP:MAGN 3", "SENS:CORR:LOSS?", "3.00000000E+00"),
        ("POW:RANG:AUTO 0", "SENS:POW:RANG:AUTO?", "0"),
        ("POW:RANG 1E-3", "SENS:POW:DC:RANG:UPP?", "5.00000000E-03"),
        ("POW:UNIT DBM", "SENS:POW:UNIT?", "DBM"),
        ("DISP:BRIG 0.5", "DISP:BRIG?", "5.00000000E-01"),
        ("STAT:MEAS:ENAB 3", "STAT:MEAS:ENAB?", "3"),
    ],
)
def test_sense_is_the_default_node(client: Client, bare: str, query: str, shown: str) -> None:
    client.write(bare)
    assert client.ask(query) == client.ask(bare.split()[0] + "?") == shown
    assert client.errors() == []


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("STAT:MEAS:COND?", "0"),
        ("STAT:MEAS?", "0"),
        ("STATus:AUXiliary:CONDition?", "0"),
        ("SENS:FREQ?", "1.00000000E+05"),
        ("SENS:FREQ:RANG:LOW?", "1.00000000E+00"),
        ("CAL:STR?", '"Uncalibrated"'),
        ("DISP:BRIG? MAX", "1.00000000E+00"),
        ("DISP:CONT?", "5.00000000E-01"),
    ],
)
def test_what_it_tells_of_itself(client: Client, query: str, shown: str) -> None:
    assert client.ask(query) == shown
