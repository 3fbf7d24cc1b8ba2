"""The engine in its own process, over the real pipes: runs, orders, and what happens when one side goes."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from labctl.engine_process.messages import (
    Beat,
    DarkRequest,
    Failed,
    FolderRequest,
    LookRequest,
    Order,
    Part,
    Pixels,
    ReadRequest,
    ReplayRequest,
    ResumeRequest,
    RunEnded,
    RunEntry,
    RunRequest,
)
from labctl.events import (
    Event,
    ImageFinished,
    LayerMeasured,
    LightOff,
    ReceiverSamples,
    RunFinished,
    RunStarted,
    StateChanged,
)
from labctl.record import Run, open_run
from labctl.session import run
from labctl.upkeep import BenchReport
from tests.labctl.engine_process.conversation import PATIENCE_S, Conversation


def request(folder: Path, **changes: object) -> RunRequest:
    overrides = {"images": 12, **changes}
    return RunRequest("digits", overrides, str(folder / "runs"))


def run_files(folder: Path) -> list[Path]:
    return sorted((folder / "runs").glob("*.h5"))


def same_content(one: Run, other: Run) -> bool:
    keys = one.images.keys() - {"time_s"}
    return all(np.array_equal(one.images[key], other.images[key], equal_nan=True) for key in keys) and all(
        np.array_equal(a[key], b[key]) for a, b in zip(one.layers, other.layers, strict=True) for key in a
    )


def test_a_run_and_all_that_can_be_asked_about_it(tmp_path: Path) -> None:
    with Conversation(tmp_path) as talk:
        forecast = talk.answer(talk.ask(replace(request(tmp_path), forecast_only=True)))
        assert isinstance(forecast, dict)
        assert forecast["images"] == 12
        assert "12 images x 2 layers" in forecast["lines"][0]
        assert not run_files(tmp_path)

        number = talk.ask(request(tmp_path))
        talk.order(Order("samples"))
        ended = talk.answer(number)
        assert isinstance(ended, RunEnded)
        assert (ended.verdict, ended.error) == ("accepted", "")
        live, recorded = talk.events, open_run(Path(str(ended.run_file)))
        assert [event.image for event in live if isinstance(event, ImageFinished)] == list(range(12))
        assert talk.of(RunFinished) == [recorded.finished]
        (samples,) = talk.of(ReceiverSamples)
        assert samples.residual.shape == (2, 2048)
        assert abs(samples.residual.var() - samples.vacuum) < 0.15
        assert talk.of(Pixels)[-1].pixels.shape == (8, 8)

        talk.heard.clear()
        talk.answer(talk.ask(ReplayRequest(str(ended.run_file))))
        assert_same_story(live, talk.events)

        assert isinstance(talk.answer(talk.ask(ReadRequest(str(ended.run_file)))), Run)
        talk.answer(talk.ask(FolderRequest(str(tmp_path / "runs"))))
        (part,) = talk.of(Part)
        assert isinstance(part.value, RunEntry)
        assert (part.value.images, part.value.verdict, part.value.network) == (12, "accepted", "digits")


def assert_same_story(live: list[Event], told: list[Event]) -> None:
    """But for what a run file does not hold: the states in between, samples, and the clock's origin."""
    left_out = (StateChanged, ReceiverSamples)
    ours, theirs = ([event for event in events if not isinstance(event, left_out)] for events in (live, told))
    assert [type(event) for event in ours] == [type(event) for event in theirs]
    for one, other in zip(ours, theirs, strict=True):
        if isinstance(one, LightOff):
            assert isinstance(other, LightOff)
            assert {state.instrument for state in one.readback} == {state.instrument for state in other.readback}
            assert other.dark
        elif not isinstance(one, LayerMeasured | ImageFinished | RunFinished):
            continue
        else:
            assert one == other


def test_pause_resume_abort(tmp_path: Path) -> None:
    with Conversation(tmp_path) as talk:
        number = talk.ask(request(tmp_path, images=360))
        talk.until(lambda: bool(talk.of(ImageFinished)))
        talk.order(Order("pause"))
        talk.until(lambda: StateChanged("paused") in talk.events)
        before = talk.of(Beat)[-1].steps
        talk.heard.clear()
        talk.until(lambda: len(talk.of(Beat)) > 2)
        assert talk.of(Beat)[-1].steps <= before + 2
        talk.order(Order("resume"))
        talk.until(lambda: bool(talk.of(ImageFinished)))
        talk.order(Order("abort", "enough"))
        ended = talk.answer(number)
        assert isinstance(ended, RunEnded)
        assert (ended.verdict, "enough" in ended.error) == ("aborted", True)
        assert talk.of(LightOff)[-1].dark


def test_a_run_is_taken_up_and_told_from_its_first_image(tmp_path: Path) -> None:
    with Conversation(tmp_path) as talk:
        number = talk.ask(request(tmp_path, images=60))
        talk.until(lambda: len(talk.of(ImageFinished)) > 3)
        talk.order(Order("abort", "enough"))
        talk.answer(number)
        (path,) = run_files(tmp_path)
        done = len(open_run(path).images["index"])
        assert 3 < done < 60
        talk.heard.clear()
        ended = talk.answer(talk.ask(ResumeRequest(str(path))))
        assert isinstance(ended, RunEnded)
        assert (ended.run_file, ended.verdict, ended.error) == (str(path), "accepted", "")
        events = [event for event in talk.events if isinstance(event, RunStarted | ImageFinished | LayerMeasured)]
        assert isinstance(events[0], RunStarted)
        assert events[0].resumed_at == done
        assert [event.image for event in events if isinstance(event, ImageFinished)] == list(range(60))
        assert [event.image for event in events if isinstance(event, LayerMeasured)] == sorted([*range(60)] * 2)
        assert len(open_run(path).images["index"]) == 60
        again = talk.answer(talk.ask(ResumeRequest(str(path))))
        assert isinstance(again, Failed)
        assert "the run is complete" in again.message


def test_wrong_requests_are_answered_and_the_process_lives(tmp_path: Path) -> None:
    with Conversation(tmp_path) as talk:
        for wrong in (
            request(tmp_path, gain=0.5),
            RunRequest("nothing"),
            ReplayRequest(str(tmp_path / "no.h5")),
            LookRequest("nowhere"),
        ):
            answer = talk.answer(talk.ask(wrong))
            assert isinstance(answer, Failed)
            assert answer.message
            assert answer.remedy
        assert isinstance(talk.answer(talk.ask(DarkRequest("ideal"))), LightOff)
        reports = talk.answer(talk.ask(LookRequest("ideal")))
        assert isinstance(reports, list)
        assert all(isinstance(each, BenchReport) and not each.problems for each in reports)


def gone(talk: Conversation) -> None:
    assert talk.process.wait(PATIENCE_S) == 0


def test_the_run_goes_on_when_the_window_dies(tmp_path: Path) -> None:
    """Killed at five moments of a run: the file is complete, and what an undisturbed run gives."""
    undisturbed = run("digits", images=12, out_dir=tmp_path / "reference").run_file
    assert undisturbed is not None
    for images in (0, 1, 3, 6, 10):
        folder = tmp_path / str(images)
        with Conversation(tmp_path) as talk:
            talk.ask(request(folder))
            talk.until(lambda count=images, here=talk: len(here.of(ImageFinished)) >= count)
            talk.hang_up()
            gone(talk)
        (path,) = run_files(folder)
        recorded = open_run(path)
        assert recorded.status == "complete"
        assert recorded.light_off is not None
        assert recorded.light_off.dark
        assert same_content(recorded, open_run(undisturbed))


def test_it_ends_when_the_window_dies_where_that_was_asked_for(tmp_path: Path) -> None:
    with Conversation(tmp_path) as talk:
        talk.ask(replace(request(tmp_path, images=360), when_alone="abort"))
        talk.until(lambda: bool(talk.of(ImageFinished)))
        talk.hang_up()
        gone(talk)
    (path,) = run_files(tmp_path)
    assert open_run(path).status == "aborted"


def test_a_paused_run_is_not_left_lit(tmp_path: Path) -> None:
    with Conversation(tmp_path) as talk:
        talk.ask(request(tmp_path, images=360))
        talk.until(lambda: bool(talk.of(ImageFinished)))
        talk.order(Order("pause"))
        talk.until(lambda: StateChanged("paused") in talk.events)
        talk.hang_up()
        gone(talk)
    (path,) = run_files(tmp_path)
    recorded = open_run(path)
    assert recorded.status == "aborted"
    assert recorded.light_off is not None
    assert recorded.light_off.dark


def test_sigterm_ends_a_run_in_order(tmp_path: Path) -> None:
    with Conversation(tmp_path) as talk:
        number = talk.ask(request(tmp_path, images=360))
        talk.until(lambda: bool(talk.of(ImageFinished)))
        os.kill(talk.process.pid, signal.SIGTERM)
        ended = talk.answer(number)
        assert isinstance(ended, RunEnded)
        assert "SIGTERM" in ended.error
        assert talk.of(LightOff)[-1].dark


def test_a_growing_file_is_followed(tmp_path: Path) -> None:
    """A second process watches the first one's run, and sees all of it."""
    with Conversation(tmp_path) as talk, Conversation(tmp_path) as watcher:
        number = talk.ask(request(tmp_path, images=60))
        talk.until(lambda: bool(run_files(tmp_path)) and len(talk.of(ImageFinished)) > 10)
        (path,) = run_files(tmp_path)
        watching = watcher.ask(ReplayRequest(str(path)))
        talk.answer(number)
        watcher.answer(watching)
        assert [event.image for event in watcher.of(ImageFinished)] == list(range(60))
        assert watcher.of(RunFinished) == talk.of(RunFinished)


def test_it_ends_at_once_with_nothing_to_do(tmp_path: Path) -> None:
    with Conversation(tmp_path) as talk:
        talk.until(lambda: bool(talk.of(Beat)))
        began = time.monotonic()
        talk.hang_up()
        gone(talk)
        assert time.monotonic() - began < 5
