"""Entry points of the desktop window."""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType, TracebackType

from PyQt6.QtCore import QSettings, QTimer
from PyQt6.QtWidgets import QApplication

from gui.window import MainWindow
from labctl.config import load_bench, load_run
from labctl.errors import LabctlError, RecordError
from labctl.shipped import bench_path, run_path

#: Names another file for layout and theme.
SETTINGS_VARIABLE = "LABCTL_GUI_SETTINGS"
#: After the start, when the window has been painted and nobody has had time to do anything yet, ms.
SPARE_MS = 300


def settings() -> QSettings:
    """Where layout and theme are kept."""
    named = os.environ.get(SETTINGS_VARIABLE)
    return QSettings(named, QSettings.Format.IniFormat) if named else QSettings("labctl", "labctl")


def application() -> QApplication:
    """The one Qt application of this process."""
    found = QApplication.instance()
    if found is None:
        found = QApplication([sys.argv[0]])
        found.setApplicationName("labctl")
        sys.excepthook = _told
    assert isinstance(found, QApplication)
    return found


def show(run: str | None = None, bench: str | None = None) -> int:
    """The window on a run that can be started, until it is closed; None: that of the last time.

    Raises ConfigError for a run or a bench that is none.
    """
    if run is not None:
        load_run(run_path(run), {})
    if bench is not None:
        load_bench(bench_path(bench))
    app = application()
    window = MainWindow(settings())
    if run is None and bench is None:
        window.restore_session()
    else:
        window.choose(run or "digits", bench)
    window.conductor.engine.start()
    return _until_closed(app, window)


def replay(run_file: Path) -> int:
    """The window on a recorded run until it is closed. Raises RecordError for a file that is missing."""
    if not run_file.is_file():
        raise RecordError(f"{run_file}: no such file", "Check the path.")
    app = application()
    window = MainWindow(settings(), run_file.parent)
    window.choose("digits")
    window.replay(run_file)
    return _until_closed(app, window)


def spare() -> None:
    """Leave what is there out of Python's later collections: looking through all of it takes some 50 ms at once."""
    gc.collect()
    gc.freeze()


def _until_closed(app: QApplication, window: MainWindow) -> int:
    """SIGINT and SIGTERM close it without a question, and a run goes on by itself."""

    def leave(number: int, frame: FrameType | None) -> None:
        window.unattended = True
        window.close()

    before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        window.show()
        QTimer.singleShot(SPARE_MS, spare)
        status = int(app.exec())
        window.dispose()
        gc.unfreeze()
        return status
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A fault in a slot must not take the window down; it is told, and stands on standard error."""
    traceback.print_exception(kind, error, trace)
    for widget in QApplication.topLevelWidgets():
        if isinstance(widget, MainWindow):
            remedy = (
                error.remedy
                if isinstance(error, LabctlError)
                else "This is a fault of the program; the run is not touched by it."
            )
            widget.show_trouble("Something went wrong in the window", f"{kind.__name__}: {error}", remedy)
            return
