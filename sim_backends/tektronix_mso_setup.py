"""Vertical, horizontal, trigger, events and headers of a simulated Tektronix 5 or 6 Series oscilloscope.

After the commands and descriptions in Tektronix's tm_devices; events and headers as public drivers of this maker's
oscilloscopes expect them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from labctl.errors import ConfigError
from sim_backends.scpi import (
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
from sim_backends.scpi_table import Call
from sim_backends.scpi_values import Parameter, Reply, Token
from sim_backends.state import DigitizerChannelState, DigitizerState, WorldView
from sim_backends.tektronix_mso_record import DIVISIONS, Readout, shown

#: Volts per division at 50 ohms.
SCALES_V: Final = (1e-3, 10.0)
MANTISSAS: Final = (1.25, 3.125, 6.25)
MIN_RECORD: Final = 1000
CHANNEL: Final = ":CH<n:8>"
NO_EVENTS: Final = '0,"No events to report - queue empty"'
PENDING: Final = '1,"No events to report - new events pending *ESR?"'


class Keyword(Choice):
    """One of some words; the value is the long form in capitals, as replies are with VERBose ON."""

    def __init__(self, *words: str) -> None:
        super().__init__(*words)
        self._words = {known: word.upper() for word in words for known in (word.upper(), _short(word))}


def _short(word: str) -> str:
    return "".join(letter for letter in word if not letter.islower())


class _Source(Parameter[int]):
    """A channel, as CH3; the first of several."""

    def parse(self, token: Token, unit: object) -> int:
        match = re.fullmatch(r"CH(\d)", token.strip().upper()) if isinstance(token, str) else None
        if match is None:
            raise ScpiError(-224)
        return int(match[1])


@dataclass(frozen=True)
class _HeadedBlock(Block):
    """A block behind its header."""

    header: bytes = b""

    def parts(self) -> tuple[bytes, memoryview]:
        start, view = super().parts()
        return self.header + start, view


class Channel:
    """One input; ``state`` is what the world sees."""

    def __init__(self, number: int, state: DigitizerChannelState) -> None:
        self.state = state
        self.display = number == 1
        self.scale_v = 0.1
        self.offset_v = 0.0
        self.position = 0.0
        self.coupling = "DC"
        self.termination_ohm = 1e6
        self.inverted = False
        self.bandwidth_hz = 1e9
        self.deskew_s = 0.0
        self.put("position", 0.0)

    def put(self, name: str, value: object) -> None:
        """Change one setting."""
        setattr(self, name, value)
        self.state.full_scale_v = DIVISIONS * self.scale_v
        self.state.offset_v = self.zero_v

    @property
    def zero_v(self) -> float:
        """Voltage at code 0: offset, and the position in divisions above the centre."""
        return self.offset_v - self.position * self.scale_v


class MsoSetup(ScpiUnit):
    """Options: ``variant``, ``bits`` (of the converter; 0: by sample rate and mode), ``any_rate`` (every sample rate
    can be had), ``resampled_increment`` (WFMOutpre:XINcr? counts DATa:RESample), ``arming_s`` (how long it is ARMED
    before it is READY), ``length_in_auto`` (what a record length does in the automatic horizontal mode),
    ``memory_points``, ``serial``.
    """

    state: DigitizerState

    # Of a channel.
    _display = ChannelSetting(":DISplay:GLObal:CH<n:8>:STATE", Boolean(), "display")
    _select = ChannelSetting(":SELect:CH<n:8>", Boolean(), "display")
    _scale = ChannelSetting(f"{CHANNEL}:SCAle", Number("V", SCALES_V), "scale_v")
    _offset = ChannelSetting(f"{CHANNEL}:OFFSet", Number("V", (-10.0, 10.0)), "offset_v")
    _position = ChannelSetting(f"{CHANNEL}:POSition", Number("", (-5.0, 5.0)), "position")
    _coupling = ChannelSetting(f"{CHANNEL}:COUPling", Keyword("AC", "DC", "DCR"), "coupling")
    _termination = ChannelSetting(f"{CHANNEL}:TERmination", Number("OHM", (50.0, 1e6)), "termination_ohm")
    _inverted = ChannelSetting(f"{CHANNEL}:INVert", Boolean(), "inverted")
    _deskew = ChannelSetting(f"{CHANNEL}:DESKew", Number("S", (-125e-9, 125e-9)), "deskew_s")

    # Kept and given back, or looked at when they are needed.
    mode = Setting(":ACQuire:MODe", Keyword("SAMple", "PEAKdetect", "HIRes", "AVErage", "ENVelope"), "SAMPLE")
    averages = Setting(":ACQuire:NUMAVg", Integer(2, 10_240), 16)
    stop_after = Setting(":ACQuire:STOPAfter", Keyword("RUNSTop", "SEQuence"), "RUNSTOP")
    sequences = Setting(":ACQuire:SEQuence:NUMSEQuence", Integer(1, 1000), 1)
    horizontal_mode = Setting(":HORizontal:MODe", Keyword("AUTO", "MANual"), "AUTO")
    manual = Setting(":HORizontal:MODe:MANual:CONFIGure", Keyword("HORIZontalscale", "RECORDLength"), "HORIZONTALSCALE")
    delayed = Setting(":HORizontal:DELay:MODe", Boolean(), True)
    delay_s = Setting(":HORizontal:DELay:TIMe", Number("S", (-10.0, 10.0)), 0.0)
    position = Setting(":HORizontal:POSition", Number("", (0.0, 100.0)), 50.0)
    trigger_type = Setting(":TRIGger:A:TYPe", Keyword("EDGE", "WIDth", "TIMEOut", "RUNt", "WINdow", "LOGIc"), "EDGE")
    trigger_source = Setting(
        ":TRIGger:A:EDGE:SOUrce", Keyword(*(f"CH{n}" for n in range(1, 9)), "LINE", "AUXiliary"), "CH1"
    )
    trigger_slope = Setting(":TRIGger:A:EDGE:SLOpe", Keyword("RISe", "FALL", "EITher"), "RISE")
    trigger_coupling = Setting(":TRIGger:A:EDGE:COUPling", Keyword("DC", "HFRej", "LFRej", "NOISErej"), "DC")
    trigger_mode = Setting(":TRIGger:A:MODe", Keyword("AUTO", "NORMal"), "AUTO")
    trigger_level_v = Setting(":TRIGger:A:LEVel:CH<n:8>", Number("V", (-50.0, 50.0)), 0.0)
    auxiliary_level_v = Setting(":TRIGger:AUXLevel", Number("V", (-8.0, 8.0)), 0.0)
    holdoff_s = Setting(":TRIGger:A:HOLDoff:TIMe", Number("S", (0.0, 20.0)), 0.0)
    _headers = PartSetting(":HEADer", Boolean(), lambda unit: unit, "headers")
    _verbose = PartSetting(":VERBose", Boolean(), lambda unit: unit, "verbose")

    # Of the read-out.
    _start = PartSetting(":DATa:STARt", Integer(1), lambda unit: unit.readout, "start")
    _stop = PartSetting(":DATa:STOP", Integer(1), lambda unit: unit.readout, "stop")
    _every = PartSetting(":DATa:RESample", Integer(1), lambda unit: unit.readout, "every")
    _every_too = PartSetting(":WFMOutpre:RESample", Integer(1), lambda unit: unit.readout, "every")

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        self._variant = self.options.text("variant", "MSO64B")
        match = re.fullmatch(r"MSO([56])([468])B?", self._variant)
        if match is None:
            raise ConfigError(
                f"unit {name!r}: {self._variant!r} is no 5 or 6 Series MSO", 'Give variant as, for example, "MSO64B".'
            )
        self._rate_limit_hz = 6.25e9 if match[1] == "5" else 25e9
        self.fastest_12_bits_hz = self._rate_limit_hz / 2
        self.fixed_bits = self.options.integer("bits", 0, 0, 16)
        if 0 < self.fixed_bits < 8:
            raise ConfigError(
                f"unit {name!r}: bits is {self.fixed_bits}", "Give 8 to 16, or 0 for the instrument's own."
            )
        self._any_rate = self.options.flag("any_rate", False)
        self.resampled_increment = self.options.flag("resampled_increment", True)
        self.arming_s = self.options.number("arming_s", 0.0, 0.0, 10.0)
        self._length_turns_manual = self.options.text("length_in_auto", "manual", ("manual", "refused")) == "manual"
        self._memory = self.options.integer("memory_points", 62_500_000, MIN_RECORD, 1_000_000_000)
        self._serial = self.options.text("serial", "C012345")
        self.state = DigitizerState([DigitizerChannelState() for _ in range(int(match[2]))])
        self._events: list[tuple[int, str]] = []
        self.headers = self.verbose = True
        self._folder = "C:"
        self.reset()

    def identity(self) -> str:
        return f"TEKTRONIX,{self._variant},{self._serial},CF:91.1CT FV:2.2.6.1052"

    def format_real(self, value: float) -> str:
        return shown(value)

    def reset(self) -> None:
        """*RST leaves headers and verbosity as they are."""
        super().reset()
        self.channels = [Channel(number, state) for number, state in enumerate(self.state.channels, start=1)]
        self.rate_hz = 62.5e6
        self.record_points = 62_500
        self.readout = Readout()
        self.source = 1

    def channel(self, number: int) -> Channel:
        """Raises ScpiError -241 when this oscilloscope has no such input."""
        if number > len(self.channels):
            raise ScpiError(-241)
        return self.channels[number - 1]

    # ---- horizontal ----------------------------------------------------------------------------

    @command(":HORizontal:SAMPLERate", Number("HZ"))
    @command(":HORizontal:MODe:SAMPLERate", Number("HZ"))
    def _set_rate(self, rate_hz: float) -> None:
        """The slowest that is at least as fast."""
        if not 0 < rate_hz <= self._rate_limit_hz * (1 + 1e-9):
            raise ScpiError(-222)
        self.rate_hz = rate_hz
        if not self._any_rate:
            rates = sorted({mantissa * 10.0**power for power in range(11) for mantissa in (*MANTISSAS, 12.5, 25.0)})
            self.rate_hz = next(rate for rate in rates if rate >= rate_hz * (1 - 1e-9))

    @query(":HORizontal:SAMPLERate?")
    @query(":HORizontal:MODe:SAMPLERate?")
    def _rate(self) -> str:
        return shown(self.rate_hz)

    @command(":HORizontal:RECOrdlength", Integer(1))
    @command(":HORizontal:MODe:RECOrdlength", Integer(1))
    def _set_points(self, points: int) -> None:
        if self.horizontal_mode != "MANUAL" and not self._length_turns_manual:
            raise ScpiError(-221, "the horizontal mode is automatic")
        if not MIN_RECORD <= points <= self._memory:
            raise ScpiError(-222)
        type(self).horizontal_mode.put(self, "MANUAL")
        self.record_points = points

    @query(":HORizontal:RECOrdlength?")
    @query(":HORizontal:MODe:RECOrdlength?")
    def _points_of_record(self) -> int:
        return self.record_points

    @command(":HORizontal:SCAle", Number("S"))
    @command(":HORizontal:MODe:SCAle", Number("S"))
    def _set_time_scale(self, scale_s: float) -> None:
        if not 1e-12 < scale_s < 1000:
            raise ScpiError(-222)
        if self.horizontal_mode == "AUTO":
            self._set_rate(min(self._rate_limit_hz, max(1.25, self.record_points / (DIVISIONS * scale_s))))
        else:
            self.record_points = max(MIN_RECORD, min(self._memory, round(DIVISIONS * scale_s * self.rate_hz)))

    @query(":HORizontal:SCAle?")
    @query(":HORizontal:MODe:SCAle?")
    def _time_scale(self) -> float:
        return self.record_points / self.rate_hz / DIVISIONS

    def samples_before_trigger(self) -> int:
        """In a record; negative: it begins after the trigger."""
        if self.delayed:
            return round(self.record_points / 2 - self.delay_s * self.rate_hz)
        return round(self.record_points * self.position / 100)

    @command(":HORizontal:FASTframe:STATE", Boolean())
    @command(":HORizontal:FASTframe:COUNt", Integer(1))
    def _refuse_frames(self, frames: int) -> None:
        if frames > (not isinstance(frames, bool)):
            raise ScpiError(-221, "FastFrame is not simulated")

    @query(":HORizontal:FASTframe:STATE?")
    def _frames_on(self) -> int:
        return 0

    @query(":HORizontal:FASTframe:COUNt?")
    def _frame_count(self) -> int:
        return 1

    # ---- channels ------------------------------------------------------------------------------

    @command(":DISplay:WAVEView<n>:CH<n:8>:STATE", Boolean())
    def _show(self, view: int, number: int, on: bool) -> None:
        self.channel(number).put("display", on)

    @query(":DISplay:WAVEView<n>:CH<n:8>:STATE?")
    def _is_shown(self, view: int, number: int) -> bool:
        return self.channel(number).display

    @command(f"{CHANNEL}:BANdwidth", Text())
    def _set_bandwidth(self, number: int, value: str) -> None:
        full = value.strip().upper() in ("FUL", "FULL")
        self.channel(number).put("bandwidth_hz", 1e9 if full else Number("HZ").parse(value, self))

    @query(f"{CHANNEL}:BANdwidth?")
    def _bandwidth(self, number: int) -> float:
        return self.channel(number).bandwidth_hz

    @query(f"{CHANNEL}:PROBETYPE?")
    def _probe_type(self, number: int) -> str:
        self.channel(number)
        return "ANALOG"

    @query(f"{CHANNEL}:PRObe:ID:SERnumber?")
    def _probe_serial(self, number: int) -> str:
        self.channel(number)
        return '"N/A"'

    @query(f"{CHANNEL}:PRObe:ID:TYPe?")
    def _probe_name(self, number: int) -> str:
        self.channel(number)
        return '"1X"'

    @command(":DATa", Keyword("INIT", "SNAp"))
    def _initialise_data(self, word: str) -> None:
        if word == "INIT":
            self.readout, self.source = Readout(), 1

    @command(":DATa:SOUrce", _Source())
    def _set_source(self, number: int) -> None:
        self.channel(number)
        self.source = number

    @query(":DATa:SOUrce?")
    def _shown_source(self) -> str:
        return f"CH{self.source}"

    # ---- events, headers, identity --------------------------------------------------------------

    @query("*ESR?")
    def _event(self) -> int:
        """What happened becomes readable; what was readable before is forgotten."""
        self._events = []
        while self.status.error_count:
            code, text = self.status.next_error()
            self._events.append((abs(code), text.replace('"', "'")))
        return self.status.read_event()

    @command("*CLS")
    def _clear_status(self) -> None:
        super()._clear_status()
        self._events = []

    def _nothing(self) -> str:
        return PENDING if self.status.error_count else NO_EVENTS

    @query(":ALLEv?")
    def _all_events(self) -> str:
        events, self._events = self._events, []
        return ",".join(f'{code},"{text}"' for code, text in events) or self._nothing()

    @query(":EVMsg?")
    def _event_message(self) -> str:
        if not self._events:
            return self._nothing()
        code, text = self._events.pop(0)
        return f'{code},"{text}"'

    @query(":EVENT?")
    def _event_code(self) -> int:
        return self._events.pop(0)[0] if self._events else int(self._nothing()[0])

    @query(":EVQty?")
    def _event_count(self) -> int:
        return len(self._events)

    def _call(self, call: Call, answered: int) -> Reply | None:
        reply = super()._call(call, answered)
        if reply is None or not self.headers or call.entry is None or call.entry.pattern.startswith("*"):
            return reply
        suffixes = iter(call.suffixes)
        header = ""
        for node in call.entry.nodes:
            name = node.long if self.verbose else node.short
            header += f":{name}{next(suffixes) if node.highest >= 0 else ''}"
        if isinstance(reply, Block):
            return _HeadedBlock(reply.data, reply.digits, f"{header} ".encode())
        text = reply if isinstance(reply, str) else self.format_real(reply) if isinstance(reply, float) else int(reply)
        return f"{header} {text}"

    @query("*OPT?")
    def _fitted(self) -> str:
        return "0"

    @query(":LICense:LIST?")
    @query(":LICense:APPid?")
    def _licences(self) -> str:
        return '""'

    @command(":FILESystem:CWD", Text())
    def _change_folder(self, folder: str) -> None:
        """There is one drive."""
        if not folder.upper().startswith("C:"):
            raise ScpiError(-224)
        self._folder = folder

    @query(":FILESystem:CWD?")
    def _shown_folder(self) -> str:
        return f'"{self._folder}"'

    @query(":ETHERnet:NAME?")
    def _host(self) -> str:
        return f'"{self._variant}-{self._serial}"'
