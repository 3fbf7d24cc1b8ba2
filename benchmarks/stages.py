"""Where the full path's time goes: seconds of this thread's processor time per image, stage by stage.

    python benchmarks/stages.py [--images 200] [--noise normal] [--data DIR] [--out FOLDER]

The shipped ``mnist`` run with everything on, drivers to file, on one thread. Stages are functions that are called a few
times an image; each is charged what it spends itself, without the stages that it calls. What none claims is ``rest``:
sequencer, events, what is handed to the process that writes the file. The first images warm up and do not count.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from keeping import RESULTS, keep, made_by

from labctl.engine import RunControl
from labctl.events import EventBus, ImageFinished
from labctl.experiment import load_experiment
from labctl.session import run_experiment
from labctl.shipped import bench_path
from sim_backends.world import World

#: Stage -> functions, outermost first; (module, name) is looked up where it is called.
STAGES: dict[str, tuple[tuple[str, str], ...]] = {
    "twin: noise": (("sim_backends.shot", "vacuum_plane"), ("sim_backends.compiled", "receive")),
    "twin: mode replaced, means added": (
        ("sim_backends.shot", "received_plane"),
        ("sim_backends.shot", "received_quickly"),
    ),
    "twin: client's mode and tap": (("sim_backends.shot:Shot", "__init__"),),
    "twin: light launched, client's optics": (
        ("sim_backends.circuit:Circuit", "launch"),
        ("sim_backends.circuit:Circuit", "client"),
    ),
    "twin: records": (("sim_backends.world:World", "acquire"),),
    "digitizer: codes": (("sim_backends.keysight_infiniivision_acquisition", "quantise"),),
    "digitizer: words sent": (("sim_backends.keysight_infiniivision_record:Readout", "payload"),),
    "simulated instruments: commands": (("sim_backends.unit:Connection", "receive"),),
    "drivers: digitizers": (
        ("drivers.oscilloscope:Oscilloscope", "read"),
        ("drivers.keysight_infiniivision:InfiniiVision", "arm"),
        ("drivers.keysight_infiniivision:InfiniiVision", "configure"),
    ),
    "drivers: generators": (
        ("drivers.keysight_m8190a:M8190A", "load_and_arm"),
        ("drivers.keysight_m8190a:M8190A", "play"),
    ),
    "client: drives of the unitary": (("labctl.parties.client:Client", "make_ready"),),
    "client: products": (("labctl.parties.client:Client", "measure"),),
    "server: sums": (("labctl.parties.server:Server", "measure"),),
    "server: sends": (("labctl.parties.server:Server", "send"),),
    "server: estimate and test": (("labctl.parties.verifier:Verifier", "add"),),
}
WARM_UP = 20


class Stopwatch:
    """Charges each stage for itself alone."""

    def __init__(self) -> None:
        self.spent_s: dict[str, float] = defaultdict(float)
        self._inner: list[float] = []

    def attend(self) -> None:
        """Put a watch round every function of the stages."""
        for stage, places in STAGES.items():
            for where, name in places:
                owner = resolve_name(where)
                setattr(owner, name, self._watched(stage, vars(owner)[name]))

    def _watched(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **more: Any) -> Any:
            self._inner.append(0.0)
            start = time.thread_time()
            try:
                return work(*arguments, **more)
            finally:
                took = time.thread_time() - start
                self.spent_s[stage] += took - self._inner.pop()
                if self._inner:
                    self._inner[-1] += took

        return watched


def own_bench(folder: Path, noise: str) -> Path:
    """The run's bench with another way to draw noise."""
    text = bench_path("ideal").read_text(encoding="utf-8")
    key = f'\n[world]\nnoise = "{noise}"\n'
    path = folder / "own.bench.toml"
    path.write_text(text.replace("\n[world]\n", key) if "\n[world]\n" in text else text + key, encoding="utf-8")
    return path


def measure(noise: str, images: int, data: Path | None) -> dict[str, Any]:
    """One run, after the first images."""
    World.threads = 1
    watch, marks, bus = Stopwatch(), [0.0, 0.0], EventBus()

    def finished(event: ImageFinished) -> None:
        if event.image == WARM_UP - 1:
            watch.spent_s.clear()
            marks[0] = time.thread_time()
        marks[1] = time.thread_time()

    with tempfile.TemporaryDirectory() as folder:
        bench = str(own_bench(Path(folder), noise))
        experiment = load_experiment("mnist", bench=bench, data=data, images=images + WARM_UP)
        watch.attend()
        bus.subscribe(ImageFinished, finished)
        outcome = run_experiment(experiment, bus, RunControl(), Path(folder))
    if outcome.error is not None:
        raise outcome.error
    total = (marks[1] - marks[0]) / images
    stages = {stage: watch.spent_s[stage] / images for stage in STAGES}
    stages["rest"] = total - sum(stages.values())
    return {
        **made_by("stages"),
        "noise": noise,
        "images": images,
        "share": {stage: round(spent / total, 4) for stage, spent in stages.items()},
        "ms_per_image": {stage: round(1e3 * spent, 4) for stage, spent in stages.items()},
        "ms_per_image_total": round(1e3 * total, 4),
    }


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--noise", choices=("normal", "table", "compiled"), default="normal")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    result = measure(arguments.noise, arguments.images, arguments.data)
    keep(result, arguments.out)


if __name__ == "__main__":
    main()
