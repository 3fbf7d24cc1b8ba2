"""Parameter types and the forms of answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_backends.scpi_values import (
    Binary,
    Block,
    Boolean,
    Choice,
    Integer,
    Number,
    Parameter,
    Rest,
    Text,
    response,
    scientific,
    unit_factor,
)
from sim_backends.status import ScpiError

NO_UNIT = object()


def code(parameter: Parameter[object], token: str | memoryview) -> int:
    with pytest.raises(ScpiError) as caught:
        parameter.parse(token, NO_UNIT)
    return caught.value.code


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        (Number(), "1.5", 1.5),
        (Number(), " -.5e-3 ", -0.5e-3),
        (Number(), "+3.", 3.0),
        (Number("M"), "1550.120000nm", 1550.12e-9),
        (Number("M"), "1550 NM", 1550e-9),
        (Number("M", plain="NM"), "1550", 1550e-9),
        (Number("M", plain=lambda unit: "UM"), "1.55", 1.55e-6),
        (Number("M"), "2M", 2.0),
        (Number("M"), "2MM", 2e-3),
        (Number("S"), "100MS", 0.1),
        (Number("HZ"), "12MHz", 12e6),
        (Number("HZ"), "193.4THZ", 193.4e12),
        (Number("V"), "250mV", 0.25),
        (Number("DB"), "12.345DB", 12.345),
        (Number("W"), "10.000000 dBm", 0.01),
        (Number("W", plain="DBM"), "0", 1e-3),
        (Number("W"), "5 mW", 5e-3),
        (Number("NM/S"), "50.000000nm/s", 50.0),
        (Number("DB", (0.0, 45.0)), "MAX", 45.0),
        (Number("DB", lambda unit: (1.0, 2.0)), "minimum", 1.0),
        (Number("DB", default=7.0), "DEF", 7.0),
        (Number("DB", resolution=0.5), "1.3", 1.5),
    ],
)
def test_numbers(parameter: Number, text: str, value: float) -> None:
    assert parameter.parse(text, NO_UNIT) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("parameter", "text", "error"),
    [
        (Number("DB", (0.0, 45.0)), "46", -222),
        (Number("DB", (0.0, 45.0)), "-0.001", -222),
        (Number(), "1e999", -222),
        (Number("W"), "4000 dBm", -222),
        (Number("M"), "3 S", -131),
        (Number("M"), "3 XM", -131),
        (Number(), "3 M", -138),
        (Number(), "", -104),
        (Number(), "1 2", -104),
        (Number(), '"1"', -104),
        (Number(), "MAX", -148),
        (Number(), "nan", -148),
        (Number(), memoryview(b"1"), -104),
        (Integer(0, 9), "10", -222),
        (Integer(0, 9), "inf", -222),
        (Integer(), "#Hxyz", -104),
        (Integer(), "ON", -148),
        (Boolean(), "MAYBE", -148),
        (Boolean(), "", -104),
        (Boolean(), "inf", -148),
        (Choice("ON", "OFF"), "MAYBE", -224),
        (Text(), '"open', -151),
        (Text(), "'", -151),
        (Binary(), "abc", -104),
        (Binary(), "#3ab", -161),
        (Text(), memoryview(b"x"), -104),
    ],
)
def test_refusals(parameter: Parameter[object], text: str | memoryview, error: int) -> None:
    assert code(parameter, text) == error


def test_integers_round_and_know_other_bases() -> None:
    read = Integer(-10, 1000).parse
    assert [read(text, NO_UNIT) for text in ("7", "2.5", "-2.4", "1E2", "#H1F", "#q17", "#b101", "MIN", "MAX")] == [
        7, 3, -2, 100, 31, 15, 5, -10, 1000,
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), [("ON", True), ("off", False), ("1", True), ("0.4", False), ("-3", True)])
def test_booleans(text: str, value: bool) -> None:
    assert Boolean().parse(text, NO_UNIT) is value


def test_choices_come_out_in_short_form() -> None:
    choice = Choice("MAIN", "WINDow", "CHANnel1")
    assert [choice.parse(word, NO_UNIT) for word in ("main", "wind", " WINDOW ", "chan1", "CHANNEL1")] == [
        "MAIN", "WIND", "WIND", "CHAN1", "CHAN1",
    ]  # fmt: skip
    assert code(choice, "WINDO") == -224


def test_strings_lose_their_quotes() -> None:
    read = Text().parse
    assert [read(t, NO_UNIT) for t in ('"a,b"', "'it''s'", " bare ", '""')] == ["a,b", "it's", "bare", ""]


def test_rest_takes_every_token() -> None:
    assert Rest(Integer()).parse_all(("1", "2", "3"), NO_UNIT) == [1, 2, 3]


def test_units_that_do_not_belong_together_have_no_factor() -> None:
    assert unit_factor("NM", "HZ") is None
    assert unit_factor("", "M") is None
    assert unit_factor("KHZ", "HZ") == 1e3


@given(st.text(st.characters(max_codepoint=255), max_size=12))
def test_no_text_breaks_a_parameter(text: str) -> None:
    parameters: list[Parameter[object]] = [
        Number("M", (0.0, 1.0)), Integer(), Boolean(), Choice("A", "B"), Text(), Binary(),
    ]  # fmt: skip
    for parameter in parameters:
        try:
            value = parameter.parse(text, NO_UNIT)
        except ScpiError:
            continue
        assert not isinstance(value, float) or math.isfinite(value)


def test_scientific_form() -> None:
    assert scientific(1.55012e-6, 8, 3) == "+1.55012000E-006"
    assert scientific(-10.234, 3) == "-1.023E+01"


def test_a_block_announces_its_length() -> None:
    header, payload = Block(np.array([1, 2], dtype="<i2")).parts()
    assert header == b"#800000004"
    assert bytes(payload) == b"\x01\x00\x02\x00"
    assert Block(b"abc", digits=1).parts()[0] == b"#13"
    assert Block(np.empty(0, np.int32)).parts()[0] == b"#800000000"


def test_answers_of_one_message_are_joined() -> None:
    joined = response([True, 3, 0.5, "text", Block(b"x;")], "\n", lambda value: f"{value:.1E}")
    assert joined == b"1;3;5.0E-01;text;#800000002x;\n"


@pytest.mark.parametrize("text", ["1.55E706", "-1E999 NM", "9E400"])
def test_a_number_too_large_for_one_is_out_of_range(text: str) -> None:
    with pytest.raises(ScpiError) as caught:
        Number("M", resolution=1e-13).parse(text, None)
    assert caught.value.code == -222


@pytest.mark.parametrize("text", ["1.5\tE-06", "1.5 E-06", "1.5E -06"])
def test_white_space_within_a_number_is_none_of_its_digits(text: str) -> None:
    assert Number("M").parse(text, None) == 1.5e-06


@pytest.mark.parametrize("token", ["DEF", " DEF", " DEFault "])
def test_words_with_blanks_around_them(token: str) -> None:
    assert Number("V", (0, 1), default=0.5).parse(token, None) == 0.5
