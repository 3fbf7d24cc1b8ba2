"""The list of faults."""

from __future__ import annotations

import pytest

from labctl.errors import ConfigError
from sim_backends.faults import FAULTS, fault_named


def test_faults_are_found_by_name_in_any_case() -> None:
    assert fault_named("unplug") is FAULTS["UNPLUG"]
    assert FAULTS["UNPLUG"].breaks
    assert FAULTS["SILENT"].deaf


def test_an_unknown_fault_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'FIRE'") as caught:
        fault_named("FIRE")
    assert "SILENT, UNPLUG" in caught.value.remedy


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_these_faults_let_no_answer_through(name: str) -> None:
    assert FAULTS[name].answer(b"1\n") is None
