"""The machine code behind :mod:`sim_backends.compiled`: imported by it alone, and only where numba is installed.

Every loop over bins is written so that it becomes vector instructions: 32-bit integers throughout (numba widens sums of
them to 64 bits unless told otherwise), no branches, no calls; polynomials in halves that do not wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

f32, i32, u32 = np.float32, np.int32, np.uint32

#: ln(1 + f) / f for f from √½ - 1 to √2 - 1, to 1.3e-6.
G0, G1, G2, G3, G4, G5, G6 = (
    f32(each) for each in (1.00000096, -0.50001145, 0.33314674, -0.24908289, 0.2049176, -0.18680751, 0.11931054)
)
#: sin(2π t) / 4t and cos(2π t) for |t| <= 1/8, by powers of (4t)², to 1e-9 and 3e-8.
S0, S1, S2, S3 = (
    f32(each / 4 ** (2 * power + 1)) for power, each in enumerate((6.2831853, -41.3416693, 81.59350353, -75.43895185))
)
C0, C1, C2, C3 = (
    f32(each / 16**power) for power, each in enumerate((0.99999999, -19.73916174, 64.92260804, -83.6452196))
)
LN2 = f32(np.log(2))
#: The bits of √½ and of 1 as numbers of single precision, and of what stands behind the point.
ROOT_HALF, ONE, MANTISSA = i32(0x3F3504F3), i32(0x3F800000), i32(0x7FFFFF)
BIAS = i32(127 + 32)


def _bits(_context: Any, _number: Any) -> Any:
    """Of a number in single precision."""

    def code(context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        return builder.bitcast(given[0], context.get_value_type(types.int32))

    return types.int32(types.float32), code


def _number(_context: Any, _bits: Any) -> Any:
    """The number in single precision that has these bits."""

    def code(context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        return builder.bitcast(given[0], context.get_value_type(types.float32))

    return types.float32(types.int32), code


bits_of, number_of = intrinsic(_bits), intrinsic(_number)


def _turn(word: Any) -> Any:
    """Cosine and sine of a random angle."""
    four_t = number_of(i32(i32(i32(word) & MANTISSA) | ONE)) - f32(1.5)
    square = four_t * four_t
    sine = four_t * ((S0 + square * S1) + (square * square) * (S2 + square * S3))
    cosine = (C0 + square * C1) + (square * square) * (C2 + square * C3)
    cosine = number_of(i32(bits_of(cosine) ^ i32(u32(word & u32(0x80000000)))))
    swapped = (word & u32(0x40000000)) != u32(0)
    return (sine if swapped else cosine), (cosine if swapped else sine)


def _square_amplitude(word: Any) -> Any:
    """-ln u of a uniform u: an exponential number."""
    bits = bits_of(f32(word) + f32(1))
    shifted = i32(bits + i32(ONE - ROOT_HALF))
    power = f32(i32(BIAS - i32(shifted >> i32(23))))
    f = number_of(i32(i32(shifted & MANTISSA) + ROOT_HALF)) - f32(1)
    square = f * f
    low, high = (G0 + f * G1) + square * (G2 + f * G3), (G4 + f * G5) + square * G6
    return power * LN2 - f * (low + (square * square) * high)


turn = numba.njit(_turn, fastmath=True, inline="always")
square_amplitude = numba.njit(_square_amplitude, fastmath=True, inline="always")


def _vacuum_row(states: Any, count: Any, twice_variance: Any, work: Any, x_way: Any, p_way: Any) -> Any:
    """Fill ``work`` (2, lanes) with a row of vacuum; returns X and P of it in the collected mode."""
    a, b, c, d, e, f = states[0, 0], states[0, 1], states[0, 2], states[1, 0], states[1, 1], states[1, 2]
    in_x, in_p = f32(0), f32(0)
    for k in range(work.shape[1]):
        first = u32(u32(a[k] + b[k]) + count)
        a[k] = u32(b[k] ^ u32(b[k] >> u32(9)))
        b[k] = u32(c[k] + u32(c[k] << u32(3)))
        c[k] = u32(u32(u32(c[k] << u32(21)) | u32(c[k] >> u32(11))) + first)
        second = u32(u32(d[k] + e[k]) + count)
        d[k] = u32(e[k] ^ u32(e[k] >> u32(9)))
        e[k] = u32(f[k] + u32(f[k] << u32(3)))
        f[k] = u32(u32(u32(f[k] << u32(21)) | u32(f[k] >> u32(11))) + second)
        amplitude = np.sqrt(square_amplitude(first) * twice_variance)
        cosine, sine = turn(second)
        x, p = amplitude * cosine, amplitude * sine
        work[0, k], work[1, k] = x, p
        in_x += x * x_way[k] + p * p_way[k]
        in_p += p * x_way[k] - x * p_way[k]
    return in_x, in_p


vacuum_row = numba.njit(_vacuum_row, fastmath=True)


def _received_rows(states: Any, work: Any, mean: Any, mode: Any, twice_variance: Any, result: Any) -> None:
    """``mode``: what its X has of the bins' X and P, (2, lanes), 0 beyond the bins; and the noise to stand in it.
    ``result``: plane and row powers.
    """
    (ways, in_mode), (out, powers) = mode, result
    x_way, p_way = ways[0], ways[1]
    for row in range(out.shape[1]):
        in_x, in_p = vacuum_row(states, u32(row + 1), twice_variance, work, x_way, p_way)
        x_more, p_more = f32(in_mode[row, 0]) - in_x, f32(in_mode[row, 1]) - in_p
        x_power, p_power = f32(0), f32(0)
        x_mean, p_mean, x_out, p_out = mean[0, row], mean[1, row], out[0, row], out[1, row]
        for k in range(out.shape[2]):
            x = work[0, k] + x_mean[k] + x_more * x_way[k] - p_more * p_way[k]
            p = work[1, k] + p_mean[k] + x_more * p_way[k] + p_more * x_way[k]
            x_out[k], p_out[k] = x, p
            x_power += x * x
            p_power += p * p
        powers[0, row], powers[1, row] = x_power, p_power


received_rows: Final[Callable[..., None]] = numba.njit(
    _received_rows, fastmath=True, nogil=True, cache=True, error_model="numpy"
)
