"""Networks on disk: safetensors and nothing else (a pickle could run code).

A model file holds ``layers.0.weight``, ``layers.1.weight``, ... (outputs, inputs) and where there are biases
``layers.0.bias``, ... (outputs,), float16 or float32, and text metadata. ``activation`` is required. ``layers`` is
there if any layer is a convolution: a JSON list of one object a layer, {"kind": "dense"} or {"kind": "convolution",
"channels", "height", "width", "kernel", "stride", "pool"}; a convolution's weight has one filter a row, channel by
channel. ``public_scale`` is "true" where the client may know w_rms of each layer. ``labctl_sha256``, in files that
labctl wrote: SHA-256 of the header without it and of the tensors.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from labctl.errors import DataError
from labctl.models.network import MAX_LAYERS, MAX_WEIGHTS, Matrix, Network
from labctl.protocol.layers import Convolution, Dense, LayerKind

SHIPPED = ("digits", "mnist", "digits-noise-aware", "mnist-noise-aware")
"""Names of the networks that travel in the package: 64-64-10 and 784-784-10, each trained without and with noise."""

MAX_HEADER_BYTES = 2**16
_MAX_FILE_BYTES = 4 * MAX_WEIGHTS + MAX_HEADER_BYTES + 8
_TENSOR_NAME = re.compile(r"layers\.(0|[1-9][0-9]?)\.(weight|bias)")
CHECKSUM = "labctl_sha256"
_CONVOLUTION_KEYS = ("channels", "height", "width", "kernel", "stride", "pool")
_STORED = {"float16": "F16", "float32": "F32"}

_LAYERS_REMEDY = (
    'Describe each layer as {"kind": "dense"} or {"kind": "convolution", "channels": ..., "height": ..., "width": ..., '
    '"kernel": ..., "stride": ..., "pool": ...}, whole numbers.'
)

StoredType = Literal["float16", "float32"]


@dataclass(frozen=True)
class _Header:
    """What a safetensors file's JSON header announces: stored type by tensor name, and metadata."""

    types: Mapping[str, str]
    metadata: Mapping[str, str]


def load_network(path_or_name: str | Path) -> Network:
    """Load a shipped network by name (``digits``, ``mnist``) or a .safetensors file by path.

    A shipped name wins over a file of the same name; write ``./digits.safetensors`` for the file.

    Raises
    ------
    DataError
        Missing, malformed or too large file; unknown tensors, types or kinds of layers; and all that
        :class:`Network` refuses.
    """
    name = str(path_or_name)
    if name in SHIPPED:
        return _read(Path(__file__).parent / "weights" / f"{name}.safetensors")
    path = Path(path_or_name)
    if path.suffix != ".safetensors":
        raise DataError(
            f"{name}: neither a shipped network nor a .safetensors file",
            f"Use one of {', '.join(SHIPPED)}, or convert the model to safetensors.",
        )
    return _read(path)


def round_weights(network: Network, stored: StoredType) -> Network:
    """The network as it comes back from a file with that type: float16 keeps 11 significant bits.

    Raises :class:`DataError` where a weight leaves the type's range or a layer vanishes.
    """
    with np.errstate(over="ignore"):
        rounded = tuple(matrix.astype(stored).astype(np.float32) for matrix in network.weights)
    return replace(network, weights=rounded)


def save_network(network: Network, path: Path, stored: StoredType = "float32") -> None:
    """Write a network; the same network always gives the same bytes (header keys are sorted).

    Parameters
    ----------
    path:
        A name ending .safetensors that does not exist yet.
    stored:
        Type of the weights in the file.

    Raises
    ------
    DataError
        Existing or unwritable file, other suffix, or weights outside the stored type's range.
    """
    if path.suffix != ".safetensors":
        raise DataError(f"{path}: a model file's name ends in .safetensors", "Choose another name.")
    data = _encode(round_weights(network, stored), stored)
    try:
        with path.open("xb") as stream:
            stream.write(data)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error}", "Choose a new file in a writable folder.") from error


def _encode(network: Network, stored: StoredType) -> bytes:
    """Header length (8 bytes, little-endian), JSON padded to 8 bytes, then the tensors."""
    metadata = _metadata(network)
    header: dict[str, object] = {"__metadata__": metadata}
    blocks: list[bytes] = []
    offset = 0
    for name, tensor in _tensors(network):
        block = tensor.astype(np.dtype(stored).newbyteorder("<")).tobytes()
        header[name] = {
            "dtype": _STORED[stored],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(block)],
        }
        blocks.append(block)
        offset += len(block)
    data = b"".join(blocks)
    metadata[CHECKSUM] = _checksum(header, data)
    text = _canonical(header)
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER_BYTES:
        raise DataError(f"network {network.name}: its metadata are too long", "Shorten the metadata.")
    return len(text).to_bytes(8, "little") + text + data


def _canonical(header: Mapping[str, object]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode("ascii")


def _checksum(header: Mapping[str, object], data: bytes) -> str:
    """Of a header without its checksum, and of the tensors' bytes."""
    found = hashlib.sha256(_canonical(header))
    found.update(data)
    return found.hexdigest()


def _tensors(network: Network) -> Iterator[tuple[str, Matrix]]:
    """Weights and biases by name, in layer order."""
    for index, (layer, matrix) in enumerate(zip(network.layers, network.weights, strict=True)):
        yield f"layers.{index}.weight", matrix[:, : matrix.shape[1] - layer.bias]
        if layer.bias:
            yield f"layers.{index}.bias", matrix[:, -1]


def _metadata(network: Network) -> dict[str, str]:
    found = {**network.metadata, "activation": network.activation}
    if any(isinstance(layer, Convolution) for layer in network.layers):
        found["layers"] = json.dumps([_described(layer) for layer in network.layers])
    if network.public_scale:
        found["public_scale"] = "true"
    return found


def _described(layer: LayerKind) -> dict[str, object]:
    if isinstance(layer, Dense):
        return {"kind": "dense"}
    return {"kind": "convolution", **{key: getattr(layer, key) for key in _CONVOLUTION_KEYS}}


def _read(path: Path) -> Network:
    data = _read_bytes(path)
    header = _parse_header(data, path)
    activation = header.metadata.get("activation")
    if activation is None:
        raise DataError(
            f"{path}: its metadata do not say which activation it was trained with",
            'Save it again with the metadata {"activation": "relu"}, if that is so.',
        )
    count = _layer_count(header, path)
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, OverflowError, MemoryError) as error:
        raise _malformed(path, str(error)) from error
    try:
        weights = tuple(_matrix(tensors, index) for index in range(count))
        biased = [f"layers.{index}.bias" in tensors for index in range(count)]
        layers = _layers(header.metadata.get("layers"), weights, biased)
        public_scale = header.metadata.get("public_scale") == "true"
        return Network(path.stem, weights, activation, header.metadata, layers, public_scale)
    except DataError as error:
        raise DataError(f"{path}: {error.message}", error.remedy) from error


def _matrix(tensors: Mapping[str, Matrix], index: int) -> Matrix:
    """A layer's weights, with its bias as the last of each row."""
    matrix = np.asarray(tensors[f"layers.{index}.weight"], dtype=np.float32)
    bias = tensors.get(f"layers.{index}.bias")
    if bias is None:
        return matrix
    if matrix.ndim != 2 or bias.shape != matrix.shape[:1]:
        raise DataError(
            f"layer {index} has a bias of shape {bias.shape} beside a weight of {matrix.shape}",
            "Store one bias an output.",
        )
    return np.concatenate([matrix, np.asarray(bias, dtype=np.float32)[:, None]], axis=1)


def _layers(text: str | None, weights: Sequence[Matrix], biased: Sequence[bool]) -> tuple[LayerKind, ...]:
    """The layers as the metadata describe them; all dense where they do not, none where a matrix is none."""
    if any(matrix.ndim != 2 for matrix in weights):
        return ()
    entries = [{"kind": "dense"}] * len(weights) if text is None else _entries(text, len(weights))
    return tuple(
        _layer(index, entry, matrix.shape, bias)
        for index, (entry, matrix, bias) in enumerate(zip(entries, weights, biased, strict=True))
    )


def _entries(text: str, count: int) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not (isinstance(found, list) and len(found) == count and all(isinstance(entry, dict) for entry in found)):
        raise DataError(f"its metadata 'layers' are no list of {count} objects", _LAYERS_REMEDY)
    return found


def _layer(index: int, entry: Mapping[str, Any], shape: tuple[int, ...], bias: bool) -> LayerKind:
    rows, length = shape
    if entry == {"kind": "dense"}:
        return Dense(length - bias, rows, bias)
    sizes = {key: value for key, value in entry.items() if key != "kind"}
    whole = all(type(value) is int and 0 < value < 2**31 for value in sizes.values())
    if entry.get("kind") != "convolution" or set(sizes) != set(_CONVOLUTION_KEYS) or not whole:
        raise DataError(f"layer {index} is described as {str(entry)[:200]}", _LAYERS_REMEDY)
    return Convolution(filters=rows, bias=bias, **sizes)


def _read_bytes(path: Path) -> bytes:
    remedy = f"Name an existing model file, or a shipped network ({', '.join(SHIPPED)})."
    try:
        if not path.is_file():
            raise DataError(f"{path}: no such model file", remedy)
        with path.open("rb") as stream:
            data = stream.read(_MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}", remedy) from error
    if len(data) > _MAX_FILE_BYTES:
        raise DataError(f"{path}: larger than {_MAX_FILE_BYTES} bytes", "Use a smaller network.")
    return data


def _parse_header(data: bytes, path: Path) -> _Header:
    """Names, types and metadata; offsets and shapes are left to the safetensors library."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(MAX_HEADER_BYTES, len(data) - 8):
        raise _malformed(path, f"a header of {length} bytes (at most {MAX_HEADER_BYTES}) in {len(data)} bytes")
    try:
        parsed = json.loads(data[8 : 8 + length].decode("utf-8"))
        if isinstance(parsed, dict) and isinstance(parsed.get("__metadata__"), dict):
            _check(parsed, data[8 + length :], path)
    except (ValueError, RecursionError) as error:
        raise _malformed(path, f"its header is no JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise _malformed(path, "its header is no JSON object")
    metadata = parsed.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise _malformed(path, "its metadata are not text")
    types = {name: entry.get("dtype") for name, entry in parsed.items() if isinstance(entry, dict)}
    if len(types) != len(parsed):
        raise _malformed(path, "a tensor is not described by an object")
    return _Header({name: str(stored) for name, stored in types.items()}, metadata)


def _check(parsed: dict[str, Any], tensors: bytes, path: Path) -> None:
    """Takes the checksum out of the metadata. Raises DataError when there is one, and the file is another."""
    stated = parsed["__metadata__"].pop(CHECKSUM, None)
    if stated is not None and stated != _checksum(parsed, tensors):
        raise _malformed(path, "its checksum is wrong: the file was changed or damaged")


def _layer_count(header: _Header, path: Path) -> int:
    """How many layers there are, when there is nothing else in the file."""
    for name, stored in header.types.items():
        if not _TENSOR_NAME.fullmatch(name):
            raise DataError(
                f"{path}: unknown tensor {name!r}",
                "Name the weights layers.0.weight, layers.1.weight, ...",
            )
        if stored not in _STORED.values():
            raise DataError(f"{path}: {name!r} is stored as {stored}", "Store the weights as F16 or F32.")
    weights = {name for name in header.types if name.endswith("weight")}
    names = {f"layers.{layer}.weight" for layer in range(len(weights))}
    if not names or len(names) > MAX_LAYERS or weights != names:
        raise DataError(
            f"{path}: {len(names)} weight tensors that are not layers.0 to layers.N without a gap (N < {MAX_LAYERS})",
            "Name the weights layers.0.weight, layers.1.weight, ...",
        )
    for name in set(header.types) - weights:
        if name.replace("bias", "weight") not in weights:
            raise DataError(f"{path}: {name!r} has no weights beside it", "Store both, or neither.")
    return len(weights)


def _malformed(path: Path, reason: str) -> DataError:
    return DataError(f"{path}: not a safetensors model file: {reason}", "Restore or export the model file again.")
