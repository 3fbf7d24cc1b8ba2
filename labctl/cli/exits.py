"""Exit statuses, and which error leads to which."""

from __future__ import annotations

from labctl.errors import (
    BudgetSpent,
    ConfigError,
    GateError,
    InterlockError,
    RunAborted,
    StaleCalibration,
    UnsafeState,
)

ACCEPTED = 0
ERROR = 1
USAGE = 2
ALARM = 3
ABORTED = 4
#: Whatever else happened: an emitter did not confirm that it is off.
UNSAFE = 5
#: A signal's number is added: 130 for SIGINT, 143 for SIGTERM.
SIGNALLED = 128


def status_of(error: BaseException) -> int:
    """The exit status for an error that ended a command."""
    if isinstance(error, ConfigError):
        return USAGE
    if isinstance(error, (BudgetSpent, GateError, InterlockError, RunAborted, StaleCalibration)):
        return ABORTED
    if isinstance(error, UnsafeState):
        return UNSAFE
    return ERROR
