"""Santec TSL-570 tunable laser, and TSL-550.

Manual: Santec, "TSL-570 Operation Manual", chapter "Remote control" (commands as also used by the
TSL-550 and TSL-710). LAN: TCP port 5000; commands and replies end with CR.

* ``:SYSTem:COMMunicate:CODe`` chooses the command set: 1 SCPI, in metres and hertz; 0 Legacy, in
  nanometres and terahertz. The TSL-550 and the TSL-710 have no such command, and speak Legacy only (after public
  drivers; on a unit, check that ``:POWer? MIN`` is answered).
* ``:POWer:STATe`` switches the laser diode, ``:POWer:SHUTter`` the internal shutter (0 open, 1
  closed): light leaves the laser when the diode is on AND the shutter is open.
* ``*OPC?`` answers 0 while the laser tunes and 1 when it has settled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from drivers.connection import LineSettings
from drivers.link import ScpiLink
from drivers.scpi import integer, real, switch
from drivers.visa import VisaLibrary
from labctl.clock import Clock
from labctl.errors import ConfigError, InstrumentReply, InstrumentTimeout, LimitError
from labctl.interfaces import Laser
from labctl.units import dbm_to_watt, watt_to_dbm
from labctl.values import Identity, Range, SafeState, Scalar, Snapshot

COMMAND_SET = integer(":SYSTem:COMMunicate:CODe", "0 Legacy (nm, THz), 1 SCPI (m, Hz)")
WAVELENGTH_M = real(":WAVelength", "Output wavelength in vacuum, SCPI command set", unit="m")
WAVELENGTH_NM = real(":WAVelength", "Output wavelength in vacuum, Legacy command set", unit="nm")
LEGACY_SHORTEST = real(":WAVelength:MINimum", "Shortest wavelength, Legacy command set", unit="nm")
LEGACY_LONGEST = real(":WAVelength:MAXimum", "Longest wavelength, Legacy command set", unit="nm")
POWER_UNIT = integer(":POWer:UNIT", "Unit of optical power: 0 dBm, 1 mW")
POWER = real(":POWer", "Optical power set point", unit="dBm")
ACTUAL_POWER = real(":POWer:ACTual", "Measured optical power", unit="dBm")
DIODE = switch(":POWer:STATe", "Laser diode on")
SHUTTER_CLOSED = switch(":POWer:SHUTter", "Internal shutter closed")

SCPI_UNITS: Final = 1
LEGACY_UNITS: Final = 0
#: Models that have no other units.
LEGACY_MODELS: Final = ("TSL-550", "TSL-710")
#: How often the laser is asked whether it has settled.
POLL_S: Final = 0.05
#: Longer than any tuning takes.
SETTLE_TIMEOUT_S: Final = 60.0


class TSL570(Laser):
    """A TSL-570, or a TSL-550 or 710.

    ``units``: "scpi" or "legacy", the command set used on the wire; only a TSL-570 has the former. ``settle_s``:
    additional time, by the bench's clock, that light needs after the laser says that it has settled.
    """

    def __init__(
        self,
        name: str,
        resource: str,
        library: VisaLibrary,
        clock: Clock,
        *,
        units: str = "scpi",
        settle_s: float = 0.0,
    ) -> None:
        super().__init__(name)
        if units not in ("scpi", "legacy"):
            raise ConfigError(f"{name}: units = {units!r}", 'Use units = "scpi" or "legacy".')
        if settle_s < 0:
            raise ConfigError(f"{name}: settle_s = {settle_s:g}", "Give at least 0 seconds.")
        line = LineSettings(terminator=b"\r", write_terminator=b"\r")
        self._link = ScpiLink(library.connect(name, resource, line))
        self._clock = clock
        self._command_set = SCPI_UNITS if units == "scpi" else LEGACY_UNITS
        self._wavelength = WAVELENGTH_M if units == "scpi" else WAVELENGTH_NM
        self._metre = 1.0 if units == "scpi" else 1e9
        self._settle_s = settle_s
        self.wavelength_range_m = Range(1240e-9, 1680e-9, "m")
        self.power_range_w = Range(dbm_to_watt(-15.0), dbm_to_watt(13.0), "W")

    def open(self) -> None:
        """Connect, choose units (no light is changed by that), and read this unit's own limits.

        Raises ConfigError when the laser has not the units asked for.
        """
        identity = self._link.open("SANTEC", r"TSL-\d+.*")
        try:
            self._choose_units(identity.model)
            self._link.set(POWER_UNIT, 0)
            wavelengths = self._wavelength_limits()
            weakest, strongest = (self._link.ask(POWER, end) for end in ("MIN", "MAX"))
        except BaseException:
            self._link.close()
            raise
        shortest, longest = (value / self._metre for value in wavelengths)
        self.wavelength_range_m = Range(shortest, longest, "m")
        self.power_range_w = Range(dbm_to_watt(weakest), dbm_to_watt(strongest), "W")

    def _choose_units(self, model: str) -> None:
        if not model.upper().startswith(LEGACY_MODELS):
            self._link.set(COMMAND_SET, self._command_set)
        elif self._command_set != LEGACY_UNITS:
            raise ConfigError(f"{self.name}: a {model} speaks no SCPI units", 'Use units = "legacy" for this laser.')

    def _wavelength_limits(self) -> list[float]:
        if self._command_set == SCPI_UNITS:
            return [self._link.ask(WAVELENGTH_M, end) for end in ("MIN", "MAX")]
        return [self._link.get(LEGACY_SHORTEST), self._link.get(LEGACY_LONGEST)]

    def close(self) -> None:
        self._link.close()

    @property
    def identity(self) -> Identity:
        return self._link.identity

    def set_wavelength(self, wavelength_m: float) -> None:
        """Tune, and wait until the laser has settled."""
        self._within(wavelength_m, self.wavelength_range_m, "wavelength")
        self._link.set(self._wavelength, wavelength_m * self._metre)
        self._settle()

    def wavelength(self) -> float:
        return self._link.get(self._wavelength) / self._metre

    def set_power(self, power_w: float) -> None:
        """Set, and wait until the laser has settled."""
        self._within(power_w, self.power_range_w, "power")
        self._link.set(POWER, watt_to_dbm(power_w))
        self._settle()

    def power(self) -> float:
        return dbm_to_watt(self._link.get(POWER))

    def actual_power(self) -> float:
        """Watts, as the laser measures its own output."""
        return dbm_to_watt(self._link.get(ACTUAL_POWER))

    def set_emission(self, on: bool) -> None:
        """Diode first and shutter last when switching on, shutter first when switching off; read
        back.

        Raises InstrumentReply when the laser does not end up as told.
        """
        if on:
            self._link.set(DIODE, True)
            self._settle()
            self._link.set(SHUTTER_CLOSED, False)
        else:
            self._link.set(SHUTTER_CLOSED, True)
            self._link.set(DIODE, False)
        if self.emission() != on:
            raise InstrumentReply(
                self.name,
                f"emission was switched {'on' if on else 'off'}, and the laser says it is not",
                "Look at the laser's interlock, key switch and front panel.",
            )

    def emission(self) -> bool:
        return self._link.get(DIODE) and not self._link.get(SHUTTER_CLOSED)

    def safe_state(self) -> SafeState:
        """Shutter closed and diode off; dark when both are read back so."""
        self._link.set(SHUTTER_CLOSED, True)
        self._link.set(DIODE, False)
        diode, closed = self._link.get(DIODE), self._link.get(SHUTTER_CLOSED)
        dark = closed and not diode
        return SafeState(
            self.name,
            dark,
            {"diode_on": diode, "shutter_closed": closed},
            "" if dark else "the laser still emits, or might",
        )

    def snapshot(self) -> Snapshot:
        readings: dict[str, Scalar] = {
            "wavelength_m": self.wavelength(),
            "power_w": self.power(),
            "diode_on": self._link.get(DIODE),
            "shutter_closed": self._link.get(SHUTTER_CLOSED),
        }
        if readings["diode_on"]:
            readings["actual_power_w"] = self.actual_power()
        return readings

    def problems(self) -> Sequence[str]:
        return self._link.problems()

    def _settle(self) -> None:
        end: float | None = None
        while self._link.query("*OPC?").strip() not in ("1", "+1"):
            now = self._clock.now()
            end = now + SETTLE_TIMEOUT_S if end is None else end
            if now >= end:
                raise InstrumentTimeout(self.name, f"has not settled within {SETTLE_TIMEOUT_S:g} s", command="*OPC?")
            self._clock.wait(POLL_S)
        self._clock.wait(self._settle_s)

    def _within(self, value: float, limits: Range, what: str) -> None:
        if value not in limits:
            raise LimitError(self.name, f"{what} {value:g} {limits.unit} is outside {limits}", "Ask for less or more.")
