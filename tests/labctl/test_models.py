"""Networks: the digital reference, what is refused, and the model file."""

from __future__ import annotations

import contextlib
import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from labctl.datasets import Dataset
from labctl.errors import DataError
from labctl.models import (
    Network,
    check_fits,
    load_network,
    save_network,
    storage,
)
from labctl.models import network as network_module
from labctl.protocol.encoding import weight_rms
from labctl.protocol.layers import Convolution, Dense, LayerKind

Matrix = npt.NDArray[np.float32]


def matrices(*sizes: int, seed: int = 0) -> tuple[Matrix, ...]:
    """Random weights of a network with these layer sizes."""
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal((after, before), dtype=np.float32) for before, after in pairwise(sizes))


def model_bytes(tensors: dict[str, npt.NDArray[Any]] | None = None, **metadata: str) -> bytes:
    """A safetensors file as another program would write it."""
    if tensors is None:
        first, last = matrices(4, 3, 2)
        tensors = {"layers.0.weight": first, "layers.1.weight": last}
    return bytes(save(tensors, {"activation": "relu", **metadata}))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def refusal_of(content: bytes, folder: Path) -> DataError:
    path = folder / "refused.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"refused\.safetensors") as refusal:
        load_network(path)
    assert refusal.value.remedy
    return refusal.value


# --- the digital reference ------------------------------------------------------------------------


def test_forward_is_relu_between_products() -> None:
    first = np.array([[1, -1], [2, 0], [0, -3]], np.float32)
    last = np.array([[1, 1, 1], [-1, 0, 5]], np.float32)
    network = Network("tiny", (first, last))
    images = np.array([[1, 2], [3, 1]], np.float32)
    # hidden: (0, 2, 0) and (2, 6, 0)
    np.testing.assert_array_equal(network.forward(images), [[2, 0], [8, -2]])
    assert network.predict(images).tolist() == [0, 0]
    assert network.accuracy(images, np.array([0, 1])) == 0.5
    assert network.layer_shapes == ((3, 2), (2, 3))
    assert (network.inputs, network.outputs) == (2, 2)


def test_the_last_layer_has_no_activation() -> None:
    network = Network("one", (np.array([[-1.0], [-2.0]], np.float32),))
    np.testing.assert_array_equal(network.forward(np.ones((1, 1), np.float32)), [[-1, -2]])


@given(seed=st.integers(0, 2**32), scale=st.floats(1e-3, 1e3))
def test_classes_do_not_depend_on_the_scale_of_the_data(seed: int, scale: float) -> None:
    network = Network("random", matrices(6, 5, 4, seed=seed))
    images = np.random.default_rng(seed).random((8, 6), dtype=np.float32)
    scores = network.forward(images)
    scaled = network.forward(np.float32(scale) * images)
    np.testing.assert_allclose(scaled, np.float32(scale) * scores, rtol=1e-3, atol=scale * 1e-4)


def test_forward_refuses_other_shapes_and_overflow() -> None:
    network = Network("small", matrices(4, 3, 2))
    for shape in ((3,), (2, 5), (1, 2, 4)):
        with pytest.raises(DataError, match="it takes"):
            network.forward(np.zeros(shape, np.float32))
    huge = Network("huge", (np.full((2, 2), 3e38, np.float32), np.ones((2, 2), np.float32)))
    with pytest.raises(DataError, match="overflow"):
        huge.forward(np.ones((1, 2), np.float32))


def test_weights_are_read_only() -> None:
    network = Network("small", matrices(4, 3, 2))
    with pytest.raises(ValueError, match="read-only"):
        network.weights[0][0, 0] = 1


# --- what a network must be -----------------------------------------------------------------------


def test_digest_follows_the_weights_and_nothing_else() -> None:
    weights = matrices(4, 3, 2)
    digest = Network("one", weights).digest
    assert Network("two", tuple(each.copy() for each in weights), metadata={"seed": "1"}).digest == digest
    changed = weights[0].copy()
    changed[0, 0] = np.nextafter(changed[0, 0], np.float32(9))
    assert Network("one", (changed, weights[1])).digest != digest
    square = np.arange(1, 7, dtype=np.float32)
    assert Network("a", (square.reshape(2, 3),)).digest != Network("a", (square.reshape(3, 2),)).digest
    assert len(digest) == 64
    assert digest != Network("one", (weights[0], weights[1][:, ::-1].copy())).digest


def test_a_digest_is_the_same_in_every_version() -> None:
    """Ledgers are kept under it: SHA-256 of b"2x3:", six floats, b"2x2:", four floats."""
    first, second = np.arange(1, 7, dtype=np.float32).reshape(2, 3), np.arange(1, 5, dtype=np.float32).reshape(2, 2)
    stated = hashlib.sha256(b"2x3:" + first.tobytes() + b"2x2:" + second.tobytes()).hexdigest()
    assert Network("dense", (first, second)).digest == stated


def test_the_same_filters_over_other_patches_are_another_network() -> None:
    """One filter, and a dense layer, that fit several geometries."""
    filters, dense = np.ones((1, 4), np.float32), np.ones((2, 4), np.float32)
    kinds = [
        Convolution(1, 4, 4, 1, 2, stride=2),
        Convolution(1, 5, 5, 1, 2, pool=2),
        Convolution(1, 3, 3, 1, 2),
        Convolution(1, 5, 5, 1, 2, stride=2),
        Convolution(4, 2, 2, 1, 1),
        Convolution(1, 2, 5, 1, 2),
    ]
    networks = [Network("a", (filters, dense), layers=(kind, Dense(4, 2))) for kind in kinds]
    flat = Network("a", (filters, np.ones((2, 1), np.float32)))
    assert len({each.digest for each in (*networks, flat)}) == len(networks) + 1
    assert Network("b", (filters, dense), layers=(kinds[2], Dense(4, 2))).digest == networks[2].digest


def test_what_needs_an_absolute_scale_is_refused_with_layer_and_reason() -> None:
    with pytest.raises(DataError, match=r"layer 0 is followed by 'tanh', which is refused.*scale") as refusal:
        Network("curved", matrices(4, 3, 2), "tanh")
    assert "curved" in refusal.value.message
    assert "public_scale" in refusal.value.remedy
    biased = (Dense(4, 3), Dense(3, 2, bias=True))
    with pytest.raises(DataError, match=r"layer 1 has a bias, which is refused.*scale"):
        Network("biased", (*matrices(4, 3), *matrices(4, 2)), layers=biased)
    with pytest.raises(DataError, match="'gelu' is not known"):
        Network("odd", matrices(4, 3, 2), "gelu", public_scale=True)


def test_with_a_public_scale_it_is_taken_and_the_scales_are_those_of_the_light() -> None:
    first, last = (*matrices(4, 3), *matrices(4, 2))
    layers = (Dense(4, 3), Dense(3, 2, bias=True))
    network = Network("told", (first, last), "tanh", layers=layers, public_scale=True)
    assert network.scales == (pytest.approx(weight_rms(first)), pytest.approx(weight_rms(last)))
    assert Network("secret", matrices(4, 3, 2)).scales is None
    images = np.random.default_rng(1).random((5, 4), dtype=np.float32)
    expected = np.tanh(images @ first.T) @ last[:, :3].T + last[:, 3]
    np.testing.assert_allclose(network.forward(images), expected, rtol=1e-5)


def test_a_bias_of_the_first_layer_needs_no_scale() -> None:
    """The client has the scale of its own data: the bias is a weight that meets a 1."""
    network = Network("first", (*matrices(5, 3), *matrices(3, 2)), layers=(Dense(4, 3, bias=True), Dense(3, 2)))
    assert (network.inputs, network.outputs, network.layer_shapes) == (4, 2, ((3, 5), (2, 3)))


def lenet() -> Network:
    """Two convolutions and a dense layer on 8 x 8 images."""
    layers = (Convolution(1, 8, 8, 4, 3, pool=2), Convolution(4, 3, 3, 5, 2), Dense(20, 3))
    return Network("lenet", (*matrices(9, 4), *matrices(16, 5), *matrices(20, 3)), layers=layers)


def test_a_convolutional_network_is_what_loops_say() -> None:
    network = lenet()
    image = np.random.default_rng(2).random((8, 8), dtype=np.float32)
    values = image[None]
    for layer, matrix in zip(network.layers[:2], network.weights[:2], strict=True):
        assert isinstance(layer, Convolution)
        kernels = matrix.reshape(layer.filters, layer.channels, layer.kernel, layer.kernel)
        out = np.zeros((layer.filters, *layer.positions))
        for index in np.ndindex(out.shape):
            filter_, top, left = index
            out[index] = np.sum(kernels[filter_] * values[:, top : top + layer.kernel, left : left + layer.kernel])
        out = np.maximum(out, 0)
        down, across = (count // layer.pool for count in layer.positions)
        values = out.reshape(layer.filters, down, layer.pool, across, layer.pool).mean(axis=(2, 4))
    np.testing.assert_allclose(network.forward(image.reshape(1, -1))[0], network.weights[2] @ values.ravel(), rtol=1e-4)
    assert [layer.transmissions for layer in network.layers] == [36, 4, 1]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((Dense(4, 3),), "1 layers described, 2 matrices"),
        ((Dense(4, 3), Dense(4, 2)), r"layer 1 is a matrix \(2, 3\), described as \(2, 4\)"),
        ((Convolution(1, 2, 3, 3, 2), Dense(3, 2)), "layer 0 gives 6 values, layer 1 takes 3"),
    ],
)
def test_layers_that_do_not_fit_their_matrices(layers: tuple[LayerKind, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Network("unfit", matrices(4, 3, 2), layers=layers)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((), "0 layers"),
        (matrices(*[2] * 66), "65 layers"),
        ((np.ones((2, 2)),), "float64"),
        ((np.ones(4, np.float32),), "not a float32 matrix"),
        ((np.ones((0, 4), np.float32),), "not a float32 matrix"),
        ((*matrices(4, 3), *matrices(4, 2)), "layer 0 gives 3 values, layer 1 takes 4"),
        ((*matrices(4, 3), np.zeros((2, 3), np.float32)), "layer 1 is all zero"),
        ((np.array([[1, np.nan]], np.float32),), "not finite"),
        ((np.array([[1, -np.inf]], np.float32),), "not finite"),
    ],
)
def test_unfit_weights_are_refused(weights: tuple[Matrix, ...], message: str) -> None:
    with pytest.raises(DataError, match=message) as refusal:
        Network("unfit", weights)
    assert "unfit" in refusal.value.message
    assert refusal.value.remedy


def test_too_many_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_module, "MAX_WEIGHTS", 17)
    with pytest.raises(DataError, match="18 weights, over the cap of 17"):
        Network("large", matrices(4, 3, 2))
    Network("fits", matrices(4, 3, 1))


@pytest.mark.parametrize("text", ["good", "nan", "1.5", "-0.1", ""])
def test_a_clean_accuracy_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="clean_accuracy"):
        Network("boast", matrices(4, 2), metadata={"clean_accuracy": text})


def test_clean_accuracy_is_optional() -> None:
    assert Network("quiet", matrices(4, 2)).clean_accuracy is None
    assert Network("said", matrices(4, 2), metadata={"clean_accuracy": "0.5"}).clean_accuracy == 0.5


def test_check_fits() -> None:
    images, labels = np.zeros((2, 4), np.float32), np.zeros(2, np.int64)
    dataset = Dataset("four", images, labels, (2, 2), 2)
    check_fits(Network("right", matrices(4, 3, 2)), dataset)
    with pytest.raises(DataError, match=r"takes 5 inputs.* four has 4 pixels"):
        check_fits(Network("wide", matrices(5, 2)), dataset)
    with pytest.raises(DataError, match=r"has 3 outputs.* four 2 classes"):
        check_fits(Network("deep", matrices(4, 3)), dataset)


# --- the model file -------------------------------------------------------------------------------


@given(
    sizes=st.lists(st.integers(1, 7), min_size=2, max_size=6),
    seed=st.integers(0, 2**32),
    stored=st.sampled_from(["float16", "float32"]),
    note=st.text(max_size=20),
)
def test_round_trip(sizes: list[int], seed: int, stored: storage.StoredType, note: str, scratch: Path) -> None:
    network = Network("any", matrices(*sizes, seed=seed), metadata={"note": note, "seed": str(seed)})
    path = scratch / "any.safetensors"
    path.unlink(missing_ok=True)
    save_network(network, path, stored)
    loaded = load_network(path)
    assert (loaded.name, loaded.layer_shapes) == ("any", network.layer_shapes)
    assert loaded.metadata == {"activation": "relu", "note": note, "seed": str(seed)}
    for mine, theirs in zip(loaded.weights, network.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs.astype(stored).astype(np.float32))


def test_round_trip_of_convolutions_biases_and_public_scale(tmp_path: Path) -> None:
    layers = (Convolution(1, 4, 5, 3, 2, pool=1, bias=True), Dense(36, 2, bias=True))
    network = Network("all", (*matrices(5, 3), *matrices(37, 2)), "sigmoid", layers=layers, public_scale=True)
    save_network(network, tmp_path / "all.safetensors")
    loaded = load_network(tmp_path / "all.safetensors")
    assert (loaded.layers, loaded.activation, loaded.public_scale) == (layers, "sigmoid", True)
    for mine, theirs in zip(loaded.weights, network.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


CONVOLUTION = {"kind": "convolution", "channels": 1, "height": 2, "width": 2, "kernel": 2, "stride": 1, "pool": 1}


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("{", "no list of 2 objects"),
        ("[" * 5_000, "no list of 2 objects"),
        ('"dense"', "no list of 2 objects"),
        (json.dumps([{"kind": "dense"}]), "no list of 2 objects"),
        (json.dumps([{"kind": "dense"}, 3]), "no list of 2 objects"),
        (json.dumps([{"kind": "dense"}, {"kind": "attention"}]), "layer 1 is described as"),
        (json.dumps([{"kind": "dense"}, {"kind": "dense", "bias": True}]), "layer 1 is described as"),
        (json.dumps([{**CONVOLUTION, "kernel": 2.0}, {"kind": "dense"}]), "layer 0 is described as"),
        (json.dumps([{**CONVOLUTION, "kernel": True}, {"kind": "dense"}]), "layer 0 is described as"),
        (json.dumps([{**CONVOLUTION, "kernel": 3}, {"kind": "dense"}]), "a size that is none"),
        (json.dumps([{**CONVOLUTION, "height": 10**9, "width": 10**9}, {"kind": "dense"}]), "over the cap"),
        (json.dumps([{**CONVOLUTION, "channels": 2}, {"kind": "dense"}]), "described as (3, 8)"),
    ],
)
def test_unfit_descriptions_of_layers_are_refused(layers: str, message: str, tmp_path: Path) -> None:
    assert message in refusal_of(model_bytes(layers=layers), tmp_path).message


def test_a_described_convolution_is_read(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(model_bytes(layers=json.dumps([CONVOLUTION, {"kind": "dense"}])))
    assert load_network(path).layers == (Convolution(1, 2, 2, 3, 2), Dense(3, 2))


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    facts = {letter: letter for letter in "gfedcba"}
    for name, metadata in (("a", facts), ("b", dict(reversed(facts.items())))):
        network = Network("same", matrices(4, 3, 2), metadata=metadata)
        save_network(network, tmp_path / f"{name}.safetensors")
    first, second = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "ab")
    assert first == second


def test_files_of_other_programs_are_read(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(model_bytes(clean_accuracy="0.25"))
    loaded = load_network(str(path))
    assert (loaded.layer_shapes, loaded.clean_accuracy) == (((3, 4), (2, 3)), 0.25)


def test_layers_are_taken_by_number_not_by_spelling(tmp_path: Path) -> None:
    sizes = [2] * 12 + [3]
    weights = matrices(*sizes)
    path = tmp_path / "long.safetensors"
    path.write_bytes(model_bytes({f"layers.{layer}.weight": matrix for layer, matrix in enumerate(weights)}))
    for mine, theirs in zip(load_network(path).weights, weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "kept.safetensors"
    path.write_bytes(b"precious")
    with pytest.raises(DataError, match="cannot be written"):
        save_network(Network("new", matrices(4, 2)), path)
    assert path.read_bytes() == b"precious"


def test_saving_refuses_what_could_not_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new.safetensors"
    with pytest.raises(DataError, match=r"ends in \.safetensors"):
        save_network(Network("new", matrices(4, 2)), tmp_path / "new.pt")
    with pytest.raises(DataError, match="not finite"):
        save_network(Network("new", (np.full((1, 1), 1e6, np.float32),)), path, "float16")
    with pytest.raises(DataError, match="all zero"):
        save_network(Network("new", (np.full((1, 1), 1e-9, np.float32),)), path, "float16")
    with pytest.raises(DataError, match="too long"):
        save_network(Network("new", matrices(4, 2), metadata={"note": "x" * 2**16}), path)
    assert not path.exists()


FIRST, LAST = matrices(4, 3, 2)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"layers.0.weight": FIRST, "layers.1.weight": LAST, "layers.1.bias": LAST[:, 0].copy()}, "layer 1 has a bias"),
        ({"layers.0.weight": FIRST, "layers.0.bias": FIRST[0].copy()}, r"layer 0 has a bias of shape (4,)"),
        ({"layers.0.weight": FIRST, "layers.1.bias": LAST[0].copy()}, "'layers.1.bias' has no weights beside it"),
        ({"layers.0.weight": FIRST, "scale": LAST}, "unknown tensor 'scale'"),
        ({"layers.00.weight": FIRST}, "unknown tensor"),
        ({"layers.0.weight": FIRST, "layers.2.weight": LAST}, "without a gap"),
        ({"layers.1.weight": FIRST}, "without a gap"),
        ({}, "0 weight tensors"),
        ({"layers.0.weight": FIRST.astype(np.float64)}, "stored as F64"),
        ({"layers.0.weight": FIRST.astype(np.int8)}, "stored as I8"),
        ({"layers.0.weight": LAST, "layers.1.weight": FIRST}, "layer 0 gives 2"),
        ({"layers.0.weight": FIRST[0]}, "not a float32 matrix"),
        ({"layers.0.weight": FIRST * np.float32(np.nan)}, "not finite"),
        ({"layers.0.weight": FIRST * 0}, "all zero"),
    ],
)
def test_unfit_tensors_are_refused(tensors: dict[str, npt.NDArray[Any]], message: str, tmp_path: Path) -> None:
    assert message in refusal_of(model_bytes(tensors), tmp_path).message


def test_activation_must_be_stated_and_relu(tmp_path: Path) -> None:
    silent = bytes(save({"layers.0.weight": FIRST}))
    assert "which activation" in refusal_of(silent, tmp_path).message
    assert "'gelu' is not known" in refusal_of(model_bytes(activation="gelu"), tmp_path).message
    assert "followed by 'tanh', which is refused" in refusal_of(model_bytes(activation="tanh"), tmp_path).message


def test_missing_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such model file") as refusal:
        load_network(tmp_path / "absent.safetensors")
    assert "digits, mnist" in refusal.value.remedy
    with pytest.raises(DataError, match="no such model file"):
        load_network(tmp_path.with_suffix(".safetensors"))
    for name in ("model.pt", "resnet", ""):
        with pytest.raises(DataError, match="neither a shipped network"):
            load_network(name)


def with_header(header: bytes, tail: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + tail


def one_tensor(**changes: object) -> bytes:
    entry = {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8], **changes}
    header = {"__metadata__": {"activation": "relu"}, "layers.0.weight": entry}
    return with_header(json.dumps(header).encode(), np.ones(2, np.float32).tobytes())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        (2**63).to_bytes(8, "little") + b"{}",
        (100).to_bytes(8, "little") + b"{}",
        with_header(b"{" + b" " * storage.MAX_HEADER_BYTES + b"}"),
        with_header(b"[]"),
        with_header(b"\xff\xfe"),
        with_header(b'{"a":' * 20_000, b""),
        with_header(b"[" * 60_000),
        with_header(b'{"layers.0.weight":3}'),
        with_header(b'{"__metadata__":{"activation":1}}'),
        with_header(b'{"__metadata__":[]}'),
        one_tensor(shape=[2, 2]),
        one_tensor(shape=[2**62, 2**62]),
        one_tensor(shape=[-1, -2]),
        one_tensor(shape=[1.5, 2]),
        one_tensor(shape=10**400),
        one_tensor(data_offsets=[0, 12]),
        one_tensor(data_offsets=[4, 12]),
        one_tensor(data_offsets=[8, 0]),
        one_tensor(dtype=["F32"]),
        one_tensor() + b"tail",
    ],
)
def test_malformed_files_are_refused(content: bytes, tmp_path: Path) -> None:
    refusal_of(content, tmp_path)


def test_one_tensor_is_well_formed_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    path.write_bytes(one_tensor())
    assert load_network(path).layer_shapes == ((1, 2),)


def test_a_file_over_the_cap_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = model_bytes()
    monkeypatch.setattr(storage, "_MAX_FILE_BYTES", len(content) - 1)
    assert "larger than" in refusal_of(content, tmp_path).message


@given(position=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.integers(0, 400))
def test_damage_never_escapes(position: int, value: int, cut: int, scratch: Path) -> None:
    content = bytearray(model_bytes())
    content[position % len(content)] = value
    path = scratch / "damaged.safetensors"
    for damaged in (content, content[:cut]):
        path.write_bytes(damaged)
        with contextlib.suppress(DataError):  # a changed weight or note is no damage to the form
            assert load_network(path).layer_shapes == ((3, 4), (2, 3))


@given(content=st.binary(max_size=200))
def test_arbitrary_headers_never_escape(content: bytes, scratch: Path) -> None:
    path = scratch / "arbitrary.safetensors"
    path.write_bytes(with_header(content))
    with pytest.raises(DataError):
        load_network(path)


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7), cut=st.integers(1, 400))
def test_a_changed_file_of_ours_is_noticed(position: int, bit: int, cut: int, scratch: Path) -> None:
    """By its checksum: whatever is read is what was written. (A bit in the name of the checksum does no harm.)"""
    path, network = scratch / "ours.safetensors", Network("ours", matrices(4, 3, 2), metadata={"note": "µ"})
    path.unlink(missing_ok=True)
    save_network(network, path)
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 1 << bit
    for damaged in (content, content[:-cut]):
        path.write_bytes(damaged)
        with contextlib.suppress(DataError):
            found = load_network(path)
            assert (found.digest, found.activation, found.metadata["note"]) == (network.digest, "relu", "µ")


def test_the_checksum_is_no_part_of_the_network(tmp_path: Path) -> None:
    path = tmp_path / "ours.safetensors"
    save_network(Network("ours", matrices(4, 2)), path)
    assert storage.CHECKSUM.encode() in path.read_bytes()
    found = load_network(path)
    assert storage.CHECKSUM not in found.metadata
    save_network(found, tmp_path / "again.safetensors")
    assert path.read_bytes() == (tmp_path / "again.safetensors").read_bytes()
