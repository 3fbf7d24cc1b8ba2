"""ID Photonics CoBrite DX tunable laser (DX1, DX2, DX4 and MX speak alike).

Manual: ID Photonics, "CoBrite DX User Manual", chapter "Command reference", and the maker's client for Python (PyPI
``cobrite``). LAN: TCP port 2000. A command ends with ";", and so does a reply; what is set is acknowledged by an empty
reply, an error is the reply itself (``ERR 100, unknown command``), and there is no error queue.

A laser is addressed by chassis, slot and device, ``1,1,1`` in a unit with one. Frequencies travel in THz with four
decimals (100 MHz), powers in dBm with two. A command is acknowledged at once; the laser tunes for seconds after it, and
says so by ``BUSY?``. The fine-tuning offset is taken off with every wavelength that is set.

To check on a unit: what is said about a value out of range, and about ``STAT 1`` with an open interlock (everything
that is set is read back here, whatever it answers); what ``STAT?`` says for an address where no laser is.
"""

from __future__ import annotations

import re
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
    InterlockError,
    LimitError,
    WrongInstrument,
)
from labctl.interfaces import Laser
from labctl.units import dbm_to_watt, watt_to_dbm
from labctl.values import Identity, Range, SafeState, Scalar, Snapshot

T = TypeVar("T")

LIGHT_SPEED_M_S: Final = 299_792_458.0
FREQUENCY_THZ: Final = "FREQ"
OFFSET_GHZ: Final = "OFF"
POWER_DBM: Final = "POW"
ACTUAL_POWER_DBM: Final = "APOW"
STATE: Final = "STAT"  # 0 off, 1 on, -1: no such laser
BUSY: Final = "BUSY"
#: Lowest and highest frequency, range of the offset, lowest and highest power.
LIMITS: Final = "LIM"
INTERLOCK: Final = "INTL?"  # 1: open, emission blocked
ALARM: Final = "ALAR?"  # 0: none
#: Takes back what concerns the connection alone: echo and password.
RESET_CONNECTION: Final = "INTI"

#: Half of the last decimal on the wire, and a little.
STEP_THZ: Final = 0.6e-4
STEP_DB: Final = 0.6e-2
#: How often the laser is asked whether it has settled.
POLL_S: Final = 0.2
_ERROR = re.compile(r"ERR\s*-?\d+\s*,.*", re.DOTALL | re.IGNORECASE)


class CoBrite(Laser):
    """``address``: chassis, slot and device. ``settle_timeout_s``: by the bench's clock, longer than any tuning."""

    def __init__(
        self,
        name: str,
        resource: str,
        library: VisaLibrary,
        clock: Clock,
        *,
        address: str = "1,1,1",
        settle_timeout_s: float = 60.0,
    ) -> None:
        super().__init__(name)
        if re.fullmatch(r"\d{1,3},\d{1,3},\d{1,3}", address) is None:
            raise ConfigError(f"{name}: address = {address!r}", 'Give chassis, slot and device, such as "1,1,1".')
        if settle_timeout_s <= 0:
            raise ConfigError(f"{name}: settle_timeout_s = {settle_timeout_s:g}", "Give a positive time.")
        line = LineSettings(terminator=b";", write_terminator=b";", baud_rate=115200)
        self._line = library.connect(name, resource, line)
        self._clock = clock
        self._address = address
        self._settle_timeout_s = settle_timeout_s
        self._identity: Identity | None = None
        self.wavelength_range_m = Range(LIGHT_SPEED_M_S / 196.25e12, LIGHT_SPEED_M_S / 191.3e12, "m")
        self.power_range_w = Range(dbm_to_watt(6.0), dbm_to_watt(15.5), "W")

    # ---- life ---------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, check who answers, and read this laser's own limits."""
        self._line.open()
        try:
            reply = _bare(self._line.identify("*IDN?"))
            if reply == "*IDN?":  # the echo: the answer is still on the line
                self._line.query(RESET_CONNECTION)
                self._line.close()
                self._line.open()
                reply = _bare(self._line.identify("*IDN?"))
            self._identity = self._recognise(reply)
            limits = self._parsed(LIMITS, _five_numbers)
            if self._parsed(STATE, parse_integer) not in (0, 1):
                raise WrongInstrument(
                    self.name,
                    f"there is no laser at {self._address}",
                    "Correct the option address of this instrument in the bench file.",
                    command=self._text(STATE),
                )
        except BaseException:
            self._line.close()
            raise
        lowest, highest, _, weakest, strongest = limits
        self.wavelength_range_m = Range(LIGHT_SPEED_M_S / (highest * 1e12), LIGHT_SPEED_M_S / (lowest * 1e12), "m")
        self.power_range_w = Range(dbm_to_watt(weakest), dbm_to_watt(strongest), "W")

    def _recognise(self, reply: str) -> Identity:
        if re.search(r"ID ?PHOTONICS|COBRITE|CBDX", reply, re.IGNORECASE) is None:
            raise WrongInstrument(
                self.name,
                f"{reply[:80]!r} answers at {self._line.resource}, which is no CoBrite",
                "Correct the resource or the driver of this instrument in the bench file.",
                command="*IDN?",
            )
        fields = [field.strip() for field in reply.split(",")]
        return Identity(*fields) if len(fields) == 4 else Identity("ID Photonics", reply)

    def close(self) -> None:
        self._line.close()

    @property
    def identity(self) -> Identity:
        return told_identity(self.name, self._identity)

    # ---- light --------------------------------------------------------------------------------

    def set_wavelength(self, wavelength_m: float) -> None:
        """Tune without offset, wait until the laser has settled, and read back."""
        self._within(wavelength_m, self.wavelength_range_m, "wavelength")
        if self._number(OFFSET_GHZ) != 0:
            self._set(OFFSET_GHZ, "0.000")
        wanted = LIGHT_SPEED_M_S / wavelength_m * 1e-12
        self._set(FREQUENCY_THZ, f"{wanted:.4f}")
        self._settle()
        self._compare(FREQUENCY_THZ, wanted, STEP_THZ, "THz")

    def wavelength(self) -> float:
        """Metres, vacuum, fine tuning included."""
        return LIGHT_SPEED_M_S / (self._number(FREQUENCY_THZ) * 1e12 + self._number(OFFSET_GHZ) * 1e9)

    def set_power(self, power_w: float) -> None:
        """Set, wait until the laser has settled, and read back."""
        self._within(power_w, self.power_range_w, "power")
        wanted = watt_to_dbm(power_w)
        self._set(POWER_DBM, f"{wanted:.2f}")
        self._settle()
        self._compare(POWER_DBM, wanted, STEP_DB, "dBm")

    def power(self) -> float:
        return dbm_to_watt(self._number(POWER_DBM))

    def actual_power(self) -> float:
        """Watts, as the laser measures its own output."""
        return dbm_to_watt(self._number(ACTUAL_POWER_DBM))

    def set_emission(self, on: bool) -> None:
        """Switch, wait until the laser has settled, and read back.

        Raises InterlockError when the loop is open, InstrumentRefused when the laser does not end up as told.
        """
        if on and self.interlock_open():
            raise InterlockError(
                f"{self.name}: the interlock loop is open, the laser cannot be switched on",
                "Close the loop (cover, key, connector), make sure that nobody is exposed, and arm again.",
            )
        self._set(STATE, str(int(on)))
        self._settle()
        if self.emission() != on:
            raise self._disobeyed(STATE, "on" if on else "off", "off" if on else "on")

    def emission(self) -> bool:
        return self._parsed(STATE, parse_integer) != 0

    def interlock_open(self) -> bool:
        """True when the interlock loop is open, that is, emission is blocked."""
        return self._checked(INTERLOCK, parse_switch)

    def safe_state(self) -> SafeState:
        """Emission off; dark when it is read back so."""
        self._set(STATE, "0")
        on = self.emission()
        return SafeState(self.name, not on, {"emission": on}, "the laser still emits, or might" if on else "")

    # ---- reports ------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        frequency_thz, offset_ghz = self._number(FREQUENCY_THZ), self._number(OFFSET_GHZ)
        emission = self.emission()
        readings: dict[str, Scalar] = {
            "wavelength_m": LIGHT_SPEED_M_S / (frequency_thz * 1e12 + offset_ghz * 1e9),
            "frequency_hz": frequency_thz * 1e12,
            "offset_hz": offset_ghz * 1e9,
            "power_w": self.power(),
            "emission": emission,
            "interlock_open": self.interlock_open(),
        }
        if emission:
            readings["actual_power_w"] = self.actual_power()
        return readings

    def problems(self) -> Sequence[str]:
        """An alarm, and an open interlock."""
        alarm = self._checked(ALARM, parse_integer)
        found = [f"alarm {alarm}"] if alarm else []
        return [*found, "the interlock loop is open"] if self.interlock_open() else found

    # ---- line ---------------------------------------------------------------------------------

    def _text(self, command: str) -> str:
        return f"{command}? {self._address}"

    def _query(self, text: str) -> str:
        reply = _bare(self._line.query(text))
        if _ERROR.fullmatch(reply):
            raise InstrumentRefused(
                self.name,
                f"refused: {reply[:200]}",
                "Compare the command with the instrument's state and manual.",
                command=text,
            )
        return reply

    def _set(self, command: str, value: str) -> None:
        text = f"{command} {self._address},{value}"
        reply = self._query(text)
        if reply:
            raise InstrumentReply(self.name, f"{reply[:80]!r} came instead of an acknowledgement", command=text)

    def _number(self, command: str) -> float:
        return self._parsed(command, parse_finite)

    def _parsed(self, command: str, parse: Callable[[str], T]) -> T:
        return self._checked(self._text(command), parse)

    def _checked(self, text: str, parse: Callable[[str], T]) -> T:
        reply = self._query(text)
        try:
            return parse(reply)
        except ValueError as error:
            raise InstrumentReply(self.name, str(error), command=text) from error

    def _settle(self) -> None:
        end = self._clock.now() + self._settle_timeout_s
        while self._parsed(BUSY, parse_switch):
            if self._clock.now() >= end:
                raise InstrumentTimeout(
                    self.name, f"has not settled within {self._settle_timeout_s:g} s", command=self._text(BUSY)
                )
            self._clock.wait(POLL_S)

    def _compare(self, command: str, wanted: float, step: float, unit: str) -> None:
        got = self._number(command)
        if abs(got - wanted) > step:
            raise self._disobeyed(command, f"{wanted:.6g} {unit}", f"{got:.6g} {unit}")

    def _disobeyed(self, command: str, wanted: str, got: str) -> InstrumentRefused:
        return InstrumentRefused(
            self.name,
            f"was told {wanted} and reads back {got}",
            "Look at the laser's interlock, key switch, limits and alarms.",
            command=self._text(command),
        )

    def _within(self, value: float, limits: Range, what: str) -> None:
        if value not in limits:
            raise LimitError(self.name, f"{what} {value:g} {limits.unit} is outside {limits}", "Ask for less or more.")


def _bare(reply: str) -> str:
    """Without its terminator, and the line end of the reply before."""
    return reply.strip().removesuffix(";").strip()


def _five_numbers(reply: str) -> list[float]:
    values = [parse_finite(field) for field in reply.split(",")]
    if len(values) != 5:
        raise ValueError(f"{reply[:80]!r} has not five numbers")
    return values
