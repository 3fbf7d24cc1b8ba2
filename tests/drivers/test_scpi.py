"""Numbers, blocks, error entries and declared settings: what comes back is what was meant, or
ValueError.
"""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import scpi
from labctl.values import Range


@given(st.floats(min_value=-9.8e37, max_value=9.8e37))
def test_real_numbers_survive_to_fifteen_digits(value: float) -> None:
    assert scpi.parse_real(scpi.format_real(value)) == pytest.approx(value, rel=1e-14, abs=0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("+1.55012000E-006", 1.55012e-6),
        (" 12 ", 12.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-3.060000e+02", -306.0),
        ("9.9E37", math.inf),
        ("-9.9E+37", -math.inf),
        ("3.40282300E+038", math.inf),
        ("INF", math.inf),
        ("ninf", -math.inf),
    ],
)
def test_numbers_of_the_makers(text: str, value: float) -> None:
    assert scpi.parse_real(text) == value


def test_not_a_number() -> None:
    assert math.isnan(scpi.parse_real("9.91E37"))
    assert math.isnan(scpi.parse_real("NAN"))
    with pytest.raises(ValueError, match="no reading"):
        scpi.parse_finite("+9.91000000E+037")
    with pytest.raises(ValueError, match="overflow"):
        scpi.parse_finite("9.9e37")


@pytest.mark.parametrize("text", ["", "1,2", "1_000", "0x10", "1e", "1e400", "dBm", "1 2", "--1", "1.2.3"])
def test_garbage_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        scpi.parse_real(text)


@given(st.text(max_size=30))
def test_any_text_is_a_number_or_a_value_error(text: str) -> None:
    for parse in (scpi.parse_real, scpi.parse_integer, scpi.parse_switch, scpi.parse_error_entry):
        with contextlib.suppress(ValueError):
            parse(text)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_infinities_are_not_sent(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        scpi.format_real(value)


def test_integers_and_switches() -> None:
    assert scpi.parse_integer("+32") == 32
    assert scpi.parse_integer("4.0E+00") == 4
    assert scpi.parse_integer("18446744073709551617") == 2**64 + 1
    with pytest.raises(ValueError, match="whole"):
        scpi.parse_integer("1.5")
    assert [scpi.parse_switch(t) for t in ("1", "+0", "on", "OFF")] == [True, False, True, False]
    with pytest.raises(ValueError, match="neither"):
        scpi.parse_switch("2")


def test_error_entries() -> None:
    entry = scpi.parse_error_entry('-222,"Data out of range;says ""x"""')
    assert (entry.code, entry.text) == (-222, 'Data out of range;says "x"')
    assert scpi.parse_error_entry('+0,"No error"').code == 0
    several = scpi.parse_error_entries('113,"Undefined header; a, ""b""",222,"Data out of range"')
    assert [(each.code, each.text[:4]) for each in several] == [(113, "Unde"), (222, "Data")]
    assert [each.code for each in scpi.parse_error_entries('0,"No error"')] == [0]
    with pytest.raises(ValueError, match="error queue"):
        scpi.parse_error_entry("0")


@given(st.binary(max_size=300))
def test_a_block_comes_back(data: bytes) -> None:
    for end in (b"", b"\n", b"\r\n"):
        assert scpi.parse_block(scpi.make_block(data) + end) == data


@given(st.binary(max_size=60))
def test_any_bytes_are_a_block_or_a_value_error(message: bytes) -> None:
    try:
        data = scpi.parse_block(message)
    except ValueError:
        return
    assert message.startswith(b"#")
    assert data in message


@given(st.binary(max_size=40), st.integers(min_value=0, max_value=50))
def test_a_block_of_another_length_is_refused(data: bytes, length: int) -> None:
    digits = str(length)
    message = f"#{len(digits)}{digits}".encode() + data
    if length == len(data):
        assert scpi.parse_block(message) == data
    elif not (length == len(data) - 1 and data.endswith((b"\n", b"\r"))) and not (
        length == len(data) - 2 and data.endswith(b"\r\n")
    ):
        with pytest.raises(ValueError, match="block"):
            scpi.parse_block(message)


@pytest.mark.parametrize("message", [b"", b"#", b"12", b"#0abc\n", b"#9123", b"#2 5abcde", b"#3+12abcde"])
def test_what_is_no_definite_block(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"block"):
        scpi.parse_block(message)


def test_a_block_too_long_for_its_header() -> None:
    with pytest.raises(ValueError, match="999999999"):
        scpi.block_header(10**9)


@given(st.lists(st.integers(min_value=-8192, max_value=8191), max_size=50))
def test_samples_are_shifted_little_endian_words(values: list[int]) -> None:
    codes = np.array(values, dtype=np.int16)
    header, words = scpi.int16_block(codes, 2)
    assert scpi.parse_block(header + words) == b"".join((4 * v).to_bytes(2, "little", signed=True) for v in values)


def test_samples_that_do_not_lie_side_by_side() -> None:
    codes = np.arange(10, dtype=np.int16)[::2]
    header, words = scpi.int16_block(codes)
    assert np.frombuffer(scpi.parse_block(header + words), "<i2").tolist() == [0, 2, 4, 6, 8]


def test_settings_say_what_is_sent() -> None:
    scale = scpi.real(":CHANnel{}:SCALe", "V/div", unit="V", limits=Range(0.001, 5.0, "V"))
    assert scale.query(2) == ":CHANnel2:SCALe?"
    assert scale.command(0.35, 1) == ":CHANnel1:SCALe 0.35"
    assert scpi.real(":INP{}:ATT", "", suffix=" DB").command(12.5, 3) == ":INP3:ATT 12.5 DB"
    assert scpi.switch(":OUTP", "").command(True) == ":OUTP 1"
    assert scpi.word(":ACQ:TYPE", "").parse(' "HRES" ') == "HRES"
    for value in (5.1, -1.0, math.nan):
        with pytest.raises(ValueError, match="outside"):
            scale.command(value, 1)


def test_wavelengths_are_round_numbers_on_the_wire() -> None:
    assert scpi.format_real(1550.12e-9 * 1e9) == "1550.12"
