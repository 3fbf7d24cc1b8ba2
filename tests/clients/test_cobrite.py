"""CoBrite, ID Photonics' own client, on the simulated laser: over TCP, which it speaks by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cobrite import CoBrite, CoBriteError

from labctl.budget.sources import Tables
from sim_backends.state import LaserState
from tests.clients.desk import Desk, second_supplier
from tests.contract.suppliers import overlaid


@pytest.fixture
def changes() -> Tables:
    """One that settles at once."""
    quick = {"world": {"units": {"laser": {"settle_s": 0.2}}}}
    return overlaid(second_supplier("idphotonics_cobrite"), quick)


@pytest.fixture
def controller(tcp_desk: Desk) -> Iterator[Any]:
    made = CoBrite("127.0.0.1", tcp_port=tcp_desk.port("laser"), timeout=30)
    made.open()
    yield made
    made.close()


@pytest.fixture
def state(tcp_desk: Desk) -> LaserState:
    found = tcp_desk.lab.units["laser"].state
    assert isinstance(found, LaserState)
    return found


def test_light_on(controller: Any, state: LaserState) -> None:
    assert "CoBrite" in controller.idn()
    assert controller.layout() == {1: {1: {1: "GC"}}}
    laser = controller.port(1, 1, 1)
    laser.wavelength = 1550.12
    laser.power = 10.0
    laser.state = True
    controller.busy_wait(1, 1, 1)
    assert laser.wavelength == pytest.approx(1550.12, abs=1e-3)
    assert laser.state
    assert laser.actual_power == pytest.approx(10.0, abs=0.2)
    assert (state.emission, state.power_w) == (True, pytest.approx(10e-3))
    assert state.wavelength_m == pytest.approx(1550.12e-9, abs=1e-12)


def test_everything_at_once(controller: Any) -> None:
    laser = controller.port(1, 1, 1)
    wanted = {"frequency": 193.6, "offset": 0.0, "power": 8.0, "state": True, "dither": 0}
    laser.laser_config = wanted
    found = laser.laser_config
    assert {name: found[name] for name in wanted} == wanted
    laser.offset = 1.5
    assert laser.offset == 1.5
    assert laser.limits["freq_min"] < 193.6 < laser.limits["freq_max"]
    assert laser.monitor["ld_current_ma"] > 0


def test_steps_of_frequency(controller: Any, state: LaserState) -> None:
    laser = controller.port(1, 1, 1)
    for frequency in (193.1, 193.2, 193.3):
        laser.frequency = frequency
        controller.busy_wait(1, 1, 1)
        assert laser.frequency == pytest.approx(frequency)
        assert state.wavelength_m == pytest.approx(299_792_458.0 / (frequency * 1e12), rel=1e-6)


def test_refusals(controller: Any) -> None:
    with pytest.raises(CoBriteError):
        controller.query("NONSENSE")
    with pytest.raises((CoBriteError, ValueError)):
        controller.port(1, 1, 1).power = 99.0


def test_it_leaves_the_laser_dark(tcp_desk: Desk, state: LaserState) -> None:
    controller = CoBrite("127.0.0.1", tcp_port=tcp_desk.port("laser"), timeout=30)
    controller.open()
    controller.port(1, 1, 1).state = True
    controller.opc_wait()
    assert state.emission
    controller.close()
    controller.open()  # and waits until the other end has heard it
    assert not state.emission
    controller.close()
