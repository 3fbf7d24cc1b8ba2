"""A run file told as events: the same that were recorded, each once, however often the file is looked at."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl import replay
from labctl.events import (
    AlarmRaised,
    Event,
    EventBus,
    ImageFinished,
    ImagesDoubtful,
    LayerMeasured,
    LightOff,
    RunFinished,
    RunStarted,
    StateChanged,
)
from labctl.record import Run, RunRecorder, open_run
from labctl.replay import Teller, until
from labctl.session import run as run_session
from tests.labctl import sample_run

TOLD = (RunStarted, LayerMeasured, ImageFinished, AlarmRaised, LightOff, RunFinished)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Event], Run]:
    """A run as it was told, and as it was recorded."""
    bus, events = EventBus(), list[Event]()
    for kind in TOLD:
        bus.subscribe(kind, events.append)
    outcome = run_session("digits", images=20, seed=5, bus=bus, out_dir=tmp_path_factory.mktemp("runs"))
    assert outcome.run_file is not None
    return events, open_run(outcome.run_file)


def told(events: list[Event], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def recorded(folder: Path, events: list[Event]) -> Run:
    bus = EventBus()
    recorder = RunRecorder(folder, "sample", 7)
    recorder.attach(bus)
    for event in events:
        bus.publish(event)
    recorder.close()
    assert recorder.path is not None
    return open_run(recorder.path)


def test_images_layers_and_checks_are_those_of_the_run(lived: tuple[list[Event], Run]) -> None:
    events, run = lived
    found = list(Teller().tell(run))
    for kind in (LayerMeasured, ImageFinished, RunFinished):
        assert told(found, kind) == told(events, kind)
    kinds = [type(event) for event in found if not isinstance(event, StateChanged)]
    assert kinds == [type(event) for event in events]


def test_a_growing_file_is_told_once(lived: tuple[list[Event], Run]) -> None:
    _, run = lived
    teller, found = Teller(), list[Event]()
    for rows in (0, 7, 7, 19):
        part = replace(
            run,
            images={key: values[:rows] for key, values in run.images.items()},
            layers=tuple({key: values[: rows + 1] for key, values in layer.items()} for layer in run.layers),
            finished=None,
            light_off=None,
        )
        found += teller.tell(part)
    found += teller.tell(run)
    whole = list(Teller().tell(run))
    for kind in TOLD:
        assert len(told(found, kind)) == len(told(whole, kind))
    assert [event.image for event in told(found, ImageFinished)] == list(range(20))


def test_between_looks_there_are_no_layers(lived: tuple[list[Event], Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "LOOKS", 4)
    _, run = lived
    images = told(list(Teller().tell(run)), ImageFinished)
    assert [bool(event.layers) for event in images] == [number % 5 == 0 or number == 19 for number in range(20)]
    assert images[-1].pooled.leakage == run.finished.pooled.leakage  # type: ignore[union-attr]
    np.testing.assert_array_equal([event.pooled.excess.value for event in images], run.images["excess"])


def test_an_alarm_within_an_image(tmp_path: Path) -> None:
    events = list(sample_run.alarmed_run(4))
    run = recorded(tmp_path, events)
    found = list(Teller().tell(run))
    assert told(found, AlarmRaised) == told(events, AlarmRaised)
    assert [(event.image, event.layer) for event in told(found, LayerMeasured)] == [
        (event.image, event.layer) for event in told(events, LayerMeasured)
    ]
    assert told(found, RunFinished) == [run.finished]


def test_a_file_that_does_not_say_what_was_agreed(tmp_path: Path) -> None:
    """Its images are told all the same; what cannot be worked out is not a number."""
    run = recorded(tmp_path, list(sample_run.whole_run(6)))
    images = told(list(Teller().tell(run)), ImageFinished)
    assert len(images) == 6
    assert all(event.layers == () and math.isnan(event.pooled.leakage.data_bits_v1) for event in images)


def test_images_in_doubt_are_told_when_the_light_is_off(lived: tuple[list[Event], Run]) -> None:
    _, run = lived
    assert run.finished is not None
    doubted = replace(run, finished=replace(run.finished, images=17, doubtful=3, cause="the laser was off"))
    events = list(Teller().tell(doubted))
    assert told(events, ImagesDoubtful) == [ImagesDoubtful(17, 3, "the laser was off")]
    kinds = [type(event) for event in events]
    assert kinds.index(LightOff) < kinds.index(ImagesDoubtful) < kinds.index(RunFinished)


def test_the_first_images_alone(lived: tuple[list[Event], Run]) -> None:
    """Without start and end, as one tells them who goes on from there."""
    _, run = lived
    events = until(run, 8)
    assert {type(event) for event in events} == {LayerMeasured, ImageFinished}
    assert [event.image for event in told(events, ImageFinished)] == list(range(8))
    assert len(told(events, LayerMeasured)) == 16
    assert until(run, 0) == []
