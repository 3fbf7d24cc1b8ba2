"""The control instrument of a simulated laboratory."""

from __future__ import annotations

import pytest

from labctl.errors import ConfigError
from sim_backends.sim_control import SimControl
from tests.sim_backends.rig import Client, QuietWorld


class Recorder:
    """A laboratory that writes down what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.stepped = False
        self.time_s = 1.25

    def now(self) -> float:
        return self.time_s

    def reset(self, seed: int) -> None:
        self.calls.append(("reset", seed))

    def set_key(self, key: tuple[int, ...]) -> None:
        self.calls.append(("key", *key))

    def set_stepped(self, stepped: bool) -> None:
        self.stepped = stepped

    def advance(self, seconds: float) -> None:
        self.time_s += seconds

    def set_fault(self, unit: str, fault: str) -> None:
        if unit != "laser":
            raise ConfigError(f"there is no unit {unit!r}")
        self.calls.append(("fault", unit, fault))

    def clear_faults(self) -> None:
        self.calls.append(("clear",))

    def set_attack(self, kind: str | None, strength: float) -> None:
        if strength == 9:
            raise ConfigError("too strong")
        self.calls.append(("attack", kind, strength))

    def attack(self) -> tuple[str, float, int, float]:
        return "TAP", 0.25, 1000, 1.5


@pytest.fixture
def lab() -> Recorder:
    return Recorder()


@pytest.fixture
def client(lab: Recorder) -> Client:
    return Client(SimControl("SIM", QuietWorld(), lab), stream=False)


def test_it_says_who_it_is(client: Client) -> None:
    assert client.ask("*IDN?").startswith("LABCTL,SIM,")


def test_seed_and_draw_key(lab: Recorder, client: Client) -> None:
    client.write(":RESet 18446744073")
    client.write(":KEY 1,22,333")
    client.write(":KEY")
    assert lab.calls == [("reset", 18446744073), ("key", 1, 22, 333), ("key",)]
    assert client.errors() == []


@pytest.mark.parametrize(
    ("message", "code"), [(":RES -1", -222), (":RES", -109), (":KEY 1,x", -148), (":KEY -1", -222)]
)
def test_wrong_seeds_and_keys(lab: Recorder, client: Client, message: str, code: int) -> None:
    client.write(message)
    assert client.errors() == [code]
    assert lab.calls == []


def test_clock(lab: Recorder, client: Client) -> None:
    assert client.ask(":CLOC?") == "REAL"
    client.write(":TIME:ADV 2")
    assert client.errors() == [-221]
    client.write(":CLOCk STEPped")
    assert client.ask(":CLOC?") == "STEP"
    client.write(":TIME:ADVance 500 ms")
    assert float(client.ask(":TIME?")) == 1.75
    assert float(client.ask(":TIME:PASS? 0.25")) == 0.0
    assert float(client.ask(":TIME?")) == 2.0
    client.write(":TIME:ADVance -1")
    assert client.errors() == [-222]
    client.write(":CLOC REAL")
    assert not lab.stepped
    assert float(client.ask(":TIME:PASS? 0.25")) == 0.25


def test_faults(lab: Recorder, client: Client) -> None:
    client.write(':FAULt "laser",UNPLUG')
    client.write(":FAUL 'laser',silent")
    client.write(":FAUL:CLE")
    assert lab.calls == [("fault", "laser", "UNPLUG"), ("fault", "laser", "SILENT"), ("clear",)]


def test_faults_that_are_not_there(client: Client) -> None:
    client.write(':FAUL "laser",FIRE')
    assert client.ask(":SYST:ERR?").startswith("-224,")
    client.write(':FAUL "door",UNPLUG')
    assert client.ask(":SYST:ERR?") == "-300,\"Device-specific error;there is no unit 'door'\""


def test_attacks(lab: Recorder, client: Client) -> None:
    client.write(":ATTack ALLModes,2")
    client.write(":ATT SUBS")
    client.write(":ATT:CLE")
    assert lab.calls == [("attack", "ALLM", 2.0), ("attack", "SUBS", 0.0), ("attack", None, 0.0)]
    assert client.ask(":ATTack?") == "TAP,2.50000000E-01,1000,1.50000000E+00"
    client.write(":ATTack TAP,9")
    client.write(":ATTack NOBody,1")
    assert client.errors() == [-300, -224]
