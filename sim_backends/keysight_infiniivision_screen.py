"""The picture that a simulated InfiniiVision sends of its screen: a blank one, as a file of the kind asked for."""

from __future__ import annotations

import struct
import zlib
from typing import Final

WIDTH: Final = 800
HEIGHT: Final = 480


def png() -> bytes:
    """A black picture, 8 bits of grey."""
    rows = (b"\0" + bytes(WIDTH)) * HEIGHT
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def bitmap(bits: int) -> bytes:
    """A black picture, 24 bits of colour, or 8 with a palette of greys."""
    palette = b"".join(bytes((grey, grey, grey, 0)) for grey in range(256)) if bits == 8 else b""
    size, start = WIDTH * HEIGHT * bits // 8, 54 + len(palette)
    head = b"BM" + struct.pack("<IHHI", start + size, 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, bits, 0, size, 2835, 2835, 0, 0)
    return head + info + palette + bytes(size)
