"""Plain bytes instead of pickle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.record import plain


@dataclass(frozen=True)
class Thing:
    name: str
    more: Any = None


TYPES = {"Thing": Thing}


def there_and_back(value: object) -> Any:
    return plain.decode(bytearray(b"".join(plain.encode(value))), TYPES)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(), inner)
        | st.builds(Thing, st.text(), inner)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_what_goes_in_comes_out(value: object) -> None:
    assert there_and_back(value) == value


@pytest.mark.parametrize("dtype", ["i8", "f8", ">f4", "u1", "?"])
@pytest.mark.parametrize("shape", [(0,), (3,), (2, 0), (2, 3), ()])
def test_arrays(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    back = there_and_back(Thing("a", {"x": (array, array[..., None]), "p": Path("/a"), "n": np.float64(2.5)}))
    assert back.more["p"] == Path("/a")
    assert back.more["n"] == 2.5
    for one, other in zip(back.more["x"], (array, array[..., None]), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == array.dtype


def test_not_a_number_comes_back() -> None:
    assert math.isnan(there_and_back(float("nan")))


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array([object()]), np.array(["a"]), b"bytes", Thing])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        plain.encode(value)


@pytest.mark.parametrize(
    "text",
    [
        '{"@": "Path", "of": {}}', '{"@": "Thing", "of": {"other": 1}}', "{}", '{"@": "array"}', "nonsense",
        '{"@": "array", "dtype": "O", "shape": [1]}', '{"@": "array", "dtype": "f8", "shape": [-1]}',
        '{"@": "array", "dtype": "f8", "shape": [9]}', '{"@": "array", "dtype": "f8", "shape": ["a"]}',
        '{"@": "array", "dtype": "f8", "shape": [99999999999999999999]}', '{"@": "array", "dtype": "?!", "shape": []}',
        '{"@": "tuple"}', '{"@": "table", "of": [1]}', '{"@": "path", "of": 1}', "[" * 100_000, "1" * 5000, "\x80",
    ],
)  # fmt: skip
def test_what_was_not_encoded_is_refused(text: str) -> None:
    data = text.encode("latin-1")
    with pytest.raises(ValueError, match=r"."):
        plain.decode(bytearray(len(data).to_bytes(8, "little") + data), TYPES)
