"""Looks through everything an object holds on to for numbers that it must not have."""

from __future__ import annotations

import functools
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

_LEAVES = (str, bytes, bool, int, float, complex, type(None), type, types.ModuleType, np.random.Generator)


@dataclass(frozen=True)
class Found:
    """An array, and the way to it."""

    path: str
    array: np.ndarray


def arrays(root: object, stop: tuple[type, ...] = ()) -> list[Found]:
    """All arrays (and all-number sequences) that can be reached from ``root``, not going through kinds in ``stop``."""
    found: list[Found] = []
    seen: set[int] = set()
    keep: list[object] = []  # so that no id is used twice
    todo: deque[tuple[str, object]] = deque([("", root)])
    while todo:
        path, value = todo.popleft()
        if id(value) in seen or isinstance(value, (*_LEAVES, *stop)):
            continue
        seen.add(id(value))
        keep.append(value)
        if isinstance(value, np.ndarray):
            found.append(Found(path, value))
            if value.base is not None:
                todo.append((f"{path}.base", value.base))
            continue
        if isinstance(value, bytearray | memoryview):
            found.append(Found(path, np.frombuffer(value, np.uint8)))
            continue
        if isinstance(value, list | tuple | deque) and _numbers(value):
            found.append(Found(path, np.array(list(value))))
        todo.extend((f"{path}{step}", inner) for step, inner in _parts(value))
    return found


def _numbers(value: Iterable[Any]) -> bool:
    items = list(value)
    return bool(items) and all(isinstance(item, int | float | complex | np.number) for item in items)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield f"[{key!r}]", inner
            yield ".key", key
    elif isinstance(value, list | tuple | set | frozenset | deque):
        for index, inner in enumerate(value):
            yield f"[{index}]", inner
    if isinstance(value, types.MethodType):
        yield ".__self__", value.__self__
        yield ".__func__", value.__func__
    elif isinstance(value, types.FunctionType):
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            yield f"<{name}>", cell.cell_contents
        yield ".__defaults__", value.__defaults__
        yield ".__kwdefaults__", value.__kwdefaults__
    elif isinstance(value, functools.partial):
        yield ".func", value.func
        yield ".args", value.args
        yield ".keywords", value.keywords
    yield from _attributes(value)


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    for name, inner in getattr(value, "__dict__", {}).items():
        yield f".{name}", inner
    if is_dataclass(value):
        for field in fields(value):
            yield f".{field.name}", getattr(value, field.name, None)
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            if not name.startswith("__"):
                yield f".{name}", getattr(value, name, None)


def holds(found: Found, secret: np.ndarray, likeness: float = 0.98) -> bool:
    """Whether anywhere in the array stands the secret, up to a factor: any run of its length, row by row or column by
    column, as real numbers, as pairs of a complex number, or one quadrature of them."""
    wanted = np.asarray(secret, dtype=np.float64).ravel()
    for series in _series(found.array):
        if len(series) < len(wanted):
            continue
        windows = np.lib.stride_tricks.sliding_window_view(series, len(wanted))
        lengths = np.sqrt(np.square(windows).sum(axis=1) * (wanted @ wanted))
        likely = np.abs(windows @ wanted) > likeness * np.maximum(lengths, 1e-300)
        if likely.any():
            return True
    return False


def _series(array: np.ndarray) -> Iterator[np.ndarray]:
    if array.dtype == object or array.dtype.kind not in "biufc":
        return
    for grid in {0: array, 1: array.T}.values() if array.ndim > 1 else [array]:
        flat = np.ascontiguousarray(grid).ravel()
        if flat.dtype.kind == "c":
            yield flat.real.astype(np.float64)
            yield flat.imag.astype(np.float64)
            yield np.stack([flat.real, flat.imag], axis=-1).ravel().astype(np.float64)
        else:
            yield flat.astype(np.float64)
