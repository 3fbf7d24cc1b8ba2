"""What every amplifier must do."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from labctl.errors import InterlockError, LimitError
from labctl.interfaces import Amplifier
from tests.contract.conftest import ContractBench


def test_pump_is_read_back(bench: ContractBench) -> None:
    amplifier = bench.get(Amplifier)
    limits = amplifier.pump_range_a
    for fraction in (0.05, 0.1):
        current_a = limits.low + fraction * (limits.high - limits.low)
        amplifier.set_pump(current_a)
        assert amplifier.pump() == pytest.approx(current_a, abs=0.2e-3)


def test_limits_are_refused_and_nothing_changes(bench: ContractBench) -> None:
    amplifier = bench.get(Amplifier)
    before, limits = amplifier.pump(), amplifier.pump_range_a
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


def test_switching_on_ends_when_the_amplifier_has_settled(simulated: ContractBench) -> None:
    amplifier, begun = simulated.get(Amplifier), simulated.lab.now()
    amplifier.set_pump(0.1)
    amplifier.set_emission(True)
    assert simulated.lab.now() - begun >= 1.0, "channel and master take half a second each"
    snapshot = amplifier.snapshot()
    assert snapshot["sensed_pump_a"] == pytest.approx(0.1, abs=1e-3)


def test_an_open_interlock_keeps_the_pump_off(tmp_path: Path, simulated: ContractBench) -> None:
    text = simulated.path.read_text().replace(
        'amplifier = { model = "amonics_aedfa" }', 'amplifier = { model = "amonics_aedfa", interlock_open = true }'
    )
    path = tmp_path / "open.bench.toml"
    path.write_text(text)
    bench = ContractBench(path, simulated=True)
    try:
        amplifier = bench.get(Amplifier)
        assert amplifier.interlock_open()
        assert any("interlock" in problem for problem in amplifier.problems())
        with pytest.raises(InterlockError, match="interlock"):
            amplifier.set_emission(True)
        assert amplifier.safe_state().dark
    finally:
        bench.close()


def test_a_pump_that_goes_off_by_itself_is_seen(simulated: ContractBench) -> None:
    amplifier = simulated.get(Amplifier)
    amplifier.set_pump(0.05)
    amplifier.set_emission(True)
    stranger = simulated.library.connect("stranger", simulated.config.instruments[amplifier.name].resource)
    stranger.open()
    simulated.lab.advance(1.0)
    stranger.write(":DRIV:MCTRL 0\r")
    simulated.lab.advance(1.0)
    assert not amplifier.emission()


@pytest.mark.parametrize("fitted", [True, False])
def test_what_stays_silent_does_not_disturb_what_follows(
    tmp_path: Path, simulated: ContractBench, fitted: bool
) -> None:
    """A command that comes sooner than 50 ms after another is lost in this unit: the spacing must hold while the line
    is mended after a query without answer, and in what is asked next.
    """
    text = simulated.path.read_text().replace(
        'amplifier = { model = "amonics_aedfa" }',
        f'amplifier = {{ model = "amonics_aedfa", strict_spacing = true, input_monitor = {str(fitted).lower()} }}',
    )
    path = tmp_path / "spaced.bench.toml"
    path.write_text(text)
    assert "strict_spacing" in text
    bench = ContractBench(path, simulated=True)
    try:
        amplifier = bench.get(Amplifier)
        for current_a in (0.05, 0.1):
            snapshot = amplifier.snapshot()
            assert ("input_power_w" in snapshot) is fitted
            assert "output_power_w" not in snapshot
            assert "box_temperature_c" in snapshot
            assert not amplifier.problems()
            amplifier.set_pump(current_a)
            assert amplifier.pump() == pytest.approx(current_a, abs=0.2e-3)
        amplifier.set_emission(True)
        assert amplifier.emission()
        assert amplifier.safe_state().dark
    finally:
        bench.close()
