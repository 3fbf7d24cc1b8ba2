"""The reference pages list what the code knows: keys with units and defaults, options, commands, faults."""

from __future__ import annotations

import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

import sim_backends
from drivers.discovery import CATALOGUE
from labctl.config import BenchConfig, RunConfig
from labctl.properties import PROPERTIES
from labctl.schema import StrictModel
from sim_backends.config import WorldConfig
from sim_backends.faults import FAULTS
from sim_backends.lab import Lab, shipped_bench
from sim_backends.options import OptionReader
from sim_backends.unit import Unit

ROOT = Path(__file__).resolve().parents[2]
FILES_PAGE = (ROOT / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
LAB_PAGE = (ROOT / "docs" / "reference" / "simulated-lab.md").read_text(encoding="utf-8")
QUANTITIES = {"W", "m", "Sa/s", "V", "A", "dB", "Hz", "s"}


@dataclass(frozen=True)
class Row:
    """One line of a table of keys, backticks taken off."""

    key: str
    unit: str
    default: str


def cells_of(body: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()]


# --- files.md -------------------------------------------------------------------------------------


def tables() -> dict[str, list[Row]]:
    """Rows by the class named in the comment before each table."""
    found: dict[str, list[Row]] = {}
    for name, body in re.findall(r"<!-- keys: (\S+) -->\n\| key .*\n\|[-|]+\n((?:\|.*\n)+)", FILES_PAGE):
        rows = cells_of(body)
        found[name] = [Row(key.strip("`"), unit, default.strip("`")) for key, unit, default, _ in rows]
    return found


def schemas(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    """``model`` and every schema inside it."""
    if model not in seen:
        seen.add(model)
        for field in model.model_fields.values():
            for inner in inner_models(field.annotation):
                schemas(inner, seen)
    return seen


def inner_models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from inner_models(argument)


BY_NAME = {
    f"{model.__module__}.{model.__name__}": model
    for root in (RunConfig, BenchConfig, WorldConfig)
    for model in schemas(root, set())
}


def test_every_schema_has_a_table_and_no_other() -> None:
    assert set(tables()) == set(BY_NAME)
    assert len(re.findall("<!-- keys:", FILES_PAGE)) == len(BY_NAME)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_keys_units_and_defaults(name: str) -> None:
    rows, fields = tables()[name], BY_NAME[name].model_fields
    assert [row.key for row in rows] == list(fields)
    for row in rows:
        field = fields[row.key]
        assert row.unit in QUANTITIES | {"", "SNU"}
        assert is_quantity(field) == (row.unit in QUANTITIES), f"unit of {name}.{row.key}"
        if row.unit in QUANTITIES:
            value_of(field, "1 ns" if row.unit == "s" else f"1 {row.unit}")  # delays have a largest value
        if (name, row.key) != ("labctl.config.RunConfig", "name"):  # required, and filled in by the file's stem
            check_default(f"{name}.{row.key}", row.default, field)


def value_of(field: FieldInfo, written: object) -> Any:
    """``written`` as the schema reads it."""
    return TypeAdapter(Annotated[field.annotation, *field.metadata, "one key"]).validate_python(written)


def is_quantity(field: FieldInfo) -> bool:
    """Whether a bare number is refused for want of a unit."""
    try:
        value_of(field, 1.0)
    except ValidationError as error:
        return "with its unit" in str(error)
    return False


def check_default(where: str, cell: str, field: FieldInfo) -> None:
    if cell == "required" or field.is_required():
        assert (cell, field.is_required()) == ("required", True), where
    elif cell == "none":
        assert field.default is None, where
    elif cell == "all defaults":
        assert isinstance(field.default, StrictModel), where
        assert field.default == type(field.default)(), where
    else:
        assert value_of(field, tomllib.loads(f"x = {cell}")["x"]) == field.get_default(call_default_factory=True), where


# --- simulated-lab.md -----------------------------------------------------------------------------


def documented_options() -> dict[str, dict[str, Any]]:
    """Options of each model with their defaults, from the section that bears its name."""
    found = {}
    for model, section in re.findall(r"^### ([a-z0-9_]+)\n(.*?)(?=^##)", LAB_PAGE, re.MULTILINE | re.DOTALL):
        body = re.search(r"\| option .*\n\|[-|]+\n((?:\|.*\n)+)", section)
        rows = cells_of(body[1]) if body else []
        found[model] = {key.strip("`"): tomllib.loads(f"x = {default.strip('`')}")["x"] for key, default, _ in rows}
    return found


def test_options_of_simulated_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """``model`` names the module in a bench file, so an option of that name cannot be given there."""
    taken: dict[str, Any] = {}
    take = OptionReader._take

    def note(reader: OptionReader, key: str, default: object) -> object:
        taken[key] = default
        return take(reader, key, default)

    monkeypatch.setattr(OptionReader, "_take", note)
    known: dict[str, dict[str, Any]] = {}
    lab = Lab(shipped_bench())
    for module in pkgutil.iter_modules(sim_backends.__path__):
        if module.name == "compiled_kernel":  # no unit's; it needs an extra
            continue
        for unit in vars(importlib.import_module(f"sim_backends.{module.name}")).values():
            if isinstance(unit, type) and issubclass(unit, Unit) and module.name == unit.MODEL:
                taken.clear()
                unit(unit.MODEL, lab.world, {})
                known[unit.MODEL] = {key: default for key, default in taken.items() if key != "model"}
    assert documented_options() == known


def test_commands_of_sim() -> None:
    source = (ROOT / "sim_backends" / "sim_control.py").read_text(encoding="utf-8")
    headers = re.findall(r'@(?:command|query)\(\s*"([^"]+)"', source)
    assert headers
    rows = re.findall(r"^\| `([:*][^|]*)`", LAB_PAGE, re.MULTILINE)
    documented = {word for row in rows for word in re.findall(r"[:*][A-Za-z:]+\??", row)}
    assert set(headers) <= documented
    assert documented <= {*headers, "*IDN?", ":SYSTem:ERRor?"}


def test_faults() -> None:
    section = LAB_PAGE.partition("\n## Faults\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([A-Z]+)` \|", section, re.MULTILINE)) == set(FAULTS)


def test_every_driver_of_the_catalogue_is_documented_with_its_options() -> None:
    page = (ROOT / "docs" / "reference" / "instruments.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(drivers\.\w+:\w+)` \|", page)) == set(CATALOGUE)
    assert set(re.findall(r"^\| `(drivers\.\w+:\w+)` \|", FILES_PAGE, re.MULTILINE)) == set(CATALOGUE)
    modules = {driver.partition(":")[0].partition(".")[2] for driver in CATALOGUE}
    assert {model for model, _ in documented_options().items()} == modules


# --- instruments.md: properties of each kind ---------------------------------------------------------


def test_properties_of_each_kind() -> None:
    page = (ROOT / "docs" / "reference" / "instruments.md").read_text(encoding="utf-8")
    body = page.split("## Properties")[1].split("\n## ")[0]
    rows = cells_of("\n".join(line for line in body.splitlines() if line.startswith("| ")))[1:]
    expected = []
    for kind, table in PROPERTIES.items():
        columns: list[list[str]] = [[], [], [], []]
        for each in table:
            place = (0 if each.get else 1) if each.set else 3 if each.fixed else 2
            columns[place].append(f"`{each.name}[N]`" if each.channels else f"`{each.name}`")
        expected.append([kind.__name__, *(", ".join(names) for names in columns)])
    assert rows == expected
