"""Strict schemas: what is wrong is said with file, key and remedy."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from labctl.errors import ConfigError
from labctl.schema import (
    Amperes,
    Decibels,
    Fraction,
    GainPoint,
    Hertz,
    Metres,
    SampleRate,
    Seconds,
    SnuVariance,
    StrictModel,
    Volts,
    Watts,
    finite,
    read_toml,
    validate,
)


class Inner(StrictModel):
    level: Volts = 0.1


class Everything(StrictModel):
    power: Watts = 1.0
    wavelength: Metres = 1.0
    frequency: Hertz = 1.0
    rate: SampleRate = 1.0
    time: Seconds = 1.0
    current: Amperes = 1.0
    loss: Decibels = 1.0
    share: Fraction = 1.0
    variance: SnuVariance = 0.0
    count: Annotated[int, Field(ge=1)] = 1
    inner: Inner = Inner()
    points: list[GainPoint] = Field(default_factory=list)


def refusal(**tables: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        validate(Everything, tables, "lab.toml")
    assert caught.value.message.startswith("lab.toml: ")
    assert caught.value.remedy
    return caught.value


def test_quantities_become_si() -> None:
    model = validate(
        Everything,
        {
            "power": "10 dBm",
            "wavelength": "1550 nm",
            "frequency": "2 GHz",
            "rate": "125 MSa/s",
            "time": "0 s",
            "current": "0 mA",
            "loss": "0 dB",
            "share": 0.5,
            "inner": {"level": "350 mV"},
        },
        "lab.toml",
    )
    assert model.power == pytest.approx(0.01)
    assert model.wavelength == 1.55e-6
    assert model.inner.level == 0.35
    with pytest.raises(ValueError, match="frozen"):
        model.power = 2.0


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("power", "10 dB", "is not in W"),
        ("power", 10, "give a text with its unit, such as '10 mW'"),
        ("power", 10.0, "give a text with its unit"),
        ("power", "10", "is not in W"),
        ("power", "0 W", "greater than 0"),
        ("power", "-1 mW", "greater than 0"),
        ("power", "nan W", "is not a number"),
        ("power", "1e400 W", "not finite"),
        ("power", True, "give a text"),
        ("power", ["10 mW"], "give a text"),
        ("loss", "-1 dB", "greater than or equal to 0"),
        ("loss", "3 dBm", "is not in dB"),
        ("time", "-1 s", "greater than or equal to 0"),
        ("share", 0, "greater than 0"),
        ("share", 1.1, "less than or equal to 1"),
        ("share", "0.5", "valid number"),
        ("share", float("nan"), ""),
        ("variance", float("inf"), "finite"),
        ("variance", -0.1, "greater than or equal"),
        ("count", 1.5, "integer"),
        ("count", "1", "integer"),
        ("count", True, "integer"),
    ],
)
def test_wrong_value(key: str, value: object, said: str) -> None:
    error = refusal(**{key: value})
    assert f"key '{key}'" in error.message
    assert said in error.message


def test_unknown_key_at_any_depth() -> None:
    assert refusal(pwoer="10 mW").message == "lab.toml: unknown key 'pwoer'"
    assert "unknown key 'inner.levle'" in refusal(inner={"levle": "1 V"}).message
    assert "spelling" in refusal(pwoer="10 mW").remedy


def test_nested_and_listed_keys_are_named() -> None:
    assert "'inner.level'" in refusal(inner={"level": "1 A"}).message
    assert "'points.1.gain'" in refusal(points=[{"pump": "0 A", "gain": 1}, {"pump": "1 A", "gain": 0.5}]).message
    assert "key 'points.0.gain' is missing" in refusal(points=[{"pump": "0 A"}]).message


def test_all_missing_keys_are_told_at_once_by_table() -> None:
    error = refusal(points=[{"pump": "0 A"}, {"gain": 1}, {}])
    assert error.message == ("lab.toml: 4 keys are missing: [points.0] gain; [points.1] pump; [points.2] pump, gain")
    assert "files.md lists the keys" in error.remedy
    assert refusal(points=[{}], pwoer="1 W", count=0).message == (
        "lab.toml: unknown key 'pwoer'; 2 keys are missing: [points.0] pump, gain (and 1 more)"
    )


def test_further_errors_are_counted() -> None:
    assert refusal(power=1, loss=1, count=0).message.endswith("(and 2 more)")


def test_file_must_be_there_and_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path / 'none.toml'}: no such file")):
        read_toml(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="directory"):
        read_toml(tmp_path)
    bad = tmp_path / "bad.toml"
    bad.write_text("a = 1\nb = = 2\n")
    with pytest.raises(ConfigError, match=r"bad\.toml: not valid TOML: .*line 2") as caught:
        read_toml(bad)
    assert "line" in caught.value.remedy
    bad.write_text("a = 1\na = 2\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        read_toml(bad)
    bad.write_bytes(b"a = '\xff'\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        read_toml(bad)
    bad.write_bytes(b"#" * 1_000_001)
    with pytest.raises(ConfigError, match="too large"):
        read_toml(bad)


def test_good_file(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text('power = "1 mW"\n[inner]\nlevel = "2 V"\n')
    assert read_toml(tmp_path / "good.toml") == {"power": "1 mW", "inner": {"level": "2 V"}}


def test_finite() -> None:
    assert finite(0.0)
    assert not finite(float("nan"))
    assert not finite(float("-inf"))


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "{a=" * 100_000,
        "a = " + "1" * 10_000,
        "a." * 400_000 + "a = 1",
        "[" + "'a' . " * 100_000 + "a]",
        "b = { " + '"a\\"".' * 40 + "a = 1 }",
        "#" * 1_000_001,
        "a = '\ud800'",
    ],
)
def test_files_that_are_hard_to_read_are_refused_at_once(tmp_path: Path, text: str) -> None:
    """Python's reader takes a time that rises with the square of a dotted key's parts: minutes for such a file."""
    path = tmp_path / "hard.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    start = time.process_time()
    with pytest.raises(ConfigError, match=re.escape(str(path))):
        read_toml(path)
    assert time.process_time() - start < 2


def test_ordinary_dots_are_no_long_key(tmp_path: Path) -> None:
    path = tmp_path / "dots.toml"
    path.write_text(f"a = [{', '.join(['0.5'] * 500)}]\nnote = '{'A word. ' * 31}'\nb.c.\"d.e\" = '{'-' * 99_999}'\n")
    assert len(read_toml(path)["a"]) == 500
