"""What every instrument must do with the properties of its kind: those of panels, and of operation by hand."""

from __future__ import annotations

import math

import pytest

from labctl.bench_tables import UNITS
from labctl.errors import InstrumentTimeout, LimitError
from labctl.interfaces import Attenuator
from labctl.properties import PROPERTIES, PropertyState, find, limits_of, properties_of, states_of
from labctl.values import Scalar
from tests.contract.bench import KINDS, ContractBench

#: Of what was set, and of the range: settings have steps.
STEP = 3e-3


def test_every_kind_has_a_table_and_units_that_fit_the_names() -> None:
    assert set(PROPERTIES) == set(KINDS.values())
    for table in PROPERTIES.values():
        assert len({each.name for each in table}) == len(table)
        for each in table:
            unit = next((unit for end, unit in UNITS.items() if each.name.endswith(end)), each.unit)
            assert unit == each.unit, each.name


def middle(state: PropertyState) -> Scalar:
    """A value that it may be set to."""
    if state.choices:
        return state.choices[-1]
    assert state.limits is not None
    return state.limits.low + 0.25 * (state.limits.high - state.limits.low)


def test_each_property_is_told_within_its_limits(bench: ContractBench) -> None:
    instrument = bench.open()
    if isinstance(instrument, Attenuator):  # one with a motor does not know where it is before it is told to go there
        for channel in instrument.channels:
            instrument.set_attenuation(channel, instrument.attenuation_range_db.high)
    states = states_of(instrument)
    assert [state.problem for state in states if state.problem] == []
    assert {state.name for state in states} == {each.name for each in properties_of(instrument)}
    for state in states:
        if isinstance(state.value, float):
            assert math.isfinite(state.value)
        if state.limits is not None:
            assert state.limits.low < state.limits.high
        if state.choices and state.value is not None:
            assert state.value in state.choices
    assert limits_of(instrument)


def test_what_is_set_is_read_back(bench: ContractBench) -> None:
    instrument = bench.open()
    for state in states_of(instrument):
        if not state.settable or state.lights:
            continue
        each, wanted = find(instrument, state.name), middle(state)
        try:
            each.write(instrument, state.channel, wanted)
        except InstrumentTimeout:  # no working point can be found without light
            assert state.name == "lock_at"
            continue
        if each.get is None:
            continue
        found = each.get(instrument, state.channel or 0)
        if state.limits is None:
            assert found == wanted
        else:
            span = state.limits.high - state.limits.low
            assert float(found) == pytest.approx(float(wanted), abs=STEP * span)


def test_what_is_outside_is_refused_and_nothing_is_sent(simulated: ContractBench) -> None:
    instrument = simulated.open()
    states = states_of(instrument)
    with simulated.nothing_sent():
        for state in states:
            each = find(instrument, state.name)
            wrong: list[Scalar] = ["nonsense", math.nan]
            if state.limits is not None:
                wrong += [state.limits.low - 1e-9 - abs(state.limits.low), 2 * state.limits.high + 1e-9, True]
            if state.choices or not state.settable:
                wrong += [-1, 1.5]
            for value in wrong:
                with pytest.raises(LimitError, match=instrument.name):
                    each.write(instrument, state.channel, value)
            if state.settable:
                with pytest.raises(LimitError, match="channel"):
                    each.write(instrument, 99, middle(state))
        with pytest.raises(LimitError, match="no property"):
            find(instrument, "colour")


def test_what_emits_is_switched_and_safe_state_switches_it_off(simulated: ContractBench) -> None:
    instrument = simulated.open()
    if isinstance(instrument, Attenuator):
        for channel in instrument.channels:
            instrument.set_attenuation(channel, 10.0)
    lit = [state for state in states_of(instrument) if state.lights]
    for state in lit:
        find(instrument, state.name).write(instrument, state.channel, True)
    if simulated.subject.kind != "generator":  # some play nothing before they are configured
        assert all(state.is_on for state in states_of(instrument) if state.lights)
    assert instrument.safe_state().dark
    assert not any(state.is_on for state in states_of(instrument))
