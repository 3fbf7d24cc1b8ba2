"""Header patterns, paths and tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_backends.scpi_header import Node, compile_pattern, match_header
from sim_backends.scpi_table import (
    CommandTable,
    kept,
    query,
    split_outside_quotes,
)
from tests.sim_backends.rig import Demo

TABLE = CommandTable(Demo)


def test_a_pattern_is_taken_apart() -> None:
    assert compile_pattern("[:SOURce<n:4>]:POWer[:LEVel[:IMMediate]]?") == (
        Node("SOUR", "SOURCE", True, 4),
        Node("POW", "POWER", False, -1),
        Node("LEV", "LEVEL", True, -1),
        Node("IMM", "IMMEDIATE", True, -1),
    )
    assert compile_pattern("*IDN?") == (Node("*IDN", "*IDN", False, -1),)


@pytest.mark.parametrize("pattern", [":POW er", ":1X", "POW:[]"])
def test_a_wrong_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="bad header pattern"):
        compile_pattern(pattern)


def test_a_query_pattern_needs_its_mark() -> None:
    with pytest.raises(ValueError, match="ends with"):
        query(":POWer")


@pytest.mark.parametrize(
    ("header", "suffixes"),
    [
        (":POW", (1,)),
        (":power", (1,)),
        (":POW:LEV:IMM", (1,)),
        (":POWER:IMMEDIATE", (1,)),
        (":SOUR:POW", (1,)),
        (":source3:power:level", (3,)),
        (":Sour04:Pow", (4,)),
    ],
)
def test_headers_in_every_form(header: str, suffixes: tuple[int, ...]) -> None:
    call = TABLE.find(header)
    assert call.entry is not None
    assert call.entry.pattern.startswith("[:SOURce")
    assert call.suffixes == suffixes


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (":POWE", -113),
        (":POW2", -113),
        (":SOUR", -113),
        (":SOUR:POW:LEV:LEV", -113),
        (":SOUR0:POW", -114),
        (":SOUR5:POW", -114),
        (":SOUR99999999999:POW", -113),
        ("*IDN", -113),
        (":REF?", -113),
        ("", -113),
        ("::POW", -113),
    ],
)
def test_headers_that_are_not_there(header: str, error: int) -> None:
    assert TABLE.find(header).error == error


def test_a_header_is_found_again_without_search() -> None:
    assert TABLE.find(":pow:lev") is TABLE.find(":pow:lev")


def test_left_out_nodes_keep_the_place_of_their_suffix() -> None:
    nodes = compile_pattern("[:SOURce<n>]:CHANnel<n>")
    assert match_header(["CHAN2"], nodes) == [0, 2]
    assert match_header(["SOUR3", "CHAN"], nodes) == [3, 0]


def headers(text: str, path: str = ":") -> tuple[list[object], str]:
    calls, after = TABLE.parse(text.encode("latin-1"), None, path)
    return [call.entry.pattern if call.entry else call.error for call in calls], after


def test_a_relative_header_continues_at_the_level_of_the_one_before() -> None:
    found, path = headers(":TRAC1:SEL 1;DATA?;*OPC?;SEL 2;:POW?")
    assert found == [":TRACe<n:2>:SELect", ":TRACe<n:2>:DATA?", "*OPC?", ":TRACe<n:2>:SELect", found[-1]]
    assert path == ":"
    assert headers(":TRAC1:SEL 1")[1] == ":TRAC1:"


def test_an_undefined_header_ends_the_list() -> None:
    assert headers("*OPC?;:NONE 1;*OPC?")[0] == ["*OPC?", -113]


def test_tokens_are_split_at_commas_outside_quotes_and_parentheses() -> None:
    calls, _ = TABLE.parse(b":LIST 1, 'a,b' ,(@1,2),\"x;y\"", None, ":")
    assert calls[0].tokens == ("1", " 'a,b' ", "(@1,2)", '"x;y"')


def test_a_block_is_the_last_token() -> None:
    payload = memoryview(b"xy")
    calls, _ = TABLE.parse(b":TRAC:DATA 1,0,", payload, ":")
    assert calls[0].tokens == ("1", "0", payload)
    calls, _ = TABLE.parse(b":TRAC:DATA", payload, ":")
    assert calls[0].tokens == (payload,)


def test_what_is_kept_survives_its_sender() -> None:
    data = bytearray(b"xy")
    calls, _ = TABLE.parse(b":TRAC:DATA 1,0,", memoryview(data), ":")
    copies = kept(calls)
    data[:] = b"AB"
    kept_block = copies[0].tokens[2]
    assert isinstance(kept_block, memoryview)
    assert bytes(kept_block) == b"xy"


def test_whole_lines_are_remembered_and_blocks_are_not() -> None:
    lines = TABLE.lines(b"*OPC?\r\n\n:POW?\n")
    assert lines is not None
    assert [line.text for line in lines] == [b"*OPC?", b":POW?"]
    assert TABLE.lines(b"*OPC?\r\n\n:POW?\n") is lines
    assert TABLE.lines(b"*OPC?") is None
    assert TABLE.lines(b":TRAC:DATA 1,0,#12ab\n") is None


@given(st.text(st.characters(max_codepoint=255), max_size=40))
def test_garbage_is_parsed_to_something(text: str) -> None:
    calls, path = TABLE.parse(text.encode("latin-1"), None, ":")
    assert path.startswith(":")
    assert all(call.entry is not None or call.error < 0 for call in calls)


@given(st.text(st.sampled_from("ab\"',;()"), max_size=20))
def test_splitting_loses_nothing(text: str) -> None:
    assert ",".join(split_outside_quotes(text, ",")) == text
