"""Data sets in .npz files: what is read, and that hostile archives end in one kind of error."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl import npz
from labctl.datasets import load_dataset
from labctl.errors import DataError


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("npz")


def npz_bytes(**fields: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **fields)
    return stream.getvalue()


def test_npz_of_bytes_and_of_fractions(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    labels = np.array([0, 2, 1, 1], np.uint8)
    (tmp_path / "a.npz").write_bytes(npz_bytes(images=pixels, labels=labels, classes=5))
    (tmp_path / "b.npz").write_bytes(npz_bytes(images=(pixels / 255.0).reshape(4, 6), labels=labels.astype(np.int32)))
    first = load_dataset("a.npz", "test", tmp_path)
    second = load_dataset(str(tmp_path / "b.npz"), "test", None)
    assert (first.name, first.image_shape, first.classes) == ("a", (2, 3), 5)
    assert (second.name, second.image_shape, second.classes) == ("b", (1, 6), 3)
    np.testing.assert_allclose(first.images, second.images, rtol=1e-6)
    np.testing.assert_array_equal(first.labels, second.labels)


def test_npz_has_no_training_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one set"):
        load_dataset("a.npz", "train", tmp_path)


IMAGES, LABELS = np.zeros((3, 4), np.uint8), np.zeros(3, np.int64)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK no archive",
        npz_bytes(images=IMAGES),
        npz_bytes(images=IMAGES, labels=np.zeros(2, np.int64)),
        npz_bytes(images=IMAGES, labels=LABELS.astype(float)),
        npz_bytes(images=IMAGES, labels=LABELS - 1),
        npz_bytes(images=IMAGES, labels=np.full(3, 2**64 - 1, np.uint64)),
        npz_bytes(images=IMAGES, labels=LABELS + 3, classes=3),
        npz_bytes(images=IMAGES, labels=LABELS, classes=1.5),
        npz_bytes(images=IMAGES.astype(np.uint16), labels=LABELS),
        npz_bytes(images=IMAGES + 2.0, labels=LABELS),
        npz_bytes(images=IMAGES + 1e300, labels=LABELS),
        npz_bytes(images=IMAGES + np.nan, labels=LABELS),
        npz_bytes(images=IMAGES.astype(complex), labels=LABELS),
        npz_bytes(images=IMAGES[0], labels=LABELS),
        npz_bytes(images=IMAGES[:0], labels=LABELS[:0]),
        npz_bytes(images=np.array([{}, 1, "x"], dtype=object), labels=LABELS),
    ],
)
def test_unfit_npz_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "unfit.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"unfit\.npz") as refusal:
        load_dataset(str(path), "test", None)
    assert refusal.value.remedy


def test_missing_npz_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.npz"):
        load_dataset("absent.npz", "test", tmp_path)


def test_npz_over_the_cap_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "big.npz", images=np.zeros((3, 5000), np.uint8), labels=LABELS)
    monkeypatch.setattr(npz, "MAX_ARRAY_BYTES", 10_000)
    with pytest.raises(DataError, match="over the cap of 10000"):
        load_dataset("big.npz", "test", tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 4), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-3, -4), }",
        "{[]: 1}",
        "-" * 9000 + "1",
        "(" * 5000,
    ],
)
def test_lying_npy_headers_are_refused(header: str, tmp_path: Path) -> None:
    text = header.encode() + b"\n"
    member = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(12)
    with zipfile.ZipFile(tmp_path / "lie.npz", "w") as archive:
        archive.writestr("images.npy", member)
        archive.writestr("labels.npy", member)
    with pytest.raises(DataError, match=r"lie\.npz"):
        load_dataset("lie.npz", "test", tmp_path)


@given(position=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_changed_byte_in_npz_never_escapes(position: int, value: int, scratch: Path) -> None:
    content = bytearray(npz_bytes(images=IMAGES, labels=LABELS))
    content[position % len(content)] = value
    path = scratch / "changed.npz"
    path.write_bytes(content)
    try:
        loaded = load_dataset(str(path), "test", None)
    except DataError:
        return
    np.testing.assert_array_equal(loaded.images, IMAGES)


def archive_bytes(compression: int, members: int = 0, comment: bytes = b"") -> bytes:
    """A good archive, with ``members`` empty files more."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.comment = comment
        for name, values in (("images", IMAGES), ("labels", LABELS)):
            content = io.BytesIO()
            np.save(content, values)
            archive.writestr(f"{name}.npy", content.getvalue())
        for number in range(members):
            archive.writestr(f"x{number}", b"")
    return stream.getvalue()


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_numpy_does_not_use_is_refused(tmp_path: Path, compression: int) -> None:
    """Some of it takes gigabytes of memory for a few bytes of a file."""
    (tmp_path / "x.npz").write_bytes(archive_bytes(compression))
    with pytest.raises(DataError, match="compressed in a way"):
        load_dataset("x.npz", "test", tmp_path)


def test_a_long_table_of_contents_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, good = tmp_path / "x.npz", archive_bytes(zipfile.ZIP_STORED)
    path.write_bytes(archive_bytes(zipfile.ZIP_STORED, members=2000))
    monkeypatch.setattr("zipfile.ZipFile", None)
    with pytest.raises(DataError, match="not an archive of a few arrays"):
        load_dataset("x.npz", "test", tmp_path)
    path.write_bytes(good[:-22] + b"PK\x06\x07" + b"\0" * 16 + good[-22:])
    with pytest.raises(DataError, match="not an archive of a few arrays"):
        load_dataset("x.npz", "test", tmp_path)


def test_a_comment_at_the_end_is_no_harm(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(archive_bytes(zipfile.ZIP_DEFLATED, comment=b"by hand" * 5000))
    assert len(load_dataset("x.npz", "test", tmp_path)) == 3
