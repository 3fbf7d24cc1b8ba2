"""What is put comes out, in order, in few frames; a reader who is gone or slow stops nobody."""

from __future__ import annotations

import io
import os
from contextlib import suppress

import numpy as np
import pytest

from labctl.engine_process import outbox as module
from labctl.engine_process.frames import Unpacker
from labctl.engine_process.messages import Answer, Batch, Beat, Missed, Pixels
from labctl.engine_process.outbox import FRAME_EVENTS, Outbox
from labctl.events import Event, LayerMeasured, StateChanged
from tests.labctl import sample_run


class Kept(io.BytesIO):
    """Still there after it was closed."""

    def messages(self) -> list[object]:
        return Unpacker().feed(self.getvalue())


def shot(image: int) -> LayerMeasured:
    return LayerMeasured(image, 0, 10, 1.0, 1.0, 1.0, 0.0, 1.0)


def test_order_is_kept_and_frames_are_bounded() -> None:
    stream = Kept()
    box = Outbox(stream, lambda: 7)
    told: list[Event] = [shot(image) for image in range(3 * FRAME_EVENTS)]
    for event in told:
        box.event(event)
    box.put(Answer(1, "done"))
    box.event(StateChanged("stopped"))
    box.close()
    found = stream.messages()
    assert [event for each in found if isinstance(each, Batch) for event in each.events] == [
        *told,
        StateChanged("stopped"),
    ]
    assert all(len(each.events) <= FRAME_EVENTS for each in found if isinstance(each, Batch))
    answer = found.index(Answer(1, "done"))
    assert sum(len(each.events) for each in found[:answer] if isinstance(each, Batch)) == len(told)
    assert Beat(7) in found


def test_pixels_come_with_the_last_image_of_a_frame() -> None:
    stream = Kept()
    box = Outbox(stream, lambda: 0)
    box.pixels_of = lambda image: np.full((2, 2), image, np.float32)
    for number in range(5):
        box.event(sample_run.image(number))
    box.close()
    pixels = [each for each in stream.messages() if isinstance(each, Pixels)]
    assert pixels[-1].image == 4
    assert pixels[-1].pixels.max() == 4.0


def test_a_reader_who_has_gone_is_no_trouble() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as stream:
        box = Outbox(stream, lambda: 0)
        for image in range(1000):
            box.event(shot(image))
        box.close()


def test_what_nobody_reads_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 50)
    reading, writing = os.pipe()
    filler = os.fdopen(writing, "wb", buffering=0)
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(2**16))
    os.set_blocking(writing, True)
    box = Outbox(filler, lambda: 0)
    for image in range(500):
        box.event(shot(image))
    box.event(StateChanged("stopped"))  # never left out
    assert len(box._waiting) <= 51 + FRAME_EVENTS
    with os.fdopen(reading, "rb", buffering=0) as stream:
        held = bytearray()
        while b"stopped" not in held:
            held += stream.read(2**20)
        os.set_blocking(reading, False)
        box.close()
        held += stream.read() or b""
    filler.close()
    found = Unpacker().feed(bytes(held).lstrip(b"\x00"))
    missed = sum(each.events for each in found if isinstance(each, Missed))
    shots = sum(isinstance(event, LayerMeasured) for each in found if isinstance(each, Batch) for event in each.events)
    assert missed > 0
    assert shots + missed == 500
