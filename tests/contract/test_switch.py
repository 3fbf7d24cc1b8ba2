"""What every optical switch must do."""

from __future__ import annotations

import pytest

from labctl.errors import InstrumentLost, LimitError
from labctl.interfaces import OpticalSwitch
from tests.contract.bench import ContractBench


def test_every_position_is_reached_and_read_back(bench: ContractBench) -> None:
    switch = bench.get(OpticalSwitch)
    assert switch.positions >= 2
    for position in (*range(1, switch.positions + 1), 1):
        switch.set_position(position)
        assert switch.position() == position
    assert switch.snapshot()["position"] == 1
    assert list(switch.problems()) == []


def test_limits_are_refused_and_nothing_is_sent(bench: ContractBench) -> None:
    switch = bench.get(OpticalSwitch)
    before = switch.position()
    with bench.nothing_sent():
        for nobody in (-1, 0, switch.positions + 1):
            with pytest.raises(LimitError, match=switch.name):
                switch.set_position(nobody)
    assert switch.position() == before


def test_the_safe_state_leaves_it_where_it_is(bench: ContractBench) -> None:
    switch = bench.get(OpticalSwitch)
    switch.set_position(2)
    assert switch.safe_state().dark
    assert switch.position() == 2


def test_after_a_failure_it_is_still_where_it_was(simulated: ContractBench) -> None:
    switch = simulated.get(OpticalSwitch)
    switch.set_position(2)
    simulated.lab.inject_fault(switch.name, "UNPLUG")
    simulated.lab.clear_faults()
    with pytest.raises(InstrumentLost, match=switch.name):
        switch.position()
    assert switch.position() == 2
