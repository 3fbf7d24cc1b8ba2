"""Simulated Keysight InfiniiVision DSOX/MSOX oscilloscope (1000 to 6000 X-Series).

Keysight InfiniiVision 4000 X-Series Programmer's Guide, and those of the 1000, 2000 and 3000T X-Series, which agree on
what is here. Page numbers are those of the 4000 X-Series guide.

* With :TIMebase:REFerence LEFT the reference point is one of ten divisions from the left edge (page 1337): a record that
  starts at the trigger has :TIMebase:POSition = :TIMebase:RANGe / 10. Samples before the trigger are holes, since the
  world begins at the trigger.
* A record has as many points as :WAVeform:POINts asked for when it was started (62 500 otherwise), as far as memory and
  sample rate go, over the whole screen: xincrement = range / points. Asked for fewer afterwards, every k-th is sent. A real
  unit takes 100 points or more, and picks the nearest record length that it has.
* :DIGitize and :SINGle acquire at once with :TRIGger:SWEep AUTO. With NORMal they wait for :TRIGger:FORCe, or for the trigger
  input when the source is EXTernal. :DIGitize holds back what follows it on its connection; device clear ends the waiting.
  :TRIGger:SOURce CHANnel<n> never triggers by itself; LINE does at once.
* Running with sweep AUTO, each :WAVeform:DATA? sends a fresh record.

Not simulated: analogue bandwidth, triggering on a waveform, functions, digital channels, peak detection's second samples.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from labctl.errors import ConfigError
from sim_backends.keysight_infiniivision_acquisition import (
    DIGITIZING,
    REFERENCES,
    RUNNING,
    SINGLE,
    STOPPED,
    Acquisition,
    Channel,
    Converter,
)
from sim_backends.keysight_infiniivision_record import DIVISIONS, Readout, Record, nr3
from sim_backends.scpi import (
    Block,
    Boolean,
    Choice,
    Integer,
    Number,
    Rest,
    ScpiError,
    ScpiUnit,
    Setting,
    Text,
    command,
    query,
)
from sim_backends.scpi_channel import ChannelSetting
from sim_backends.state import DigitizerChannelState, DigitizerState, WorldView
from sim_backends.unit import Connection

RUN_BIT: Final = 1 << 3
WAIT_BIT: Final = 1 << 5
DEFAULT_POINTS: Final = 62_500
MAX_POINTS: Final = 10_000_000
TIME_DIVISIONS: Final = 10
#: Input range at a 1:1 probe, volts over 8 divisions.
RANGE_V: Final = (8e-3, 40.0)

SOURCES: Final = ("CHANnel1", "CHANnel2", "CHANnel3", "CHANnel4", "FUNCtion", "MATH", "FFT", "WMEMory1", "WMEMory2")
SLOPES: Final = Choice("POSitive", "NEGative", "EITHer", "ALTernate")


@dataclass(frozen=True)
class Series:
    """What the series differ in. ``levels``: see :mod:`sim_backends.keysight_infiniivision_record`; ``probe``: at reset."""

    memory_points: int
    max_rate_hz: float
    levels: int
    probe: float


#: By the first digit of the model. A DSOX1102G at reset has 40 V in 199 * 256 steps (PyMeasure's test on the instrument); the
#: guides' drawing of the preamble has 256 steps (page 1460).
SERIES: Final = {"1": Series(1_000_000, 2e9, 199, 10.0)}
OTHER_SERIES: Final = Series(4_000_000, 5e9, 256, 1.0)


class InfiniiVision(ScpiUnit):
    """Options: ``model``; ``channels`` (default: last digit of the model's number), ``bits`` (of high resolution, 12),
    ``levels`` (BYTE steps of 8 divisions), ``memory_points``, ``max_rate_hz``, ``serial``.
    """

    MODEL = "keysight_infiniivision"
    SIGNED_ERRORS = True
    state: DigitizerState

    # ---- vertical -----------------------------------------------------------------------------

    _display = ChannelSetting(":CHANnel<n:4>:DISPlay", Boolean(), "display")
    _coupling = ChannelSetting(":CHANnel<n:4>:COUPling", Choice("AC", "DC"), "coupling")
    _impedance = ChannelSetting(":CHANnel<n:4>:IMPedance", Choice("ONEMeg", "FIFTy"), "impedance")
    _bandwidth_limit = ChannelSetting(":CHANnel<n:4>:BWLimit", Boolean(), "bandwidth_limit")
    _vernier = ChannelSetting(":CHANnel<n:4>:VERNier", Boolean(), "vernier")
    _inverted = ChannelSetting(":CHANnel<n:4>:INVert", Boolean(), "inverted")
    _unit = ChannelSetting(":CHANnel<n:4>:UNITs", Choice("VOLT", "AMPere"), "unit")
    _probe = ChannelSetting(":CHANnel<n:4>:PROBe", Number("", (0.1, 10000)), "probe")
    _skew = ChannelSetting(":CHANnel<n:4>:PROBe:SKEW", Number("S", (-100e-9, 100e-9)), "skew_s")

    # ---- kept and given back only -------------------------------------------------------------

    complete = Setting(":ACQuire:COMPlete", Integer(0, 100), 100)
    trigger_mode = Setting(":TRIGger:MODE", Choice("EDGE", "GLITch", "PATTern", "TV", "EBURst", "OR", "RUNT"), "EDGE")
    trigger_slope = Setting(":TRIGger[:EDGE]:SLOPe", SLOPES, "POS")
    trigger_coupling = Setting(":TRIGger[:EDGE]:COUPling", Choice("AC", "DC", "LFReject"), "DC")
    trigger_reject = Setting(":TRIGger[:EDGE]:REJect", Choice("OFF", "LFReject", "HFReject"), "OFF")
    trigger_level_v = Setting(":TRIGger[:EDGE]:LEVel", Number("V", (-400, 400)), 0.0)
    noise_reject = Setting(":TRIGger:NREJect", Boolean(), False)
    high_frequency_reject = Setting(":TRIGger:HFReject", Boolean(), False)
    holdoff_s = Setting(":TRIGger:HOLDoff", Number("S", (40e-9, 10.0)), 40e-9)
    external_probe = Setting(":EXTernal:PROBe", Number("", (0.1, 10000)), 1.0)
    external_range_v = Setting(":EXTernal:RANGe", Number("V", (1.6, 8.0)), 8.0)
    view = Setting(":WAVeform:VIEW", Choice("MAIN"), "MAIN")

    # ---- looked at when they are needed -------------------------------------------------------

    wave_source = Setting(":WAVeform:SOURce", Choice(*SOURCES, "EXTernal"), "CHAN1")
    wave_format = Setting(":WAVeform:FORMat", Choice("WORD", "BYTE", "ASCii"), "BYTE")
    byte_order = Setting(":WAVeform:BYTeorder", Choice("LSBFirst", "MSBFirst"), "MSBF")
    unsigned = Setting(":WAVeform:UNSigned", Boolean(), True)
    points_mode = Setting(":WAVeform:POINts:MODE", Choice("NORMal", "MAXimum", "RAW"), "NORM")

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        self._model = self.options.text("model", "MSO-X 3104T")
        match = re.fullmatch(r"[DM]SO-?X ?(\d)\d\d(\d)[A-Z]?", self._model)
        if match is None:
            raise ConfigError(
                f"unit {name!r}: {self._model!r} is no InfiniiVision",
                'Give model as, for example, "MSO-X 3104T" or "DSOX1102G".',
            )
        series = SERIES.get(match[1], OTHER_SERIES)
        count = self.options.integer("channels", min(max(int(match[2]), 2), 4), 2, 4)
        self._default_probe = series.probe
        self._converter = Converter(
            self.options.integer("bits", 12, 8, 12),
            self.options.integer("levels", series.levels, 128, 256),
            self.options.integer("memory_points", series.memory_points, 100, 100_000_000),
            self.options.number("max_rate_hz", series.max_rate_hz, 1e3, 1e12),
        )
        self._serial = self.options.text("serial", "MY55000001")
        self.state = DigitizerState([DigitizerChannelState() for _ in range(count)])
        self.reset()

    def identity(self) -> str:
        return f"KEYSIGHT TECHNOLOGIES,{self._model},{self._serial},07.20.2017102614"

    def format_real(self, value: float) -> str:
        return f"{value:+.12E}"

    def reset(self) -> None:
        super().reset()
        self._points: int | None = None
        self._segment = 1
        self._trigger_source = "CHAN1"
        channels = [
            Channel(number, state, self._default_probe) for number, state in enumerate(self.state.channels, start=1)
        ]
        self._acquisition = Acquisition(self.name, self.world, self._converter, channels)
        self._start(RUNNING)

    def channel(self, number: int) -> Channel:
        """Raises ScpiError -241 when this oscilloscope has no such input."""
        if number > len(self._acquisition.channels):
            raise ScpiError(-241)
        return self._acquisition.channels[number - 1]

    # ---- vertical -----------------------------------------------------------------------------

    @command(":CHANnel<n:4>:RANGe", Number("V"))
    def _set_range(self, number: int, range_v: float) -> None:
        channel = self.channel(number)
        low, high = RANGE_V
        if not low * (1 - 1e-9) <= range_v / channel.probe <= high * (1 + 1e-9):
            raise ScpiError(-222)
        channel.put("range_v", range_v)

    @query(":CHANnel<n:4>:RANGe?")
    def _range(self, number: int) -> float:
        return self.channel(number).range_v

    @command(":CHANnel<n:4>:SCALe", Number("V"))
    def _set_scale(self, number: int, scale_v: float) -> None:
        self._set_range(number, scale_v * DIVISIONS)

    @query(":CHANnel<n:4>:SCALe?")
    def _scale(self, number: int) -> float:
        return self.channel(number).range_v / DIVISIONS

    @command(":CHANnel<n:4>:OFFSet", Number("V"))
    def _set_offset(self, number: int, offset_v: float) -> None:
        """The nearest legal value is taken, as the guide says: 50 V, or 2 V up to 200 mV/div, times the probe's ratio."""
        channel = self.channel(number)
        limit_v = (2.0 if channel.range_v / channel.probe <= 1.6 else 50.0) * channel.probe
        channel.put("offset_v", max(-limit_v, min(limit_v, offset_v)))

    @query(":CHANnel<n:4>:OFFSet?")
    def _offset(self, number: int) -> float:
        return self.channel(number).offset_v

    @command(":CHANnel<n:4>:LABel", Text())
    def _set_label(self, number: int, label: str) -> None:
        self.channel(number).put("label", label[:10].upper())

    @query(":CHANnel<n:4>:LABel?")
    def _label(self, number: int) -> str:
        return f'"{self.channel(number).label}"'

    @query(":CHANnel<n:4>?")
    def _all_of_channel(self, number: int) -> str:
        c = self.channel(number)
        return (
            f":CHAN{number}:RANG {c.range_v:+.5E};OFFS {c.offset_v:+.5E};COUP {c.coupling};IMP {c.impedance};"
            f"DISP {c.display:d};BWL {c.bandwidth_limit:d};INV {c.inverted:d};"
            f'LAB "{c.label}";UNIT {c.unit};PROB {c.probe:+.5E};PROB:SKEW {c.skew_s:+.2E};STYP SING'
        )
