"""First questions to whoever stands at a resource, each put once, however many drivers want to put it.

A driver that is opened on an :class:`Ear` instead of a library hears the answer to its first question (what it
identifies its instrument by) and may turn it down; the instrument hears nothing else. A driver that does not, and asks
more, is worth being opened in earnest: :class:`WantsMore` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from drivers.connection import LineSettings, VisaConnection
from drivers.pace import Pace
from drivers.visa import VisaLibrary
from labctl.clock import Clock, SystemClock
from labctl.errors import InstrumentError, InstrumentLost, InstrumentReply, InstrumentTimeout, LabctlError

#: The question that asks for nothing but a name (IEEE 488.2, 10.14), and is safe to put to anybody.
NAME: Final = "*IDN?"
_FIELDS_OF_A_NAME: Final = 4
#: How long an answer may take, twice that for the first of a resource; in process they come at once or never.
ANSWER_S: Final = 1.0
SERIAL_ANSWER_S: Final = 0.5
IN_PROCESS_ANSWER_S: Final = 0.05
#: For all questions to one resource together.
PATIENCE_S: Final = 10.0
#: On a serial line, for what another driver's question leads to.
_QUIET_S: Final = 0.1


class WantsMore(LabctlError):
    """The driver does not turn the first answer down."""


@dataclass
class Ear:
    """What one resource answered so far; stands in for the library when drivers are asked whether they know it."""

    library: VisaLibrary
    resource: str
    #: Why it cannot be reached: the line does not open, or breaks before anything was heard.
    lost: InstrumentLost | None = None
    #: What came, in words, and whether it was a name.
    answers: list[str] = field(default_factory=list)
    named: bool = False
    #: Questions that were left out because the time was up.
    left_out: int = 0
    #: Drivers that could not even be tried.
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._clock = SystemClock()
        self._end = self._clock.now() + PATIENCE_S
        self._serial = self.resource.upper().startswith("ASRL")
        self._heard: dict[object, str | InstrumentError] = {}

    def connect(
        self, name: str, resource: str, settings: LineSettings | None = None, pace: Pace | None = None
    ) -> _Heard:
        """A line on which nothing is said that was said before."""
        return _Heard(self, name, resource, settings or LineSettings(), pace)

    def clock(self) -> Clock:
        return self.library.clock()

    def ask(self, text: str, settings: LineSettings, pace: Pace | None) -> str:
        """The answer to a first question. Raises what the line raised when it was put."""
        line = replace(settings, timeout_s=0.0, baud_rate=settings.baud_rate if self._serial else None)
        key = text, line
        if key not in self._heard:
            try:
                self._heard[key] = self._put(text, settings, pace)
            except InstrumentError as error:
                self._heard[key] = error
        heard = self._heard[key]
        if isinstance(heard, InstrumentError):
            raise heard
        return heard

    def _put(self, text: str, settings: LineSettings, pace: Pace | None) -> str:
        if self.named and text.upper() != NAME:
            raise InstrumentReply(self.resource, "has told its name, so it is asked nothing else", command=text)
        if self._clock.now() >= self._end:
            self.left_out += 1
            raise InstrumentTimeout(self.resource, "was not asked: the time was up", command=text)
        limited = replace(settings, timeout_s=min(settings.timeout_s, self._answer_s()))
        line = self.library.connect(self.resource, self.resource, limited, pace)
        try:
            line.open()
            if self._serial and self._heard:
                self._flush(line)
            return self._noted(text, line.query(text))
        except InstrumentTimeout:
            raise
        except InstrumentLost as error:
            self.lost = self.lost or (None if self.answers else error)
            raise
        except InstrumentReply as error:
            self.answers.append(error.message.removeprefix(f"{self.resource}: "))
            raise
        finally:
            line.close()

    def _answer_s(self) -> float:
        if self.library.simulated:
            return IN_PROCESS_ANSWER_S
        return (SERIAL_ANSWER_S if self._serial else ANSWER_S) * (1 if self._heard else 2)

    def _flush(self, line: VisaConnection) -> None:
        """End what a serial instrument may take for the beginning of a command, and pass over what it says to that."""
        line.write("")
        self.library.clock().wait(_QUIET_S)
        line.close()
        line.open()

    def _noted(self, text: str, reply: str) -> str:
        self.answers.append(f"{reply[:80]!r} is what it says")
        self.named |= text.upper() == NAME and len(reply.split(",")) == _FIELDS_OF_A_NAME
        return reply


class _Heard:
    """What a driver takes for its line."""

    generation = 0

    def __init__(self, ear: Ear, name: str, resource: str, settings: LineSettings, pace: Pace | None) -> None:
        self.name, self.resource, self.settings = name, resource, settings
        self.identify: Callable[[str], str] = lambda text: ear.ask(text, settings, pace)

    def open(self) -> None:
        """There is nothing to open."""

    def close(self) -> None:
        """There is nothing to close."""

    def _more(self, *parts: object, **options: Any) -> Any:
        raise WantsMore(f"{self.name}: more is asked", "Open the driver on the library itself.")

    write = query = write_then_query = query_block = query_array = _more
