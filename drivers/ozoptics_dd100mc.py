"""OZ Optics DD-100-MC motor-driven attenuator (DD-600-MC speaks alike), one channel.

Manual: OZ Optics, "DD-100-MC/DD-600-MC Operating Instructions", section "Serial commands", as public drivers use it
(qmi, pylablib, COO ozoptics). Serial line, 9600 baud, 8N1; a command ends with CR. A reply is a few lines, the last of
which is ``Done`` or an error (``Error-2``: bad command, ``Error-5``: home sensor, ``Error-6``: out of range).

* ``CD`` configuration, with the insertion loss (``IL:``) and the largest attenuation (``MAX ATTEN:``), dB
* ``A<dB>`` set, two decimals; ``D`` position in steps and attenuation; ``H`` find the home position

**There is no shutter.** Closed is the largest attenuation; the attenuation that was set is remembered here and comes
back when it is opened. That counts as dark where the largest attenuation is at least ``dark_db``. After power-on the
attenuation is unknown until the motor has been homed: that is done with the first thing that is set, and not when the
attenuator is opened, because it moves the vane (light may pass meanwhile).

To check on a unit: what passes at the largest attenuation, and where the home position is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from drivers.connection import LineSettings
from drivers.link import told_identity
from drivers.scpi import parse_finite
from drivers.visa import VisaLibrary
from labctl.clock import Clock
from labctl.errors import ConfigError, InstrumentRefused, InstrumentReply, LimitError, WrongInstrument
from labctl.interfaces import Attenuator
from labctl.values import Identity, Range, SafeState, Scalar, Snapshot

CONFIGURATION: Final = "CD"
POSITION: Final = "D"
ATTENUATE: Final = "A{:.2f}"
HOME: Final = "H"

LAST_LINE: Final = r"Done|Error.*"
#: The motor moves meanwhile.
MOVE_TIMEOUT_S: Final = 20.0
HOME_TIMEOUT_S: Final = 40.0
#: One step of what is set and read, and half of it.
RESOLUTION_DB: Final = 0.01
CHANNEL: Final = 1


class DD100MC(Attenuator):
    """``dark_db``: from how much attenuation on the light counts as blocked."""

    channels: Sequence[int] = (CHANNEL,)

    def __init__(
        self,
        name: str,
        resource: str,
        library: VisaLibrary,
        clock: Clock,
        *,
        dark_db: float = 50.0,
    ) -> None:
        super().__init__(name)
        if dark_db <= 0:
            raise ConfigError(f"{name}: dark_db = {dark_db:g}", "Give the attenuation that counts as dark, dB.")
        line = LineSettings(write_terminator=b"\r", baud_rate=9600, last_line=LAST_LINE)
        self._line = library.connect(name, resource, line)
        self._dark_db = dark_db
        self._identity: Identity | None = None
        self._remembered_db: float | None = None
        self.attenuation_range_db = Range(0.0, 0.0, "dB")

    # ---- life ---------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, and read this unit's own limits; nothing moves."""
        self._line.open()
        try:
            configuration = self._line.identify(CONFIGURATION)
            try:
                low, high = _labelled(configuration, "IL"), _labelled(configuration, "MAX ATTEN")
            except ValueError as error:
                raise WrongInstrument(
                    self.name,
                    f"{configuration[:80]!r} answers at {self._line.resource}, which is no DD-100-MC",
                    "Correct the resource or the driver of this instrument in the bench file.",
                    command=CONFIGURATION,
                ) from error
        except BaseException:
            self._line.close()
            raise
        model = re.search(r"DD-\d+-MC[\w-]*", configuration)
        serial = re.search(r"S/?N:? ?(\S+)", configuration)
        self._identity = Identity("OZ Optics", model[0] if model else "DD-100-MC", serial[1] if serial else "")
        self.attenuation_range_db = Range(low, high, "dB")

    def close(self) -> None:
        self._line.close()

    @property
    def identity(self) -> Identity:
        return told_identity(self.name, self._identity)

    # ---- attenuation --------------------------------------------------------------------------

    def set_attenuation(self, channel: int, attenuation_db: float) -> None:
        """Rounded down to 0.01 dB. While the attenuator is closed it is remembered, and set when it is opened."""
        self._check(channel)
        if attenuation_db not in self.attenuation_range_db:
            raise LimitError(
                self.name,
                f"{attenuation_db:g} dB is outside {self.attenuation_range_db}",
                "Spread the attenuation over more channels, or change the light before it.",
            )
        wanted_db = math.floor(round(attenuation_db / RESOLUTION_DB, 6)) * RESOLUTION_DB
        wanted_db = max(wanted_db, self.attenuation_range_db.low)
        closed = self._closed()
        self._remembered_db = wanted_db
        if not closed:
            self._move(wanted_db)

    def attenuation(self, channel: int) -> float:
        """dB, as read back; while it is closed, what it will be when it is opened."""
        self._check(channel)
        actual_db = self._actual_db()
        return self._remembered_db if self._is_closed(actual_db) and self._remembered_db is not None else actual_db

    def set_shutter(self, channel: int, opened: bool) -> None:
        """The largest attenuation, or the one that was set before.

        Raises LimitError when it is to be opened and none has been set since the bench was opened.
        """
        self._check(channel)
        if not opened:
            self._close()
        elif self._closed():
            if self._remembered_db is None:
                raise LimitError(
                    self.name,
                    "is at its largest attenuation, and no other one has been set",
                    "Set the attenuation before the shutter is opened.",
                )
            self._move(self._remembered_db)

    def shutter(self, channel: int) -> bool:
        """False at the largest attenuation."""
        self._check(channel)
        return not self._closed()

    # ---- reports ------------------------------------------------------------------------------

    def safe_state(self) -> SafeState:
        """The largest attenuation; dark when it is read back, and is enough to count as dark."""
        self._close()
        actual_db = self._actual_db()
        dark = self._is_closed(actual_db) and actual_db >= self._dark_db
        problem = "" if dark else f"the light is attenuated by {actual_db:g} dB, and {self._dark_db:g} dB count as dark"
        return SafeState(self.name, dark, {"attenuation_db": actual_db}, problem)

    def snapshot(self) -> Snapshot:
        readings: dict[str, Scalar] = {
            f"attenuation_{CHANNEL}_db": self.attenuation(CHANNEL),
            f"shutter_open_{CHANNEL}": self.shutter(CHANNEL),
        }
        return readings

    def problems(self) -> Sequence[str]:
        """That the motor has not been homed; errors are told by the command that meets them."""
        return [] if self._position_db() is not None else ["the attenuation is unknown: the motor has not been homed"]

    # ---- motor --------------------------------------------------------------------------------

    def _close(self) -> None:
        actual_db = self._position_db()
        if actual_db is not None and not self._is_closed(actual_db) and self._remembered_db is None:
            self._remembered_db = actual_db
        self._move(self.attenuation_range_db.high)

    def _closed(self) -> bool:
        actual_db = self._position_db()
        return actual_db is not None and self._is_closed(actual_db)

    def _is_closed(self, actual_db: float) -> bool:
        return actual_db > self.attenuation_range_db.high - RESOLUTION_DB / 2

    def _move(self, attenuation_db: float) -> None:
        """Home where that has not been done, go there, and read back."""
        if self._position_db() is None:
            self._command(HOME, HOME_TIMEOUT_S)
        text = ATTENUATE.format(attenuation_db)
        self._command(text, MOVE_TIMEOUT_S)
        actual_db = self._actual_db()
        if abs(actual_db - attenuation_db) > 1.5 * RESOLUTION_DB:
            raise InstrumentRefused(
                self.name,
                f"was told {attenuation_db:.2f} dB and reads back {actual_db:g} dB",
                "Home the attenuator, and look at its limits.",
                command=text,
            )

    def _actual_db(self) -> float:
        actual_db = self._position_db()
        if actual_db is None:
            raise InstrumentReply(
                self.name,
                "the attenuation is unknown: the motor has not been homed",
                "Set an attenuation: that homes it first.",
                command=POSITION,
            )
        return actual_db

    def _position_db(self) -> float | None:
        """What is read back; None when the unit does not know."""
        reply = self._command(POSITION)
        if re.search(r"ATTEN:\s*unknown", reply, re.IGNORECASE):
            return None
        try:
            return _labelled(reply, "ATTEN")
        except ValueError as error:
            raise InstrumentReply(self.name, str(error), command=POSITION) from error

    # ---- line ---------------------------------------------------------------------------------

    def _command(self, text: str, timeout_s: float | None = None) -> str:
        """All lines of the reply but the last. Raises InstrumentRefused when that is an error."""
        *lines, last = self._line.query(text, timeout_s=timeout_s).split("\n")
        if last != "Done":
            raise InstrumentRefused(
                self.name, f"refused: {last}", "Compare the command with the attenuator's manual.", command=text
            )
        return "\n".join(lines)

    def _check(self, channel: int) -> None:
        if channel != CHANNEL:
            raise LimitError(self.name, f"there is no channel {channel}", "It has one: use channel 1.")


def _labelled(text: str, label: str) -> float:
    """The number behind ``label:`` at the beginning of a line, a unit behind it left out. Raises ValueError."""
    found = re.search(rf"^{label}:\s*([-+.\d]+)", text, re.IGNORECASE | re.MULTILINE)
    if found is None:
        raise ValueError(f"{text[:80]!r} has no {label}")
    return parse_finite(found[1])
