"""Error queue and status registers."""

from __future__ import annotations

import pytest

from sim_backends.status import (
    COMMAND_ERROR,
    DEVICE_ERROR,
    EXECUTION_ERROR,
    POWER_ON,
    QUERY_ERROR,
    EventRegister,
    ScpiError,
    Status,
)


@pytest.mark.parametrize(
    ("code", "event"),
    [(-113, COMMAND_ERROR), (-222, EXECUTION_ERROR), (-350, DEVICE_ERROR), (-410, QUERY_ERROR), (17, DEVICE_ERROR)],
)
def test_an_error_sets_the_event_of_its_class(code: int, event: int) -> None:
    status = Status()
    assert status.read_event() == POWER_ON
    status.report(ScpiError(code))
    assert status.read_event() == event
    assert status.read_event() == 0


def test_errors_come_out_oldest_first() -> None:
    status = Status()
    status.report(ScpiError(-222, "too hot"))
    status.report(ScpiError(101, "Maker's own"))
    assert status.next_error() == (-222, "Data out of range;too hot")
    assert status.next_error() == (101, "Maker's own")
    assert status.next_error() == (0, "No error")


def test_a_full_queue_ends_with_an_overflow() -> None:
    status = Status(3)
    for _ in range(5):
        status.report(ScpiError(-222))
    assert status.error_count == 3
    assert [status.next_error()[0] for _ in range(4)] == [-222, -222, -350, 0]


def test_the_status_byte_sums_up() -> None:
    status = Status()
    assert status.byte(False) == 0
    status.report(ScpiError(-222))
    assert status.byte(True) == 4 + 16
    status.event_enable, status.service_enable = EXECUTION_ERROR, 32
    assert status.byte(False) == 4 + 32 + 64
    status.operation.enable = status.questionable.enable = 1
    status.operation.set_condition(1)
    status.questionable.latch(1)
    assert status.byte(False) & (8 + 128) == 8 + 128
    status.clear()
    assert status.byte(False) == 0
    assert status.event_enable == EXECUTION_ERROR


def test_rising_conditions_become_events() -> None:
    register = EventRegister()
    register.set_condition(0b11)
    register.set_condition(0b01)
    assert register.read_event() == 0b11
    register.set_condition(0b01)
    assert register.read_event() == 0
