"""Keysight N7764A four-channel variable optical attenuator (N7761A, N7762A, N7751A, N7752A and 8157x speak alike).

Manual: Keysight, "8163A/B, 8164A/B, 8166A/B Programming Guide", signal conditioning (:INPut and
:OUTPut subsystems, pages 148 and 182). LAN: TCP port 5025, line feed. Slots 1, 3, 5 and 7 of the
N7764A are attenuators, 2, 4, 6 and 8 their outputs; which slots a smaller model has follows from the
model that it tells. Of an 8157x the bench file has to say it (``channels``). The largest attenuation
is read from each slot.

``:INPut<n>:ATTenuation`` is the filter's attenuation plus ``:INPut<n>:OFFSet``, both in dB. What is
set and read here is the filter's: the offset is made 0 with every attenuation that is set, which
changes no light by itself, and is taken off again when it is read. ``:OUTPut<n>:STATe`` is the
shutter (1 open). Wavelengths are sent with the suffix NM and answered in metres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from drivers.link import ScpiLink
from drivers.scpi import Setting, parse_finite, real, switch
from drivers.visa import VisaLibrary
from labctl.clock import Clock
from labctl.errors import ConfigError, LimitError
from labctl.interfaces import Attenuator
from labctl.values import Identity, Range, SafeState, Scalar, Snapshot

ATTENUATION = real(":INPut{}:ATTenuation", "Attenuation of the filter plus the offset", unit="dB", suffix=" DB")
OFFSET = real(":INPut{}:OFFSet", "Offset between the attenuation shown and the filter's", unit="dB")
WAVELENGTH: Setting[float] = Setting(
    ":INPut{}:WAVelength",
    parse_finite,
    lambda metres: f"{metres * 1e9:.6f}NM",
    "Wavelength for which the attenuator is calibrated",
    "m",
    Range(1260e-9, 1640e-9, "m"),
)
SHUTTER_OPEN = switch(":OUTPut{}:STATe", "Shutter open: light passes")

#: Slots of the models that have always the same.
CHANNELS: Final[Mapping[str, tuple[int, ...]]] = {
    "N7761A": (1,),
    "N7762A": (1, 3),
    "N7764A": (1, 3, 5, 7),
    "N7751A": (1,),
    "N7752A": (1, 3),
}
MAX_ATTENUATION_DB: Final = 45.0


class N7764A(Attenuator):
    """``channels``: the attenuator slots that are used; None: all that the model has.

    ``attenuation_range_db``: what every one of them can.
    """

    channels: Sequence[int]

    def __init__(
        self,
        name: str,
        resource: str,
        library: VisaLibrary,
        clock: Clock,
        *,
        channels: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name)
        self._wanted = None if channels is None else tuple(channels)
        self.channels = self._wanted or CHANNELS["N7764A"]  # until it is opened
        self._link = ScpiLink(library.connect(name, resource))
        self.attenuation_range_db = Range(0.0, MAX_ATTENUATION_DB, "dB")

    def open(self) -> None:
        """Connect, and learn which slots there are and how much they attenuate."""
        identity = self._link.open(r"KEYSIGHT TECHNOLOGIES|AGILENT TECHNOLOGIES", r"N775\dA|N776\dA|8157\dA")
        try:
            self.channels = self._slots(identity.model.upper())
            largest_db = min(self._largest_db(channel) for channel in self.channels)
        except BaseException:
            self._link.close()
            raise
        self.attenuation_range_db = Range(0.0, largest_db, "dB")

    def _slots(self, model: str) -> tuple[int, ...]:
        known = CHANNELS.get(model)
        wanted = known if self._wanted is None else self._wanted
        if not wanted or (known is not None and not set(wanted) <= set(known)):
            fitted = (
                "does not tell which slots attenuate" if known is None else f"attenuates in the slots {list(known)}"
            )
            raise ConfigError(
                f"{self.name}: the {model} {fitted}", "Give them as the option channels, such as channels = [1]."
            )
        return wanted

    def _largest_db(self, channel: int) -> float:
        """Of the filter: the offset is in what is answered."""
        return self._link.ask(ATTENUATION, "MAX", channel) - self._link.get(OFFSET, channel)

    def close(self) -> None:
        self._link.close()

    @property
    def identity(self) -> Identity:
        return self._link.identity

    def set_attenuation(self, channel: int, attenuation_db: float) -> None:
        if attenuation_db not in self.attenuation_range_db:
            raise LimitError(
                self.name,
                f"{attenuation_db:g} dB is outside {self.attenuation_range_db}",
                "Spread the attenuation over more channels, or change the light before it.",
            )
        slot = self._channel(channel)
        texts = (self._link.text(OFFSET, 0.0, slot), self._link.text(ATTENUATION, attenuation_db, slot))
        self._link.command(";".join(texts))

    def attenuation(self, channel: int) -> float:
        slot = self._channel(channel)
        return self._link.get(ATTENUATION, slot) - self._link.get(OFFSET, slot)

    def set_wavelength(self, channel: int, wavelength_m: float) -> None:
        """Metres, vacuum: what the channel's calibration is read for."""
        self._link.set(WAVELENGTH, wavelength_m, self._channel(channel))

    def set_shutter(self, channel: int, opened: bool) -> None:
        self._link.set(SHUTTER_OPEN, opened, self._channel(channel))

    def shutter(self, channel: int) -> bool:
        return self._link.get(SHUTTER_OPEN, self._channel(channel))

    def safe_state(self) -> SafeState:
        """All shutters closed; dark when every one is read back so."""
        for channel in self.channels:
            self._link.set(SHUTTER_OPEN, False, channel)
        opened = [channel for channel in self.channels if self._link.get(SHUTTER_OPEN, channel)]
        return SafeState(
            self.name,
            not opened,
            {f"shutter_open_{channel}": channel in opened for channel in self.channels},
            f"shutters still open: {opened}" if opened else "",
        )

    def snapshot(self) -> Snapshot:
        readings: dict[str, Scalar] = {}
        for channel in self.channels:
            shown_db, offset_db = self._link.get(ATTENUATION, channel), self._link.get(OFFSET, channel)
            readings[f"attenuation_{channel}_db"] = shown_db - offset_db
            readings[f"offset_{channel}_db"] = offset_db
            readings[f"wavelength_{channel}_m"] = self._link.get(WAVELENGTH, channel)
            readings[f"shutter_open_{channel}"] = self._link.get(SHUTTER_OPEN, channel)
        return readings

    def problems(self) -> Sequence[str]:
        return self._link.problems()

    def _channel(self, channel: int) -> int:
        if channel not in self.channels:
            raise LimitError(self.name, f"there is no channel {channel}", f"Use one of {list(self.channels)}.")
        return channel
