"""What the views show: one run's state, fed by a live engine's events or by a recorded run's. No widgets."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gui.journal import Journal
from gui.table import Floats, Table
from labctl.engine_process.messages import HandReport, InstrumentReport
from labctl.events import (
    AdversaryResult,
    AlarmRaised,
    DataRecovered,
    Event,
    ImageFinished,
    ImagesDoubtful,
    LightOff,
    NoiseCheck,
    ReceiverSamples,
    RunFinished,
    RunStarted,
    StateChanged,
)
from labctl.record.schema import image_columns, image_row

#: Pictures that a curious server made and that are kept.
PICTURES = 16
#: Recent images that the rate is told from, s.
RATE_WINDOW_S = 10.0
#: Looks at the receiver that histogram and spectrum are a mean of.
LOOKS = 20


@dataclass(frozen=True)
class Recovered:
    """A picture that a curious server made, and how well."""

    image: int
    overlap: float
    picture: NDArray[np.float64]


class RunModel:
    """One run. ``version`` rises with everything that is told; ``journal``: of this and earlier runs."""

    def __init__(self, journal: Journal | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self.journal = journal or Journal()
        self._now = now
        self.version = 0
        self.by_hand: tuple[HandReport, dict[str, InstrumentReport]] | None = None  # while a bench is held
        self._actions: dict[type, Callable[[Any], None]] = {
            RunStarted: self._on_started,
            ImageFinished: self._on_image,
            ImagesDoubtful: self._on_doubtful,
            DataRecovered: self._on_recovered,
            ReceiverSamples: self._on_samples,
            AlarmRaised: self._on_alarm,
            StateChanged: self._on_state,
            LightOff: self._on_light_off,
            RunFinished: self._on_finished,
        }
        self.clear()

    def clear(self) -> None:
        """Forget the run; the journal stays."""
        self.started: RunStarted | None = None
        self.finished: RunFinished | None = None
        self.alarm: AlarmRaised | None = None
        self.light_off: LightOff | None = None
        self.state = ""
        self.images: Table | None = None
        self.confusion: NDArray[np.int64] = np.zeros((0, 0), np.int64)
        self.layers: tuple[NoiseCheck, ...] = ()
        self.last: ImageFinished | None = None
        self.pixels: tuple[int, NDArray[np.float32]] | None = None
        self.overlaps = Table(("image", "overlap"))
        self.recovered: deque[Recovered] = deque(maxlen=PICTURES)
        self.samples: deque[ReceiverSamples] = deque(maxlen=LOOKS)
        self.adversary: AdversaryResult | None = None
        self.doubtful: ImagesDoubtful | None = None
        self.missed = 0
        self._recent: deque[tuple[float, int]] = deque(maxlen=200)
        self.version += 1

    def take(self, events: Iterable[Event]) -> None:
        """What the engine, or a run file, tells."""
        for event in events:
            action = self._actions.get(type(event))
            if action is not None:
                action(event)
                self.journal.note(event)
        if self.last is not None and self.last.image >= self.resumed_at:
            self._recent.append((self._now(), self.last.image + 1))
        self.version += 1

    def take_pixels(self, image: int, pixels: NDArray[np.float32]) -> None:
        """The picture of an image that is about to be told."""
        self.pixels = (image, pixels)
        self.version += 1

    def column(self, name: str) -> Floats:
        """Of the run file's ``/images``, or "image", which counts from 1; empty before the run has started."""
        return np.empty(0) if self.images is None else self.images[name]

    @property
    def expected_images(self) -> int:
        """How many the run has, 0 before it is known."""
        return 0 if self.started is None else self.started.images

    @property
    def resumed_at(self) -> int:
        """How many were done before the run was taken up again; 0 for one that was not, and for recorded ones."""
        return 0 if self.started is None else self.started.resumed_at

    @property
    def done_images(self) -> int:
        """How many are finished."""
        return 0 if self.last is None else self.last.image + 1

    def rate(self) -> float:
        """Images per second of late; NaN while unknown."""
        recent = [each for each in self._recent if each[0] >= self._recent[-1][0] - RATE_WINDOW_S]
        if len(recent) < 2 or recent[-1][0] <= recent[0][0]:
            return float("nan")
        return (recent[-1][1] - recent[0][1]) / (recent[-1][0] - recent[0][0])

    def remaining_s(self) -> float:
        """Until the last image, at the rate of late; NaN while unknown."""
        rate = self.rate()
        return (self.expected_images - self.done_images) / rate if rate > 0 else float("nan")

    def doubt(self) -> str:
        """What the images in doubt mean for those who count; empty where there are none."""
        if self.doubtful is None:
            return ""
        first, images = self.doubtful.first + 1, self.doubtful.images
        return f" The last {images}, from image {first} on, are in doubt and do not count in the result."

    def check(self) -> NoiseCheck | None:
        """The newest pooled check."""
        if self.finished is not None and self.finished.pooled is not None:
            return self.finished.pooled
        return None if self.last is None else self.last.pooled

    def _on_started(self, event: RunStarted) -> None:
        self.clear()
        self.started = event
        single = [column.name for column in image_columns(event.classes) if column.width is None]
        self.images = Table(("image", *single))
        self.confusion = np.zeros((event.classes, event.classes), np.int64)

    def _on_image(self, event: ImageFinished) -> None:
        if self.images is None:
            return
        row = image_row(event)
        self.images.add((event.image + 1, *row[: len(row) - len(event.scores)]))
        if 0 <= event.label < len(self.confusion) and 0 <= event.prediction < len(self.confusion):
            self.confusion[event.label, event.prediction] += 1
        self.layers = event.layers or self.layers
        self.last = event

    def _on_doubtful(self, event: ImagesDoubtful) -> None:
        self.doubtful = event

    def _on_recovered(self, event: DataRecovered) -> None:
        self.overlaps.add((event.image + 1, event.overlap))
        if event.picture is not None:
            self.recovered.append(Recovered(event.image, event.overlap, np.array(event.picture)))

    def _on_samples(self, event: ReceiverSamples) -> None:
        self.samples.append(event)

    def _on_alarm(self, event: AlarmRaised) -> None:
        self.alarm = event

    def _on_state(self, event: StateChanged) -> None:
        self.state = event.state
        if event.state == "paused":
            self._recent.clear()

    def _on_light_off(self, event: LightOff) -> None:
        self.light_off = event

    def _on_finished(self, event: RunFinished) -> None:
        self.finished = event
        self.layers = event.layers or self.layers
        self.adversary = event.adversary
