"""The simulated optics' kernels beside what anybody would write first, interleaved in one process on one core.

    python benchmarks/kernels.py [--repeats 15] [--images 10000] [--data DIR] [--seconds 0.15] [--out FOLDER]

Networks are 784-784-10 (the shipped ``mnist`` run, G = 2, μ = 2), images MNIST's. Four groups, each with its baselines:

* ``accuracy``: one point of a sweep, all images once with fresh noise. Baselines: loops over batches of 64 that
  normalise, multiply in float32 and add Gaussian noise layer by layer, in numpy and, where torch is installed, through
  its DataLoader. Ours with the first layer's products kept from point to point, and with all worked out anew.
* ``explicit``: every returned quadrature, the correlated measured sample and the row powers of one image. Baseline:
  modes as complex128, drawn and replaced without blocks. Ours by each way to draw noise, on one process and on two.
* ``statistics``: a 784 x 784 layer's numbers from sufficient statistics, products given, sums of images and of rows.
* ``bare``: a float32 matrix product of 64 images, and as many random numbers as an image of explicit modes needs.

Each repeat runs every contestant of a group in turn for a moment, and ratios are taken within a repeat, so that the
machine's ups and downs cancel. Rates are per second of processor time of this thread; for two processes, by the
wall. One BLAS thread. Prints one JSON object, ratios first.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
from keeping import RESULTS, keep, made_by
from throughput import Kernel, spread

from labctl.experiment import Experiment, load_experiment
from labctl.models.noise import NoisySweep
from labctl.normals import fill
from labctl.protocol.encoding import pack_data, pack_rows
from labctl.protocol.rowmodel import AmplifierTap, snr_squared
from sim_backends.quick_sums import image_sums, row_sums
from sim_backends.statistics import open_light

BATCH = 64
#: A call does this many units of work and returns nothing.
Contestant = tuple[int, Callable[[], object]]


def rng(seed: int = 1) -> np.random.Generator:
    """As the twin has them."""
    return np.random.Generator(np.random.SFC64(seed))


# --- one point of a sweep ---------------------------------------------------------------------------------------------


def textbook(experiment: Experiment, snr: float) -> Callable[[], float]:
    """The plain loop: batches of 64, float32, one matrix product and one draw a layer."""
    weights = [w.astype(np.float32) / np.sqrt(np.mean(w**2, dtype=np.float32)) for w in experiment.network.weights]
    images, labels = experiment.dataset.images, experiment.dataset.labels
    sigma, generator = np.float32(snr**-0.5), rng()

    def run() -> float:
        right = 0
        for start in range(0, len(images), BATCH):
            values = images[start : start + BATCH]
            for index, matrix in enumerate(weights):
                values = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), np.float32(1e-12))
                values = values @ matrix.T
                values += sigma * generator.standard_normal(values.shape, dtype=np.float32)
                if index < len(weights) - 1:
                    values = np.maximum(values, 0)
            right += int(np.sum(values.argmax(axis=1) == labels[start : start + BATCH]))
        return right / len(images)

    return run


def torch_loop(experiment: Experiment, snr: float) -> Callable[[], float]:
    """The same through PyTorch's DataLoader."""
    import torch

    torch.set_num_threads(1)
    weights = [torch.from_numpy(w / np.sqrt(np.mean(w**2))) for w in experiment.network.weights]
    pairs = torch.utils.data.TensorDataset(
        torch.from_numpy(experiment.dataset.images), torch.from_numpy(experiment.dataset.labels)
    )
    loader = torch.utils.data.DataLoader(pairs, batch_size=BATCH)

    def run() -> float:
        right = 0
        with torch.no_grad():
            for images, labels in loader:
                values = images
                for index, matrix in enumerate(weights):
                    values = torch.nn.functional.normalize(values, dim=1) @ matrix.T
                    values = values + snr**-0.5 * torch.randn_like(values)
                    values = torch.relu(values) if index < len(weights) - 1 else values
                right += int((values.argmax(dim=1) == labels).sum())
        return right / len(pairs)

    return run


def accuracy_group(experiment: Experiment) -> tuple[dict[str, Contestant], dict[str, float]]:
    """Contestants of one point, and the accuracy that each finds."""
    snr = snr_squared(AmplifierTap(experiment.run.gain), experiment.run.mean_photons)
    sweep, generator = NoisySweep(experiment.network, experiment.dataset), rng(2)
    ways: dict[str, Callable[[], float]] = {
        "plain_loop": textbook(experiment, snr),
        "reused": lambda: sweep.accuracy(snr, generator).value,
        "fresh": lambda: NoisySweep(experiment.network, experiment.dataset).accuracy(snr, generator).value,
    }
    if find_spec("torch") is not None:
        ways["torch_loop"] = torch_loop(experiment, snr)
    return {name: (experiment.images, way) for name, way in ways.items()}, {name: way() for name, way in ways.items()}


# --- every mode -------------------------------------------------------------------------------------------------------


class NaiveModes:
    """Every mode as complex128, without a thought for memory."""

    def __init__(self, experiment: Experiment) -> None:
        run = experiment.run
        self._gain, self._generator = run.gain, rng()
        self._launched = [2 * pack_rows(w, run.mean_photons, np.complex128) for w in experiment.network.weights]
        self._scale = 1 / np.sqrt((run.gain - 1) * 2 * run.mean_photons)
        self.power = 0.0

    def infer(self, image: np.ndarray) -> np.ndarray:
        """Class scores of one image."""
        values, gain = image.astype(float), self._gain
        for launched in self._launched:
            mode = pack_data(values).z
            own, added, tapped, vacuum = self._white(4, len(launched))
            amplified = np.sqrt(gain) * own + np.sqrt(gain - 1) * added
            measured = np.sqrt(1 - 1 / gain) * amplified - np.sqrt(1 / gain) * tapped
            returned = np.sqrt(1 / gain) * amplified + np.sqrt(1 - 1 / gain) * tapped
            noise = self._white(*launched.shape)
            in_mode = np.sqrt(0.5) * (returned + vacuum)
            noise = noise + np.outer(in_mode - noise @ mode.conj(), mode)
            plane = np.sqrt(0.5) * launched + noise
            self.power += float(np.sum(np.abs(plane) ** 2, axis=1).sum())
            values = np.maximum((np.sqrt(gain - 1) * (launched @ mode.conj()) + measured).real * self._scale, 0)
        return values

    def _white(self, *shape: int) -> np.ndarray:
        return self._generator.standard_normal(shape) + 1j * self._generator.standard_normal(shape)


def _each(kernel: Kernel | NaiveModes, images: np.ndarray) -> Callable[[], object]:
    return lambda: [kernel.infer(image) for image in images]


def explicit_group(experiment: Experiment) -> dict[str, Contestant]:
    """Images through every mode, by each way to draw noise."""
    images = experiment.dataset.images[:8]
    found: dict[str, Contestant] = {"naive_complex128": (2, _each(NaiveModes(experiment), images[:2]))}
    methods = ["normal", "table"] + (["compiled"] if find_spec("numba") is not None else [])
    for method in methods:
        found[method] = (len(images), _each(Kernel(experiment, guards=False, noise=method), images))
    return found


_in_process: dict[str, Callable[[], object]] = {}


def _start(data: Path | None, run: str) -> None:
    experiment = load_experiment(run, data=data, images=64)
    _in_process["table"] = _each(Kernel(experiment, guards=False, noise="table"), experiment.dataset.images)
    _in_process["table"]()


def _work(times: int) -> float:
    """Images per second of processor time."""
    start = time.process_time()
    for _ in range(times):
        _in_process["table"]()
    return times * 64 / (time.process_time() - start)


def two_processes(data: Path | None, run: str, repeats: int, times: int = 8) -> dict[str, dict[str, Any]]:
    """Images per second of two processes that draw from the table: by the wall, and both rates by their processor time
    together, which is what the machine gives when nobody else uses it.
    """
    by_wall, by_processor = [], []
    with ProcessPoolExecutor(2, get_context("spawn"), _start, (data, run)) as pool:
        list(pool.map(_work, [1, 1]))
        for _ in range(repeats):
            start = time.perf_counter()
            own = list(pool.map(_work, [times, times]))
            by_wall.append(2 * times * 64 / (time.perf_counter() - start))
            by_processor.append(sum(own))
    return {"images_per_s": spread(by_wall), "images_per_cpu_s": spread(by_processor)}


# --- sufficient statistics, and bare work -----------------------------------------------------------------------------


def statistics_group(experiment: Experiment, vectors: int = 64) -> dict[str, Contestant]:
    """The largest layer's sums for many data vectors whose products are known."""
    weights = experiment.network.weights[0]
    rows, modes = weights.shape[0], (weights.shape[1] + 1) // 2
    factors = open_light(experiment.bench_path, experiment.run.gain, 1 / experiment.run.gain).factors()
    x, p = np.float32((2 * experiment.run.mean_photons) ** 0.5) * rng(3).standard_normal((2, vectors, rows), np.float32)
    rest = np.full((vectors, rows), 4 * modes * experiment.run.mean_photons, np.float32)
    elsewhere = (rest.sum(axis=1, dtype=np.float64), 2 * rows * (modes - 1))
    generator = rng(4)
    return {
        "sums_of_images": (vectors, lambda: image_sums(x, p, elsewhere, factors, generator)),
        "sums_of_rows": (vectors, lambda: row_sums(x, p, rest, 2 * (modes - 1), factors, generator)),
    }


def bare_group(experiment: Experiment) -> dict[str, Contestant]:
    """Images per second if nothing else were to be done."""
    weights = experiment.network.weights
    images = experiment.dataset.images[:BATCH]
    numbers = np.empty(sum(2 * len(w) * ((w.shape[1] + 1) // 2) for w in weights), np.float32)
    generator = rng(5)

    def products() -> None:
        values = images
        for matrix in weights:
            values = values @ matrix.T

    return {
        "sgemm": (len(images), products),
        "standard_normal_float32": (1, lambda: generator.standard_normal(dtype=np.float32, out=numbers)),
        "table_normals": (1, lambda: fill(generator, numbers, "table")),
        "random_words_16_bit": (1, lambda: generator.bit_generator.random_raw(-(-numbers.size // 4))),
    }


# --- timing -----------------------------------------------------------------------------------------------------------


def interleaved(group: Mapping[str, Contestant], repeats: int, seconds: float) -> dict[str, list[float]]:
    """Units of work per second of this thread's processor time, ``repeats`` of each, one contestant after the other."""
    rates: dict[str, list[float]] = {name: [] for name in group}
    calls = {}
    for name, (_, work) in group.items():
        work()
        start = time.thread_time()
        work()
        calls[name] = max(1, round(seconds / max(time.thread_time() - start, 1e-6)))
    for _ in range(repeats):
        for name, (units, work) in group.items():
            start = time.thread_time()
            for _ in range(calls[name]):
                work()
            rates[name].append(calls[name] * units / (time.thread_time() - start))
    return rates


def ratio(rates: Mapping[str, list[float]], name: str, to: str) -> dict[str, Any]:
    """Repeat by repeat."""
    return spread([one / other for one, other in zip(rates[name], rates[to], strict=True)])


#: Ratios to quote: contestant, baseline.
RATIOS = {
    "accuracy": [("reused", "plain_loop"), ("fresh", "plain_loop"), ("reused", "torch_loop"), ("fresh", "torch_loop")],
    "explicit": [("table", "normal"), ("compiled", "normal"), ("normal", "naive_complex128"),
                 ("table", "naive_complex128"), ("compiled", "naive_complex128")],
    "statistics": [("sums_of_images", "sums_of_rows")],
    "bare": [("table_normals", "standard_normal_float32")],
}  # fmt: skip


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=0.15, help="a contestant's in a repeat; a call at least")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--run", default="mnist")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    experiment = load_experiment(arguments.run, data=arguments.data, images=arguments.images)
    result = measure(experiment, arguments)
    keep(result, arguments.out)


def measure(experiment: Experiment, arguments: argparse.Namespace) -> dict[str, Any]:
    """All groups, each repeat by repeat."""
    accuracy, found = accuracy_group(experiment)
    groups = {
        "accuracy": accuracy,
        "explicit": explicit_group(experiment),
        "statistics": statistics_group(experiment),
        "bare": bare_group(experiment),
    }
    rates = {name: interleaved(group, arguments.repeats, arguments.seconds) for name, group in groups.items()}
    both = two_processes(arguments.data, arguments.run, arguments.repeats)
    return {
        **made_by("kernels"),
        "run": arguments.run,
        "images": experiment.images,
        "repeats": arguments.repeats,
        "ratios": {
            name: {
                f"{ours}_over_{to}": ratio(rates[name], ours, to)
                for ours, to in pairs
                if ours in rates[name] and to in rates[name]
            }
            for name, pairs in RATIOS.items()
        },
        "accuracy_found": {name: round(value, 4) for name, value in found.items()},
        "images_per_cpu_s": {name: {key: spread(each) for key, each in group.items()} for name, group in rates.items()},
        "two_processes": both,
    }


if __name__ == "__main__":
    main()
