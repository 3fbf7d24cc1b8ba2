"""Keysight N7744A four-channel optical power meter (the N7745A has eight).

Manual: Keysight, "N7744A/N7745A Multiport Power Meter, Programming Guide", :SENSe and :READ. LAN: TCP port 5025, or
VXI-11, USB; line feed. Wavelengths are sent with the suffix NM and answered in metres, averaging times in seconds,
powers are asked for in watts. A reading beyond the range is +3.40282300E+038.

``:SENSe<n>:FUNCtion`` logs: :meth:`N7744A.log` has the meter take readings one after the other, and fetches them as one
block of float32, little-endian.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.link import ScpiLink
from drivers.scpi import Setting, format_real, integer, parse_finite, real, switch
from drivers.visa import VisaLibrary
from labctl.clock import Clock
from labctl.errors import ConfigError, InstrumentReply, InstrumentTimeout, LimitError
from labctl.interfaces import PowerMeter
from labctl.values import Identity, Range, SafeState, Scalar, Snapshot

WAVELENGTH: Setting[float] = Setting(
    ":SENSe{}:POWer:WAVelength",
    parse_finite,
    lambda metres: f"{metres * 1e9:.6f}NM",
    "Wavelength of the light measured",
    "m",
)
UNIT = integer(":SENSe{}:POWer:UNIT", "Unit of power: 0 dBm, 1 W")
AVERAGING: Setting[float] = Setting(
    ":SENSe{}:POWer:ATIMe", parse_finite, lambda seconds: f"{format_real(seconds)}S", "Averaging time", "s"
)
CALIBRATION = real(":SENSe{}:CORRection", "Added to every reading", unit="dB")
RANGE = real(":SENSe{}:POWer:RANGe", "Upper end of the measuring range", unit="dBm")
AUTO_RANGE = switch(":SENSe{}:POWer:RANGe:AUTO", "Measuring range chosen by the meter")
POWER = real(":READ{}:POWer", "One measurement", unit="W")

MOST_SAMPLES: Final = 1_000_000
CHANNELS: Final = {"N7744A": 4, "N7745A": 8}
POLL_S: Final = 0.1
#: How much longer than its samples take a log may need.
LOG_GRACE_S: Final = 5.0


class N7744A(PowerMeter):
    """``channel``: the input used, counted from 1. ``averaging_s``: set at opening; None leaves the meter's."""

    def __init__(
        self,
        name: str,
        resource: str,
        library: VisaLibrary,
        clock: Clock,
        *,
        channel: int = 1,
        averaging_s: float | None = None,
    ) -> None:
        super().__init__(name)
        if channel < 1 or (averaging_s is not None and averaging_s <= 0):
            raise ConfigError(
                f"{name}: channel = {channel}, averaging_s = {averaging_s}",
                "Channels count from 1; give a positive time, or leave it out.",
            )
        self._link = ScpiLink(library.connect(name, resource))
        self._clock = clock
        self._channel = channel
        self._averaging_s = averaging_s
        self.wavelength_range_m = Range(1250e-9, 1650e-9, "m")

    def open(self) -> None:
        """Connect, measure in watts, and read this unit's own wavelength limits."""
        identity = self._link.open(r"KEYSIGHT TECHNOLOGIES|AGILENT TECHNOLOGIES", "|".join(CHANNELS))
        try:
            if self._channel > CHANNELS[identity.model.upper()]:
                raise ConfigError(
                    f"{self.name}: an {identity.model} has no channel {self._channel}",
                    f"Give a channel from 1 to {CHANNELS[identity.model.upper()]}.",
                )
            self._link.set(UNIT, 1, self._channel)
            if self._averaging_s is not None:
                self._link.set(AVERAGING, self._averaging_s, self._channel)
            low, high = (self._link.ask(WAVELENGTH, end, self._channel) for end in ("MIN", "MAX"))
        except BaseException:
            self._link.close()
            raise
        self.wavelength_range_m = Range(low, high, "m")

    def close(self) -> None:
        self._link.close()

    @property
    def identity(self) -> Identity:
        return self._link.identity

    def set_wavelength(self, wavelength_m: float) -> None:
        if wavelength_m not in self.wavelength_range_m:
            raise LimitError(
                self.name,
                f"{wavelength_m:g} m is outside the meter's {self.wavelength_range_m}",
                "Use a meter made for this wavelength.",
            )
        self._link.set(WAVELENGTH, wavelength_m, self._channel)

    def wavelength(self) -> float:
        """Metres, as read back."""
        return self._link.get(WAVELENGTH, self._channel)

    def power(self) -> float:
        """Watts. Raises InstrumentReply when the reading is beyond a fixed range."""
        return self._link.get(POWER, self._channel)

    def log(self, samples: int, averaging_s: float) -> NDArray[np.float32]:
        """Watts, ``samples`` readings one after the other: float32 of shape (samples,), read-only.

        Raises InstrumentReply when fewer come or one is beyond the range, InstrumentTimeout when the meter does not
        finish.
        """
        if not 1 <= samples <= MOST_SAMPLES or averaging_s <= 0:
            raise LimitError(
                self.name,
                f"{samples} samples of {averaging_s:g} s",
                f"Ask for 1 to {MOST_SAMPLES} samples of a positive time.",
            )
        function = f":SENSe{self._channel}:FUNCtion"
        self._link.command(f"{function}:PARameter:LOGGing {samples},{format_real(averaging_s)}S")
        self._link.command(f"{function}:STATe LOGGing,STARt")
        self._wait(f"{function}:STATe?", samples * averaging_s + LOG_GRACE_S)
        readings = self._link.query_array(f"{function}:RESult?", np.dtype("<f4"))
        self._link.command(f"{function}:STATe LOGGing,STOP")
        if len(readings) != samples or not np.all(np.abs(readings) < 1e30):
            raise InstrumentReply(
                self.name,
                f"{len(readings)} of {samples} readings came, or some are beyond the range",
                command=f"{function}:RESult?",
            )
        return readings

    def _wait(self, query: str, longest_s: float) -> None:
        end = self._clock.now() + longest_s
        while not self._link.query(query).strip().upper().endswith("COMPLETE"):
            if self._clock.now() >= end:
                raise InstrumentTimeout(self.name, f"is still logging after {longest_s:g} s", command=query)
            self._clock.wait(POLL_S)

    def safe_state(self) -> SafeState:
        """A power meter emits nothing."""
        return SafeState(self.name, True, {})

    def snapshot(self) -> Snapshot:
        readings: dict[str, Scalar] = {
            "channel": self._channel,
            "wavelength_m": self.wavelength(),
            "calibration_db": self._link.get(CALIBRATION, self._channel),
            "range_dbm": self._link.get(RANGE, self._channel),
            "auto_range": self._link.get(AUTO_RANGE, self._channel),
            "averaging_s": self._link.get(AVERAGING, self._channel),
            "power_w": self.power(),
        }
        return readings

    def problems(self) -> Sequence[str]:
        return self._link.problems()
