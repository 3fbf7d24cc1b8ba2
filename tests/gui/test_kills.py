"""A window that is killed costs nothing: the run goes on, and its file is what an undisturbed run gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from labctl.record import Run, open_run
from labctl.session import run as run_session

PATIENCE_S = 60.0
IMAGES = 24
#: Opens the window, starts the run as a click on Start does, and says when images come.
PROGRAM = f"""
import sys
from pathlib import Path
from PyQt6.QtCore import QSettings, QTimer
from gui.app import application
from gui.window import MainWindow
app = application()
window = MainWindow(QSettings(sys.argv[1] + "/settings.ini", QSettings.Format.IniFormat), Path(sys.argv[1]) / "runs")
window.choose("digits")
window.run_panel.images.setValue({IMAGES})
window.show()
window.controls.buttons["▶ Start"].click()
timer = QTimer()
timer.timeout.connect(lambda: print(window.conductor.model.done_images, flush=True))
timer.start(10)
app.exec()
"""


def same(one: Run, other: Run) -> bool:
    keys = one.images.keys() - {"time_s"}
    return all(np.array_equal(one.images[key], other.images[key], equal_nan=True) for key in keys)


@pytest.mark.slow
def test_five_kills_at_random_moments(tmp_path: Path) -> None:
    reference = run_session("digits", images=IMAGES, out_dir=tmp_path / "reference").run_file
    assert reference is not None
    undisturbed = open_run(reference)
    rng = np.random.default_rng(17)
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir()
        kill_at(folder, int(rng.integers(0, IMAGES - 5)))
        recorded = finished(folder)
        assert recorded.status == "complete"
        assert recorded.light_off is not None
        assert recorded.light_off.dark
        assert same(recorded, undisturbed)


def kill_at(folder: Path, images: int) -> None:
    """As soon as so many images have been shown."""
    environment = {**os.environ, "LABCTL_LOCKS": str(folder / "locks")}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= images:
                break
        process.send_signal(signal.SIGKILL)


def finished(folder: Path) -> Run:
    """The run's file when nobody writes it any more."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        files = list((folder / "runs").glob("*.h5"))
        if files and (run := open_run(files[0])).finished is not None:
            return run
        time.sleep(0.1)
    raise AssertionError(f"no run came to its end in {folder}")
