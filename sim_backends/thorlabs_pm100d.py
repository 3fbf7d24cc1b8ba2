"""Simulated Thorlabs PM100D power meter (PM100USB, PM101 and PM103E speak alike) with a photodiode sensor S144C.

Manual: Thorlabs, "PM100D Operation Manual", SCPI commands, pages 49 to 51. Wavelengths in nm, power in W or dBm.
The sensor's responsivity is taken as known at every wavelength, so the wavelength setting does not change the reading.

Options: ``model``, ``serial``, ``sensor_serial``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from labctl.units import db_to_ratio, watt_to_dbm
from sim_backends.scpi import (
    Boolean,
    Choice,
    Integer,
    Maybe,
    Number,
    ScpiUnit,
    Setting,
    command,
    query,
)
from sim_backends.state import WorldView

MODELS: Final = ("PM100D", "PM100USB", "PM100A", "PM101", "PM103E")
WAVELENGTHS_M: Final = (800e-9, 1700e-9)
#: Upper ends of the measuring ranges, W.
RANGES_W: Final = tuple(5.0 * 10.0**-exponent for exponent in range(8, 0, -1))
#: The answers for a reading beyond the range and for none at all (SCPI-1999 volume 1, 7.2.1).
OVER_RANGE: Final = 9.9e37
NO_READING: Final = 9.91e37
#: Of the photodiode behind the sensor's integrating sphere; assumed.
RESPONSIVITY_A_W: Final = 0.02
#: Of a pulsed source whose repetition rate the sensor can tell, Hz; assumed.
FREQUENCIES_HZ: Final = (1.0, 100e3)
MEASUREMENT: Final = ":STATus:MEASurement"
AUXILIARY: Final = ":STATus:AUXiliary"
#: Power sensor, response settable, wavelength settable.
SENSOR_FLAGS: Final = 1 + 16 + 32

_LIMIT = Maybe(Choice("MINimum", "MAXimum", "DEFault"), "")


def _in_nm(metres: float) -> str:
    return f"{metres * 1e9:.8E}"


class PM100D(ScpiUnit):
    """Measures what the world says is at its place."""

    MODEL = "thorlabs_pm100d"
    SIGNED_ERRORS = True

    wavelength_m = Setting(
        "[:SENSe]:CORRection:WAVelength",
        Number("M", WAVELENGTHS_M, default=1550e-9, plain="NM"),
        1550e-9,
        _in_nm,
    )
    loss_db = Setting("[:SENSe]:CORRection[:LOSS[:INPut[:MAGNitude]]]", Number("DB", (-60.0, 60.0), default=0.0), 0.0)
    beam_diameter_m = Setting(
        "[:SENSe]:CORRection:BEAMdiameter",
        Number("M", (1e-4, 0.1), default=9.5e-3, plain="MM"),
        9.5e-3,
        lambda metres: metres * 1e3,
    )
    averages = Setting("[:SENSe]:AVERage[:COUNt]", Integer(1, 3000), 1)
    unit = Setting("[:SENSe]:POWer[:DC]:UNIT", Choice("W", "DBM"), "W")
    automatic = Setting("[:SENSe]:POWer[:DC]:RANGe:AUTO", Boolean(), True)
    reference_w = Setting("[:SENSe]:POWer[:DC]:REFerence", Number("W", (0.0, 1.0), default=1e-3), 1e-3)
    relative = Setting("[:SENSe]:POWer[:DC]:REFerence:STATe", Boolean(), False)
    filtered = Setting(":INPut[:PDIode]:FILTer[:LPASs][:STATe]", Boolean(), False)
    line_frequency = Setting(":SYSTem:LFRequency", Integer(50, 60), 50)
    beeps = Setting(":SYSTem:BEEPer:STATe", Boolean(), True)
    responsivity_a_w = Setting(
        "[:SENSe]:CORRection:POWer[:PDIode]:RESPonse",
        Number("", (1e-3, 10.0), default=RESPONSIVITY_A_W),
        RESPONSIVITY_A_W,
    )
    brightness = Setting(":DISPlay:BRIGhtness", Number("", (0.0, 1.0), default=1.0), 1.0)
    contrast = Setting(":DISPlay:CONTrast", Number("", (0.0, 1.0), default=0.5), 0.5)
    measurement_enable = Setting(f"{MEASUREMENT}:ENABle", Integer(0, 65535), 0)
    measurement_rising = Setting(f"{MEASUREMENT}:PTRansition", Integer(0, 65535), 32767)
    measurement_falling = Setting(f"{MEASUREMENT}:NTRansition", Integer(0, 65535), 0)
    auxiliary_enable = Setting(f"{AUXILIARY}:ENABle", Integer(0, 65535), 0)

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        self._model = self.options.text("variant", "PM100D", MODELS)
        self._serial = self.options.text("serial", "P0012345")
        self._sensor_serial = self.options.text("sensor_serial", "M00654321")
        self._zero_w = 0.0
        self._date, self._time = (2024, 1, 1), (0, 0, 0)  # the clock stands
        self.reset()

    def identity(self) -> str:
        return f"THORLABS,{self._model},{self._serial},2.4.0"

    def reset(self) -> None:
        super().reset()
        self._range_w = RANGES_W[-1]
        self._fetched: float | None = None

    # ------------------------------------------------------------------ system

    @query(":SYSTem:SENSor[:IDN]?")
    def _sensor(self) -> str:
        """Name, serial number, date of calibration, type (1 photodiode), subtype, flags."""
        return f'"S144C","{self._sensor_serial}","12-Jan-2024",1,1,{SENSOR_FLAGS}'

    @command(":SYSTem:BEEPer[:IMMediate]")
    def _beep(self) -> None:
        """Nobody hears it."""

    @command(":SYSTem:DATE", Integer(2000, 2099), Integer(1, 12), Integer(1, 31))
    def _set_date(self, year: int, month: int, day: int) -> None:
        self._date = (year, month, day)

    @query(":SYSTem:DATE?")
    def _today(self) -> str:
        return ",".join(map(str, self._date))

    @command(":SYSTem:TIME", Integer(0, 23), Integer(0, 59), Integer(0, 59))
    def _set_time(self, hour: int, minute: int, second: int) -> None:
        self._time = (hour, minute, second)

    @query(":SYSTem:TIME?")
    def _now(self) -> str:
        return ",".join(map(str, self._time))

    @query(":SYSTem:VERSion?")
    def _scpi_version(self) -> str:
        return "1999.0"

    @query(":CALibration:STRing?")
    def _calibrated(self) -> str:
        return '"Uncalibrated"'

    @query(f"{MEASUREMENT}[:EVENt]?")
    @query(f"{MEASUREMENT}:CONDition?")
    @query(f"{AUXILIARY}[:EVENt]?")
    @query(f"{AUXILIARY}:CONDition?")
    def _nothing_happened(self) -> int:
        return 0

    # ------------------------------------------------------------------ range

    @query("[:SENSe]:FREQuency[:RANGe][:UPPer]?")
    def _highest_frequency(self) -> float:
        return FREQUENCIES_HZ[1]

    @query("[:SENSe]:FREQuency[:RANGe]:LOWer?")
    def _lowest_frequency(self) -> float:
        return FREQUENCIES_HZ[0]

    @command("[:SENSe]:POWer[:DC]:RANGe[:UPPer]", Number("W", (0.0, RANGES_W[-1]), default=RANGES_W[-1], plain="W"))
    def _set_range(self, upper_w: float) -> None:
        """The smallest range that holds the value; automatic ranging ends."""
        self._range_w = next(upper for upper in RANGES_W if upper >= upper_w * (1 - 1e-9))
        PM100D.automatic.put(self, False)

    @query("[:SENSe]:POWer[:DC]:RANGe[:UPPer]?", _LIMIT)
    def _range(self, limit: str) -> float:
        ends = {"MIN": RANGES_W[0], "MAX": RANGES_W[-1], "DEF": RANGES_W[-1]}
        return ends[limit] if limit else self._range_in_force()

    def _range_in_force(self) -> float:
        if not self.automatic:
            return self._range_w
        power_w = self._sensed_w()
        return next((upper for upper in RANGES_W if upper >= power_w), RANGES_W[-1])

    # ------------------------------------------------------------------ zero

    @command("[:SENSe]:CORRection:COLLect:ZERO[:INITiate]")
    def _zero(self) -> None:
        """Whatever is seen now counts as dark."""
        self._zero_w = self.world.optical_power_w(self.name)

    @command("[:SENSe]:CORRection:COLLect:ZERO:ABORt")
    def _abort_zero(self) -> None:
        """Zeroing is over at once: nothing to abort."""

    @query("[:SENSe]:CORRection:COLLect:ZERO:STATe?")
    def _zeroing(self) -> int:
        return 0

    @query("[:SENSe]:CORRection:COLLect:ZERO:MAGNitude?")
    def _zero_magnitude(self) -> float:
        return self._zero_w

    # ------------------------------------------------------------------ measurement

    def _sensed_w(self) -> float:
        return self.world.optical_power_w(self.name) - self._zero_w

    def _measured(self) -> float:
        sensed_w = self._sensed_w()
        if sensed_w > self._range_in_force():
            return OVER_RANGE
        power_w = sensed_w * db_to_ratio(self.loss_db)
        if self.relative:
            power_w -= self.reference_w
        if self.unit == "W":
            return power_w
        return watt_to_dbm(power_w) if power_w > 0 else -math.inf

    def format_real(self, value: float) -> str:
        """``1.02345678E-03``; the dark in dBm is SCPI's negative infinity."""
        return "-9.90000000E+37" if value == -math.inf else f"{value:.8E}"

    @command(":CONFigure[:SCALar][:POWer]")
    def _configure(self) -> None:
        """Power is all that this sensor measures."""

    @query(":CONFigure?")
    def _configuration(self) -> str:
        return "POW"

    @command(":INITiate[:IMMediate]")
    def _initiate(self) -> None:
        self._fetched = self._measured()

    @command(":ABORt")
    def _abort(self) -> None:
        """A measurement is over at once: nothing to abort."""

    @query(":FETCh?")
    def _fetch(self) -> float:
        return NO_READING if self._fetched is None else self._fetched

    @query(":READ?")
    @query(":MEASure[:SCALar][:POWer]?")
    def _measure(self) -> float:
        self._fetched = self._measured()
        return self._fetched

    @query(":MEASure[:SCALar]:PDENsity?")
    def _measure_density(self) -> float:
        """Watt per square centimetre of the beam."""
        return self._measured() / (math.pi / 4 * (self.beam_diameter_m * 100) ** 2)

    @query(":MEASure[:SCALar]:CURRent[:DC]?")
    def _measure_current(self) -> float:
        """Ampere of the photodiode."""
        return self._sensed_w() * self.responsivity_a_w

    @query(":MEASure[:SCALar]:FREQuency?")
    def _measure_frequency(self) -> float:
        """Hertz of a pulsed source: the light here is steady."""
        return 0.0
