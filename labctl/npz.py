"""Arrays out of .npz files of others: sizes are checked before memory is taken, and nothing is unpickled."""

from __future__ import annotations

import math
import zipfile
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

#: Cap on one array as stored; MNIST's training images take 45 MiB.
MAX_ARRAY_BYTES = 128 * 2**20
#: Cap on the table of contents; an array takes some 70 bytes.
MAX_CONTENTS_BYTES = 2**16

_END = 22
_ZIP64_LOCATOR = 20


def check_archive(stream: BinaryIO) -> None:
    """Raises ValueError for an archive whose table of contents takes long to read: arrays need no long one.

    It is announced in the last record of a zip file (PKWARE's APPNOTE.TXT, 4.3.16), which a comment may follow.
    """
    size = stream.seek(0, 2)
    stream.seek(max(0, size - _END - 2**16 - _ZIP64_LOCATOR))
    tail = stream.read()
    at = tail.rfind(b"PK\x05\x06")
    contents = int.from_bytes(tail[at + 12 : at + 16], "little")
    zip64 = tail[: max(at, 0)][-_ZIP64_LOCATOR:].startswith(b"PK\x06\x07")
    if at < 0 or zip64 or contents > MAX_CONTENTS_BYTES or size > 4 * MAX_ARRAY_BYTES:
        raise ValueError("not an archive of a few arrays")
    stream.seek(0)


def read_array(archive: zipfile.ZipFile, name: str) -> NDArray[np.generic]:
    """One array, whole to its last byte, so that zip's own checksum is looked at.

    Raises ValueError, KeyError where there is none of that name, and nearly anything that zipfile and numpy's header
    parser raise.
    """
    member = archive.getinfo(f"{name}.npy")
    if member.file_size > MAX_ARRAY_BYTES:
        raise ValueError(f"{name} takes {member.file_size} bytes, over the cap of {MAX_ARRAY_BYTES}")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed in a way that numpy does not use")
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
        if dtype.hasobject or min(shape, default=0) < 0:
            raise ValueError(f"{name} is not a plain array of numbers")
        if stream.tell() + math.prod(shape) * dtype.itemsize != member.file_size:
            raise ValueError(f"{name} is not as long as its header says")
    with archive.open(member) as stream:
        found: NDArray[np.generic] = np.lib.format.read_array(stream, allow_pickle=False)
    return found
