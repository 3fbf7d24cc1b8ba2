"""Keysight InfiniiVision DSOX/MSOX oscilloscopes, 1000 to 6000 X-Series.

Manual: Keysight, "InfiniiVision 3000T X-Series Programmer's Guide" (and those of the 1000, 2000,
4000 and 6000 X-Series, which agree on what is used here): :ACQuire, :CHANnel, :TIMebase, :TRIGger,
:WAVeform, and the root commands :SINGle, :STOP, :AER?, :TER?, :OPERegister:CONDition?. LAN: TCP
port 5025, line feed.

* Volts are (code - yreference) * yincrement + yorigin, the preamble's fields 10, 8 and 9. Read as
  signed words (``:WAVeform:UNSigned 0``) the reference is 0; -32767 and 32767 mean "clipped",
  -32768 means that nothing was acquired.
* With ``:TIMebase:REFerence LEFT`` the reference point lies one of ten divisions from the screen's
  left edge.
* Volts count at the probe's tip: ``:CHANnel<n>:PROBe`` is 10 after a reset of the 1000 X-Series, 1 of the others, and
  is made 1 here, a cable.
* ``:TER?`` and ``:AER?`` are cleared when read. Bit 3 of the operation condition says that an
  acquisition is running.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from drivers.link import ScpiLink
from drivers.oscilloscope import Oscilloscope
from drivers.scpi import parse_finite, parse_integer, real, switch, word
from drivers.visa import VisaLibrary
from labctl.clock import Clock
from labctl.errors import ConfigError, InstrumentReply, InstrumentTimeout
from labctl.values import (
    DigitizerCapabilities,
    Identity,
    Range,
    Scalar,
    Snapshot,
    Trace,
)

RANGE = real(":CHANnel{}:RANGe", "Vertical full scale, eight divisions", unit="V")
OFFSET = real(":CHANnel{}:OFFSet", "Voltage at the centre of the screen", unit="V")
DISPLAY = switch(":CHANnel{}:DISPlay", "Channel on")
TIME_RANGE = real(":TIMebase:RANGe", "Horizontal full scale, ten divisions", unit="s")
TIME_POSITION = real(":TIMebase:POSition", "From the trigger to the reference point", unit="s")
ACQUIRE_TYPE = word(":ACQuire:TYPE", "NORMal, AVERage, HRESolution or PEAK")
SAMPLE_RATE = real(":ACQuire:SRATe", "Samples per second now", unit="Sa/s")
TRIGGER_LEVEL = real(":TRIGger:EDGE:LEVel", "Trigger level", unit="V")

CONDITION: Final = ":OPERegister:CONDition?"
RUNNING: Final = 1 << 3
PREAMBLE_FIELDS: Final = 10
FORMAT_WORD: Final = 1
CLIPPED_LOW: Final = -32767
CLIPPED_HIGH: Final = 32767
WORDS: Final = np.dtype("<i2")
DIVISIONS: Final = 10
#: Waiting for a trigger: the interval between two questions grows to this.
POLL_S: Final = 0.02
FIRST_POLL_S: Final = 0.0005
#: How long a trigger may take to come, by the bench's clock.
TRIGGER_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True)
class _Request:
    """What :meth:`InfiniiVision.configure` was asked for."""

    inputs: tuple[tuple[int, float], ...]  # channel, full scale in volts
    interval_s: float
    samples: int
    generation: int

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels that are recorded."""
        return tuple(channel for channel, _ in self.inputs)


class InfiniiVision(Oscilloscope[_Request]):
    """``trigger_level_v``: at the external trigger input. ``impedance``: "FIFTy" or "ONEMeg"."""

    capabilities = DigitizerCapabilities(
        channels=4,
        full_scale_v=Range(8e-3, 8.0, "V"),
        sample_rate_hz=Range(1.0, 5e9, "Sa/s"),
        bits=12,
        memory_samples=4_000_000,
    )

    codes = WORDS

    def __init__(
        self,
        name: str,
        resource: str,
        library: VisaLibrary,
        clock: Clock,
        *,
        trigger_level_v: float = 0.5,
        impedance: str = "FIFTy",
    ) -> None:
        super().__init__(name)
        self._link = ScpiLink(library.connect(name, resource))
        self._clock = clock
        self._trigger_level_v = trigger_level_v
        if impedance not in ("FIFTy", "ONEMeg"):
            raise ConfigError(f"{name}: impedance = {impedance!r}", 'Use impedance = "FIFTy" or "ONEMeg".')
        self._impedance = impedance
        self._pending: list[str] = []

    # ---- life ---------------------------------------------------------------------------------

    def open(self) -> None:
        identity = self._link.open("KEYSIGHT TECHNOLOGIES|AGILENT TECHNOLOGIES", r"[DM]SO-?X ?\d{4}[A-Z]*")
        digits = re.sub(r"\D", "", identity.model)
        self.capabilities = replace(self.capabilities, channels=int(digits[3]))
        self._request = None

    def close(self) -> None:
        self._link.close()
        self._request = None

    @property
    def identity(self) -> Identity:
        return self._link.identity

    # ---- acquisition --------------------------------------------------------------------------

    def configure(self, full_scale_v: Mapping[int, float], sample_interval_s: float, samples: int) -> None:
        """High-resolution acquisition of ``samples`` from the external trigger on. Raises
        LimitError first.
        """
        self._check_request(full_scale_v, sample_interval_s, samples)
        new = _Request(tuple(full_scale_v.items()), sample_interval_s, samples, self._link.connection.generation)
        old, self._request = self._request, None
        if old is None or (old.inputs, old.generation) != (new.inputs, new.generation):
            self._preambles, self._pending = {}, []
            self._link.command(";".join([*self._setup_text(full_scale_v), *self._record_text(new)]))
            new = replace(new, generation=self._link.connection.generation)  # the message may have renewed the line
        elif new != old:
            self._pending = self._record_text(new)  # goes out with the next arm, in one message
        self._recorded = False
        self._request = new

    def _record_text(self, request: _Request) -> list[str]:
        """Length and start of the record."""
        span_s = request.samples * request.interval_s
        texts = [self._link.text(TIME_RANGE, span_s), self._link.text(TIME_POSITION, span_s / DIVISIONS)]
        return [*texts, f":WAVeform:POINts {request.samples}"]

    def _setup_text(self, full_scale_v: Mapping[int, float]) -> list[str]:
        """What does not depend on the length of the record."""
        link = self._link
        commands = [":STOP", ":ACQuire:MODE RTIMe", link.text(ACQUIRE_TYPE, "HRESolution")]
        for n in range(1, self.capabilities.channels + 1):
            commands.append(link.text(DISPLAY, n in full_scale_v, n))
        for n, volts in full_scale_v.items():
            commands += [
                f":CHANnel{n}:COUPling DC",
                f":CHANnel{n}:IMPedance {self._impedance}",
                f":CHANnel{n}:PROBe 1",
                link.text(RANGE, volts, n),
                link.text(OFFSET, 0.0, n),
            ]
        commands += [":TIMebase:MODE MAIN", ":TIMebase:REFerence LEFT"]
        commands += [":TRIGger:MODE EDGE", ":TRIGger:EDGE:SOURce EXTernal"]
        commands += [link.text(TRIGGER_LEVEL, self._trigger_level_v), ":TRIGger:EDGE:SLOPe POSitive"]
        commands += [":TRIGger:SWEep NORMal", ":WAVeform:FORMat WORD", ":WAVeform:BYTeorder LSBFirst"]
        return [*commands, ":WAVeform:UNSigned 0", ":WAVeform:POINts:MODE RAW"]

    def arm(self) -> None:
        """Single acquisition; returns when the oscilloscope says that its trigger is armed."""
        self._configured()
        self._recorded = False
        # Both event registers are cleared by being read; only the last answer of the three is news.
        replies = self._link.obey_and_ask(";".join([*self._pending, ":TER?;:AER?;:SINGle;:AER?"]))
        self._pending = []  # not before: what was refused or lost is sent again
        ready = self._numbers(replies, 3)[2]
        end = self._clock.now() + TRIGGER_TIMEOUT_S if ready == 0 else 0.0
        while ready == 0:
            if self._clock.now() >= end:
                raise InstrumentTimeout(self.name, "does not become ready for its trigger", command=":AER?")
            self._clock.wait(FIRST_POLL_S)
            ready = self._number(self._link.query(":AER?"))

    def wait(self) -> None:
        self._configured()
        poll_s, end, triggered = FIRST_POLL_S, None, False
        while True:
            condition, event = self._numbers(self._link.query(CONDITION + ";:TER?"), 2)
            triggered = triggered or event == 1
            if triggered and not condition & RUNNING:
                self._recorded = True
                return
            if not condition & RUNNING:
                raise InstrumentReply(self.name, "was stopped before its trigger came", "Leave its front panel alone.")
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

    def _data_query(self, channel: int) -> str:
        return f":WAVeform:SOURce CHANnel{channel};:WAVeform:DATA?"

    def stop(self) -> None:
        self._link.command(":STOP")

    def _preamble(self, channel: int, request: _Request) -> Trace:
        """A trace without samples. Raises InstrumentReply when the record is not what was asked
        for.
        """
        command = f":WAVeform:SOURce CHANnel{channel};:WAVeform:PREamble?"
        reply = self._link.query(command)
        try:
            fields = [parse_finite(field) for field in reply.split(",")]
        except ValueError as error:
            raise InstrumentReply(self.name, str(error), command=command) from error
        if len(fields) != PREAMBLE_FIELDS or fields[0] != FORMAT_WORD:
            raise InstrumentReply(self.name, f"no preamble of words: {reply!r}", command=command)
        _, _, points, _, x_increment, x_origin, x_reference, y_increment, y_origin, y_reference = fields
        x_start = x_origin - x_reference * x_increment
        if abs(x_increment / request.interval_s - 1) * request.samples > 0.5:
            raise self._misfit(f"a sample every {x_increment:g} s", f"{request.interval_s:g} s")
        if abs(x_start) > 0.5 * x_increment:
            raise self._misfit(f"samples from {x_start:g} s on", "the trigger")
        if points < request.samples:
            raise self._misfit(f"{points:g} samples", f"{request.samples}")
        return Trace(
            codes=np.empty(0, np.int16),
            y_increment_v=y_increment,
            y_origin_v=y_origin,
            y_reference=round(y_reference),
            x_increment_s=x_increment,
            x_origin_s=x_start,
            low_clip=CLIPPED_LOW,
            high_clip=CLIPPED_HIGH,
        )

    def _number(self, reply: str) -> int:
        return self._numbers(reply, 1)[0]

    def _numbers(self, reply: str, count: int) -> list[int]:
        try:
            numbers = [parse_integer(field) for field in reply.split(";")]
        except ValueError as error:
            raise InstrumentReply(self.name, str(error)) from error
        if len(numbers) != count:
            raise InstrumentReply(self.name, f"{count} numbers are due, not {reply!r}")
        return numbers

    # ---- reports ------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        readings: dict[str, Scalar] = {
            "time_range_s": self._link.get(TIME_RANGE),
            "time_position_s": self._link.get(TIME_POSITION),
            "acquire_type": self._link.get(ACQUIRE_TYPE),
            "sample_rate_hz": self._link.get(SAMPLE_RATE),
            "trigger_level_v": self._link.get(TRIGGER_LEVEL),
        }
        for channel in range(1, self.capabilities.channels + 1):
            readings[f"display_{channel}"] = self._link.get(DISPLAY, channel)
            readings[f"range_{channel}_v"] = self._link.get(RANGE, channel)
            readings[f"offset_{channel}_v"] = self._link.get(OFFSET, channel)
        return readings

    def problems(self) -> Sequence[str]:
        return self._link.problems()
