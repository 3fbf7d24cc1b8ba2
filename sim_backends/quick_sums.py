"""A layer's measured numbers and residual sums from few draws, in single precision, the products given.

The distribution is that of :mod:`sim_backends.statistics`, whose three numbers a row are here one, the client's: given
it, what the server's sums have of the collected modes of all rows is noise alike in all rows, so that two normal and
one chi-square number tell of its X quadratures together, and as many of its P. Numbers come from the table of
:mod:`labctl.normals`. Row by row (:func:`row_sums`) it is five draws a row: the client's, X and P in the mode, and of
the other modes the part along s and chi-square's rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labctl.normals import fill, fill_chi_square
from sim_backends.physics import Double, Float


@dataclass(frozen=True)
class Factors:
    """Of the means: collected mode -> client's X, and -> server's receiver; ``through``: any other mode's way there.

    Of the noise, SNU: ``measured``, the client's variance; ``slope`` of the returned X on it; ``given``, what is left
    of the returned X's variance then; ``in_mode``, that of the returned P; ``elsewhere``, that of all other modes.
    """

    tapped: float
    returned: float
    through: float
    measured: float
    slope: float
    given: float
    in_mode: float
    elsewhere: float


@dataclass(frozen=True, eq=False)
class Drawn:
    """``client``: measured X, shape (B, M), √SNU; ``sr``, ``rr``: Σsr and Σr², shape (B,) or, row by row, (B, M)."""

    client: Float
    sr: Double | Float
    rr: Double | Float


def _client(x: Float, factors: Factors, generator: np.random.Generator) -> tuple[Float, Float]:
    """What the client measures, and its noise."""
    noise = np.empty_like(x)
    fill(generator, noise, "table")
    noise *= np.float32(np.sqrt(factors.measured))
    measured = np.multiply(x, np.float32(factors.tapped))
    measured += noise
    return measured, noise


def image_sums(x: Float, p: Float, elsewhere: tuple[Double, int], factors: Factors, rng: np.random.Generator) -> Drawn:
    """``x``, ``p``: collected quadratures of B data vectors as launched, (B, M); ``elsewhere``: Σs² of all other modes,
    (B,), and how many real dimensions they have.
    """
    measured, noise = _client(x, factors, rng)
    xx, pp, xy, yy = (np.vecdot(*pair).astype(np.float64) for pair in ((x, x), (p, p), (x, noise), (noise, noise)))
    along = factors.returned * xx + factors.slope * xy
    mean = factors.returned**2 * xx + 2 * factors.returned * factors.slope * xy + factors.slope**2 * yy
    rest, dimensions = elsewhere
    parts = (
        isotropic(xx, along, mean, x.shape[1], factors.given, rng),
        isotropic(pp, factors.returned * pp, factors.returned**2 * pp, x.shape[1], factors.in_mode, rng),
        isotropic(rest, factors.through * rest, factors.through**2 * rest, dimensions, factors.elsewhere, rng),
    )
    sr, rr = (np.sum(each, axis=0) for each in zip(*parts, strict=True))
    return Drawn(measured, sr, rr)


def isotropic(
    ss: Double, sm: Double, mm: Double, dimensions: int, variance: float, rng: np.random.Generator
) -> tuple[Double, Double]:
    """Σsr and Σr² of r = m + w, (B,), with w alike in so many dimensions; from Σs², Σsm and Σm²."""
    if dimensions == 0:
        return sm, mm
    along, beside = rng.standard_normal((2, len(ss)))
    if dimensions == 1:
        beside[:] = 0
    rest = rng.chisquare(dimensions - 2, len(ss)) if dimensions > 2 else 0.0
    sigma, length = np.sqrt(variance), np.sqrt(np.maximum(ss, 0.0))
    share = np.divide(sm, length, out=np.zeros(len(ss)), where=length > 0)
    other = np.sqrt(np.maximum(mm - share**2, 0.0))
    noise = variance * (along**2 + beside**2 + rest)
    return sm + sigma * length * along, mm + 2 * sigma * (share * along + other * beside) + noise


def row_sums(x: Float, p: Float, rest: Float, others: int, factors: Factors, rng: np.random.Generator) -> Drawn:
    """Row by row. ``rest``: Σs² of each row's other modes, (B, M); ``others``: their real dimensions, at least 2."""
    measured, in_x = _client(x, factors, rng)
    draws = np.empty((3, *x.shape), np.float32)
    fill(rng, draws, "table")
    in_x *= np.float32(factors.slope)
    draws[0] *= np.float32(np.sqrt(factors.given))
    in_x += draws[0]
    in_x += x * np.float32(factors.returned)
    in_p, along = draws[1], draws[2]
    in_p *= np.float32(np.sqrt(factors.in_mode))
    in_p += p * np.float32(factors.returned)
    length = np.sqrt(np.maximum(rest, 0))
    along *= np.float32(np.sqrt(factors.elsewhere))
    along += length * np.float32(factors.through)
    sr = x * in_x
    sr += p * in_p
    sr += length * along
    rr = draws[0]
    fill_chi_square(rng, rr, others - 1)
    rr *= np.float32(factors.elsewhere)
    for part in (in_x, in_p, along):
        rr += np.square(part, out=part)
    return Drawn(measured, sr, rr)
