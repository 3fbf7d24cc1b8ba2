"""Simulated Keysight N7764A four-channel optical attenuator (N7761A, N7751A and 8157x have one, N7762A and N7752A two).

Manual: Keysight, "8163A/B, 8164A/B, 8166A/B Programming Guide", :INPut and :OUTPut subsystems, pages 148 and 182. Slots
1, 3, 5 and 7 are attenuators with a shutter and a power monitor behind it. ``:INPut:ATTenuation`` is the filter's
attenuation plus the offset. Attenuations are reached at once.

The power meters of an N7751A or N7752A are not simulated.

Options: ``variant``, ``power_in_dark``, ``even_slots``, ``serial``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from labctl.units import dbm_to_watt, watt_to_dbm
from sim_backends.scpi import (
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
from sim_backends.scpi_table import Call
from sim_backends.scpi_values import Reply
from sim_backends.state import AttenuatorChannelState, AttenuatorState, WorldView

SLOTS: Final = {
    "N7761A": (1,),
    "N7762A": (1, 3),
    "N7764A": (1, 3, 5, 7),
    "N7751A": (1,),
    "N7752A": (1, 3),
    "81570A": (1,),
    "81576A": (1,),
}
MAX_ATTENUATION_DB: Final = 45.0
RESOLUTION_DB: Final = 0.001
WAVELENGTHS_M: Final = (1260e-9, 1640e-9)
#: What the power monitor says in the dark.
DARK_DBM: Final = -200.0

_LIMIT = Maybe(Choice("MINimum", "MAXimum", "DEFault"), "")


class N7764A(ScpiUnit):
    """``state.channels`` is keyed by slot."""

    MODEL = "keysight_n7764a"
    SIGNED_ERRORS = True
    state: AttenuatorState

    wavelength_m = Setting(":INPut<n:8>[:CHANnel]:WAVelength", Number("M", WAVELENGTHS_M, default=1550e-9), 1550e-9)
    speed_db_s = Setting(
        ":INPut<n:8>[:CHANnel]:ATTenuation:SPEed", Number("DB/S", (0.1, 1000.0), default=1000.0), 1000.0
    )
    opens_at_power_on = Setting(":OUTPut<n:8>[:CHANnel]:APOWeron", Boolean(), False)
    power_unit = Setting(":OUTPut<n:8>[:CHANnel]:POWer:UNit", Integer(0, 1), 0)
    reference_dbm = Setting(":OUTPut<n:8>[:CHANnel]:POWer:REFerence", Number("", (-200.0, 200.0)), 0.0)
    power_offset_db = Setting(":OUTPut<n:8>[:CHANnel]:POWer:OFFSet", Number("DB", (-200.0, 200.0), default=0.0), 0.0)
    power_control = Setting(":OUTPut<n:8>[:CHANnel]:POWer:CONTRol", Boolean(), False)
    averaging_s = Setting(":OUTPut<n:8>[:CHANnel]:ATIMe", Number("S", (0.002, 10.0), default=0.1), 0.1)

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        self._model = self.options.text("variant", "N7764A", tuple(SLOTS))
        self._refuses_in_dark = self.options.text("power_in_dark", "refused", ("refused", "kept")) == "refused"
        self._shares_slots = self.options.text("even_slots", "refused", ("refused", "same")) == "same"
        self._serial = self.options.text("serial", "MY49C00123")
        self.state = AttenuatorState({slot: AttenuatorChannelState() for slot in SLOTS[self._model]})
        self._offsets_db = dict.fromkeys(self.state.channels, 0.0)

    def identity(self) -> str:
        return f"{'Agilent' if self._model[0] == '8' else 'Keysight'} Technologies,{self._model},{self._serial},1.28"

    def reset(self) -> None:
        """No attenuation, no offset, shutters closed."""
        super().reset()
        self._offsets_db = dict.fromkeys(self.state.channels, 0.0)
        for channel in self.state.channels.values():
            channel.attenuation_db = 0.0
            channel.shutter_open = False

    def format_real(self, value: float) -> str:
        return scientific(value, 8, 3)

    def suffixes_exist(self, suffixes: Sequence[int]) -> bool:
        return suffixes[0] in self.state.channels

    def _call(self, call: Call, answered: int) -> Reply | None:
        """An even slot, the output of the one before it, may stand for that."""
        if self._shares_slots and call.suffixes and call.suffixes[0] % 2 == 0:
            call = call._replace(suffixes=(call.suffixes[0] - 1,))
        return super()._call(call, answered)

    @query(":SLOT<n:8>:IDN?")
    def _slot_identity(self, slot: int) -> str:
        return self.identity()

    # ------------------------------------------------------------------ attenuation

    def _set_filter(self, slot: int, attenuation_db: float) -> None:
        wanted_db = round(attenuation_db / RESOLUTION_DB) * RESOLUTION_DB
        if not 0.0 <= wanted_db <= MAX_ATTENUATION_DB:
            raise ScpiError(-222)
        self.state.channels[slot].attenuation_db = wanted_db

    @command(":INPut<n:8>[:CHANnel]:ATTenuation", Number("DB", (-math.inf, math.inf), default=0.0))
    def _set_attenuation(self, slot: int, attenuation_db: float) -> None:
        """MIN and MAX arrive as infinities."""
        if math.isinf(attenuation_db):
            self._set_filter(slot, MAX_ATTENUATION_DB if attenuation_db > 0 else 0.0)
        else:
            self._set_filter(slot, attenuation_db - self._offsets_db[slot])

    @query(":INPut<n:8>[:CHANnel]:ATTenuation?", _LIMIT)
    def _attenuation(self, slot: int, limit: str) -> float:
        own_db = self.state.channels[slot].attenuation_db
        filters = {"": own_db, "MIN": 0.0, "MAX": MAX_ATTENUATION_DB, "DEF": 0.0}
        return filters[limit] + self._offsets_db[slot]

    @command(":INPut<n:8>[:CHANnel]:OFFSet", Number("DB", (-200.0, 200.0), default=0.0))
    def _set_offset(self, slot: int, offset_db: float) -> None:
        """Changes what is shown, not the light."""
        self._offsets_db[slot] = round(offset_db / RESOLUTION_DB) * RESOLUTION_DB

    @query(":INPut<n:8>[:CHANnel]:OFFSet?", _LIMIT)
    def _offset(self, slot: int, limit: str) -> float:
        return {"": self._offsets_db[slot], "MIN": -200.0, "MAX": 200.0, "DEF": 0.0}[limit]

    @command(":INPut<n:8>[:CHANnel]:OFFSet:DISPlay")
    def _show_zero(self, slot: int) -> None:
        """From now on the present attenuation is shown as 0."""
        self._offsets_db[slot] = -self.state.channels[slot].attenuation_db

    # ------------------------------------------------------------------ shutter and power

    @command(":OUTPut<n:8>[:CHANnel][:STATe]", Boolean())
    def _set_shutter(self, slot: int, opened: bool) -> None:
        self.state.channels[slot].shutter_open = opened

    @query(":OUTPut<n:8>[:CHANnel][:STATe]?")
    def _shutter(self, slot: int) -> bool:
        return self.state.channels[slot].shutter_open

    def _power_dbm(self, slot: int) -> float:
        power_w = self.world.optical_power_w(f"{self.name}:{slot}")
        if power_w <= 0:
            return DARK_DBM
        return watt_to_dbm(power_w) + N7764A.power_offset_db.at(self, slot)

    @command(":OUTPut<n:8>[:CHANnel]:POWer", Number("W", plain=lambda _: "DBM"))
    def _set_power(self, slot: int, power_w: float) -> None:
        """Attenuates so that this power comes out; a plain number is in dBm. In the dark it is refused, or without
        effect.
        """
        now_dbm = self._power_dbm(slot)
        if now_dbm == DARK_DBM or power_w <= 0:
            if self._refuses_in_dark or power_w <= 0:
                raise ScpiError(-200, "no light to attenuate")
            return
        self._set_filter(slot, self.state.channels[slot].attenuation_db + now_dbm - watt_to_dbm(power_w))

    @query(":OUTPut<n:8>[:CHANnel]:POWer?")
    @query(":FETCh<n:8>[:CHANnel][:SCALar]:POWer[:DC]?")
    @query(":READ<n:8>[:CHANnel][:SCALar]:POWer[:DC]?")
    def _power(self, slot: int) -> float:
        dbm = self._power_dbm(slot)
        if N7764A.power_unit.at(self, slot) == 0:
            return dbm
        return 0.0 if dbm == DARK_DBM else dbm_to_watt(dbm)
