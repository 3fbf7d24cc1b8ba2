"""Frames arrive whole, however the stream is cut."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.engine_process.frames import MAX_BYTES, Unpacker, pack
from labctl.errors import ProtocolError


@given(messages=st.lists(st.binary(max_size=300) | st.text(max_size=50), max_size=8), piece=st.integers(1, 97))
def test_any_cut_gives_the_same_messages(messages: list[object], piece: int) -> None:
    stream = b"".join(pack(each) for each in messages)
    unpacker, found = Unpacker(), []
    for start in range(0, len(stream), piece):
        found += unpacker.feed(stream[start : start + piece])
    assert found == messages


def test_a_length_that_cannot_be_is_refused() -> None:
    with pytest.raises(ProtocolError, match=str(MAX_BYTES + 1)):
        Unpacker().feed(struct.pack("<I", MAX_BYTES + 1))
