"""Full-path simulated throughput beside the bare physics kernel, on the same images, interleaved in one process.

    python benchmarks/throughput.py [--images 1000] [--chunk 25] [--data DIR] [--out FOLDER]

Kernel: per image and layer, every returned quadrature, the correlated measured sample and the row powers (explicit
modes, no instruments, no estimates, no files), on one core; once for the data's modes alone, and once on the same work
as the full path, whose rows are padded with vacuum guard bins to a length that the generators can play. Full path: the
shipped ``mnist`` run with everything on: sequencer, drivers, VISA library, simulated instruments and twin, estimates,
sequential test, events, run file. It stands still after every ``--chunk`` images while the kernels do the same images,
so that each ratio is taken within a second, and the machine's ups and downs cancel. It runs on one thread like the
kernel, unless ``--threads 2`` lets its twin draw the server's two quadratures side by side (a ratio to the one-core
kernel is then no longer between equals). One BLAS thread. Prints one JSON object; the figures to quote are the ratios.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
from keeping import RESULTS, keep, made_by

from labctl.engine import RunControl
from labctl.events import EventBus, ImageFinished, StateChanged
from labctl.experiment import Experiment, load_experiment
from labctl.normals import Method
from labctl.optics.drive import RowLayout, Timing
from labctl.protocol.encoding import modes_per_row, pack_data, pack_rows
from labctl.session import run_experiment
from sim_backends import compiled
from sim_backends.physics import (
    amplify_and_tap,
    basis_of,
    new_plane,
    plane_of,
    project,
    received_plane,
    received_quickly,
    vacuum_plane,
)
from sim_backends.world import World

#: Of the 14-bit generators of the shipped benches: rows are padded to a legal segment length.
GRANULARITY, MIN_LENGTH = 48, 240


class Kernel:
    """The bare physics of one run: what no implementation of explicit mode sampling can do without."""

    def __init__(self, experiment: Experiment, *, guards: bool, noise: Method = "normal") -> None:
        run = experiment.run
        self._noise: Method = noise
        self._gain = run.gain
        timing = Timing(experiment.bench.sample_rate, GRANULARITY, MIN_LENGTH)
        modes = [modes_per_row(w.shape[1]) for w in experiment.network.weights]
        self._layouts = [timing.layout(n) if guards else RowLayout(n, n) for n in modes]
        launched = [
            plane_of(_padded(pack_rows(w, run.mean_photons), layout.guards), len(w))
            for w, layout in zip(experiment.network.weights, self._layouts, strict=True)
        ]
        self._means = [plane * np.float32(np.sqrt(0.5)) for plane in launched]
        self._buffers = [new_plane(*plane.shape[1:]) for plane in launched]
        self._scale = 1 / np.sqrt((run.gain - 1) * 2 * run.mean_photons)
        self._generator = np.random.Generator(np.random.SFC64(run.seed))
        self.power = 0.0

    def infer(self, image: np.ndarray) -> np.ndarray:
        """Class scores of one image; the returned light's power is added up row by row."""
        values = image.astype(float)
        for layout, mean, buffer in zip(self._layouts, self._means, self._buffers, strict=True):
            basis = basis_of(_padded(pack_data(values).z, layout.guards))
            rows = mean.shape[1]
            noise = amplify_and_tap(self._generator, rows, self._gain, 1.0, 1 / self._gain)
            measured = np.sqrt(2 * (self._gain - 1)) * project(mean, basis)[:, 0] + noise.measured[:, 0]
            vacuum = self._generator.standard_normal((rows, 2))
            in_mode = np.sqrt(0.5) * (noise.returned + vacuum)
            self.power += float(self._row_powers(buffer, mean, basis, in_mode).sum(dtype=np.float64))
            values = np.maximum(measured * self._scale, 0)
        return values

    def _row_powers(self, buffer: np.ndarray, mean: np.ndarray, basis: np.ndarray, in_mode: np.ndarray) -> np.ndarray:
        """Σ r² of every received row, by quadrature; the plane itself is then in the buffer."""
        generators = (self._generator, self._generator)
        if self._noise == "compiled":
            return compiled.receive(generators, buffer, mean, basis, in_mode, 1.0)
        vacuum_plane(generators, buffer, 1, self._noise)
        receive = received_plane if self._noise == "normal" else received_quickly
        plane = receive(buffer, mean, basis, in_mode, 1.0)
        return np.vecdot(plane, plane)


def _padded(amplitudes: np.ndarray, guards: int) -> np.ndarray:
    """With vacuum guard bins before the data of each row."""
    if not guards:
        return amplitudes
    widths = [(0, 0)] * (amplitudes.ndim - 1) + [(guards, 0)]
    return np.pad(amplitudes.astype(complex), widths)


@dataclass
class Stopwatch:
    """Times the full path chunk by chunk, and after each chunk every kernel on the same images."""

    experiment: Experiment
    kernels: Mapping[str, Kernel]
    chunk: int
    rates: dict[str, list[float]]
    started_s: float = 0.0

    def attend(self, bus: EventBus) -> None:
        """Opening the bench and loading waveforms is not counted."""
        bus.subscribe(StateChanged, self._state)
        bus.subscribe(ImageFinished, self._image)

    def _state(self, event: StateChanged) -> None:
        if event.state == "running":
            self.started_s = time.perf_counter()

    def _image(self, event: ImageFinished) -> None:
        done = event.image + 1
        if done % self.chunk:
            return
        self.rates["full"].append(self.chunk / (time.perf_counter() - self.started_s))
        for name, kernel in self.kernels.items():
            start_s = time.perf_counter()
            for image in self.experiment.dataset.images[done - self.chunk : done]:
                kernel.infer(image)
            self.rates[name].append(self.chunk / (time.perf_counter() - start_s))
        self.started_s = time.perf_counter()


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--chunk", type=int, default=25, help="images timed together")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--run", default="mnist")
    parser.add_argument("--threads", type=int, choices=(1, 2), default=1, help="of the twin, in the full path")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    World.threads = min(arguments.threads, os.cpu_count() or 1)
    experiment = load_experiment(arguments.run, data=arguments.data, images=arguments.images)
    kernels = {"kernel": Kernel(experiment, guards=False), "kernel_with_guards": Kernel(experiment, guards=True)}
    watch = Stopwatch(experiment, kernels, arguments.chunk, {name: [] for name in (*kernels, "full")})
    bus = EventBus()
    watch.attend(bus)
    with tempfile.TemporaryDirectory() as folder:
        outcome = run_experiment(experiment, bus, RunControl(), Path(folder))
    if outcome.error is not None:
        raise outcome.error
    rates = {name: values[1:] for name, values in watch.rates.items()}  # the first chunk warms up
    ratios = {
        f"full_over_{name}": spread([full / bare for full, bare in zip(rates["full"], rates[name], strict=True)])
        for name in kernels
    }
    result = {
        **made_by("throughput"),
        "run": arguments.run,
        "images": experiment.images,
        "chunks": len(rates["full"]),
        "images_per_chunk": arguments.chunk,
        "full_threads": World.threads,
        **ratios,
        **{f"{name}_images_per_s": spread(values) for name, values in rates.items()},
    }
    keep(result, arguments.out)


def spread(values: list[float]) -> dict[str, float | list[float]]:
    """Median, quartiles and extremes."""
    low, _, high = statistics.quantiles(values, n=4)
    return {
        "median": round(statistics.median(values), 4),
        "quartiles": [round(value, 4) for value in (low, high)],
        "min": round(min(values), 4),
        "max": round(max(values), 4),
    }


if __name__ == "__main__":
    main()
