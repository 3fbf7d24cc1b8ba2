"""Entry point of the desktop window."""

from __future__ import annotations

from pathlib import Path

from PyQt6.QtWidgets import QApplication

from gui.run_view import RunView
from labctl.record import open_run


def replay(run_file: Path) -> int:
    """Show a recorded run until the window is closed. Raises RecordError for a file that is none."""
    run = open_run(run_file)
    application = QApplication.instance() or QApplication([])
    view = RunView(run)
    view.resize(900, 700)
    view.show()
    return int(application.exec())
