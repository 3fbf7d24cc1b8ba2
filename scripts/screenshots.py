"""Makes the pictures in the docs from the real program: python scripts/screenshots.py [docs/images]

Opens the window, starts runs in it as a user does, and saves what it shows. Draws offscreen where there is no display.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PyQt6.QtCore import QSettings
from PyQt6.QtWidgets import QApplication

from gui.app import application
from gui.theme import DARK, LIGHT
from gui.window import MainWindow

#: Longest time that a run may take, s.
PATIENCE_S = 180.0


def wait(app: QApplication, enough: Callable[[], bool]) -> None:
    """Let the window live until that is so."""
    until = time.monotonic() + PATIENCE_S
    while not enough():
        if time.monotonic() > until:
            raise SystemExit("the run takes too long")
        app.processEvents()
        time.sleep(0.005)


def settle(app: QApplication) -> None:
    """Let every view draw the newest."""
    until = time.monotonic() + 1.0
    wait(app, lambda: time.monotonic() > until)


def main(folder: Path) -> None:
    """A run in the middle, one with an adversary, and its replay in the light theme."""
    folder.mkdir(parents=True, exist_ok=True)
    app = application()
    with tempfile.TemporaryDirectory() as desk:
        os.chdir(desk)
        window = MainWindow(QSettings(f"{desk}/settings.ini", QSettings.Format.IniFormat), Path("runs"))
        window.resize(1600, 950)
        window.use_theme(DARK)
        window.choose("digits")
        window.show()
        conductor = window.conductor

        def finished() -> bool:
            return not conductor.phase.run_goes_on and conductor.model.finished is not None

        window.run_panel.predict.click()
        wait(app, lambda: "images x" in window.run_panel.prediction.text())
        window.start_run()
        wait(app, lambda: conductor.model.done_images >= 200)
        settle(app)
        window.grab().save(str(folder / "window.png"))
        wait(app, finished)

        window.run_panel.attack.setCurrentText("greedy")
        window.run_panel.strength.setValue(3.0)
        window.run_panel.curious.setChecked(True)
        window.docks.docks["adversary"].raise_()
        window.docks.docks["noise"].raise_()
        window.docks.docks["history"].raise_()
        window.docks.docks["instruments"].raise_()
        window.start_run()
        wait(app, finished)
        settle(app)
        window.grab().save(str(folder / "window-alarm.png"))

        window.use_theme(LIGHT)
        window.history.table.selectRow(1)
        window.history.open.click()
        wait(app, finished)
        settle(app)
        window.grab().save(str(folder / "replay.png"))
        window.close()
        os.chdir(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images").resolve())
