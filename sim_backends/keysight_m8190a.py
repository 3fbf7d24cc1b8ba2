"""Simulated Keysight (Agilent) M8190A arbitrary waveform generator, two channels behind one soft front panel.

Keysight M8190A User's Guide (M8190-91030): chapter 3 "Sequencing" (pages 90 to 92: formats, trigger modes), chapter 8
"General Programming" (page 253 :SEQuence, page 281 :TRACe, pages 285 and 286 :STABle).

Trigger model. ``:INITiate:IMMediate`` starts a channel in continuous mode and arms it otherwise. In triggered mode
(``:INITiate:CONTinuous OFF``, ``:INITiate:GATE OFF``) it starts by ``:TRIGger:BEGin``, or by the trigger input while
``:ARM:TRIGger:SOURce`` is EXTernal and ``:TRIGger:BEGin:HWDisable`` is OFF. A start by command sends the marker to
everything on the trigger line. A burst takes no time here: it is over when that call returns, and the channel waits
for the next trigger. A burst started by the trigger input stays visible until the channel is written to, armed or
stopped, since nobody tells when the other units on the line have done.

Not simulated: the internal trigger generator (``INTernal`` only closes the trigger input), interpolated output (its
carrier is kept and given back), the advance by event inside a sequence, and what ``:INSTrument:COUPle`` does besides
starting and stopping both channels together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim_backends.keysight_m8190a_channel import AMPLITUDES, OFFSETS, Channel
from sim_backends.keysight_m8190a_memory import FORMATS, MAX_SEGMENTS, MEMORY_WORDS, TABLE_LENGTH, WHOLE_SEGMENT
from sim_backends.keysight_m8190a_values import Samples, Words, block_of, pairs
from sim_backends.scpi import (
    Block,
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
from sim_backends.scpi_parts import ChannelSetting, PartSetting
from sim_backends.state import GeneratorChannelState, GeneratorState, WorldView

MIN_RASTER_HZ: Final = 125e6
#: In speed mode (WSP), and in all others.
MAX_SPEED_RASTER_HZ: Final = 12e9
MAX_RASTER_HZ: Final = 8e9
RESET_RASTER_HZ: Final = 7.2e9

# Parts of headers.
ARM: Final = ":ARM[:SEQuence][:STARt][:LAYer]"
TRIG: Final = ":TRIGger[:SEQuence][:STARt]"
AMPLITUDE: Final = ":VOLTage[:LEVel][:IMMediate][:AMPLitude]"
OFFSET: Final = ":VOLTage[:LEVel][:IMMediate]:OFFSet"

FUNCTION: Final = Choice("ARBitrary", "STSequence", "STSCenario")
SLOPE: Final = Choice("POSitive", "NEGative", "EITHer")
ADVANCE: Final = Choice("AUTO", "CONDitional", "REPeat", "SINGle")
TABLE_INDEX: Final = Integer(0, TABLE_LENGTH - 1)


class M8190A(ScpiUnit):
    """Options: ``channels`` (1 or 2), ``mode`` (WSP or WPR at power-on), ``serial``."""

    MODEL = "keysight_m8190a"
    HISLIP = True
    LONGEST_BLOCK = 2 * MEMORY_WORDS
    state: GeneratorState

    _raster = PartSetting(
        "[:SOURce]:FREQuency:RASTer", Number("HZ", lambda u: u.raster_limits()), lambda u: u.state, "sample_rate_hz"
    )

    # Kept and given back only.
    coupled = Setting(":INSTrument:COUPle[:STATe]", Boolean(), False)
    raster_source = Setting("[:SOURce]:FREQuency:RASTer:SOURce", Choice("INTernal", "EXTernal"), "INT")
    raster_external_hz = Setting("[:SOURce]:FREQuency:RASTer:EXTernal", Number("HZ", (1e9, MAX_SPEED_RASTER_HZ)), 7.2e9)
    reference_source = Setting("[:SOURce]:ROSCillator:SOURce", Choice("EXTernal", "AXI", "INTernal"), "AXI")
    reference_hz = Setting("[:SOURce]:ROSCillator:FREQuency", Number("HZ", (1e6, 200e6)), 100e6)
    trigger_source = Setting(f"{ARM}:TRIGger:SOURce", Choice("EXTernal", "INTernal"), "EXT")
    trigger_level_v = Setting(f"{ARM}:TRIGger:LEVel", Number("V", (-5, 5)), 1.0)
    trigger_slope = Setting(f"{ARM}:TRIGger:SLOPe", SLOPE, "POS")
    trigger_impedance = Setting(f"{ARM}:TRIGger:IMPedance", Choice("LOW", "HIGH"), "LOW")
    trigger_operation = Setting(f"{ARM}:TRIGger:OPERation", Choice("ASYNchronous", "SYNChronous"), "ASYN")
    trigger_hz = Setting(f"{ARM}:TRIGger:FREQuency", Number("HZ", (0.1, 50e6)), 10e3)
    event_level_v = Setting(f"{ARM}:EVENt:LEVel", Number("V", (-5, 5)), 1.0)
    event_slope = Setting(f"{ARM}:EVENt:SLOPe", SLOPE, "POS")
    enable_source = Setting(f"{TRIG}:SOURce:ENABle", Choice("TRIGger", "EVENt"), "TRIG")
    advance_source = Setting(f"{TRIG}:SOURce:ADVance", Choice("TRIGger", "EVENt", "INTernal"), "TRIG")
    dac_format = Setting("[:SOURce]:DAC<n:2>:FORMat", Choice("RZ", "DNRZ", "NRZ", "DOUBlet"), "NRZ")
    complement_on = Setting(":OUTPut<n:2>:COMPlement", Boolean(), False)
    sync_vpp = Setting(f":MARKer<n:2>:SYNC{AMPLITUDE}", Number("V", (0, 2.25)), 0.5)
    sync_offset_v = Setting(f":MARKer<n:2>:SYNC{OFFSET}", Number("V", (-0.5, 1.75)), 0.25)
    sample_vpp = Setting(f":MARKer<n:2>:SAMPle{AMPLITUDE}", Number("V", (0, 2.25)), 0.5)
    sample_offset_v = Setting(f":MARKer<n:2>:SAMPle{OFFSET}", Number("V", (-0.5, 1.75)), 0.25)
    markers_on = Setting(":TRACe<n:2>:MARKer[:STATe]", Boolean(), False)

    # Output path.
    _output = ChannelSetting(":OUTPut<n:2>[:NORMal][:STATe]", Boolean(), "output_on")
    _route = ChannelSetting(":OUTPut<n:2>:ROUTe[:SELect]", Choice("DAC", "DC", "AC"), "route")
    _dac = ChannelSetting(f"[:SOURce]:DAC<n:2>{AMPLITUDE}", Number("V", AMPLITUDES["DAC"]), "dac_vpp")
    _dc = ChannelSetting(f"[:SOURce]:DC<n:2>{AMPLITUDE}", Number("V", AMPLITUDES["DC"]), "dc_vpp")
    _ac = ChannelSetting(f"[:SOURce]:AC<n:2>{AMPLITUDE}", Number("V", AMPLITUDES["AC"]), "ac_vpp")
    _dac_offset = ChannelSetting(f"[:SOURce]:DAC<n:2>{OFFSET}", Number("V", OFFSETS["DAC"]), "dac_offset_v")
    _dc_offset = ChannelSetting(f"[:SOURce]:DC<n:2>{OFFSET}", Number("V", OFFSETS["DC"]), "dc_offset_v")

    # Run mode, and what plays.
    _continuous = ChannelSetting(":INITiate:CONTinuous<n:2>[:STATe]", Boolean(), "continuous")
    _enable = ChannelSetting(":INITiate:CONTinuous<n:2>:ENABle", Choice("SELF", "ARMed"), "enable")
    _gated = ChannelSetting(":INITiate:GATE<n:2>[:STATe]", Boolean(), "gated")
    _function = ChannelSetting("[:SOURce]:FUNCtion<n:2>:MODE", FUNCTION, "function")
    _segment = ChannelSetting(":TRACe<n:2>:SELect", Integer(1, MAX_SEGMENTS), "segment")
    _segment_loops = ChannelSetting(":TRACe<n:2>:COUNt", Integer(1, WHOLE_SEGMENT), "segment_loops")
    _segment_advance = ChannelSetting(":TRACe<n:2>:ADVance", ADVANCE, "segment_advance")
    _sequence = ChannelSetting(":STABle<n:2>:SEQuence:SELect", TABLE_INDEX, "sequence")
    _scenario = ChannelSetting(":STABle<n:2>:SCENario:SELect", TABLE_INDEX, "scenario")
    _scenario_loops = ChannelSetting(":STABle<n:2>:SCENario:COUNt", Integer(1, WHOLE_SEGMENT), "scenario_loops")
    _scenario_advance = ChannelSetting(":STABle<n:2>:SCENario:ADVance", ADVANCE, "scenario_advance")
    _input_disabled = ChannelSetting(f"{TRIG}:BEGin<n:2>:HWDisable[:STATe]", Boolean(), "input_disabled")

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        count = self.options.integer("channels", 2, 1, 2)
        self._mode = self.options.text("mode", "WSP", tuple(FORMATS))
        self._serial = self.options.text("serial", "DE53A00001")
        self.state = GeneratorState(channels=[GeneratorChannelState() for _ in range(count)])
        self._channels: list[Channel] = []
        self.reset()

    def identity(self) -> str:
        return f"Agilent Technologies,M8190A,{self._serial},5.3.0.0-7"

    @query("*OPT?")
    def _fitted(self) -> str:
        return f"00{len(self._channels)},14B,12G,SEQ"

    def reset(self) -> None:
        super().reset()
        self.state.sample_rate_hz = RESET_RASTER_HZ
        self._channels = [Channel(state, FORMATS[self._mode]) for state in self.state.channels]

    def channel(self, number: int) -> Channel:
        """Raises ScpiError -241 when this unit has no such channel."""
        if number > len(self._channels):
            raise ScpiError(-241)
        return self._channels[number - 1]

    # ---- sample clock -------------------------------------------------------------------------

    def raster_limits(self) -> tuple[float, float]:
        """Hertz; 12 GSa/s only while every channel is in speed mode."""
        speed = all(channel.format.name == "WSP" for channel in self._channels)
        return MIN_RASTER_HZ, MAX_SPEED_RASTER_HZ if speed else MAX_RASTER_HZ

    # ---- voltage of the selected path ---------------------------------------------------------

    @command("[:SOURce]:VOLTage<n:2>[:LEVel][:IMMediate][:AMPLitude]", Number("V"))
    def _set_amplitude(self, number: int, amplitude_vpp: float) -> None:
        channel = self.channel(number)
        low, high = AMPLITUDES[channel.route]
        if not low <= amplitude_vpp <= high:
            raise ScpiError(-222)
        channel.put(f"{channel.route.lower()}_vpp", amplitude_vpp)

    @query("[:SOURce]:VOLTage<n:2>[:LEVel][:IMMediate][:AMPLitude]?")
    def _amplitude(self, number: int) -> float:
        return self.channel(number).amplitude_vpp()

    # ---- carrier of interpolated output -------------------------------------------------------

    @command("[:SOURce]:CARRier<n:2>:FREQuency[:INTegral]", Number("HZ", (0, MAX_RASTER_HZ)), Maybe(Number(), 0.0))
    def _set_carrier(self, number: int, carrier_hz: float, more_hz: float) -> None:
        if not 0 <= more_hz < 1:
            raise ScpiError(-222)
        more_hz += carrier_hz % 1
        self.channel(number).carrier_hz = (math.floor(carrier_hz) + math.floor(more_hz), more_hz % 1)

    @query("[:SOURce]:CARRier<n:2>:FREQuency[:INTegral]?")
    def _carrier(self, number: int) -> str:
        """Whole hertz, and the fraction of one."""
        whole_hz, more_hz = self.channel(number).carrier_hz
        return f"{whole_hz:.9E},{more_hz:.9E}"

    # ---- segments -----------------------------------------------------------------------------

    @command(":TRACe<n:2>:DWIDth", Choice("WSPeed", "WPRecision", "INTX3", "INTX12", "INTX24", "INTX48"))
    def _set_width(self, number: int, width: str) -> None:
        if width != "WSP" and self.state.sample_rate_hz > MAX_RASTER_HZ:
            raise ScpiError(-221, "the sample clock is above 8 GSa/s")
        self.channel(number).set_format(width)

    @query(":TRACe<n:2>:DWIDth?")
    def _width(self, number: int) -> str:
        return self.channel(number).format.name

    @command(":TRACe<n:2>:DEFine", Integer(), Integer(), Maybe(Integer(), 0))
    def _define(self, number: int, segment: int, samples: int, init: int) -> None:
        channel = self.channel(number)
        channel.memory.define(segment, samples, init, channel.format)

    @query(":TRACe<n:2>:DEFine:NEW?", Integer(), Maybe(Integer(), 0))
    def _define_new(self, number: int, samples: int, init: int) -> int:
        channel = self.channel(number)
        return channel.memory.define_new(samples, init, channel.format)

    @command(":TRACe<n:2>[:DATA]", Integer(), Integer(), Rest(Samples()))
    def _write_samples(self, number: int, segment: int, offset: int, parts: list[NDArray[np.int16]]) -> None:
        channel = self.channel(number)
        words = parts[0] if len(parts) == 1 else np.concatenate(parts)
        channel.memory[segment].write(offset * channel.format.words_per_sample, words)
        channel.refresh()

    def _words(self, number: int, segment: int, offset: int, samples: int) -> NDArray[np.int16]:
        channel = self.channel(number)
        per_sample = channel.format.words_per_sample
        return channel.memory[segment].read(offset * per_sample, samples * per_sample)

    @query(":TRACe<n:2>[:DATA]?", Integer(), Integer(), Integer())
    def _read_samples(self, number: int, segment: int, offset: int, samples: int) -> str:
        return ",".join(map(str, self._words(number, segment, offset, samples).tolist()))

    @query(":TRACe<n:2>[:DATA]:BLOCk?", Integer(), Integer(), Integer())
    def _readblock_of(self, number: int, segment: int, offset: int, samples: int) -> Block:
        return block_of(self._words(number, segment, offset, samples).astype("<i2"))

    @command(":TRACe<n:2>:NAME", Integer(), Text())
    def _set_name(self, number: int, segment: int, name: str) -> None:
        self.channel(number).memory[segment].name = name[:32]

    @query(":TRACe<n:2>:NAME?", Integer())
    def _name(self, number: int, segment: int) -> str:
        return f'"{self.channel(number).memory[segment].name}"'

    @command(":TRACe<n:2>:COMMent", Integer(), Text())
    def _set_comment(self, number: int, segment: int, comment: str) -> None:
        self.channel(number).memory[segment].comment = comment[:256]

    @query(":TRACe<n:2>:COMMent?", Integer())
    def _comment(self, number: int, segment: int) -> str:
        return f'"{self.channel(number).memory[segment].comment}"'

    @command(":TRACe<n:2>:DELete", Integer())
    def _delete(self, number: int, segment: int) -> None:
        self._stopped(number).memory.delete(segment)

    @command(":TRACe<n:2>:DELete:ALL")
    def _delete_all(self, number: int) -> None:
        self._stopped(number).memory.delete_all()

    def _stopped(self, number: int) -> Channel:
        """What is there to be played is deleted in program mode only."""
        channel = self.channel(number)
        if channel.initiated:
            raise ScpiError(-221, "the channel is running")
        channel.forget_content()
        return channel

    @query(":TRACe<n:2>:CATalog?")
    def _catalogue(self, number: int) -> str:
        channel = self.channel(number)
        per_sample = channel.format.words_per_sample
        return pairs((n, len(channel.memory[n]) // per_sample) for n in channel.memory.numbers())

    @query(":TRACe<n:2>:FREE?")
    def _free(self, number: int) -> str:
        used = 2 * self.channel(number).memory.used_words
        return f"{2 * MEMORY_WORDS - used},{used},{2 * MEMORY_WORDS - used}"

    # ---- sequences ----------------------------------------------------------------------------

    @query(":SEQuence<n:2>:DEFine:NEW?", Integer())
    def _define_sequence(self, number: int, steps: int) -> int:
        return self.channel(number).sequences.define_new(steps)

    @command(":SEQuence<n:2>:DATA", Integer(), Integer(), Rest(Words()))
    def _write_sequence(self, number: int, sequence: int, step: int, parts: list[list[int]]) -> None:
        channel = self.channel(number)
        channel.sequences.write(sequence, step, [word for part in parts for word in part])
        channel.refresh()

    @command(":SEQuence<n:2>:DELete", Integer())
    def _delete_sequence(self, number: int, sequence: int) -> None:
        self._stopped(number).sequences.delete(sequence)

    @command(":SEQuence<n:2>:DELete:ALL")
    def _delete_sequences(self, number: int) -> None:
        self._stopped(number).sequences.delete_all()

    @query(":SEQuence<n:2>:CATalog?")
    def _sequences(self, number: int) -> str:
        return pairs(self.channel(number).sequences.catalogue())

    @command(":STABle<n:2>:DATA", Integer(0), Rest(Words()))
    def _write_table(self, number: int, index: int, parts: list[list[int]]) -> None:
        channel = self.channel(number)
        channel.table.write(index, [word for part in parts for word in part])
        channel.refresh()

    @query(":STABle<n:2>:DATA?", Integer(0), Integer(0))
    def _read_table(self, number: int, index: int, words: int) -> str:
        return ",".join(map(str, self.channel(number).table.read(index, words)))

    @query(":STABle<n:2>:DATA:BLOCk?", Integer(0), Integer(0))
    def _read_tableblock_of(self, number: int, index: int, words: int) -> Block:
        return block_of(np.array(self.channel(number).table.read(index, words), dtype="<u4"))

    @command(":STABle<n:2>:RESet")
    def _reset_table(self, number: int) -> None:
        self._stopped(number).table.reset()

    # ---- run and trigger ----------------------------------------------------------------------

    @command(":INITiate:IMMediate<n:2>")
    def _initiate(self, number: int) -> None:
        channel = self.channel(number)
        channel.initiate()
        for other in self._partners(channel):
            try:
                other.initiate()
            except ScpiError:  # may get its content before the trigger comes
                other.initiated = True

    @command(":ABORt<n:2>")
    def _abort(self, number: int) -> None:
        channel = self.channel(number)
        for one in (channel, *self._partners(channel)):
            one.stop()

    def _partners(self, channel: Channel) -> list[Channel]:
        return [other for other in self._channels if other is not channel] if self.coupled else []

    @command(f"{TRIG}:BEGin<n:2>[:IMMediate]")
    def _begin(self, number: int) -> None:
        channel = self.channel(number)
        waiting = [one for one in (channel, *self._partners(channel)) if one.waits_for_trigger]
        contents = [one.content() for one in waiting]
        if not waiting:
            return
        for one, content in zip(waiting, contents, strict=True):
            one.state.playback = content
        self.world.fire_trigger(self.name)
        for one in waiting:
            one.burst_over()

    @command(f"{TRIG}:BEGin<n:2>:GATE[:STATe]", Boolean())
    def _gate(self, number: int, opened: bool) -> None:
        channel = self.channel(number)
        for one in (channel, *self._partners(channel)):
            if one.waits_for_gate:
                one.state.playback = one.content() if opened else None

    @command(f"{TRIG}:ENABle<n:2>[:IMMediate]")
    def _enable_event(self, number: int) -> None:
        channel = self.channel(number)
        for one in (channel, *self._partners(channel)):
            if one.waits_for_enable:
                one.start()

    @command(f"{TRIG}:ADVance<n:2>[:IMMediate]")
    def _advance(self, number: int) -> None:
        """Ends a loop that waits for it."""
        channel = self.channel(number)
        if channel.waits_for_trigger:
            channel.state.playback = None

    def on_trigger(self) -> None:
        """The trigger line fired: channels that listen to the trigger input start."""
        if self.trigger_source != "EXT":
            return
        for channel in self._channels:
            if channel.waits_for_trigger and not channel.input_disabled:
                try:
                    channel.start()
                except ScpiError as error:
                    self.status.report(error)

    @command(f"{TRIG}:LEVel", Number("V", (-5, 5)))
    def _set_level(self, level_v: float) -> None:
        """The same as :ARM:TRIGger:LEVel."""
        type(self).trigger_level_v.put(self, level_v)

    @query(f"{TRIG}:LEVel?")
    def _level(self) -> float:
        return self.trigger_level_v

    @query(":STATus:OPERation:RUN:CONDition?")
    def _running(self) -> int:
        return sum(1 << index for index, channel in enumerate(self._channels) if channel.initiated)
