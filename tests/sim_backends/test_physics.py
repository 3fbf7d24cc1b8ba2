"""The twin's formulas one by one. Statistical tests allow 4.5 standard errors: a right one fails once in 150,000."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_backends.physics import (
    BLOCK_ROWS,
    LoopDrive,
    amplify_and_tap,
    basis_of,
    detect,
    iq_transfer,
    loop_mode,
    photons_per_bin,
    plane_of,
    project,
    received_plane,
    reversed_bins,
    round_trip_mean,
    vacuum_plane,
)

SIGMAS = 4.5
ANGLES = st.lists(st.floats(0, np.pi / 2), min_size=1, max_size=12)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def test_photons() -> None:
    """10 mW at 1550.12 nm and 125 MHz: 6.24e8 photons a bin."""
    assert photons_per_bin(0.01, 1550.12e-9, 125e6) == pytest.approx(6.2428e8, rel=1e-4)


@given(st.floats(-5, 5), st.floats(-5, 5))
def test_a_modulator_does_not_amplify(v_i: float, v_q: float) -> None:
    field = iq_transfer(np.array([v_i]), np.array([v_q]), 0.35, 0.5)
    assert abs(field[0]) <= 1 + 1e-12


def test_modulator_at_its_points() -> None:
    volts = np.array([0, 0.35, -0.35, 0.7])
    field = iq_transfer(volts, np.zeros(4), 0.35, 0.35)
    np.testing.assert_allclose(field, np.array([0, 1, -1, 0]) / np.sqrt(2), atol=1e-12)
    field = iq_transfer(np.zeros(4), volts, 0.35, 0.35)
    np.testing.assert_allclose(field, 1j * np.array([0, 1, -1, 0]) / np.sqrt(2), atol=1e-12)


@given(ANGLES, st.floats(0.5, 1.0))
def test_a_loop_collects_one_mode_at_most(theta: list[float], transmittance: float) -> None:
    mode = loop_mode(np.array(theta), np.zeros(len(theta)), transmittance)
    assert np.sum(np.abs(mode) ** 2) <= 1 + 1e-12


@given(ANGLES)
def test_a_loop_whose_first_coupler_is_closed_collects_a_whole_mode(theta: list[float]) -> None:
    theta[0] = np.pi / 2
    mode = loop_mode(np.array(theta), np.zeros(len(theta)), 1.0)
    assert np.sum(np.abs(mode) ** 2) == pytest.approx(1)


def test_projection_is_the_inner_product() -> None:
    field = rng().normal(size=(5, 7)) + 1j * rng(2).normal(size=(5, 7))
    mode = rng(3).normal(size=7) + 1j * rng(4).normal(size=7)
    quadratures = project(plane_of(field, 5), basis_of(mode))
    expected = 2 * field @ mode.conj()
    np.testing.assert_allclose(quadratures, np.stack([expected.real, expected.imag], axis=1), rtol=1e-5, atol=1e-5)


def test_planes_of_rows() -> None:
    field = np.arange(6) + 1j * np.arange(6, 12)
    plane = plane_of(field, 2)
    assert plane.shape == (2, 2, 3)
    assert plane.dtype == np.float32
    np.testing.assert_array_equal(plane[0], [[0, 2, 4], [6, 8, 10]])
    np.testing.assert_array_equal(reversed_bins(plane)[0], [[4, 2, 0], [10, 8, 6]])
    assert reversed_bins(plane).flags.c_contiguous


def test_passes_that_are_not_each_other_s_adjoint() -> None:
    """Without gain any two lossless passes only move light around: its energy stays."""
    forward = LoopDrive(rng(1).random(9) * np.pi / 2, rng(2).random(9) * 6 - 3, 1.0)
    forward.theta[0] = np.pi / 2
    back = LoopDrive(rng(3).random(9) * np.pi / 2, rng(4).random(9) * 6 - 3, 1.0)
    back.theta[0] = np.pi / 2
    launched = plane_of(rng(5).normal(size=(4, 9)) + 1j * rng(6).normal(size=(4, 9)), 4)
    returned = round_trip_mean(launched, forward, back, 1.0)
    np.testing.assert_allclose((returned**2).sum(axis=(0, 2)), (launched**2).sum(axis=(0, 2)), rtol=1e-5)
    assert not np.allclose(returned, launched, atol=0.1)
    assert forward.same_as(LoopDrive(forward.theta.copy(), forward.phi.copy(), 1.0))
    assert not forward.same_as(back)
    assert not forward.same_as(LoopDrive(forward.theta, forward.phi, 0.99))


@pytest.mark.parametrize(
    ("gain", "n_sp", "tau"), [(1.0, 1.0, 1.0), (2.0, 1.0, 0.5), (1.3, 1.0, 1 / 1.3), (4.0, 2.0, 0.3)]
)
def test_amplifier_and_tap(gain: float, n_sp: float, tau: float) -> None:
    rows = 200_000
    noise = amplify_and_tap(rng(int(gain * 10)), rows, gain, n_sp, tau)
    excess = 2 * n_sp * (gain - 1)
    for values, variance in ((noise.measured, 1 + (1 - tau) * excess), (noise.returned, 1 + tau * excess)):
        for column in values.T:
            assert abs(column.var() - variance) < SIGMAS * variance * np.sqrt(2 / rows)
            assert abs(column.mean()) < SIGMAS * np.sqrt(variance / rows)
    covariance = np.sqrt(tau * (1 - tau)) * excess
    spread = np.sqrt(((1 + (1 - tau) * excess) * (1 + tau * excess) + covariance**2) / rows)
    assert abs(np.mean(noise.measured[:, 0] * noise.returned[:, 0]) - covariance) < SIGMAS * spread
    assert abs(np.mean(noise.measured[:, 0] * noise.returned[:, 1])) < SIGMAS * spread


@pytest.mark.parametrize(("efficiency", "electronic"), [(1.0, 0.0), (0.6, 0.0), (0.8, 0.3)])
def test_a_detector(efficiency: float, electronic: float) -> None:
    rows = 200_000
    light = rng(1).normal(scale=np.sqrt(1.7), size=rows)
    seen = detect(rng(2), np.full(rows, 3.0), light, efficiency, electronic)
    variance = efficiency * 1.7 + 1 - efficiency + electronic
    assert abs(seen.var() - variance) < SIGMAS * variance * np.sqrt(2 / rows)
    assert abs(seen.mean() - 3 * np.sqrt(efficiency)) < SIGMAS * np.sqrt(variance / rows)


@pytest.mark.parametrize("isotropic", [1.0, 1.4])
def test_received_plane_is_isotropic_but_for_one_mode(isotropic: float) -> None:
    rows, bins = 40_000, 5
    mode = rng(1).normal(size=bins) + 1j * rng(2).normal(size=bins)
    mode /= np.linalg.norm(mode)
    in_mode = rng(3).normal(scale=np.sqrt(2.5), size=(rows, 2))
    mean = np.full((2, rows, bins), 0.7, dtype=np.float32)
    vacuum = np.empty_like(mean)
    vacuum_plane((rng(4), rng(5)), vacuum)
    plane = received_plane(vacuum, mean, basis_of(mode), in_mode, isotropic)
    noise = plane - mean
    np.testing.assert_allclose(project(noise, basis_of(mode)), in_mode, atol=1e-5)
    flat = np.concatenate([noise[0], noise[1]], axis=1)  # X and P of each bin
    covariance = flat.T @ flat / rows
    rank_one = np.zeros((2 * bins, 2 * bins))
    for real in (np.concatenate([mode.real, mode.imag]), np.concatenate([-mode.imag, mode.real])):
        rank_one += np.outer(real, real)
    expected = isotropic * np.eye(2 * bins) + (2.5 - isotropic) * rank_one
    spread = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / rows)
    assert (np.abs(covariance - expected) < SIGMAS * spread).all()


@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_two_threads_draw_the_same(rows: int) -> None:
    planes = np.full((2, 2, rows, 100), np.nan, dtype=np.float32)
    for plane, threads in zip(planes, (1, 2), strict=True):
        vacuum_plane((rng(1), rng(2)), plane, threads)
    np.testing.assert_array_equal(planes[0], planes[1])
    assert np.isfinite(planes).all()
    assert not np.array_equal(planes[0, 0], planes[0, 1])


@pytest.mark.parametrize("rows", [1, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1, 3 * BLOCK_ROWS])
def test_blocks_of_rows_join_without_seam(rows: int) -> None:
    mean = np.arange(2 * rows * 4, dtype=np.float32).reshape(2, rows, 4)
    before = mean.copy()
    mode = np.array([0.6, 0.8j, 0, 0])
    in_mode = rng(3).normal(size=(rows, 2))
    vacuum = rng(4).standard_normal(mean.shape, dtype=np.float32)
    whole = received_plane(vacuum.copy(), mean, basis_of(mode), in_mode, 1.2)
    for row in range(rows):
        one = received_plane(vacuum[:, [row]], mean[:, [row]], basis_of(mode), in_mode[[row]], 1.2)
        np.testing.assert_allclose(one[:, 0], whole[:, row], rtol=1e-6, atol=1e-5)
    np.testing.assert_array_equal(mean, before)
