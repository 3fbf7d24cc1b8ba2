"""Thorlabs PM100D optical power meter (PM100USB, PM101 and PM103E speak alike).

Manual: Thorlabs, "PM100D Operation Manual", SCPI commands (pages 49 to 51); "PM100USB", page 22.
USB (USBTMC) or, for the PM103E, LAN; line feed. Wavelengths travel in nanometres, power in watts.

``SENSe:CORRection:WAVelength`` sets what the sensor's responsivity is read for; ``MEASure:POWer?``
measures once, averaging as ``SENSe:AVERage:COUNt`` says.
"""

from __future__ import annotations

from collections.abc import Sequence

from drivers.link import ScpiLink
from drivers.scpi import integer, real, switch, word
from drivers.visa import VisaLibrary
from labctl.clock import Clock
from labctl.errors import LimitError
from labctl.interfaces import PowerMeter
from labctl.values import Identity, Range, SafeState, Scalar, Snapshot

WAVELENGTH = real("SENSe:CORRection:WAVelength", "Wavelength of the light measured", unit="nm")
LOSS = real("SENSe:CORRection:LOSS:INPut:MAGNitude", "Loss before the sensor", unit="dB")
UNIT = word("SENSe:POWer:UNIT", "Unit of power: W or DBM")
RANGE = real("SENSe:POWer:RANGe:UPPer", "Upper end of the measuring range", unit="W")
AUTO_RANGE = switch("SENSe:POWer:RANGe:AUTO", "Measuring range chosen by the meter")
AVERAGES = integer("SENSe:AVERage:COUNt", "Readings averaged, 0.3 ms each")
POWER = real("MEASure:POWer", "One measurement", unit="W")


class PM100D(PowerMeter):
    """``averages``: readings per measurement, set when the meter is opened; None leaves the meter's
    own.
    """

    def __init__(
        self,
        name: str,
        resource: str,
        library: VisaLibrary,
        clock: Clock,
        *,
        averages: int | None = None,
    ) -> None:
        super().__init__(name)
        self._link = ScpiLink(library.connect(name, resource), "SYSTem:ERRor?")
        self._averages = averages
        self.wavelength_range_m = Range(400e-9, 2000e-9, "m")

    def open(self) -> None:
        """Connect, measure in watts, and read the sensor's own wavelength limits."""
        self._link.open("THORLABS", r"PM100D\d?|PM100USB|PM100A|PM10[123][A-Z]*|PM16.*|PM400|PM5020")
        try:
            self._link.set(UNIT, "W")
            if self._averages is not None:
                self._link.set(AVERAGES, self._averages)
            low, high = (self._link.ask(WAVELENGTH, end) for end in ("MIN", "MAX"))
        except BaseException:
            self._link.close()
            raise
        self.wavelength_range_m = Range(low * 1e-9, high * 1e-9, "m")

    def close(self) -> None:
        self._link.close()

    @property
    def identity(self) -> Identity:
        return self._link.identity

    def set_wavelength(self, wavelength_m: float) -> None:
        if wavelength_m not in self.wavelength_range_m:
            raise LimitError(
                self.name,
                f"{wavelength_m:g} m is outside the sensor's {self.wavelength_range_m}",
                "Use a sensor made for this wavelength.",
            )
        self._link.set(WAVELENGTH, wavelength_m * 1e9)

    def wavelength(self) -> float:
        """Metres, as read back."""
        return self._link.get(WAVELENGTH) * 1e-9

    def power(self) -> float:
        """Watts. Raises InstrumentReply when the sensor is over its range (9.9E37) or has no
        reading (9.91E37).
        """
        return self._link.get(POWER)

    def safe_state(self) -> SafeState:
        """A power meter emits nothing."""
        return SafeState(self.name, True, {})

    def snapshot(self) -> Snapshot:
        readings: dict[str, Scalar] = {
            "wavelength_m": self.wavelength(),
            "input_loss_db": self._link.get(LOSS),
            "range_w": self._link.get(RANGE),
            "auto_range": self._link.get(AUTO_RANGE),
            "averages": self._link.get(AVERAGES),
            "power_w": self.power(),
        }
        return readings

    def problems(self) -> Sequence[str]:
        return self._link.problems()
