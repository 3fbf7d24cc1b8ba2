"""Labelled images: scikit-learn's digits, MNIST in IDX form, and .npz files.

Everything read here is foreign: sizes are checked against caps before memory is taken, lengths must
be exact, and every refusal is a :class:`~labctl.errors.DataError` that names the file and the
remedy.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import math
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from labctl.errors import DataError
from labctl.npz import MAX_ARRAY_BYTES, check_archive, read_array

Split = Literal["train", "test"]

MNIST_VARIABLE = "LABCTL_MNIST"
DIGITS_TEST_COUNT = 360
DIGITS_ORDER_SEED = 2025
_DIGITS_SHAPE = (1797, 65)
_DIGITS_REMEDY = "Reinstall scikit-learn: its wheel carries the handwritten digits."
_MNIST_SIDE = 28
_MNIST_PREFIX: Mapping[str, str] = {"train": "train", "test": "t10k"}
_IDX_UNSIGNED_BYTE = 0x08


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images as vectors, and their classes.

    Parameters
    ----------
    name:
        What the data set is called in run files.
    images:
        float32, shape (N, d), every value in 0..1; N >= 1.
    labels:
        int64, shape (N,), every value in 0..classes-1.
    image_shape:
        (height, width) with height * width = d; (1, d) where the images have no known shape.
    classes:
        Number of classes.

    Raises
    ------
    DataError
        When the arrays do not hold what is said above.
    """

    name: str
    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    image_shape: tuple[int, int]
    classes: int

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.ndim != 2 or images.dtype != np.float32 or 0 in images.shape:
            raise self._refusal(f"images are {images.dtype} {images.shape}, not float32 (N, d) with N, d >= 1")
        if labels.shape != images.shape[:1] or labels.dtype != np.int64:
            raise self._refusal(f"labels are {labels.dtype} {labels.shape} for {len(images)} images, not int64 (N,)")
        if math.prod(self.image_shape) != images.shape[1]:
            raise self._refusal(f"image shape {self.image_shape} is not {images.shape[1]} pixels")
        if not (images.min() >= 0.0 and images.max() <= 1.0):  # also refuses NaN
            raise self._refusal("an image value lies outside 0..1")
        if not (labels.min() >= 0 and labels.max() < self.classes):
            raise self._refusal(f"a label lies outside 0..{self.classes - 1}")

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int) -> Dataset:
        """The first ``count`` images and labels.

        Raises :class:`DataError` when there are fewer, or when ``count`` < 1.
        """
        if not 1 <= count <= len(self):
            raise DataError(
                f"data set {self.name}: {count} images asked for, it has {len(self)}",
                f"Ask for 1 to {len(self)} images.",
            )
        return replace(self, images=self.images[:count], labels=self.labels[:count])

    def _refusal(self, reason: str) -> DataError:
        return DataError(f"data set {self.name}: {reason}", "Correct the data set.")


def load_dataset(name: str, split: Split, data_dir: Path | None) -> Dataset:
    """Load one split of a data set.

    Parameters
    ----------
    name:
        ``digits`` (scikit-learn's 8 x 8 digits: the first 1437 train, the last 360 test), ``mnist``
        (28 x 28, IDX files in :func:`mnist_folder` of ``data_dir``), or the path of an ``.npz``
        file with ``images`` (uint8, or float in 0..1; shape (N, d) or (N, h, w)), integer
        ``labels`` (N,) and optionally ``classes`` (a whole number; otherwise the largest label plus
        one). A relative path is taken from ``data_dir`` where that is given.
    split:
        ``train`` or ``test``. An .npz file is one set, a test set.
    data_dir:
        Folder of the MNIST files or of the .npz file.

    Raises
    ------
    DataError
        Unknown name or split, missing or malformed file.
    """
    if split not in _MNIST_PREFIX:
        raise DataError(f"unknown split {split!r}", "Use 'train' or 'test'.")
    if name == "digits":
        return _load_digits(split)
    if name == "mnist":
        return _load_mnist(split, mnist_folder(data_dir))
    if name.endswith(".npz"):
        if split != "test":
            raise DataError(
                f"{name}: an .npz file is one set, without a training split",
                "Ask for its test split.",
            )
        return _load_npz(Path(name) if data_dir is None else data_dir / name)
    raise DataError(f"unknown data set {name!r}", "Use 'digits', 'mnist', or the path of an .npz file.")


def mnist_folder(*candidates: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of the MNIST files: the first candidate given, else the variable LABCTL_MNIST.

    Pass the candidates in order of precedence (command line, then run file).

    Raises :class:`DataError` when nothing names a folder, or when what is named is not one.
    """
    given = next((folder for folder in candidates if folder is not None), None)
    origin = "the data folder"
    if given is None and environment.get(MNIST_VARIABLE):
        given, origin = Path(environment[MNIST_VARIABLE]), MNIST_VARIABLE
    remedy = (
        "Give the folder of the four MNIST files (train-images-idx3-ubyte.gz and so on) with "
        f"--data, as data_dir in the run file, or in the environment variable {MNIST_VARIABLE}."
    )
    if given is None:
        raise DataError("no folder given for the data set mnist", remedy)
    if not given.is_dir():
        raise DataError(f"{given}: {origin} is not a folder", remedy)
    return given


# --- digits ---------------------------------------------------------------------------------------


def _load_digits(split: Split) -> Dataset:
    table = _read_digits_table(_digits_file())
    part = table[:-DIGITS_TEST_COUNT]
    if split == "test":
        part = table[-DIGITS_TEST_COUNT:]
        part = part[balanced_order(part[:, -1], np.random.default_rng(DIGITS_ORDER_SEED))]
    images = part[:, :-1].astype(np.float32) / np.float32(16)
    return Dataset("digits", images, part[:, -1].copy(), (8, 8), 10)


def _digits_file() -> Path:
    """digits.csv.gz of scikit-learn, found without importing it (that takes 0.8 s)."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("data set digits: scikit-learn is not installed", _DIGITS_REMEDY)
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"


def _read_digits_table(path: Path) -> npt.NDArray[np.int64]:
    """The table (1797, 65): 64 pixels in 0..16, then the class."""
    try:
        with gzip.open(path, "rb") as stream:
            text = _read_capped(stream, 2**20, path, _DIGITS_REMEDY)
        table = np.loadtxt(text.decode("ascii").splitlines(), delimiter=",", dtype=np.float64)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}", _DIGITS_REMEDY) from error
    whole = table.astype(np.int64)
    if table.shape != _DIGITS_SHAPE or np.any(whole != table):
        raise DataError(f"{path}: not a table of {_DIGITS_SHAPE} whole numbers", _DIGITS_REMEDY)
    if whole[:, :-1].min() < 0 or whole[:, :-1].max() > 16:
        raise DataError(f"{path}: a pixel lies outside 0..16", _DIGITS_REMEDY)
    return whole


def balanced_order(labels: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """A random order in which every beginning holds the classes evenly.

    Shuffle, then deal in rounds: the first image of each class, the second of each, and so on. As
    long as no class has run out, the counts of any two classes in the first N differ by at most
    one. Returns indices, shape (N,).
    """
    shuffled = rng.permutation(len(labels))
    rounds = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = labels[shuffled] == label
        rounds[members] = np.arange(np.count_nonzero(members))
    return shuffled[np.argsort(rounds, kind="stable")]


# --- MNIST in IDX form ----------------------------------------------------------------------------


def _load_mnist(split: Split, folder: Path) -> Dataset:
    image_file = _find_idx(folder, f"{_MNIST_PREFIX[split]}-images", 3)
    label_file = _find_idx(folder, f"{_MNIST_PREFIX[split]}-labels", 1)
    images, labels = read_idx(image_file, 3), read_idx(label_file, 1)
    remedy = "Take both files from the same, complete copy of MNIST."
    if images.shape[1:] != (_MNIST_SIDE, _MNIST_SIDE):
        raise DataError(f"{image_file}: images of {images.shape[1:]} pixels, not 28 x 28", remedy)
    if len(images) != len(labels):
        raise DataError(f"{label_file}: {len(labels)} labels for {len(images)} images", remedy)
    if labels.max() > 9:
        raise DataError(f"{label_file}: label {labels.max()} lies outside 0..9", remedy)
    pixels = images.reshape(len(images), -1).astype(np.float32)
    pixels /= np.float32(255)
    return Dataset("mnist", pixels, labels.astype(np.int64), (_MNIST_SIDE, _MNIST_SIDE), 10)


def _find_idx(folder: Path, stem: str, dimensions: int) -> Path:
    """The plain file before the compressed one, the name with - before the one with a dot."""
    names = [f"{stem}{sep}idx{dimensions}-ubyte{end}" for end in ("", ".gz") for sep in "-."]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        f"{folder}: no {names[0]} or {names[0]}.gz in it",
        "Put the four MNIST files, plain or gzip, there, or name the folder that holds them.",
    )


def read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """Read one IDX file of unsigned bytes, gzip (name ending .gz) or plain.

    Format: two zero bytes, the type (0x08), the number of dimensions, each dimension as a
    big-endian 32-bit number, then exactly their product of bytes (Y. LeCun, The MNIST Database,
    "IDX file format"). No more is decompressed than the header announces, and that is at most
    :data:`MAX_ARRAY_BYTES`.

    Returns
    -------
    uint8 array of ``dimensions`` dimensions, none of them zero.

    Raises
    ------
    DataError
        Unreadable, wrong type or dimensions, too large, truncated, or longer than announced.
    """
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as stream:
                return _parse_idx(stream, dimensions, path)
        with path.open("rb") as stream:
            return _parse_idx(stream, dimensions, path)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}", _fetch_again(path)) from error


def _parse_idx(stream: io.BufferedIOBase, dimensions: int, path: Path) -> npt.NDArray[np.uint8]:
    remedy = _fetch_again(path)
    magic = stream.read(4)
    if magic != bytes([0, 0, _IDX_UNSIGNED_BYTE, dimensions]):
        raise DataError(
            f"{path}: starts with {magic.hex(' ') or 'nothing'}, "
            f"not 00 00 08 {dimensions:02x} (IDX, unsigned bytes, {dimensions} dimensions)",
            remedy,
        )
    header = stream.read(4 * dimensions)
    if len(header) != 4 * dimensions:
        raise DataError(f"{path}: ends inside its header", remedy)
    shape = tuple(int.from_bytes(header[i : i + 4], "big") for i in range(0, len(header), 4))
    size = math.prod(shape)
    if not 1 <= size <= MAX_ARRAY_BYTES:
        raise DataError(f"{path}: announces {shape}, not 1 to {MAX_ARRAY_BYTES} bytes", remedy)
    body = stream.read(size)
    if len(body) != size:
        raise DataError(f"{path}: truncated: {len(body)} of {size} bytes", remedy)
    if stream.read(1):
        raise DataError(f"{path}: goes on after the {size} bytes it announces", remedy)
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)


def _fetch_again(path: Path) -> str:
    return f"Fetch {path.name} again from a complete copy of MNIST."


# --- .npz -----------------------------------------------------------------------------------------


def _load_npz(path: Path) -> Dataset:
    remedy = "Write it with numpy.savez(path, images=..., labels=...), images uint8 or float in 0..1."
    try:
        if not path.is_file():
            raise DataError(f"{path}: no such file", remedy)
        with path.open("rb") as stream:
            check_archive(stream)
            with zipfile.ZipFile(stream) as archive:
                images, labels = read_array(archive, "images"), read_array(archive, "labels")
                stated = "classes.npy" in archive.namelist()
                classes = read_array(archive, "classes") if stated else None
    except DataError:
        raise
    except Exception as error:  # zipfile and numpy's header parser raise nearly anything
        raise DataError(f"{path}: cannot be read as .npz: {error}", remedy) from error
    if images.ndim not in (2, 3) or 0 in images.shape or images.dtype.kind not in "uf":
        raise DataError(f"{path}: images are {images.dtype} {images.shape}", remedy)
    if images.dtype.kind == "u" and images.dtype != np.uint8:
        raise DataError(f"{path}: images are {images.dtype}; whole numbers must be uint8", remedy)
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "ui":
        raise DataError(f"{path}: labels are {labels.dtype} {labels.shape} for {len(images)} images", remedy)
    if classes is not None and (classes.shape != () or classes.dtype.kind not in "ui"):
        raise DataError(f"{path}: classes is not one whole number", remedy)
    with np.errstate(over="ignore"):  # infinities are refused below
        pixels = images.reshape(len(images), -1).astype(np.float32)
    if images.dtype == np.uint8:
        pixels /= np.float32(255)
    height, width = images.shape[1:] if images.ndim == 3 else (1, images.shape[1])
    count = int(labels.max()) + 1 if classes is None else int(classes)
    try:
        return Dataset(path.stem, pixels, labels.astype(np.int64), (height, width), count)
    except DataError as error:
        raise DataError(f"{path}: {error.message}", remedy) from error


def _read_capped(stream: io.BufferedIOBase, cap: int, path: Path, remedy: str) -> bytes:
    data = stream.read(cap + 1)
    if len(data) > cap:
        raise DataError(f"{path}: longer than {cap} bytes", remedy)
    return data
