"""What every driver makes of a line with a fault: a typed error that names the instrument, and nothing to be believed.

Late, half, scrambled or missing answers must not turn up as readings, neither while the fault lasts nor after it.
"""

from __future__ import annotations

from contextlib import suppress

import pytest

from labctl.errors import InstrumentError, InstrumentLost, InstrumentReply, InstrumentTimeout
from tests.contract.bench import ContractBench

#: The fault, and what a driver says of it: every one of these spoils every answer.
TOLD: dict[str, tuple[type[InstrumentError], ...]] = {
    "UNPLUG": (InstrumentLost,),
    "SILENT": (InstrumentTimeout, InstrumentLost),
    "LATE": (InstrumentTimeout, InstrumentLost),
    "PARTIAL": (InstrumentTimeout, InstrumentLost, InstrumentReply),
    "GARBAGE": (InstrumentReply, InstrumentLost),
}


@pytest.fixture(params=sorted(TOLD))
def line_fault(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_no_spoilt_answer_becomes_a_reading(simulated: ContractBench, line_fault: str) -> None:
    instrument, name = simulated.open(), simulated.subject.instrument
    before = dict(instrument.snapshot())
    simulated.lab.inject_fault(name, line_fault)
    for _ in range(2):
        with pytest.raises(TOLD[line_fault], match=name) as caught:
            instrument.snapshot()
        assert caught.value.instrument == name
    simulated.lab.clear_faults()
    assert dict(instrument.snapshot()) == pytest.approx(before)
    assert instrument.safe_state().dark


def test_a_connection_that_was_closed_once_is_opened_again(simulated: ContractBench) -> None:
    instrument, name = simulated.open(), simulated.subject.instrument
    before = dict(instrument.snapshot())
    simulated.lab.inject_fault(name, "HANGUP")
    with pytest.raises(InstrumentLost, match=name):
        instrument.snapshot()
    assert dict(instrument.snapshot()) == pytest.approx(before)


@pytest.mark.parametrize("fault", ["NAN", "NOREADING"])
def test_a_reading_that_is_none_is_not_a_number(simulated: ContractBench, fault: str) -> None:
    """Where a snapshot holds real numbers, it fails rather than hold one of these."""
    instrument, name = simulated.open(), simulated.subject.instrument
    simulated.lab.inject_fault(name, fault)
    with suppress(InstrumentReply):
        assert all(abs(value) < 1e30 for value in instrument.snapshot().values() if isinstance(value, float))
