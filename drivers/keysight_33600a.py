"""Keysight 33600A (33611A to 33622A) Trueform waveform generators, and the 33500B (33511B to 33522B).

After public drivers, whose commands are those of Keysight's "Trueform Series Operating and Service Guide" (33500 and
33600 Series): DATA, FUNCtion:ARBitrary, BURSt, TRIGger, INITiate and OUTPut. LAN: TCP port 5025, line feed.

* A waveform is codes from -32767 to 32767, +-32767 being the ends of the amplitude's range; ``FORMat:BORDer SWAPped``:
  blocks of little-endian int16. The 33600A's converter has 14 bits, the 33500B's 16.
* Volatile memory overwrites nothing and deletes nothing but all (``DATA:VOLatile:CLEar``). Every load gets a name of
  its own; when the memory is full, it is cleared and what is still in use is loaded again.
* A burst (``BURSt:MODE TRIGgered``) plays the selected waveform ``BURSt:NCYCles`` times at a trigger. With
  ``INITiate:CONTinuous OFF`` a channel waits for one trigger after ``INITiate``, and for none after ``ABORt``.
* Both channels start together: both on ``TRIGger:SOURce BUS`` by ``*TRG``, both on EXTernal by the trigger input.
* Sync goes high at the first sample of a burst of its channel: the trigger of the bench.
* ``FUNCtion:ARBitrary:FILTer``: with OFF the highest sample rate is a quarter of that with STEP (no overshoot) and
  NORMal (flattest).

Assumed, to be checked on a unit: ``INITiate`` and ``ABORt`` as said above, and that ``INITiate:IMMediate:ALL`` arms
both channels; that a waveform of one channel may keep a sample rate of its own (it is sent with every arm); 4 and 1
million points of memory without option MEM; that between bursts an output holds the voltage of the first sample; how
far apart two channels begin.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.connection import Part
from drivers.generator import check_request
from drivers.link import ScpiLink
from drivers.scpi import int16_block, parse_integer, real, switch, word
from drivers.visa import VisaLibrary
from labctl.clock import Clock
from labctl.errors import ConfigError, InstrumentError, InstrumentLost, InstrumentReply, LimitError
from labctl.interfaces import WaveformGenerator
from labctl.values import GeneratorCapabilities, Identity, Range, SafeState, Scalar, Snapshot

SAMPLE_RATE = real(":SOURce{}:FUNCtion:ARBitrary:SRATe", "Samples per second", unit="Sa/s")
AMPLITUDE = real(":SOURce{}:VOLTage", "Full scale into 50 ohms", unit="Vpp")
OFFSET = real(":SOURce{}:VOLTage:OFFSet", "Voltage of code 0", unit="V")
OUTPUT = switch(":OUTPut{}", "Output connected")
FUNCTION = word(":SOURce{}:FUNCtion", "ARB, and the built-in ones")
WAVEFORM = word(":SOURce{}:FUNCtion:ARBitrary", "Name of the waveform selected")
FILTER = word(":SOURce{}:FUNCtion:ARBitrary:FILTer", "NORM, STEP or OFF")
TRIGGER_SOURCE = word(":TRIGger{}:SOURce", "IMMediate, EXTernal, TIMer or BUS")

CODE_MAX: Final = 32767
MAX_LOOPS: Final = 100_000_000
MAX_SEGMENTS: Final = 100_000
FILTERS: Final = ("NORM", "STEP", "OFF")
#: Of the series, by the third digit of the model: converter bits, shortest waveform, memory, fastest rate.
SERIES: Final = {"5": (16, 8, 1_000_000, 250e6), "6": (14, 32, 4_000_000, 1e9)}

#: (channel, segment): the name under which it was loaded, and what.
Loaded = dict[tuple[int, int], tuple[str, NDArray[np.int16]]]


class Trueform(WaveformGenerator):
    """``filter``: "NORM", "STEP" or "OFF". ``memory_samples``: per channel, by the option fitted; 0 for the model's."""

    def __init__(
        self,
        name: str,
        resource: str,
        library: VisaLibrary,
        clock: Clock,
        *,
        filter: str = "STEP",
        memory_samples: int = 0,
    ) -> None:
        super().__init__(name)
        if filter not in FILTERS:
            raise ConfigError(f"{name}: filter = {filter!r}", f"Use one of {', '.join(FILTERS)}.")
        self._filter = filter
        self._memory_samples = memory_samples
        self._link = ScpiLink(library.connect(name, resource))
        self.capabilities = self._capabilities("6", 2)
        self._forget()

    def _capabilities(self, series: str, channels: int) -> GeneratorCapabilities:
        bits, shortest, memory_samples, fastest_hz = SERIES[series]
        return GeneratorCapabilities(
            channels=channels,
            sample_rate_hz=Range(1e-6, fastest_hz / 4 if self._filter == "OFF" else fastest_hz, "Sa/s"),
            amplitude_vpp=Range(1e-3, 10.0, "V"),
            bits=bits,
            code_min=-CODE_MAX,
            code_max=CODE_MAX,
            granularity=1,
            min_length=shortest,
            memory_samples=self._memory_samples or memory_samples,
        )

    def _forget(self) -> None:
        self._channels: tuple[int, ...] = ()
        self._generation = -1
        self._sample_rate_hz = 0.0
        self._room: dict[int, int] = {}  # samples that fit into a channel's cleared memory
        self._used: dict[int, int] = {}
        self._loaded: Loaded = {}
        self._names = 0
        self._external = False
        self._initiated = False

    # ---- life ---------------------------------------------------------------------------------

    def open(self) -> None:
        model = self._link.open("KEYSIGHT TECHNOLOGIES|AGILENT TECHNOLOGIES", r"33[56]\d[12][AB]").model
        self.capabilities = self._capabilities(model[2], 1 if model[4] == "1" else 2)
        self._forget()

    def close(self) -> None:
        self._link.close()
        self._forget()

    @property
    def identity(self) -> Identity:
        return self._link.identity

    # ---- waveforms ----------------------------------------------------------------------------

    def configure(self, sample_rate_hz: float, amplitude_vpp: Mapping[int, float]) -> None:
        """Stop, clear the memory, and prepare triggered bursts of arbitrary waveforms; asks what the memory holds."""
        check_request(self.name, self.capabilities, sample_rate_hz, amplitude_vpp)
        self._forget()
        channels = tuple(sorted(amplitude_vpp))
        link, commands = self._link, [":ABORt", ":FORMat:BORDer SWAPped"]
        for n in self._all_channels:
            commands += [f":INITiate{n}:CONTinuous OFF", f":SOURce{n}:DATA:VOLatile:CLEar"]
        for n in channels:
            commands += [
                f":OUTPut{n}:LOAD 50;:OUTPut{n}:POLarity NORMal;:SOURce{n}:VOLTage:UNIT VPP",
                link.text(OFFSET, 0.0, n),
                link.text(AMPLITUDE, amplitude_vpp[n], n),
                link.text(FUNCTION, "ARB", n),
                f":SOURce{n}:FUNCtion:ARBitrary:ADVance SRATe",
                link.text(FILTER, self._filter, n),
                link.text(SAMPLE_RATE, sample_rate_hz, n),
                f":SOURce{n}:BURSt:MODE TRIGgered;:SOURce{n}:BURSt:PHASe 0;:SOURce{n}:BURSt:STATe ON",
                f":TRIGger{n}:SLOPe POSitive;:TRIGger{n}:DELay 0;:TRIGger{n}:COUNt 1",
                f":OUTPut{n}:SYNC:MODE NORMal;:OUTPut{n}:SYNC:POLarity NORMal",
            ]
        if self.capabilities.channels > 1:
            commands.append(f":OUTPut:SYNC:SOURce CH{channels[0]}")
        commands.append(":OUTPut:SYNC ON")
        commands += [f":SOURce{n}:DATA:VOLatile:FREE?" for n in channels]
        self._room = self._rooms(channels, link.obey_and_ask(";".join(commands)))
        self._used = dict.fromkeys(channels, 0)
        self._channels, self._sample_rate_hz = channels, sample_rate_hz
        self._generation = link.connection.generation

    @property
    def _all_channels(self) -> range:
        return range(1, self.capabilities.channels + 1)

    def _rooms(self, channels: Sequence[int], reply: str) -> dict[int, int]:
        try:
            free = [parse_integer(field) for field in reply.split(";")]
        except ValueError as error:
            raise InstrumentReply(self.name, str(error), command=":DATA:VOLatile:FREE?") from error
        if len(free) != len(channels):
            raise InstrumentReply(self.name, f"{len(channels)} numbers are due, not {reply[:80]!r}")
        room = {n: min(one, self.capabilities.memory_samples) for n, one in zip(channels, free, strict=True)}
        self.capabilities = replace(self.capabilities, memory_samples=min(room.values()))
        return room

    def load(self, segment: int, codes: Mapping[int, NDArray[np.int16]]) -> None:
        """All channels in one message, samples as binary blocks. Raises LimitError before anything is sent."""
        new, parts = self._load_parts(segment, codes)
        self._link.command(*self._stop_text(), *parts)
        self._loaded |= new
        self._initiated = False

    def arm(self, segment: int, loops: int, *, external: bool) -> None:
        self._initiate([*self._stop_text(), self._arm_text(segment, loops, external, self._loaded)], external)

    def load_and_arm(self, segment: int, codes: Mapping[int, NDArray[np.int16]], loops: int, *, external: bool) -> None:
        """:meth:`load` and :meth:`arm` in one message."""
        self._check_loops(loops)
        self._check_segment(segment, codes)
        self._check_loaded(segment, {*self._loaded, *((channel, segment) for channel in codes)})
        new, parts = self._load_parts(segment, codes)
        arm = self._arm_text(segment, loops, external, self._loaded | new)
        self._initiate([*self._stop_text(), *parts, arm], external)
        self._loaded |= new

    def trigger(self) -> None:
        """``*TRG``; nothing when the trigger is to come at the trigger input."""
        self._require_configured()
        if not self._external:
            self._link.command("*TRG")

    def play(self, segment: int, loops: int) -> None:
        """:meth:`arm` and :meth:`trigger` in one message."""
        arm = self._arm_text(segment, loops, False, self._loaded)
        self._initiate([*self._stop_text(), arm, ";*TRG"], external=False)

    def _initiate(self, parts: Sequence[Part], external: bool) -> None:
        """Send a message that initiates; refused in part, it may have done so nevertheless."""
        self._initiated = True
        self._external = external
        self._link.command(*parts)

    def stop(self) -> None:
        self._link.command(":ABORt")
        self._initiated = False

    # ---- the parts of a message ----------------------------------------------------------------

    def _require_configured(self) -> None:
        if self._generation < 0:
            raise InstrumentError(self.name, "has not been configured", "Configure it first.")
        if self._generation != self._link.connection.generation:
            raise InstrumentLost(
                self.name,
                "its line was renewed after a failure, and its memory may be gone",
                "Configure the generator again.",
            )

    def _stop_text(self) -> list[str]:
        self._require_configured()
        return [":ABORt;"] if self._initiated else []

    def _load_parts(self, segment: int, codes: Mapping[int, NDArray[np.int16]]) -> tuple[Loaded, list[Part]]:
        """What the memory holds besides when the message has gone, and its parts, each with ";" at its end.

        A channel's memory that is full is cleared, and what of other segments it held is loaded again.
        """
        self._require_configured()
        self._check_segment(segment, codes)
        new: Loaded = {}
        parts: list[Part] = []
        for channel, samples in codes.items():
            wanted = {(channel, segment): samples.copy()}
            if self._used[channel] + len(samples) > self._room[channel]:
                kept = [key for key in self._loaded if key[0] == channel]
                wanted = {key: self._loaded.pop(key)[1] for key in kept if key[1] != segment} | wanted
                self._loaded.pop((channel, segment), None)
                self._used[channel] = 0
                parts.append(f":SOURce{channel}:DATA:VOLatile:CLEar;")
            for key, content in wanted.items():
                self._names += 1  # never used again, whatever becomes of the message
                self._used[channel] += len(content)
                new[key] = f"L{self._names}", content
                parts += [f":SOURce{channel}:DATA:ARBitrary:DAC L{self._names},", *int16_block(content), ";"]
        return new, parts

    def _check_segment(self, segment: int, codes: Mapping[int, NDArray[np.int16]]) -> None:
        limits = self.capabilities
        if not 1 <= segment <= MAX_SEGMENTS:
            raise LimitError(self.name, f"segment {segment}", f"Use 1 to {MAX_SEGMENTS}.")
        for channel, samples in codes.items():
            where = f"segment {segment} of channel {channel}"
            if channel not in self._channels:
                raise LimitError(self.name, f"{where}: this channel has not been configured")
            if samples.dtype != np.int16 or samples.ndim != 1:
                raise LimitError(self.name, f"{where}: samples must be int16 of shape (N,)")
            if len(samples) < limits.min_length:
                raise LimitError(self.name, f"{where}: {len(samples)} samples", f"Use {limits.min_length} at least.")
            others = sum(
                len(held) for key, (_, held) in self._loaded.items() if key[0] == channel and key[1] != segment
            )
            if others + len(samples) > self._room[channel]:
                raise LimitError(
                    self.name,
                    f"{where}: {len(samples)} samples, besides {others} of other segments",
                    f"The memory of a channel holds {self._room[channel]}.",
                )
            if samples.min() < limits.code_min:
                raise LimitError(self.name, f"{where}: code {samples.min()}", f"Keep codes within +-{CODE_MAX}.")

    def _check_loops(self, loops: int) -> None:
        if not 1 <= loops <= MAX_LOOPS:
            raise LimitError(self.name, f"{loops} loops", f"Use 1 to {MAX_LOOPS}.")

    def _check_loaded(self, segment: int, known: Collection[tuple[int, int]]) -> None:
        missing = [n for n in self._channels if (n, segment) not in known]
        if missing:
            raise LimitError(self.name, f"segment {segment} is not loaded on channels {missing}", "Load it first.")

    def _arm_text(self, segment: int, loops: int, external: bool, loaded: Loaded) -> str:
        self._require_configured()
        self._check_loops(loops)
        self._check_loaded(segment, loaded)
        source, link = "EXTernal" if external else "BUS", self._link
        commands = []
        for n in self._channels:
            commands += [
                link.text(WAVEFORM, loaded[n, segment][0], n),
                link.text(SAMPLE_RATE, self._sample_rate_hz, n),
                f":SOURce{n}:BURSt:NCYCles {loops}",
                link.text(TRIGGER_SOURCE, source, n),
            ]
        both = len(self._channels) > 1
        return ";".join([*commands, ":INITiate:IMMediate:ALL" if both else f":INITiate{self._channels[0]}:IMMediate"])

    # ---- outputs and reports ------------------------------------------------------------------

    def set_output(self, channel: int, on: bool) -> None:
        self._link.set(OUTPUT, on, self._channel(channel))

    def output(self, channel: int) -> bool:
        return self._link.get(OUTPUT, self._channel(channel))

    def _channel(self, channel: int) -> int:
        if channel not in self._all_channels:
            raise LimitError(self.name, f"there is no channel {channel}", f"There are {self.capabilities.channels}.")
        return channel

    def safe_state(self) -> SafeState:
        """Playback aborted and outputs off; dark when every output is read back off."""
        self.stop()
        for channel in self._all_channels:
            self._link.set(OUTPUT, False, channel)
        on = {channel: self._link.get(OUTPUT, channel) for channel in self._all_channels}
        return SafeState(
            self.name,
            not any(on.values()),
            {f"output_{channel}": state for channel, state in on.items()},
            "an output is still on" if any(on.values()) else "",
        )

    def snapshot(self) -> Snapshot:
        link = self._link
        readings: dict[str, Scalar] = {"sample_rate_hz": link.get(SAMPLE_RATE, 1)}
        for channel in self._all_channels:
            readings[f"amplitude_{channel}_vpp"] = link.get(AMPLITUDE, channel)
            readings[f"offset_{channel}_v"] = link.get(OFFSET, channel)
            readings[f"function_{channel}"] = link.get(FUNCTION, channel)
            readings[f"waveform_{channel}"] = link.get(WAVEFORM, channel)
            readings[f"filter_{channel}"] = link.get(FILTER, channel)
            readings[f"trigger_source_{channel}"] = link.get(TRIGGER_SOURCE, channel)
            readings[f"output_{channel}"] = link.get(OUTPUT, channel)
        return readings

    def problems(self) -> Sequence[str]:
        return self._link.problems()
