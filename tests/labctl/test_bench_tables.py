"""[[interlocks]] of a bench file: units by the reading's name, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labctl.bench_tables import InterlockEntry
from labctl.config import load_bench
from labctl.errors import ConfigError
from labctl.schema import validate
from labctl.shipped import bench_path


def entry(**keys: Any) -> InterlockEntry:
    return validate(InterlockEntry, {"instrument": "laser", **keys}, "here")


@pytest.mark.parametrize(
    ("reading", "text", "value"),
    [
        ("power_w", "10 dBm", 0.01),
        ("wavelength_m", "1550.12 nm", 1.55012e-6),
        ("sensed_pump_a", "120 mA", 0.12),
        ("booster_temperature_c", "35 °C", 35.0),
        ("booster_temperature_c", "-5 degC", -5.0),
        ("attenuation_1_db", "3 dB", 3.0),
        ("time_range_s", "2 ms", 0.002),
        ("position", 2, 2.0),
        ("degree_of_polarisation", "95 %", 0.95),
    ],
)
def test_limits_are_in_the_readings_unit(reading: str, text: str | float, value: float) -> None:
    assert entry(reading=reading, min=text).limit("min") == pytest.approx(value)
    assert entry(reading=reading, max=text).limit("min") is None


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"reading": "power_w"}, "needs min, max or drift, or else equals"),
        ({"reading": "power_w", "min": "1 mW", "equals": True}, "or else equals"),
        ({"reading": "power_w", "min": 1.0}, "power_w is in W, give a text with a unit"),
        ({"reading": "power_w", "min": "1 mA"}, "is not in W"),
        ({"reading": "power_w", "min": "2 mW", "max": "1 mW"}, "min is above max"),
        ({"reading": "power_w", "drift": "-1 mW"}, "must not be negative"),
        ({"reading": "power_w", "drift": "1 mW", "when": "before"}, "does not fit"),
        ({"reading": "power_w", "max": "1 mW", "when": "after"}, "when"),
        ({"reading": "power_w", "max": "1 mW", "every_images": 0}, "every_images"),
        ({"reading": "Power", "max": 1}, "reading"),
        ({"reading": "power_w", "maximum": "1 mW"}, "unknown key 'maximum'"),
    ],
)
def test_what_is_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        entry(**keys)


def test_in_a_bench_file(tmp_path: Path) -> None:
    path = tmp_path / "b.bench.toml"
    text = bench_path("ideal").read_text()
    path.write_text(text + '\n[[interlocks]]\ninstrument = "amplifier"\nreading = "interlock_open"\nequals = false\n')
    (found,) = load_bench(path).interlocks
    assert (found.equals, found.when, found.every) == (False, "both", None)
    path.write_text(text + '\n[[interlocks]]\ninstrument = "door"\nreading = "closed"\nequals = true\n')
    with pytest.raises(ConfigError, match=r"interlocks\[0\].instrument names 'door', which is not in \[instruments\]"):
        load_bench(path)
