"""The simulated OSW over its serial line."""

from __future__ import annotations

import pytest

from sim_backends.thorlabs_osw import OSW
from sim_backends.unit import open_unit
from tests.sim_backends.rig import Client, QuietWorld


def switch(**options: object) -> Client:
    return Client(open_unit("thorlabs_osw", "switch", QuietWorld(), options))


def position_of(client: Client) -> int:
    assert isinstance(client.unit, OSW)
    return client.unit.state.position


def test_questions() -> None:
    client = switch(board="OSW22-1310E V2.1", type_code="3", position=2)
    client.write("S?")
    assert client.read_bytes() == b"2\r\n"
    assert client.ask("I?") == "OSW22-1310E V2.1"
    assert client.ask("T?") == "3"


@pytest.mark.parametrize("text", ["S 2", "S2", "s 2"])
def test_switching_has_no_answer(text: str) -> None:
    client = switch(settle_s=0)
    client.write(text)
    assert client.read() is None
    assert client.ask("S?") == client.ask("S ?") == "2"
    assert position_of(client) == 2


@pytest.mark.parametrize("text", ["S 0", "S 3", "S", "*IDN?", "S 1 2", ""])
def test_what_is_not_understood_stays_silent(text: str) -> None:
    client = switch(position=2)
    client.write(text)
    assert client.read() is None
    assert position_of(client) == 2


def test_the_old_position_is_told_until_it_has_settled() -> None:
    client = switch(settle_s=0.5)
    world = client.unit.world
    assert isinstance(world, QuietWorld)
    client.write("S 2")
    assert client.ask("S?") == "1"
    assert position_of(client) == 2, "light follows at once"
    world.time_s += 0.5
    assert client.ask("S?") == "2"
    client.write("S 2")
    assert client.ask("S?") == "2"
