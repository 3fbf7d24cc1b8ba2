from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labctl.errors import ConfigError, DataError, ProtocolError
from labctl.protocol.encoding import (
    launched_quadratures,
    modes_per_row,
    modulation_variance,
    pack_data,
    pack_rows,
    weight_rms,
)

values = st.floats(-1e6, 1e6).filter(lambda v: v == 0 or abs(v) > 1e-6)
layers = st.tuples(st.integers(1, 6), st.integers(1, 9)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=values).filter(np.any)
)


@pytest.mark.parametrize(("inputs", "modes"), [(1, 1), (2, 1), (3, 2), (64, 32), (784, 392)])
def test_two_weights_share_a_mode(inputs: int, modes: int) -> None:
    assert modes_per_row(inputs) == modes


def test_a_layer_without_inputs_is_refused() -> None:
    with pytest.raises(ConfigError):
        modes_per_row(0)


def test_rms_counts_padding() -> None:
    assert weight_rms([[1.0, 1.0, 1.0]]) == pytest.approx(math.sqrt(3 / 4))
    assert weight_rms([[3.0, 4.0]]) == pytest.approx(math.sqrt(12.5))


def test_worked_amplitudes() -> None:
    # w_rms² = (1 + 4 + 9)/4 = 3.5, s = sqrt(4/2)/sqrt(3.5)
    s = math.sqrt(2 / 3.5)
    packed = pack_rows([[1.0, 2.0, 3.0]], 4.0, np.complex128)
    np.testing.assert_allclose(packed, s * np.array([[1 + 2j, 3]]), rtol=1e-14)
    np.testing.assert_allclose(launched_quadratures(packed), 2 * s * np.array([[[1, 3]], [[2, 0]]]), rtol=1e-14)


@given(layers, st.floats(1e-3, 1e3))
def test_mean_photon_number_is_met_for_any_width(weights: np.ndarray, photons: float) -> None:
    amplitudes = pack_rows(weights, photons, np.complex128)
    assert amplitudes.shape == (weights.shape[0], modes_per_row(weights.shape[1]))
    assert np.mean(np.abs(amplitudes) ** 2) == pytest.approx(photons, rel=1e-9)
    quadratures = launched_quadratures(amplitudes)
    assert np.mean(quadratures**2) == pytest.approx(modulation_variance(photons), rel=1e-9)


@given(layers, st.data())
def test_mode_b_holds_the_inner_product(weights: np.ndarray, data: st.DataObject) -> None:
    x = data.draw(arrays(np.float64, weights.shape[1], elements=values).filter(np.any))
    photons = 2.5
    mode = pack_data(x)
    b = pack_rows(weights, photons, np.complex128) @ np.conj(mode.z)
    expected = math.sqrt(2 * photons) * weights @ (x / np.linalg.norm(x)) / weight_rms(weights)
    scale = np.abs(expected).max() + 1
    np.testing.assert_allclose(2 * b.real, expected, rtol=1e-9, atol=1e-9 * scale)


@given(arrays(np.float64, st.integers(1, 30), elements=values).filter(np.any), st.floats(1e-300, 1))
def test_data_have_unit_norm_whatever_their_size(x: np.ndarray, factor: float) -> None:
    mode, small = pack_data(x), pack_data(x * factor)
    assert np.sum(np.abs(mode.z) ** 2) == pytest.approx(1, abs=1e-12)
    assert mode.norm == pytest.approx(float(np.linalg.norm(x)), rel=1e-12)
    assert not mode.is_zero
    assert not small.is_zero
    np.testing.assert_allclose(small.z, mode.z, atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 7, 784])
def test_zero_data_take_the_fixed_mode(size: int) -> None:
    mode = pack_data(np.zeros(size))
    assert mode.is_zero
    assert mode.norm == 0
    assert mode.z.shape == (modes_per_row(size),)
    assert mode.z[0] == 1
    assert not mode.z[1:].any()


def test_precision_follows_the_request() -> None:
    weights = np.ones((2, 3), dtype=np.float16)
    assert pack_rows(weights, 1.0).dtype == np.complex64
    assert launched_quadratures(pack_rows(weights, 1.0)).dtype == np.float32
    assert pack_rows(weights, 1.0, np.complex128).dtype == np.complex128


@pytest.mark.parametrize("photons", [0.0, -1.0, math.nan, math.inf])
def test_photon_numbers_without_light_are_refused(photons: float) -> None:
    with pytest.raises(ConfigError, match="mean_photons"):
        pack_rows(np.ones((1, 2)), photons)


def test_unusable_weights_and_data_are_refused() -> None:
    with pytest.raises(DataError):
        weight_rms(np.zeros((2, 2)))
    with pytest.raises(DataError):
        pack_rows([[1.0, math.nan]], 1.0)
    with pytest.raises(ProtocolError):
        weight_rms(np.ones(3))
    with pytest.raises(DataError):
        pack_data([1.0, math.inf])
    with pytest.raises(ProtocolError):
        pack_data(np.ones((2, 2)))
