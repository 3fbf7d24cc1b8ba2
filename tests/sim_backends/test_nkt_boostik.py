"""The simulated BOOSTIK over its serial line."""

from __future__ import annotations

import pytest

from sim_backends.nkt_boostik import Boostik
from sim_backends.unit import open_unit
from tests.sim_backends.rig import Client, QuietWorld


def amplifier(**options: object) -> Client:
    return Client(open_unit("nkt_boostik", "edfa", QuietWorld(), options), ending="\r\n")


def unit_of(client: Client) -> Boostik:
    assert isinstance(client.unit, Boostik)
    return client.unit


def test_every_answer_ends_with_cr_lf() -> None:
    client = amplifier(information="BOOSTIK 42")
    client.write("CDI")
    assert client.read_bytes() == b"BOOSTIK 42\r\n"
    assert client.ask("cma") == "27.4"
    assert client.ask("AMT 1") == "25.1"


def test_a_setter_answers_with_the_value_in_force() -> None:
    client = amplifier(current_max_a=0.5, decimals=3)
    assert client.ask("ACC") == "0.000"
    assert client.ask("ACC 0.12345") == "0.123"
    for refused in ("ACC 0.6", "ACC -0.1", "ACC much"):
        assert client.ask(refused) == "0.123", refused
    assert unit_of(client).state.pump_a == 0.123
    assert client.ask("AMC") == "0.000"
    assert client.ask("CDO 1") == "1"
    assert client.ask("AMC") == "0.123"
    assert client.ask("CDO 7") == "1"
    assert client.ask("CDO 0") == "0"


def test_emission_comes_on_in_its_time() -> None:
    client = amplifier(settle_s=2.0)
    assert client.ask("CDO 1") == "0"
    assert unit_of(client).state.emission
    assert isinstance(client.unit.world, QuietWorld)
    client.unit.world.time_s = 2.0
    assert client.ask("CDO") == "1"
    assert client.ask("CDO 0") == "0"


def test_an_open_interlock_keeps_the_pump_off() -> None:
    client = amplifier()
    client.ask("CDO 1")
    unit_of(client).set_interlock(False)
    assert client.ask("CDO") == "0"
    assert client.ask("CDO 1") == "0"
    assert not unit_of(client).state.emission
    unit_of(client).set_interlock(True)
    assert client.ask("CDO") == "0", "it does not come back by itself"
    assert client.ask("CDO 1") == "1"
    assert amplifier(interlock_open=True).ask("CDO 1") == "0"


def test_the_seed_is_measured() -> None:
    client = amplifier()
    assert isinstance(client.unit.world, QuietWorld)
    client.unit.world.power_w["edfa"] = 2e-3
    assert float(client.ask("CMP 1")) == pytest.approx(2.0)


def test_what_is_not_a_command() -> None:
    client = amplifier()
    client.write("*IDN?")
    assert client.read() is None
    assert amplifier(unknown="Unknown command").ask("*IDN?") == "Unknown command"
