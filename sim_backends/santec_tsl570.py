"""Simulated Santec TSL-570 tunable laser, or TSL-550.

Manual: Santec, "TSL-570 Operation Manual", chapter "Remote control". Commands end with CR or LF, replies with CR.
``:SYSTem:COMMunicate:CODe`` chooses the units on the wire: 0 Legacy (nm, THz), 1 SCPI (m, Hz). Sweeps are in
:mod:`sim_backends.santec_tsl570_sweep`.

A TSL-550 has no ``:SYSTem:COMMunicate:CODe`` and no ``:SWEep:RANGe`` (-113): it speaks Legacy units only, and sweeps at
0.5 to 100 nm/s in steps of 0.1 nm/s (after public drivers).

Options: ``variant``; ``serial``; ``wavelength_range_nm``, one of the products' ranges; ``command_set`` that it wakes up
with; ``settle_s``, how long ``*OPC?`` answers 0 after wavelength, power or diode were set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from labctl.units import dbm_to_watt, watt_to_dbm
from sim_backends.santec_tsl570_sweep import (
    FREQUENCY,
    LIGHT_SPEED_M_S,
    LIMIT,
    WAVELENGTH,
    WAVELENGTH_STEP_M,
    SweepingLaser,
    either,
)
from sim_backends.scpi import Boolean, Integer, Number, Setting, command, query
from sim_backends.state import LaserState, WorldView
from sim_backends.unit import Connection, Data

RANGES_NM: Final = ("1260-1360", "1240-1380", "1355-1485", "1355-1505", "1480-1640", "1500-1630", "1560-1680")
MIN_POWER_DBM: Final = -15.0
MAX_POWER_DBM: Final = 13.0
#: What the power monitor says in the dark.
DARK_DBM: Final = -60.0
VARIANTS: Final = ("TSL-570", "TSL-550")
LEGACY, SCPI = "Legacy", "SCPI"


def _power_unit(laser: TSL570) -> str:
    return "MW" if laser.power_unit else "DBM"


class TSL570(SweepingLaser):
    """``legacy``: the command set in force. Wavelengths are kept to 0.1 pm, powers to 0.01 dB."""

    MODEL = "santec_tsl570"
    TERMINATOR = "\r"
    #: 0 dBm, 1 mW
    power_unit = Setting(":POWer:UNIT", Integer(0, 1), 0)
    coherence_control = Setting(":COHCtrl", Boolean(), False)
    display_unit = Setting(":WAVelength:UNIT", Integer(0, 1), 0)

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        self._variant = self.options.text("variant", VARIANTS[0], VARIANTS)
        self.is_570 = self._variant == "TSL-570"
        self._serial = self.options.text("serial", "24050001")
        low, high = self.options.text("wavelength_range_nm", "1480-1640", RANGES_NM).split("-")
        wakes = self.options.text("command_set", LEGACY, (LEGACY, SCPI) if self.is_570 else (LEGACY,))
        self._settle_s = self.options.number("settle_s", 0.0, 0.0, 3600.0)
        self.wavelengths_m = (float(low) * 1e-9, float(high) * 1e-9)
        self.frequencies_hz = (LIGHT_SPEED_M_S / self.wavelengths_m[1], LIGHT_SPEED_M_S / self.wavelengths_m[0])
        self.legacy = wakes == LEGACY
        self.state = LaserState()
        self._changed_at = world.now() - self._settle_s
        self.reset()

    def identity(self) -> str:
        return f"SANTEC,{self._variant},{self._serial},0026.0026.0011"

    def reset(self) -> None:
        """Diode off, shutter open, 1550 nm or the middle of the range, 0 dBm. The command set stays."""
        super().reset()
        low, high = self.wavelengths_m
        self.state.wavelength_m = 1550e-9 if low <= 1550e-9 <= high else (low + high) / 2
        self.state.emission = False
        self.state.shutter_closed = False
        self._power_dbm = 0.0
        self._automatic, self._attenuation_db = True, 0.0
        self._fine, self._fine_on = 0.0, False
        self.reset_sweep()
        self._apply_power()

    def receive(self, connection: Connection, data: Data, end: bool) -> None:
        """CR ends a command as LF does; there are no blocks. A sweep that runs has got further."""
        self.follow_sweep()
        super().receive(connection, bytes(data).replace(b"\r", b"\n"), end)

    def operation_pending(self) -> bool:
        return 0 <= self.world.now() - self._changed_at < self._settle_s  # clocks may be set back

    def wake_in_s(self) -> float | None:
        return self._changed_at + self._settle_s - self.world.now() if self.operation_pending() else None

    @query("*OPC?")
    def _settled(self) -> bool:
        """Unlike IEEE 488.2 it answers at once: 0 while something is going on."""
        return not self.operation_pending()

    def _changed(self) -> None:
        self._changed_at = self.world.now()

    # ------------------------------------------------------------------ system

    @command(":SYSTem:COMMunicate:CODe", Integer(0, 1))
    def _set_command_set(self, code: int) -> None:
        self.only_570()
        self.legacy = code == 0

    @query(":SYSTem:COMMunicate:CODe?")
    def _command_set(self) -> int:
        self.only_570()
        return 0 if self.legacy else 1

    @query(":SYSTem:ALERt?")
    def _alerts(self) -> str:
        return "No alerts."

    # ------------------------------------------------------------------ wavelength

    def _tune(self, wavelength_m: float) -> None:
        self.stop_sweep()
        self.state.wavelength_m = round(wavelength_m / WAVELENGTH_STEP_M) * WAVELENGTH_STEP_M
        self._fine_on = False
        self._changed()

    @command(":WAVelength", WAVELENGTH)
    def _set_wavelength(self, wavelength_m: float) -> None:
        self._tune(wavelength_m)

    @query(":WAVelength?", LIMIT)
    def _wavelength(self, limit: str) -> str:
        return self.metres(either(limit, self.wavelengths_m, self.state.wavelength_m))

    @query(":WAVelength:MINimum?")
    def _shortest(self) -> str:
        return self.metres(self.wavelengths_m[0])

    @query(":WAVelength:MAXimum?")
    def _longest(self) -> str:
        return self.metres(self.wavelengths_m[1])

    @command(":WAVelength:FREQuency", FREQUENCY)
    @command(":FREQuency", FREQUENCY)
    def _set_frequency(self, frequency_hz: float) -> None:
        self._tune(LIGHT_SPEED_M_S / frequency_hz)

    @query(":WAVelength:FREQuency?", LIMIT)
    @query(":FREQuency?", LIMIT)
    def _frequency(self, limit: str) -> str:
        return self.hertz(either(limit, self.frequencies_hz, LIGHT_SPEED_M_S / self.state.wavelength_m))

    @query(":WAVelength:FREQuency:MINimum?")
    @query(":FREQuency:MINimum?")
    def _lowest(self) -> str:
        return self.hertz(self.frequencies_hz[0])

    @query(":WAVelength:FREQuency:MAXimum?")
    @query(":FREQuency:MAXimum?")
    def _highest(self) -> str:
        return self.hertz(self.frequencies_hz[1])

    @command(":WAVelength:FINetuning", Number("", (-100.0, 100.0)))
    @command(":WAVelength:FINe", Number("", (-100.0, 100.0)))
    def _set_fine(self, value: float) -> None:
        """Fine tuning has no scale in the manual: it is kept, and does not move the light."""
        self._fine, self._fine_on = value, True

    @query(":WAVelength:FINetuning?")
    @query(":WAVelength:FINe?")
    def _fine_tuning(self) -> str:
        return f"{self._fine if self._fine_on else 0.0:.2f}"

    @command(":WAVelength:FINetuning:DISable")
    @command(":WAVelength:FINe:DISable")
    def _disable_fine(self) -> None:
        self._fine_on = False

    # ------------------------------------------------------------------ power

    def _apply_power(self) -> None:
        """With automatic power control the set point comes out, otherwise full power less the attenuation."""
        dbm = self._power_dbm if self._automatic else MAX_POWER_DBM - self._attenuation_db
        self.state.power_w = dbm_to_watt(dbm)

    def _shown_power(self, dbm: float) -> str:
        return f"{dbm_to_watt(dbm) * 1e3:+.5f}" if self.power_unit else f"{dbm:+.2f}"

    @command(
        ":POWer[:LEVel]",
        Number("W", (dbm_to_watt(MIN_POWER_DBM), dbm_to_watt(MAX_POWER_DBM)), plain=_power_unit),
    )
    def _set_power(self, power_w: float) -> None:
        self._power_dbm = round(watt_to_dbm(power_w), 2)
        self._apply_power()
        self._changed()

    @query(":POWer[:LEVel]?", LIMIT)
    def _power(self, limit: str) -> str:
        return self._shown_power(either(limit, (MIN_POWER_DBM, MAX_POWER_DBM), self._power_dbm))

    @query(":POWer:MINimum?")
    def _weakest(self) -> str:
        return self._shown_power(MIN_POWER_DBM)

    @query(":POWer:MAXimum?")
    def _strongest(self) -> str:
        return self._shown_power(MAX_POWER_DBM)

    @query(":POWer:ACTual[:LEVel]?")
    def _monitored_power(self) -> str:
        return self._shown_power(watt_to_dbm(self.state.power_w) if self.state.emission else DARK_DBM)

    @command(":POWer:STATe", Boolean())
    def _set_diode(self, on: bool) -> None:
        self.state.emission = on
        self._changed()

    @query(":POWer:STATe?")
    def _diode(self) -> bool:
        return self.state.emission

    @command(":POWer:SHUTter", Boolean())
    def _set_shutter(self, closed: bool) -> None:
        self.state.shutter_closed = closed

    @query(":POWer:SHUTter?")
    def _shutter(self) -> bool:
        return self.state.shutter_closed

    @command(":POWer:ATTenuation", Number("DB", (0.0, 30.0)))
    def _set_attenuation(self, attenuation_db: float) -> None:
        self._attenuation_db = round(attenuation_db, 2)
        self._apply_power()

    @query(":POWer:ATTenuation?")
    def _attenuation(self) -> str:
        return f"{self._attenuation_db:.2f}"

    @command(":POWer:ATTenuation:AUTo", Boolean())
    def _set_automatic(self, on: bool) -> None:
        self._automatic = on
        self._apply_power()

    @query(":POWer:ATTenuation:AUTo?")
    def _is_automatic(self) -> bool:
        return self._automatic
