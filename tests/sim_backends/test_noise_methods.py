"""All ways to draw a shot's noise give the same light: one distribution, whoever looks.

Two-sample Kolmogorov-Smirnov tests and moments against theory; each may fail by chance once in a million seeds.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest, norm

from labctl.errors import ConfigError
from labctl.shipped import bench_path
from sim_backends import compiled
from sim_backends.config import load_world
from sim_backends.physics import basis_of, new_plane, project, received_plane, received_quickly, vacuum_plane
from sim_backends.statistics import not_covered
from tests.physics.bare_bench import bare_bench

SIGMAS, SIGNIFICANCE = 4.9, 1e-6
WITH_NUMBA = pytest.mark.skipif(find_spec("numba") is None, reason="numba (extra accel) is not installed")
FAST = ["table", pytest.param("compiled", marks=WITH_NUMBA)]
ROWS, BINS, ISOTROPIC = 600, 75, 1.3


def rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def received(method: str, seed: int, mean: np.ndarray, mode: np.ndarray, in_mode: np.ndarray) -> np.ndarray:
    plane, basis = new_plane(*mean.shape[1:]), basis_of(mode)
    generators = rng(seed), rng(seed + 1)
    if method == "compiled":
        powers = compiled.receive(generators, plane, mean, basis, in_mode, ISOTROPIC)
        np.testing.assert_allclose(powers, np.sum(plane.astype(np.float64) ** 2, axis=2), rtol=1e-5)
        return plane
    vacuum_plane(generators, plane, 1, "table")
    return received_quickly(plane, mean, basis, in_mode, ISOTROPIC)


def some_mode(seed: int) -> np.ndarray:
    mode = rng(seed).normal(size=BINS) + 1j * rng(seed + 1).normal(size=BINS)
    return np.asarray(mode / np.linalg.norm(mode))


@pytest.mark.parametrize("method", FAST)
def test_the_given_noise_stands_in_the_mode_and_the_right_one_in_all_others(method: str) -> None:
    mean = rng(1).normal(0, 3, (2, ROWS, BINS)).astype(np.float32)
    mode, in_mode = some_mode(2), rng(4).normal(0, 2, (ROWS, 2))
    plane = received(method, 10, mean, mode, in_mode)
    basis = basis_of(mode)
    np.testing.assert_allclose(project(plane, basis), project(mean, basis) + in_mode, atol=2e-4)
    white = plane - mean
    orthonormal = np.linalg.qr(np.column_stack([mode, rng(6).normal(size=(BINS, BINS - 1))]))[0][:, 1:]
    field = (white[0] + 1j * white[1]) @ orthonormal.conj()
    for part in (field.real, field.imag):
        numbers = part.ravel() / np.sqrt(ISOTROPIC)
        assert kstest(numbers, "norm").pvalue > SIGNIFICANCE
        for power, moment in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0), (6, 15.0)):
            values = numbers**power
            assert abs(values.mean() - moment) < SIGMAS * values.std() / np.sqrt(values.size)


@WITH_NUMBA
def test_compiled_vacuum_is_normal_and_independent() -> None:
    rows, bins = 4000, 400
    plane, mean = new_plane(rows, bins), np.zeros((2, rows, bins), np.float32)
    mode = np.zeros(bins, complex)
    mode[-1] = 1
    compiled.receive((rng(1), rng(2)), plane, mean, basis_of(mode), np.zeros((rows, 2)), 1.0)
    vacuum = plane[:, :, :-1].astype(np.float64)
    assert kstest(vacuum.ravel(), "norm").pvalue > SIGNIFICANCE
    counts = [np.sum(np.abs(vacuum) > edge) for edge in (3.0, 4.0, 4.5)]
    expected = [2 * norm.sf(edge) * vacuum.size for edge in (3.0, 4.0, 4.5)]
    assert np.all(np.abs(np.array(counts) - expected) < SIGMAS * np.sqrt(expected))
    square = vacuum**2 - 1
    pairs = [(vacuum[0], vacuum[1]), (square[0], square[1])]  # quadratures; then bins; then rows
    pairs += [(each[:, :, 16:], each[:, :, :-16]) for each in (vacuum, square)]
    pairs += [(each[:, :, 1:], each[:, :, :-1]) for each in (vacuum, square)]
    pairs += [(each[:, 1:], each[:, :-1]) for each in (vacuum, square)]
    for one, other in pairs:
        products = one * other
        assert abs(products.mean()) < SIGMAS * products.std() / np.sqrt(products.size)


@pytest.mark.parametrize(("rows", "bins"), [(0, 5), (1, 1), (7, 3), (600, BINS)])
def test_fewer_passes_give_the_same_plane(rows: int, bins: int) -> None:
    mode = rng(2).normal(size=bins) + 1j * rng(3).normal(size=bins)
    basis, in_mode = basis_of(mode / np.linalg.norm(mode)), rng(4).normal(0, 2, (rows, 2))
    vacuum, mean = (rng(seed).standard_normal((2, rows, bins), dtype=np.float32) for seed in (5, 6))
    plain = received_plane(vacuum.copy(), mean, basis, in_mode, ISOTROPIC)
    found = received_quickly(vacuum, mean, basis, in_mode, ISOTROPIC)
    assert found is vacuum
    np.testing.assert_allclose(found, plain, atol=1e-5)


@WITH_NUMBA
def test_compiled_numbers_follow_from_the_streams() -> None:
    mean, mode, in_mode = np.zeros((2, 7, BINS), np.float32), some_mode(2), np.zeros((7, 2))
    one, again, other = (received("compiled", seed, mean, mode, in_mode) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.any(one == other)


def test_two_threads_draw_the_same_from_the_table() -> None:
    planes = []
    for threads in (1, 2):
        planes.append(new_plane(500, 200))
        vacuum_plane((rng(1), rng(2)), planes[-1], threads, "table")
    np.testing.assert_array_equal(*planes)


@pytest.mark.parametrize("method", FAST)
def test_a_shot_by_another_method(method: str) -> None:
    """What the client reads is the same to the bit; the server's plane has the same distribution."""
    shots: dict[str, Any] = {}
    for each in ("normal", method):
        bench = bare_bench(3, 4.0, noise=each)
        rows = rng(8).uniform(-2, 2, (400, 20)) + 1j * rng(9).uniform(-2, 2, (400, 20))
        bench.send(rows)
        bench.set_gain(2.0)
        mode = rng(5).normal(size=20) + 0j
        bench.project(mode / np.linalg.norm(mode), 0.5)
        shots[each] = bench.shoot()
    (client, returned), (own_client, own) = shots["normal"], shots[method]
    np.testing.assert_array_equal(client, own_client)
    assert not np.any(returned == own)
    difference = (own - returned).ravel()
    mode_free = difference.real
    assert abs(mode_free.mean()) < SIGMAS * mode_free.std() / np.sqrt(mode_free.size)
    assert np.corrcoef(returned.real.ravel(), own.real.ravel())[0, 1] > 0.3  # the same means


@pytest.mark.parametrize("method", ["normal", "table"])
def test_a_bench_file_names_the_method(method: str, tmp_path: Path) -> None:
    world, _ = load_world(_bench(tmp_path, method))
    assert world.noise == method
    assert not_covered(world) == []


def test_compiled_needs_numba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"\[world\]: noise = 'compiled' needs the package numba"):
        load_world(_bench(tmp_path, "compiled"))


def _bench(folder: Path, method: str) -> Path:
    text = bench_path("ideal").read_text(encoding="utf-8")
    path = folder / "b.bench.toml"
    path.write_text(
        text + f'\n[world]\nnoise = "{method}"\n'
        if "\n[world]\n" not in text
        else text.replace("\n[world]\n", f'\n[world]\nnoise = "{method}"\n'),
        encoding="utf-8",
    )
    return path
