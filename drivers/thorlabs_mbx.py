"""Thorlabs MBX modulator bias controller: one electrode of a Mach-Zehnder modulator.

After Thorlabs, "MX40G user guide" (TTN116413), remote pages 6, 7, 17 and 18, whose MZM commands the MBX series has, and
public drivers of both. Serial line (USB), 115200 baud, 8N1. A query is ``HEADER?``, a command ``HEADER: value``; errors
come as text in place of a reply ("Err: Data out of range"), and there is no queue.

The guide has every command answered with 1 and replies end with LF; public drivers of the MBX read replies that end
with CR, and an answer to ``MZM:RESET`` and ``VOA:MODE`` alone. So the end of replies is found out at opening, and
behind every command the name is asked for: whatever comes before the name is the command's answer. To be checked on a
unit: that it passes over empty lines, that its name begins "THORLABS,MB" or "THORLABS,MX" (the transmitters speak
alike), that no bias is applied in mode 0.

A controller has one electrode; an IQ modulator needs one for each arm.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from drivers.connection import LineSettings
from drivers.link import told_identity
from drivers.scpi import parse_finite, parse_integer, parse_switch
from drivers.visa import VisaLibrary
from labctl.clock import Clock
from labctl.errors import (
    ConfigError,
    InstrumentRefused,
    InstrumentReply,
    InstrumentTimeout,
    LimitError,
    WrongInstrument,
)
from labctl.interfaces import BiasController
from labctl.values import Identity, Range, SafeState, Scalar, Snapshot

T = TypeVar("T")

NAME = "*IDN?"
MODE = "MZM:MODE"
OFF, MANUAL = 0, 7
#: Modes in which the controller holds something: all but off and a voltage by hand.
CONTROLLED: Final = (1, 2, 3, 4, 5, 6, 8, 9)
AUTOMATIC: Final = {"null": 2, "peak": 1, "quadrature+": 3, "quadrature-": 4}
CALIBRATING = "MZM:CALIBRATING"
SETPOINT = "MZM:SETPOINT"  # 1: at the working point
HOLD_MV = "MZM:HOLD:VOLTAGE"  # of the manual mode
BIAS_V = "MZM:VOLTAGE"
#: What else goes into a snapshot: query, key, SI multiple.
READINGS: Final = (
    ("MZM:TAP:MW", "tap_power_w", 1e-3),
    ("MZM:Dither:AMPL", "dither_vpp", 1e-3),
    ("MZM:Dither:FREQ", "dither_hz", 1.0),
    (HOLD_MV, "hold_voltage_v", 1e-3),
)
#: Ends of replies, in the order in which they are tried.
ENDS: Final = (b"\n", b"\r")
POLL_S: Final = 0.2
STEP_V: Final = 1e-3


class MBX(BiasController):
    """``lock_timeout_s``: how long a calibration, or the search for a working point, may take by the bench's clock."""

    points = tuple(AUTOMATIC)
    bias_range_v = Range(-10.0, 10.0, "V")

    def __init__(
        self, name: str, resource: str, library: VisaLibrary, clock: Clock, *, lock_timeout_s: float = 60.0
    ) -> None:
        super().__init__(name)
        if lock_timeout_s <= 0:
            raise ConfigError(f"{name}: lock_timeout_s = {lock_timeout_s:g}", "Give a positive time.")
        self._lines = [
            library.connect(name, resource, LineSettings(end, b"\n", timeout_s=1.0, baud_rate=115200)) for end in ENDS
        ]
        self._line = self._lines[0]
        self._clock = clock
        self._lock_timeout_s = lock_timeout_s
        self._turn = threading.RLock()
        self._owed = False
        self._told = ""
        self._identity: Identity | None = None

    # ---- life ---------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, find out how replies end, and check who answers."""
        with self._turn:
            self._told = self._connected()
            fields = [field.strip() for field in self._told.split(",")]
            if len(fields) != 4 or not re.match("THORLABS,M[BX]", f"{fields[0]},{fields[1]}".upper()):
                self.close()
                raise WrongInstrument(
                    self.name,
                    f"{self._told[:80]!r} answers at {self._line.resource}, which is no MBX",
                    "Correct the resource or the driver of this instrument in the bench file.",
                    command=NAME,
                )
            self._identity = Identity(*fields)
            self._owed = False

    def _connected(self) -> str:
        """What it says to the first question, on the line that can read it."""
        for line in self._lines:
            self._line = line
            line.open()
            try:
                return line.identify(NAME)
            except InstrumentTimeout:
                line.close()
                if line is self._lines[-1]:
                    raise
            except BaseException:
                line.close()
                raise
        raise AssertionError("there are ends to try")

    def close(self) -> None:
        self._owed = False
        for line in self._lines:
            line.close()

    @property
    def identity(self) -> Identity:
        return told_identity(self.name, self._identity)

    # ---- bias ---------------------------------------------------------------------------------

    def lock(self, point: str) -> None:
        """Raises InstrumentTimeout also for a calibration that does not end."""
        if point not in AUTOMATIC:
            raise LimitError(self.name, f"there is no working point {point!r}", f"Use one of {', '.join(AUTOMATIC)}.")
        self._set_mode(AUTOMATIC[point])
        self._wait(self._at_point, f"has not found the working point {point}")

    def locked(self) -> bool:
        """False while it calibrates, too."""
        return not self._calibrating() and self._whole(MODE) in CONTROLLED and self._at_point()

    def bias_voltages(self) -> Sequence[float]:
        return (self._number(BIAS_V),)

    def hold(self, voltages: Sequence[float]) -> None:
        """To the millivolt."""
        if len(voltages) != 1:
            raise LimitError(self.name, f"{len(voltages)} voltages for one electrode", "Give one voltage.")
        (voltage,) = voltages
        if not math.isfinite(voltage) or voltage not in self.bias_range_v:
            raise LimitError(
                self.name, f"a bias of {voltage:g} V is outside {self.bias_range_v}", "Choose an equivalent voltage."
            )
        self._wait(lambda: not self._calibrating(), "is still calibrating")
        self._tell(HOLD_MV, str(round(voltage * 1e3)))
        got = self._number(HOLD_MV) * 1e-3
        if abs(got - voltage) > STEP_V:
            raise self._disobeyed(HOLD_MV, f"{voltage:g} V", f"{got:g} V")
        self._set_mode(MANUAL)

    def off(self) -> None:
        self._set_mode(OFF)

    def _set_mode(self, mode: int) -> None:
        self._wait(lambda: not self._calibrating(), "is still calibrating")
        self._tell(MODE, str(mode))
        got = self._whole(MODE)
        if got != mode:
            raise self._disobeyed(MODE, str(mode), str(got))

    def _calibrating(self) -> bool:
        return self._asked(CALIBRATING, parse_switch)

    def _at_point(self) -> bool:
        return self._asked(SETPOINT, parse_switch)

    def _wait(self, reached: Callable[[], bool], otherwise: str) -> None:
        end = self._clock.now() + self._lock_timeout_s
        while not reached():
            if self._clock.now() >= end:
                raise InstrumentTimeout(
                    self.name,
                    f"{otherwise} after {self._lock_timeout_s:g} s",
                    "See that light passes the modulator and that the tap and the bias electrode are connected.",
                )
            self._clock.wait(POLL_S)

    # ---- reports ------------------------------------------------------------------------------

    def safe_state(self) -> SafeState:
        """Off; dark when mode 0 is read back."""
        self.off()
        mode = self._whole(MODE)
        readings: dict[str, Scalar] = {"mode": mode, "bias_v": self._number(BIAS_V)}
        return SafeState(self.name, mode == OFF, readings, "" if mode == OFF else f"still in mode {mode}")

    def snapshot(self) -> Snapshot:
        """While it calibrates, only that."""
        if self._calibrating():
            return {"calibrating": True}
        readings: dict[str, Scalar] = {
            "calibrating": False,
            "mode": self._whole(MODE),
            "at_setpoint": self._at_point(),
            "measured_bias_v": self._number(BIAS_V),
        }
        for query, key, multiple in READINGS:
            readings[key] = self._number(query) * multiple
        return readings

    def problems(self) -> Sequence[str]:
        """A working point that is not held."""
        if self._calibrating() or self._whole(MODE) not in CONTROLLED or self._at_point():
            return []
        return ["the modulator is not at its working point"]

    # ---- line ---------------------------------------------------------------------------------

    def _tell(self, header: str, value: str) -> None:
        """Send a command; its answer is what comes before the name. Raises InstrumentRefused for an error."""
        command = f"{header}: {value}"
        with self._turn:
            self._settle_debt()
            self._owed = True
            answer = self._line.write_then_query((command,), NAME)
            if answer != self._told:
                rest = self._line.query("")  # an empty line, for the name that is still to come
                if rest != self._told:
                    raise InstrumentReply(
                        self.name, f"{answer[:40]!r} and {rest[:40]!r} came, and not its name", command=command
                    )
            self._owed = False
        if answer not in (self._told, "1"):
            raise self._refused(answer, command)

    def _asked(self, header: str, parse: Callable[[str], T]) -> T:
        query = header + "?"
        with self._turn:
            self._settle_debt()
            reply = self._line.query(query)
        if reply.upper().startswith("ERR"):
            raise self._refused(reply, query)
        try:
            return parse(reply)
        except ValueError as error:
            raise InstrumentReply(self.name, str(error), command=query) from error

    def _settle_debt(self) -> None:
        """An answer of the last command may still be under way: begin anew on this line."""
        if self._owed and self._identity is not None:
            self._line.close()
            self._line.open()
            if self._line.identify(NAME) != self._told:
                raise WrongInstrument(self.name, "another instrument answers than before", command=NAME)
            self._owed = False

    def _number(self, header: str) -> float:
        return self._asked(header, parse_finite)

    def _whole(self, header: str) -> int:
        return self._asked(header, parse_integer)

    def _refused(self, reply: str, command: str) -> InstrumentRefused:
        return InstrumentRefused(
            self.name, f"refused: {reply[:80]}", "Compare the command with the unit's state and guide.", command=command
        )

    def _disobeyed(self, header: str, wanted: str, got: str) -> InstrumentRefused:
        return InstrumentRefused(
            self.name, f"was told {wanted} and reads back {got}", "Look at the unit's display.", command=header
        )
