"""The random draws of one shot: independent streams that follow from seed, draw key and count alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


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


@dataclass(frozen=True)
class Draws:
    """``count``: how many shots were made since ``key`` was set."""

    seed: int
    key: tuple[int, ...]
    count: int

    def generator(self, stream: Stream) -> np.random.Generator:
        """A generator at the beginning of a stream."""
        sequence = np.random.SeedSequence(self.seed, spawn_key=(stream, self.count, len(self.key), *self.key))
        return np.random.Generator(np.random.SFC64(sequence))
