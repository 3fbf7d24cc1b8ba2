"""The control instrument of a simulated lab, resource ``SIM``, and the clock it keeps.

No real bench has one. It answers in SCPI: ``:RESet <seed>``, ``:KEY a,b,...``, ``:CLOCk
STEPped|REAL``, ``:TIME?``, ``:TIME:ADVance <seconds>``, ``:TIME:PASS? <seconds>``, ``:FAULt "<instrument>",<fault>``,
``:FAULt:CLEar``, ``:ATTack <kind>,<strength>``, ``:ATTack?``, and ``:SYSTem:ERRor?``.
"""

from __future__ import annotations

from typing import Protocol

from drivers.scpi import format_real, parse_error_entry, parse_finite, parse_integer
from labctl.clock import SystemClock
from labctl.errors import InstrumentRefused, InstrumentReply, WrongInstrument

#: Names of attacks on the light -> what the control instrument calls them.
ATTACKS = {
    "all-modes": "ALLModes",
    "resend": "RESend",
    "tap": "TAP",
    "substitution": "SUBStitution",
    "injection": "INJection",
}
_ERROR_QUERY = ":SYSTem:ERRor?"


class ControlLine(Protocol):
    """The part of a connection that is used here."""

    name: str

    def write(self, *parts: str) -> None: ...

    def query(self, *parts: str) -> str: ...

    def write_then_query(self, parts: tuple[str, ...], query: str) -> str: ...

    def identify(self, query: str) -> str: ...

    def close(self) -> None: ...


class SimControl:
    """See labctl.interfaces.SimulationControl. Methods raise InstrumentRefused with what the lab
    said against it.

    ``remote``: what is written to other instruments afterwards could arrive before what was written here, so every
    command waits until it has been obeyed.
    """

    def __init__(self, line: ControlLine, remote: bool = False) -> None:
        self._line = line
        self._remote = remote

    def identify(self) -> None:
        """Raises WrongInstrument when a simulated lab's control instrument is not what answers."""
        reply = self._line.identify("*IDN?")
        if not reply.startswith("LABCTL,SIM,"):
            raise WrongInstrument(
                self._line.name,
                f"{reply[:80]!r} answers, which is no control instrument of a simulated lab",
                "Mend simulated_control in the bench file; labctl sim serve prints it.",
            )

    def reset(self, seed: int) -> None:
        self._command(f":RESet {seed}")

    def set_draw_key(self, *key: int) -> None:
        """In process sent without waiting for an answer, since it precedes every acquisition."""
        text = ":KEY " + ",".join(map(str, key))
        if self._remote:
            self._command(text)
        else:
            self._line.write(text)

    def set_stepped_clock(self, stepped: bool) -> None:
        self._command(":CLOCk " + ("STEPped" if stepped else "REAL"))

    def now(self) -> float:
        return self._number(":TIME?")

    def pass_time(self, seconds: float) -> float:
        """Wind a stepped clock forward; the seconds that are left to be waited for."""
        return self._number(f":TIME:PASS? {format_real(seconds)}")

    def _number(self, query: str) -> float:
        reply = self._line.query(query)
        try:
            return parse_finite(reply)
        except ValueError as error:
            raise InstrumentReply(self._line.name, str(error), command=query) from error

    def advance(self, seconds: float) -> None:
        self._command(f":TIME:ADVance {format_real(seconds)}")

    def inject_fault(self, unit: str, fault: str) -> None:
        self._command(f':FAULt "{unit}",{fault}')

    def clear_faults(self) -> None:
        self._command(":FAULt:CLEar")

    def mount_attack(self, kind: str, strength: float) -> None:
        self._command(f":ATTack {ATTACKS[kind]},{format_real(strength)}")

    def attacker_learned(self) -> tuple[int, float]:
        reply = self._line.query(":ATTack?")
        try:
            _, _, samples, bits = reply.split(",")
            return parse_integer(samples), parse_finite(bits)
        except ValueError as error:
            raise InstrumentReply(self._line.name, str(error), command=":ATTack?") from error

    def close(self) -> None:
        self._line.close()

    def _command(self, text: str) -> None:
        reply = self._line.write_then_query((text,), _ERROR_QUERY)
        try:
            entry = parse_error_entry(reply)
        except ValueError as error:
            raise InstrumentReply(self._line.name, str(error), command=_ERROR_QUERY) from error
        if entry.code != 0:
            raise InstrumentRefused(self._line.name, str(entry), command=text)


class SimClock:
    """The simulated lab's time. Waiting really waits, except in stepped mode, where it winds the
    lab forward.
    """

    def __init__(self, control: SimControl) -> None:
        self._control = control

    def now(self) -> float:
        return self._control.now()

    def wait(self, seconds: float) -> None:
        if seconds > 0:
            SystemClock().wait(self._control.pass_time(seconds))
