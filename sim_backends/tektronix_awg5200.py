"""Simulated Tektronix AWG5200 or AWG70000 arbitrary waveform generator.

After the commands and descriptions in Tektronix's tm_devices, and what QCoDeS's driver sends. The commands of lists and
files are in :mod:`sim_backends.tektronix_awg5200_lists`, what a channel plays in
:mod:`sim_backends.tektronix_awg5200_channel`.

Trigger model. :AWGControl:RUN plays in run mode CONTinuous, and waits otherwise for the channel's :TINPut. Input A is
on the lab's trigger line; :TRIGger:IMMediate forces either. A start by command fires the line when a marker is high at
the first sample that plays, and the DAC's resolution leaves bits for markers. A burst takes no time: it is over when
that call returns. One that the trigger line started stays visible until the channel is written to, run or stopped.

Not simulated: playing IQ waveforms (they are kept and read back), event jumps and pattern jumps, flags, subsequences,
the internal trigger's interval, the function generator mode, S parameters and compensation files, offset and bias at
the output.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sim_backends.scpi import Boolean, Choice, Maybe, Number, ScpiError, Setting, Text, command, query
from sim_backends.scpi_parts import ChannelSetting, PartSetting
from sim_backends.state import GeneratorChannelState, GeneratorState, WorldView
from sim_backends.tektronix_awg5200_channel import MODELS, RUNNING, STOPPED, WAITING, Channel
from sim_backends.tektronix_awg5200_lists import TektronixLists

VOLTAGE: Final = "[:SOURce<n:8>]:VOLTage"
LEVEL: Final = "[:LEVel][:IMMediate]"
MARKER: Final = f"[:SOURce<n:8>]:MARKer<n:4>:VOLTage{LEVEL}"
TRIGGER: Final = Choice("ATRigger", "BTRigger")
OUTPUT: Final = ":OUTPut<n:8>"
PATH: Final = Choice("DCHB", "DCHV", "ACDirect", "ACAMplified", "DIRect", "DCAMplified", "AC")


class AWG5200(TektronixLists):
    """Options: ``variant``, ``options`` (as *OPT? shows them), ``sequences_wait`` ("run_mode": a sequence obeys the run
    mode; "step": only its steps' wait inputs), ``min_length`` (samples of the shortest waveform; 0: the model's),
    ``max_length``, ``serial``.
    """

    MODEL = "tektronix_awg5200"
    state: GeneratorState

    _rate = PartSetting(
        ":CLOCk:SRATe", Number("HZ", lambda unit: unit.rate_limits()), lambda unit: unit.state, "sample_rate_hz"
    )

    # Kept and given back only.
    clock_source = Setting(":CLOCk:SOURce", Choice("INTernal", "EFIXed", "EVARiable", "EXTernal"), "INT")
    external_clock_hz = Setting(":CLOCk:ECLock:FREQuency", Number("HZ", (1e6, 50e9)), 6.25e9)
    reference_hz = Setting(":CLOCk:EREFerence:FREQuency", Number("HZ", (1e6, 250e6)), 10e6)
    clock_output = Setting(":CLOCk:OUTPut[:STATe]", Boolean(), False)
    mode = Setting(":INSTrument:MODE", Choice("AWG", "FGEN"), "AWG")
    coupled = Setting(":INSTrument:COUPle:SOURce", Choice("NONE", "ALL", "PAIR"), "NONE")
    stopped_value = Setting(f"{OUTPUT}:SVALue[:ANALog][:STATe]", Choice("OFF", "ZERO"), "OFF")
    waiting_value = Setting(f"{OUTPUT}:WVALue[:ANALog][:STATe]", Choice("FIRSt", "ZERO"), "ZERO")
    stopped_marker = Setting(f"{OUTPUT}:SVALue:MARKer<n:4>", Choice("OFF", "LOW"), "OFF")
    waiting_marker = Setting(f"{OUTPUT}:WVALue:MARKer<n:4>", Choice("FIRSt", "LOW", "HIGH"), "FIRS")
    marker_high_v = Setting(f"{MARKER}:HIGH", Number("V", (-1.4, 1.75)), 1.0)
    marker_low_v = Setting(f"{MARKER}:LOW", Number("V", (-1.4, 1.55)), 0.0)
    marker_vpp = Setting(f"{MARKER}[:AMPLitude]", Number("V", (0.0, 2.0)), 1.0)
    marker_offset_v = Setting(f"{MARKER}:OFFSet", Number("V", (-1.4, 1.75)), 0.5)
    marker_delay_s = Setting("[:SOURce<n:8>]:MARKer<n:4>:DELay", Number("S", (0.0, 3e-9)), 0.0)
    bias_v = Setting(f"{VOLTAGE}{LEVEL}:BIAS", Number("V", (-5.0, 5.0)), 0.0)
    skew_s = Setting("[:SOURce<n:8>]:SKEW", Number("S", (-2e-9, 2e-9)), 0.0)
    dac_mode = Setting("[:SOURce<n:8>]:DMODe", Choice("NRZ", "MIX", "RZ"), "NRZ")
    interval_s = Setting(":TRIGger:INTerval", Number("S", (1e-6, 10.0)), 10e-6)
    trigger_source = Setting(":TRIGger:SOURce", Choice("EXTernal", "INTernal"), "EXT")
    fgen_amplitude_vpp = Setting(":FGEN:CHANnel<n:8>:AMPLitude", Number("V", (0.0, 2.0)), 0.5)
    fgen_offset_v = Setting(":FGEN:CHANnel<n:8>:OFFSet", Number("V", (-2.0, 2.0)), 0.0)
    fgen_frequency_hz = Setting(":FGEN:CHANnel<n:8>:FREQuency", Number("HZ", (1.0, 12.5e9)), 1.2e6)
    fgen_level_v = Setting(":FGEN:CHANnel<n:8>:DCLevel", Number("V", (-2.0, 2.0)), 0.0)
    fgen_phase = Setting(":FGEN:CHANnel<n:8>:PHASe", Number("", (-180.0, 180.0)), 0.0)
    fgen_symmetry = Setting(":FGEN:CHANnel<n:8>:SYMMetry", Number("", (0.0, 100.0)), 100.0)
    fgen_type = Setting(
        ":FGEN:CHANnel<n:8>:TYPE",
        Choice("SINE", "SQUARE", "TRIANGLE", "NOISE", "DC", "GAUSSIAN", "EXPRISE", "EXPDECAY", "NONE"),
        "SINE",
    )

    # Of a channel.
    _output = ChannelSetting(f"{OUTPUT}[:STATe]", Boolean(), "output_on")
    _offset = ChannelSetting(f"{VOLTAGE}{LEVEL}:OFFSet", Number("V", (-2.0, 2.0)), "offset_v")
    _run_mode = ChannelSetting(
        "[:SOURce<n:8>]:RMODe", Choice("CONTinuous", "TRIGgered", "TCONtinuous", "GATed"), "run_mode"
    )
    _input = ChannelSetting("[:SOURce<n:8>]:TINPut", Choice("ITRigger", "ATRigger", "BTRigger"), "trigger_input")

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        self._variant = self.options.text("variant", "AWG5208", tuple(MODELS))
        self.model = MODELS[self._variant]
        self._fitted = self.options.text("options", "50")
        self._run_mode_holds = self.options.text("sequences_wait", "run_mode", ("run_mode", "step")) == "run_mode"
        shortest = self.options.integer("min_length", 0, 0, 100_000)
        self.min_length = shortest or self.model.min_length
        self.max_length = self.options.integer("max_length", 2_000_000_000, 10_000, 16_200_000_000)
        self._serial = self.options.text("serial", "B010100")
        self.state = GeneratorState(channels=[GeneratorChannelState() for _ in range(self.model.channels)])
        self.reset()

    def identity(self) -> str:
        return f"TEKTRONIX,{self._variant},{self._serial},FV:6.7.0236.0"

    def format_real(self, value: float) -> str:
        return f"{value:.10E}"

    def reset(self) -> None:
        """Lists emptied, everything stopped; files stay."""
        super().reset()
        self.state.sample_rate_hz = self.rate_limits()[1] / 2
        self.lists.waveforms.clear()
        self.lists.sequences.clear()
        self._trigger_settings: dict[tuple[str, str], str | float] = {}
        self._channels = [
            Channel(state, self.model, self.lists, run_mode_holds=self._run_mode_holds) for state in self.state.channels
        ]

    def rate_limits(self) -> tuple[float, float]:
        """Hz, by the options fitted."""
        return self.model.min_rate_hz, self.model.max_rate_hz(self._fitted.split(","))

    def channel(self, number: int) -> Channel:
        """Raises ScpiError -241 for one that this model has not."""
        if number > len(self._channels):
            raise ScpiError(-241)
        return self._channels[number - 1]

    def written(self) -> None:
        """Something in the lists changed: what plays without end follows, a burst is over."""
        for channel in self._channels:
            channel.refresh()

    def in_use(self, waveform: str = "", sequence: str = "") -> bool:
        """Whether a running channel plays it."""
        return any(
            one.run_state != STOPPED
            and ((waveform and one.waveform == waveform) or (sequence and one.sequence == sequence))
            for one in self._channels
        )

    @query("*OPT?")
    def _options(self) -> str:
        return self._fitted or "0"

    # ---- output path ---------------------------------------------------------------------------

    @command(f"{VOLTAGE}{LEVEL}[:AMPLitude]", Number("V"))
    def _set_amplitude(self, number: int, volts: float) -> None:
        channel = self.channel(number)
        low, high = dict(self.model.amplitudes_vpp)[channel.path]
        if channel.path == "DCHB" and "DC" in self._fitted.split(","):
            high = 1.5
        if not low * (1 - 1e-9) <= volts <= high * (1 + 1e-9):
            raise ScpiError(-222)
        channel.put("amplitude_vpp", volts)

    @query(f"{VOLTAGE}{LEVEL}[:AMPLitude]?")
    def _amplitude(self, number: int) -> float:
        return self.channel(number).amplitude_vpp

    @command(f"{OUTPUT}:PATH", PATH)
    def _set_path(self, number: int, path: str) -> None:
        if path not in dict(self.model.amplitudes_vpp):
            raise ScpiError(-224)
        self.channel(number).put("path", path)

    @query(f"{OUTPUT}:PATH?")
    def _path(self, number: int) -> str:
        return self.channel(number).path

    @query(":FGEN:CHANnel<n:8>:PERiod?")
    def _period(self, number: int) -> float:
        return 1 / type(self).fgen_frequency_hz.at(self, number)

    @command(":FGEN:CHANnel<n:8>:PATH", PATH)
    def _set_generator_path(self, number: int, path: str) -> None:
        self._set_path(number, path)

    @query(":FGEN:CHANnel<n:8>:PATH?")
    def _generator_path(self, number: int) -> str:
        return self.channel(number).path

    @command(":OUTPut:OFF", Boolean())
    def _set_all_off(self, off: bool) -> None:
        for channel in self._channels:
            channel.put("all_off", off)

    @query(":OUTPut:OFF?")
    def _all_off(self) -> int:
        return int(self._channels[0].all_off)

    @command("[:SOURce<n:8>]:DAC:RESolution", Number())
    def _set_resolution(self, number: int, bits: float) -> None:
        if bits not in range(self.model.bits - self.model.markers, self.model.bits + 1):
            raise ScpiError(-222)
        self.channel(number).put("resolution", int(bits))

    @query("[:SOURce<n:8>]:DAC:RESolution?")
    def _resolution(self, number: int) -> int:
        return self.channel(number).resolution

    @command("[:SOURce<n:8>]:FREQuency[:FIXed]", Number("HZ", lambda unit: unit.rate_limits()))
    def _set_frequency(self, number: int, rate_hz: float) -> None:
        self.state.sample_rate_hz = rate_hz

    @query("[:SOURce<n:8>]:FREQuency[:FIXed]?")
    def _frequency(self, number: int) -> float:
        return self.state.sample_rate_hz

    # ---- assets --------------------------------------------------------------------------------

    @command("[:SOURce<n:8>]:CASSet:WAVeform", Text(), Maybe(Text(), ""))
    def _assign_waveform(self, number: int, name: str, component: str) -> None:
        self.channel(number).assign(waveform=name)

    @command("[:SOURce<n:8>]:WAVeform", Text())
    def _assign_waveform_too(self, number: int, name: str) -> None:
        self.channel(number).assign(waveform=name)

    @query("[:SOURce<n:8>]:WAVeform?")
    def _assigned_waveform(self, number: int) -> str:
        return f'"{self.channel(number).waveform}"'

    @command("[:SOURce<n:8>]:CASSet:SEQuence", Text(), Number(), Maybe(Text(), ""))
    def _assign_sequence(self, number: int, name: str, track: float, component: str) -> None:
        self.channel(number).assign(sequence=name, track=int(track))

    @command("[:SOURce<n:8>]:CASSet:CLEar")
    def _clear_asset(self, number: int) -> None:
        self.channel(number).assign()

    @query("[:SOURce<n:8>]:CASSet?")
    def _asset(self, number: int) -> str:
        return f'"{self.channel(number).asset}"'

    @query("[:SOURce<n:8>]:CASSet:TYPE?")
    def _asset_type(self, number: int) -> str:
        channel = self.channel(number)
        return "SEQ" if channel.sequence else "WAV" if channel.waveform else "NONE"

    # ---- run and trigger -----------------------------------------------------------------------

    @query(":AWGControl:CONFigure:CNUMber?")
    def _channel_count(self) -> int:
        return self.model.channels

    @command(":AWGControl:RUN[:IMMediate]")
    def _run_all(self) -> None:
        for channel in self._channels:
            channel.run()

    @command(":AWGControl:STOP[:IMMediate]")
    def _stop_all(self) -> None:
        for channel in self._channels:
            channel.stop()

    @query(":AWGControl:RSTATe?")
    @query(":AWGControl:RSTate?")
    def _run_state(self) -> int:
        states = [channel.run_state for channel in self._channels]
        return RUNNING if RUNNING in states else WAITING if WAITING in states else STOPPED

    @command(":AWGControl:RMODe", Choice("CONTinuous", "TRIGgered", "GATed", "TCONtinuous"))
    def _set_first_run_mode(self, mode: str) -> None:
        self.channel(1).put("run_mode", mode)

    @query(":AWGControl:RMODe?")
    def _first_run_mode(self) -> str:
        return self.channel(1).run_mode

    @command(":TRIGger[:SEQuence]:IMMediate", Maybe(TRIGGER, "ATR"))
    def _force_trigger(self, trigger: str) -> None:
        started = [channel for channel in self._channels if channel.waits_for(trigger)]
        marked = any(channel.marked for channel in started)
        for channel in started:
            channel.start()
        if marked:
            self.world.fire_trigger(self.name)
        for channel in started:
            channel.burst_over()

    @command(":ABORt", Maybe(TRIGGER, "ATR"))
    def _abort(self, trigger: str) -> None:
        for channel in self._channels:
            if channel.run_mode == "GAT":
                channel.run()

    def on_trigger(self) -> None:
        """The trigger line fired."""
        for channel in self._channels:
            if channel.waits_for("ATR"):
                channel.start()

    @command(":TRIGger:SLOPe", Choice("POSitive", "NEGative"), Maybe(TRIGGER, "ATR"))
    def _set_slope(self, slope: str, trigger: str) -> None:
        self._trigger_settings["slope", trigger] = slope

    @query(":TRIGger:SLOPe?", Maybe(TRIGGER, "ATR"))
    def _slope(self, trigger: str) -> str:
        return str(self._trigger_settings.get(("slope", trigger), "POS"))

    @command(":TRIGger:LEVel", Number("V", (-5.0, 5.0)), Maybe(TRIGGER, "ATR"))
    def _set_level(self, volts: float, trigger: str) -> None:
        self._trigger_settings["level", trigger] = volts

    @query(":TRIGger:LEVel?", Maybe(TRIGGER, "ATR"))
    def _level(self, trigger: str) -> float:
        return float(self._trigger_settings.get(("level", trigger), 1.4))

    @command(":TRIGger:IMPedance", Number("OHM", (50.0, 1000.0)), Maybe(TRIGGER, "ATR"))
    def _set_impedance(self, ohms: float, trigger: str) -> None:
        self._trigger_settings["impedance", trigger] = ohms

    @query(":TRIGger:IMPedance?", Maybe(TRIGGER, "ATR"))
    def _impedance(self, trigger: str) -> float:
        return float(self._trigger_settings.get(("impedance", trigger), 1000.0))

    @command(":TRIGger:MODE", Choice("SYNChronous", "ASYNchronous"), Maybe(TRIGGER, "ATR"))
    def _set_trigger_mode(self, mode: str, trigger: str) -> None:
        self._trigger_settings["mode", trigger] = mode

    @query(":TRIGger:MODE?", Maybe(TRIGGER, "ATR"))
    def _trigger_mode(self, trigger: str) -> str:
        return str(self._trigger_settings.get(("mode", trigger), "ASYN"))
