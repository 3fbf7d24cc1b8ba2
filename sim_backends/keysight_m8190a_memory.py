"""Waveform memory and sequence table of a simulated Keysight M8190A channel.

Keysight M8190A User's Guide (M8190-91030), chapter 8 "General Programming", :TRACe, :SEQuence and :STABle subsystems;
page 281 for the sample words.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim_backends.state import Playback
from sim_backends.status import ScpiError

#: Per channel, without option 02G.
MEMORY_WORDS: Final = 128 << 20
MAX_SEGMENTS: Final = 524_288
TABLE_LENGTH: Final = 524_287
WHOLE_SEGMENT: Final = 0xFFFF_FFFF

# Control word of a sequence table entry.
COMMAND_ENTRY: Final = 1 << 31
LAST_OF_SEQUENCE: Final = 1 << 30
LAST_OF_SCENARIO: Final = 1 << 29
FIRST_OF_SEQUENCE: Final = 1 << 28
SEGMENT_ADVANCE: Final = 0xF << 16
SEQUENCE_ADVANCE: Final = 0xF << 20

#: The front end unrolls sequences of several entries; longer ones are refused instead of filling the computer's memory.
MAX_UNROLLED_SAMPLES: Final = 1 << 26
MAX_LOOPS: Final = 0xFFFF_FFFF

_versions = itertools.count(1)


@dataclass(frozen=True)
class SampleFormat:
    """How ``:TRACe:DWIDth`` cuts a 16-bit word: DAC code above ``shift`` marker bits, +-``code_max`` full scale.

    ``granularity`` and ``minimum``: of a segment's length in samples (I/Q pairs when ``interpolated``).
    """

    name: str
    shift: int
    code_max: int
    granularity: int
    minimum: int
    interpolated: bool = False

    @property
    def words_per_sample(self) -> int:
        return 2 if self.interpolated else 1


FORMATS: Final = {
    sample_format.name: sample_format
    for sample_format in (
        SampleFormat("WSP", 4, 2047, 64, 320),
        SampleFormat("WPR", 2, 8191, 48, 240),
        SampleFormat("INTX3", 1, 16383, 24, 120, interpolated=True),
        SampleFormat("INTX12", 1, 16383, 24, 120, interpolated=True),
        SampleFormat("INTX24", 1, 16383, 24, 120, interpolated=True),
        SampleFormat("INTX48", 1, 16383, 24, 120, interpolated=True),
    )
}


class Segment:
    """One waveform: 16-bit words as they were sent, marker bits included.

    What it plays is decoded once and kept until the next word is written.
    """

    def __init__(self, words: NDArray[np.int16]) -> None:
        self.name = ""
        self.comment = ""
        self._words = words
        self._codes: NDArray[np.int16] | None = None
        self._shift = 0
        self._playbacks: dict[tuple[int, int, int], Playback] = {}
        self.version = next(_versions)

    def __len__(self) -> int:
        return len(self._words)

    def write(self, offset: int, words: NDArray[np.int16]) -> None:
        """Overwrite from word ``offset`` on: the only copy made of the sender's samples."""
        if not 0 <= offset <= len(self._words):
            raise ScpiError(-222, f"offset {offset} of a segment of {len(self._words)} words")
        if offset + len(words) > len(self._words):
            raise ScpiError(-223)
        self._words[offset : offset + len(words)] = words
        self._codes = None
        self._playbacks.clear()
        self.version = next(_versions)

    def read(self, offset: int, length: int) -> NDArray[np.int16]:
        """``length`` words from ``offset`` on."""
        if offset < 0 or length < 0 or offset + length > len(self._words):
            raise ScpiError(-222, f"{length} words at {offset} of a segment of {len(self._words)}")
        return self._words[offset : offset + length]

    def codes(self, shift: int) -> NDArray[np.int16]:
        """DAC codes without the ``shift`` marker bits; never written to afterwards."""
        if self._codes is None or shift != self._shift:
            self._codes = np.right_shift(self._words, shift)
            self._codes.flags.writeable = False
            self._shift = shift
            self._playbacks.clear()
        return self._codes

    def playback(self, shift: int, loops: int, start: int = 0, end: int = WHOLE_SEGMENT) -> Playback:
        """Samples ``start`` to ``end`` (inclusive) ``loops`` times; the same object until the content changes."""
        codes = self.codes(shift)
        key = (loops, start, end)
        playback = self._playbacks.get(key)
        if playback is None:
            last = len(codes) - 1 if end == WHOLE_SEGMENT else end
            if not 0 <= start <= last < len(codes):
                raise ScpiError(-222, f"samples {start} to {last} of a segment of {len(codes)}")
            part = codes if last - start + 1 == len(codes) else codes[start : last + 1]
            playback = self._playbacks[key] = Playback(part, loops, next(_versions))
        return playback


class SegmentMemory:
    """All segments of one channel, by number."""

    def __init__(self) -> None:
        self._segments: dict[int, Segment] = {}
        self.used_words = 0

    def __contains__(self, number: int) -> bool:
        return number in self._segments

    def __getitem__(self, number: int) -> Segment:
        segment = self._segments.get(number)
        if segment is None:
            raise ScpiError(-222, f"segment {number} is not defined")
        return segment

    def define(self, number: int, samples: int, init: int, sample_format: SampleFormat) -> None:
        """``:TRACe:DEFine``: a new segment filled with DAC code ``init``."""
        if not 1 <= number <= MAX_SEGMENTS:
            raise ScpiError(-222, f"segment {number}, 1 to {MAX_SEGMENTS}")
        if number in self._segments:
            raise ScpiError(-221, f"segment {number} exists")
        if samples < sample_format.minimum or samples % sample_format.granularity:
            raise ScpiError(
                -222,
                f"length {samples}: at least {sample_format.minimum}, multiple of {sample_format.granularity}",
            )
        if not -sample_format.code_max - 1 <= init <= sample_format.code_max:
            raise ScpiError(-222, f"init value {init}")
        words = samples * sample_format.words_per_sample
        if words > MEMORY_WORDS - self.used_words:
            raise ScpiError(-225, "Out of memory")
        self.used_words += words
        self._segments[number] = Segment(np.full(words, init << sample_format.shift, dtype=np.int16))

    def define_new(self, samples: int, init: int, sample_format: SampleFormat) -> int:
        """``:TRACe:DEFine:NEW?``: the lowest free number."""
        number = next(n for n in itertools.count(1) if n not in self._segments)
        self.define(number, samples, init, sample_format)
        return number

    def delete(self, number: int) -> None:
        """``:TRACe:DELete``."""
        self.used_words -= len(self[number])
        del self._segments[number]

    def delete_all(self) -> None:
        """``:TRACe:DELete:ALL``."""
        self._segments.clear()
        self.used_words = 0

    def numbers(self) -> list[int]:
        """Of the segments there are, in order."""
        return sorted(self._segments)


class Entry(NamedTuple):
    """One entry of the sequence table: six unsigned words.

    Data entry: control, sequence loops, segment loops, segment, start, end. Idle entry (``COMMAND_ENTRY``): control,
    sequence loops, command code 0, idle DAC code, idle samples, 0.
    """

    control: int = 0
    sequence_loops: int = 0
    segment_loops: int = 0
    segment: int = 0
    start: int = 0
    end: int = 0

    @property
    def advances_by_itself(self) -> bool:
        return not self.control & (SEGMENT_ADVANCE | SEQUENCE_ADVANCE)


class SequenceTable:
    """``:STABle``: what plays after what."""

    def __init__(self, memory: SegmentMemory) -> None:
        self._memory = memory
        self._entries: dict[int, Entry] = {}
        self._unrolled: dict[int, tuple[object, Playback]] = {}

    def reset(self) -> None:
        """``:STABle:RESet``."""
        self._entries.clear()
        self._unrolled.clear()

    def write(self, index: int, words: list[int]) -> None:
        """Entries from ``index`` on, six words each."""
        if not words or len(words) % 6:
            raise ScpiError(-220, f"{len(words)} words, six make an entry")
        if not 0 <= index <= TABLE_LENGTH - len(words) // 6:
            raise ScpiError(-222, f"table index {index}")
        if any(not 0 <= word <= 0xFFFF_FFFF for word in words):
            raise ScpiError(-222, "a table word has 32 bits")
        for number, at in enumerate(range(0, len(words), 6)):
            self._entries[index + number] = Entry(*words[at : at + 6])

    def read(self, index: int, words: int) -> list[int]:
        """``words`` words from entry ``index`` on; entries never written are zero."""
        if words < 0 or not 0 <= index <= TABLE_LENGTH - -(-words // 6):
            raise ScpiError(-222, f"{words} words at table index {index}")
        found: list[int] = []
        for number in range(-(-words // 6)):
            found.extend(self._entries.get(index + number, Entry()))
        return found[:words]

    def free_index(self, length: int) -> int:
        """Where ``length`` consecutive entries are unused."""
        index = max(self._entries, default=-1) + 1
        if index + length > TABLE_LENGTH:
            raise ScpiError(-225, "Out of memory")
        return index

    def remove(self, index: int, length: int) -> None:
        """Forget ``length`` entries."""
        for at in range(index, index + length):
            self._entries.pop(at, None)

    def sequence(self, index: int, *, endless: bool, shift: int) -> Playback:
        """What one start of the sequence at ``index`` plays, or plays over and over when ``endless``."""
        entry = self._entries.get(index)
        if entry is None:
            raise ScpiError(-221, f"sequence table entry {index} is not defined")
        single = FIRST_OF_SEQUENCE | LAST_OF_SEQUENCE
        if entry.control & single == single and not entry.control & COMMAND_ENTRY:
            loops = 0 if endless or _conditional(entry) else _loops(entry)
            return self._memory[entry.segment].playback(shift, loops, entry.start, entry.end)
        entries = list(self._until(index, LAST_OF_SEQUENCE))
        loops = 0 if endless else max(entry.sequence_loops, 1)
        return self._unroll(index, [(1, entries)], loops, shift)

    def scenario(self, index: int, loops: int, shift: int) -> Playback:
        """The sequences from ``index`` to the scenario's end, ``loops`` times."""
        sequences: list[tuple[int, list[Entry]]] = []
        current: list[Entry] = []
        for entry in self._until(index, LAST_OF_SCENARIO):
            current.append(entry)
            if entry.control & (LAST_OF_SEQUENCE | LAST_OF_SCENARIO):
                sequences.append((max(current[0].sequence_loops, 1), current))
                current = []
        return self._unroll(index, sequences, loops, shift)

    def _until(self, index: int, last: int) -> Iterator[Entry]:
        while True:
            entry = self._entries.get(index)
            if entry is None:
                raise ScpiError(-221, f"sequence table entry {index} is not defined")
            yield entry
            if entry.control & last:
                return
            index += 1

    def _unroll(self, index: int, sequences: list[tuple[int, list[Entry]]], loops: int, shift: int) -> Playback:
        entries = [entry for _, sequence in sequences for entry in sequence]
        if not all(entry.advances_by_itself for entry in entries):
            raise ScpiError(-221, "advance by event inside a sequence is not simulated")
        versions = [0 if entry.control & COMMAND_ENTRY else self._memory[entry.segment].version for entry in entries]
        key = (entries, [count for count, _ in sequences], versions, loops, shift)
        known = self._unrolled.get(index)
        if known is not None and known[0] == key:
            return known[1]
        total = sum(count * sum(self._samples(entry) for entry in sequence) for count, sequence in sequences)
        if total > MAX_UNROLLED_SAMPLES:
            raise ScpiError(-225, f"Out of memory: {total} samples to unroll")
        codes = np.concatenate(
            [
                np.tile(np.concatenate([self._part(entry, shift) for entry in sequence]), count)
                for count, sequence in sequences
            ]
        )
        codes.flags.writeable = False
        playback = Playback(codes, loops, next(_versions))
        self._unrolled[index] = (key, playback)
        return playback

    def _samples(self, entry: Entry) -> int:
        if entry.control & COMMAND_ENTRY:
            return entry.start
        end = len(self._memory[entry.segment]) - 1 if entry.end == WHOLE_SEGMENT else entry.end
        return (end - entry.start + 1) * max(entry.segment_loops, 1)

    def _part(self, entry: Entry, shift: int) -> NDArray[np.int16]:
        if entry.control & COMMAND_ENTRY:
            if entry.segment_loops:
                raise ScpiError(-221, f"command code {entry.segment_loops} is not simulated")
            level = np.array(entry.segment & 0xFFFF, dtype=np.uint16).astype(np.int16)
            return np.full(entry.start, level, dtype=np.int16)
        playback = self._memory[entry.segment].playback(shift, 1, entry.start, entry.end)
        return np.tile(playback.codes, max(entry.segment_loops, 1))


class Sequences:
    """``:SEQuence``: sequences by number, which is where they begin in the sequence table."""

    def __init__(self, table: SequenceTable) -> None:
        self._table = table
        self._lengths: dict[int, int] = {}

    def define_new(self, steps: int) -> int:
        """``:SEQuence:DEFine:NEW?``: the number of a new sequence of ``steps`` steps."""
        if steps < 1:
            raise ScpiError(-222, f"{steps} steps")
        number = self._table.free_index(steps)
        self._lengths[number] = steps
        self._table.write(number, [0] * (6 * steps))
        return number

    def write(self, number: int, step: int, words: list[int]) -> None:
        """``:SEQuence:DATA``: from ``step`` on, six words each: segment, loops, advance, marker, start, end."""
        steps = self._steps(number)
        if not words or len(words) % 6:
            raise ScpiError(-220, f"{len(words)} words, six make a step")
        if not 0 <= step <= steps - len(words) // 6:
            raise ScpiError(-223)
        for at in range(0, len(words), 6):
            segment, loops, advance, marker, start, end = words[at : at + 6]
            first, last = step == 0, step == steps - 1
            control = advance << 16 | (marker & 1) << 24
            control |= first * FIRST_OF_SEQUENCE | last * LAST_OF_SEQUENCE
            self._table.write(number + step, [control, 1 if first else 0, loops, segment, start, end])
            step += 1

    def delete(self, number: int) -> None:
        """``:SEQuence:DELete``."""
        self._table.remove(number, self._steps(number))
        del self._lengths[number]

    def delete_all(self) -> None:
        """``:SEQuence:DELete:ALL``."""
        for number in list(self._lengths):
            self.delete(number)

    def catalogue(self) -> list[tuple[int, int]]:
        """Number and steps of each."""
        return sorted(self._lengths.items())

    def _steps(self, number: int) -> int:
        if number not in self._lengths:
            raise ScpiError(-222, f"sequence {number} is not defined")
        return self._lengths[number]


def _conditional(entry: Entry) -> bool:
    """Repeats until an advance event: 1 in the segment's or the sequence's advance mode."""
    return 1 in ((entry.control >> 16) & 0xF, (entry.control >> 20) & 0xF)


def _loops(entry: Entry) -> int:
    """Repetitions by one trigger of a sequence of one entry; advance mode single plays one of them."""
    if 3 in ((entry.control >> 16) & 0xF, (entry.control >> 20) & 0xF):
        return 1
    loops = max(entry.segment_loops, 1) * max(entry.sequence_loops, 1)
    if loops > MAX_LOOPS:
        raise ScpiError(-222, f"{loops} repetitions")
    return loops
