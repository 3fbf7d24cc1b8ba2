"""The quick way to a layer's sums against the plain shortcut, and row by row against every mode drawn.

Kolmogorov-Smirnov tests of two samples, each below p = 1e-6 by chance only: some 130 of them here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp

from sim_backends.physics import basis_of, project, received_plane
from sim_backends.quick_sums import Factors, row_sums
from sim_backends.statistics import LayerLight, Measured
from tests.physics.bare_bench import bare_bench
from tests.sim_backends.test_statistics import NOISY, SIGNIFICANCE, p_values

LAYERS, ROWS = 20_000, 6


def light(physics: dict[str, Any], noise: str, gain: float = 3.0, returned: float = 0.45) -> LayerLight:
    return LayerLight(bare_bench(0, 8.0, noise=noise, **physics).world._config, gain, returned)


def layer(modes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    z = rng.normal(size=modes) + 1j * rng.normal(size=modes)
    plane = rng.uniform(-4, 4, (2, ROWS, modes)).astype(np.float32)
    return plane, np.tile(z / np.linalg.norm(z), (LAYERS, 1))


@pytest.mark.parametrize(("physics", "modes"), [({}, 5), ({}, 1), (NOISY, 4)])
def test_same_distribution_as_the_plain_shortcut(physics: dict[str, Any], modes: int) -> None:
    plane, z = layer(modes)
    found = [
        light(physics, noise).measure_modes(plane, z, np.random.default_rng(seed))
        for noise, seed in (("normal", 1), ("table", 2))
    ]
    assert not {key: p for key, p in p_values(*found).items() if p < SIGNIFICANCE}


def test_a_slope_off_by_a_tenth_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    plane, z = layer(2)
    one = light({}, "normal", 8.0, 1 / 8).measure_modes(plane, z, np.random.default_rng(1))
    own = light({}, "table", 8.0, 1 / 8)
    right = own.factors()
    wrong = Factors(**{**vars(right), "slope": 0.9 * right.slope})
    monkeypatch.setattr(own, "factors", lambda: wrong)
    other = own.measure_modes(plane, z, np.random.default_rng(2))
    assert min(p_values(one, other).values()) < SIGNIFICANCE


def test_row_by_row_against_every_mode_drawn() -> None:
    """One row many times, so that its own sums are compared."""
    modes, count = 4, 40_000
    plane, z = layer(modes)
    one_row, mode = plane[:, :1], z[0]
    factors = light(NOISY, "table").factors()
    collected = project(one_row, basis_of(mode))[0].astype(np.float32)
    x, p = (np.full((count, 1), each, np.float32) for each in collected)
    total = float(np.sum(one_row.astype(np.float64) ** 2))
    rest = np.full((count, 1), total - float(np.sum(collected**2)), np.float32)
    quick = row_sums(x, p, rest, 2 * (modes - 1), factors, np.random.Generator(np.random.SFC64(3)))
    found = Measured(
        quick.client.astype(float), 2 * modes, total, quick.sr[:, 0].astype(float), quick.rr[:, 0].astype(float)
    )
    plain = _every_mode(one_row, mode, collected, factors, count)
    assert not {key: each for key, each in p_values(plain, found).items() if each < SIGNIFICANCE}
    assert ks_2samp(plain.rr - plain.client[:, 0], found.rr - found.client[:, 0]).pvalue > SIGNIFICANCE


def _every_mode(row: np.ndarray, mode: np.ndarray, collected: np.ndarray, factors: Factors, count: int) -> Measured:
    rng = np.random.default_rng(4)
    noise = np.sqrt(factors.measured) * rng.normal(size=count)
    in_x = factors.slope * noise + np.sqrt(factors.given) * rng.normal(size=count)
    in_p = np.sqrt(factors.in_mode) * rng.normal(size=count)
    mean = np.repeat(row, count, axis=1)
    offset = (factors.returned - factors.through) * collected
    vacuum = rng.standard_normal(mean.shape).astype(np.float32)
    scaled = (factors.through * mean).astype(np.float32)
    in_mode = np.column_stack([in_x, in_p]) + offset
    plane = received_plane(vacuum, scaled, basis_of(mode), in_mode, factors.elsewhere).astype(float)
    sr, rr = (np.sum(plane * other, axis=(0, 2)) for other in (mean, plane))
    client = (factors.tapped * collected[0] + noise)[:, np.newaxis]
    return Measured(client, row.size, float(np.sum(row.astype(float) ** 2)), sr, rr)
