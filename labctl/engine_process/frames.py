"""Objects on a byte stream: a length of four bytes, then a pickle.

Only for a private pipe between two programs of labctl that trust each other: a pickle can run anything.
"""

from __future__ import annotations

import pickle
import struct

from labctl.errors import ProtocolError

_LENGTH = struct.Struct("<I")
#: Longest frame that is believed.
MAX_BYTES = 2**28


def pack(message: object) -> bytes:
    """One frame."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


class Unpacker:
    """Puts frames together from the pieces in which they arrive."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> list[object]:
        """The messages that are complete with ``data``. Raises ProtocolError for a frame that cannot be."""
        self._waiting += data
        found: list[object] = []
        start = 0
        while len(self._waiting) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._waiting, start)
            if length > MAX_BYTES:
                raise ProtocolError(f"a frame of {length} bytes is announced", "Start the program again.")
            end = start + _LENGTH.size + length
            if len(self._waiting) < end:
                break
            found.append(pickle.loads(memoryview(self._waiting)[start + _LENGTH.size : end]))
            start = end
        del self._waiting[:start]
        return found
