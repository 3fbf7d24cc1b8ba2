"""Simulated Rohde & Schwarz RTO6 oscilloscope.

After what RsInstrument, the maker's own package, and public drivers of the RTO1000 and RTO2000 send. Channels, time
base and codes are in :mod:`sim_backends.rohdeschwarz_rto6_setup`.

* SINGle (RUNSingle) records ACQuire:COUNt times, RUN (RUNContinous) until STOP. Trigger mode AUTO or FREerun waits for
  nothing; NORMal waits for TRIGger:FORCe, or for the lab's trigger line when the source is EXTernanalog. ``*OPC`` and
  ``*OPC?`` wait for a single run's end. Running freely, each CHANnel:DATA? sends a fresh record.
* Bit 3 of STATus:OPERation:CONDition is set while a trigger is waited for, bit 4 while a run goes on.
* 16-bit codes are those of 8 bits times 256, or more bits in high definition mode.

Not simulated: analogue bandwidth and what the filter of high definition mode does, triggering on a waveform, averages
and envelopes, history, maths, measurements (they have no result), waveforms 2 and 3 of a channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from sim_backends.recording import record_around_trigger
from sim_backends.rohdeschwarz_rto6_setup import DIVISIONS, MIN_POINTS, Channel, Record, TimeBase, resolution_bits
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
    Text,
    command,
    query,
)
from sim_backends.scpi_parts import ChannelSetting, PartSetting
from sim_backends.scpi_values import Reply
from sim_backends.state import DigitizerChannelState, DigitizerState, WorldView

#: By the model: material numbers, all that ``*IDN?`` tells of it.
MATERIALS: Final = {
    "RTO64": "1802.0001k04", "RTO1012": "1316.1000k12", "RTO1024": "1316.1000k24", "RTO1044": "1316.1000k44",
    "RTO2044": "1329.7002k44",
}  # fmt: skip
SCALES_V: Final = (1e-3, 1.0)
CHANNEL: Final = ":CHANnel<n:4>"
WAVEFORM: Final = f"{CHANNEL}[:WAVeform<n:3>]"
MEASUREMENT: Final = ":MEASurement<n:8>"
TRIGGER: Final = ":TRIGger<n:3>"
WAITS_FOR_TRIGGER: Final = 1 << 3
MEASURING: Final = 1 << 4
#: FORMat:DATA: kinds of numbers, with their default length in bits.
FORMATS: Final = {"ASC": 0, "REAL": 32, "INT": 8}
NO_RESULT: Final = "9.91E+37"


class _Source(Choice):
    """A channel or the trigger input; the value is the short form."""

    def __init__(self) -> None:
        super().__init__("CHANnel1", "CHANnel2", "CHANnel3", "CHANnel4", "EXTernanalog", "LINE")
        self._words["EXTERNAL"] = "EXT"


class Rto6(ScpiUnit):
    """Options: ``variant`` (model), ``high_definition`` (option K17 is fitted), ``bits`` (of high definition mode; 0:
    by the filter's bandwidth), ``header_end`` (the header tells the time of the ``"last"`` sample, or the end of the
    ``"range"``), ``arming_s`` (from SINGle to its being ready), ``memory_points``, ``serial``.
    """

    MODEL = "rohdeschwarz_rto6"
    state: DigitizerState

    # Of a channel.
    _scale = ChannelSetting(f"{CHANNEL}:SCALe", Number("V", SCALES_V), "scale_v")
    _offset = ChannelSetting(f"{CHANNEL}:OFFSet", Number("V", (-10.0, 10.0)), "offset_v")
    _position = ChannelSetting(f"{CHANNEL}:POSition", Number("", (-5.0, 5.0)), "position")
    _inverted = ChannelSetting(f"{CHANNEL}:INVert", Boolean(), "inverted")
    _coupling = ChannelSetting(f"{CHANNEL}:COUPling", Choice("DC", "DCLimit", "AC"), "coupling")
    _bandwidth = ChannelSetting(f"{CHANNEL}:BANDwidth", Choice("FULL", "B800", "B200", "B20"), "bandwidth")
    _grounded = ChannelSetting(f"{CHANNEL}:GND", Boolean(), "grounded")
    _impedance = ChannelSetting(f"{CHANNEL}:IMPedance", Number("OHM", (1, 100e3)), "impedance_ohm")

    # Horizontal.
    _horizontal = PartSetting(
        ":TIMebase:HORizontal:POSition", Number("S", (-1e3, 1e3)), lambda unit: unit.time_base, "position_s"
    )
    _reference = PartSetting(":TIMebase:REFerence", Number("PCT", (0, 100)), lambda unit: unit.time_base, "reference")
    _keeps = PartSetting(
        ":ACQuire:POINts:AUTO", Choice("RESolution", "RECLength"), lambda unit: unit.time_base, "keeps"
    )

    # Run and trigger.
    count = Setting(":ACQuire:COUNt", Integer(1, 16_777_215), 1)
    trigger_mode = Setting(f"{TRIGGER}:MODE", Choice("AUTO", "NORMal", "FREerun"), "AUTO")
    trigger_source = Setting(f"{TRIGGER}:SOURce[:SELect]", _Source(), "CHAN1")
    byte_order = Setting(":FORMat:BORDer", Choice("LSBFirst", "MSBFirst"), "LSBF")
    high_definition_hz = Setting(":HDEFinition:BWIDth", Number("HZ", (1e3, 2e9)), 1e9)

    # Kept and given back only.
    trigger_type = Setting(
        f"{TRIGGER}:TYPE",
        Choice("EDGE", "GLITch", "WIDTh", "RUNT", "WINDow", "TIMeout", "INTerval", "SLEWrate"),
        "EDGE",
    )
    trigger_level_v = Setting(f"{TRIGGER}:LEVel<n:5>[:VALue]", Number("V", (-10, 10)), 0.0)
    trigger_slope = Setting(f"{TRIGGER}:EDGE:SLOPe", Choice("POSitive", "NEGative", "EITHer"), "POS")
    trigger_coupling = Setting(f"{TRIGGER}:ANEDge:COUPling", Choice("DC", "DCLimit", "AC", "HFReject"), "DC")
    trigger_lines = Setting(":DISPlay:TRIGger:LINes", Boolean(), False)
    display_updated = Setting(":SYSTem:DISPlay:UPDate", Boolean(), False)
    with_times = Setting(":EXPort:WAVeform:INCXvalues", Boolean(), False)
    several_channels = Setting(":EXPort:WAVeform:MULTichannel", Boolean(), False)
    waveform_type = Setting(f"{WAVEFORM}:TYPE", Choice("SAMPle", "PDETect", "HRESolution", "RMS"), "SAMP")
    arithmetics = Setting(f"{WAVEFORM}:ARIThmetics", Choice("OFF", "ENVelope", "AVERage"), "OFF")
    measured = Setting(f"{MEASUREMENT}[:ENABle]", Boolean(), False)
    measured_source = Setting(f"{MEASUREMENT}:SOURce", Text(), "C1W1")
    measured_first = Setting(f"{MEASUREMENT}:FSRC", Text(), "C1W1")
    measured_second = Setting(f"{MEASUREMENT}:SSRC", Text(), "NONE")
    measured_category = Setting(f"{MEASUREMENT}:CATegory", Text(), "AMPT")
    measured_main = Setting(f"{MEASUREMENT}:MAIN", Text(), "HIGH")
    measured_statistics = Setting(f"{MEASUREMENT}:STATistics[:ENABle]", Boolean(), False)

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        self._variant = self.options.text("variant", "RTO64", tuple(MATERIALS))
        self._has_high_definition = self.options.flag("high_definition", True)
        self._bits = self.options.integer("bits", 0, 0, 16)
        self._header_end = self.options.text("header_end", "last", ("last", "range"))
        self._arming_s = self.options.number("arming_s", 0.0, 0.0, 5.0)
        self._memory_points = self.options.integer("memory_points", 200_000_000, MIN_POINTS, 2_000_000_000)
        self._serial = self.options.text("serial", f"{MATERIALS[self._variant]}/100001")
        channels = int(self._variant[-1])
        self.state = DigitizerState(channels=[DigitizerChannelState() for _ in range(channels)])
        self.channels: list[Channel] = []
        self.reset()

    def identity(self) -> str:
        return f"Rohde&Schwarz,RTO,{self._serial},5.20.1.0"

    @command("*ESE", Maybe(Integer(0, 255), 0))
    def _set_event_enable(self, mask: int) -> None:
        """``*CLS;*ESE;*SRE 0;*OPC?`` has its answer: a bare ``*ESE`` is taken for 0 (assumed)."""
        super()._set_event_enable(mask)

    @query("*OPT?")
    def _fitted(self) -> str:
        return "B4,K17" if self._has_high_definition else "B4"

    @query(":DIAGnostic:SERVice:WFAModel?")
    def _model(self) -> str:
        return self._variant

    def format_real(self, value: float) -> str:
        return f"{value:.15g}"

    def reset(self) -> None:
        super().reset()
        self.channels = [Channel(number, state) for number, state in enumerate(self.state.channels, start=1)]
        self.time_base = TimeBase(self._memory_points, 20e9)
        self._records: dict[int, Record] = {}
        self._format = "ASC,0"
        self.high_definition = False
        self._acquired = 0
        self._running = False
        self._single = False
        self._ready_at_s = 0.0

    def channel(self, number: int) -> Channel:
        """Raises ScpiError -241 when this unit has no such channel."""
        if number > len(self.channels):
            raise ScpiError(-241)
        return self.channels[number - 1]

    # ---- settings -----------------------------------------------------------------------------

    @command(f"{WAVEFORM}:STATe", Boolean())
    def _set_state(self, number: int, waveform: int, on: bool) -> None:
        if waveform <= 1:
            self.channel(number).put("on", on)

    @query(f"{WAVEFORM}:STATe?")
    def _state(self, number: int, waveform: int) -> bool:
        return waveform <= 1 and self.channel(number).on

    @command(f"{CHANNEL}:RANGe", Number("V", (SCALES_V[0] * DIVISIONS, SCALES_V[1] * DIVISIONS)))
    def _set_range(self, number: int, volts: float) -> None:
        self.channel(number).put("scale_v", volts / DIVISIONS)

    @query(f"{CHANNEL}:RANGe?")
    def _range(self, number: int) -> float:
        return self.channel(number).scale_v * DIVISIONS

    @query(f"{CHANNEL}:OVERload?")
    def _overload(self, number: int) -> int:
        return 0

    @command(":TIMebase:RANGe", Number("S", (250e-12, 100e3)))
    def _set_time_range(self, range_s: float) -> None:
        self.time_base.set_range(range_s)

    @query(":TIMebase:RANGe?")
    def _time_range(self) -> float:
        return self.time_base.range_s

    @command(":TIMebase:SCALe", Number("S", (25e-12, 10e3)))
    def _set_time_scale(self, scale_s: float) -> None:
        self.time_base.set_range(scale_s * DIVISIONS)

    @query(":TIMebase:SCALe?")
    def _time_scale(self) -> float:
        return self.time_base.range_s / DIVISIONS

    @query(":TIMebase:DIVisions?")
    def _divisions(self) -> int:
        return DIVISIONS

    @command(":ACQuire:SRATe[:VALue]", Number("", (2, 20e12)))
    def _set_rate(self, rate_hz: float) -> None:
        self.time_base.set_rate(rate_hz)

    @query(":ACQuire:SRATe[:VALue]?")
    def _rate(self) -> float:
        return self.time_base.rate_hz

    @command(":ACQuire:RESolution", Number("S", (1e-15, 0.5)))
    def _set_resolution(self, interval_s: float) -> None:
        self.time_base.set_rate(1 / interval_s)

    @query(":ACQuire:RESolution?")
    def _resolution(self) -> float:
        return 1 / self.time_base.rate_hz

    @command(":ACQuire:POINts[:VALue]", Integer(MIN_POINTS))
    def _set_points(self, points: int) -> None:
        self.time_base.set_points(points)

    @query(":ACQuire:POINts[:VALue]?")
    def _points(self) -> int:
        return self.time_base.points

    @query(":ACQuire:POINts:ARATe?")
    def _converter_rate(self) -> int:
        return 5_000_000_000 if self.high_definition else 10_000_000_000

    @command(":HDEFinition:STATe", Boolean())
    def _set_high_definition(self, on: bool) -> None:
        if on and not self._has_high_definition:
            raise ScpiError(-241, "option K17")
        self.high_definition = on

    @query(":HDEFinition:STATe?")
    def _high_definition(self) -> bool:
        return self.high_definition

    @query(":HDEFinition:RESolution?")
    def _bits_now(self) -> int:
        if not self.high_definition:
            return 8
        return self._bits or resolution_bits(self.high_definition_hz)

    # ---- run control --------------------------------------------------------------------------

    def operation_pending(self) -> bool:
        return self._running and self._single

    @property
    def _waits(self) -> bool:
        return self._running and type(self).trigger_mode.at(self, 1) == "NORM"

    @command(":RUNSingle")
    @command(":SINGle")
    def _run_single(self) -> None:
        self._begin(single=True)
        while self._running and not self._waits:
            self._take(triggered=False)

    @command(":RUNContinous")
    @command(":RUN")
    def _run_on(self) -> None:
        self._begin(single=False)

    def _begin(self, *, single: bool) -> None:
        self._records, self._acquired = {}, 0
        self._running, self._single = True, single
        self._ready_at_s = self.world.now() + self._arming_s

    @command(":STOP")
    def _stop(self) -> None:
        self._running = False
        self.operation_finished()

    @query(":ACQuire:CURRent?")
    def _current(self) -> int:
        return self._acquired

    @query(":STATus:OPERation:CONDition?")
    def _operation_condition(self) -> int:
        ready = self._waits and self.world.now() >= self._ready_at_s
        return (WAITS_FOR_TRIGGER if ready else 0) | (MEASURING if self._running else 0)

    @command("*TRG")
    @command(f"{TRIGGER}:FORCe")
    def _force(self, trigger: int = 1) -> None:
        if self._waits:
            self._take(triggered=True)

    def on_trigger(self) -> None:
        """The trigger line fired."""
        external = type(self).trigger_source.at(self, 1) == "EXT"
        if self._waits and external and self.world.now() >= self._ready_at_s:
            self._take(triggered=True)

    def _take(self, *, triggered: bool) -> None:
        base = self.time_base
        numbers = tuple(number for number, channel in enumerate(self.channels, start=1) if channel.on)
        before = base.before if triggered else 0
        inputs = record_around_trigger(self.world, self.name, numbers, 1 / base.rate_hz, base.points, before)
        bits = self._bits_now()
        self._records = {
            number: Record.of(read.samples, read.volts_per_unit, self.channels[number - 1], bits, base)
            for number, read in inputs.items()
        }
        self._acquired += 1
        if self._single and self._acquired >= self.count:
            self._running = False
        self.operation_finished()

    # ---- read-out -----------------------------------------------------------------------------

    def _record(self, number: int, waveform: int) -> Record:
        channel = self.channel(number)
        if channel.on and self._running and not self._single and not self._waits:
            self._take(triggered=False)
        if waveform > 1 or number not in self._records:
            raise ScpiError(-230)
        return self._records[number]

    @command(":FORMat[:DATA]", Choice("ASCii", "REAL", "INT"), Maybe(Integer(0, 64), -1))
    def _set_format(self, kind: str, bits: int) -> None:
        bits = FORMATS[kind] if bits < 0 else bits
        if bits != FORMATS[kind] and (kind, bits) != ("INT", 16):
            raise ScpiError(-224)
        self._format = f"{kind},{bits}"

    @query(":FORMat[:DATA]?")
    def _format_now(self) -> str:
        return self._format

    @query(f"{WAVEFORM}:DATA:HEADer?")
    def _header(self, number: int, waveform: int) -> str:
        record = self._record(number, waveform)
        count = len(record.codes) - (self._header_end == "last")
        return f"{record.start_s:.9E},{record.start_s + count * record.interval_s:.9E},{len(record.codes)},1"

    @query(f"{WAVEFORM}:DATA[:VALues]?", Maybe(Integer(0), 0), Maybe(Integer(0), 0))
    def _values(self, number: int, waveform: int, offset: int, length: int) -> Reply:
        record = self._record(number, waveform)
        part = slice(offset, offset + length if length else None)
        if self._format == "ASC,0":
            return ",".join(f"{volts:.9g}" for volts in record.volts()[part].tolist())
        order = "<" if self.byte_order == "LSBF" else ">"
        if self._format == "REAL,32":
            return _block(record.volts()[part].astype(f"{order}f4"))
        codes = record.codes[part]
        if self._format == "INT,8":
            return _block(np.right_shift(codes, 8).astype(np.int8))
        return _block(codes.astype(f"{order}i2", copy=False))

    @query(f"{MEASUREMENT}:RESult:AVG?")
    @query(f"{MEASUREMENT}:RESult[:ACTual]?")
    def _result(self, number: int) -> str:
        return NO_RESULT

    @query(f"{MEASUREMENT}:RESult:EVTCount?")
    def _events(self, number: int) -> int:
        return 0

    @command(f"{MEASUREMENT}:CLEar")
    def _clear_measurement(self, number: int) -> None:
        """There is nothing to clear."""

    @query(":SYSTem:ERRor:ALL?")
    def _all_errors(self) -> str:
        entries = []
        while self.status.error_count:
            code, text = self.status.next_error()
            entries.append(f'{code},"{text}"')
        return ",".join(entries) or '0,"No error"'


def _block(data: np.ndarray) -> Block:
    return Block(data, digits=len(str(data.nbytes)))
