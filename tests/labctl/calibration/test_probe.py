"""What a probe makes of records: here of noise alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from labctl.calibration.probe import probe
from labctl.calibration.rig import SLOTS, Shot
from labctl.calibration.statistics import BLOCKS
from labctl.optics.iq import IqModulator

PERFECT = IqModulator(0.35, 0.35, 0.0, 0.0, 0.0, 1.0, 0.0)
SIGMA = 0.02


class NoiseOnly:
    """A rig whose receivers see nothing but noise."""

    def __init__(self) -> None:
        self._generator = np.random.default_rng(6)

    def shoot(self, volts_i: np.ndarray, volts_q: np.ndarray, loops: int, loop: object) -> Shot:
        rows = len(volts_i) * loops
        server, client = (self._generator.normal(0, SIGMA, size) for size in ((2, rows, SLOTS), rows))
        return Shot(server[0] + 1j * server[1], client)


def test_the_noise_of_short_blocks_is_not_too_small() -> None:
    """Of 4 rows a block the mean square about their own mean has 3/4 of the variance. Over 800 blocks the error is 3 %,
    so that chance comes 0.15 off once in 10^6.
    """
    rig: Any = NoiseOnly()
    loop: Any = None
    seen = [probe(rig, PERFECT, loop, 4 * BLOCKS).client_noise for _ in range(40)]
    assert abs(float(np.mean(seen)) / SIGMA**2 - 1) < 0.15
