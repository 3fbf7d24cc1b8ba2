"""Files changed by accident or with a purpose, for :mod:`hostile`: bytes, HDF5, headers of networks, TOML."""

from __future__ import annotations

import contextlib
import hashlib
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Rng = np.random.Generator
#: Rows of the run file that is changed.
IMAGES = 40
#: What stands where a number or a text stood.
VALUES = (
    "0", "-1", "1", "nan", "inf", "-inf", "1e308", "1e-308", "1e999", "true", "[]", "{}", '""', '"1 mW"', '"-5 dB"',
    "9223372036854775808", "1" * 5000, "[" * 3000, "{a=" * 2000, "1979-05-27T07:32:00Z", '"\\u0000"', '"/dev/zero"',
    '"../../../etc/passwd"', '"/proc/self/mem"', '"pipe.safetensors"', '"' + "x" * 70000 + '"', '"' + "y/" * 3000 + '"',
    "a." * 30000 + "b = 1", "0x" + "f" * 4000, "[1, 2, 3]", '["a"]', '"@labctl"', '"nowhere:Nothing"', '"\U0001f600"',
)  # fmt: skip
LINES = (
    "[world]",
    "[[a]]",
    "[ledger]",
    "b" + ".a" * 20000 + " = 1",
    "'a'.\"b\" = 2",
    "x = '''",
    'y = """\\',
    "\x00",
    "=",
)


def bytes_changed(rng: Rng, good: bytes) -> bytes:
    """A few accidents anywhere."""
    data = bytearray(good)
    for _ in range(int(rng.integers(1, 5))):
        at, size = int(rng.integers(0, len(data) + 1)), int(rng.integers(1, 9))
        match int(rng.integers(0, 7)):
            case 0 if data:
                data[at % len(data)] ^= 1 << int(rng.integers(0, 8))
            case 1:
                data[at : at + size] = rng.bytes(size)
            case 2:
                del data[at : at + size * int(rng.integers(1, 100))]
            case 3:
                data[at:at] = rng.bytes(size)
            case 4:
                other = int(rng.integers(0, len(data) + 1))
                data[at : at + 64 * size] = data[other : other + 64 * size]
            case 5:
                data[at : at + size] = (b"\xff" * size, b"\x00" * size)[at % 2]
            case _:
                if rng.random() < 0.2:
                    del data[at:]
    return bytes(data)


def _odd(rng: Rng, file: h5py.File, group: h5py.Group, name: str) -> None:
    """Something else in the place of ``name``."""
    whole = group[name].attrs["unit"] if isinstance(group[name], h5py.Dataset) and "unit" in group[name].attrs else "1"
    del group[name]
    makes: tuple[Callable[[], object], ...] = (
        lambda: group.create_group(name),
        lambda: group.__setitem__(name, h5py.SoftLink("/")),
        lambda: group.__setitem__(name, h5py.SoftLink(f"{group.name}/{name}")),
        lambda: group.__setitem__(name, h5py.ExternalLink("/etc/passwd", "/")),
        lambda: group.__setitem__(name, file["/"]),
        lambda: group.create_dataset(name, shape=(2**40,), chunks=(2**16,), dtype="f8"),
        lambda: group.create_dataset(name, shape=(2**27,), dtype="i8"),
        lambda: group.create_dataset(name, shape=(IMAGES,), dtype="f8", compression="gzip"),
        lambda: group.create_dataset(name, shape=(IMAGES,), dtype="i8", external=[("/dev/zero", 0, 8 * IMAGES)]),
        lambda: group.create_dataset(name, data=["text"] * IMAGES),
        lambda: group.create_dataset(name, data=np.zeros((IMAGES, 3, 2), "c16")),
        lambda: group.create_dataset(name, data=h5py.Empty("f8")),
        lambda: group.create_dataset(name, data=np.full(IMAGES, -1, "i8")),
        lambda: group.create_dataset(name, data=np.full(IMAGES, 2**62, "i8")),
        lambda: group.create_virtual_dataset(name, _virtual()),
        lambda: group.create_dataset(name, shape=(IMAGES,), dtype=h5py.ref_dtype),
    )
    makes[rng.integers(len(makes))]()
    if isinstance(group.get(name, getlink=True), h5py.HardLink) and isinstance(group[name], h5py.Dataset):
        group[name].attrs["unit"] = whole


def _virtual() -> h5py.VirtualLayout:
    layout = h5py.VirtualLayout(shape=(IMAGES,), dtype="i8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(IMAGES,))
    return layout


def _odd_attribute(rng: Rng, item: Any, name: str) -> None:
    values: tuple[Any, ...] = (
        "", "\U0001f600", "[" * 60000, '{"a":' * 10000, "x" * 60000, -1, 2**63 - 1, float("nan"), float("inf"), 99,
        np.zeros((3, 3)), np.array(["a", "b"], dtype=object), h5py.Empty("f8"), True, np.bytes_(b"\xff\xfe"), b"\x80",
        np.full((4, 2), 2**62), "complete", "running", "null", "[]", "{}", np.void(b"abc"),
    )  # fmt: skip
    with contextlib.suppress(TypeError, ValueError):
        item.attrs[name] = values[rng.integers(len(values))]


def hdf5_changed(rng: Rng, good: bytes) -> bytes:
    """Bytes, or what a person with h5py would do."""
    if rng.random() < 0.6:
        return bytes_changed(rng, good)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.h5"
        path.write_bytes(good)
        with h5py.File(path, "r+", libver="latest") as file:
            items: list[Any] = [file]
            file.visititems(lambda _, item: items.append(item))
            for _ in range(int(rng.integers(1, 3))):
                item = items[rng.integers(len(items))]
                names = list(item.attrs)
                if names and rng.random() < 0.5:
                    _odd_attribute(rng, item, names[rng.integers(len(names))])
                elif item.name not in (None, "/"):
                    parent, _, name = item.name.rpartition("/")
                    if (parent or "/") in file and name in file[parent or "/"]:
                        _odd(rng, file, file[parent or "/"], name)
                        break
        data = path.read_bytes()
    return bytes_changed(rng, data) if rng.random() < 0.1 else data


def header_changed(rng: Rng, good: bytes) -> bytes:
    """Bytes anywhere, or texts in the JSON header with its length set right."""
    if rng.random() < 0.5:
        return bytes_changed(rng, good)
    size = int.from_bytes(good[:8], "little")
    text = good[8 : 8 + size].decode()
    spots = [match.span() for match in re.finditer(r'"[^"]*"|\d+', text)]
    start, end = spots[rng.integers(len(spots))]
    text = text[:start] + VALUES[rng.integers(len(VALUES))] + text[end:]
    header = text.encode()
    return len(header).to_bytes(8, "little") + header + good[8 + size :]


def resealed(rng: Rng, good: bytes) -> bytes:
    """A result of a calibration, changed by somebody who makes its checksum anew."""
    body = text_changed(rng, good.partition(b"\n")[2])
    return f'sha256 = "{hashlib.sha256(body).hexdigest()}"\n'.encode() + body


def text_changed(rng: Rng, good: bytes) -> bytes:
    """Values, lines and keys; sometimes bytes."""
    if rng.random() < 0.2:
        return bytes_changed(rng, good)
    lines = good.decode().splitlines()
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(lines)))
        key, sign, _ = lines[at].partition(" = ")
        match int(rng.integers(0, 6)):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, LINES[rng.integers(len(LINES))])
            case 2:
                lines.insert(at, lines[rng.integers(len(lines))])
            case 3 if sign:
                number = re.sub(r"\d+", lambda digits: str(rng.integers(0, 10**9))[: len(digits[0]) + 1], lines[at])
                lines[at] = number
            case _ if sign:
                lines[at] = f"{key} = {VALUES[rng.integers(len(VALUES))]}"
        if not lines:
            break
    return "\n".join(lines).encode("utf-8", "surrogatepass")
