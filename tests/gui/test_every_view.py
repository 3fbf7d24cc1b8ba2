"""What the window's views show equals what the run file holds: live, in a replay, taken up again, and watched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PyQt6.QtGui import QAction
from PyQt6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from gui.conductor import Phase
from gui.plots.pictures import AdversaryView
from gui.window import MainWindow
from labctl.record import Run, open_run
from tests.gui.conftest import PATIENCE_MS
from tests.gui.test_window import images_done, press, reached

#: View -> curve -> column of the run file's images.
CURVES = {
    "accuracy": {"so far": "accuracy", "lower end": "accuracy_low", "upper end": "accuracy_high"},
    "noise": {
        "measured": "excess",
        "lower end": "excess_low",
        "upper end": "excess_high",
        "honest client": "expected",
        "alarm": "threshold",
    },
    "test": {"statistic": "statistic", "boundary": "boundary"},
    "transmittance": {
        "so far": "transmittance",
        "lower end": "transmittance_low",
        "upper end": "transmittance_high",
    },
}
equal = np.testing.assert_array_equal


def file_of(window: MainWindow) -> Run:
    assert window.conductor.run_file is not None
    return open_run(Path(window.conductor.run_file))


def shows(qtbot: QtBot, window: MainWindow, run: Run) -> None:
    """Bring each view to the front, and hold it against the file."""
    model = window.conductor.model
    for key, view in window.views.items():
        window.docks.docks[key].raise_()
        qtbot.waitUntil(lambda view=view: not view.is_stale(model), timeout=PATIENCE_MS)
    images = run.images
    for key, curves in CURVES.items():
        columns = window.views[key].columns()
        equal(columns["images"], np.arange(1, len(images["index"]) + 1))
        for curve, column in curves.items():
            equal(columns[curve], images[column], err_msg=f"{key}: {curve}")
    columns = window.views["confusion"].columns()
    counts = np.zeros((10, 10))
    np.add.at(counts, (images["label"], images["prediction"]), 1)
    equal(np.array([columns[f"predicted {place}"] for place in range(10)]).T, counts)
    equal(window.views["image"].columns()["score"], images["scores"][-1])
    assert model.done_images == len(images["index"])
    if run.finished is not None:
        shows_result(window, run)
    if run.overlaps is not None:
        shows_recovered(window, run)


def shows_result(window: MainWindow, run: Run) -> None:
    assert run.finished is not None
    assert run.finished.pooled is not None
    layers = window.views["layers"].columns()
    for curve, of in (("measured", "value"), ("lower end", "low"), ("upper end", "high")):
        equal(layers[curve], [getattr(each.excess, of) for each in run.finished.layers])
    equal(layers["honest client"], [each.expected + each.technical for each in run.finished.layers])
    leakage = run.finished.pooled.leakage
    bounds = [
        leakage.weights_bits_per_mode,
        leakage.weights_bits_per_weight,
        leakage.data_bits_v1,
        leakage.data_bits_journal,
    ]
    equal(window.views["leakage"].columns()["bits"], bounds)
    window.controls.refresh()  # as five times a second
    assert (run.finished.verdict or "none") in window.controls.words.text()


def shows_recovered(window: MainWindow, run: Run) -> None:
    assert run.overlaps is not None
    assert run.recovered is not None
    view = window.views["adversary"]
    assert isinstance(view, AdversaryView)
    equal(view.columns()["each image"], run.overlaps)
    pictures = view.pictures.shown
    assert len(pictures) > 5
    for each in pictures:
        equal(each.picture, run.recovered[each.image])
        assert each.overlap == run.overlaps[each.image]


def test_live_and_in_a_replay(qtbot: QtBot, window: MainWindow) -> None:
    window.run_panel.images.setValue(30)
    window.run_panel.curious.setChecked(True)
    press(qtbot, window, "▶ Start")
    reached(qtbot, window, Phase.RUNNING)
    reached(qtbot, window, Phase.IDLE)
    run = file_of(window)
    assert run.overlaps is not None
    shows(qtbot, window, run)
    window.replay(run.path)
    reached(qtbot, window, Phase.IDLE)
    shows(qtbot, window, run)


def test_a_run_that_is_taken_up(qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first images are there from the start, and counted once."""
    window.run_panel.images.setValue(150)
    press(qtbot, window, "▶ Start")
    images_done(qtbot, window, 5)
    press(qtbot, window, "■ Abort")
    reached(qtbot, window, Phase.IDLE)
    aborted = file_of(window)
    done = len(aborted.images["index"])
    assert aborted.status == "aborted"
    assert 5 <= done < 150
    shows(qtbot, window, aborted)

    window.choose("digits", "telecom")  # another bench in the run panel: the run's own counts
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *words: (str(aborted.path), ""))
    (take_up,) = [each for each in window.findChildren(QAction) if each.text() == "&Take up a run…"]
    take_up.trigger()
    reached(qtbot, window, Phase.RUNNING)
    assert window.conductor.bench.endswith("ideal.bench.toml") or window.conductor.bench == "ideal"
    model = window.conductor.model
    images_done(qtbot, window, done)
    assert model.resumed_at == done
    assert model.confusion.sum() == model.done_images
    reached(qtbot, window, Phase.IDLE)
    whole = file_of(window)
    assert (whole.path, whole.status, len(whole.images["index"])) == (aborted.path, "complete", 150)
    shows(qtbot, window, whole)
    assert any(f"taken up after {done} images" in line.text for line in window.conductor.journal.lines)
    window.replay(whole.path)
    reached(qtbot, window, Phase.IDLE)
    shows(qtbot, window, whole)
    window.start_run()
    assert window.conductor.bench == "telecom"


def test_a_run_that_cannot_be_taken_up_is_told(qtbot: QtBot, window: MainWindow, recorded: Run) -> None:
    told: list[str] = []
    window.conductor.trouble.disconnect(window.show_trouble)
    window.conductor.trouble.connect(lambda title, message, remedy: told.append(f"{message} {remedy}"))
    window.conductor.take_up(recorded.path)
    qtbot.waitUntil(lambda: bool(told), timeout=PATIENCE_MS)
    assert "the run is complete" in told[0]
    assert window.conductor.phase is Phase.IDLE


def test_a_second_window_watches_and_cannot_touch(
    qtbot: QtBot, make_window: Callable[[], MainWindow], tmp_path: Path
) -> None:
    """It may come and go: the run does not notice."""
    first, second = make_window(), make_window()
    first.run_panel.images.setValue(60)
    press(qtbot, first, "▶ Start")
    images_done(qtbot, first, 3)
    press(qtbot, first, "‖ Pause")
    reached(qtbot, first, Phase.PAUSED)
    held = first.conductor.model.done_images
    (path,) = (tmp_path / "runs").glob("*.h5")
    second.replay(path)
    qtbot.waitUntil(
        lambda: second.conductor.model.started is not None, timeout=PATIENCE_MS
    )  # rows come in whole seconds
    assert not second.controls.start.isEnabled()
    second.conductor.pause()
    second.conductor.resume()
    press(qtbot, second, "■ Abort")  # ends the replay, and nothing else
    reached(qtbot, second, Phase.IDLE)
    assert first.conductor.phase is Phase.PAUSED
    assert first.conductor.model.done_images == held
    second.replay(path)
    press(qtbot, first, "▷ Resume")
    reached(qtbot, first, Phase.IDLE)
    reached(qtbot, second, Phase.IDLE)
    run = open_run(path)
    assert (run.status, len(run.images["index"])) == ("complete", 60)
    for each in (first, second):
        each.raise_()
        shows(qtbot, each, run)
