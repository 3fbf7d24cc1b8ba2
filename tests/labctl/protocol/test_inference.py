from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import ConfigError, GateError, ProtocolError
from labctl.protocol.encoding import pack_data, pack_rows, weight_rms
from labctl.protocol.inference import (
    Readout,
    normalised_products,
    predict_class,
)
from labctl.protocol.rowmodel import AmplifierTap, ClientReceiver, snr_squared

MODE = pack_data([3.0, 4.0])


@given(st.floats(1.01, 20), st.floats(0.01, 50), st.floats(0.1, 1), st.floats(0.1, 1))
def test_noiseless_samples_give_the_products(gain: float, photons: float, t_in: float, efficiency: float) -> None:
    rng = np.random.default_rng(1)
    weights, x = rng.standard_normal((6, 9)), rng.standard_normal(9)
    mode = pack_data(x)
    b = pack_rows(weights, photons, np.complex128) @ np.conj(mode.z)
    samples = np.sqrt(efficiency * (gain - 1) * t_in) * 2 * b.real
    products = normalised_products(samples, Readout(gain, photons, t_in, efficiency), mode)
    expected = weights @ x / np.linalg.norm(x) / weight_rms(weights)
    np.testing.assert_allclose(products, expected, atol=1e-10)


def test_product_noise_is_the_row_models() -> None:
    # 400,000 samples: the variance's relative standard error is 0.0022; wrong by 5 of them: 6e-7
    tap, receiver = AmplifierTap(1.6, 1.3), ClientReceiver(0.8, 0.05)
    v_m = 0.8 * tap.measured_variance + 0.2 + 0.05
    noise = np.random.default_rng(7).standard_normal(400_000) * math.sqrt(v_m)
    products = normalised_products(noise, Readout(1.6, 3.0, 0.9, 0.8), MODE)
    assert 1 / products.var() == pytest.approx(snr_squared(tap, 3.0, 0.9, receiver), rel=0.011)


def test_worked_scale() -> None:
    assert Readout(1.3, 4.0, 0.9, 0.8).scale == pytest.approx(math.sqrt(0.8 * 0.3 * 8 * 0.9))


def test_dead_data_give_zero_whatever_was_measured() -> None:
    products = normalised_products([5.0, -3.0], Readout(2.0, 1.0), pack_data([0.0, 0.0]))
    assert products.tolist() == [0.0, 0.0]
    assert pack_data(products).is_zero


def test_class_is_the_largest_and_ties_go_low() -> None:
    assert predict_class(np.array([-1.0, 2.0, 2.0])) == 1
    assert predict_class(np.zeros(10)) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_samples_that_are_no_numbers_stop(bad: float) -> None:
    with pytest.raises(GateError):
        normalised_products([1.0, bad], Readout(2.0, 1.0), MODE)
    with pytest.raises(GateError):
        normalised_products([1.0, bad], Readout(2.0, 1.0), pack_data([0.0]))


def test_one_sample_a_row() -> None:
    with pytest.raises(ProtocolError):
        normalised_products(np.ones((2, 2)), Readout(2.0, 1.0), MODE)
    with pytest.raises(ProtocolError):
        normalised_products([], Readout(2.0, 1.0), MODE)


@pytest.mark.parametrize("values", [(1.0, 1.0), (math.nan, 1.0), (2.0, 0.0), (2.0, 1.0, 1.1), (2.0, 1.0, 1.0, 0.0)])
def test_impossible_constants_are_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError):
        Readout(*values)
