"""Segments, sequence table and what they play."""

from __future__ import annotations

import numpy as np
import pytest

from sim_backends.keysight_m8190a_memory import (
    COMMAND_ENTRY,
    FIRST_OF_SEQUENCE,
    FORMATS,
    LAST_OF_SCENARIO,
    LAST_OF_SEQUENCE,
    WHOLE_SEGMENT,
    SegmentMemory,
    Sequences,
    SequenceTable,
)
from sim_backends.status import ScpiError

WPR = FORMATS["WPR"]
WSP = FORMATS["WSP"]
ALONE = FIRST_OF_SEQUENCE | LAST_OF_SEQUENCE


def words(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-32768, 32768, count).astype(np.int16)


@pytest.fixture
def memory() -> SegmentMemory:
    memory = SegmentMemory()
    for number in (1, 2):
        memory.define(number, 240, 0, WPR)
        memory[number].write(0, words(240, number))
    return memory


def test_segments_are_kept_word_by_word(memory: SegmentMemory) -> None:
    assert np.array_equal(memory[1].read(0, 240), words(240, 1))
    memory[1].write(100, words(3, 9))
    assert np.array_equal(memory[1].read(100, 3), words(3, 9))
    assert np.array_equal(memory[1].read(103, 137), words(240, 1)[103:])


def test_init_value_is_a_dac_code() -> None:
    memory = SegmentMemory()
    memory.define(7, 240, -3, WPR)
    assert set(memory[7].codes(WPR.shift).tolist()) == {-3}
    assert set(memory[7].read(0, 240).tolist()) == {-12}


@pytest.mark.parametrize(("sample_format", "code_max"), [(WPR, 8191), (WSP, 2047)])
def test_marker_bits_are_cut_off(sample_format, code_max) -> None:
    memory = SegmentMemory()
    memory.define(1, 960, 0, sample_format)
    codes = np.random.default_rng(1).integers(-code_max - 1, code_max + 1, 960)
    markers = np.random.default_rng(2).integers(0, 1 << sample_format.shift, 960)
    memory[1].write(0, ((codes << sample_format.shift) | markers).astype(np.int16))
    assert np.array_equal(memory[1].codes(sample_format.shift), codes)
    assert sample_format.code_max == code_max


@pytest.mark.parametrize(
    ("number", "samples", "init", "code"),
    [
        (0, 240, 0, -222),
        (524_289, 240, 0, -222),
        (3, 192, 0, -222),  # below the minimum
        (3, 241, 0, -222),  # not a multiple
        (3, 240, 8192, -222),
        (1, 240, 0, -221),  # exists
        (3, 48 * 50_000_000, 0, -225),
    ],
)
def test_define_refuses(memory: SegmentMemory, number, samples, init, code) -> None:
    with pytest.raises(ScpiError) as refused:
        memory.define(number, samples, init, WPR)
    assert refused.value.code == code
    assert memory.numbers() == [1, 2]


def test_write_and_read_refuse_what_does_not_fit(memory: SegmentMemory) -> None:
    for offset, count, code in ((0, 241, -223), (239, 2, -223), (241, 1, -222), (-1, 1, -222)):
        with pytest.raises(ScpiError) as refused:
            memory[1].write(offset, words(count))
        assert refused.value.code == code
    with pytest.raises(ScpiError):
        memory[1].read(200, 41)
    with pytest.raises(ScpiError):
        memory[3].read(0, 1)
    assert np.array_equal(memory[1].read(0, 240), words(240, 1))


def test_deleted_memory_is_free_again(memory: SegmentMemory) -> None:
    assert memory.used_words == 480
    memory.delete(1)
    assert (memory.used_words, memory.numbers()) == (240, [2])
    assert memory.define_new(480, 0, WPR) == 1
    assert memory.define_new(480, 0, WPR) == 3
    memory.delete_all()
    assert (memory.used_words, memory.numbers()) == (0, [])


def test_playback_is_the_same_until_something_is_written(memory: SegmentMemory) -> None:
    first = memory[1].playback(2, 5)
    assert memory[1].playback(2, 5) is first
    other = memory[1].playback(2, 6)
    assert other.version != first.version
    before = first.codes.copy()
    memory[1].write(0, words(1, 77))
    second = memory[1].playback(2, 5)
    assert second.version > max(first.version, other.version)
    assert np.array_equal(first.codes, before), "what was played is not changed behind its reader"
    assert second.codes[0] == words(1, 77)[0] >> 2
    with pytest.raises(ValueError, match="read-only"):
        second.codes[0] = 0


def test_versions_are_unique_over_all_memories() -> None:
    seen = set()
    for _ in range(3):
        memory = SegmentMemory()
        memory.define(1, 240, 0, WPR)
        seen.add(memory[1].playback(2, 1).version)
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("sequence_loops", "segment_loops", "advance", "endless", "loops"),
    [
        (1, 50, 0, False, 50),
        (3, 50, 0, False, 150),
        (0, 0, 0, False, 1),
        (1, 50, 0, True, 0),
        (1, 50, 1 << 16, False, 0),  # conditional: until an event
        (1, 50, 2 << 16, False, 50),
        (1, 50, 3 << 16, False, 1),  # single: one per event
        (1, 50, 1 << 20, False, 0),
    ],
)
def test_sequence_of_one_entry(memory: SegmentMemory, sequence_loops, segment_loops, advance, endless, loops) -> None:
    table = SequenceTable(memory)
    table.write(4, [ALONE | advance, sequence_loops, segment_loops, 2, 0, WHOLE_SEGMENT])
    playback = table.sequence(4, endless=endless, shift=2)
    assert playback.loops == loops
    assert np.array_equal(playback.codes, words(240, 2) >> 2)


def test_part_of_a_segment(memory: SegmentMemory) -> None:
    table = SequenceTable(memory)
    table.write(0, [ALONE, 1, 2, 1, 48, 95])
    assert np.array_equal(table.sequence(0, endless=False, shift=2).codes, (words(240, 1) >> 2)[48:96])
    table.write(0, [ALONE, 1, 2, 1, 48, 240])
    with pytest.raises(ScpiError):
        table.sequence(0, endless=False, shift=2)


def test_several_entries_are_unrolled(memory: SegmentMemory) -> None:
    table = SequenceTable(memory)
    idle_code = 0xFFFF_FFFE  # -2
    table.write(0, [FIRST_OF_SEQUENCE, 4, 2, 1, 0, WHOLE_SEGMENT, COMMAND_ENTRY, 1, 0, idle_code, 480, 0])
    table.write(2, [LAST_OF_SEQUENCE, 0, 1, 2, 0, 47])
    playback = table.sequence(0, endless=False, shift=2)
    one, two = words(240, 1) >> 2, words(240, 2) >> 2
    assert playback.loops == 4
    assert np.array_equal(playback.codes, np.concatenate([one, one, np.full(480, -2), two[:48]]))
    assert table.sequence(0, endless=False, shift=2) is playback
    assert table.sequence(0, endless=True, shift=2).loops == 0
    memory[2].write(0, words(1, 5))
    assert table.sequence(0, endless=False, shift=2).version > playback.version


def test_scenario_is_a_chain_of_sequences(memory: SegmentMemory) -> None:
    table = SequenceTable(memory)
    table.write(0, [ALONE, 2, 1, 1, 0, WHOLE_SEGMENT])
    table.write(1, [ALONE | LAST_OF_SCENARIO, 1, 3, 2, 0, WHOLE_SEGMENT])
    one, two = words(240, 1) >> 2, words(240, 2) >> 2
    playback = table.scenario(0, 7, 2)
    assert playback.loops == 7
    assert np.array_equal(playback.codes, np.concatenate([one, one, two, two, two]))


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([FIRST_OF_SEQUENCE, 1, 1, 1, 0, WHOLE_SEGMENT], -221),  # never ends
        ([ALONE, 1, 1, 9, 0, WHOLE_SEGMENT], -222),  # no such segment
        ([FIRST_OF_SEQUENCE, 1, 1_000_000_000, 1, 0, WHOLE_SEGMENT, LAST_OF_SEQUENCE, 1, 1, 1, 0, 47], -225),
        ([FIRST_OF_SEQUENCE, 1, 1, 1, 0, 47, LAST_OF_SEQUENCE | 3 << 16, 1, 1, 1, 0, 47], -221),
        ([FIRST_OF_SEQUENCE | COMMAND_ENTRY, 1, 1, 0, 480, 0, LAST_OF_SEQUENCE, 1, 1, 1, 0, 47], -221),
    ],
)
def test_sequences_that_cannot_be_played(memory: SegmentMemory, entries, code) -> None:
    table = SequenceTable(memory)
    table.write(0, entries)
    with pytest.raises(ScpiError) as refused:
        table.sequence(0, endless=False, shift=2)
    assert refused.value.code == code


def test_table_reads_back_and_refuses(memory: SegmentMemory) -> None:
    table = SequenceTable(memory)
    table.write(3, [1, 2, 3, 4, 5, 6])
    assert table.read(3, 6) == [1, 2, 3, 4, 5, 6]
    assert table.read(2, 8) == [0, 0, 0, 0, 0, 0, 1, 2]
    for index, entry in ((0, [1, 2, 3]), (524_287, [0] * 6), (-1, [0] * 6), (0, [0, 0, 0, 0, 0, 1 << 32])):
        with pytest.raises(ScpiError):
            table.write(index, entry)


def test_sequences_by_steps(memory: SegmentMemory) -> None:
    table = SequenceTable(memory)
    sequences = Sequences(table)
    number = sequences.define_new(2)
    sequences.write(number, 0, [1, 2, 0, 1, 0, WHOLE_SEGMENT, 2, 1, 0, 0, 0, 47])
    one, two = words(240, 1) >> 2, words(240, 2) >> 2
    assert np.array_equal(table.sequence(number, endless=True, shift=2).codes, np.concatenate([one, one, two[:48]]))
    assert sequences.catalogue() == [(number, 2)]
    assert sequences.define_new(1) == number + 2
    with pytest.raises(ScpiError) as refused:
        sequences.write(number, 2, [0] * 6)
    assert refused.value.code == -223
    sequences.delete_all()
    assert sequences.catalogue() == []
    with pytest.raises(ScpiError):
        table.sequence(number, endless=True, shift=2)
