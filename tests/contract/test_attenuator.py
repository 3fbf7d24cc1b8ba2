"""What every attenuator must do."""

from __future__ import annotations

import math

import pytest

from labctl.errors import LimitError
from labctl.interfaces import Attenuator
from tests.contract.bench import ContractBench

STEP_DB = 0.01


def test_attenuation_is_read_back_channel_by_channel(bench: ContractBench) -> None:
    attenuator = bench.get(Attenuator)
    limits = attenuator.attenuation_range_db
    wanted = {
        channel: limits.low + (index + 1) / (len(attenuator.channels) + 1) * (limits.high - limits.low)
        for index, channel in enumerate(attenuator.channels)
    }
    for channel, attenuation_db in wanted.items():
        attenuator.set_attenuation(channel, attenuation_db)
    for channel, attenuation_db in wanted.items():
        assert attenuator.attenuation(channel) == pytest.approx(attenuation_db, abs=STEP_DB)
        assert attenuator.snapshot()[f"attenuation_{channel}_db"] == attenuator.attenuation(channel)


def test_limits_are_refused_and_nothing_is_sent(bench: ContractBench) -> None:
    attenuator = bench.get(Attenuator)
    channel = attenuator.channels[0]
    before = attenuator.attenuation(channel)
    limits = attenuator.attenuation_range_db
    with bench.nothing_sent():
        for wrong in (limits.low - 0.1, limits.high + 0.1, math.nan, math.inf):
            with pytest.raises(LimitError, match=attenuator.name):
                attenuator.set_attenuation(channel, wrong)
        for nobody in (0, max(attenuator.channels) + 1):
            for action in (attenuator.attenuation, attenuator.shutter):
                with pytest.raises(LimitError, match="no channel"):
                    action(nobody)
            with pytest.raises(LimitError, match="no channel"):
                attenuator.set_attenuation(nobody, limits.low)
            with pytest.raises(LimitError, match="no channel"):
                attenuator.set_shutter(nobody, True)
    assert attenuator.attenuation(channel) == before
    assert list(attenuator.problems()) == []


def test_shutters_are_read_back_and_closed_in_the_safe_state(bench: ContractBench) -> None:
    attenuator = bench.get(Attenuator)
    first, *others = attenuator.channels
    for channel in attenuator.channels:
        attenuator.set_shutter(channel, False)
    attenuator.set_shutter(first, True)
    assert attenuator.shutter(first)
    assert not any(attenuator.shutter(channel) for channel in others)
    state = attenuator.safe_state()
    assert state.dark
    assert not any(attenuator.shutter(channel) for channel in attenuator.channels)


def test_the_light_has_what_was_set(simulated: ContractBench) -> None:
    attenuator = simulated.get(Attenuator)
    for channel in attenuator.channels:
        attenuator.set_attenuation(channel, 3.0)
        attenuator.set_shutter(channel, True)
        inside = simulated.unit.state.channels[channel]
        assert inside.attenuation_db == pytest.approx(3.0, abs=STEP_DB)
        assert inside.shutter_open
    attenuator.safe_state()
    assert not any(inside.shutter_open for inside in simulated.unit.state.channels.values())
