"""Commands line by line."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sim_backends.lines import MAX_LINE, Lines


def texts(lines: Lines, *pieces: bytes, end: bool = False) -> list[bytes]:
    return [message.text for piece in pieces for message in lines.feed(piece, end)]


def test_every_end_of_a_line_and_empty_ones() -> None:
    assert texts(Lines(), b"A\nB\rC\r\nD\n\r \n\n E \n") == [b"A", b"B", b"C", b"D", b"E"]


def test_end_closes_a_line_where_messages_have_one() -> None:
    lines = Lines()
    assert texts(lines, b"A", end=True) == [b"A"]
    assert texts(lines, b"B\r\n", end=True) == [b"B"]
    assert lines.idle


def test_half_a_line_waits_and_may_be_forgotten() -> None:
    lines = Lines()
    assert texts(lines, b"MZM:") == []
    assert not lines.idle
    lines.clear()
    assert texts(lines, b"MODE?\n") == [b"MODE?"]


def test_memory_is_bounded() -> None:
    (text,) = texts(Lines(), b"x" * 10 * MAX_LINE, b"\n")
    assert len(text) == MAX_LINE + 1


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_pieces_make_no_difference(data: bytes, cuts: list[int]) -> None:
    marks = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(marks)]
    assert texts(Lines(), *pieces) == texts(Lines(), data)
