"""Arrays out of archives: nothing is taken that does not agree with zip's own checksum."""

from __future__ import annotations

import zipfile
from io import BytesIO

import numpy as np
import pytest

from labctl import npz


def packed(**arrays: object) -> bytes:
    stream = BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def read(content: bytes, name: str) -> object:
    stream = BytesIO(content)
    npz.check_archive(stream)
    with zipfile.ZipFile(stream) as archive:
        return npz.read_array(archive, name)


def test_what_was_written_comes_back() -> None:
    assert np.array_equal(read(packed(a=np.arange(6).reshape(2, 3)), "a"), np.arange(6).reshape(2, 3))
    with pytest.raises(KeyError):
        read(packed(a=1), "b")


def test_one_bit_is_noticed() -> None:
    values = np.arange(1000.0)
    content = bytearray(packed(a=values))
    content[content.index(values.tobytes()) + 4000] ^= 1
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        read(bytes(content), "a")


@pytest.mark.parametrize("array", [np.array([{}], dtype=object), np.zeros(3, [("a", "O")])])
def test_objects_are_refused(array: object) -> None:
    with pytest.raises(ValueError, match="not a plain array of numbers"):
        read(packed(a=array), "a")


def test_caps(monkeypatch: pytest.MonkeyPatch) -> None:
    content = packed(a=np.zeros(1000))
    monkeypatch.setattr(npz, "MAX_ARRAY_BYTES", 5000)
    with pytest.raises(ValueError, match="a takes 8128 bytes, over the cap of 5000"):
        read(content, "a")
    monkeypatch.setattr(npz, "MAX_CONTENTS_BYTES", 10)
    with pytest.raises(ValueError, match="not an archive of a few arrays"):
        read(content, "a")
