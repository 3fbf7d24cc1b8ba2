"""What every instrument must do, whatever its kind."""

from __future__ import annotations

import json
import math

import pytest

from labctl.errors import (
    InstrumentError,
    InstrumentLost,
    InstrumentRefused,
    InstrumentReply,
    InstrumentTimeout,
    WrongInstrument,
)
from labctl.values import SafeState
from tests.contract.conftest import KINDS, ContractBench

kinds = pytest.mark.parametrize("kind", KINDS)
scpi_kinds = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "amplifier"])


@kinds
def test_identity(bench: ContractBench, kind: str) -> None:
    instrument = bench.open(bench.name_of(kind))
    assert instrument.identity.vendor
    assert instrument.identity.model
    assert instrument.identity.serial
    assert isinstance(instrument, KINDS[kind])


@kinds
def test_before_opening_and_after_closing_nothing_is_said(bench: ContractBench, kind: str) -> None:
    instrument = bench.make(bench.name_of(kind))
    with pytest.raises(InstrumentError):
        instrument.snapshot()
    with pytest.raises(InstrumentError):
        _ = instrument.identity
    instrument.open()
    instrument.close()
    instrument.close()
    with pytest.raises(InstrumentLost, match=instrument.name):
        instrument.snapshot()


@kinds
def test_opening_and_closing_changes_nothing(bench: ContractBench, kind: str) -> None:
    name = bench.name_of(kind)
    first = dict(bench.open(name).snapshot())
    bench.open(name).close()
    second = dict(bench.open(name).snapshot())
    readings = {key for key in first if key.startswith(("power_w", "actual", "sensed", "input_power"))}
    assert {k: v for k, v in first.items() if k not in readings} == {
        k: v for k, v in second.items() if k not in readings
    }


@kinds
def test_a_snapshot_can_be_stored(bench: ContractBench, kind: str) -> None:
    snapshot = bench.open(bench.name_of(kind)).snapshot()
    assert snapshot
    assert json.loads(json.dumps(dict(snapshot), allow_nan=False)) == dict(snapshot)
    for key, value in snapshot.items():
        assert isinstance(key, str)
        assert isinstance(value, bool | int | float | str)
        assert not isinstance(value, float) or math.isfinite(value)


@kinds
def test_the_safe_state_is_dark_and_read_back(bench: ContractBench, kind: str) -> None:
    instrument = bench.open(bench.name_of(kind))
    for _ in range(2):
        state = instrument.safe_state()
        assert isinstance(state, SafeState)
        assert state.dark
        assert not state.problem
        assert state.instrument == instrument.name
    assert bool(state.readings) is (kind not in ("digitizer", "power_meter"))


@kinds
def test_a_healthy_instrument_has_no_problems(bench: ContractBench, kind: str) -> None:
    assert list(bench.open(bench.name_of(kind)).problems()) == []


@kinds
def test_another_instrument_at_the_address(simulated: ContractBench, kind: str) -> None:
    """No driver takes another kind's instrument for its own; one that speaks otherwise does not
    answer at all.
    """
    name = simulated.name_of(kind)
    entries = simulated.config.instruments
    for other in KINDS:
        stranger = simulated.name_of(other)
        if other == kind:
            continue
        entry = entries[name].model_copy(update={"resource": entries[stranger].resource})
        simulated.config = simulated.config.model_copy(update={"instruments": {**entries, name: entry}})
        with pytest.raises((WrongInstrument, InstrumentTimeout, InstrumentReply), match=name):
            simulated.make(name).open()


@scpi_kinds
def test_an_error_of_somebody_else_is_told_once(simulated: ContractBench, kind: str) -> None:
    name = simulated.name_of(kind)
    resource = simulated.config.instruments[name].resource
    stranger = simulated.library.connect("stranger", resource)
    stranger.open()
    stranger.write(":NONSENSE 1")
    instrument = simulated.open(name)
    (problem,) = instrument.problems()
    assert problem.startswith("-113")
    assert list(instrument.problems()) == []
    stranger.write(":NONSENSE 2")
    stranger.write(":NONSENSE 3")
    assert [p.split()[0] for p in instrument.problems()] == ["-113", "-113"]


@kinds
def test_unplugged(simulated: ContractBench, kind: str) -> None:
    name = simulated.name_of(kind)
    instrument = simulated.open(name)
    simulated.lab.inject_fault(name, "UNPLUG")
    actions = [instrument.snapshot, instrument.problems]
    if kind != "power_meter":  # which emits nothing and is not asked
        actions.append(instrument.safe_state)
    for action in actions:
        with pytest.raises(InstrumentLost, match=name) as caught:
            action()
        assert caught.value.instrument == name
        assert caught.value.remedy
    with pytest.raises(InstrumentLost):
        simulated.make(name).open()
    simulated.lab.clear_faults()
    assert instrument.safe_state().dark


@kinds
def test_silent(simulated: ContractBench, kind: str) -> None:
    name = simulated.name_of(kind)
    instrument = simulated.open(name)
    simulated.lab.inject_fault(name, "SILENT")
    with pytest.raises(InstrumentLost, match=name):
        instrument.snapshot()
    with pytest.raises(InstrumentError):
        instrument.problems()
    simulated.lab.clear_faults()
    assert instrument.safe_state().dark
    assert instrument.snapshot()


@scpi_kinds
def test_an_unanswered_query_spoils_no_later_answer(simulated: ContractBench, kind: str) -> None:
    """The answer to a query that was given up does not turn up as the answer to the next one."""
    instrument = simulated.open(simulated.name_of(kind))
    before = dict(instrument.snapshot())
    line = vars(instrument)["_link"].connection
    line.write("*IDN?")  # its answer is never read
    simulated.lab.inject_fault(instrument.name, "SILENT")
    with pytest.raises(InstrumentTimeout):
        line.query("*OPC?" if not line.resource.endswith("SOCKET") else ":NEVER?")
    simulated.lab.clear_faults()
    after = dict(instrument.snapshot())
    assert after == pytest.approx(before)


@scpi_kinds
def test_a_refused_command_is_named(simulated: ContractBench, kind: str) -> None:
    instrument = simulated.open(simulated.name_of(kind))
    link = vars(instrument)["_link"]
    with pytest.raises(InstrumentRefused, match=r"-113.*:NONSENSE 5"):
        link.command(":NONSENSE 5")
    with pytest.raises(InstrumentRefused, match=r"-113.*:NONSENSE\?"):
        link.query(":NONSENSE?")
    assert list(instrument.problems()) == []
