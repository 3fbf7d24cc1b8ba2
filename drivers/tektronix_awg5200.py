"""Tektronix AWG5200 and AWG70000 series arbitrary waveform generators.

After public drivers: Tektronix's own tm_devices (commands of the AWG5200 and AWG70000A/B, with their descriptions) and
QCoDeS's TektronixAWG70000Base, which agree on what is used here. LAN: raw socket, TCP port 4000, line feed.

* A waveform is a list of float32, little endian, -1 to 1 of half the channel's amplitude. Code c travels as
  c / code_max; 24 bits of mantissa bring every code of up to 16 bits back.
* ``SOURce<n>:DAC:RESolution`` divides the DAC's bits between voltage and markers: each marker costs one bit. One is
  kept for the marker that triggers the rest of the bench; it is high at the beginning of each pass of a segment.
* In run mode TRIGgered a waveform, or a sequence, plays once from a trigger on, and the channel waits again. A sequence
  of one step repeats its waveform up to 1,048,576 times.
* Input A is for the cable. A start by command forces trigger B, so that channels armed for the one ignore the other.
* ``WLISt:WAVeform:LMINimum?`` is 2400 samples on an AWG5200. :mod:`drivers.tektronix_awg5200_memory` makes waveforms of
  that length out of shorter segments.

Assumed, to be checked on a unit: that a sequence obeys the run mode (else give ``sequence_wait = "step"``, and the step
waits for the trigger), that a name may be taken again after WLISt:WAVeform:DELete, that data may be overwritten while a
waveform is assigned to a stopped channel, which marker bits of WLISt:WAVeform:MARKer:DATA are which (all four are set),
amplitude limits of the output paths, and sample rates by options in ``*OPT?``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.connection import Part
from drivers.generator import check_request
from drivers.link import ScpiLink
from drivers.scpi import integer, parse_integer, real, switch, word
from drivers.tektronix_awg5200_memory import Plan, WaveformMemory
from drivers.visa import VisaLibrary
from labctl.clock import Clock
from labctl.errors import (
    ConfigError,
    InstrumentError,
    InstrumentLost,
    InstrumentReply,
    InstrumentTimeout,
    LimitError,
)
from labctl.interfaces import WaveformGenerator
from labctl.values import GeneratorCapabilities, Identity, Range, SafeState, Scalar, Snapshot

SAMPLE_RATE = real(":CLOCk:SRATe", "Internal sample clock", unit="Hz")
AMPLITUDE = real(":SOURce{}:VOLTage:LEVel:IMMediate:AMPLitude", "Full scale of the output", unit="Vpp")
RESOLUTION = integer(":SOURce{}:DAC:RESolution", "Bits of the DAC that are not markers")
RUN_MODE = word(":SOURce{}:RMODe", "CONTinuous, TRIGgered, TCONtinuous or GATed")
OUTPUT = switch(":OUTPut{}:STATe", "Output connected")

RUN_STATE: Final = ":AWGControl:RSTATe?"
STOPPED, WAITING = 0, 1
#: A segment of one period of the granularity is a mistake; whatever is longer can be played.
MIN_SEGMENT: Final = 2
TRIGGER_INPUT: Final = {True: "ATRigger", False: "BTRigger"}
RUN_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.01
_OTHER_WAIT: Final = 'Try the other sequence_wait ("run_mode" or "step") in its options.'


@dataclass(frozen=True)
class Family:
    """What a series has: DAC bits, of which ``markers`` may be markers, amplitude, and the clock's lowest rate."""

    bits: int
    markers: int
    amplitude_vpp: Range
    min_rate_hz: float
    channels: int
    min_length: int


FAMILIES: Final = {
    "52": Family(16, 4, Range(0.025, 0.75, "V"), 300.0, 8, 2400),
    "70": Family(10, 2, Range(0.25, 0.5, "V"), 1490.0, 2, 4800),
}
AMPLITUDE_DC_VPP: Final = Range(0.025, 1.5, "V")  # AWG5200 with option DC
#: Highest sample rate by model and option.
RATES: Final = {"52": {"25": 2.5e9, "": 5e9}, "70001": {"": 50e9}, "70002": {"208": 8e9, "216": 16e9, "": 25e9}}


class AWG5200(WaveformGenerator):
    """``bits``: of the DAC, 0: all but that of one marker. ``sequence_wait``: what holds a sequence until its trigger,
    "run_mode" or "step". Level and impedance of trigger input A stay as they were set at the instrument.
    """

    def __init__(
        self,
        name: str,
        resource: str,
        library: VisaLibrary,
        clock: Clock,
        *,
        bits: int = 0,
        sequence_wait: str = "run_mode",
    ) -> None:
        super().__init__(name)
        if sequence_wait not in ("run_mode", "step"):
            raise ConfigError(f"{name}: sequence_wait = {sequence_wait!r}", 'Use "run_mode" or "step".')
        self._link = ScpiLink(library.connect(name, resource))
        self._clock = clock
        self._bits = bits
        self._step_waits = sequence_wait == "step"
        self._min_length = FAMILIES["52"].min_length
        self.capabilities = self._capable(FAMILIES["52"], RATES["52"][""], FAMILIES["52"].amplitude_vpp)
        self._forget()

    def _forget(self) -> None:
        self._channels: tuple[int, ...] = ()
        self._generation = -1
        self._memory: WaveformMemory | None = None
        self._assigned = ""
        self._external: bool | None = None
        self._running = False

    def _capable(self, family: Family, max_rate_hz: float, amplitude_vpp: Range) -> GeneratorCapabilities:
        bits = self._bits or family.bits - 1
        if not family.bits - family.markers <= bits <= family.bits:
            raise ConfigError(
                f"{self.name}: bits = {bits}", f"Use {family.bits - family.markers} to {family.bits} on this model."
            )
        code_max = (1 << (bits - 1)) - 1
        return GeneratorCapabilities(
            channels=family.channels,
            sample_rate_hz=Range(family.min_rate_hz, max_rate_hz, "Sa/s"),
            amplitude_vpp=amplitude_vpp,
            bits=bits,
            code_min=-code_max,
            code_max=code_max,
            granularity=1,
            min_length=MIN_SEGMENT,
            memory_samples=2_000_000_000,
        )

    # ---- life ---------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, and read from the instrument what it can do."""
        identity = self._link.open("TEKTRONIX", r"AWG(520[248]|7000[12][AB]?)")
        self._forget()
        limits = ":AWGControl:CONFigure:CNUMber?;:WLISt:WAVeform:LMINimum?;:WLISt:WAVeform:LMAXimum?"
        replies = self._link.obey_and_ask(f"{limits};:WLISt:WAVeform:GRANularity?;*OPT?").split(";")
        try:
            channels, shortest, longest, granularity = (parse_integer(reply) for reply in replies[:4])
        except ValueError as error:
            raise InstrumentReply(self.name, f"does not tell its limits: {replies}", command=limits) from error
        model = identity.model.upper().removeprefix("AWG")
        options = re.findall(r"[A-Z0-9]+", replies[4].upper()) if len(replies) > 4 else []
        family = FAMILIES[model[:2]]
        rates = RATES["52" if model[:2] == "52" else model[:5]]
        rate_hz = next((rates[option] for option in options if option and option in rates), rates[""])
        high_voltage = model[:2] == "52" and "DC" in options
        capable = self._capable(family, rate_hz, AMPLITUDE_DC_VPP if high_voltage else family.amplitude_vpp)
        self._min_length = shortest
        self.capabilities = GeneratorCapabilities(
            channels=channels,
            sample_rate_hz=capable.sample_rate_hz,
            amplitude_vpp=capable.amplitude_vpp,
            bits=capable.bits,
            code_min=capable.code_min,
            code_max=capable.code_max,
            granularity=granularity,
            min_length=MIN_SEGMENT * granularity,
            memory_samples=longest,
        )

    def close(self) -> None:
        self._link.close()
        self._forget()

    @property
    def identity(self) -> Identity:
        return self._link.identity

    # ---- waveforms ----------------------------------------------------------------------------

    def configure(self, sample_rate_hz: float, amplitude_vpp: Mapping[int, float]) -> None:
        """Stop, clear both lists, choose clock, resolution, amplitudes, and the triggered run mode."""
        check_request(self.name, self.capabilities, sample_rate_hz, amplitude_vpp)
        self._forget()
        channels = tuple(sorted(amplitude_vpp))
        text = self._link.text
        commands = [":AWGControl:STOP:IMMediate", ":INSTrument:MODE AWG"]
        commands += [f":SOURce{n}:CASSet:CLEar" for n in self._all()]
        commands += [":SLISt:SEQuence:DELete ALL", ":WLISt:WAVeform:DELete ALL"]
        commands += [":CLOCk:SOURce INTernal", text(SAMPLE_RATE, sample_rate_hz)]
        commands += [":TRIGger:SLOPe POSitive,ATRigger"]
        for n in channels:
            commands += [
                text(RESOLUTION, self.capabilities.bits, n),
                text(AMPLITUDE, amplitude_vpp[n], n),
                f":OUTPut{n}:SVALue:ANALog:STATe ZERO",
                f":OUTPut{n}:WVALue:ANALog:STATe ZERO",
            ]
        self._link.command(";".join([*commands, "*WAI"]))
        self._channels = channels
        self._memory = WaveformMemory(self.name, channels, self.capabilities, self._min_length)
        self._generation = self._link.connection.generation

    def _all(self) -> range:
        return range(1, self.capabilities.channels + 1)

    def load(self, segment: int, codes: Mapping[int, NDArray[np.int16]]) -> None:
        """All channels in one message, samples as binary blocks. Raises LimitError before anything is sent."""
        memory = self._configured()
        memory.begin(segment, codes)
        parts = [*self._stop_text(), *memory.new_waveforms(segment), "*WAI"]
        try:
            self._link.command(*parts)
        except InstrumentError:
            memory.doubt()
            raise
        self._running = False
        memory.note()

    def arm(self, segment: int, loops: int, *, external: bool) -> None:
        self._run(segment, {}, loops, external=external)

    def load_and_arm(self, segment: int, codes: Mapping[int, NDArray[np.int16]], loops: int, *, external: bool) -> None:
        """:meth:`load` and :meth:`arm` in one message."""
        self._run(segment, codes, loops, external=external)

    def trigger(self) -> None:
        self._configured()
        self._link.command(f":TRIGger:IMMediate {TRIGGER_INPUT[False]}")

    def play(self, segment: int, loops: int) -> None:
        """:meth:`arm` and :meth:`trigger` in one message."""
        self._run(segment, {}, loops, external=False, then=f";:TRIGger:IMMediate {TRIGGER_INPUT[False]}")

    def stop(self) -> None:
        self._link.command(":AWGControl:STOP:IMMediate")
        self._running = False

    def _run(
        self, segment: int, codes: Mapping[int, NDArray[np.int16]], loops: int, *, external: bool, then: str = ""
    ) -> None:
        """One message: stop, what has changed, run, and whether the channels wait for their trigger."""
        memory = self._configured()
        memory.begin(segment, codes)
        plan = memory.plan(segment, loops)
        parts = [*self._stop_text(), *memory.waveforms(plan), *self._assignment(memory, plan, external)]
        self._running = True  # refused in part, the message may have run it nevertheless
        asset, self._assigned = plan.sequence or plan.waveform(0), ""
        try:
            reply = self._link.obey_and_ask(*parts, f":AWGControl:RUN:IMMediate;*WAI;{RUN_STATE}{then}")
        except InstrumentError:
            memory.doubt()
            raise
        state = self._state(reply)
        memory.note()
        self._assigned, self._external = asset, external
        self._await_ready(state)

    def _await_ready(self, state: int) -> None:
        end = self._clock.now() + RUN_TIMEOUT_S if state == STOPPED else 0.0
        while state == STOPPED:
            if self._clock.now() >= end:
                raise InstrumentTimeout(
                    self.name, "does not become ready for its trigger", _OTHER_WAIT, command=RUN_STATE
                )
            self._clock.wait(POLL_S)
            state = self._state(self._link.query(RUN_STATE))
        if state != WAITING:
            self.stop()
            raise InstrumentReply(
                self.name,
                "plays without waiting for its trigger",
                _OTHER_WAIT,
                command=RUN_STATE,
            )

    def _state(self, reply: str) -> int:
        try:
            return parse_integer(reply)
        except ValueError as error:
            raise InstrumentReply(self.name, str(error), command=RUN_STATE) from error

    def _configured(self) -> WaveformMemory:
        if self._memory is None:
            raise InstrumentError(self.name, "has not been configured", "Configure it first.")
        if self._generation != self._link.connection.generation:
            raise InstrumentLost(
                self.name,
                "its line was renewed after a failure, and its memory may be gone",
                "Configure the generator again.",
            )
        return self._memory

    def _stop_text(self) -> list[Part]:
        return [":AWGControl:STOP:IMMediate;"] if self._running else []

    def _assignment(self, memory: WaveformMemory, plan: Plan, external: bool) -> list[Part]:
        """Commands that give the channels the waveform, or a sequence of one step, and the trigger they wait for."""
        source = TRIGGER_INPUT[external]
        parts: list[Part] = []
        if plan.sequence:
            wait, then = (source, "FIRSt") if self._step_waits else ("OFF", "END")
            parts += memory.sequence(plan, wait, then)
        if (plan.sequence or plan.waveform(0)) != self._assigned:
            mode = "CONTinuous" if plan.sequence and self._step_waits else "TRIGgered"
            for track, n in enumerate(self._channels, start=1):
                asset = f'SEQuence "{plan.sequence}",{track}' if plan.sequence else f'WAVeform "{plan.waveform(n)}"'
                parts.append(f":SOURce{n}:CASSet:{asset};:SOURce{n}:RMODe {mode};")
        if external is not self._external:
            parts += [f":SOURce{n}:TINPut {source};" for n in self._channels]
        return parts

    # ---- outputs and reports ------------------------------------------------------------------

    def set_output(self, channel: int, on: bool) -> None:
        self._link.set(OUTPUT, on, self._channel(channel))

    def output(self, channel: int) -> bool:
        return self._link.get(OUTPUT, self._channel(channel))

    def _channel(self, channel: int) -> int:
        if channel not in self._all():
            raise LimitError(self.name, f"there is no channel {channel}", f"Use 1 to {self.capabilities.channels}.")
        return channel

    def safe_state(self) -> SafeState:
        """Stopped and outputs off; dark when every output is read back off."""
        self.stop()
        self._link.command(";".join(self._link.text(OUTPUT, False, channel) for channel in self._all()))
        on = {channel: self._link.get(OUTPUT, channel) for channel in self._all()}
        return SafeState(
            self.name,
            not any(on.values()),
            {f"output_{channel}": state for channel, state in on.items()},
            "an output is still on" if any(on.values()) else "",
        )

    def snapshot(self) -> Snapshot:
        readings: dict[str, Scalar] = {"sample_rate_hz": self._link.get(SAMPLE_RATE)}
        for channel in self._all():
            readings[f"amplitude_{channel}_vpp"] = self._link.get(AMPLITUDE, channel)
            readings[f"bits_{channel}"] = self._link.get(RESOLUTION, channel)
            readings[f"run_mode_{channel}"] = self._link.get(RUN_MODE, channel)
            readings[f"output_{channel}"] = self._link.get(OUTPUT, channel)
        return readings

    def problems(self) -> Sequence[str]:
        return self._link.problems()
