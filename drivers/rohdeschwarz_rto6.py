"""Rohde & Schwarz RTO6 oscilloscopes, and the RTO1000 and RTO2000 with the same commands.

After public drivers of the RTO1000 and RTO2000, whose commands are those of Rohde & Schwarz's user manual: ACQuire,
TIMebase, CHANnel, HDEFinition, TRIGger, FORMat. LAN: HiSLIP, or TCP port 5025, line feed.

* Volts are code * scale * 10 / (253 * 256) + offset for ``FORMat INT,16`` with the position at 0: 253 of 256 levels lie
  within the ten divisions.
* High definition mode (option K17) trades bandwidth for bits: ``HDEFinition:RESolution?`` tells how many there are for
  the filter's bandwidth.
* ``SINGle`` records ``ACQuire:COUNt`` times, ``ACQuire:CURRent?`` tells how many are done. Bit 3 of
  ``STATus:OPERation:CONDition?`` says that the trigger is waited for, bit 4 that a run goes on.
* With ``TIMebase:REFerence 0`` the screen, and the record, begin at the trigger. ``CHANnel:DATA:HEADer?``: time of the
  first and last sample, samples, values per sample.
* ``CHANnel:COUPling DC`` is 50 ohms.
* ``*IDN?`` calls every model RTO; which one it is, its material number before the serial number says.

Assumed, to be checked on a unit: that any sample rate up to 5 GSa/s is had exactly (it is read back); at least 1000
samples a record; that ``ACQuire:CURRent?`` begins at 0 after ``SINGle``; that a sample at or beyond 127 of the 8-bit
levels lay outside; which end of the record the header tells (both are taken).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from drivers.link import ScpiLink
from drivers.oscilloscope import Oscilloscope
from drivers.scpi import integer, parse_finite, parse_integer, parse_word, real, switch, word
from drivers.visa import VisaLibrary
from labctl.clock import Clock
from labctl.errors import (
    InstrumentRefused,
    InstrumentReply,
    InstrumentTimeout,
)
from labctl.values import DigitizerCapabilities, Identity, Range, Scalar, Snapshot, Trace

SCALE = real(":CHANnel{}:SCALe", "Volts per division, of ten", unit="V")
OFFSET = real(":CHANnel{}:OFFSet", "Voltage at the centre of the screen", unit="V")
STATE = switch(":CHANnel{}:STATe", "Channel on")
SAMPLE_RATE = real(":ACQuire:SRATe", "Samples per second", unit="Sa/s")
TIME_RANGE = real(":TIMebase:RANGe", "Time on the screen", unit="s")
HIGH_DEFINITION = switch(":HDEFinition:STATe", "High definition mode")
BANDWIDTH = real(":HDEFinition:BWIDth", "Filter bandwidth of high definition mode", unit="Hz")
RESOLUTION = integer(":HDEFinition:RESolution", "Bits of high definition mode")
TRIGGER_SOURCE = word(":TRIGger1:SOURce", "CHANn or EXTernanalog")
#: The fifth level is that of the trigger input.
TRIGGER_LEVEL = real(":TRIGger1:LEVel5", "Level at the trigger input", unit="V")

CONDITION: Final = ":STATus:OPERation:CONDition?"
PROGRESS: Final = f"{CONDITION};:ACQuire:CURRent?"
MODEL: Final = ":DIAGnostic:SERVice:WFAModel?"
WAITS_FOR_TRIGGER: Final = 1 << 3
MEASURING: Final = 1 << 4
CODES: Final = np.dtype("<i2")
DIVISIONS: Final = 10
CODES_ON_SCREEN: Final = 253 * 256
#: The top level of eight bits.
CLIPPED: Final = 127 * 256
MIN_RECORD: Final = 1000
#: Without an option for more.
MEMORY_SAMPLES: Final = 200_000_000
POLL_S: Final = 0.02
FIRST_POLL_S: Final = 0.0005
TRIGGER_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True)
class _Request:
    """What :meth:`RTO6.configure` was asked for."""

    inputs: tuple[tuple[int, float], ...]  # channel, full scale in volts
    interval_s: float
    samples: int
    generation: int

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels that are recorded."""
        return tuple(channel for channel, _ in self.inputs)

    @property
    def recorded(self) -> int:
        """Samples of the oscilloscope's record."""
        return max(MIN_RECORD, self.samples)


class RTO6(Oscilloscope[_Request]):
    """``bandwidth_hz``: of the filter of high definition mode. ``trigger_level_v``: at the trigger input."""

    codes = CODES

    def __init__(
        self,
        name: str,
        resource: str,
        library: VisaLibrary,
        clock: Clock,
        *,
        bandwidth_hz: float = 100e6,
        trigger_level_v: float = 0.5,
    ) -> None:
        super().__init__(name)
        self._link = ScpiLink(library.connect(name, resource))
        self._clock = clock
        self._bandwidth_hz = bandwidth_hz
        self._trigger_level_v = trigger_level_v
        self.capabilities = DigitizerCapabilities(
            channels=4,
            full_scale_v=Range(10e-3, 10.0, "V"),
            sample_rate_hz=Range(2.0, 5e9, "Sa/s"),
            bits=14,
            memory_samples=MEMORY_SAMPLES,
        )
        self._pending: list[str] = []

    # ---- life ---------------------------------------------------------------------------------

    def open(self) -> None:
        self._link.open(r"Rohde ?& ?Schwarz", r"RTO\d*")
        try:
            model = self._link.query(MODEL).strip()
        except InstrumentRefused:  # firmware before 3.65
            model = ""
        if model[-1:] in ("2", "4"):
            self.capabilities = replace(self.capabilities, channels=int(model[-1]))
        self._request = None

    def close(self) -> None:
        self._link.close()
        self._request = None

    @property
    def identity(self) -> Identity:
        return self._link.identity

    # ---- acquisition --------------------------------------------------------------------------

    def configure(self, full_scale_v: Mapping[int, float], sample_interval_s: float, samples: int) -> None:
        """Single acquisition in high definition mode of ``samples`` from the trigger on. Raises LimitError first."""
        self._check_request(full_scale_v, sample_interval_s, samples)
        new = _Request(tuple(full_scale_v.items()), sample_interval_s, samples, self._link.connection.generation)
        old, self._request = self._request, None
        if old is None or (old.inputs, old.generation) != (new.inputs, new.generation):
            self._preambles, self._pending = {}, []
            texts = [*self._setup_text(full_scale_v), *self._record_text(new), RESOLUTION.query()]
            bits = self._numbers(self._link.obey_and_ask(";".join(texts)), 1)[0]
            self.capabilities = replace(self.capabilities, bits=bits)
            new = replace(new, generation=self._link.connection.generation)  # the message may have renewed the line
        elif new != old:
            self._pending = self._record_text(new)  # goes out with the next arm, in one message
        self._recorded = False
        self._request = new

    def _record_text(self, request: _Request) -> list[str]:
        """Length of the record, and its sample rate."""
        rate_hz = 1 / request.interval_s
        return [
            self._link.text(TIME_RANGE, request.recorded * request.interval_s),
            self._link.text(SAMPLE_RATE, rate_hz),
        ]

    def _setup_text(self, full_scale_v: Mapping[int, float]) -> list[str]:
        """What does not depend on the length of the record."""
        link = self._link
        commands = [":STOP", link.text(HIGH_DEFINITION, True), link.text(BANDWIDTH, self._bandwidth_hz)]
        for n in range(1, self.capabilities.channels + 1):
            commands.append(link.text(STATE, n in full_scale_v, n))
        for n, volts in full_scale_v.items():
            commands += [
                f":CHANnel{n}:COUPling DC;:CHANnel{n}:BANDwidth FULL;:CHANnel{n}:INVert 0",
                f":CHANnel{n}:TYPE SAMPle;:CHANnel{n}:ARIThmetics OFF",
                link.text(SCALE, volts / DIVISIONS, n),
                f":CHANnel{n}:POSition 0",
                link.text(OFFSET, 0.0, n),
            ]
        commands += [":TIMebase:REFerence 0;:TIMebase:HORizontal:POSition 0;:ACQuire:POINts:AUTO RESolution"]
        commands += [link.text(TRIGGER_SOURCE, "EXTernanalog"), ":TRIGger1:TYPE EDGE;:TRIGger1:EDGE:SLOPe POSitive"]
        commands += [link.text(TRIGGER_LEVEL, self._trigger_level_v), ":TRIGger1:MODE NORMal", ":ACQuire:COUNt 1"]
        commands += [":EXPort:WAVeform:INCXvalues OFF;:EXPort:WAVeform:MULTichannel OFF"]
        return [*commands, ":FORMat:DATA INT,16;:FORMat:BORDer LSBFirst"]

    def arm(self) -> None:
        """Single acquisition; returns when the oscilloscope says that it waits for its trigger."""
        self._configured()
        self._recorded = False
        condition = self._numbers(self._link.obey_and_ask(";".join([*self._pending, f":SINGle;{CONDITION}"])), 1)[0]
        self._pending = []  # not before: what was refused or lost is sent again
        end = self._clock.now() + TRIGGER_TIMEOUT_S if not condition & WAITS_FOR_TRIGGER else 0.0
        while not condition & WAITS_FOR_TRIGGER:
            if not condition & MEASURING:
                raise InstrumentReply(self.name, "stands still after SINGle", "Look at it.", command=CONDITION)
            if self._clock.now() >= end:
                raise InstrumentTimeout(self.name, "does not become ready for its trigger", command=CONDITION)
            self._clock.wait(FIRST_POLL_S)
            condition = self._numbers(self._link.query(CONDITION), 1)[0]

    def wait(self) -> None:
        self._configured()
        poll_s, end = FIRST_POLL_S, None
        while True:
            condition, done = self._numbers(self._link.query(PROGRESS), 2)
            if not condition & (WAITS_FOR_TRIGGER | MEASURING):
                if done < 1:
                    raise InstrumentReply(
                        self.name, "was stopped before its trigger came", "Leave its front panel alone."
                    )
                self._recorded = True
                return
            now = self._clock.now()
            end = now + TRIGGER_TIMEOUT_S if end is None else end
            if now >= end:
                raise InstrumentTimeout(
                    self.name,
                    f"no trigger came within {TRIGGER_TIMEOUT_S:g} s",
                    "Check the trigger cable, its level, and that the generator is armed.",
                )
            self._clock.wait(poll_s)
            poll_s = min(2 * poll_s, POLL_S)

    def _numbers(self, reply: str, count: int) -> list[int]:
        try:
            numbers = [parse_integer(field) for field in reply.split(";")]
        except ValueError as error:
            raise InstrumentReply(self.name, str(error)) from error
        if len(numbers) != count:
            raise InstrumentReply(self.name, f"{count} numbers are due, not {reply[:80]!r}")
        return numbers

    def _data_query(self, channel: int) -> str:
        return f":CHANnel{channel}:DATA?"

    def stop(self) -> None:
        self._link.command(":STOP")

    def _preamble(self, channel: int, request: _Request) -> Trace:
        """A trace without samples. Raises InstrumentReply when the record is not what was asked for."""
        path = f":CHANnel{channel}"
        command = f"{path}:DATA:HEADer?;{path}:SCALe?;{path}:OFFSet?;{path}:POSition?;{SAMPLE_RATE.query()}"
        reply = self._link.obey_and_ask(f"{command};:FORMat:DATA?;:FORMat:BORDer?")
        try:
            header, *numbers, form, order = reply.split(";")
            start_s, stop_s, points, values = (parse_finite(field) for field in header.split(","))
            scale_v, offset_v, position, rate_hz = (parse_finite(field) for field in numbers)
            sent = parse_word(form).replace(" ", "").upper(), parse_word(order).upper()
        except ValueError as error:
            raise InstrumentReply(self.name, f"no header: {reply!r}", command=command) from error
        if sent not in (("INT,16", "LSBF"), ("INT,16", "LSBFIRST")) or values != 1:
            raise InstrumentReply(self.name, f"sends {sent}, {values:g} values a sample", command=command)
        interval_s = request.interval_s
        if abs(rate_hz * interval_s - 1) * points > 0.5 or abs((stop_s - start_s) / interval_s - points) > 1.5:
            raise self._misfit(f"a sample every {1 / rate_hz:g} s", f"{interval_s:g} s")
        if abs(start_s) > 0.5 * interval_s or position:
            raise self._misfit(f"from {start_s:g} s on, at position {position:g}", "the trigger, at position 0")
        if points < request.recorded:
            raise self._misfit(f"{points:g} samples", f"{request.recorded}")
        return Trace(
            codes=np.empty(0, np.int16),
            y_increment_v=scale_v * DIVISIONS / CODES_ON_SCREEN,
            y_origin_v=offset_v,
            y_reference=0,
            x_increment_s=1 / rate_hz,
            x_origin_s=start_s,
            low_clip=-CLIPPED,
            high_clip=CLIPPED,
        )

    # ---- reports ------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        link = self._link
        readings: dict[str, Scalar] = {
            "high_definition": link.get(HIGH_DEFINITION),
            "high_definition_bandwidth_hz": link.get(BANDWIDTH),
            "bits": link.get(RESOLUTION),
            "sample_rate_hz": link.get(SAMPLE_RATE),
            "time_range_s": link.get(TIME_RANGE),
            "trigger_source": link.get(TRIGGER_SOURCE),
            "trigger_level_v": link.get(TRIGGER_LEVEL),
        }
        for channel in range(1, self.capabilities.channels + 1):
            readings[f"state_{channel}"] = link.get(STATE, channel)
            readings[f"scale_{channel}_v"] = link.get(SCALE, channel)
            readings[f"offset_{channel}_v"] = link.get(OFFSET, channel)
        return readings

    def problems(self) -> Sequence[str]:
        return self._link.problems()
