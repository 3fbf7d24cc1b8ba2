"""The window while a full-speed run goes on: does it stay quick, and does the run?

    python benchmarks/window.py [--seconds 60] [--rounds 2] [--run mnist] [--data DIR] [--out FOLDER]

Rounds alternate between the engine's process read by nobody but a counter, and the same with the window on it, each for
``--seconds`` from the first image, so that the machine's ups and downs cancel. In the window a timer of 10 ms tells how
long the event loop is ever away, and every painting of a visible view is counted. Then a million events of all kinds
are told to the window's model while its views draw them, and its memory before and after is compared. Offscreen unless
QT_QPA_PLATFORM says otherwise. Prints one JSON object. On a machine that others use as well the gaps tell of them too;
the processor time that the window itself takes between two ticks does not. Limits: 99.9th percentile of the gaps below
50 ms, 20 paintings a second, 0.85 of the throughput, 16 MiB more, 2 s until `labctl gui` is painted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from keeping import RESULTS, keep, made_by
from PyQt6.QtCore import QEvent, QObject, QSettings, Qt, QTimer
from PyQt6.QtWidgets import QAbstractScrollArea, QApplication, QWidget

from gui.app import application, spare
from gui.view import is_seen
from gui.window import MainWindow
from labctl.engine_process.frames import Unpacker, pack
from labctl.engine_process.messages import Answer, Batch, Failed, Order, RunRequest, Task
from labctl.events import DataRecovered, Event, ImageFinished, ReceiverSamples

TIMER_MS = 10
EVENTS = 1_000_000
STARTS = 3
#: Events that the window is told between two turns of its event loop, as an engine's process does.
TOLD_AT_ONCE = 100
#: How much more memory a million events may take, MiB: the journal's 10,000 lines, and what the allocator keeps.
GROWTH_MIB = 16.0


def alone(request: RunRequest, seconds: float) -> float:
    """Images per second of the engine's process, read by a loop that only counts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "labctl.engine_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None  # noqa: PT018
    process.stdin.write(pack(Task(1, request)))
    process.stdin.flush()
    unpacker, images, first_s, last_s, done = Unpacker(), 0, 0.0, 0.0, False
    while not done:
        for message in unpacker.feed(os.read(process.stdout.fileno(), 2**18)):
            count = (
                sum(isinstance(event, ImageFinished) for event in message.events) if isinstance(message, Batch) else 0
            )
            if count and not first_s:
                first_s, count = time.monotonic(), 0
            if count and last_s == 0.0:
                images += count
                if time.monotonic() - first_s >= seconds:
                    last_s = time.monotonic()
                    process.stdin.write(pack(Order("abort", "measured")))
                    process.stdin.flush()
            done = done or isinstance(message, (Answer, Failed))
    process.stdin.close()
    process.wait()
    process.stdout.close()
    return images / ((last_s or time.monotonic()) - first_s)


class Paintings(QObject):
    """How often the largest part of each visible view is painted."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}
        self._names: dict[int, str] = {}
        for key, view in window.views.items():
            if not is_seen(view):
                continue
            part = max(view.findChildren(QWidget), key=lambda child: child.width() * child.height())
            if isinstance(part, QAbstractScrollArea):
                part = part.viewport() or part
            self._names[id(part)] = key
            part.installEventFilter(self)

    def eventFilter(self, part: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Count it, and let it pass."""
        if event is not None and event.type() == QEvent.Type.Paint and id(part) in self._names:
            key = self._names[id(part)]
            self.counts[key] = self.counts.get(key, 0) + 1
        return False


class Watched:
    """A window with a run in it, and what its event loop and its plots do meanwhile."""

    def __init__(self, app: QApplication, window: MainWindow, seconds: float) -> None:
        self._app, self._window, self._seconds = app, window, seconds
        self.gaps_ms: list[float] = []
        self.work_ms: list[float] = []
        self._worked_s = 0.0
        self.paintings = Paintings(window)
        self._ticked_s = self._first_s = self._last_s = 0.0
        self._first = self._last = 0
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(TIMER_MS)
        self._timer.timeout.connect(self._tick)

    def run(self) -> None:
        """Until the time is over."""
        self._window.start_run()
        self._timer.start()
        self._app.exec()
        while self._window.conductor.phase.run_goes_on:
            self._app.processEvents()

    def _tick(self) -> None:
        now, done = time.monotonic(), self._window.conductor.model.done_images
        if not self._first_s:
            if done:
                self._first_s, self._first = now, done
                self.paintings.counts.clear()
        else:
            self.gaps_ms.append((now - self._ticked_s) * 1e3)
            self.work_ms.append((time.thread_time() - self._worked_s) * 1e3)
            if now - self._first_s >= self._seconds or not self._window.conductor.phase.run_goes_on:
                self._last_s, self._last = now, done
                self._timer.stop()
                self._window.conductor.abort("measured")
                self._app.exit(0)  # quit() would close the window, which asks
        self._ticked_s, self._worked_s = now, time.thread_time()

    @property
    def rate(self) -> float:
        """Images per second."""
        return (self._last - self._first) / (self._last_s - self._first_s)

    def paintings_hz(self) -> dict[str, float]:
        """Of each visible view that is fed by every image."""
        left_out = {"histogram", "spectrum", "circuit"}  # five looks a second; drawn when the light goes on or off
        took_s = self._last_s - self._first_s
        return {key: count / took_s for key, count in self.paintings.counts.items() if key not in left_out}


def tell(app: QApplication, window: MainWindow, last: ImageFinished, first: int, events: int) -> int:
    """Tell so many events after image ``first``, of all kinds that come in a run, and draw them; the next image."""
    rng = np.random.default_rng(first)
    picture = ((0.0, 1.0), (1.0, 0.0))
    for start in range(0, events, TOLD_AT_ONCE):
        told: list[Event] = []
        while len(told) < TOLD_AT_ONCE - 1:
            told += [DataRecovered(first, 0.5, picture if first % 50 == 0 else None), replace(last, image=first)]
            first += 1
        if start % (50 * TOLD_AT_ONCE) == 0:
            told[-1] = ReceiverSamples(first, 0, rng.normal(size=(2, 4096)).astype(np.float32), 125e6, 1.0)
        window.conductor.model.take(told)
        window.refresh()
        app.processEvents()
    return first


def many_events(app: QApplication, window: MainWindow, events: int = EVENTS) -> dict[str, float]:
    """Resident memory before and after, MiB, from when the tables are full."""
    from gui.table import CAPACITY

    last = window.conductor.model.last
    assert last is not None
    first = tell(app, window, last, last.image + 1, 4 * CAPACITY)
    before = resident_mib()
    tell(app, window, last, first, events)
    return {"events": events, "before_mib": before, "after_mib": resident_mib(), "limit_mib": GROWTH_MIB}


def quantiles(values: list[float]) -> dict[str, float]:
    """The middle, the tail and the largest."""
    ordered = sorted(values)
    found = {f"p{share:g}": ordered[min(int(len(ordered) * share / 100), len(ordered) - 1)] for share in (50, 99, 99.9)}
    return {**found, "max": ordered[-1]}


def resident_mib() -> float:
    """Of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


#: ``labctl gui`` as it is, but that it says when its first frame has been painted, and ends.
PAINTED = """
from PyQt6.QtWidgets import QApplication
from PyQt6.QtCore import QTimer
from gui.window import MainWindow
from labctl.cli.app import perform
shown = MainWindow.show
def show(window):
    shown(window)
    QApplication.processEvents()
    window.grab()
    print("painted", flush=True)
    QTimer.singleShot(0, window.close)
MainWindow.show = show
perform(["gui"], debug=True)
"""


def painted_s(desk: str) -> float:
    """From the start of a process to its window's first frame; its engine's process is being started as well."""
    environment = {**os.environ, "LABCTL_GUI_SETTINGS": f"{desk}/start.ini"}
    start_s = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", PAINTED], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"painted\n":
            raise RuntimeError("the window was not painted")
        return time.monotonic() - start_s


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--run", default="mnist")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    if chosen.data is not None:
        os.environ["LABCTL_MNIST"] = str(chosen.data.resolve())
    rates: dict[str, list[float]] = {"alone": [], "window": []}
    gaps: list[float] = []
    work: list[float] = []
    paintings: list[dict[str, float]] = []
    app = application()
    with tempfile.TemporaryDirectory() as desk:
        request = RunRequest(chosen.run, {"on_alarm": "continue"}, f"{desk}/runs")
        for turn in range(chosen.rounds):
            rates["alone"].append(alone(request, chosen.seconds))
            window = MainWindow(QSettings(f"{desk}/{turn}.ini", QSettings.Format.IniFormat), Path(f"{desk}/runs"))
            window.choose(chosen.run)
            window.run_panel.go_on.setChecked(True)
            window.show()
            app.processEvents()
            spare()
            watched = Watched(app, window, chosen.seconds)
            watched.run()
            rates["window"].append(watched.rate)
            gaps += watched.gaps_ms
            work += watched.work_ms
            paintings.append(watched.paintings_hz())
            memory = many_events(app, window) if turn == chosen.rounds - 1 else {}
            window.close()
        starts = [painted_s(desk) for _ in range(STARTS)]
    report = {
        **made_by("window"),
        "run": chosen.run,
        "seconds": chosen.seconds,
        "images_per_s": rates,
        "throughput_ratio": statistics.fmean(rates["window"]) / statistics.fmean(rates["alone"]),
        "gap_ms": {**quantiles(gaps), "timer": TIMER_MS},
        "own_work_between_two_ticks_ms": quantiles(work),
        "paintings_per_s_of_the_slowest_view": [min(each.values()) for each in paintings],
        "paintings_per_s": paintings,
        "memory": memory,
        "painted_after_s": starts,
    }
    keep(report, chosen.out)


if __name__ == "__main__":
    main()
