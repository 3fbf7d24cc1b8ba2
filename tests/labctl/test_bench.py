"""Opening, parts, safe state, report."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.bench import open_bench
from labctl.errors import ConfigError, InstrumentError, InstrumentLost, UnsafeState
from labctl.interfaces import Amplifier, Laser
from labctl.safety import PASSIVE
from labctl.safety import SAFE_ORDER as KINDS_IN_SAFE_ORDER
from tests.fakes import FakeLaser, FakeLibrary, fake_bench, use_fakes

SAFE_ORDER = [
    "amplifier",
    "attenuator",
    "laser",
    "server_awg",
    "client_awg_forward",
    "client_awg_return",
    "client_awg_tap",
    "client_scope",
    "server_scope",
    "power_meter",
]


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)


def calls(method: str) -> list[str]:
    return [entry[0] for entry in FakeLibrary.latest.log if entry[1] == method]


def test_opened_and_closed_in_reverse(tmp_path: Path) -> None:
    with open_bench(fake_bench(tmp_path)) as bench:
        assert bench.simulated
        assert list(bench.instruments) == calls("open")
        assert isinstance(bench.part("laser", Laser), FakeLaser)
        assert bench.control() is FakeLibrary.latest.fake_control
    assert calls("close") == calls("open")[::-1]
    assert FakeLibrary.latest.closed


def test_closed_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="inside"), open_bench(fake_bench(tmp_path)):
        raise RuntimeError("inside")
    assert len(calls("close")) == 10
    assert FakeLibrary.latest.closed


def test_wrong_kind_for_a_part(tmp_path: Path) -> None:
    with (
        open_bench(fake_bench(tmp_path)) as bench,
        pytest.raises(ConfigError, match="'laser' \\(FakeLaser\\) cannot play the part of Amplifier"),
    ):
        bench.part("laser", Amplifier)


@pytest.mark.parametrize(
    ("driver", "options", "said"),
    [
        ("tests.fakes:NoSuchLaser", "", "there is no driver"),
        ("tests.no_such_module:Laser", "", "there is no driver"),
        ("os:getcwd", "", "no driver of an instrument"),
        ("pathlib:Path", "", "no driver of an instrument"),
        ("tests.labctl.test_bench:PickyLaser", "options = { colour = 1 }", "instruments.laser.options: .*'colour'"),
        ("tests.labctl.test_bench:PickyLaser", "", ""),
    ],
)
def test_drivers_and_options(tmp_path: Path, driver: str, options: str, said: str) -> None:
    path = fake_bench(tmp_path, {'"tests.fakes:FakeLaser"': f'"{driver}"\n{options}'})
    if not said:
        with open_bench(path):
            return
    with pytest.raises(ConfigError, match=said) as caught, open_bench(path):
        pass
    assert "instruments.laser" in caught.value.message
    assert FakeLibrary.latest.closed
    assert not calls("open")


class PickyLaser(FakeLaser):
    """A driver that takes one option."""

    def __init__(self, name, resource, library, clock, *, slot: int = 1) -> None:
        super().__init__(name, resource, library, clock)


class BrokenLaser(FakeLaser):
    """A driver with a fault of its own."""

    def __init__(self, name, resource, library, clock) -> None:
        raise TypeError("'NoneType' object is not subscriptable")


def test_a_driver_s_own_fault_is_not_blamed_on_its_options(tmp_path: Path) -> None:
    path = fake_bench(tmp_path, {"tests.fakes:FakeLaser": "tests.labctl.test_bench:BrokenLaser"})
    with pytest.raises(TypeError, match="not subscriptable"), open_bench(path):
        pass


def test_every_instrument_that_fails_to_open_is_named(tmp_path: Path) -> None:
    one = {"tests.fakes:FakeLaser": "tests.fakes:LostLaser"}
    two = {**one, "tests.fakes:FakePowerMeter": "tests.fakes:LostMeter"}
    with pytest.raises(InstrumentLost, match="laser: does not answer"), open_bench(fake_bench(tmp_path, one)):
        pass
    with pytest.raises(InstrumentError, match="laser: does not answer; power_meter: is silent") as caught:  # noqa: SIM117
        with open_bench(fake_bench(tmp_path, two)):
            pass
    assert caught.value.instrument == "laser, power_meter"
    assert len(calls("open")) == 8, "the others were tried all the same"
    assert len(calls("close")) == 10


def test_safe_state_in_order_and_read_back(tmp_path: Path) -> None:
    with open_bench(fake_bench(tmp_path)) as bench:
        bench.instruments["laser"].set_emission(True)
        states = bench.safe_state()
    assert [state.instrument for state in states] == SAFE_ORDER == calls("safe_state")
    assert all(state.dark and state.readings == {"read_back": True} for state in states)


@pytest.mark.parametrize("fault", [InstrumentLost("laser", "line broke"), ValueError("a driver's fault")])
def test_one_that_fails_does_not_keep_the_others_from_going_dark(tmp_path: Path, fault: Exception) -> None:
    with open_bench(fake_bench(tmp_path)) as bench:
        FakeLibrary.latest.plans["amplifier", "safe_state"] = fault
        FakeLibrary.latest.plans["client_scope", "safe_state"] = fault
        states = {state.instrument: state for state in bench.safe_state()}
    assert list(dict.fromkeys(calls("safe_state"))) == SAFE_ORDER
    assert calls("safe_state").count("amplifier") == 2, "it is told again"
    assert not states["amplifier"].dark
    assert str(fault) in states["amplifier"].problem
    assert states["client_scope"].dark, "a digitizer emits nothing, whether it answers or not"
    assert str(fault) in states["client_scope"].problem
    assert all(state.dark for name, state in states.items() if name != "amplifier")


def test_no_engaged_bench_is_closed_before_the_safe_state(tmp_path: Path) -> None:
    with open_bench(fake_bench(tmp_path)) as bench:
        bench.engage()
    assert calls("safe_state") == SAFE_ORDER
    with open_bench(fake_bench(tmp_path)) as bench:
        bench.engage()
        bench.safe_state()
    assert calls("safe_state") == SAFE_ORDER, "once is enough"
    with pytest.raises(UnsafeState, match="laser: no conf"), open_bench(fake_bench(tmp_path)) as bench:  # noqa: PT012
        FakeLibrary.latest.plans["laser", "safe_state"] = InstrumentLost("laser", "is silent")
        bench.engage()
    assert FakeLibrary.latest.closed


def test_those_that_emit_nothing_come_last() -> None:
    dark = [kind.__name__ for kind in KINDS_IN_SAFE_ORDER]
    assert dark.index("Laser") < dark.index("BiasController") < dark.index("OpticalSwitch")
    assert set(dark[dark.index("BiasController") + 1 :]) == {*(kind.__name__ for kind in PASSIVE), "Instrument"}


def test_snapshots_say_who_and_what(tmp_path: Path) -> None:
    with open_bench(fake_bench(tmp_path)) as bench:
        snapshots = bench.snapshots()
    assert list(snapshots) == calls("open")
    assert snapshots["laser"] == {
        "vendor": "FAKE",
        "model": "FakeLaser",
        "serial": "1",
        "firmware": "0",
        "opened": True,
    }
