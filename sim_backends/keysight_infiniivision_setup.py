"""Vertical, time base, acquisition and trigger of a simulated Keysight InfiniiVision oscilloscope.

Keysight InfiniiVision 4000 X-Series Programmer's Guide, chapters ":CHANnel<n>", ":TIMebase" (pages 1334 to 1337),
":ACQuire" (page 320) and ":TRIGger" (page 1345).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from labctl.errors import ConfigError
from sim_backends.keysight_infiniivision_acquisition import AcquireMode, Acquisition, Channel, Converter, TimeBase
from sim_backends.keysight_infiniivision_record import DIVISIONS
from sim_backends.scpi import (
    Binary,
    Block,
    Boolean,
    Choice,
    Integer,
    Number,
    ScpiError,
    ScpiUnit,
    Setting,
    Text,
    command,
    query,
)
from sim_backends.scpi_parts import ChannelSetting, PartSetting
from sim_backends.scpi_values import Token, response
from sim_backends.state import DigitizerChannelState, DigitizerState, WorldView

#: Input range at a 1:1 probe, volts over 8 divisions.
RANGE_V: Final = (8e-3, 40.0)

INPUTS: Final = ("CHANnel1", "CHANnel2", "CHANnel3", "CHANnel4")
SLOPES: Final = Choice("POSitive", "NEGative", "EITHer", "ALTernate")


@dataclass(frozen=True)
class Series:
    """What the series differ in. ``levels``: BYTE steps of 8 divisions; ``probe``: attenuation ratio at reset."""

    memory_points: int
    max_rate_hz: float
    levels: int
    probe: float


#: By the first digit of the model. A DSOX1102G at reset has 40 V in 199 * 256 WORD steps (PyMeasure's test on the
#: instrument); the drawing of the preamble in the guides has 256 * 256 (page 1460).
SERIES: Final = {"1": Series(1_000_000, 2e9, 199, 10.0)}
OTHER_SERIES: Final = Series(4_000_000, 5e9, 256, 1.0)


#: What :SYSTem:SETup keeps, of each channel and of the rest, in the order in which it is put back.
CHANNEL_SETUP: Final = ("PROB", "RANG", "OFFS", "COUP", "IMP", "DISP", "BWL", "INV", "UNIT", "PROB:SKEW", "LAB")
SETUP: Final = (
    *(":TIM:MODE", ":TIM:RANG", ":TIM:REF", ":TIM:POS", ":ACQ:TYPE", ":ACQ:COUN", ":ACQ:MODE"),
    *(":TRIG:MODE", ":TRIG:SOUR", ":TRIG:LEV", ":TRIG:SLOP", ":TRIG:COUP", ":TRIG:SWE"),
)


class _Span(Number):
    """A positive number; the lower limit is far below what the upper one's tolerance amounts to."""

    def parse(self, token: Token, unit: object) -> float:
        value = super().parse(token, unit)
        if value < self.limits(unit)[0] * (1 - 1e-9):
            raise ScpiError(-222)
        return value


def _time_base(unit: InfiniiVisionSetup) -> TimeBase:
    return unit.acquisition.time_base


def _mode(unit: InfiniiVisionSetup) -> AcquireMode:
    return unit.acquisition.mode


class InfiniiVisionSetup(ScpiUnit):
    """What the oscilloscope is set to; :mod:`sim_backends.keysight_infiniivision` runs it and reads it out.

    Options: ``model``; ``channels`` (default: last digit of the model's number), ``bits`` (of high resolution, 12),
    ``levels`` (BYTE steps of 8 divisions), ``memory_points``, ``max_rate_hz``, ``serial``.
    """

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

    # ---- time base and acquisition ------------------------------------------------------------

    _time_mode = PartSetting(":TIMebase:MODE", Choice("MAIN", "WINDow", "XY", "ROLL"), _time_base, "mode")
    _time_range = PartSetting(":TIMebase:RANGe", _Span("S", (20e-9, 500.0)), _time_base, "range_s")
    _time_scale = PartSetting(":TIMebase:SCALe", _Span("S", (2e-9, 50.0)), _time_base, "scale_s")
    _time_position = PartSetting(":TIMebase:POSition", Number("S", (-500.0, 500.0)), _time_base, "position_s")
    _time_delay = PartSetting(":TIMebase:DELay", Number("S", (-500.0, 500.0)), _time_base, "position_s")
    _reference = PartSetting(":TIMebase:REFerence", Choice("LEFT", "CENTer", "RIGHt"), _time_base, "reference")
    _type = PartSetting(":ACQuire:TYPE", Choice("NORMal", "AVERage", "HRESolution", "PEAK"), _mode, "type")
    _averages = PartSetting(":ACQuire:COUNt", Integer(2, 65536), _mode, "count")
    _acquire_mode = PartSetting(":ACQuire:MODE", Choice("RTIMe", "ETIMe", "SEGMented"), _mode, "mode")
    _segments = PartSetting(":ACQuire:SEGMented:COUNt", Integer(2, 1000), _mode, "segments")

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

    # ---- looked at when they are needed -------------------------------------------------------

    trigger_source = Setting(":TRIGger[:EDGE]:SOURce", Choice(*INPUTS, "EXTernal", "LINE", "WGEN"), "CHAN1")

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        self._model = self.options.text("variant", "MSO-X 3104T")
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
        channels = [
            Channel(number, state, self._default_probe) for number, state in enumerate(self.state.channels, start=1)
        ]
        self.acquisition = Acquisition(self.name, self.world, self._converter, channels)

    def channel(self, number: int) -> Channel:
        """Raises ScpiError -241 when this oscilloscope has no such input."""
        if number > len(self.acquisition.channels):
            raise ScpiError(-241)
        return self.acquisition.channels[number - 1]

    # ---- all of it ----------------------------------------------------------------------------

    @query(":SYSTem:SETup?")
    def _whole_setup(self) -> Block:
        """A learn string: the real one's is secret, this one is commands."""
        headers = [f":CHAN{n}:{what}" for n in range(1, len(self.state.channels) + 1) for what in CHANNEL_SETUP]
        return Block(";".join(f"{header} {self._told(header)}" for header in (*headers, *SETUP)).encode("latin-1"))

    def _told(self, header: str) -> str:
        (call, *_), _ = self._table.parse(f"{header}?".encode("latin-1"), None, ":")
        reply = self._call(call, 0)
        assert reply is not None
        return response([reply], "", self.format_real).decode("latin-1")

    @command(":SYSTem:SETup", Binary())
    def _put_back(self, setup: memoryview) -> None:
        for call in self._table.parse(bytes(setup), None, ":")[0]:
            self._call(call, 0)

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
        """The nearest legal value is taken, as the guide says: 2 V up to 200 mV/div, else 50 V, times the probe."""
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

    @query(":TIMebase?")
    def _all_of_time_base(self) -> str:
        base = self.acquisition.time_base
        return f":TIM:MODE {base.mode};REF {base.reference};MAIN:RANG {base.range_s:+.5E};POS {base.position_s:+.5E}"
