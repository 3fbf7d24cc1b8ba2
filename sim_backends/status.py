"""Errors of a text-controlled instrument and its status model (IEEE 488.2-1992 section 11,
SCPI-1999 volume 1 chapter 9).
"""

from __future__ import annotations

from collections import deque
from typing import Final

#: SCPI-1999 volume 2, chapter 21.8.
ERROR_TEXTS: Final = {
    -100: "Command error",
    -101: "Invalid character",
    -102: "Syntax error",
    -103: "Invalid separator",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -114: "Header suffix out of range",
    -120: "Numeric data error",
    -131: "Invalid suffix",
    -138: "Suffix not allowed",
    -148: "Character data not allowed",
    -151: "Invalid string data",
    -161: "Invalid block data",
    -200: "Execution error",
    -203: "Command protected",
    -211: "Trigger ignored",
    -213: "Init ignored",
    -220: "Parameter error",
    -221: "Settings conflict",
    -222: "Data out of range",
    -223: "Too much data",
    -224: "Illegal parameter value",
    -230: "Data corrupt or stale",
    -241: "Hardware missing",
    -256: "File name not found",
    -300: "Device-specific error",
    -310: "System error",
    -350: "Queue overflow",
    -363: "Input buffer overrun",
    -400: "Query error",
    -410: "Query INTERRUPTED",
    -420: "Query UNTERMINATED",
    -430: "Query DEADLOCKED",
}

# Standard event status register
OPERATION_COMPLETE: Final = 1
QUERY_ERROR: Final = 4
DEVICE_ERROR: Final = 8
EXECUTION_ERROR: Final = 16
COMMAND_ERROR: Final = 32
POWER_ON: Final = 128

# Status byte
ERROR_AVAILABLE: Final = 4
QUESTIONABLE_SUMMARY: Final = 8
MESSAGE_AVAILABLE: Final = 16
EVENT_SUMMARY: Final = 32
MASTER_SUMMARY: Final = 64
OPERATION_SUMMARY: Final = 128


class ScpiError(Exception):
    """Raised by a command's handler to queue an error: ``raise ScpiError(-222)``.

    ``code``: SCPI number, or the maker's own (positive). ``detail``: added after the standard text,
    or the whole text of a maker's own code.
    """

    def __init__(self, code: int, detail: str = "") -> None:
        standard = ERROR_TEXTS.get(code, "")
        self.code = code
        self.text = ";".join(part for part in (standard, detail) if part) or "Device error"
        super().__init__(f"{code}, {self.text}")

    @property
    def event(self) -> int:
        """The bit of the standard event status register that goes with the code."""
        if -199 <= self.code <= -100:
            return COMMAND_ERROR
        if -299 <= self.code <= -200:
            return EXECUTION_ERROR
        if -499 <= self.code <= -400:
            return QUERY_ERROR
        return DEVICE_ERROR


class EventRegister:
    """Condition, event and enable registers of one SCPI status group; positive transitions latch
    events.
    """

    def __init__(self) -> None:
        self.condition = 0
        self.event = 0
        self.enable = 0

    def set_condition(self, condition: int) -> None:
        """Bits that rise become events."""
        self.event |= condition & ~self.condition
        self.condition = condition

    def latch(self, bits: int) -> None:
        """An event without a lasting condition."""
        self.event |= bits

    def read_event(self) -> int:
        """Reading clears."""
        event, self.event = self.event, 0
        return event

    @property
    def summary(self) -> bool:
        return bool(self.event & self.enable)


class Status:
    """Error queue, standard event register and status byte of one instrument, shared by all its
    connections.
    """

    def __init__(self, queue_size: int = 30) -> None:
        self._size = queue_size
        self._errors: deque[tuple[int, str]] = deque()
        self.event = POWER_ON
        self.event_enable = 0
        self.service_enable = 0
        self.operation = EventRegister()
        self.questionable = EventRegister()

    @property
    def queue_size(self) -> int:
        """Places of the error queue."""
        return self._size

    def report(self, error: ScpiError) -> None:
        """Queue an error; the last place of a full queue becomes -350 (SCPI-1999 volume 2, 21.8.1)."""
        self.event |= error.event
        if len(self._errors) < self._size:
            self._errors.append((error.code, error.text))
        else:
            self._errors[-1] = (-350, ERROR_TEXTS[-350])
            self.event |= DEVICE_ERROR

    def next_error(self) -> tuple[int, str]:
        """Oldest first; (0, "No error") from an empty queue."""
        return self._errors.popleft() if self._errors else (0, "No error")

    @property
    def error_count(self) -> int:
        return len(self._errors)

    def read_event(self) -> int:
        """``*ESR?``: reading clears."""
        event, self.event = self.event, 0
        return event

    def clear(self) -> None:
        """``*CLS``: events and errors, not enables."""
        self._errors.clear()
        self.event = self.operation.event = self.questionable.event = 0

    def preset(self) -> None:
        """``STATus:PRESet``."""
        self.operation.enable = self.questionable.enable = 0

    def byte(self, message_available: bool) -> int:
        """The status byte; ``message_available``: an answer waits in the asking connection's output
        queue.
        """
        value = (
            (ERROR_AVAILABLE if self._errors else 0)
            | (QUESTIONABLE_SUMMARY if self.questionable.summary else 0)
            | (MESSAGE_AVAILABLE if message_available else 0)
            | (EVENT_SUMMARY if self.event & self.event_enable else 0)
            | (OPERATION_SUMMARY if self.operation.summary else 0)
        )
        return value | (MASTER_SUMMARY if value & self.service_enable else 0)
