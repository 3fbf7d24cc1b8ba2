"""The window while a full-speed run goes on: does it stay quick, and does the run?

    python benchmarks/window.py [--seconds 60] [--rounds 2] [--run mnist] [--data DIR] [--out FOLDER]

Rounds alternate between the engine's process read by nobody but a counter, and the same with the window on it, each for
``--seconds`` from the first image, so that the machine's ups and downs cancel. In the window a timer of 10 ms tells how
long the event loop is ever away, and repaints of the plots are counted. Then a million events are told to the window's
model, and its memory before and after is compared. Offscreen unless QT_QPA_PLATFORM says otherwise. Prints one JSON
object. On a machine that others use as well the gaps tell of them too; the processor time that the window itself takes
between two ticks does not. Limits: 99.9th percentile of the gaps below 50 ms, 20 repaints a second, 0.85 of the
throughput.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PyQt6.QtCore import QSettings, Qt, QTimer
from PyQt6.QtWidgets import QApplication

from gui.app import application
from gui.window import MainWindow
from labctl import __version__
from labctl.engine_process.frames import Unpacker, pack
from labctl.engine_process.messages import Answer, Batch, Failed, Order, RunRequest, Task
from labctl.events import ImageFinished

TIMER_MS = 10
EVENTS = 1_000_000


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


class Watched:
    """A window with a run in it, and what its event loop and its plots do meanwhile."""

    def __init__(self, app: QApplication, window: MainWindow, seconds: float) -> None:
        self._app, self._window, self._seconds = app, window, seconds
        self.gaps_ms: list[float] = []
        self.work_ms: list[float] = []
        self._worked_s = 0.0
        self.repaints: dict[str, int] = {}
        self._ticked_s = self._first_s = self._last_s = 0.0
        self._first = self._last = 0
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(TIMER_MS)
        self._timer.timeout.connect(self._tick)
        for key, view in window.views.items():
            self._count(key, view)

    def _count(self, key: str, view: object) -> None:
        draw = view.show_run  # type: ignore[attr-defined]

        def counted(model: object) -> None:
            self.repaints[key] = self.repaints.get(key, 0) + 1
            draw(model)

        view.show_run = counted  # type: ignore[attr-defined]

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
                self.repaints.clear()
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

    def slowest_view_hz(self) -> float:
        """Repaints per second of the visible view that was repainted least, those fed by every image alone."""
        left_out = {"histogram", "spectrum", "circuit"}  # five looks a second; drawn when the light goes on or off
        counts = [count for key, count in self.repaints.items() if key not in left_out]
        return min(counts) / (self._last_s - self._first_s)


def million_events(window: MainWindow) -> dict[str, float]:
    """Resident memory before and after, MiB, from when the tables are full."""
    from gui.table import CAPACITY

    model = window.conductor.model
    last = model.last
    assert last is not None
    for _ in range(2 * CAPACITY):
        model.take([last])
    before = resident_mib()
    for _ in range(EVENTS):
        model.take([last])
    return {"events": EVENTS, "before_mib": before, "after_mib": resident_mib()}


def quantiles(values: list[float]) -> dict[str, float]:
    """The middle, the tail and the largest."""
    ordered = sorted(values)
    found = {f"p{share:g}": ordered[min(int(len(ordered) * share / 100), len(ordered) - 1)] for share in (50, 99, 99.9)}
    return {**found, "max": ordered[-1]}


def resident_mib() -> float:
    """Of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def painted_s() -> float:
    """From the start of a process to its window's first frame."""
    program = (
        "import time, sys; from gui.app import application; from gui.window import MainWindow;"
        "from PyQt6.QtCore import QSettings; from pathlib import Path; app = application();"
        "w = MainWindow(QSettings('/dev/null', QSettings.Format.IniFormat)); w.choose('digits');"
        "w.show(); app.processEvents(); w.grab(); print('painted', flush=True); w.close()"
    )
    start_s = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        return time.monotonic() - start_s


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--run", default="mnist")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    chosen = parser.parse_args()
    if chosen.data is not None:
        os.environ["LABCTL_MNIST"] = str(chosen.data.resolve())
    rates: dict[str, list[float]] = {"alone": [], "window": []}
    gaps: list[float] = []
    work: list[float] = []
    slowest: list[float] = []
    app = application()
    with tempfile.TemporaryDirectory() as desk:
        request = RunRequest(chosen.run, {"on_alarm": "continue"}, f"{desk}/runs")
        for turn in range(chosen.rounds):
            rates["alone"].append(alone(request, chosen.seconds))
            window = MainWindow(QSettings(f"{desk}/{turn}.ini", QSettings.Format.IniFormat), Path(f"{desk}/runs"))
            window.choose(chosen.run)
            window.run_panel.go_on.setChecked(True)
            window.show()
            watched = Watched(app, window, chosen.seconds)
            watched.run()
            rates["window"].append(watched.rate)
            gaps += watched.gaps_ms
            work += watched.work_ms
            slowest.append(watched.slowest_view_hz())
            memory = million_events(window) if turn == chosen.rounds - 1 else {}
            window.close()
    report = {
        "benchmark": "window",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "labctl": __version__,
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
        "run": chosen.run,
        "seconds": chosen.seconds,
        "images_per_s": rates,
        "throughput_ratio": statistics.fmean(rates["window"]) / statistics.fmean(rates["alone"]),
        "gap_ms": {**quantiles(gaps), "timer": TIMER_MS},
        "own_work_between_two_ticks_ms": quantiles(work),
        "repaints_per_s_of_the_slowest_view": slowest,
        "memory": memory,
        "painted_after_s": painted_s(),
    }
    text = json.dumps(report, indent=1)
    print(text)
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / f"window-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
