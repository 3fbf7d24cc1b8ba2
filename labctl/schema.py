"""Strict schemas for files that people write: quantities with units, unknown keys refused, errors that name the key."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from labctl.errors import ConfigError
from labctl.units import example, parse_quantity


class StrictModel(BaseModel):
    """Base of all file schemas: frozen, no unknown keys, no NaN or infinity, no silent conversion."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True, hide_input_in_errors=False)


def _quantity(unit: str) -> BeforeValidator:
    def convert(value: object) -> object:
        if isinstance(value, str):
            return parse_quantity(value, unit)
        raise ValueError(f"give a text with its unit, such as {example(unit)!r}")

    return BeforeValidator(convert)


Watts = Annotated[float, _quantity("W"), Field(gt=0)]
Metres = Annotated[float, _quantity("m"), Field(gt=0)]
Hertz = Annotated[float, _quantity("Hz"), Field(gt=0)]
Positive = Annotated[float, Field(gt=0)]
SampleRate = Annotated[float, _quantity("Sa/s"), Field(gt=0)]
Seconds = Annotated[float, _quantity("s"), Field(ge=0)]
Volts = Annotated[float, _quantity("V"), Field(gt=0)]
SignedVolts = Annotated[float, _quantity("V")]
NonNegativeHertz = Annotated[float, _quantity("Hz"), Field(ge=0)]
Amperes = Annotated[float, _quantity("A"), Field(ge=0)]
Decibels = Annotated[float, _quantity("dB"), Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]
SnuVariance = Annotated[float, Field(ge=0)]


class GainPoint(StrictModel):
    """One point of an amplifier's pump -> gain curve; ``gain`` is a power ratio."""

    pump: Amperes
    gain: Annotated[float, Field(ge=1)]


Model = TypeVar("Model", bound=BaseModel)

#: Characters of a value in a message.
SHOWN = 200
#: Largest configuration file, bytes.
MAX_BYTES = 1_000_000
#: Parts of a dotted key: reading one takes a time that rises with the square of them.
MAX_PARTS = 32
_PART = r"""(?:(?<![\w-])[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"{_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MAX_PARTS},}}")


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables; ConfigError names file and line when it is missing, too large, or not TOML."""
    try:
        if not path.exists():
            raise ConfigError(f"{path}: no such file", "Check the path.")
        if not path.is_file():
            raise ConfigError(f"{path}: a directory or a device, not a file", "Name the TOML file itself.")
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", "Check the path and its permissions.") from None
    return parse_toml(data, path)


def parse_toml(data: bytes, path: Path) -> dict[str, Any]:
    """The tables in what was read of ``path``; raises ConfigError as :func:`read_toml` does."""
    if len(data) > MAX_BYTES:
        raise ConfigError(
            f"{path}: more than {MAX_BYTES} bytes is too large for a configuration file",
            "Name the TOML file itself, not a data file.",
        )
    try:
        text = data.decode("utf-8")
        if _LONG_KEY.search(text):
            raise ConfigError(f"{path}: a key of more than {MAX_PARTS} parts", "Mend the key.")
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{path}: lists or tables within each other, too many", "Mend the file.") from None
    except ValueError as error:  # of tomllib, of text that is no UTF-8, and of numbers beyond Python's digits
        raise ConfigError(f"{path}: not valid TOML: {error}", "Mend the line named.") from None


def validate(model: type[Model], tables: object, where: str) -> Model:
    """``tables`` as ``model``; ConfigError names ``where``, the key and what is wrong with it."""
    try:
        return model.model_validate(tables)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_describe(error)}", _remedy(error)) from None


def _first(error: ValidationError) -> ErrorDetails:
    """What to tell: a misspelt key rather than that the right one is missing."""
    details = error.errors(include_url=False)
    return next((each for each in details if each["type"] == "extra_forbidden"), details[0])


def _describe(error: ValidationError) -> str:
    """The first thing that is wrong, and all keys that are missing."""
    first = _first(error)
    key = ".".join(str(part) for part in first["loc"])
    told = []
    if first["type"] == "extra_forbidden":
        told.append(f"unknown key {key!r}")
    elif first["type"] != "missing":
        value = _shown(first.get("input"))
        reason = first["msg"].removeprefix("Value error, ")
        told.append(f"key {key!r}: {reason}{value}" if key else reason)
    missing = [each["loc"] for each in error.errors(include_url=False) if each["type"] == "missing"]
    more = error.error_count() - len(told) - len(missing)
    if missing:
        told.append(_missing([tuple(map(str, each)) for each in missing]))
    return "; ".join(told) + (f" (and {more} more)" if more else "")


def _missing(keys: Sequence[tuple[str, ...]]) -> str:
    """By their tables."""
    if len(keys) == 1:
        return f"key {'.'.join(keys[0])!r} is missing"
    tables: dict[str, list[str]] = {}
    for *table, key in keys:
        tables.setdefault(".".join(table), []).append(key)
    listed = (f"[{table}] {', '.join(names)}" if table else ", ".join(names) for table, names in tables.items())
    return f"{len(keys)} keys are missing: {'; '.join(listed)}"


def _shown(value: object) -> str:
    """A value as far as it is of use in a message."""
    if not isinstance(value, (str, int, float, bool)):
        return ""
    if isinstance(value, int) and abs(value) >= 10**SHOWN:
        return f" (it has more than {SHOWN} digits)"
    text = repr(value)
    return f" (it is {text if len(text) <= SHOWN else text[:SHOWN] + '...'})"


def _remedy(error: ValidationError) -> str:
    kind = _first(error)["type"]
    if kind == "extra_forbidden":
        return "Remove the key or mend its spelling; docs/reference/files.md lists the keys."
    if kind == "missing":
        return "Add what is missing; docs/reference/files.md lists the keys."
    return "Mend the value; docs/reference/files.md lists the keys with their units."


def finite(value: float) -> bool:
    """Whether a number is neither NaN nor infinite."""
    return math.isfinite(value)
