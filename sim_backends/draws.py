"""The random draws of one shot: independent streams that follow from seed, draw key and count alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray


class Stream(IntEnum):
    """Whose draws they are; streams do not know of each other, so that it does not matter who looks first."""

    TAPPED_MODE = 0
    RETURNED_X = 2
    RETURNED_P = 3
    #: What each receiver sees beside the shot's light: vacuum, or its own electronics.
    CLIENT_ELSE = 1
    SERVER_X_ELSE = 4
    SERVER_P_ELSE = 5
    #: The attacker's own noise and choices.
    ATTACKER = 6
    #: Phase and intensity of the laser.
    LASER = 7
    #: The server's receiver sample by sample, and the returned light's noise beyond vacuum.
    WAVEFORM = 8
    RETURNED_EXCESS = 9


#: What SFC64 is seeded with.
WORDS = 3


class _Seed(ISeedSequence):
    """Words that were made already."""

    def __init__(self, words: NDArray[np.uint64]) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[Any]:
        if n_words != len(self._words) or np.dtype(dtype) != self._words.dtype:
            raise ValueError(f"{n_words} words of {dtype} are not what was made")
        return self._words


@dataclass(frozen=True)
class Draws:
    """``count``: how many shots were made since ``key`` was set."""

    seed: int
    key: tuple[int, ...]
    count: int

    @cached_property
    def _words(self) -> NDArray[np.uint64]:
        """One hash for all streams, shape (streams, WORDS): hashing is what takes long."""
        sequence = np.random.SeedSequence(self.seed, spawn_key=(self.count, len(self.key), *self.key))
        words = sequence.generate_state(len(Stream) * WORDS, np.uint64)
        return np.asarray(words, dtype=np.uint64).reshape(-1, WORDS)

    def generator(self, stream: Stream) -> np.random.Generator:
        """A generator at the beginning of a stream."""
        # SFC64 takes any ISeedSequence; numpy's stubs do not know.
        seed = cast(np.random.SeedSequence, _Seed(self._words[stream]))
        return np.random.Generator(np.random.SFC64(seed))
