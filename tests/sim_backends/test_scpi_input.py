"""Framing: what the messages are must not depend on how their bytes were cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_backends.scpi_input import INPUT_OVERRUN, INVALID_BLOCK, TOO_MUCH_DATA, InputBuffer, Message

Seen = tuple[bytes, bytes | None, bool, int]


def seen(message: Message) -> Seen:
    return message.text, None if message.block is None else bytes(message.block), message.continued, message.error


def fed(pieces: list[bytes], end: bool = False, buffer: InputBuffer | None = None) -> list[Seen]:
    buffer = buffer or InputBuffer()
    messages = []
    for index, piece in enumerate(pieces):
        messages += [seen(m) for m in buffer.feed(piece, end and index == len(pieces) - 1)]
    return messages


def block(payload: bytes) -> bytes:
    length = str(len(payload)).encode()
    return b"#" + str(len(length)).encode() + length + payload


def test_lines_end_with_lf_and_lose_their_cr() -> None:
    assert fed([b"*IDN?\r\n:POW 1\n\n\r\n"]) == [(b"*IDN?", None, False, 0), (b":POW 1", None, False, 0)]


def test_line_feeds_inside_a_block_are_data() -> None:
    assert fed([b":DATA 1," + block(b"a\nb\r\n") + b"\n*OPC?\n"]) == [
        (b":DATA 1,", b"a\nb\r\n", False, 0),
        (b"*OPC?", None, False, 0),
    ]


def test_a_block_ends_its_message_and_the_next_may_follow_at_once() -> None:
    assert fed([b":DATA " + block(b"xy") + b":SEL 1\n"]) == [(b":DATA ", b"xy", False, 0), (b":SEL 1", None, False, 0)]


def test_a_message_after_a_block_continues_when_it_starts_with_a_semicolon() -> None:
    assert [m[2] for m in fed([b":DATA " + block(b"xy") + b";SEL 1\n;SEL 2\n"])] == [False, True, False]


def test_header_block_header_payload_and_terminator_in_four_writes() -> None:
    assert fed([b":TRAC1:DATA 1,0,", b"#14", b"a\nbc", b"\n"]) == [(b":TRAC1:DATA 1,0,", b"a\nbc", False, 0)]


def test_a_hash_in_a_string_or_number_is_no_block() -> None:
    assert fed([b':LAB "#12ab"\n', b":MASK #H1F\n", b":X #\n"]) == [
        (b':LAB "#12ab"', None, False, 0),
        (b":MASK #H1F", None, False, 0),
        (b":X #", None, False, 0),
    ]


def test_end_finishes_a_message_without_terminator() -> None:
    assert fed([b"*ID", b"N?"], end=True) == [(b"*IDN?", None, False, 0)]
    assert fed([b"*IDN?\n"], end=True) == [(b"*IDN?", None, False, 0)]


def test_an_indefinite_block_ends_with_end() -> None:
    assert fed([b":DATA #0ab\n", b"cd\n"], end=True) == [(b":DATA ", b"ab\ncd", False, 0)]


def test_end_inside_a_definite_block_is_an_error() -> None:
    assert fed([b":DATA #210abc"], end=True) == [(b":DATA ", None, False, INVALID_BLOCK)]


def test_too_long_a_text_is_skipped_up_to_its_end() -> None:
    buffer = InputBuffer(max_text=10)
    messages = fed([b"x" * 8, b"y" * 8, b"#15zzz", b"\n*OPC?\n"], buffer=buffer)
    assert messages == [(b"", None, False, INPUT_OVERRUN), (b"*OPC?", None, False, 0)]


def test_too_long_a_block_is_skipped_without_being_kept() -> None:
    buffer = InputBuffer(max_block=100)
    messages = fed([b":DATA #3200" + b"\n" * 150, b"\n" * 50 + b"*OPC?\n"], buffer=buffer)
    assert messages == [(b":DATA ", None, False, TOO_MUCH_DATA), (b"*OPC?", None, False, 0)]


def test_a_block_that_came_whole_is_not_copied() -> None:
    data = bytearray(b":DATA #15abcde\n")
    (message,) = InputBuffer().feed(data, False)
    assert message.block is not None
    data[9:14] = b"ABCDE"
    assert bytes(message.block) == b"ABCDE"


def test_clear_forgets_half_a_message() -> None:
    buffer = InputBuffer()
    assert fed([b":DATA #210abc"], buffer=buffer) == []
    assert not buffer.idle
    buffer.clear()
    assert buffer.idle
    assert fed([b"*OPC?\n"], buffer=buffer) == [(b"*OPC?", None, False, 0)]


@pytest.mark.parametrize(
    ("pieces", "begun"),
    [
        ([b"*IDN?\n"], 0),
        ([b"*ID"], 3),
        ([b"*ID", b"N?\n"], 0),
        ([b":DATA #"], 7),
        ([b":DATA #21"], 9),
        ([b":DATA #210abc"], 10),
        ([b":DATA #210abc", b"defghij"], 0),  # whole, though something may follow
        ([b":DATA #210abcdefghij;"], 1),
        ([b":DATA #9999999999", b"abc"], 1),  # refused, and not kept
        ([b"x" * 99], 1),
    ],
)
def test_what_is_kept_of_a_message_that_has_begun(pieces: list[bytes], begun: int) -> None:
    buffer = InputBuffer()
    buffer.bound(max_text=50, max_block=50)
    fed(pieces, buffer=buffer)
    assert buffer.begun == begun


def test_bounds_are_only_lowered() -> None:
    buffer = InputBuffer(max_text=10, max_block=100)
    buffer.bound(max_text=1000, max_block=1000)
    assert fed([b"x" * 8, b"y" * 8 + b"\n"], buffer=buffer) == [(b"", None, False, INPUT_OVERRUN)]


@pytest.mark.parametrize("text", [b'"#13a\'"#', b"'#\"#15'", b"\"a\"'#'#", b"''#'\"##\"'", b'"#"#"#"'])
def test_what_looks_like_a_block_inside_a_string_is_text_however_it_comes(text: bytes) -> None:
    whole = fed([text + b"\n"])
    assert whole == [(text, None, False, 0)]
    assert fed([text[i : i + 1] for i in range(len(text))] + [b"\n"]) == whole


MESSAGES = st.one_of(
    st.sampled_from([b"*IDN?", b":POW 1;STAT 0", b";SEL 1", b':LAB "a;#13b"', b"", b":M #B101", b"'\""]),
    st.binary(max_size=12).map(lambda raw: raw.replace(b"#", b"").replace(b"\n", b"")),
    st.binary(max_size=20).map(lambda payload: b":DATA 1," + block(payload)),
)


@given(st.lists(st.tuples(MESSAGES, st.sampled_from([b"\n", b"\r\n"])), max_size=6), st.data())
def test_any_split_gives_the_same_messages(parts: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    stream = b"".join(text + ending for text, ending in parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert fed(pieces) == fed([stream])


@given(st.lists(st.tuples(st.binary(max_size=30), st.booleans()), max_size=10))
def test_garbage_neither_raises_nor_grows_beyond_the_caps(pieces: list[tuple[bytes, bool]]) -> None:
    buffer = InputBuffer(max_text=16, max_block=32)
    for piece, end in pieces:
        for message in buffer.feed(piece, end):
            assert len(message.text) <= 16 + 13  # a block header that turned out to be text
            assert message.block is None or len(message.block) <= 32
        assert buffer.begun <= 16 + 13 + 33
    list(buffer.feed(b"\n", True))
    assert buffer.idle


@pytest.mark.parametrize("piece", [memoryview(b"*OPC?\n"), bytearray(b"*OPC?\n")])
def test_any_buffer_will_do(piece: memoryview | bytearray) -> None:
    assert [seen(m) for m in InputBuffer().feed(piece, False)] == [(b"*OPC?", None, False, 0)]
