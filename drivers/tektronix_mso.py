"""Tektronix 5 and 6 Series mixed signal oscilloscopes (MSO54 to MSO58, MSO64 to MSO68, B versions).

After Tektronix's own tm_devices (commands of the MSO5/5B and MSO6/6B with their descriptions). LAN: raw socket, TCP
port 4000, line feed.

* Volts are (code - YOFf) * YMUlt + YZEro. With ``DATa:WIDth 2`` a code has 16 bits, the converter's at its upper end.
* High resolution (``ACQuire:MODe HIRes``): 12 bits up to 3.125 GS/s on a 5 Series and 12.5 GS/s on a 6 Series, more
  where it is slower. Faster, there are 8 bits only: such rates are refused here.
* No code means "outside the range". Ten divisions are codes from -32000 to 32000; 32512, 1.6 % beyond the screen, is
  the top code of 8 bits, and whatever lies at or beyond it on either side is counted as clipped.
* The oscilloscope has certain sample rates only, and a sample in high resolution is a mean over its interval, which
  must not be longer than a time bin. So what is asked for is taken out of a record that is a whole number of times
  faster, and at least ``min_record_rate_hz`` fast: ``DATa:RESample k`` sends every k-th sample.
* ``ACQuire:STOPAfter SEQuence`` makes one acquisition; ``ACQuire:NUMACq?`` counts those since the start.
* Events wait until ``*ESR?`` has been read, and are told by ``ALLEv?``, ``0,"No events..."`` when there are none. The
  instrument starts with headers in its replies; every question for events switches them off first.

Assumed, to be checked on a unit: sample rates of 1.25, 3.125 and 6.25 times powers of ten, with the 12.5 GS/s of the 6
Series; at least 1000 samples a record; 10 divisions vertically between the converter's ends; the bits of high
resolution at these rates (data sheet); that ``*OPC?`` is not needed after settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from drivers.link import ScpiLink
from drivers.oscilloscope import Oscilloscope
from drivers.scpi import integer, parse_finite, parse_integer, parse_word, real, word
from drivers.visa import VisaLibrary
from labctl.clock import Clock
from labctl.errors import InstrumentReply, InstrumentTimeout, LimitError
from labctl.values import DigitizerCapabilities, Identity, Range, Scalar, Snapshot, Trace

SCALE = real(":CH{}:SCAle", "Vertical scale, volts per division", unit="V")
OFFSET = real(":CH{}:OFFSet", "Voltage at the centre of the screen", unit="V")
SAMPLE_RATE = real(":HORizontal:SAMPLERate", "Samples per second", unit="Sa/s")
RECORD = integer(":HORizontal:RECOrdlength", "Samples of a record")
MODE = word(":ACQuire:MODe", "SAMple, PEAKdetect, HIRes, AVErage or ENVelope")
TRIGGER_LEVEL = real(":TRIGger:AUXLevel", "Level at the auxiliary trigger input", unit="V")

EVENTS: Final = ":HEADer OFF;*ESR?;:ALLEv?"
STATE: Final = ":TRIGger:STATE?"
PROGRESS: Final = ":ACQuire:STATE?;:ACQuire:NUMACq?"
PREAMBLE: Final = (
    ":WFMOutpre:BYT_Nr?;:WFMOutpre:BN_Fmt?;:WFMOutpre:BYT_Or?;:WFMOutpre:YMUlt?;:WFMOutpre:YOFf?;:WFMOutpre:YZEro?"
    ";:WFMOutpre:XZEro?;:WFMOutpre:PT_Off?;:HORizontal:SAMPLERate?;:HORizontal:RECOrdlength?"
)
CODES: Final = np.dtype("<i2")
#: The top code of any converter from 8 bits on, in 16 bits.
CLIPPED: Final = 32512
DIVISIONS: Final = 10
MIN_RECORD: Final = 1000
MANTISSAS: Final = (1.25, 3.125, 6.25)
FAST_RATES_HZ: Final = (12.5e9,)
#: A record may drift by so much of a sample against what was asked for.
DRIFT: Final = 1e-3
POLL_S: Final = 0.02
FIRST_POLL_S: Final = 0.0005
TRIGGER_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True)
class _Request:
    """What :meth:`MSO.configure` was asked for: every ``step``-th of a record at ``rate_hz`` is kept."""

    inputs: tuple[tuple[int, float], ...]  # channel, full scale in volts
    rate_hz: float
    step: int
    samples: int
    generation: int

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels that are recorded."""
        return tuple(channel for channel, _ in self.inputs)

    @property
    def recorded(self) -> int:
        """Samples of the oscilloscope's record."""
        return max(MIN_RECORD, (self.samples - 1) * self.step + 1)


class MSO(Oscilloscope[_Request]):
    """``trigger_level_v``: at the auxiliary input. ``min_record_rate_hz``: no record is slower, samples per second;
    the rate of the time bins.
    """

    capabilities = DigitizerCapabilities(
        channels=4,
        full_scale_v=Range(10e-3, 10.0, "V"),
        sample_rate_hz=Range(12.5, 3.125e9, "Sa/s"),
        bits=12,
        memory_samples=62_500_000,
    )

    codes = CODES

    def __init__(
        self,
        name: str,
        resource: str,
        library: VisaLibrary,
        clock: Clock,
        *,
        trigger_level_v: float = 0.5,
        min_record_rate_hz: float = 125e6,
    ) -> None:
        super().__init__(name)
        self._link = ScpiLink(library.connect(name, resource), EVENTS, fields_before=1)
        self._clock = clock
        self._trigger_level_v = trigger_level_v
        self._min_rate_hz = min_record_rate_hz
        self._pending: list[str] = []

    # ---- life ---------------------------------------------------------------------------------

    def open(self) -> None:
        model = self._link.open("TEKTRONIX", r"MSO[56][468]B?").model.upper()
        fastest = 3.125e9 if model[3] == "5" else 12.5e9
        self.capabilities = replace(
            self.capabilities, channels=int(model[4]), sample_rate_hz=Range(12.5, fastest, "Sa/s")
        )
        self._request = None

    def close(self) -> None:
        self._link.close()
        self._request = None

    @property
    def identity(self) -> Identity:
        return self._link.identity

    # ---- acquisition --------------------------------------------------------------------------

    def configure(self, full_scale_v: Mapping[int, float], sample_interval_s: float, samples: int) -> None:
        """High-resolution acquisition of ``samples`` from the auxiliary trigger on. Raises LimitError first."""
        self._check_request(full_scale_v, sample_interval_s, samples)
        rate_hz, step = self._record_rate(1 / sample_interval_s, samples)
        generation = self._link.connection.generation
        new = _Request(tuple(full_scale_v.items()), rate_hz, step, samples, generation)
        if new.recorded > self.capabilities.memory_samples:
            raise LimitError(
                self.name,
                f"{samples} samples, each {step}th of a record at {rate_hz:g} Sa/s",
                f"The record has at most {self.capabilities.memory_samples}.",
            )
        old, self._request = self._request, None
        if old is None or (old.inputs, old.generation) != (new.inputs, new.generation):
            self._preambles, self._pending = {}, []
            self._link.command(";".join([*self._setup_text(full_scale_v), *self._record_text(new)]))
            new = replace(new, generation=self._link.connection.generation)  # the message may have renewed the line
        elif new != old:
            self._pending = self._record_text(new)  # goes out with the next arm, in one message
        self._recorded = False
        self._request = new

    def _record_rate(self, wanted_hz: float, samples: int) -> tuple[float, int]:
        """A rate that the oscilloscope has, and how many times ``wanted_hz`` it is: the slowest that is fast enough."""
        rates = [mantissa * 10.0**power for power in range(1, 10) for mantissa in MANTISSAS]
        fits = []
        for rate_hz in sorted({*rates, *FAST_RATES_HZ}):
            step = round(rate_hz / wanted_hz)
            drift = abs(rate_hz / wanted_hz - step) * samples
            if step >= 1 and rate_hz in self.capabilities.sample_rate_hz and drift <= DRIFT * step:
                fits.append((rate_hz, step))
                if rate_hz >= self._min_rate_hz * (1 - 1e-9):
                    break
        if fits:
            return fits[-1]
        raise LimitError(
            self.name,
            f"{wanted_hz:g} samples per second are not a whole part of any of its sample rates",
            "Use a part of 1.25, 3.125 or 6.25 times a power of ten.",
        )

    def _record_text(self, request: _Request) -> list[str]:
        """Rate and length of the record, and what of it is sent."""
        link = self._link
        texts = [link.text(SAMPLE_RATE, request.rate_hz), link.text(RECORD, request.recorded)]
        return [*texts, f":DATa:STARt 1;:DATa:STOP {request.recorded};:DATa:RESample {request.step}"]

    def _setup_text(self, full_scale_v: Mapping[int, float]) -> list[str]:
        """What does not depend on the length of the record."""
        link = self._link
        commands = [":HEADer OFF;:ACQuire:STATE STOP", link.text(MODE, "HIRes"), ":ACQuire:STOPAfter SEQuence"]
        for n in range(1, self.capabilities.channels + 1):
            commands.append(f":DISplay:GLObal:CH{n}:STATE {int(n in full_scale_v)}")
        for n, volts in full_scale_v.items():
            commands += [
                f":CH{n}:COUPling DC;:CH{n}:TERmination 50;:CH{n}:POSition 0",
                link.text(SCALE, volts / DIVISIONS, n),
                link.text(OFFSET, 0.0, n),
            ]
        commands += [":HORizontal:MODe MANual;:HORizontal:DELay:MODe OFF;:HORizontal:POSition 0"]
        commands += [":HORizontal:FASTframe:STATE OFF"]
        commands += [":TRIGger:A:TYPe EDGE;:TRIGger:A:EDGE:SOUrce AUXiliary;:TRIGger:A:EDGE:SLOpe RISe"]
        commands += [link.text(TRIGGER_LEVEL, self._trigger_level_v), ":TRIGger:A:MODe NORMal"]
        return [*commands, ":DATa:ENCdg SRIbinary;:DATa:WIDth 2"]

    def arm(self) -> None:
        """Single acquisition; returns when the oscilloscope says that it is ready for its trigger."""
        self._configured()
        self._recorded = False
        state = self._link.obey_and_ask(";".join([*self._pending, f":ACQuire:STATE RUN;{STATE}"]))
        self._pending = []  # not before: what was refused or lost is sent again
        end = self._clock.now() + TRIGGER_TIMEOUT_S if state == "ARMED" else 0.0
        while state.strip().upper() == "ARMED":
            if self._clock.now() >= end:
                raise InstrumentTimeout(self.name, "does not become ready for its trigger", command=STATE)
            self._clock.wait(FIRST_POLL_S)
            state = self._link.query(STATE)

    def wait(self) -> None:
        self._configured()
        poll_s, end = FIRST_POLL_S, None
        while True:
            running, count = self._numbers(self._link.query(PROGRESS))
            if not running:
                if count < 1:
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

    def _numbers(self, reply: str) -> tuple[int, int]:
        try:
            first, second = (parse_integer(field) for field in reply.split(";"))
        except ValueError as error:
            raise InstrumentReply(self.name, f"two numbers are due, not {reply[:80]!r}", command=PROGRESS) from error
        return first, second

    def _data_query(self, channel: int) -> str:
        return f":DATa:SOUrce CH{channel};:CURVe?"

    def stop(self) -> None:
        self._link.command(":ACQuire:STATE STOP")

    def _preamble(self, channel: int, request: _Request) -> Trace:
        """A trace without samples. Raises InstrumentReply when the record is not what was asked for."""
        reply = self._link.obey_and_ask(f":DATa:SOUrce CH{channel};{PREAMBLE}")
        try:
            width, form, order, *numbers = reply.split(";")
            y_step, y_off, y_zero, x_zero, trigger, rate_hz, points = (parse_finite(field) for field in numbers)
            parsed = (parse_integer(width), parse_word(form).upper(), parse_word(order).upper())
        except ValueError as error:
            raise InstrumentReply(self.name, f"no preamble: {reply!r}", command=PREAMBLE) from error
        if parsed != (2, "RI", "LSB"):
            raise InstrumentReply(self.name, f"sends {parsed}, not 16-bit integers, low byte first", command=PREAMBLE)
        if abs(rate_hz / request.rate_hz - 1) * points > 0.5:
            raise self._misfit(f"at {rate_hz:g} Sa/s", f"{request.rate_hz:g}")
        x_start = x_zero - trigger / rate_hz
        if abs(x_start) * rate_hz > 1:
            raise self._misfit(f"from {x_start:g} s on", "the trigger")
        if points < request.recorded:
            raise self._misfit(f"{points:g} samples", f"{request.recorded}")
        return Trace(
            codes=np.empty(0, np.int16),
            y_increment_v=y_step,
            y_origin_v=y_zero - y_off * y_step,
            y_reference=0,
            x_increment_s=request.step / rate_hz,
            x_origin_s=x_start,
            low_clip=-CLIPPED,
            high_clip=CLIPPED,
        )

    # ---- reports ------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        link = self._link
        readings: dict[str, Scalar] = {
            "acquire_mode": link.get(MODE),
            "sample_rate_hz": link.get(SAMPLE_RATE),
            "record_samples": link.get(RECORD),
            "trigger_level_v": link.get(TRIGGER_LEVEL),
        }
        for channel in range(1, self.capabilities.channels + 1):
            readings[f"scale_{channel}_v"] = link.get(SCALE, channel)
            readings[f"offset_{channel}_v"] = link.get(OFFSET, channel)
        return readings

    def problems(self) -> Sequence[str]:
        return self._link.problems()
