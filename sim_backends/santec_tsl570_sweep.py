"""Sweeps of a simulated Santec TSL-570: their settings, and where the light is while one runs.

Manual: Santec, "TSL-570 Operation Manual", chapter "Remote control". ``:WAVelength:SWEep:MODe``: 0 stepped, 1
continuous, 2 and 3 the same there and back. A continuous sweep goes at ``:SPEed``, a stepped one stays ``:DWELl`` at
each ``:STEP``; after each way it waits ``:DELay``. ``:WAVelength:SWEep?``: 0 stopped, 1 running, 3 waiting for the
trigger, which ``:TRIGger:INPut:STANdby`` asks for and ``:TRIGger:INPut:SOFTtrigger`` is. The light is where the lab's
clock has it whenever the laser is spoken to.

Assumed: the way back between cycles of a one-way sweep takes no time; a sweep ends where it got to; a repeated one
(``:REPeat``) ends only by being stopped. With ``:TRIGger:OUTPut 3`` the wavelengths at the triggers,
``:TRIGger:OUTPut:STEP`` apart, are logged: those of the last way from start to stop that began. The log is a block with
nothing behind it, as public drivers read it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

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
from sim_backends.state import LaserState

LIGHT_SPEED_M_S: Final = 299_792_458.0
WAVELENGTH_STEP_M: Final = 1e-13
SPEEDS_NM_S: Final = (1, 2, 5, 10, 20, 50, 100, 200)
SPEEDS_550_NM_S: Final = (0.5, 100.0)
#: Of ``:TRIGger:OUTPut``.
AT_EVERY_STEP: Final = 3
#: The log's unit in the Legacy command set.
LEGACY_LOG_M: Final = 1e-13
STOPPED, RUNNING, AWAITING_TRIGGER = 0, 1, 3

LIMIT: Final = Maybe(Choice("MINimum", "MAXimum"), "")


def length_unit(laser: SweepingLaser) -> str:
    """In which a wavelength without a unit is meant."""
    return "NM" if laser.legacy else "M"


def frequency_unit(laser: SweepingLaser) -> str:
    """In which a frequency without a unit is meant."""
    return "THZ" if laser.legacy else "HZ"


def _one_digit(value: float) -> str:
    return f"{value:.1f}"


WAVELENGTH: Final = Number("M", lambda laser: laser.wavelengths_m, plain=length_unit)
FREQUENCY: Final = Number("HZ", lambda laser: laser.frequencies_hz, plain=frequency_unit)


def either(limit: str, limits: tuple[float, float], value: float) -> float:
    """The value, or the limit that was asked for."""
    return value if not limit else limits[limit == "MAX"]


@dataclass(frozen=True)
class Place:
    """Where a sweep has got to. ``covered_m``: of the last way from start to stop."""

    wavelength_m: float
    covered_m: float
    cycles: int
    running: bool


@dataclass(frozen=True)
class Sweep:
    """What was asked for when it began, at ``began_s`` of the lab's clock. ``cycles`` 0: endless.

    ``dwell_s`` None: continuous at ``speed_m_s``, otherwise in steps of ``step_m``.
    """

    began_s: float
    start_m: float
    stop_m: float
    speed_m_s: float
    step_m: float
    dwell_s: float | None
    delay_s: float
    two_way: bool
    cycles: int

    def _way_s(self) -> float:
        span_m = abs(self.stop_m - self.start_m)
        if self.dwell_s is None:
            return round(span_m / self.speed_m_s, 9)
        return (math.floor(span_m / self.step_m * (1 + 1e-9)) + 1) * self.dwell_s

    def _covered(self, time_s: float) -> float:
        """Of one way, ``time_s`` after it began."""
        span_m = abs(self.stop_m - self.start_m)
        if time_s >= self._way_s():
            return span_m
        if self.dwell_s is None:
            return self.speed_m_s * time_s
        return min(math.floor(time_s / self.dwell_s) * self.step_m, span_m)

    def place(self, now_s: float) -> Place:
        """Where the light is at ``now_s``."""
        way_s, span_m = self._way_s(), abs(self.stop_m - self.start_m)
        each_s = way_s + self.delay_s
        ways_each = 2 if self.two_way else 1
        ways = self.cycles * ways_each
        passed_s = max(now_s - self.began_s, 0.0)
        way = math.floor(passed_s / each_s) if each_s > 0 else ways
        time_s = passed_s - way * each_s
        over = ways > 0 and (way >= ways or (way == ways - 1 and time_s >= way_s))
        if over:
            way, time_s = ways - 1, math.inf
        back = self.two_way and way % 2 == 1
        covered_m = self._covered(time_s)
        from_start_m = math.copysign(span_m - covered_m if back else covered_m, self.stop_m - self.start_m)
        cycles = (way + over) // ways_each
        return Place(self.start_m + from_start_m, span_m if back else covered_m, cycles, not over)


class SweepingLaser(ScpiUnit):
    """What a tunable laser has for sweeps. ``legacy``: the command set in force."""

    state: LaserState
    wavelengths_m: tuple[float, float]
    frequencies_hz: tuple[float, float]
    legacy: bool
    is_570: bool

    sweep_mode = Setting(":WAVelength:SWEep:MODe", Integer(0, 3), 1)
    sweep_dwell_s = Setting(":WAVelength:SWEep:DWELl", Number("S", (0.0, 999.9)), 0.0, _one_digit)
    sweep_delay_s = Setting(":WAVelength:SWEep:DELay", Number("S", (0.0, 999.9)), 0.0, _one_digit)
    sweep_cycles = Setting(":WAVelength:SWEep:CYCLes", Integer(0, 999), 1)
    external_trigger = Setting(":TRIGger:INPut:EXTernal", Boolean(), False)
    trigger_standby = Setting(":TRIGger:INPut:STANdby", Boolean(), False)
    trigger_output = Setting(":TRIGger:OUTPut", Integer(0, 3), 0)
    #: 0 equal steps of wavelength, 1 of time
    trigger_setting = Setting(":TRIGger:OUTPut:SETTing", Integer(0, 1), 0)

    def only_570(self) -> None:
        """Raises ScpiError -113 on a TSL-550."""
        if not self.is_570:
            raise ScpiError(-113)

    def metres(self, value: float) -> str:
        """As a wavelength is told in the command set in force."""
        return f"{value * 1e9:.4f}" if self.legacy else scientific(value, 8, 3)

    def hertz(self, value: float) -> str:
        """As a frequency is told in the command set in force."""
        return f"{value * 1e-12:.5f}" if self.legacy else scientific(value, 8, 3)

    def reset_sweep(self) -> None:
        """Over the whole range, and not begun."""
        low, high = self.wavelengths_m
        self._sweep_m = {"STAR": low, "STOP": high}
        self._sweep_step_m, self._sweep_step_hz = 1e-10, 1e10
        self._sweep_speed, self._trigger_step_m = 10.0, 1e-10
        self._running: Sweep | None = None
        self._awaiting: int | None = None  # cycles of the sweep that waits for the trigger
        self._cycles_done = 0
        self._log_m: NDArray[np.float64] = np.empty(0)

    # ------------------------------------------------------------------ sweep settings

    def _set_end(self, which: str, wavelength_m: float) -> None:
        self._sweep_m[which] = round(wavelength_m / WAVELENGTH_STEP_M) * WAVELENGTH_STEP_M

    @command(":WAVelength:SWEep:STARt", WAVELENGTH)
    def _set_start(self, wavelength_m: float) -> None:
        self._set_end("STAR", wavelength_m)

    @query(":WAVelength:SWEep:STARt?", LIMIT)
    def _start(self, limit: str) -> str:
        return self.metres(either(limit, self.wavelengths_m, self._sweep_m["STAR"]))

    @command(":WAVelength:SWEep:STOP", WAVELENGTH)
    def _set_stop(self, wavelength_m: float) -> None:
        self._set_end("STOP", wavelength_m)

    @query(":WAVelength:SWEep:STOP?", LIMIT)
    def _stop(self, limit: str) -> str:
        return self.metres(either(limit, self.wavelengths_m, self._sweep_m["STOP"]))

    @command(":WAVelength:SWEep:STEP", Number("M", (WAVELENGTH_STEP_M, 160e-9), plain=length_unit))
    def _set_step(self, step_m: float) -> None:
        self._sweep_step_m = step_m

    @query(":WAVelength:SWEep:STEP?")
    def _step(self) -> str:
        return self.metres(self._sweep_step_m)

    @command(":WAVelength:FREQuency:SWEep:STARt", FREQUENCY)
    @command(":FREQuency:SWEep:STARt", FREQUENCY)
    def _set_start_frequency(self, frequency_hz: float) -> None:
        self._set_end("STAR", LIGHT_SPEED_M_S / frequency_hz)

    @query(":WAVelength:FREQuency:SWEep:STARt?")
    @query(":FREQuency:SWEep:STARt?")
    def _start_frequency(self) -> str:
        return self.hertz(LIGHT_SPEED_M_S / self._sweep_m["STAR"])

    @command(":WAVelength:FREQuency:SWEep:STOP", FREQUENCY)
    @command(":FREQuency:SWEep:STOP", FREQUENCY)
    def _set_stop_frequency(self, frequency_hz: float) -> None:
        self._set_end("STOP", LIGHT_SPEED_M_S / frequency_hz)

    @query(":WAVelength:FREQuency:SWEep:STOP?")
    @query(":FREQuency:SWEep:STOP?")
    def _stop_frequency(self) -> str:
        return self.hertz(LIGHT_SPEED_M_S / self._sweep_m["STOP"])

    @command(":WAVelength:FREQuency:SWEep:STEP", Number("HZ", (1e6, 3e13), plain=frequency_unit))
    @command(":FREQuency:SWEep:STEP", Number("HZ", (1e6, 3e13), plain=frequency_unit))
    def _set_frequency_step(self, step_hz: float) -> None:
        self._sweep_step_hz = step_hz

    @query(":WAVelength:FREQuency:SWEep:STEP?")
    @query(":FREQuency:SWEep:STEP?")
    def _frequency_step(self) -> str:
        return self.hertz(self._sweep_step_hz)

    @query(":WAVelength:SWEep:RANGe:MINimum?")
    def _sweep_shortest(self) -> str:
        self.only_570()
        return self.metres(self.wavelengths_m[0])

    @query(":WAVelength:SWEep:RANGe:MAXimum?")
    def _sweep_longest(self) -> str:
        self.only_570()
        return self.metres(self.wavelengths_m[1])

    @query(":FREQuency:SWEep:RANGe:MINimum?")
    def _sweep_lowest(self) -> str:
        self.only_570()
        return self.hertz(self.frequencies_hz[0])

    @query(":FREQuency:SWEep:RANGe:MAXimum?")
    def _sweep_highest(self) -> str:
        self.only_570()
        return self.hertz(self.frequencies_hz[1])

    @command(":WAVelength:SWEep:SPEed", Number())
    def _set_speed(self, speed_nm_s: float) -> None:
        low, high = SPEEDS_550_NM_S
        if not (speed_nm_s in SPEEDS_NM_S if self.is_570 else low <= speed_nm_s <= high):
            raise ScpiError(-222)
        self._sweep_speed = round(speed_nm_s, 1)

    @query(":WAVelength:SWEep:SPEed?")
    def _speed(self) -> str:
        return f"{self._sweep_speed:.0f}" if self.is_570 else f"{self._sweep_speed:.1f}"

    @command(":TRIGger:OUTPut:STEP", Number("M", (WAVELENGTH_STEP_M, 160e-9), plain=length_unit))
    def _set_trigger_step(self, step_m: float) -> None:
        self._trigger_step_m = step_m

    @query(":TRIGger:OUTPut:STEP?")
    def _trigger_step(self) -> str:
        return self.metres(self._trigger_step_m)

    # ------------------------------------------------------------------ sweeping

    def stop_sweep(self) -> None:
        """The light stays where it is."""
        self._running = self._awaiting = None

    def follow_sweep(self) -> None:
        """Bring the light to where the clock has it."""
        if self._running is None:
            return
        place = self._running.place(self.world.now())
        self.state.wavelength_m = round(place.wavelength_m / WAVELENGTH_STEP_M) * WAVELENGTH_STEP_M
        self._cycles_done = place.cycles
        if self.trigger_output == AT_EVERY_STEP:
            count = math.floor(place.covered_m / self._trigger_step_m * (1 + 1e-9)) + 1
            sign = math.copysign(1.0, self._running.stop_m - self._running.start_m)
            self._log_m = self._running.start_m + sign * self._trigger_step_m * np.arange(count, dtype=np.float64)
        if not place.running:
            self._running = None

    def _begin(self, cycles: int) -> None:
        self._cycles_done, self._log_m = 0, np.empty(0)
        if self.trigger_standby:
            self._awaiting = cycles
            return
        self._go(cycles)

    def _go(self, cycles: int) -> None:
        self._awaiting = None
        self._running = Sweep(
            began_s=self.world.now(),
            start_m=self._sweep_m["STAR"],
            stop_m=self._sweep_m["STOP"],
            speed_m_s=self._sweep_speed * 1e-9,
            step_m=self._sweep_step_m,
            dwell_s=self.sweep_dwell_s if self.sweep_mode in (0, 2) else None,
            delay_s=self.sweep_delay_s,
            two_way=self.sweep_mode >= 2,
            cycles=cycles,
        )
        self.follow_sweep()

    @command(":WAVelength:SWEep[:STATe]", Integer(0, 1))
    def _sweep(self, start: int) -> None:
        self.stop_sweep()
        if start:
            self._begin(self.sweep_cycles)

    @command(":WAVelength:SWEep:STATe:REPeat")
    @command(":WAVelength:SWEep:REPeat")
    def _repeat(self) -> None:
        self.stop_sweep()
        self._begin(0)

    @command(":TRIGger:INPut:SOFTtrigger")
    def _soft_trigger(self) -> None:
        if self._awaiting is None:
            raise ScpiError(-200, "no sweep waits for a trigger")
        self._go(self._awaiting)

    @query(":WAVelength:SWEep[:STATe]?")
    def _sweep_state(self) -> int:
        if self._awaiting is not None:
            return AWAITING_TRIGGER
        return STOPPED if self._running is None else RUNNING

    @query(":WAVelength:SWEep:COUNt?")
    def _sweep_count(self) -> int:
        return self._cycles_done

    @query(":READout:POINts?")
    def _points(self) -> int:
        return len(self._log_m)

    @query(":READout:DATa?")
    def _data(self) -> Block:
        if self.legacy:
            return Block(np.rint(self._log_m / LEGACY_LOG_M).astype("<i4"), bare=True)
        return Block(self._log_m.astype("<f8"), bare=True)
