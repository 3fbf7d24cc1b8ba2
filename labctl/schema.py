"""Strict schemas for files that people write: quantities with units, unknown keys refused, errors that name the key."""

from __future__ import annotations

import math
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


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables; ConfigError names file and line when it is missing, too large, or not TOML."""
    try:
        size = path.stat().st_size
        if size > 1_000_000:
            raise ConfigError(
                f"{path}: {size} bytes is too large for a configuration file",
                "Name the TOML file itself, not a data file.",
            )
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file", "Check the path.") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", "Check the path and its permissions.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
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
        shown = first.get("input")
        value = f" (it is {shown!r})" if isinstance(shown, (str, int, float, bool)) else ""
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
