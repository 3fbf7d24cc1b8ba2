"""Amonics AEDFA erbium-doped fibre amplifier.

Manual: Amonics, "AEDFA Programming Manual", version 2.08. Serial line, 19200 baud, 8N1, no flow
control; commands begin with ":" and end with CR LF, and so do replies. At least 50 ms must pass
between two commands.

There is no ``*IDN?`` and no error queue: a command has no reply, and a query that a unit does not
support stays silent. So everything that is set is read back here. To emit, the channel
(``:DRIV:ACC:STAT:CH<n>``) goes on before the master switch (``:DRIV:MCTRL``), and off after it;
both report 2 while they are busy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from drivers.connection import LineSettings
from drivers.link import told_identity
from drivers.pace import Pace
from drivers.scpi import format_real, parse_finite, parse_integer
from drivers.visa import VisaLibrary
from labctl.clock import Clock
from labctl.errors import (
    ConfigError,
    InstrumentRefused,
    InstrumentReply,
    InstrumentTimeout,
    InterlockError,
    LimitError,
    WrongInstrument,
)
from labctl.interfaces import Amplifier
from labctl.values import Identity, Range, SafeState, Scalar, Snapshot

T = TypeVar("T")

MODEL = ":CAL:SYS:MODEL"
SERIAL = ":CAL:SYS:SERIAL"
MODE = ":MODE:SW:CH{}"  # ACC: constant current, APC: constant power
CURRENT_MA = ":DRIV:ACC:CUR:CH{}"  # set point
CURRENT_MIN_MA = ":READ:DRIV:MIN:ACC:CH{}"
CURRENT_MAX_MA = ":READ:DRIV:MAX:ACC:CH{}"
CURRENT_STEP_MA = ":READ:DRIV:STEP:ACC:CH{}"
CHANNEL = ":DRIV:ACC:STAT:CH{}"  # 0 off, 1 on, 2 busy, 4 locked
MASTER = ":DRIV:MCTRL"  # 0 off, 1 on, 2 busy
INTERLOCK = ":DRIV:INTERLOCK"  # 1: open, emission blocked
SENSED_CURRENT_MA = ":SENS:CUR:CH{}"
#: What a unit may or may not have, with the name and the SI multiple of the reading in a snapshot.
OPTIONAL_READINGS: Final = {
    ":SENS:POW:IN:CH{}": ("input_power_w", 1e-3),
    ":SENS:POW:OUT:CH{}": ("output_power_w", 1e-3),
    ":SENS:TEMP:BOX": ("box_temperature_c", 1.0),
}
#: Alarms that a unit may or may not have: 1 means trouble.
ALARMS: Final = {
    ":SENS:THRES:ALARM:POW:IN:LOS:CH{}": "loss of input signal",
    ":SENS:THRES:ALARM:CUR:OVER:CH{}": "pump current too high",
    ":SENS:THRES:ALARM:TEMP:BOX": "box temperature",
    ":SENS:THRES:ALARM:VOLT:PS": "supply voltage",
}

OFF, ON, BUSY, LOCKED = 0, 1, 2, 4
SPACING_S: Final = 0.05
POLL_S: Final = 0.1


class AEDFA(Amplifier):
    """``channel``: the pump used. ``settle_timeout_s``: how long switching may take, by the bench's
    clock.
    """

    def __init__(
        self,
        name: str,
        resource: str,
        library: VisaLibrary,
        clock: Clock,
        *,
        channel: int = 1,
        settle_timeout_s: float = 30.0,
    ) -> None:
        super().__init__(name)
        line = LineSettings(write_terminator=b"\r\n", timeout_s=1.0, baud_rate=19200)
        self._line = library.connect(name, resource, line, Pace(clock, SPACING_S))
        self._clock = clock
        self._channel = channel
        if channel < 1 or settle_timeout_s <= 0:
            raise ConfigError(
                f"{name}: channel = {channel}, settle_timeout_s = {settle_timeout_s:g}",
                "Channels count from 1; give a positive time.",
            )
        self._settle_timeout_s = settle_timeout_s
        self._identity: Identity | None = None
        self._step_ma = 0.0
        self._fitted: dict[str, bool] = {}
        self.pump_range_a = Range(0.0, 0.0, "A")

    # ---- life ---------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, check the model, and read the pump's limits."""
        self._line.open()
        try:
            model = self._line.identify(MODEL + "?").strip()
            if not model.upper().startswith("AEDFA"):
                raise WrongInstrument(
                    self.name,
                    f"{model[:80]!r} answers at {self._line.resource}, which is no AEDFA",
                    "Correct the resource or the driver of this instrument in the bench file.",
                    command=MODEL + "?",
                )
            self._identity = Identity("Amonics", model, self._ask(SERIAL).strip())
            low, high = self._number(CURRENT_MIN_MA), self._number(CURRENT_MAX_MA)
            self._step_ma = self._number(CURRENT_STEP_MA)
        except BaseException:
            self._line.close()
            raise
        self.pump_range_a = Range(low * 1e-3, high * 1e-3, "A")

    def close(self) -> None:
        self._line.close()

    @property
    def identity(self) -> Identity:
        return told_identity(self.name, self._identity)

    # ---- pump ---------------------------------------------------------------------------------

    def set_pump(self, current_a: float) -> None:
        if current_a not in self.pump_range_a:
            raise LimitError(
                self.name,
                f"a pump current of {current_a:g} A is outside {self.pump_range_a}",
                "Choose a gain that the amplifier's pump calibration covers.",
            )
        wanted_ma = current_a * 1e3
        self._tell(CURRENT_MA, format_real(wanted_ma))
        got_ma = self._number(CURRENT_MA)
        if abs(got_ma - wanted_ma) > max(self._step_ma, 1e-6 * abs(wanted_ma)):
            raise self._disobeyed(CURRENT_MA, f"{wanted_ma:g} mA", f"{got_ma:g} mA")

    def pump(self) -> float:
        return self._number(CURRENT_MA) * 1e-3

    def set_emission(self, on: bool) -> None:
        """Channel before master when switching on, master before channel when switching off.

        Raises InterlockError when the loop is open, InstrumentRefused when the unit does not end up
        as told, InstrumentTimeout when it stays busy.
        """
        if on:
            if self.interlock_open():
                raise InterlockError(
                    f"{self.name}: the interlock loop is open, the pump cannot be switched on",
                    "Close the loop (cover, key, connector), make sure that nobody is exposed, and arm again.",
                )
            self._use_constant_current()
        for command in (CHANNEL, MASTER) if on else (MASTER, CHANNEL):
            self._tell(command, "1" if on else "0")
            self._settle(command, ON if on else OFF)

    def emission(self) -> bool:
        """Whether pump light may flow: channel and master are not both known to be off."""
        return self._whole(MASTER) != OFF and self._whole(CHANNEL) in (ON, BUSY)

    def interlock_open(self) -> bool:
        return self._whole(INTERLOCK) != 0

    def _use_constant_current(self) -> None:
        if self._ask(MODE).strip().upper() != "ACC":
            self._tell(MODE, "ACC")
            got = self._ask(MODE).strip().upper()
            if got != "ACC":
                raise self._disobeyed(MODE, "ACC", got)

    def _settle(self, command: str, wanted: int) -> None:
        end = self._clock.now() + self._settle_timeout_s
        state = self._whole(command)
        while state == BUSY:
            if self._clock.now() >= end:
                raise InstrumentTimeout(
                    self.name,
                    f"is still busy after {self._settle_timeout_s:g} s",
                    "Look at the amplifier's front panel for alarms.",
                    command=self._text(command),
                )
            self._clock.wait(POLL_S)
            state = self._whole(command)
        if state != wanted:
            raise self._disobeyed(command, str(wanted), "locked" if state == LOCKED else str(state))

    # ---- reports ------------------------------------------------------------------------------

    def safe_state(self) -> SafeState:
        """Master and channel off; dark when both are read back so."""
        for command in (MASTER, CHANNEL):
            self._tell(command, "0")
        problem = ""
        try:
            for command in (MASTER, CHANNEL):
                self._settle(command, OFF)
        except (InstrumentRefused, InstrumentTimeout) as error:
            problem = str(error)
        master, channel = self._whole(MASTER), self._whole(CHANNEL)
        dark = master == OFF and channel in (OFF, LOCKED)
        return SafeState(
            self.name,
            dark,
            {"master": master, "channel": channel},
            "" if dark else problem or "the pump is not off",
        )

    def snapshot(self) -> Snapshot:
        readings: dict[str, Scalar] = {
            "pump_a": self.pump(),
            "sensed_pump_a": self._number(SENSED_CURRENT_MA) * 1e-3,
            "mode": self._ask(MODE).strip(),
            "channel": self._whole(CHANNEL),
            "master": self._whole(MASTER),
            "interlock_open": self.interlock_open(),
        }
        for command, (key, multiple) in OPTIONAL_READINGS.items():
            value = self._if_fitted(command, self._number)
            if value is not None:
                readings[key] = value * multiple
        return readings

    def problems(self) -> Sequence[str]:
        """Alarms that are on, and an open interlock."""
        found = ["the interlock loop is open"] if self.interlock_open() else []
        for command, meaning in ALARMS.items():
            if self._if_fitted(command, self._whole) == 1:
                found.append(f"alarm: {meaning}")
        return found

    # ---- line ---------------------------------------------------------------------------------

    def _text(self, command: str) -> str:
        return command.format(self._channel)

    def _ask(self, command: str) -> str:
        return self._line.query(self._text(command) + "?")

    def _tell(self, command: str, value: str) -> None:
        self._line.write(f"{self._text(command)} {value}")

    def _number(self, command: str) -> float:
        return self._parsed(command, parse_finite)

    def _whole(self, command: str) -> int:
        return self._parsed(command, parse_integer)

    def _parsed(self, command: str, parse: Callable[[str], T]) -> T:
        reply = self._ask(command)
        try:
            return parse(reply)
        except ValueError as error:
            raise InstrumentReply(self.name, str(error), command=self._text(command) + "?") from error

    def _if_fitted(self, command: str, ask: Callable[[str], T]) -> T | None:
        """None for a query that this unit has once left without an answer."""
        if not self._fitted.get(command, True):
            return None
        try:
            value = ask(command)
        except InstrumentTimeout:
            if self._fitted.get(command):  # it did answer before: that is no missing option
                raise
            self._fitted[command] = False
            return None
        self._fitted[command] = True
        return value

    def _disobeyed(self, command: str, wanted: str, got: str) -> InstrumentRefused:
        return InstrumentRefused(
            self.name,
            f"was told {wanted} and reads back {got}",
            "Look at the amplifier's front panel for alarms, limits and the interlock.",
            command=self._text(command),
        )
