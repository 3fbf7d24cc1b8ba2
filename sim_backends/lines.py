"""Commands that come line by line, as instruments without IEEE 488.2 take them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sim_backends.scpi_input import Message
from sim_backends.unit import Data

#: What is longer is no command; its rest is thrown away.
MAX_LINE: Final = 256


class Lines:
    """A line ends with CR, LF, or both in either order, or with END; empty ones are passed over."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget half a line."""
        self.idle = True
        self._line = bytearray()

    def feed(self, data: Data, end: bool) -> Iterator[Message]:
        for byte in bytes(data):
            if byte in b"\r\n":
                yield from self._ended()
            elif len(self._line) <= MAX_LINE:
                self._line.append(byte)
        if end:
            yield from self._ended()
        self.idle = not self._line

    def _ended(self) -> Iterator[Message]:
        text = bytes(self._line).strip()
        self._line.clear()
        if text:
            yield Message(text)
