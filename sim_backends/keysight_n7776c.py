"""Simulated Keysight N7776C tunable laser (N7778C, and the lasers of 8164x mainframes, speak alike).

Manual: Keysight, "N777-C Series Tunable Laser Source, Programming Guide", :SOURce, :TRIGger and :LOCK. Slot 0, or none,
is the laser. Wavelengths go back in metres; a plain number that is set is in metres, and powers are in dBm or W, as
``:POWer:UNIT`` says. ``:LOCK`` keeps the laser off until it is taken back with the password.

A sweep takes its time on the lab's clock, and the light follows it with every message; with lambda logging the
wavelengths are kept. ``*OPC?`` waits until wavelength or power have been reached, for ``settle_s``.

Options: ``variant``, ``serial``, ``wavelength_min_nm``, ``wavelength_max_nm``, ``power_min_dbm``, ``power_max_dbm``,
``locked``, ``password``, ``settle_s``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from labctl.units import dbm_to_watt, watt_to_dbm
from sim_backends.scpi import (
    Block,
    Boolean,
    Choice,
    Integer,
    Maybe,
    Number,
    Reply,
    ScpiError,
    ScpiUnit,
    Setting,
    Text,
    command,
    query,
    scientific,
)
from sim_backends.state import LaserState, WorldView
from sim_backends.unit import Connection, Data

T = TypeVar("T", bound=Reply)

LIGHT_SPEED_M_S: Final = 299_792_458.0
WAVELENGTH_STEP_M: Final = 1e-13
MAX_LOGGED: Final = 1_000_000
STOPPED, RUNNING, PAUSED = 0, 1, 2
#: What ``SWEep:CHECkparams?`` says.
CHECKS: Final[Mapping[int, str]] = {
    0: "OK",
    368: "LambdaStop <=LambdaStart",
    372: "TriggerStep too small",
    373: "Too many trigger steps",
    375: "Lambda logging only in STFinished tout mode",
    376: "Lambda logging in stepped mode",
    380: "LambdaStart too small",
    381: "LambdaStop too large",
}
_LIMIT = Maybe(Choice("MINimum", "MAXimum", "DEFault"), "")
_SLOT = "[:SOURce<n:0-1>][:CHANnel<n:1>]"


def _power_unit(laser: N7776C) -> str:
    return "W" if laser.power_unit == "1" else "DBM"


def _metres(value: float) -> str:
    return scientific(value, 8, 3)


_WAVELENGTH = Number("M", lambda laser: laser.wavelengths_m, default=1550e-9, resolution=WAVELENGTH_STEP_M)
_POWER_UNITS = {"0": "0", "DBM": "0", "1": "1", "W": "1"}


class N7776C(ScpiUnit):
    """``wavelengths_m``, ``powers_w``: the limits."""

    MODEL = "keysight_n7776c"
    SIGNED_ERRORS = True
    state: LaserState

    coherence_control = Setting(f"{_SLOT}:AM:STATe[:SOURce]", Boolean(), False)
    modulation_source = Setting(f"{_SLOT}:AM:SOURce", Choice("0", "1", "2", "6", "COHControl"), "COHC")
    sweep_mode = Setting(f"{_SLOT}:WAVelength:SWEep:MODE", Choice("STEPped", "MANual", "CONTinuous"), "CONT")
    sweep_repeat = Setting(f"{_SLOT}:WAVelength:SWEep:REPeat", Choice("ONEWay", "TWOWay"), "ONEW")
    sweep_cycles = Setting(f"{_SLOT}:WAVelength:SWEep:CYCLes", Integer(0, 999), 1)
    sweep_dwell_s = Setting(f"{_SLOT}:WAVelength:SWEep:DWELl", Number("S", (0.0, 3600.0), default=0.5), 0.5)
    sweep_start_m = Setting(f"{_SLOT}:WAVelength:SWEep:STARt", _WAVELENGTH, 1540e-9, _metres)
    sweep_stop_m = Setting(f"{_SLOT}:WAVelength:SWEep:STOP", _WAVELENGTH, 1560e-9, _metres)
    sweep_step_m = Setting(
        f"{_SLOT}:WAVelength:SWEep:STEP[:WIDTh]", Number("M", (WAVELENGTH_STEP_M, 200e-9), default=1e-9), 1e-9, _metres
    )
    sweep_speed_m_s = Setting(
        f"{_SLOT}:WAVelength:SWEep:SPEed", Number("M/S", (0.5e-9, 200e-9), default=50e-9), 50e-9, _metres
    )
    logging = Setting(f"{_SLOT}:WAVelength:SWEep:LLOGging", Boolean(), False)
    trigger_out = Setting(
        ":TRIGger<n:0-1>[:CHANnel<n:1>]:OUTPut", Choice("DISabled", "STFinished", "SWFinished", "SWSTarted"), "DIS"
    )
    trigger_in = Setting(":TRIGger<n:0-1>[:CHANnel<n:1>]:INPut", Choice("IGNore", "NEXTstep", "SWStart"), "IGN")
    trigger_path = Setting(
        ":TRIGger:CONFiguration", Choice("0", "1", "2", "3", "DISabled", "DEFault", "PASSthrough"), "1"
    )

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        take = self.options
        self._model = take.text("variant", "N7776C", ("N7776C", "N7778C", "N7779C"))
        self._serial = take.text("serial", "MY61000123")
        self.wavelengths_m = (
            take.number("wavelength_min_nm", 1480.0, 1240.0, 1640.0) * 1e-9,
            take.number("wavelength_max_nm", 1620.0, 1240.0, 1660.0) * 1e-9,
        )
        self.powers_w = (
            dbm_to_watt(take.number("power_min_dbm", -10.0, -20.0, 10.0)),
            dbm_to_watt(take.number("power_max_dbm", 13.0, 0.0, 20.0)),
        )
        self._locked = take.flag("locked", False)
        self._password = take.text("password", "1234")
        self._settle_s = take.number("settle_s", 0.0, 0.0, 600.0)
        self.state = LaserState()
        self._changed_at = world.now() - self._settle_s
        self._sweep = STOPPED
        self._began_s = self._swept_m = 0.0
        self._log: NDArray[np.float64] = np.empty(0)
        self.reset()

    def identity(self) -> str:
        return f"Keysight Technologies,{self._model},{self._serial},1.080.1"

    def reset(self) -> None:
        """Laser off, 1550 nm or the middle of the range, 0 dBm. The lock stays."""
        super().reset()
        low, high = self.wavelengths_m
        self.power_unit = "0"
        self._sweep = STOPPED
        self.state.emission = False
        self.state.wavelength_m = 1550e-9 if low <= 1550e-9 <= high else (low + high) / 2
        self.state.power_w = min(max(1e-3, self.powers_w[0]), self.powers_w[1])

    def format_real(self, value: float) -> str:
        return scientific(value, 8, 3)

    # ------------------------------------------------------------------ time

    def receive(self, connection: Connection, data: Data, end: bool) -> None:
        """A sweep has gone on since the last message."""
        self._follow()
        super().receive(connection, data, end)

    def elapse(self) -> None:
        self._follow()
        super().elapse()

    def operation_pending(self) -> bool:
        return 0 <= self.world.now() - self._changed_at < self._settle_s  # clocks may be set back

    def wake_in_s(self) -> float | None:
        return self._changed_at + self._settle_s - self.world.now() if self.operation_pending() else None

    def _changed(self) -> None:
        self._changed_at = self.world.now()

    # ------------------------------------------------------------------ lock

    @command(":LOCK", Boolean(), Text())
    def _set_lock(self, locked: bool, password: str) -> None:
        """Locked, the laser goes off."""
        if password != self._password:
            raise ScpiError(-220, "wrong password")
        self._locked = locked
        if locked:
            self.state.emission = False

    @query(":LOCK?")
    def _lock(self) -> bool:
        return self._locked

    @query(":SLOT<n:0-1>:IDN?")
    def _slot_identity(self, slot: int) -> str:
        return self.identity()

    @query(":SLOT<n:0-1>:EMPTy?")
    def _slot_empty(self, slot: int) -> int:
        return 0

    @query("*OPT?")
    def _fitted(self) -> str:
        return self._model

    # ------------------------------------------------------------------ wavelength

    @command(f"{_SLOT}:WAVelength[:CW]", _WAVELENGTH)
    @command(f"{_SLOT}:WAVelength:FIXED", _WAVELENGTH)
    def _set_wavelength(self, slot: int, channel: int, wavelength_m: float) -> None:
        if self._sweep != STOPPED:
            raise ScpiError(-221, "a sweep is running")
        self.state.wavelength_m = wavelength_m
        self._changed()

    @query(f"{_SLOT}:WAVelength[:CW]?", _LIMIT)
    @query(f"{_SLOT}:WAVelength:FIXED?", _LIMIT)
    def _wavelength(self, slot: int, channel: int, limit: str) -> float:
        low, high = self.wavelengths_m
        return {"": self.state.wavelength_m, "MIN": low, "MAX": high, "DEF": 1550e-9}[limit]

    @query(f"{_SLOT}:WAVelength:FREQuency?")
    def _frequency(self, slot: int, channel: int) -> float:
        return LIGHT_SPEED_M_S / self.state.wavelength_m

    # ------------------------------------------------------------------ power

    @command(
        f"{_SLOT}:POWer[:LEVel][:IMMediate][:AMPLitude]", Number("W", lambda laser: laser.powers_w, plain=_power_unit)
    )
    def _set_power(self, slot: int, channel: int, power_w: float) -> None:
        self.state.power_w = dbm_to_watt(round(watt_to_dbm(power_w), 4))
        self._changed()

    @query(f"{_SLOT}:POWer[:LEVel][:IMMediate][:AMPLitude]?", _LIMIT)
    def _power(self, slot: int, channel: int, limit: str) -> float:
        weak, strong = self.powers_w
        power_w = {"": self.state.power_w, "MIN": weak, "MAX": strong, "DEF": weak}[limit]
        return power_w if self.power_unit == "1" else watt_to_dbm(power_w)

    @query(f"{_SLOT}:WAVelength:SWEep:PMAX?", Number("M"), Number("M"))
    def _strongest(self, slot: int, channel: int, first_m: float, last_m: float) -> float:
        return self._power(slot, channel, "MAX")

    @command(f"{_SLOT}:POWer:UNIT", Choice("0", "1", "DBM", "W"))
    def _set_power_unit(self, slot: int, channel: int, unit: str) -> None:
        self.power_unit = _POWER_UNITS[unit]

    @query(f"{_SLOT}:POWer:UNIT?")
    def _shown_unit(self, slot: int, channel: int) -> int:
        return int(self.power_unit)

    @command(":OUTPut<n:0-1>[:CHANnel<n:1>][:STATe]", Boolean())
    @command(f"{_SLOT}:POWer:STATe", Boolean())
    def _set_emission(self, slot: int, channel: int, on: bool) -> None:
        if on and self._locked:
            raise ScpiError(-203, "the laser is locked")
        self.state.emission = on
        self._changed()

    @query(":OUTPut<n:0-1>[:CHANnel<n:1>][:STATe]?")
    @query(f"{_SLOT}:POWer:STATe?")
    def _emission(self, slot: int, channel: int) -> bool:
        return self.state.emission

    # ------------------------------------------------------------------ sweep

    def _check(self) -> int:
        start, stop, step = self._of(N7776C.sweep_start_m), self._of(N7776C.sweep_stop_m), self._of(N7776C.sweep_step_m)
        found = {
            368: stop <= start,
            372: step < WAVELENGTH_STEP_M,
            373: (stop - start) / step > MAX_LOGGED,
            375: self._of(N7776C.logging) and self._of(N7776C.trigger_out) != "STF",
            376: self._of(N7776C.logging) and self._of(N7776C.sweep_mode) != "CONT",
            380: start < self.wavelengths_m[0],
            381: stop > self.wavelengths_m[1],
        }
        return next((code for code, wrong in found.items() if wrong), 0)

    @query(f"{_SLOT}:WAVelength:SWEep:CHECkparams?")
    def _checked(self, slot: int, channel: int) -> str:
        code = self._check()
        return f"{code},{CHECKS[code]}"

    @query(f"{_SLOT}:WAVelength:SWEep:EXPectedtriggernum?")
    def _expected(self, slot: int, channel: int) -> int:
        return 0 if self._check() else self._points()

    def _of(self, setting: Setting[T]) -> T:
        """What was set for slot 0, channel 1."""
        return setting.at(self, 1, 1)

    def _points(self) -> int:
        span_m = self._of(N7776C.sweep_stop_m) - self._of(N7776C.sweep_start_m)
        return int(span_m / self._of(N7776C.sweep_step_m) + 1e-6) + 1

    @command(f"{_SLOT}:WAVelength:SWEep[:STATe]", Choice("0", "1", "2", "3", "STOP", "STARt", "PAUSe", "CONTinue"))
    def _set_sweep(self, slot: int, channel: int, action: str) -> None:
        action = {"STOP": "0", "STAR": "1", "PAUS": "2", "CONT": "3"}.get(action, action)
        if action == "0":
            self._sweep = STOPPED
        elif action == "1":
            self._start()
        elif action == "2" and self._sweep == RUNNING:
            self._sweep, self._swept_m = PAUSED, self.state.wavelength_m - self._of(N7776C.sweep_start_m)
        elif action == "3" and self._sweep == PAUSED:
            self._sweep, self._began_s = RUNNING, self.world.now() - self._swept_m / self._of(N7776C.sweep_speed_m_s)
        else:
            raise ScpiError(-221)

    def _start(self) -> None:
        if self._check():
            raise ScpiError(-221, CHECKS[self._check()])
        self._began_s = self.world.now()
        self._sweep = RUNNING if self._of(N7776C.sweep_mode) == "CONT" else PAUSED
        self.state.wavelength_m = self._of(N7776C.sweep_start_m)
        self._log = np.empty(0)

    def _follow(self) -> None:
        """A continuous sweep has come so far."""
        if self._sweep != RUNNING:
            return
        passed_s = max(0.0, self.world.now() - self._began_s)
        start_m, stop_m = self._of(N7776C.sweep_start_m), self._of(N7776C.sweep_stop_m)
        at_m = start_m + passed_s * self._of(N7776C.sweep_speed_m_s)
        self.state.wavelength_m = min(at_m, stop_m)
        if at_m >= stop_m:
            self._sweep = STOPPED
            if self._of(N7776C.logging):
                steps_m = self._of(N7776C.sweep_step_m) * np.arange(self._points(), dtype=np.float64)
                self._log = np.asarray(start_m + steps_m, np.float64)

    @query(f"{_SLOT}:WAVelength:SWEep[:STATe]?")
    def _sweep_state(self, slot: int, channel: int) -> int:
        return self._sweep

    @command(f"{_SLOT}:WAVelength:SWEep:STEP:NEXT")
    def _next(self, slot: int, channel: int) -> None:
        self._step(self._of(N7776C.sweep_step_m))

    @command(f"{_SLOT}:WAVelength:SWEep:STEP:PREVious")
    def _previous(self, slot: int, channel: int) -> None:
        self._step(-self._of(N7776C.sweep_step_m))

    def _step(self, step_m: float) -> None:
        wanted_m = self.state.wavelength_m + step_m
        if (
            self._sweep != PAUSED
            or not self._of(N7776C.sweep_start_m) <= wanted_m <= self._of(N7776C.sweep_stop_m) + WAVELENGTH_STEP_M
        ):
            raise ScpiError(-221)
        self.state.wavelength_m = wanted_m

    @query(f"{_SLOT}:READout:POINts?", Choice("LLOGging", "PMAX"))
    def _logged(self, slot: int, channel: int, what: str) -> int:
        return len(self._log) if what == "LLOG" else 0

    @query(f"{_SLOT}:READout:DATA?", Choice("LLOGging", "PMAX"))
    def _data(self, slot: int, channel: int, what: str) -> Block:
        return Block(self._log.astype("<f8") if what == "LLOG" else np.empty(0))
