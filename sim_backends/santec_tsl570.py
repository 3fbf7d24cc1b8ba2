"""Simulated Santec TSL-570 tunable laser, or TSL-550.

Manual: Santec, "TSL-570 Operation Manual", chapter "Remote control". Commands end with CR or LF, replies with CR.
``:SYSTem:COMMunicate:CODe`` chooses the units on the wire: 0 Legacy (nm, THz), 1 SCPI (m, Hz). What a sweep needs is
stored and answered; the sweep itself is refused (-200), since no light is looked at while it is being tuned.

A TSL-550 has no ``:SYSTem:COMMunicate:CODe`` and no ``:SWEep:RANGe`` (-113): it speaks Legacy units only, and sweeps at
0.5 to 100 nm/s in steps of 0.1 nm/s (after public drivers).

Options: ``variant``; ``serial``; ``wavelength_range_nm``, one of the products' ranges; ``command_set`` that it wakes up
with; ``settle_s``, how long ``*OPC?`` answers 0 after wavelength, power or diode were set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from labctl.units import dbm_to_watt, watt_to_dbm
from sim_backends.scpi import (
    Block,
    Boolean,
    Choice,
    Integer,
    Maybe,
    Number,
    ScpiError,
    ScpiUnit,
    Setting,
    command,
    query,
    scientific,
)
from sim_backends.state import LaserState, WorldView
from sim_backends.unit import Connection, Data

LIGHT_SPEED_M_S: Final = 299_792_458.0
RANGES_NM: Final = ("1260-1360", "1240-1380", "1355-1485", "1355-1505", "1480-1640", "1500-1630", "1560-1680")
MIN_POWER_DBM: Final = -15.0
MAX_POWER_DBM: Final = 13.0
#: What the power monitor says in the dark.
DARK_DBM: Final = -60.0
SPEEDS_NM_S: Final = (1, 2, 5, 10, 20, 50, 100, 200)
SPEEDS_550_NM_S: Final = (0.5, 100.0)
VARIANTS: Final = ("TSL-570", "TSL-550")
WAVELENGTH_STEP_M: Final = 1e-13
LEGACY, SCPI = "Legacy", "SCPI"

_LIMIT = Maybe(Choice("MINimum", "MAXimum"), "")


def _length_unit(laser: TSL570) -> str:
    return "NM" if laser.legacy else "M"


def _frequency_unit(laser: TSL570) -> str:
    return "THZ" if laser.legacy else "HZ"


def _power_unit(laser: TSL570) -> str:
    return "MW" if laser.power_unit else "DBM"


def _one_digit(value: float) -> str:
    return f"{value:.1f}"


_WAVELENGTH = Number("M", lambda laser: laser.wavelengths_m, plain=_length_unit)
_FREQUENCY = Number("HZ", lambda laser: laser.frequencies_hz, plain=_frequency_unit)


class TSL570(ScpiUnit):
    """``legacy``: the command set in force. Wavelengths are kept to 0.1 pm, powers to 0.01 dB."""

    MODEL = "santec_tsl570"
    TERMINATOR = "\r"
    state: LaserState

    #: 0 dBm, 1 mW
    power_unit = Setting(":POWer:UNIT", Integer(0, 1), 0)
    coherence_control = Setting(":COHCtrl", Boolean(), False)
    display_unit = Setting(":WAVelength:UNIT", Integer(0, 1), 0)
    sweep_mode = Setting(":WAVelength:SWEep:MODe", Integer(0, 3), 1)
    sweep_dwell_s = Setting(":WAVelength:SWEep:DWELl", Number("S", (0.0, 999.9)), 0.0, _one_digit)
    sweep_delay_s = Setting(":WAVelength:SWEep:DELay", Number("S", (0.0, 999.9)), 0.0, _one_digit)
    sweep_cycles = Setting(":WAVelength:SWEep:CYCLes", Integer(0, 999), 1)
    external_trigger = Setting(":TRIGger:INPut:EXTernal", Boolean(), False)
    trigger_standby = Setting(":TRIGger:INPut:STANdby", Boolean(), False)
    trigger_output = Setting(":TRIGger:OUTPut", Integer(0, 3), 0)

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        self._variant = self.options.text("variant", VARIANTS[0], VARIANTS)
        self._serial = self.options.text("serial", "24050001")
        low, high = self.options.text("wavelength_range_nm", "1480-1640", RANGES_NM).split("-")
        wakes = self.options.text("command_set", LEGACY, (LEGACY, SCPI) if self._is_570 else (LEGACY,))
        self._settle_s = self.options.number("settle_s", 0.0, 0.0, 3600.0)
        self.wavelengths_m = (float(low) * 1e-9, float(high) * 1e-9)
        self.frequencies_hz = (LIGHT_SPEED_M_S / self.wavelengths_m[1], LIGHT_SPEED_M_S / self.wavelengths_m[0])
        self.legacy = wakes == LEGACY
        self.state = LaserState()
        self._changed_at = world.now() - self._settle_s
        self.reset()

    def identity(self) -> str:
        return f"SANTEC,{self._variant},{self._serial},0026.0026.0011"

    @property
    def _is_570(self) -> bool:
        return self._variant == "TSL-570"

    def _only_570(self) -> None:
        if not self._is_570:
            raise ScpiError(-113)

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
        self._sweep_m = {"STAR": low, "STOP": high}
        self._sweep_step_m, self._sweep_step_hz = 1e-10, 1e10
        self._sweep_speed, self._trigger_step_m = 10.0, 1e-10
        self._apply_power()

    def receive(self, connection: Connection, data: Data, end: bool) -> None:
        """CR ends a command as LF does; there are no blocks."""
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
        self._only_570()
        self.legacy = code == 0

    @query(":SYSTem:COMMunicate:CODe?")
    def _command_set(self) -> int:
        self._only_570()
        return 0 if self.legacy else 1

    @query(":SYSTem:ALERt?")
    def _alerts(self) -> str:
        return "No alerts."

    # ------------------------------------------------------------------ wavelength

    def _metres(self, value: float) -> str:
        return f"{value * 1e9:.4f}" if self.legacy else scientific(value, 8, 3)

    def _hertz(self, value: float) -> str:
        return f"{value * 1e-12:.5f}" if self.legacy else scientific(value, 8, 3)

    def _tune(self, wavelength_m: float) -> None:
        self.state.wavelength_m = round(wavelength_m / WAVELENGTH_STEP_M) * WAVELENGTH_STEP_M
        self._fine_on = False
        self._changed()

    @command(":WAVelength", _WAVELENGTH)
    def _set_wavelength(self, wavelength_m: float) -> None:
        self._tune(wavelength_m)

    @query(":WAVelength?", _LIMIT)
    def _wavelength(self, limit: str) -> str:
        return self._metres(_either(limit, self.wavelengths_m, self.state.wavelength_m))

    @query(":WAVelength:MINimum?")
    def _shortest(self) -> str:
        return self._metres(self.wavelengths_m[0])

    @query(":WAVelength:MAXimum?")
    def _longest(self) -> str:
        return self._metres(self.wavelengths_m[1])

    @command(":WAVelength:FREQuency", _FREQUENCY)
    @command(":FREQuency", _FREQUENCY)
    def _set_frequency(self, frequency_hz: float) -> None:
        self._tune(LIGHT_SPEED_M_S / frequency_hz)

    @query(":WAVelength:FREQuency?", _LIMIT)
    @query(":FREQuency?", _LIMIT)
    def _frequency(self, limit: str) -> str:
        return self._hertz(_either(limit, self.frequencies_hz, LIGHT_SPEED_M_S / self.state.wavelength_m))

    @query(":FREQuency:MINimum?")
    def _lowest(self) -> str:
        return self._hertz(self.frequencies_hz[0])

    @query(":FREQuency:MAXimum?")
    def _highest(self) -> str:
        return self._hertz(self.frequencies_hz[1])

    @command(":WAVelength:FINe", Number("", (-100.0, 100.0)))
    def _set_fine(self, value: float) -> None:
        """Fine tuning has no scale in the manual: it is kept, and does not move the light."""
        self._fine, self._fine_on = value, True

    @query(":WAVelength:FINe?")
    def _fine_tuning(self) -> str:
        return f"{self._fine if self._fine_on else 0.0:.2f}"

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

    @query(":POWer[:LEVel]?", _LIMIT)
    def _power(self, limit: str) -> str:
        return self._shown_power(_either(limit, (MIN_POWER_DBM, MAX_POWER_DBM), self._power_dbm))

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

    # ------------------------------------------------------------------ sweep settings

    def _set_end(self, which: str, wavelength_m: float) -> None:
        self._sweep_m[which] = round(wavelength_m / WAVELENGTH_STEP_M) * WAVELENGTH_STEP_M

    @command(":WAVelength:SWEep:STARt", _WAVELENGTH)
    def _set_start(self, wavelength_m: float) -> None:
        self._set_end("STAR", wavelength_m)

    @query(":WAVelength:SWEep:STARt?", _LIMIT)
    def _start(self, limit: str) -> str:
        return self._metres(_either(limit, self.wavelengths_m, self._sweep_m["STAR"]))

    @command(":WAVelength:SWEep:STOP", _WAVELENGTH)
    def _set_stop(self, wavelength_m: float) -> None:
        self._set_end("STOP", wavelength_m)

    @query(":WAVelength:SWEep:STOP?", _LIMIT)
    def _stop(self, limit: str) -> str:
        return self._metres(_either(limit, self.wavelengths_m, self._sweep_m["STOP"]))

    @command(":WAVelength:SWEep:STEP", Number("M", (WAVELENGTH_STEP_M, 160e-9), plain=_length_unit))
    def _set_step(self, step_m: float) -> None:
        self._sweep_step_m = step_m

    @query(":WAVelength:SWEep:STEP?")
    def _step(self) -> str:
        return self._metres(self._sweep_step_m)

    @command(":FREQuency:SWEep:STARt", _FREQUENCY)
    def _set_start_frequency(self, frequency_hz: float) -> None:
        self._set_end("STAR", LIGHT_SPEED_M_S / frequency_hz)

    @query(":FREQuency:SWEep:STARt?")
    def _start_frequency(self) -> str:
        return self._hertz(LIGHT_SPEED_M_S / self._sweep_m["STAR"])

    @command(":FREQuency:SWEep:STOP", _FREQUENCY)
    def _set_stop_frequency(self, frequency_hz: float) -> None:
        self._set_end("STOP", LIGHT_SPEED_M_S / frequency_hz)

    @query(":FREQuency:SWEep:STOP?")
    def _stop_frequency(self) -> str:
        return self._hertz(LIGHT_SPEED_M_S / self._sweep_m["STOP"])

    @command(":FREQuency:SWEep:STEP", Number("HZ", (1e6, 3e13), plain=_frequency_unit))
    def _set_frequency_step(self, step_hz: float) -> None:
        self._sweep_step_hz = step_hz

    @query(":FREQuency:SWEep:STEP?")
    def _frequency_step(self) -> str:
        return self._hertz(self._sweep_step_hz)

    @query(":WAVelength:SWEep:RANGe:MINimum?")
    def _sweep_shortest(self) -> str:
        self._only_570()
        return self._metres(self.wavelengths_m[0])

    @query(":WAVelength:SWEep:RANGe:MAXimum?")
    def _sweep_longest(self) -> str:
        self._only_570()
        return self._metres(self.wavelengths_m[1])

    @query(":FREQuency:SWEep:RANGe:MINimum?")
    def _sweep_lowest(self) -> str:
        self._only_570()
        return self._hertz(self.frequencies_hz[0])

    @query(":FREQuency:SWEep:RANGe:MAXimum?")
    def _sweep_highest(self) -> str:
        self._only_570()
        return self._hertz(self.frequencies_hz[1])

    @command(":WAVelength:SWEep:SPEed", Number())
    def _set_speed(self, speed_nm_s: float) -> None:
        low, high = SPEEDS_550_NM_S
        if not (speed_nm_s in SPEEDS_NM_S if self._is_570 else low <= speed_nm_s <= high):
            raise ScpiError(-222)
        self._sweep_speed = round(speed_nm_s, 1)

    @query(":WAVelength:SWEep:SPEed?")
    def _speed(self) -> str:
        return f"{self._sweep_speed:.0f}" if self._is_570 else f"{self._sweep_speed:.1f}"

    @command(":TRIGger:OUTPut:STEP", Number("M", (WAVELENGTH_STEP_M, 160e-9), plain=_length_unit))
    def _set_trigger_step(self, step_m: float) -> None:
        self._trigger_step_m = step_m

    @query(":TRIGger:OUTPut:STEP?")
    def _trigger_step(self) -> str:
        return self._metres(self._trigger_step_m)

    @command(":WAVelength:SWEep[:STATe]", Integer(0, 1))
    def _sweep(self, start: int) -> None:
        if start:
            raise ScpiError(-200, "sweeps are not simulated")

    @command(":WAVelength:SWEep:REPeat")
    def _repeat(self) -> None:
        self._sweep(1)

    @query(":WAVelength:SWEep[:STATe]?")
    def _sweep_state(self) -> int:
        return 0

    @query(":WAVelength:SWEep:COUNt?")
    def _sweep_count(self) -> int:
        return 0

    @query(":READout:POINts?")
    def _points(self) -> int:
        return 0

    @query(":READout:DATa?")
    def _data(self) -> Block:
        return Block(np.empty(0, np.int32 if self.legacy else np.float64))


def _either(limit: str, limits: tuple[float, float], value: float) -> float:
    """The value, or the limit that was asked for."""
    return value if not limit else limits[limit == "MAX"]
