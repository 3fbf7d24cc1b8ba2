"""What a program that measures tells its writer's process, on a private pipe: frames of a kind, a length, a content.

The two events that every image brings are numbers alone; all others, and what the writer is told first, are pickled.
The pipe is between a program and the process that it started itself. The writer answers in lines of JSON.
"""

from __future__ import annotations

import math
import pickle
import struct
from collections.abc import Iterator, Sequence
from typing import IO, Any

from labctl.events import ImageFinished, Interval, LayerMeasured, Leakage, NoiseCheck
from labctl.record import schema

HEAD = struct.Struct("<BI")
#: Kinds of frames.
OBJECT, LAYER, IMAGE = range(3)
_LAYER = struct.Struct(f"<QQ{len(schema.LAYER_COLUMNS)}d")
_NUMBER = struct.Struct("<Q")
_CHECK = 14


def of_object(content: object) -> bytes:
    """Anything."""
    text = pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)
    return HEAD.pack(OBJECT, len(text)) + text


def of_layer(event: LayerMeasured) -> bytes:
    """One layer of an image."""
    return HEAD.pack(LAYER, _LAYER.size) + _LAYER.pack(event.layer, event.image, *schema.layer_row(event))


def of_image(event: ImageFinished) -> bytes:
    """The image's row, and the checks as they are then."""
    row = schema.image_row(event)
    numbers = [len(row), *row, *_numbers(event.pooled)]
    for each in event.layers:
        numbers += _numbers(each)
    content = _NUMBER.pack(event.image) + struct.pack(f"<{len(numbers)}d", *numbers)
    return HEAD.pack(IMAGE, len(content)) + content


def read(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Kind and content of every whole frame, until the other side has closed the pipe."""
    while len(head := stream.read(HEAD.size)) == HEAD.size:
        kind, length = HEAD.unpack(head)
        content = stream.read(length)
        if len(content) < length:
            return
        yield kind, content


def read_object(content: bytes) -> Any:
    """Inverse of :func:`of_object`."""
    return pickle.loads(content)


def read_layer(content: bytes) -> tuple[int, int, Sequence[float]]:
    """Layer, image and row."""
    layer, image, *row = _LAYER.unpack(content)
    return layer, image, row


def read_image(content: bytes) -> tuple[int, Sequence[float]]:
    """Image and row."""
    (image,) = _NUMBER.unpack_from(content)
    (length,) = struct.unpack_from("<d", content, _NUMBER.size)
    return image, struct.unpack_from(f"<{int(length)}d", content, _NUMBER.size + 8)


def read_checks(content: bytes) -> tuple[Interval, NoiseCheck, tuple[NoiseCheck, ...]]:
    """Accuracy and check after the image: pooled and per layer."""
    _, row = read_image(content)
    columns = [column.name for column in schema.image_columns(0)]
    accuracy = Interval(*(row[columns.index(name)] for name in ("accuracy", "accuracy_low", "accuracy_high")))
    rest = content[_NUMBER.size + 8 * (1 + len(row)) :]
    checks = [_check(struct.unpack_from(f"<{_CHECK}d", rest, at)) for at in range(0, len(rest), 8 * _CHECK)]
    return accuracy, checks[0], tuple(checks[1:])


def _numbers(check: NoiseCheck) -> list[float]:
    excess, passed, leakage = check.excess, check.transmittance, check.leakage
    return [
        excess.value,
        excess.low,
        excess.high,
        check.expected,
        check.samples,
        passed.value,
        passed.low,
        passed.high,
        leakage.weights_bits_per_mode,
        leakage.weights_bits_per_weight,
        leakage.data_bits_v1,
        leakage.data_bits_journal,
        float("nan") if check.threshold is None else check.threshold,
        check.technical,
    ]


def _check(numbers: Sequence[float]) -> NoiseCheck:
    threshold = numbers[12]
    return NoiseCheck(
        excess=Interval(*numbers[:3]),
        expected=numbers[3],
        samples=int(numbers[4]),
        transmittance=Interval(*numbers[5:8]),
        leakage=Leakage(*numbers[8:12]),
        threshold=None if math.isnan(threshold) else threshold,
        technical=numbers[13],
    )
