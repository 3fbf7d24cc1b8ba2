"""Dataclasses, arrays and tables as plain bytes and back, without pickle: only the types named to it come back."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

#: Kinds of numbers that arrays may hold: truth values, whole numbers, floats.
KINDS: Final = "biuf"
_TAG: Final = "@"
_LENGTH: Final = 8

Types = Mapping[str, Callable[..., Any]]


def encode(value: object) -> list[bytes]:
    """``value`` in pieces: length of the text, JSON text, then the arrays one after the other.

    Dataclasses, mappings, lists, tuples, paths, arrays, numbers, texts and None may be in it; TypeError for others.
    """
    arrays: list[bytes] = []
    text = json.dumps(_plain(value, arrays)).encode("ascii")
    return [len(text).to_bytes(_LENGTH, "little"), text, *arrays]


def decode(data: bytearray, types: Types) -> Any:
    """Inverse of :func:`encode`; dataclasses are made of ``types``, by name. Raises ValueError for anything else."""
    end = _LENGTH + int.from_bytes(data[:_LENGTH], "little")
    try:
        return _Decoder(data, end, types).value(json.loads(data[_LENGTH:end].decode("ascii")))
    except (KeyError, TypeError, RecursionError, OverflowError) as error:
        raise ValueError(f"not what was encoded: {error}") from None


def _plain(value: object, arrays: list[bytes]) -> object:
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in KINDS:
            raise TypeError(f"an array of {value.dtype}")
        arrays.append(np.ascontiguousarray(value).tobytes())
        return {_TAG: "array", "dtype": value.dtype.str, "shape": list(value.shape)}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Path):
        return {_TAG: "path", "of": str(value)}
    if isinstance(value, (list, tuple)):
        items = [_plain(each, arrays) for each in value]
        return items if isinstance(value, list) else {_TAG: "tuple", "of": items}
    if isinstance(value, Mapping):
        return {_TAG: "table", "of": [[str(key), _plain(each, arrays)] for key, each in value.items()]}
    if is_dataclass(value) and not isinstance(value, type):
        of = {field.name: _plain(getattr(value, field.name), arrays) for field in fields(value)}
        return {_TAG: type(value).__name__, "of": of}
    raise TypeError(f"{type(value).__name__} cannot be encoded")


class _Decoder:
    def __init__(self, data: bytearray, start: int, types: Types) -> None:
        self._data = data
        self._at = start
        self._types = types

    def value(self, plain: Any) -> Any:
        if isinstance(plain, list):
            return [self.value(each) for each in plain]
        if not isinstance(plain, dict):
            return plain
        tag = plain[_TAG]
        if tag == "array":
            return self._array(plain["dtype"], plain["shape"])
        of = plain["of"]
        if tag == "path":
            return Path(of)
        if tag == "tuple":
            return tuple(self.value(each) for each in of)
        if tag == "table":
            return {key: self.value(each) for key, each in of}
        return self._types[tag](**{key: self.value(each) for key, each in of.items()})

    def _array(self, dtype: str, shape: list[int]) -> Any:
        kind = np.dtype(dtype)
        if kind.kind not in KINDS or any(type(size) is not int or size < 0 for size in shape):
            raise ValueError(f"an array of {dtype} and {shape}")
        count = math.prod(shape)
        found = np.frombuffer(self._data, kind, count, self._at) if count else np.empty(0, kind)
        self._at += count * kind.itemsize
        return found.reshape(shape)
