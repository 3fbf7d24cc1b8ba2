"""Thorlabs OSWxx-yyyyE MEMS optical switch, 1x2 or 2x2.

After public drivers (there is a table of commands in the manual of the OSW22-1310E). Serial line (USB), 115200 baud,
8N1; commands end with LF, replies with CR LF. ``S 1`` is the bar state, ``S 2`` the cross state, without answer; ``S?``
tells which, ``I?`` the board's name and firmware, ``T?`` its type code. There is no ``*IDN?`` and no error report, so
what is set is read back until it is there. To be checked on a unit: RTS/CTS, which those drivers switch on, is left off
here (messages are shorter than any buffer).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from drivers.connection import LineSettings
from drivers.link import told_identity
from drivers.scpi import parse_integer
from drivers.visa import VisaLibrary
from labctl.clock import Clock
from labctl.errors import ConfigError, InstrumentRefused, InstrumentReply, LimitError, WrongInstrument
from labctl.interfaces import OpticalSwitch
from labctl.values import Identity, SafeState, Snapshot

BOARD = "I?"
TYPE_CODE = "T?"
POSITION = "S?"
POLL_S: Final = 0.01


class OSW(OpticalSwitch):
    """``settle_timeout_s``: how long switching may take, by the bench's clock."""

    positions = 2

    def __init__(
        self, name: str, resource: str, library: VisaLibrary, clock: Clock, *, settle_timeout_s: float = 3.0
    ) -> None:
        super().__init__(name)
        if settle_timeout_s <= 0:
            raise ConfigError(f"{name}: settle_timeout_s = {settle_timeout_s:g}", "Give a positive time.")
        self._line = library.connect(name, resource, LineSettings(timeout_s=1.0, baud_rate=115200))
        self._clock = clock
        self._settle_timeout_s = settle_timeout_s
        self._identity: Identity | None = None

    # ---- life ---------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, and check that it tells a board's name and a position."""
        self._line.open()
        try:
            board = self._line.identify(BOARD).strip()
            told = self._line.query(POSITION).strip()
            if not board or told not in ("1", "2"):
                raise WrongInstrument(
                    self.name,
                    f"{board[:40]!r} answers at {self._line.resource} and gives {told[:40]!r} as its position",
                    "Correct the resource or the driver of this instrument in the bench file.",
                    command=POSITION,
                )
        except BaseException:
            self._line.close()
            raise
        self._identity = Identity("Thorlabs", board, "")

    def close(self) -> None:
        self._line.close()

    @property
    def identity(self) -> Identity:
        """No serial number: the line tells none."""
        return told_identity(self.name, self._identity)

    # ---- position -----------------------------------------------------------------------------

    def set_position(self, position: int) -> None:
        """Raises InstrumentRefused when it does not get there in time."""
        if position not in range(1, self.positions + 1):
            raise LimitError(self.name, f"there is no position {position}", f"Use 1 to {self.positions}.")
        command = f"S {position}"
        self._line.write(command)
        end = self._clock.now() + self._settle_timeout_s
        while (got := self.position()) != position:
            if self._clock.now() >= end:
                raise InstrumentRefused(
                    self.name,
                    f"was told to go to {position} and is at {got} after {self._settle_timeout_s:g} s",
                    "Check its supply; it may be worn out.",
                    command=command,
                )
            self._clock.wait(POLL_S)

    def position(self) -> int:
        reply = self._line.query(POSITION)
        try:
            position = parse_integer(reply)
        except ValueError as error:
            raise InstrumentReply(self.name, str(error), command=POSITION) from error
        if position not in range(1, self.positions + 1):
            raise InstrumentReply(self.name, f"there is no position {position}", command=POSITION)
        return position

    # ---- reports ------------------------------------------------------------------------------

    def safe_state(self) -> SafeState:
        return SafeState(self.name, True, {"position": self.position()})

    def snapshot(self) -> Snapshot:
        return {"position": self.position(), "type_code": self._line.query(TYPE_CODE).strip()}

    def problems(self) -> Sequence[str]:
        """It tells none; asked for its position, it shows that it is there."""
        self.position()
        return []
