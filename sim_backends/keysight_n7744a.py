"""Simulated Keysight N7744A four-channel optical power meter (the N7745A has eight).

Manual: Keysight, "N7744A/N7745A Multiport Power Meter, Programming Guide", :SENSe, :FETCh and :READ. Wavelengths and
averaging times go back in metres and seconds, a plain number that is set is in them; powers are in dBm or W, as
``:SENSe:POWer:UNIT`` says. A reading beyond a fixed range is +3.40282300E+038. The detectors' responsivity is taken as
known at every wavelength.

The functions log: ``LOGGing`` readings one after the other, ``STABility`` at intervals; they take their time on the
lab's clock, and every reading is the power at the moment when its log is looked at first. ``MINMax`` is refused (-200).

Options: ``variant``, ``serial``; ``light_on_channel``, where the bench's fibre is: the others are in the dark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from labctl.units import db_to_ratio, dbm_to_watt, watt_to_dbm
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
    command,
    query,
    scientific,
)
from sim_backends.state import WorldView

T = TypeVar("T", bound=Reply)

CHANNELS: Final = {"N7744A": 4, "N7745A": 8}
WAVELENGTHS_M: Final = (1250e-9, 1650e-9)
RANGES_DBM: Final = tuple(range(-60, 20, 10))
OVER_RANGE: Final = 3.402823e38
#: What is shown for no light at all, in dBm.
DARK_DBM: Final = -200.0
MAX_SAMPLES: Final = 1_000_000
#: Light beyond the range's end by this much still fits.
HEADROOM_DB: Final = 3.0
_LIMIT = Maybe(Choice("MINimum", "MAXimum", "DEFault"), "")
_SENSE = ":SENSe<n:8>[:CHANnel<n:1>]"
_AVERAGING = Number("S", (1e-6, 10.0), default=0.02)


@dataclass
class _Function:
    """A function's parameters, and its results."""

    kind: str
    samples: int
    period_s: float
    began_s: float = math.inf
    stopped: bool = True
    results_w: NDArray[np.float32] | None = None


class N7744A(ScpiUnit):
    """Measures what the world says is at its place, on one channel."""

    MODEL = "keysight_n7744a"
    SIGNED_ERRORS = True

    wavelength_m = Setting(f"{_SENSE}:POWer:WAVelength", Number("M", WAVELENGTHS_M, default=1550e-9), 1550e-9)
    averaging_s = Setting(f"{_SENSE}:POWer:ATIMe", _AVERAGING, 0.02)
    calibration_db = Setting(f"{_SENSE}:CORRection[:LOSS[:INPut[:MAGNitude]]]", Number("DB", (-200.0, 200.0)), 0.0)
    automatic = Setting(f"{_SENSE}:POWer:RANGe:AUTO", Boolean(), True)
    gain_automatic = Setting(f"{_SENSE}:POWer:GAIN:AUTO", Boolean(), True)
    range_dbm = Setting(f"{_SENSE}:POWer:RANGe[:UPPer]", Number("DBM", (-60.0, 10.0), default=0.0), 0.0)
    reference_dbm = Setting(f"{_SENSE}:POWer:REFerence", Choice("TOMODule", "TOREF"), "TOREF")
    relative = Setting(f"{_SENSE}:POWer:REFerence:STATe", Boolean(), False)
    continuous = Setting(":INITiate<n:8>[:CHANnel<n:1>]:CONTinuous", Boolean(), True)
    trigger_in = Setting(
        ":TRIGger<n:8>[:CHANnel<n:1>]:INPut", Choice("IGNore", "SMEasure", "CMEasure", "MMEasure", "PREtrigger"), "IGN"
    )
    trigger_out = Setting(":TRIGger<n:8>[:CHANnel<n:1>]:OUTPut", Choice("DISabled", "AVGover", "MEASure"), "DIS")

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        self._model = self.options.text("variant", "N7744A", tuple(CHANNELS))
        self._serial = self.options.text("serial", "MY54120102")
        self.channels = CHANNELS[self._model]
        self._lit = self.options.integer("light_on_channel", 1, 1, self.channels)
        self.reset()

    def identity(self) -> str:
        return f"Keysight Technologies,{self._model},{self._serial},1.24"

    def reset(self) -> None:
        super().reset()
        self._units = dict.fromkeys(range(1, self.channels + 1), "DBM")
        self._zeros_w = dict.fromkeys(self._units, 0.0)
        self._functions: dict[int, _Function] = {}

    def format_real(self, value: float) -> str:
        return scientific(value, 8, 3)

    def suffixes_exist(self, suffixes: Sequence[int]) -> bool:
        return suffixes[0] <= self.channels

    @query(":SLOT<n:8>:IDN?")
    def _slot_identity(self, slot: int) -> str:
        return self.identity()

    @query(":SLOT<n:8>:EMPTy?")
    def _slot_empty(self, slot: int) -> int:
        return 0

    @query("*OPT?")
    def _fitted(self) -> str:
        return ",".join([self._model] * self.channels)

    # ------------------------------------------------------------------ units and zero

    def _of(self, setting: Setting[T], slot: int) -> T:
        return setting.at(self, slot, 1)

    @command(f"{_SENSE}:POWer:UNIT", Choice("0", "1", "DBM", "W", "WATT"))
    def _set_unit(self, slot: int, channel: int, unit: str) -> None:
        self._units[slot] = {"0": "DBM", "1": "W", "WATT": "W"}.get(unit, unit)

    @query(f"{_SENSE}:POWer:UNIT?")
    def _unit(self, slot: int, channel: int) -> int:
        return int(self._units[slot] == "W")

    @command(f"{_SENSE}:CORRection:COLLect:ZERO")
    def _zero(self, slot: int, channel: int) -> None:
        """Whatever is seen now counts as dark."""
        self._zeros_w[slot] = self._light_w(slot)

    @command(":SENSe:CORRection:COLLect:ZERO:ALL")
    def _zero_all(self) -> None:
        self._zeros_w = {slot: self._light_w(slot) for slot in self._zeros_w}

    @query(f"{_SENSE}:CORRection:COLLect:ZERO?")
    def _zeroed(self, slot: int, channel: int) -> int:
        return 0

    # ------------------------------------------------------------------ readings

    def _light_w(self, slot: int) -> float:
        return self.world.optical_power_w(self.name) if slot == self._lit else 0.0

    def _measured_w(self, slot: int) -> float:
        """Watts, corrected; infinite beyond a fixed range."""
        seen_w = self._light_w(slot)
        if not self._of(N7744A.automatic, slot):
            upper_w = dbm_to_watt(self._range_in_force(slot) + HEADROOM_DB)
            if seen_w > upper_w:
                return math.inf
        return (seen_w - self._zeros_w[slot]) * db_to_ratio(self._of(N7744A.calibration_db, slot))

    def _range_in_force(self, slot: int) -> float:
        wanted = self._of(N7744A.range_dbm, slot)
        return float(next(each for each in RANGES_DBM if each >= wanted - 1e-6))

    def _in_unit(self, slot: int, power_w: float) -> float:
        if math.isinf(power_w):
            return OVER_RANGE
        if self._units[slot] == "W":
            return power_w
        return watt_to_dbm(power_w) if power_w > 0 else DARK_DBM

    @query(":FETCh<n:8>[:CHANnel<n:1>][:SCALar]:POWer[:DC]?")
    @query(":READ<n:8>[:CHANnel<n:1>][:SCALar]:POWer[:DC]?")
    def _power(self, slot: int, channel: int) -> float:
        return self._in_unit(slot, self._measured_w(slot))

    @command(":INITiate<n:8>[:CHANnel<n:1>][:IMMediate]")
    def _initiate(self, slot: int, channel: int) -> None:
        """A measurement is over at once."""

    @query(":FETCh[:SCALar]:POWer[:DC]:ALL?")
    @query(":READ[:SCALar]:POWer[:DC]:ALL?")
    def _all(self) -> Block:
        return Block(np.array([self._power(slot, 1) for slot in self._units], "<f4"), digits=2)

    @query(":FETCh[:SCALar]:POWer[:DC]:ALL:CONFig?")
    @query(":READ[:SCALar]:POWer[:DC]:ALL:CONFig?")
    def _all_places(self) -> Block:
        """Slot and channel of each reading."""
        return Block(np.array([[slot, 1] for slot in self._units], "<u2"), digits=2)

    # ------------------------------------------------------------------ functions

    @command(f"{_SENSE}:FUNCtion:PARameter:LOGGing", Integer(1, MAX_SAMPLES), Maybe(_AVERAGING, 0.02))
    def _set_logging(self, slot: int, channel: int, samples: int, averaging_s: float) -> None:
        self._functions[slot] = _Function("LOGG", samples, averaging_s)

    @command(
        f"{_SENSE}:FUNCtion:PARameter:STABility",
        Number("S", (0.0, 1e6)),
        Number("S", (1e-6, 1e6)),
        Maybe(_AVERAGING, 0.02),
    )
    def _set_stability(self, slot: int, channel: int, total_s: float, period_s: float, averaging_s: float) -> None:
        samples = int(total_s / period_s + 1e-9) + 1
        if averaging_s > period_s or samples > MAX_SAMPLES:
            raise ScpiError(-221)
        self._functions[slot] = _Function("STAB", samples, period_s)

    @query(f"{_SENSE}:FUNCtion:PARameter:LOGGing?")
    def _logging(self, slot: int, channel: int) -> str:
        function = self._functions.get(slot) or _Function("LOGG", 100, 0.02)
        return f"{function.samples:+d},{self.format_real(function.period_s)}"

    @command(f"{_SENSE}:FUNCtion:PARameter:MINMax", Choice("CONTinuous", "WINDow", "REFResh"), Integer(1, MAX_SAMPLES))
    def _set_min_max(self, slot: int, channel: int, mode: str, samples: int) -> None:
        raise ScpiError(-200, "MINMax is not simulated")

    @command(f"{_SENSE}:FUNCtion:STATe", Choice("LOGGing", "STABility", "MINMax"), Choice("STARt", "STOP"))
    def _run_function(self, slot: int, channel: int, kind: str, action: str) -> None:
        function = self._functions.get(slot)
        if function is None or function.kind != kind:
            raise ScpiError(-221, "no parameters for this function")
        function.stopped = action == "STOP"
        if action == "STAR":
            function.began_s, function.results_w = self.world.now(), None

    def _finished(self, function: _Function) -> bool:
        return self.world.now() - function.began_s >= function.samples * function.period_s - 1e-9

    @query(f"{_SENSE}:FUNCtion:STATe?")
    def _function_state(self, slot: int, channel: int) -> str:
        function = self._functions.get(slot)
        if function is None or function.stopped:
            return "NONE,PROGRESS"
        name = {"LOGG": "LOGGING_STABILITY", "STAB": "LOGGING_STABILITY"}[function.kind]
        return f"{name},{'COMPLETE' if self._finished(function) else 'PROGRESS'}"

    @query(f"{_SENSE}:FUNCtion:RESult?")
    def _results(self, slot: int, channel: int) -> Block:
        function = self._functions.get(slot)
        if function is None or not self._finished(function):
            raise ScpiError(-230)
        if function.results_w is None:
            value = self._in_unit(slot, self._measured_w(slot))
            function.results_w = np.full(function.samples, value, "<f4")
        return Block(function.results_w)

    @query(f"{_SENSE}:FUNCtion:RESult:MAXBlocksize?")
    def _longest_block(self, slot: int, channel: int) -> int:
        return MAX_SAMPLES
