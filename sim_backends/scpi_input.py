"""From bytes in any pieces to whole program messages (IEEE 488.2-1992, sections 7.6 and 7.7.6).

A message ends with LF (a CR before it is dropped), with END, or with the last byte of a definite
block: programs send blocks without a terminator, and the next command may follow in the same
segment. Bytes inside a block are never looked at. How the bytes were cut into pieces makes no
difference to what comes out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

INVALID_BLOCK: Final = -161
TOO_MUCH_DATA: Final = -223
INPUT_OVERRUN: Final = -363

_LF: Final = b"\n"
_LF_BYTE: Final = 0x0A
_CR_BYTE: Final = 0x0D
_HASH: Final = b"#"
_QUOTE: Final = re.compile(rb"[\"']")


class Message(NamedTuple):
    """One program message.

    ``text``: without terminator. ``block``: the payload of the block at the end of ``text``; it
    looks into the sender's buffer, so whoever wants to keep it copies it. ``continued``: starts
    with ``;`` right after a block, so the header path of the message before is still valid.
    ``error``: not 0 when the message could not be taken in (see :mod:`sim_backends.status`).
    """

    text: bytes
    block: memoryview | None = None
    continued: bool = False
    error: int = 0


class InputBuffer:
    """Collects one sender's bytes; ``idle`` while nothing is pending. ``begun``: bytes kept of a message that has
    not ended, at least one; after a block without a terminator none has begun.

    ``max_text`` and ``max_block`` bound what a sender can make us keep, in bytes; what is longer is
    skipped and reported.
    """

    def __init__(self, max_text: int = 1 << 24, max_block: int = 999_999_999) -> None:
        self._max_text = max_text
        self._max_block = max_block
        self.clear()

    def bound(self, max_text: int, max_block: int) -> None:
        """Lower the bounds, for senders that are not trusted."""
        self._max_text = min(self._max_text, max_text)
        self._max_block = min(self._max_block, max_block)

    def clear(self) -> None:
        """Forget everything pending (device clear)."""
        self.idle, self.begun = True, 0
        self._text = bytearray()
        self._quote = 0  # the quote that is open in the text so far
        self._searched = 0  # bytes of the text in which quotes were looked for
        self._prefix = bytearray()  # "#" and digits of a block header, as far as they came
        self._block: bytearray | None = None
        self._missing = -1  # bytes of the block still to come; -1: indefinite, ends with END
        self._skip = 0  # bytes of a refused block still to come
        self._overrun = False
        self._after_block = False

    def feed(self, data: bytes | bytearray | memoryview, end: bool) -> Iterator[Message]:
        """Take in ``data``; ``end``: END came with its last byte. Yields the messages that became
        complete.
        """
        if isinstance(data, memoryview):
            data = bytes(data)
        position, size = 0, len(data)
        while position < size:
            if self._skip:
                taken = min(self._skip, size - position)
                self._skip -= taken
                position += taken
            elif self._block is not None:
                position, message = self._feed_block(data, position)
                if message:
                    yield message
            elif self._prefix:
                position, message = self._feed_prefix(data, position)
                if message:
                    yield message
            else:
                position, message = self._feed_text(data, position)
                if message:
                    yield message
        if end:
            yield from self._finish()
        self.begun = self._pending()
        self.idle = not (self.begun or self._after_block)

    def _pending(self) -> int:
        kept = len(self._text) + len(self._prefix) + (0 if self._block is None else len(self._block) + 1)
        return kept or int(self._skip > 0 or self._overrun)

    def _feed_text(self, data: bytes | bytearray, start: int) -> tuple[int, Message | None]:
        line_end = data.find(_LF, start)
        stop = len(data) if line_end < 0 else line_end
        hash_at = -1 if self._overrun else data.find(_HASH, start, stop)
        if hash_at >= 0:
            self._keep(data, start, hash_at)
            if self._in_string():
                self._text += _HASH
                return hash_at + 1, None
            opened = self._whole_prefix(data, hash_at + 1)
            if opened is not None:
                return opened
            self._prefix += _HASH
            return hash_at + 1, None
        if line_end < 0:
            self._keep(data, start, stop)
            return stop, None
        if self._text or self._overrun:
            self._keep(data, start, stop)
            message = self._text_message(bytes(self._text))
        else:
            message = self._text_message(bytes(data[start:stop]))
        return line_end + 1, message

    def _keep(self, data: bytes | bytearray, start: int, stop: int) -> None:
        if self._overrun or len(self._text) + stop - start > self._max_text:
            self._overrun = True
            self._forget_text()
        else:
            self._text += memoryview(data)[start:stop]

    def _in_string(self) -> bool:
        """Whether the text so far ends inside a quoted string."""
        position = self._searched
        while position < len(self._text):
            if self._quote:
                closing = self._text.find(self._quote, position)
                self._quote = self._quote if closing < 0 else 0
            else:
                opening = _QUOTE.search(self._text, position)
                closing = opening.start() if opening else -1
                self._quote = self._text[closing] if opening else 0
            position = closing + 1 or len(self._text)
        self._searched = position
        return self._quote != 0

    def _forget_text(self) -> None:
        self._text.clear()
        self._quote = self._searched = 0

    def _text_message(self, text: bytes) -> Message | None:
        overrun, after_block = self._overrun, self._after_block
        self._overrun = self._after_block = False
        self._forget_text()
        if overrun:
            return Message(b"", error=INPUT_OVERRUN)
        if text.endswith(b"\r"):
            text = text[:-1]
        if not text:
            return None
        return Message(text, continued=after_block and text.lstrip().startswith(b";"))

    def _whole_prefix(self, data: bytes | bytearray, start: int) -> tuple[int, Message | None] | None:
        """``<n><n digits>`` of a block header that came in one piece; None for anything else."""
        digits = data[start] - 0x30 if start < len(data) else 0
        length = data[start + 1 : start + 1 + digits]
        if not 1 <= digits <= 9 or len(length) < digits or not length.isdigit():
            return None
        return self._open_block(data, start + 1 + digits, int(length))

    def _feed_prefix(self, data: bytes | bytearray, start: int) -> tuple[int, Message | None]:
        """One more byte of ``#<n><n digits>``; anything else makes it ordinary text again."""
        byte = data[start]
        if not 0x30 <= byte <= 0x39:
            self._text += self._prefix
            self._prefix.clear()
            if byte == _LF_BYTE or byte == _HASH[0]:
                return start, None
            self._text.append(byte)
            return start + 1, None
        self._prefix.append(byte)
        digits = self._prefix[1] - 0x30
        if digits == 0:
            self._prefix.clear()
            self._block, self._missing = bytearray(), -1
            return start + 1, None
        if len(self._prefix) < 2 + digits:
            return start + 1, None
        length = int(self._prefix[2:])
        self._prefix.clear()
        return self._open_block(data, start + 1, length)

    def _open_block(self, data: bytes | bytearray, start: int, length: int) -> tuple[int, Message | None]:
        if length > self._max_block:
            self._skip = length
            return start, self._block_message(None, TOO_MUCH_DATA)
        if len(data) - start >= length:  # all here: hand on a view of the sender's own buffer
            return start + length, self._block_message(memoryview(data)[start : start + length])
        self._block, self._missing = bytearray(), length
        return start, None

    def _feed_block(self, data: bytes | bytearray, start: int) -> tuple[int, Message | None]:
        block = self._block
        assert block is not None
        if self._missing < 0:
            room = self._max_block - len(block)
            if len(data) - start > room:
                self._block, self._overrun = None, True
                self._forget_text()
                return start + room, None
            block += memoryview(data)[start:]
            return len(data), None
        taken = min(self._missing, len(data) - start)
        block += memoryview(data)[start : start + taken]
        self._missing -= taken
        if self._missing:
            return start + taken, None
        return start + taken, self._block_message(memoryview(block))

    def _block_message(self, block: memoryview | None, error: int = 0) -> Message:
        text = bytes(self._text)
        continued = self._after_block and text.lstrip().startswith(b";")
        self._forget_text()
        self._block = None
        self._after_block = True
        return Message(text, block, continued, error)

    def _finish(self) -> Iterator[Message]:
        """END came: whatever is pending is a whole message now."""
        self._skip = 0
        self._text += self._prefix
        self._prefix.clear()
        if self._block is not None:
            block, missing = self._block, self._missing
            if missing < 0:
                if block.endswith(_LF):
                    del block[-1]
                yield self._block_message(memoryview(block))
            else:
                yield self._block_message(None, INVALID_BLOCK)
        elif self._text or self._overrun:
            message = self._text_message(bytes(self._text))
            if message:
                yield message
        self._after_block = False
