"""Quantities as people write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.units import (
    db_to_ratio,
    dbm_to_watt,
    example,
    parse_quantity,
    ratio_to_db,
    watt_to_dbm,
)

UNITS = ["W", "m", "Hz", "s", "V", "A", "K", "Sa/s"]
PREFIXES = {"p": -12, "n": -9, "u": -6, "\u00b5": -6, "\u03bc": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12}
NUMBERS = st.floats(-1e9, 1e9).filter(lambda x: x == 0 or abs(x) > 1e-9)


@given(NUMBERS, st.sampled_from(UNITS), st.sampled_from(sorted(PREFIXES)))
def test_what_is_written_is_read(value: float, unit: str, prefix: str) -> None:
    expected = value * 10.0 ** PREFIXES[prefix]
    for text in (f"{value!r} {prefix}{unit}", f"  {value!r}{prefix}{unit} ", f"{value:.17e}\t{prefix}{unit}"):
        assert parse_quantity(text, unit) == pytest.approx(expected, rel=1e-15)


@given(NUMBERS, st.sampled_from(["dB", ""]))
def test_plain_numbers_and_decibels_take_no_prefix(value: float, unit: str) -> None:
    assert parse_quantity(f"{value!r} {unit}", unit) == value
    with pytest.raises(ValueError, match="is not in"):
        parse_quantity(f"{value!r} k{unit or 'V'}", unit)


@given(st.integers(1, 10**6), st.sampled_from(UNITS), st.sampled_from(sorted(PREFIXES)))
def test_whole_numbers_of_a_multiple_are_exact(value: int, unit: str, prefix: str) -> None:
    """700 mV is the float 0.7 and not one beside it: limits are compared with such numbers."""
    assert parse_quantity(f"{value} {prefix}{unit}", unit) == float(f"{value}e{PREFIXES[prefix]}")


@given(st.floats(-200, 200))
def test_dbm(dbm: float) -> None:
    assert watt_to_dbm(parse_quantity(f"{dbm!r} dBm", "W")) == pytest.approx(dbm, abs=1e-9)
    assert watt_to_dbm(dbm_to_watt(dbm)) == pytest.approx(dbm, abs=1e-9)
    assert ratio_to_db(db_to_ratio(dbm)) == pytest.approx(dbm, abs=1e-9)


def test_known_values() -> None:
    assert parse_quantity("10 dBm", "W") == pytest.approx(0.01)
    assert parse_quantity("1550.12 nm", "m") == 1550.12e-9
    assert parse_quantity("125 MSa/s", "Sa/s") == 125e6
    assert parse_quantity("3 m", "m") == 3.0
    assert parse_quantity("3 mm", "m") == 3e-3
    assert parse_quantity("5 %", "") == 0.05


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("10 dB", "W"),
        ("10", "W"),
        ("10 mW", "V"),
        ("10 dBm", "dB"),
        ("10 Sa/s", "Hz"),
        ("10 xV", "V"),
        ("10 V V", "V"),
        ("10 m V", "V"),
        ("V", "V"),
        ("", "V"),
        ("nan V", "V"),
        ("inf V", "V"),
        ("1_000 V", "V"),
        ("0x10 V", "V"),
        ("1,5 V", "V"),
        ("--1 V", "V"),
        ("10 %", "dB"),
    ],
)
def test_refused(text: str, unit: str) -> None:
    with pytest.raises(ValueError, match=r"is not") as refusal:
        parse_quantity(text, unit)
    assert repr(text) in str(refusal.value)
    assert example(unit) in str(refusal.value)


@pytest.mark.parametrize("text", ["1e400 V", "1e308 TV", "1e99999999999999999999 V"])
def test_too_large_is_not_finite(text: str) -> None:
    with pytest.raises(ValueError, match="not finite"):
        parse_quantity(text, "V")
    with pytest.raises(ValueError, match="not finite"):
        parse_quantity("1e6 dBm", "W")


@pytest.mark.parametrize("unit", [*UNITS, "dB", ""])
def test_examples_are_legal(unit: str) -> None:
    assert math.isfinite(parse_quantity(example(unit), unit))


@given(st.text(max_size=20), st.sampled_from([*UNITS, "dB", ""]))
def test_nothing_but_a_finite_number_or_a_value_error(text: str, unit: str) -> None:
    try:
        assert math.isfinite(parse_quantity(text, unit))
    except ValueError as error:
        assert str(error)  # noqa: PT017  (either outcome is right)


def test_powers_without_logarithm() -> None:
    for bad in (0.0, -1.0):
        with pytest.raises(ValueError, match="dBm"):
            watt_to_dbm(bad)
        with pytest.raises(ValueError, match="dB"):
            ratio_to_db(bad)
