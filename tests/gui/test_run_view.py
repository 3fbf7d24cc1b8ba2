"""The window on a recorded run: what it shows is what the file holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyqtgraph as pg
import pytest
from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from gui.app import replay
from gui.run_view import RunView, text_summary
from labctl.errors import RecordError
from labctl.events import AdversaryResult, AttackResult, RecoveryResult
from labctl.record import Run, open_run
from labctl.session import run as run_session


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Run:
    outcome = run_session("digits", images=25, seed=3, out_dir=tmp_path_factory.mktemp("runs"))
    assert outcome.run_file is not None
    return open_run(outcome.run_file)


def curves(plot: pg.PlotWidget) -> dict[str, np.ndarray]:
    return {item.name(): item.getData()[1] for item in plot.getPlotItem().listDataItems() if item.name()}


def test_plots_hold_the_file(qtbot: QtBot, recorded: Run) -> None:
    view = RunView(recorded)
    qtbot.addWidget(view)
    accuracy, noise = curves(view.accuracy), curves(view.noise)
    np.testing.assert_array_equal(accuracy["so far"], recorded.images["accuracy"])
    assert set(accuracy["without optical noise"]) == {recorded.started.clean_accuracy}
    for name, column in (("measured", "excess"), ("honest client", "expected"), ("alarm", "threshold")):
        np.testing.assert_array_equal(noise[name], recorded.images[column])


def test_words_for_those_who_do_not_see_it(qtbot: QtBot, recorded: Run) -> None:
    view = RunView(recorded)
    qtbot.addWidget(view)
    assert view.summary.text() == text_summary(recorded)
    assert "25 images, complete" in view.summary.text()
    assert "verdict: accepted" in view.summary.text()
    assert view.noise.accessibleDescription() == view.summary.text()
    assert any("SIMULATED" in label.text() for label in view.findChildren(QLabel))


def test_words_about_the_dishonest(recorded: Run) -> None:
    assert recorded.finished is not None
    attack = AttackResult("tap", 0.1, 500, 0.4812, True, 0.4854, None)
    adversary = AdversaryResult(attack, RecoveryResult(25, 0.34, 0.246, 0.698))
    text = text_summary(replace(recorded, finished=replace(recorded.finished, adversary=adversary)))
    assert "attack tap of strength 0.1 told 0.4812 bits per mode, measured" in text
    assert "overlap of 0.340" in text
    assert "attack" not in text_summary(recorded)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "nothing.h5"
    path.write_bytes(b"no")
    with pytest.raises(RecordError, match=r"nothing\.h5"):
        replay(path)


def test_replay_shows_the_window_until_it_is_closed(qtbot: QtBot, recorded: Run) -> None:
    seen: list[str] = []

    def look_and_close() -> None:
        for widget in QApplication.topLevelWidgets():
            if isinstance(widget, RunView) and widget.isVisible():
                seen.append(widget.windowTitle())
                widget.close()

    QTimer.singleShot(0, look_and_close)
    assert replay(recorded.path) == 0
    assert seen == [f"labctl: {recorded.path.name}"]
