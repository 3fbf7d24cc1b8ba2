"""Simulated Keysight 33600A (33500B) Trueform waveform generator.

After what public drivers send, whose commands are those of Keysight's "Trueform Series Operating and Service Guide".
Channels and their memory are in :mod:`sim_backends.keysight_33600a_channel`.

A channel plays its arbitrary waveform without end, or, in burst mode, so many cycles at each trigger: ``*TRG`` while
its trigger source is BUS, the trigger input while it is EXTernal, ``TRIGger<n>`` always. ``*TRG`` starts all channels
on BUS together. A start of the sync output's channel reaches the lab's trigger line, and so does one of the trigger
output's. A burst takes no time here; one begun by the trigger input stays visible until the channel is written to.

Setting one of VOLTage:HIGH and :LOW beyond the other takes the other along. Not simulated: functions other than ARB
(FUNCtion, APPLy and their settings are kept, the world sees silence), offsets, gated bursts, trigger sources IMMediate
and TIMer in burst mode, point by point advance, amplitudes in VRMS or dBm, modulation, sweeps, lists, and what the two
filters do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim_backends.keysight_33600a_channel import CODE_MAX, MODELS, OPEN_OHM, RESET_RATE_HZ, Channel, told_for
from sim_backends.keysight_33600a_parameters import Applied, OrInfinity, Points, Volts
from sim_backends.scpi import (
    Binary,
    Boolean,
    Choice,
    Integer,
    Maybe,
    Number,
    Rest,
    ScpiError,
    ScpiUnit,
    Setting,
    Text,
    command,
    query,
)
from sim_backends.scpi_parts import ChannelSetting
from sim_backends.scpi_values import Reply
from sim_backends.state import GeneratorChannelState, GeneratorState, WorldView

SOURCE: Final = "[:SOURce<n:2>]"
VOLTAGE: Final = f"{SOURCE}:VOLTage[:LEVel][:IMMediate]"
PULSE: Final = f"{SOURCE}:FUNCtion:PULSe"
ARB: Final = f"{SOURCE}:FUNCtion:ARBitrary"

#: Into 50 ohms.
SMALLEST_VPP: Final = 1e-3
PEAK_V: Final = 5.0
MAX_CYCLES: Final = 100_000_000

SHAPES: Final = ("SINusoid", "SQUare", "TRIangle", "RAMP", "PULSe", "PRBS", "NOISe", "ARBitrary", "DC")
FUNCTIONS: Final = Choice(*SHAPES)


class Trueform(ScpiUnit):
    """Options: ``variant`` (model), ``memory_points`` of a channel (0: the model's own), ``own_rates`` (every waveform
    keeps a sample rate of its own), ``converter_bits`` (what is rounded away of a waveform; 16: nothing), ``serial``.
    """

    MODEL = "keysight_33600a"
    SIGNED_ERRORS = True
    ERROR_QUEUE_SIZE = 20
    state: GeneratorState

    byte_order = Setting(":FORMat:BORDer", Choice("NORMal", "SWAPped"), "NORM")
    sync_on = Setting(":OUTPut:SYNC[:STATe]", Boolean(), True)
    sync_source = Setting(":OUTPut:SYNC:SOURce", Choice("CH1", "CH2"), "CH1")
    trigger_out_on = Setting(":OUTPut:TRIGger[:STATe]", Boolean(), False)
    trigger_out_source = Setting(":OUTPut:TRIGger:SOURce", Choice("CH1", "CH2"), "CH1")

    # Kept and given back only.
    trigger_out_slope = Setting(":OUTPut:TRIGger:SLOPe", Choice("POSitive", "NEGative"), "POS")
    sync_mode = Setting(":OUTPut<n:2>:SYNC:MODE", Choice("NORMal", "CARRier", "MARKer"), "NORM")
    sync_polarity = Setting(":OUTPut<n:2>:SYNC:POLarity", Choice("NORMal", "INVerted"), "NORM")
    output_mode = Setting(":OUTPut<n:2>:MODE", Choice("NORMal", "GATed"), "NORM")
    trigger_slope = Setting(":TRIGger<n:2>:SLOPe", Choice("POSitive", "NEGative"), "POS")
    trigger_delay_s = Setting(":TRIGger<n:2>:DELay", Number("S", (0, 1000)), 0.0)
    trigger_level_v = Setting(":TRIGger<n:2>:LEVel", Number("V", (0, 4)), 1.65)
    trigger_timer_s = Setting(":TRIGger<n:2>:TIMer", Number("S", (1e-6, 8000)), 1.0)
    frequency_hz = Setting(f"{SOURCE}:FREQuency[:CW]", Number("HZ", (1e-6, 120e6)), 1e3)
    frequency_mode = Setting(f"{SOURCE}:FREQuency:MODE", Choice("CW", "LIST", "SWEep", "FIXed"), "CW")
    phase_deg = Setting(f"{SOURCE}:PHASe", Number("DEG", (-360, 360)), 0.0)
    amplitude_unit = Setting(f"{SOURCE}:VOLTage:UNIT", Choice("VPP", "VRMS", "DBM"), "VPP")
    autorange = Setting(f"{SOURCE}:VOLTage:RANGe:AUTO", Choice("ON", "OFF", "1", "0", "ONCE"), "1")
    duty_percent = Setting(f"{SOURCE}:FUNCtion:SQUare:DCYCle", Number("PCT", (0.01, 99.99)), 50.0)
    symmetry_percent = Setting(f"{SOURCE}:FUNCtion:RAMP:SYMMetry", Number("PCT", (0, 100)), 100.0)
    pulse_period_s = Setting(f"{PULSE}:PERiod", Number("S", (8e-9, 1e6)), 1e-3)
    pulse_hold = Setting(f"{PULSE}:HOLD", Choice("WIDTh", "DCYCle"), "WIDT")
    pulse_width_s = Setting(f"{PULSE}:WIDTh", Number("S", (4e-9, 1e6)), 1e-4)
    pulse_duty_percent = Setting(f"{PULSE}:DCYCle", Number("PCT", (0, 100)), 10.0)
    pulse_edge_s = Setting(f"{PULSE}:TRANsition[:BOTH]", Number("S", (1e-9, 1e-6)), 10e-9)
    burst_period_s = Setting(f"{SOURCE}:BURSt:INTernal:PERiod", Number("S", (1e-6, 8000)), 10e-3)
    burst_phase_deg = Setting(f"{SOURCE}:BURSt:PHASe", Number("DEG", (-360, 360)), 0.0)
    gate_polarity = Setting(f"{SOURCE}:BURSt:GATE:POLarity", Choice("NORMal", "INVerted"), "NORM")
    focus = Setting(":DISPlay:FOCus", Choice("CH1", "CH2"), "CH1")
    rate_unit = Setting(":DISPlay:UNIT:ARBRate", Choice("SRATe", "FREQuency", "PERiod"), "SRAT")
    message = Setting(":DISPlay:TEXT", Text(), "", shown=lambda text: f'"{text}"')

    _applied = Applied(f"{SOURCE}:APPLy", SHAPES)
    _output = ChannelSetting(":OUTPut<n:2>[:STATe]", Boolean(), "output_on")
    _function = ChannelSetting(f"{SOURCE}:FUNCtion[:SHAPe]", FUNCTIONS, "function")
    _advance = ChannelSetting(f"{ARB}:ADVance", Choice("TRIGger", "SRATe"), "advance")
    _burst = ChannelSetting(f"{SOURCE}:BURSt[:STATe]", Boolean(), "burst_on")
    _burst_mode = ChannelSetting(f"{SOURCE}:BURSt:MODE", Choice("TRIGgered", "GATed"), "burst_mode")
    _cycles = ChannelSetting(f"{SOURCE}:BURSt:NCYCles", OrInfinity("", (1, MAX_CYCLES), resolution=1), "cycles")
    _trigger_source = ChannelSetting(
        ":TRIGger<n:2>:SOURce", Choice("IMMediate", "EXTernal", "TIMer", "BUS"), "trigger_source"
    )
    _trigger_count = ChannelSetting(":TRIGger<n:2>:COUNt", Integer(1, 1_000_000), "trigger_count")
    _continuous = ChannelSetting(":INITiate<n:2>:CONTinuous", Boolean(), "continuous")

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        self._variant = self.options.text("variant", "33622A", tuple(MODELS))
        self._model = MODELS[self._variant]
        self._points = self.options.integer("memory_points", 0, 0, 64_000_000) or self._model.memory_points
        self._own_rates = self.options.flag("own_rates", False)
        self._rounding = 1 << (16 - self.options.integer("converter_bits", 16, 8, 16))
        self._serial = self.options.text("serial", "MY59000001")
        self.state = GeneratorState(channels=[GeneratorChannelState() for _ in range(self._model.channels)])
        self._channels: list[Channel] = []
        self.reset()

    def identity(self) -> str:
        return f"Agilent Technologies,{self._variant},{self._serial},A.02.03-3.15-03-64-02"

    def format_real(self, value: float) -> str:
        return "+9.9E+37" if value == OPEN_OHM else f"{value:+.15E}"

    def suffixes_exist(self, suffixes: Sequence[int]) -> bool:
        return max(suffixes) <= len(self._channels)

    def reset(self) -> None:
        super().reset()
        self._channels = [
            Channel(state, self._model, self._points, own_rates=self._own_rates) for state in self.state.channels
        ]
        self.state.sample_rate_hz = self._channels[0].rate_hz

    def channel(self, number: int) -> Channel:
        """Raises ScpiError -241 when this unit has no such channel."""
        if number > len(self._channels):
            raise ScpiError(-241)
        return self._channels[number - 1]

    # ---- voltages -----------------------------------------------------------------------------

    def _set_volts(self, number: int, amplitude_vpp: float, offset_v: float) -> None:
        channel = self.channel(number)
        told = told_for(channel.load_ohm)
        slack = 1 + 1e-9
        if amplitude_vpp * slack < SMALLEST_VPP * told or abs(offset_v) + amplitude_vpp / 2 > PEAK_V * told * slack:
            raise ScpiError(-222)
        channel.offset_v = offset_v
        channel.put("amplitude_vpp", amplitude_vpp)

    @command(f"{ARB}:PTPeak", Volts("V"))
    @command(f"{VOLTAGE}[:AMPLitude]", Volts("V"))
    def _set_amplitude(self, number: int, volts: float) -> None:
        self._set_volts(number, volts, self.channel(number).offset_v)

    @query(f"{ARB}:PTPeak?", Maybe(Text(), ""))
    @query(f"{VOLTAGE}[:AMPLitude]?", Maybe(Text(), ""))
    def _amplitude(self, number: int, which: str) -> float:
        channel = self.channel(number)
        told = told_for(channel.load_ohm)
        if which.upper() in ("MAX", "MAXIMUM"):
            return 2 * (PEAK_V * told - abs(channel.offset_v))
        return SMALLEST_VPP * told if which.upper() in ("MIN", "MINIMUM") else channel.amplitude_vpp

    @command(f"{VOLTAGE}:OFFSet", Volts("V"))
    def _set_offset(self, number: int, volts: float) -> None:
        self._set_volts(number, self.channel(number).amplitude_vpp, volts)

    @query(f"{VOLTAGE}:OFFSet?")
    def _offset(self, number: int) -> float:
        return self.channel(number).offset_v

    @command(f"{VOLTAGE}:HIGH", Volts("V"))
    def _set_high(self, number: int, high_v: float) -> None:
        low_v = min(self._low(number), high_v - SMALLEST_VPP)
        self._set_volts(number, high_v - low_v, (high_v + low_v) / 2)

    @query(f"{VOLTAGE}:HIGH?")
    def _high(self, number: int) -> float:
        channel = self.channel(number)
        return channel.offset_v + channel.amplitude_vpp / 2

    @command(f"{VOLTAGE}:LOW", Volts("V"))
    def _set_low(self, number: int, low_v: float) -> None:
        high_v = max(self._high(number), low_v + SMALLEST_VPP)
        self._set_volts(number, high_v - low_v, (high_v + low_v) / 2)

    @query(f"{VOLTAGE}:LOW?")
    def _low(self, number: int) -> float:
        channel = self.channel(number)
        return channel.offset_v - channel.amplitude_vpp / 2

    @command(":OUTPut<n:2>:LOAD", OrInfinity("OHM", (1, 10e3), default=50.0))
    def _set_load(self, number: int, ohm: float) -> None:
        self.channel(number).set_load(ohm)

    @query(":OUTPut<n:2>:LOAD?")
    def _load(self, number: int) -> float:
        return self.channel(number).load_ohm

    @command(":OUTPut<n:2>:POLarity", Choice("NORMal", "INVerted"))
    def _set_polarity(self, number: int, word: str) -> None:
        self.channel(number).put("inverted", word == "INV")

    @query(":OUTPut<n:2>:POLarity?")
    def _polarity(self, number: int) -> str:
        return "INV" if self.channel(number).inverted else "NORM"

    def apply(self, number: int, function: str, rate: str, amplitude_v: float | None, offset_v: float | None) -> None:
        """APPLy: what is left out stays as it is (assumed)."""
        channel = self.channel(number)
        self._set_volts(
            number,
            channel.amplitude_vpp if amplitude_v is None else amplitude_v,
            channel.offset_v if offset_v is None else offset_v,
        )
        if rate and function == "ARB":
            self._set_rate(number, Number("SA/S", default=RESET_RATE_HZ).parse(rate, self))
        elif rate:
            type(self).frequency_hz.put(self, Number("HZ", (1e-6, 120e6), default=1e3).parse(rate, self), number)
        channel.put("function", function)
        channel.put("output_on", True)

    def applied(self, number: int) -> str:
        """``"SIN +1.0E+03,+1.0E-01,+0.0E+00"``."""
        channel = self.channel(number)
        rate = channel.rate_hz if channel.function == "ARB" else type(self).frequency_hz.at(self, number)
        numbers = (rate, channel.amplitude_vpp, channel.offset_v)
        return f'"{channel.function} {",".join(map(self.format_real, numbers))}"'

    # ---- waveforms ----------------------------------------------------------------------------

    @command(f"{SOURCE}:DATA:VOLatile:CLEar")
    def _clear(self, number: int) -> None:
        self.channel(number).clear()

    @query(f"{SOURCE}:DATA:VOLatile:FREE?")
    def _free(self, number: int) -> int:
        return self.channel(number).memory.free

    @query(f"{SOURCE}:DATA:VOLatile:CATalog?")
    def _catalogue(self, number: int) -> str:
        return ",".join(f'"{name}"' for name in self.channel(number).memory.names)

    @command(f"{SOURCE}:DATA:ARBitrary", Text(), Rest(Points(scaled=True)))
    @command(f"{SOURCE}:DATA:ARBitrary:DAC", Text(), Rest(Points(scaled=False)))
    def _load_waveform(self, number: int, name: str, parts: list[NDArray[np.int16]]) -> None:
        codes = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if self._rounding > 1:
            steps = np.rint(codes / self._rounding) * self._rounding
            codes = np.clip(steps, -CODE_MAX, CODE_MAX).astype(np.int16)
        self.channel(number).memory.load(name, codes)

    @command(f"{SOURCE}:DATA:SEQuence", Binary())
    def _load_sequence(self, number: int, text: memoryview) -> None:
        self.channel(number).memory.load_sequence(bytes(text).decode("latin-1"))

    @query(f"{SOURCE}:DATA:ATTRibute:POINts?", Maybe(Text(), ""))
    def _points_of(self, number: int, name: str) -> int:
        channel = self.channel(number)
        return len(channel.memory[name or channel.waveform].codes)

    @query(f"{ARB}:POINts?")
    def _points_selected(self, number: int) -> int:
        return self._points_of(number, "")

    @command(ARB, Text())
    def _select(self, number: int, name: str) -> None:
        self.channel(number).select(name)

    @query(f"{ARB}?")
    def _selected(self, number: int) -> str:
        return f'"{self.channel(number).waveform}"'

    @command(f"{ARB}:SRATe", Number("SA/S"))
    def _set_rate(self, number: int, rate_hz: float) -> None:
        channel = self.channel(number)
        low, high = channel.rate_limits()
        if not low <= rate_hz <= high * (1 + 1e-9):
            raise ScpiError(-222)
        channel.put("rate_hz", rate_hz)
        self.state.sample_rate_hz = rate_hz

    @query(f"{ARB}:SRATe?", Maybe(Text(), ""))
    def _rate(self, number: int, which: str) -> Reply:
        channel = self.channel(number)
        limits = channel.rate_limits()
        return {"MIN": limits[0], "MAX": limits[1]}.get(which.upper()[:3], channel.rate_hz)

    @command(f"{ARB}:FREQuency", Number("HZ"))
    def _set_repetition(self, number: int, frequency_hz: float) -> None:
        self._set_rate(number, frequency_hz * self._points_of(number, ""))

    @query(f"{ARB}:FREQuency?")
    def _repetition(self, number: int) -> float:
        return self.channel(number).rate_hz / self._points_of(number, "")

    @command(f"{ARB}:PERiod", Number("S", (1e-9, 1e9)))
    def _set_period(self, number: int, period_s: float) -> None:
        self._set_repetition(number, 1 / period_s)

    @query(f"{ARB}:PERiod?")
    def _period(self, number: int) -> float:
        return 1 / self._repetition(number)

    @command(f"{ARB}:FILTer", Choice("NORMal", "STEP", "OFF"))
    def _set_filter(self, number: int, name: str) -> None:
        self.channel(number).set_filter(name)

    @query(f"{ARB}:FILTer?")
    def _filter(self, number: int) -> str:
        return self.channel(number).filter

    @command(f"{ARB}:SYNChronize")
    @command(f"{SOURCE}:PHASe:SYNChronize")
    def _synchronise(self, number: int) -> None:
        """All channels begin anew: what plays without end is in step here anyway."""

    # ---- triggers -----------------------------------------------------------------------------

    @command("*TRG")
    def _bus_trigger(self) -> None:
        self._begin([channel for channel in self._channels if channel.waits_for("BUS")])

    @command(":TRIGger<n:2>[:IMMediate]")
    def _force_trigger(self, number: int) -> None:
        channel = self.channel(number)
        self._begin([channel] if channel.waits_for("BUS", "EXT", "TIM") else [])

    def _begin(self, waiting: list[Channel]) -> None:
        if not waiting:
            raise ScpiError(-211)
        self._start(waiting)
        numbers = {f"CH{number}" for number, channel in enumerate(self._channels, start=1) if channel in waiting}
        sync = self.sync_on and self.sync_source in numbers
        if sync or (self.trigger_out_on and self.trigger_out_source in numbers):
            self.world.fire_trigger(self.name)
        for channel in waiting:
            channel.burst_over()

    def _start(self, waiting: list[Channel]) -> None:
        if len({channel.rate_hz for channel in waiting}) > 1:
            raise ScpiError(-221, "channels at different sample rates are not simulated")
        for channel in waiting:
            channel.start()
            self.state.sample_rate_hz = channel.rate_hz

    def on_trigger(self) -> None:
        """The trigger line fired: channels that listen to the trigger input start."""
        try:
            self._start([channel for channel in self._channels if channel.waits_for("EXT")])
        except ScpiError as error:
            self.status.report(error)

    @command(":INITiate<n:2>[:IMMediate]")
    def _initiate(self, number: int) -> None:
        self.channel(number).initiate()

    @command(":INITiate[:IMMediate]:ALL")
    def _initiate_all(self) -> None:
        for channel in self._channels:
            channel.initiate()

    @command(":INITiate:CONTinuous:ALL", Boolean())
    def _continue_all(self, on: bool) -> None:
        for channel in self._channels:
            channel.put("continuous", on)

    @command(":ABORt")
    def _abort(self) -> None:
        for channel in self._channels:
            channel.abort()

    # ---- front panel --------------------------------------------------------------------------

    @command(":DISPlay:TEXT:CLEar")
    def _clear_message(self) -> None:
        type(self).message.put(self, "")

    @command(":SYSTem:BEEPer[:IMMediate]")
    def _beep(self) -> None:
        """Heard by nobody."""
