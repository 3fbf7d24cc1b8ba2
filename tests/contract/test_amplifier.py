"""What every amplifier must do."""

from __future__ import annotations

import math

import pytest

from labctl.errors import InterlockError, LimitError
from labctl.interfaces import Amplifier
from tests.contract.bench import ContractBench

STEP_A = 0.2e-3


def test_pump_is_read_back(bench: ContractBench) -> None:
    amplifier = bench.get(Amplifier)
    limits = amplifier.pump_range_a
    for fraction in (0.05, 0.1):
        current_a = limits.low + fraction * (limits.high - limits.low)
        amplifier.set_pump(current_a)
        assert amplifier.pump() == pytest.approx(current_a, abs=STEP_A)


def test_limits_are_refused_and_nothing_is_sent(bench: ContractBench) -> None:
    amplifier = bench.get(Amplifier)
    before, limits = amplifier.pump(), amplifier.pump_range_a
    with bench.nothing_sent():
        for wrong in (limits.low - 1e-3, limits.high + 1e-3, math.nan):
            with pytest.raises(LimitError, match=amplifier.name):
                amplifier.set_pump(wrong)
    assert amplifier.pump() == before


def test_emission_and_safe_state(bench: ContractBench) -> None:
    amplifier = bench.get(Amplifier)
    assert not amplifier.interlock_open()
    amplifier.set_pump(amplifier.pump_range_a.low)
    amplifier.set_emission(True)
    assert amplifier.emission()
    amplifier.set_emission(False)
    assert not amplifier.emission()
    amplifier.set_emission(True)
    assert amplifier.safe_state().dark
    assert not amplifier.emission()


def test_what_was_set_is_in_force_when_the_setter_returns(simulated: ContractBench) -> None:
    amplifier, inside = simulated.get(Amplifier), simulated.unit.state
    amplifier.set_pump(0.1)
    assert not inside.emission
    amplifier.set_emission(True)
    assert inside.emission
    assert inside.pump_a == pytest.approx(0.1, abs=STEP_A)
    amplifier.set_pump(0.05)
    assert inside.pump_a == pytest.approx(0.05, abs=STEP_A)
    amplifier.set_emission(False)
    assert not inside.emission
    amplifier.set_emission(True)
    amplifier.safe_state()
    assert not inside.emission


def test_an_open_interlock_keeps_the_pump_off(simulated: ContractBench) -> None:
    simulated.unit.state.interlock_open = True
    amplifier = simulated.get(Amplifier)
    if not amplifier.interlock_open():
        pytest.skip("it cannot tell")
    assert any("interlock" in problem for problem in amplifier.problems())
    with pytest.raises(InterlockError, match="interlock"):
        amplifier.set_emission(True)
    assert not simulated.unit.state.emission
    assert amplifier.safe_state().dark
