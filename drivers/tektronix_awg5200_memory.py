"""What a Tektronix AWG5200's lists hold, in step with what is sent: segments, the waveforms made of them, sequences.

A segment shorter than the instrument's shortest waveform is sent several times in one waveform, as often as the
smallest divisor of the number of loops allows; where even all loops are too short, silence follows. Nothing here talks
to the instrument: methods return the commands, each ended with ";", and what will be true when they have been obeyed is
noted by :meth:`WaveformMemory.note`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.connection import Part
from drivers.scpi import block_header
from labctl.errors import LimitError
from labctl.values import GeneratorCapabilities

SAMPLES: Final = np.dtype("<f4")
MAX_LOOPS: Final = 1_048_576
MAX_SEGMENTS: Final = 10_000
#: So many samples from the beginning of a segment on are marked, or half of it.
MARKED: Final = 64
ALL_MARKERS: Final = b"\xf0"

Codes = NDArray[np.int16]


@dataclass(frozen=True)
class Held:
    """A segment as it was loaded; ``version`` tells one content from the next."""

    codes: Codes
    version: int


@dataclass(frozen=True)
class Plan:
    """``tiles`` copies of a segment (and silence up to ``total`` samples) in one waveform, played ``repeats`` times.

    ``series`` tells names apart that were used before and after a message of doubtful outcome.
    """

    segment: int
    length: int
    tiles: int
    total: int
    repeats: int
    series: int

    @property
    def sequence(self) -> str:
        """The sequence's name; empty where the waveform itself is played, once."""
        return f"s{self.series}_{self.segment}_{self.total}_{self.repeats}" if self.repeats > 1 else ""

    def waveform(self, channel: int) -> str:
        """Its name in the waveform list: one for each length that a segment is played with."""
        return f"c{self.series}_{channel}_{self.segment}_{self.total}"


@dataclass
class _News:
    """True once the message has been obeyed."""

    held: dict[tuple[int, int], Held] = field(default_factory=dict)
    waveforms: dict[str, tuple[Plan, int]] = field(default_factory=dict)
    waits: dict[str, str] = field(default_factory=dict)


class WaveformMemory:
    """``channels``: those that play together. ``min_length``: samples of the shortest waveform."""

    def __init__(
        self, name: str, channels: tuple[int, ...], capabilities: GeneratorCapabilities, min_length: int
    ) -> None:
        self._name = name
        self._channels = channels
        self._limits = capabilities
        self._min_length = min_length
        self._version = 0
        self._series = 0
        self._held: dict[tuple[int, int], Held] = {}  # (channel, segment)
        self._waveforms: dict[str, tuple[Plan, int]] = {}  # name: how it was made, version
        self._waits: dict[str, str] = {}  # sequence: what its step waits for
        self._news = _News()

    def note(self) -> None:
        """What was asked for since the last :meth:`begin` is in the instrument now."""
        self._held |= self._news.held
        self._waveforms |= self._news.waveforms
        self._waits |= self._news.waits
        self._news = _News()

    def doubt(self) -> None:
        """What was asked for may have been done in part: everything is sent anew, under names not used yet."""
        self._series += 1
        self._waveforms.clear()
        self._waits.clear()
        self._news = _News()

    def begin(self, segment: int, codes: Mapping[int, Codes]) -> None:
        """New content for a segment, perhaps none. Raises LimitError.

        It is copied: a short segment is sent again when it is played another number of times.
        """
        self._news = _News()
        if not 1 <= segment <= MAX_SEGMENTS:
            raise LimitError(self._name, f"segment {segment}", f"Use 1 to {MAX_SEGMENTS}.")
        for channel, samples in codes.items():
            self._check(f"segment {segment} of channel {channel}", channel, samples)
        self._version += 1
        for channel, samples in codes.items():
            self._news.held[channel, segment] = Held(samples.copy(), self._version)

    def _check(self, where: str, channel: int, samples: Codes) -> None:
        limits = self._limits
        if channel not in self._channels:
            raise LimitError(self._name, f"{where}: this channel has not been configured")
        if samples.dtype != np.int16 or samples.ndim != 1:
            raise LimitError(self._name, f"{where}: samples must be int16 of shape (N,)")
        if len(samples) < limits.min_length or len(samples) % limits.granularity:
            raise LimitError(
                self._name,
                f"{where}: {len(samples)} samples",
                f"Use a multiple of {limits.granularity}, at least {limits.min_length}.",
            )
        if samples.min() < limits.code_min or samples.max() > limits.code_max:
            raise LimitError(
                self._name,
                f"{where}: codes from {samples.min()} to {samples.max()}",
                f"Keep codes within {limits.code_min} to {limits.code_max}.",
            )

    def _segment(self, channel: int, segment: int) -> Held | None:
        return self._news.held.get((channel, segment)) or self._held.get((channel, segment))

    def plan(self, segment: int, loops: int) -> Plan:
        """How all channels play it. Raises LimitError when it is not there, or not of one length."""
        known = {n: self._segment(n, segment) for n in self._channels}
        missing = [n for n, held in known.items() if held is None]
        if missing:
            raise LimitError(self._name, f"segment {segment} is not loaded on channels {missing}", "Load it first.")
        lengths = {len(held.codes) for held in known.values() if held is not None}
        if len(lengths) != 1:
            raise LimitError(
                self._name, f"segment {segment} has {sorted(lengths)} samples on its channels", "Load it anew."
            )
        return self._planned(segment, lengths.pop(), loops)

    def _planned(self, segment: int, length: int, loops: int) -> Plan:
        if not 1 <= loops <= MAX_LOOPS:
            raise LimitError(self._name, f"{loops} loops", f"Use 1 to {MAX_LOOPS}.")
        if length >= self._min_length:
            return Plan(segment, length, 1, length, loops, self._series)
        least = -(-self._min_length // length)
        tiles = next((tiles for tiles in range(least, loops + 1) if loops % tiles == 0), loops)
        total = max(self._min_length, tiles * length)
        return Plan(segment, length, tiles, total, loops // tiles, self._series)

    def new_waveforms(self, segment: int) -> list[Part]:
        """Commands that bring the segment's new content into the list, as it is played once."""
        parts: list[Part] = []
        for (channel, _), held in self._news.held.items():
            parts += self._waveform(channel, held, self._planned(segment, len(held.codes), 1))
        return parts

    def waveforms(self, plan: Plan) -> list[Part]:
        """Commands that bring the waveforms of ``plan`` into the list, as far as they are not there."""
        parts: list[Part] = []
        for channel in self._channels:
            held = self._segment(channel, plan.segment)
            assert held is not None  # plan() has looked
            parts += self._waveform(channel, held, plan)
        return parts

    def _waveform(self, channel: int, held: Held, plan: Plan) -> list[Part]:
        name, made = plan.waveform(channel), (plan.length, plan.tiles, held.version)
        known = self._waveforms.get(name)
        if known is not None and made == (known[0].length, known[0].tiles, known[1]):
            return []
        parts: list[Part] = []
        if known is None:
            self._check_room(plan.total)
            parts = [f':WLISt:WAVeform:NEW "{name}",{plan.total},REAL;']
        if known is None or made[:2] != (known[0].length, known[0].tiles):
            parts += self._markers(name, plan)
        self._news.waveforms[name] = plan, held.version
        played = plan.tiles * plan.length
        volts = np.empty(plan.total, SAMPLES)
        volts[:played].reshape(plan.tiles, plan.length)[:] = held.codes / np.float32(self._limits.code_max)
        volts[played:] = 0
        parts += [f':WLISt:WAVeform:DATA "{name}",0,{plan.total},', block_header(volts.nbytes)]
        return [*parts, volts.data.cast("B"), ";"]

    @staticmethod
    def _markers(name: str, plan: Plan) -> list[Part]:
        """Every copy of the segment begins with a marker."""
        high = min(MARKED, plan.length // 2)
        marks = (ALL_MARKERS * high).ljust(plan.length, b"\0") * plan.tiles
        marks = marks.ljust(plan.total, b"\0")
        return [f':WLISt:WAVeform:MARKer:DATA "{name}",0,{plan.total},', block_header(len(marks)), marks, ";"]

    def _check_room(self, samples: int) -> None:
        used = sum(plan.total for plan, _ in (self._waveforms | self._news.waveforms).values())
        if used + samples > self._limits.memory_samples:
            raise LimitError(
                self._name,
                f"{samples} samples more do not fit into the waveform list",
                "Configure the generator again, which empties it, or play a number of rows with small divisors.",
            )

    def sequence(self, plan: Plan, wait: str, then: str) -> list[Part]:
        """Commands that make the sequence of ``plan``: one step, which waits for ``wait`` and goes on with ``then``."""
        name = plan.sequence
        known = self._waits.get(name)
        if known == wait:
            return []
        parts: list[Part] = []
        if known is None:
            parts.append(f':SLISt:SEQuence:NEW "{name}",1,{len(self._channels)};')
            step = ":SLISt:SEQuence:STEP1"
            for track, channel in enumerate(self._channels, start=1):
                parts.append(f'{step}:TASSet{track}:WAVeform "{name}","{plan.waveform(channel)}";')
            parts.append(f'{step}:RCOunt "{name}",{plan.repeats};{step}:GOTO "{name}",{then};')
        self._news.waits[name] = wait
        return [*parts, f':SLISt:SEQuence:STEP1:WINPut "{name}",{wait};']
