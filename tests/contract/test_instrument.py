"""What every instrument must do, whatever its kind."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest

from labctl.errors import InstrumentError, InstrumentLost, InstrumentReply, InstrumentTimeout, WrongInstrument
from labctl.interfaces import (
    Amplifier,
    Attenuator,
    BiasController,
    Digitizer,
    Instrument,
    Laser,
    OpticalSwitch,
    PolarisationController,
    PowerMeter,
    WaveformGenerator,
)
from labctl.values import SafeState
from tests.contract.bench import KINDS, PASSIVE, ContractBench

#: One question that an instrument of each kind always has an answer to.
QUESTIONS: dict[type[Instrument], Callable[..., object]] = {
    Laser: lambda laser: laser.wavelength(),
    WaveformGenerator: lambda generator: generator.output(1),
    Attenuator: lambda attenuator: attenuator.attenuation(attenuator.channels[0]),
    Amplifier: lambda amplifier: amplifier.pump(),
    PowerMeter: lambda meter: meter.snapshot()["wavelength_m"],
    Digitizer: lambda digitizer: dict(digitizer.snapshot()),
    BiasController: lambda controller: controller.locked(),
    OpticalSwitch: lambda switch: switch.position(),
    PolarisationController: lambda controller: controller.snapshot()["wavelength_m"],
}
#: Parts of the keys of readings, which differ from one snapshot to the next as settings do not.
READINGS = ("power_w", "actual", "sensed", "measured", "temperature", "monitor", "stokes", "degree")


def ask(instrument: Instrument) -> object:
    question = next(question for kind, question in QUESTIONS.items() if isinstance(instrument, kind))
    return question(instrument)


def settings(instrument: Instrument) -> dict[str, object]:
    return {key: value for key, value in instrument.snapshot().items() if not any(part in key for part in READINGS)}


def test_identity(bench: ContractBench) -> None:
    instrument = bench.open()
    assert instrument.identity.vendor
    assert instrument.identity.model
    assert isinstance(instrument, KINDS[bench.subject.kind])
    assert instrument.name == bench.subject.instrument


def test_making_and_closing_a_driver_says_nothing(simulated: ContractBench) -> None:
    with simulated.nothing_sent():
        instrument = simulated.make()
        instrument.close()


def test_before_opening_and_after_closing_nothing_is_said(bench: ContractBench) -> None:
    instrument = bench.make()
    with bench.nothing_sent():
        with pytest.raises(InstrumentError):
            instrument.snapshot()
        with pytest.raises(InstrumentError):
            _ = instrument.identity
    instrument.open()
    with bench.nothing_sent():
        instrument.close()
        instrument.close()
        with pytest.raises(InstrumentLost, match=instrument.name):
            instrument.snapshot()


def test_opening_and_closing_changes_nothing(bench: ContractBench) -> None:
    first = settings(bench.open())
    bench.open().close()
    assert settings(bench.open()) == first


def test_a_snapshot_can_be_stored(bench: ContractBench) -> None:
    snapshot = bench.open().snapshot()
    assert snapshot
    assert json.loads(json.dumps(dict(snapshot), allow_nan=False)) == dict(snapshot)
    for key, value in snapshot.items():
        assert isinstance(key, str)
        assert isinstance(value, bool | int | float | str)
        assert not isinstance(value, float) or math.isfinite(value)


def test_the_safe_state_is_dark_and_read_back(bench: ContractBench) -> None:
    instrument = bench.open()
    for _ in range(2):
        state = instrument.safe_state()
        assert isinstance(state, SafeState)
        assert state.dark
        assert not state.problem
        assert state.instrument == instrument.name
    assert bool(state.readings) or bench.subject.kind in PASSIVE


def test_a_healthy_instrument_has_no_problems(bench: ContractBench) -> None:
    assert list(bench.open().problems()) == []


def test_another_instrument_at_the_address(simulated: ContractBench) -> None:
    """No driver takes another kind's instrument for its own; one that speaks otherwise does not answer at all."""
    name, entries = simulated.subject.instrument, simulated.config.instruments
    for kind in KINDS:
        stranger = simulated.first(kind)
        if kind == simulated.subject.kind or stranger is None:
            continue
        entry = entries[name].model_copy(update={"resource": entries[stranger].resource})
        simulated.config = simulated.config.model_copy(update={"instruments": {**entries, name: entry}})
        with pytest.raises((WrongInstrument, InstrumentTimeout, InstrumentReply), match=name):
            simulated.make().open()


# --- errors -------------------------------------------------------------------------------------


def stranger_says(bench: ContractBench, *messages: str) -> None:
    """Somebody else on the same instrument sends what it does not know."""
    stranger = bench.library.connect("stranger", bench.config.instruments[bench.subject.instrument].resource)
    stranger.open()
    for message in messages:
        bench.lab.advance(1.0)
        stranger.write(message)
    bench.lab.advance(1.0)
    stranger.close()


@pytest.mark.usefixtures("error_queue")
def test_errors_of_somebody_else_are_told_once_and_in_order(simulated: ContractBench) -> None:
    stranger_says(simulated, ":NONSENSE 1", "*ESE 999")
    instrument = simulated.open()
    first, second = instrument.problems()
    assert "113" in first, "undefined header"
    assert "222" in second, "data out of range"
    assert list(instrument.problems()) == []
    stranger_says(simulated, "*ESE 999", ":NONSENSE 3", ":NONSENSE 4")
    codes = [next(code for code in ("113", "222") if code in problem) for problem in instrument.problems()]
    assert codes == ["222", "113", "113"]


def test_nonsense_of_somebody_else_spoils_no_answer(simulated: ContractBench) -> None:
    instrument = simulated.open()
    before = ask(instrument)
    stranger_says(simulated, ":NONSENSE 1", ":NONSENSE 2")
    assert ask(instrument) == before


# --- lines that fail ------------------------------------------------------------------------------


def test_unplugged(simulated: ContractBench) -> None:
    instrument, name = simulated.open(), simulated.subject.instrument
    simulated.lab.inject_fault(name, "UNPLUG")
    actions: list[Callable[[], object]] = [instrument.snapshot, instrument.problems]
    if simulated.subject.kind not in PASSIVE:  # which are not always asked
        actions.append(instrument.safe_state)
    for action in actions:
        with pytest.raises(InstrumentLost, match=name) as caught:
            action()
        assert caught.value.instrument == name
        assert caught.value.remedy
    with pytest.raises(InstrumentLost):
        simulated.make().open()
    simulated.lab.clear_faults()
    assert instrument.safe_state().dark


def test_silent(simulated: ContractBench) -> None:
    instrument, name = simulated.open(), simulated.subject.instrument
    simulated.lab.inject_fault(name, "SILENT")
    with pytest.raises(InstrumentLost, match=name):
        instrument.snapshot()
    if simulated.subject.error_queue:
        with pytest.raises(InstrumentError):
            instrument.problems()
    simulated.lab.clear_faults()
    assert instrument.safe_state().dark
    assert instrument.snapshot()
