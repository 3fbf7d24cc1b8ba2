"""A growing file, followed from another process's point of view."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from labctl.errors import RecordError
from labctl.events import EventBus
from labctl.record import RunRecorder, open_run
from labctl.record.live import LiveRun
from tests.labctl import sample_run


def test_every_row_comes_once(tmp_path: Path) -> None:
    made, bus = RunRecorder(tmp_path, "sample", 7), EventBus()
    made.attach(bus)
    first, *events, off, finished = sample_run.whole_run(200)
    bus.publish(first)
    assert made.path is not None
    found: list[float] = []
    with LiveRun(made.path) as live:
        assert live.started == first
        for number, event in enumerate(events):
            bus.publish(event)
            if number % 50 == 0:
                news = live.update()
                assert not news.ended
                assert len(news.layers[0]["sum_sr"]) == len(news.images["index"])
                found += news.images["excess"].tolist()
        bus.publish(off)
        bus.publish(finished)
        news = live.update()
        assert news.ended
        found += news.images["excess"].tolist()
    made.close()
    assert found == open_run(made.path).images["excess"].tolist()


def test_a_damaged_row_is_not_shown(tmp_path: Path) -> None:
    made, bus = RunRecorder(tmp_path, "sample", 7), EventBus()
    made.attach(bus)
    for event in sample_run.whole_run(20):
        bus.publish(event)
    made.close()
    assert made.path is not None
    with LiveRun(made.path) as live:
        live._tables[0]._name = "/another"
        with pytest.raises(RecordError, match="do not agree with their checksum"):
            live.update()
    with h5py.File(made.path) as file:
        assert np.all(file["images/index"][()] == np.arange(20) + 1437)
