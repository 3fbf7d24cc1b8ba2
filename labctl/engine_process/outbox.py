"""What an engine process says, sent by a thread of its own: the engine never waits for whoever listens."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from labctl.clock import Clock, SystemClock
from labctl.engine_process.frames import pack
from labctl.engine_process.messages import Batch, Beat, Missed, Pixels
from labctl.events import DataRecovered, Event, ImageFinished, LayerMeasured

#: Least time between two writings: at most 30 a second.
PERIOD_S = 1 / 30
#: Longest silence.
BEAT_S = 0.5
#: Events that one frame holds, so that a reader can do something else between two.
FRAME_EVENTS = 100
#: Events that wait for a reader who does not read; above this, those of single shots are left out and counted.
MAX_WAITING = 200_000
_OF_SHOTS = (LayerMeasured, ImageFinished, DataRecovered)


class Outbox:
    """Takes messages and events from any thread. ``steps``: for the beat."""

    def __init__(self, stream: BinaryIO, steps: Callable[[], int], clock: Clock | None = None) -> None:
        self._stream = stream
        self._steps = steps
        self._clock = clock or SystemClock()
        self._waiting: deque[object] = deque()
        self._news = threading.Event()
        self._ending = False
        self._missed = 0
        self._deaf = False
        self.pixels_of: Callable[[int], NDArray[np.float32] | None] = lambda image: None
        self._thread = threading.Thread(target=self._send_all, name="outbox", daemon=True)
        self._thread.start()

    def put(self, message: object) -> None:
        """A message, after everything that was put before."""
        if not self._deaf:
            self._waiting.append(message)
            self._news.set()

    def event(self, event: Event) -> None:
        """An event; several go into one frame."""
        if len(self._waiting) >= MAX_WAITING and isinstance(event, _OF_SHOTS):
            self._missed += 1
        else:
            self.put(event)

    def close(self) -> None:
        """Send what waits, and end."""
        self._ending = True
        self._news.set()
        self._thread.join()

    def _send_all(self) -> None:
        while not (self._ending and not self._waiting):
            told = self._news.wait(BEAT_S)
            self._news.clear()
            try:
                for frame in self._frames() if told else (pack(Beat(self._steps())),):
                    self._stream.write(frame)
                self._stream.flush()
            except (OSError, ValueError):  # nobody is there any more
                self._deaf = True
                self._waiting.clear()
            if not self._ending:
                self._clock.wait(PERIOD_S)

    def _frames(self) -> Iterator[bytes]:
        """Of what waits now, in order."""
        events: list[Event] = []
        for _ in range(len(self._waiting)):
            message = self._waiting.popleft()
            if isinstance(message, Event):
                events.append(message)
            if events and (len(events) == FRAME_EVENTS or not isinstance(message, Event)):
                yield from self._batch(events)
                events = []
            if not isinstance(message, Event):
                yield pack(message)
        if events:
            yield from self._batch(events)
        missed, self._missed = self._missed, 0
        if missed:
            yield pack(Missed(missed))
        yield pack(Beat(self._steps()))

    def _batch(self, events: list[Event]) -> Iterator[bytes]:
        """With the pixels of its last image before it."""
        last = next((event.image for event in reversed(events) if isinstance(event, ImageFinished)), None)
        pixels = None if last is None else self.pixels_of(last)
        if last is not None and pixels is not None:
            yield pack(Pixels(last, pixels))
        yield pack(Batch(tuple(events)))
