"""Makes the pictures in the docs from the real program: python scripts/screenshots.py [docs/images]

Runs the digits, opens the window on the recorded run, and saves what it shows. Needs a display (``xvfb-run``).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QApplication

from gui.run_view import RunView
from labctl.record import open_run
from labctl.session import run


def main(folder: Path) -> None:
    """One picture per view."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as runs:
        outcome = run("digits", out_dir=Path(runs))
        assert outcome.run_file is not None
        recorded = open_run(outcome.run_file)
    application = QApplication([])
    view = RunView(recorded)
    view.resize(900, 700)
    view.show()

    def save() -> None:
        view.grab().save(str(folder / "replay.png"))
        application.quit()

    QTimer.singleShot(500, save)
    application.exec()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))
