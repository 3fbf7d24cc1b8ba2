"""Bright light through the client and back: what most procedures measure.

Rows come in threes: a field, the same a quarter turn later, and none. Squares of the first two less that of the third
are the signal's power whatever its phase does; the third alone is the noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from labctl.calibration.modulator import FIELD
from labctl.calibration.result import Double
from labctl.calibration.rig import SLOTS, Complex, LoopVolts, Rig
from labctl.calibration.statistics import BLOCKS, Moments
from labctl.optics.iq import IqModulator

#: Threes of rows in one shot.
THREES: Final = 40 * BLOCKS
#: Most of them in one shot: an abort does not wait long.
MOST: Final = 40 * BLOCKS


@dataclass(frozen=True, eq=False)
class Probe:
    """Block by block, volts. ``server_power``: (blocks, SLOTS), of signal X² + P² for FIELD; ``server_field``: complex
    mean; ``server_none``: that of the rows without light; ``server_spread``: (blocks, SLOTS), variance across the mean
    field's direction less noise, over its square; ``client_power``: (blocks,); ``client_field``: complex;
    ``client_noise``: variance of the rows without light.
    """

    server_power: Double
    server_field: Complex
    server_none: Complex
    server_spread: Double
    client_power: Double
    client_field: Complex
    client_noise: Double

    def moments(self, prefix: str = "") -> Moments:
        """For the jackknife."""
        return {f"{prefix}{name}": value for name, value in vars(self).items()}


def probe(rig: Rig, model: IqModulator, loop: LoopVolts, threes: int | None = None) -> Probe:
    """All slots lit alike; the signal must be let out. ``threes``: a multiple of the blocks and of the shots."""
    threes = threes or THREES
    volts_i, volts_q = lit_rows(model, np.ones((1, SLOTS)))
    parts = -(-threes // MOST)
    shots = [rig.shoot(volts_i, volts_q, threes // parts, loop) for _ in range(parts)]
    server = np.concatenate([shot.server for shot in shots]).reshape(BLOCKS, -1, 3, SLOTS)
    client = np.concatenate([shot.client for shot in shots]).reshape(BLOCKS, -1, 3)
    square = (np.abs(server) ** 2).mean(axis=1)
    means = server.mean(axis=1)
    field = (means[:, 0] - 1j * means[:, 1]) / 2 - (1 - 1j) / 2 * means[:, 2]
    squares = (client**2).mean(axis=1)
    first = client.mean(axis=1)
    return Probe(
        server_power=(square[:, 0] + square[:, 1]) / 2 - square[:, 2],
        server_field=field,
        server_none=means[:, 2],
        server_spread=_spread(server),
        client_power=squares[:, 0] + squares[:, 1] - 2 * squares[:, 2],
        client_field=first[:, 0] - first[:, 2] - 1j * (first[:, 1] - first[:, 2]),
        client_noise=client[:, :, 2].var(axis=1, ddof=1),
    )


def lit_rows(model: IqModulator, lit: Double) -> tuple[Double, Double]:
    """Voltages for three rows for each row of ``lit``, shape (rows, SLOTS), of 0 and 1: see the module."""
    here, later, none = (model.volts(field) for field in (FIELD + 0j, 1j * FIELD, 0j))
    parts = []
    for arm in (0, 1):
        bright = np.stack([none[arm] + lit * (point[arm] - none[arm]) for point in (here, later, none)], axis=1)
        parts.append(bright.reshape(-1, lit.shape[1]))
    return parts[0], parts[1]


def _spread(server: Complex) -> Double:
    """Phase variance by slot: of what stands across the mean field, less the noise, relative to the field's square."""
    overall = server.mean(axis=(0, 1))
    found = []
    for row in (0, 1):
        mean = overall[row] - overall[2]
        turn = np.conj(mean) / np.abs(mean)
        across = ((server[:, :, row] - overall[2]) * turn).imag
        noise = ((server[:, :, 2] - overall[2]) * turn).imag
        found.append(((across**2).mean(axis=1) - (noise**2).mean(axis=1)) / np.abs(mean) ** 2)
    return np.asarray((found[0] + found[1]) / 2)
