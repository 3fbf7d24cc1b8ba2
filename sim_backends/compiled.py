"""Every received quadrature of a shot in compiled code: the same light as :mod:`sim_backends.physics`, drawn otherwise.

Where the plain way goes over the plane six times, this makes row after row while it is in the cache: random words, the
bins' vacuum from them, its part in the collected mode, and the row with means and the right noise in that mode. Bins
are vector lanes: each has a generator of its own (Doty-Humphrey's 32-bit SFC, with the row as its counter), whose state
is drawn from the shot's streams, amplitude from X's and phase from P's. Box and Muller's transform makes both
quadratures of a bin from two 32-bit words: 6.6 standard deviations at most, resolved to 2^-22.

Needs numba (the extra ``accel``). The first shot of a process loads or makes the machine code; it is kept beside the
package, or where ``NUMBA_CACHE_DIR`` says.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labctl.errors import ConfigError
from sim_backends.physics import Double, Float, Generators, aligned

#: Bins are filled up to whole vectors of the widest machines, two at a time.
LANES: Final = 32
#: Longer rows, which no generator plays, are not worth a generator a bin.
MOST_BINS: Final = 1 << 14
KERNEL: Final = "sim_backends.compiled_kernel:received_rows"


def require_numba(where: str) -> None:
    """Raise ConfigError where numba is not installed; ``where``: file and key that ask for it."""
    if find_spec("numba") is None:
        raise ConfigError(
            f"{where}: noise = 'compiled' needs the package numba, which is not installed",
            "Install it (pip install 'labctl[accel]'), or use noise = 'table'.",
        )


@cache
def _kernel() -> Any:
    try:
        return resolve_name(KERNEL)
    except RuntimeError as error:
        raise ConfigError(
            f"numba finds no place for its machine code: {error}",
            "Set NUMBA_CACHE_DIR to a folder that can be written, or use noise = 'table'.",
        ) from error


def covers(plane: Float) -> bool:
    """Whether rows are short enough."""
    return bool(plane.shape[2] <= MOST_BINS)


def seed(states: NDArray[np.uint32], generators: Generators) -> None:
    """Fill the states (a, b, c) of the lanes' generators, shape (2, 3, lanes): for amplitudes from the first stream,
    for phases from the second.
    """
    for own, generator in zip(states.reshape(2, -1), generators, strict=True):
        own[:] = generator.bit_generator.random_raw(-(-own.size // 2)).view(np.uint32)[: own.size]


def receive(
    generators: Generators, out: Float, mean: Float, basis: Float, in_mode: Double, isotropic_variance: float
) -> Double:
    """Draw a plane as ``vacuum_plane`` and ``received_plane`` do together; returns the row powers Σ r², shape (2, M).

    Arguments as theirs; ``mean`` may be read-only, ``out`` is contiguous.
    """
    _, rows, bins = out.shape
    lanes = -(-bins // LANES) * LANES
    room = aligned((10, lanes), np.float32)
    directions, work, states = room[:2], room[2:4], room[4:].view(np.uint32).reshape(2, 3, lanes)
    directions[:, :bins], directions[:, bins:] = basis[:, 0], 0
    seed(states, generators)
    powers = np.empty((2, rows))
    _kernel()(states, work, mean, (directions, in_mode), np.float32(2 * isotropic_variance), (out, powers))
    return powers
