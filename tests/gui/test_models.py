"""The model holds what was told, and nothing grows without end."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np

from gui.journal import KEPT, Journal, Level
from gui.models import RunModel
from gui.table import CAPACITY
from labctl.events import AlarmRaised, DataRecovered, ImagesDoubtful, LightOff, ReceiverSamples, StateChanged
from labctl.record.schema import image_columns, image_row
from tests.labctl import sample_run


class Watch:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_columns_are_those_of_the_run_file() -> None:
    model = RunModel()
    model.take(sample_run.whole_run(20))
    events = [sample_run.image(number) for number in range(20)]
    for place, column in enumerate(image_columns(10)):
        if column.width is None:
            np.testing.assert_array_equal(model.column(column.name), [image_row(each)[place] for each in events])
    assert model.confusion.sum() == 20
    assert model.confusion[5, 0] == 2  # two of the images 0, 5, 10, 15 that the sample takes for a 0
    assert (model.done_images, model.expected_images) == (20, 20)
    assert model.finished is not None


def test_rate_and_time_to_go() -> None:
    watch = Watch()
    model = RunModel(now=watch)
    model.take([sample_run.started(100)])
    assert math.isnan(model.rate())
    for number in range(50):
        watch.seconds = number / 10
        model.take([sample_run.image(number)])
    assert abs(model.rate() - 10) < 0.1
    assert abs(model.remaining_s() - 5) < 0.1
    model.take([StateChanged("paused")])
    assert math.isnan(model.remaining_s())


def test_a_run_that_was_taken_up_has_its_first_images_and_their_rate_is_not_told() -> None:
    watch = Watch()
    model = RunModel(now=watch)
    model.take([sample_run.started(100, resumed_at=40)])
    for number in range(40):
        model.take([sample_run.image(number)])
    assert (model.done_images, int(model.confusion.sum()), len(model.column("image"))) == (40, 40, 40)
    assert math.isnan(model.rate())
    for number in range(40, 60):
        watch.seconds += 0.1
        model.take([sample_run.image(number)])
    assert abs(model.rate() - 10) < 0.1
    assert "taken up after 40 images" in model.journal.lines[0].text


def test_images_in_doubt_are_told_in_words() -> None:
    model = RunModel()
    model.take(sample_run.whole_run(20))
    assert model.doubt() == ""
    model.take([ImagesDoubtful(15, 5, "the laser was off")])
    assert "The last 5, from image 16 on, are in doubt" in model.doubt()
    assert "the laser was off" in model.journal.lines[-1].text
    model.clear()
    assert model.doubt() == ""


def test_a_new_run_forgets_the_last_but_not_the_journal() -> None:
    model = RunModel()
    model.take(sample_run.whole_run(5))
    lines = model.journal.written
    model.take([sample_run.started(7)])
    assert (model.last, model.finished, model.light_off, len(model.column("image"))) == (None, None, None, 0)
    assert model.journal.written == lines + 1


def test_memory_is_flat_over_many_events() -> None:
    model = RunModel()
    model.take([sample_run.started(10**6)])
    image, layer = sample_run.image(0), sample_run.layer(0, 0)
    samples = ReceiverSamples(0, 0, np.zeros((2, 64), np.float32), 1e8, 1.0)
    recovered = DataRecovered(0, 0.5, ((0.0, 1.0),))
    for _ in range(CAPACITY):
        model.take([image, layer, recovered])
    tracemalloc.start()
    model.take([image, layer, recovered, samples])
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(60_000):
        model.take([image, layer, recovered, samples, StateChanged("running")])
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 3_000_000  # the journal's 10,000 lines
    assert len(model.journal.lines) == KEPT


def test_the_journal_tells_what_matters() -> None:
    journal = Journal()
    for event in (
        sample_run.started(),
        AlarmRaised(4, 0.05, 0.04),
        sample_run.light_off(dark=False),
        sample_run.light_off(),
        sample_run.finished(verdict="alarm"),
        sample_run.layer(0, 0),
    ):
        journal.note(event)
    lines = [(line.level, line.text) for line in journal.lines]
    assert [level for level, _ in lines] == [Level.INFO, Level.ERROR, Level.ERROR, Level.INFO, Level.ERROR]
    assert "image 5" in lines[1][1]
    assert "NOT" in lines[2][1]
    assert "does not answer" in lines[2][1]
    assert isinstance(sample_run.light_off(), LightOff)
