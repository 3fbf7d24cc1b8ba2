"""Data sets: what is read, what is refused, and that hostile files end in one kind of error."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from labctl import datasets
from labctl.datasets import Dataset, Split, balanced_order, load_dataset, mnist_folder, read_idx
from labctl.errors import DataError


def idx_bytes(array: npt.NDArray[np.uint8]) -> bytes:
    dimensions = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + dimensions + array.tobytes()


def small_mnist(count: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(count)
    images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    return images, (np.arange(count) % 10).astype(np.uint8)


def write_mnist(folder: Path, images: bytes, labels: bytes, prefix: str = "t10k") -> None:
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(images)
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(labels)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("datasets")


# --- the data set itself --------------------------------------------------------------------------


def valid_fields() -> dict[str, Any]:
    return {
        "name": "small",
        "images": np.zeros((3, 4), np.float32),
        "labels": np.array([0, 1, 1], np.int64),
        "image_shape": (2, 2),
        "classes": 2,
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("images", np.zeros((3, 4))),
        ("images", np.zeros((0, 4), np.float32)),
        ("images", np.zeros(12, np.float32)),
        ("images", np.full((3, 4), 1.01, np.float32)),
        ("images", np.full((3, 4), -0.01, np.float32)),
        ("images", np.full((3, 4), np.nan, np.float32)),
        ("labels", np.zeros(2, np.int64)),
        ("labels", np.zeros(3, np.uint8)),
        ("labels", np.array([0, 1, 2], np.int64)),
        ("labels", np.array([0, 1, -1], np.int64)),
        ("image_shape", (2, 3)),
    ],
)
def test_dataset_refuses_what_it_does_not_promise(field: str, value: object) -> None:
    Dataset(**valid_fields())
    with pytest.raises(DataError, match="data set small") as refusal:
        Dataset(**{**valid_fields(), field: value})
    assert refusal.value.remedy


def test_first_takes_the_beginning_and_refuses_more_than_there_is() -> None:
    whole = load_dataset("digits", "test", None)
    part = whole.first(7)
    assert len(part) == 7
    np.testing.assert_array_equal(part.images, whole.images[:7])
    np.testing.assert_array_equal(part.labels, whole.labels[:7])
    assert len(whole.first(360)) == 360
    for count in (0, -1, 361):
        with pytest.raises(DataError, match="it has 360"):
            whole.first(count)


@pytest.mark.parametrize(("name", "split"), [("cifar", "test"), ("", "test"), ("digits", "all")])
def test_unknown_names_are_refused(name: str, split: Any) -> None:
    with pytest.raises(DataError, match="unknown") as refusal:
        load_dataset(name, split, None)
    assert refusal.value.remedy


# --- digits ---------------------------------------------------------------------------------------


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    original = load_digits()
    training, test = load_dataset("digits", "train", None), load_dataset("digits", "test", None)
    assert training.image_shape == test.image_shape == (8, 8)
    assert training.classes == test.classes == 10
    np.testing.assert_array_equal(training.images, original.data[:1437] / 16)
    np.testing.assert_array_equal(training.labels, original.target[:1437])
    tail = np.column_stack([original.data, original.target])[1437:]
    mine = np.column_stack([test.images * 16, test.labels])
    assert len(test) == 360
    assert sorted(mine.tolist()) == sorted(tail.tolist())


def test_digits_come_in_the_same_order_on_every_machine() -> None:
    test = load_dataset("digits", "test", None)
    assert test.labels[:10].tolist() == [5, 3, 1, 9, 0, 6, 8, 4, 2, 7]
    digest = hashlib.sha256((test.images * 16).astype(np.uint8).tobytes()).hexdigest()
    assert digest == "525e393856bee762ac5f5134171de5dcea5e7ae2f90eb9522debc6ef2befd4cb"


def test_every_beginning_of_the_digits_is_balanced() -> None:
    labels = load_dataset("digits", "test", None).labels
    smallest = np.bincount(labels).min()
    for count in range(1, 10 * int(smallest) + 1):
        seen = np.bincount(labels[:count], minlength=10)
        assert seen.max() - seen.min() <= 1


def test_digits_are_read_without_importing_scikit_learn() -> None:
    program = (
        "import sys; from labctl.datasets import load_dataset; "
        "load_dataset('digits', 'test', None); "
        "sys.exit(any(name.split('.')[0] == 'sklearn' for name in sys.modules))"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True)


def test_missing_scikit_learn_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="scikit-learn is not installed"):
        load_dataset("digits", "test", None)


@pytest.mark.parametrize(
    "content",
    [
        b"not gzip",
        gzip.compress(b"1,2,3\n4,5,6\n", mtime=0),
        gzip.compress(b"1,2,x\n", mtime=0),
        gzip.compress((",".join(["17"] * 65) + "\n").encode() * 1797, mtime=0),
        gzip.compress((",".join(["0.5"] * 65) + "\n").encode() * 1797, mtime=0),
        gzip.compress((",".join(["1"] * 65) + "\n").encode() * 1797, mtime=0)[:-20],
        gzip.compress(b"0" * 2**21, mtime=0),
    ],
)
def test_damaged_digits_are_refused(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "digits.csv.gz"
    path.write_bytes(content)
    monkeypatch.setattr(datasets, "_digits_file", lambda: path)
    with pytest.raises(DataError, match=r"digits\.csv\.gz") as refusal:
        load_dataset("digits", "train", None)
    assert "scikit-learn" in refusal.value.remedy


@given(
    labels=arrays(np.int64, st.integers(1, 200), elements=st.integers(0, 6)),
    seed=st.integers(0, 2**32),
)
def test_balanced_order_permutes_and_balances(labels: npt.NDArray[np.int64], seed: int) -> None:
    order = balanced_order(labels, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(len(labels)))
    present = np.unique(labels)
    smallest = min(np.count_nonzero(labels == label) for label in present)
    for count in range(1, smallest * len(present) + 1):
        seen = [np.count_nonzero(labels[order[:count]] == label) for label in present]
        assert max(seen) - min(seen) <= 1


def test_balanced_order_differs_from_seed_to_seed() -> None:
    labels = np.arange(100) % 10
    first, second = (balanced_order(labels, np.random.default_rng(seed)) for seed in (1, 2))
    assert first.tolist() != second.tolist()


# --- MNIST ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", ["-", "."])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
def test_mnist_is_found_under_its_usual_names(
    separator: str, compressed: bool, split: Split, prefix: str, tmp_path: Path
) -> None:
    images, labels = small_mnist(12)
    for stem, dimensions, array in (("images", 3, images), ("labels", 1, labels)):
        data = idx_bytes(array)
        name = f"{prefix}-{stem}{separator}idx{dimensions}-ubyte"
        if compressed:
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (tmp_path / name).write_bytes(data)
    loaded = load_dataset("mnist", split, tmp_path)
    assert (loaded.name, loaded.image_shape, loaded.classes) == ("mnist", (28, 28), 10)
    np.testing.assert_allclose(loaded.images * 255, images.reshape(12, 784), atol=1e-4)
    np.testing.assert_array_equal(loaded.labels, labels)


def test_mnist_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    images, labels = small_mnist(12)
    cases = {
        "11 labels for 12 images": (images, labels[:11]),
        "label 10 lies outside": (images, labels + np.uint8(1)),
        "not 28 x 28": (images[:, :27], labels),
    }
    for message, (some_images, some_labels) in cases.items():
        write_mnist(tmp_path, idx_bytes(some_images), idx_bytes(some_labels))
        with pytest.raises(DataError, match=message) as refusal:
            load_dataset("mnist", "test", tmp_path)
        assert str(tmp_path) in refusal.value.message
        assert refusal.value.remedy


def test_missing_mnist_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train-images-idx3-ubyte") as refusal:
        load_dataset("mnist", "train", tmp_path)
    assert str(tmp_path) in refusal.value.message


def test_mnist_folder_takes_the_first_that_is_given(tmp_path: Path) -> None:
    line, file, variable = (tmp_path / name for name in ("line", "file", "variable"))
    for folder in (line, file, variable):
        folder.mkdir()
    environment = {"LABCTL_MNIST": str(variable)}
    assert mnist_folder(line, file, environment=environment) == line
    assert mnist_folder(None, file, environment=environment) == file
    assert mnist_folder(None, None, environment=environment) == variable


def test_mnist_folder_never_falls_back_from_a_wrong_one(tmp_path: Path) -> None:
    environment = {"LABCTL_MNIST": str(tmp_path)}
    with pytest.raises(DataError, match="absent"):
        mnist_folder(tmp_path / "absent", environment=environment)
    with pytest.raises(DataError, match="LABCTL_MNIST is not a folder"):
        mnist_folder(None, environment={"LABCTL_MNIST": str(tmp_path / "absent")})
    for empty in ({}, {"LABCTL_MNIST": ""}):
        with pytest.raises(DataError, match="no folder given") as refusal:
            mnist_folder(None, environment=empty)
        assert "LABCTL_MNIST" in refusal.value.remedy


@pytest.mark.mnist
def test_real_mnist(mnist_dir: Path) -> None:
    training = load_dataset("mnist", "train", mnist_dir)
    test = load_dataset("mnist", "test", mnist_dir)
    assert (training.images.shape, test.images.shape) == ((60_000, 784), (10_000, 784))
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert test.images.max() == 1.0


# --- IDX ------------------------------------------------------------------------------------------


@given(array=arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, max_side=6)), packed=st.booleans())
def test_idx_round_trip(array: npt.NDArray[np.uint8], packed: bool, scratch: Path) -> None:
    path = scratch / ("round.gz" if packed else "round")
    path.write_bytes(gzip.compress(idx_bytes(array)) if packed else idx_bytes(array))
    np.testing.assert_array_equal(read_idx(path, array.ndim), array)


@given(data=st.data(), packed=st.booleans())
def test_every_shortened_or_lengthened_idx_is_refused(data: st.DataObject, packed: bool, scratch: Path) -> None:
    whole = idx_bytes(data.draw(arrays(np.uint8, (3, 2, 2))))
    cut = data.draw(st.integers(0, len(whole) - 1))
    extra = data.draw(st.binary(min_size=1, max_size=20))
    path = scratch / ("length.gz" if packed else "length")
    for content in (whole[:cut], whole + extra):
        path.write_bytes(gzip.compress(content) if packed else content)
        with pytest.raises(DataError, match=r"length(\.gz)?: ") as refusal:
            read_idx(path, 3)
        assert refusal.value.remedy


@given(cut=st.integers(0, 200), data=st.data())
def test_every_cut_gzip_is_refused(cut: int, data: st.DataObject, scratch: Path) -> None:
    packed = gzip.compress(idx_bytes(np.arange(200, dtype=np.uint8)))
    path = scratch / "cut.gz"
    path.write_bytes(packed[: min(cut, len(packed) - 1)])
    with pytest.raises(DataError):
        read_idx(path, 1)


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_in_gzip_is_refused_or_harmless(position: int, bit: int, scratch: Path) -> None:
    array = np.arange(200, dtype=np.uint8)
    packed = bytearray(gzip.compress(idx_bytes(array)))
    packed[position % len(packed)] ^= 1 << bit
    path = scratch / "flipped.gz"
    path.write_bytes(packed)
    try:
        read = read_idx(path, 1)
    except DataError:
        return
    np.testing.assert_array_equal(read, array)  # file time, operating system: not content


@given(content=st.binary(max_size=64), dimensions=st.sampled_from([1, 3]), packed=st.booleans())
def test_arbitrary_bytes_are_no_idx(content: bytes, dimensions: int, packed: bool, scratch: Path) -> None:
    path = scratch / ("noise.gz" if packed else "noise")
    path.write_bytes(content)
    try:
        read = read_idx(path, dimensions)
    except DataError:
        return
    assert idx_bytes(read) == content


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"", "starts with nothing"),
        (b"\0\0\x08\x03", "starts with 00 00 08 03"),
        (b"\0\0\x0d\x01\0\0\0\x01", "00 00 0d 01"),
        (b"\x01\0\x08\x01\0\0\0\x01", "01 00 08 01"),
        (b"\0\0\x08\x01\0\0", "inside its header"),
        (b"\0\0\x08\x01\0\0\0\0", "announces"),
        (b"\0\0\x08\x01\xff\xff\xff\xff", "announces"),
    ],
)
def test_wrong_idx_headers_are_refused(header: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad-idx1-ubyte"
    path.write_bytes(header)
    with pytest.raises(DataError, match=message):
        read_idx(path, 1)


def test_no_more_is_unpacked_than_the_header_announces(tmp_path: Path) -> None:
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", compresslevel=1) as stream:
        stream.write(bytes([0, 0, 8, 1, 0, 0, 0, 10]))
        for _ in range(64):
            stream.write(bytes(2**20))
    path = tmp_path / "bomb.gz"
    path.write_bytes(bomb.getvalue())
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="goes on after the 10 bytes"):
            read_idx(path, 1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path, 1)
