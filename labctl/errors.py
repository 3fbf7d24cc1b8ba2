"""Every error that labctl raises on purpose, grouped by what the operator can do about it.

One base class, :class:`LabctlError`: the message says what was wrong and names the instrument, command or key;
``remedy`` says what to do. The command line prints both and maps the class to an exit status.
"""

from __future__ import annotations

import sys


class LabctlError(Exception):
    """Base of all deliberate errors.

    Parameters
    ----------
    message:
        What was wrong, naming the instrument, command, file or key concerned.
    remedy:
        What the operator can do about it, as an imperative sentence.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return self.message


class ConfigError(LabctlError):
    """A file, key or option is wrong: fix it and start again. Raised before any instrument is touched."""


class DataError(ConfigError):
    """A data set or model file is missing, malformed, or does not fit the rest."""


class NoWorkingPoint(ConfigError):
    """No gain and photon number keep the leakage within what is allowed."""


class BudgetRefusal(ConfigError):
    """The run would leak more than its budget allows: it is not started."""


class NotExact(ConfigError):
    """A shortcut of the simulation would not give what the full one gives: use the full one."""


class InstrumentError(LabctlError):
    """Something about one instrument. ``instrument`` is its name in bench.toml, ``command`` the text it was sent."""

    def __init__(self, instrument: str, message: str, remedy: str = "", *, command: str | None = None) -> None:
        at = f" (command {command!r})" if command else ""
        super().__init__(f"{instrument}: {message}{at}", remedy)
        self.instrument = instrument
        self.command = command


class InstrumentLost(InstrumentError):
    """The instrument does not answer or its connection broke: check cable and power, then reconnect."""


class InstrumentBusy(InstrumentError):
    """Another program on this computer holds the instrument: wait for it, or end it."""


class InstrumentTimeout(InstrumentLost):
    """No complete answer within the deadline."""


class InstrumentReply(InstrumentError):
    """An answer came, but it is not what the manual promises: garbage, wrong type, wrong length, not a number."""


class InstrumentRefused(InstrumentError):
    """The instrument itself reported an error (error queue, error reply)."""


class WrongInstrument(InstrumentError):
    """Another instrument answers at this address than the driver is for."""


class LimitError(InstrumentError):
    """A requested value lies outside the instrument's capability; it was not sent."""


class InterlockError(LabctlError):
    """A safety condition does not hold; the light goes off, and re-arming is a human act."""


class TripStands(InterlockError):
    """An interlock tripped in an earlier run, and nobody has re-armed the bench since: nothing is switched on."""


#: All of a run.
EVERY_SHOT = sys.maxsize


class GateError(LabctlError):
    """A quality gate failed (clipping, lost light, missing shot noise): the data give no number.

    ``shots``: how many, the last one included, it may have spoilt; 1 where the gate judges each on its own, EVERY_SHOT
    where it judges everything so far together.
    """

    def __init__(self, message: str, remedy: str = "", shots: int = 1) -> None:
        super().__init__(message, remedy)
        self.shots = shots


class CalibrationError(LabctlError):
    """A calibration constant is missing, out of range or stale: calibrate again."""


class StaleCalibration(CalibrationError):
    """A calibration that a run rests on has become too old while it goes on: what was done until then counts."""


class Drifted(StaleCalibration):
    """The bench is no longer what was calibrated: calibrate again.

    ``kind``: of the re-check that found it, which every image since the last one of its kind may suffer from; None for
    a reading, which is looked at with the interlocks.
    """

    def __init__(self, message: str, remedy: str = "", kind: str | None = None) -> None:
        super().__init__(message, remedy)
        self.kind = kind


class ProtocolError(LabctlError):
    """The parties' messages do not fit together (wrong order, wrong shape, wrong layer)."""


class RunAborted(LabctlError):
    """The run was ended by the user at a checkpoint."""


class BudgetSpent(LabctlError):
    """What leaked has come to the budget, measured worst case: the run ends at a checkpoint."""


class LedgerError(LabctlError):
    """A leakage ledger is damaged, or cannot be read or written: nothing is sent without one that counts."""


class UnsafeState(LabctlError):
    """The safe state could not be confirmed by read-back: somebody must look at the bench."""


class WatchdogError(LabctlError):
    """Nobody would switch the light off if this program died: the watchdog process is missing."""


class RecordError(LabctlError):
    """A run file cannot be written or read as such."""
