"""The accuracy on MNIST of a telecom bench that was just calibrated, beside that of the ideal bench on the same images.

    python benchmarks/accuracy_calibrated.py [--images 10000] [--seed 1] [--data DIR] [--out FOLDER]

The telecom bench's true values are drawn as in blind.py. It is calibrated through its drivers, its own noise is
measured with this very run, and then both benches infer the same images at G = 2, mu = 2 with the shipped noise-aware
network, whose pixels and hidden units are put in order of their light, the bright ones last (labctl.models.ordering):
the loop's loss and phase spoil what comes first. Of the difference of the two accuracies a 95 % interval is given, by
the images that only one of the two got right. Passed where all of it is within 1 % and neither run raised the alarm.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
from blind import drawn_bench
from runs_after import run_of

from labctl import __version__
from labctl.baseline import measure_baseline
from labctl.calibrate import calibrate
from labctl.calibration.force import store_of
from labctl.config import load_bench
from labctl.datasets import Dataset, load_dataset
from labctl.events import EventBus, ImageFinished
from labctl.experiment import load_experiment
from labctl.models import load_network, save_network
from labctl.models.ordering import bright_last
from labctl.shipped import bench_path

MODEL = "mnist-noise-aware"
WITHIN = 0.01
#: Images of the training split that the order is taken from, and of the baseline.
ORDER_IMAGES, BASELINE_IMAGES = 2000, 40
Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]
RUN = """
dataset = "ordered.npz"
model = "ordered.safetensors"
gain = {gain}
mean_photons = {photons}
on_alarm = "stop"
"""
GAIN, PHOTONS = 2.0, 2.0


def write_run(folder: Path, model: str, train: Dataset, test: Dataset, photons: float) -> Path:
    """RUN.toml with the network and the images in order, all in ``folder``."""
    network, order = bright_last(load_network(model), train.images[:ORDER_IMAGES])
    save_network(network, folder / "ordered.safetensors")
    np.savez(folder / "ordered.npz", images=test.images[:, order], labels=test.labels, classes=test.classes)
    path = folder / "ordered.toml"
    path.write_text(RUN.format(gain=GAIN, photons=photons), encoding="utf-8")
    return path


def calibrated_bench(folder: Path, run: Path, seed: int) -> tuple[Path, list[float]]:
    """A drawn telecom bench, calibrated for the run: its file, and the technical noise found with its error."""
    text, _ = drawn_bench(bench_path("telecom").read_text(encoding="utf-8"), np.random.default_rng([seed, 0xB11D]))
    path = folder / "drawn.bench.toml"
    path.write_text(f'{text}\n[calibration]\nstore = "results"\n', encoding="utf-8")
    config = load_bench(path)
    store = store_of(config, path)
    found = calibrate(path, config, store, seed=seed)
    if found.error is not None:
        raise found.error
    failed = {result.procedure: result.message for result in found.results if not result.passed}
    baseline = measure_baseline(path, store, str(run), BASELINE_IMAGES, seed=seed + 1000)
    failed |= {} if baseline.passed else {"baseline": baseline.message}
    if failed:
        raise RuntimeError(f"not calibrated: {failed}")
    return path, [baseline.quantities[0].value, baseline.quantities[0].standard_error]


def inferred(run: Path, bench: str, images: int, seed: int) -> tuple[Flags, dict[str, Any]]:
    """Which images were right, and how the run went."""
    right: list[bool] = []
    bus = EventBus()
    bus.subscribe(ImageFinished, lambda event: right.append(event.prediction == event.label))
    start = time.perf_counter()
    outcome = run_of(load_experiment(str(run), bench=bench, images=images, seed=seed), bus)
    told = {
        "accuracy": outcome.accuracy,
        "verdict": outcome.verdict,
        "images": len(right),
        "images_per_s": round(len(right) / (time.perf_counter() - start), 2),
    }
    return np.array(right), told


def compared(one: Flags, other: Flags) -> dict[str, Any]:
    """Accuracy of ``one`` less that of ``other``, with its 95 % interval from what only one got right."""
    count = len(one)
    gained, lost = int(np.sum(one & ~other)), int(np.sum(other & ~one))
    difference = (gained - lost) / count
    reach = 1.96 * math.sqrt(max(gained + lost - (gained - lost) ** 2 / count, 1)) / count
    return {
        "difference": round(difference, 5),
        "interval": [round(difference - reach, 5), round(difference + reach, 5)],
        "only_telecom_right": gained,
        "only_ideal_right": lost,
    }


def compare(model: str, train: Dataset, test: Dataset, seed: int, photons: float = PHOTONS) -> dict[str, Any]:
    """Both benches over all of ``test``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = write_run(folder, model, train, test, photons)
        bench, technical = calibrated_bench(folder, run, seed)
        telecom, of_telecom = inferred(run, str(bench), len(test), seed)
        ideal, of_ideal = inferred(run, "ideal", len(test), seed)
    found = {"telecom": of_telecom, "ideal": of_ideal, "technical_excess": technical}
    if len(telecom) != len(ideal):
        return {"passed": False, **found}
    found |= compared(telecom, ideal)
    accepted = of_telecom["verdict"] == of_ideal["verdict"] == "accepted"
    low, high = found["interval"]
    return {"passed": accepted and low >= -WITHIN and high <= WITHIN, **found}


def on_mnist(data: str | None, images: int, seed: int) -> dict[str, Any]:
    """The benchmark: the shipped noise-aware network over the first ``images`` of the test split."""
    folder = None if data is None else Path(data)
    train, test = (load_dataset("mnist", split, folder) for split in ("train", "test"))
    return {"model": MODEL, "test_images": images, **compare(MODEL, train, test.first(images), seed)}


def main() -> int:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    found = on_mnist(options.data, options.images, options.seed)
    now = datetime.now(UTC)
    told = {"date": now.isoformat(timespec="seconds"), "labctl": __version__, "machine": platform.platform()}
    text = json.dumps(told | {"gain": GAIN, "mean_photons": PHOTONS, "seed": options.seed} | found, indent=1)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"accuracy-calibrated-{now:%Y%m%dT%H%M%SZ}.json").write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
