"""Windows that are killed at random moments of a run: the run goes on, and its file is what an undisturbed one gives.

    python benchmarks/gui_kills.py [--kills 50] [--images 360] [--seed 17] [--out FOLDER]

A window starts a run as a click on *Start* does, and is killed by SIGKILL after a time that is drawn evenly between the
click and the end of an undisturbed run. The file must be complete, the light read back as off, and everything in it but
provenance and the times of the wall clock that of the undisturbed run, bit for bit (`labctl diff`). Prints one JSON
object; exit status 1 when one file was not.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from labctl import __version__
from labctl.errors import RecordError
from labctl.record import Run, open_run
from labctl.record.compare import differences

KILLS, IMAGES, SEED = 50, 360, 17
#: Longest time that a run may take, s.
PATIENCE_S = 120.0
#: Columns of the wall clock.
TIMES = ("images/time_s:",)
PROGRAM = """
import sys
from pathlib import Path
from PyQt6.QtCore import QSettings, QTimer
from gui.app import application
from gui.window import MainWindow
folder, images = sys.argv[1], int(sys.argv[2])
app = application()
window = MainWindow(QSettings(folder + "/settings.ini", QSettings.Format.IniFormat), Path(folder) / "runs")
window.choose("digits")
window.run_panel.images.setValue(images)
window.show()
app.processEvents()
window.controls.buttons["▶ Start"].click()
print("started", flush=True)
window.conductor.ended.connect(lambda outcome: (print("ended", flush=True), app.exit(0)))
timer = QTimer()
timer.timeout.connect(lambda: print(window.conductor.model.done_images, flush=True))
timer.start(5)
app.exec()
window.close()
"""


def watch(folder: Path, images: int, kill_s: float | None) -> tuple[float, str]:
    """Start a run in a window of its own; seconds from the click to the end or the kill, and what it said last."""
    folder.mkdir()
    environment = {**os.environ, "LABCTL_LOCKS": str(folder / "locks")}
    environment.setdefault("QT_QPA_PLATFORM", "offscreen")
    words = [sys.executable, "-c", PROGRAM, str(folder), str(images)]
    last, start_s = "", 0.0
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last = line.decode().strip()
            if last == "started":
                start_s = time.monotonic()
            if last == "ended" or (kill_s is not None and time.monotonic() - start_s >= kill_s):
                break
        if kill_s is not None:
            process.send_signal(signal.SIGKILL)
        return time.monotonic() - start_s, last


def finished(folder: Path) -> Run:
    """The run's file when nobody writes it any more. Raises RecordError when none comes to its end."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        for path in (folder / "runs").glob("*.h5"):
            with suppress(RecordError):  # it is just being begun
                run = open_run(path)
                if run.finished is not None:
                    return run
        time.sleep(0.1)
    raise RecordError(f"no run came to its end in {folder}", "Look at what the engine's process says.")


def wrong_with(run: Run, undisturbed: Run) -> list[str]:
    """What the file of a run whose window was killed should not say."""
    found = [] if run.status == "complete" else [f"status {run.status}"]
    if run.light_off is None or not run.light_off.dark:
        found.append("the light was not read back as off")
    return found + [line for line in differences(run.path, undisturbed.path) if not line.startswith(TIMES)]


def kill_windows(kills: int = KILLS, images: int = IMAGES, seed: int = SEED) -> dict[str, Any]:
    """Kill after kill; ``moments``: in which part of a run they fell."""
    rng = np.random.default_rng(seed)
    wrong: list[dict[str, Any]] = []
    moments: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        desk = Path(name)
        whole_s, _ = watch(desk / "undisturbed", images, None)
        undisturbed = finished(desk / "undisturbed")
        for number in range(kills):
            kill_s = float(rng.uniform(0, whole_s))
            _, last = watch(desk / str(number), images, kill_s)
            moments[
                "before the first image" if last in {"started", "0"} else "later" if last == "ended" else "amid"
            ] += 1
            found = wrong_with(finished(desk / str(number)), undisturbed)
            if found:
                wrong.append({"number": number, "after_s": round(kill_s, 3), "last": last, "found": found})
    return {
        "passed": not wrong,
        "kills": kills,
        "images": images,
        "undisturbed_s": round(whole_s, 2),
        "moments": dict(moments),
        "wrong": wrong,
    }


def main() -> int:
    """Kill, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    stamp = datetime.now(UTC)
    found = kill_windows(chosen.kills, chosen.images, chosen.seed)
    result = {"soak": "gui-kills", "date": stamp.isoformat(timespec="seconds"), "labctl": __version__, **found}
    text = json.dumps(result, indent=1)
    print(text)
    if chosen.out is not None:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / f"soak-gui-kills-{stamp:%Y%m%dT%H%M%SZ}.json").write_text(text + "\n", encoding="utf-8")
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
