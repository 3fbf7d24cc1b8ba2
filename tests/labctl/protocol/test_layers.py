"""What a layer does with data between the transmissions, against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import DataError
from labctl.protocol.layers import ACTIVATIONS, Architecture, Convolution, Dense, activate, scale_dependence


def slow_patches(layer: Convolution, values: np.ndarray) -> np.ndarray:
    """Patch by patch, number by number."""
    pictures = values.reshape(-1, layer.channels, layer.height, layer.width)
    found = []
    for picture in pictures:
        rows = []
        for top in range(0, layer.height - layer.kernel + 1, layer.stride):
            for left in range(0, layer.width - layer.kernel + 1, layer.stride):
                rows.append(picture[:, top : top + layer.kernel, left : left + layer.kernel].ravel())
        found.append(rows)
    return np.array(found)


@given(
    channels=st.integers(1, 3),
    height=st.integers(3, 7),
    width=st.integers(3, 7),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
)
def test_patches(channels: int, height: int, width: int, kernel: int, stride: int) -> None:
    layer = Convolution(channels, height, width, 4, kernel, stride)
    values = np.arange(2.0 * channels * height * width).reshape(2, -1)
    vectors = layer.vectors(values)
    np.testing.assert_array_equal(vectors, slow_patches(layer, values))
    assert vectors.shape == (2, layer.transmissions, layer.shape[1])
    assert layer.inputs == values.shape[1]


def test_gather_averages_squares_and_puts_channels_first() -> None:
    layer = Convolution(1, 5, 5, 2, 2, pool=2)
    assert (layer.positions, layer.transmissions, layer.given) == ((4, 4), 16, 8)
    activated = np.zeros((1, 16, 2))
    activated[0, :, 0] = np.arange(16)
    activated[0, 5, 1] = 8.0  # down 1, across 1: in the first square
    found = layer.gather(activated)
    np.testing.assert_array_equal(found, [[2.5, 4.5, 10.5, 12.5, 2, 0, 0, 0]])


def test_a_kernel_as_large_as_the_image_is_a_dense_layer() -> None:
    rng = np.random.default_rng(3)
    values, matrix = rng.random((4, 12)), rng.random((5, 12))
    convolution, dense = Convolution(3, 2, 2, 5, 2), Dense(12, 5)
    for layer in (convolution, dense):
        assert (layer.shape, layer.transmissions, layer.given, layer.inputs) == ((5, 12), 1, 5, 12)
        np.testing.assert_allclose(layer.gather(layer.vectors(values) @ matrix.T), values @ matrix.T)


@pytest.mark.parametrize("layer", [Dense(4, 3, bias=True), Convolution(1, 2, 2, 3, 2, bias=True)])
def test_a_bias_is_a_weight_that_meets_a_one(layer: Dense | Convolution) -> None:
    values = np.arange(8, dtype=np.float32).reshape(2, 4)
    vectors = layer.vectors(values)
    assert layer.shape == (3, 5)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors[:, 0, :4], values)
    np.testing.assert_array_equal(vectors[..., 4], 1)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"kernel": 9}, "a size that is none"),
        ({"stride": 0}, "a size that is none"),
        ({"pool": 5}, "not whole squares"),
        ({"height": 1000, "width": 1000, "kernel": 1}, "over the cap"),
    ],
)
def test_sizes_that_do_not_fit(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as refusal:
        Convolution(**{"channels": 1, "height": 8, "width": 8, "filters": 2, "kernel": 3, **sizes})
    assert refusal.value.remedy


def test_activations() -> None:
    values = np.array([-2.0, 0.0, 3.0], np.float32)
    expected = {"relu": [0, 0, 3], "tanh": np.tanh(values), "sigmoid": 1 / (1 + np.exp(-values))}
    assert set(expected) == set(ACTIVATIONS)
    for name, wanted in expected.items():
        found = activate(values, name)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
        assert found.dtype == np.float32
    assert activate(np.array([-1e30, 1e30], np.float32), "sigmoid").tolist() == [0, 1]
    with pytest.raises(DataError, match="unknown activation 'gelu'"):
        activate(values, "gelu")


def test_an_architecture_without_the_scales_it_needs_is_refused() -> None:
    """The client's side of the refusal: it would compute nonsense."""
    biased = (Dense(4, 4), Dense(4, 4, bias=True))
    with pytest.raises(DataError, match="layer 1 has a bias, and the scale of the weights is not public"):
        Architecture(biased)
    with pytest.raises(DataError, match="layer 0 is followed by 'tanh', and the scale"):
        Architecture((Dense(4, 4), Dense(4, 4)), "tanh")
    found = Architecture(biased, "tanh", (0.5, 2.0))
    assert (found.factor(0, 3.0), found.factor(1, 3.0)) == (1.5, 6.0)


def test_lengths_count_where_a_layer_is_sent_more_than_once() -> None:
    found = Architecture((Convolution(1, 3, 3, 2, 2), Dense(8, 2)))
    assert (found.factor(0, 3.0), found.factor(1, 3.0)) == (3.0, 1.0)
    products = np.array([[1.0, -2.0], [3.0, 4.0], [-5.0, 6.0], [7.0, 8.0]])
    np.testing.assert_array_equal(found.following(0, products), [1, 3, 0, 7, 0, 4, 6, 8])
    np.testing.assert_array_equal(found.following(1, np.array([[1.0, -2.0]])), [1, -2])


def test_what_needs_an_absolute_scale() -> None:
    plain, biased = Dense(4, 4), Dense(4, 4, bias=True)
    assert scale_dependence([plain, plain], "relu") is None
    assert scale_dependence([biased, plain], "relu") is None, "the client has the scale of its own data"
    assert scale_dependence([plain, plain, biased], "relu") == "layer 2 has a bias"
    assert scale_dependence([plain, plain], "tanh") == "layer 0 is followed by 'tanh'"
    assert scale_dependence([plain], "tanh") is None, "nothing follows the last layer"
