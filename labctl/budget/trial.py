"""One layer through a simulated bench with a chosen set of faults: noise at client and server, image by image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.budget.sources import toml_text
from labctl.config import load_bench
from labctl.engine import RunControl
from labctl.errors import ConfigError
from labctl.events import EventBus, ImageFinished, LayerMeasured, RunStarted
from labctl.experiment import Experiment
from labctl.models import Network
from labctl.protocol.encoding import weight_rms
from labctl.protocol.estimation import ResidualSums, estimate
from labctl.protocol.inference import Readout
from labctl.protocol.layers import Dense
from labctl.session import run_experiment

Double = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trial:
    """``client``, ``server``: noise variance in SNU of the party's receiver, one number an image, shape (images,).

    ``hours``: of the lab's clock at the end of each image.
    """

    client: Double
    server: Double
    hours: Double


def first_layer(experiment: Experiment) -> Experiment:
    """The same with the network's first layer alone, nobody deviating, no alarm, and no technical noise allowed.

    Raises ConfigError for a network whose first layer is no plain matrix.
    """
    network = experiment.network
    if not isinstance(network.layers[0], Dense) or network.scales is not None:
        raise ConfigError(
            f"network {network.name!r}: its first layer has biases or is a convolution",
            "Take a network whose first layer is a plain matrix, such as 'digits'.",
        )
    alone = Network(f"{network.name}, first layer", network.weights[:1])
    run = experiment.run.honest().model_copy(update={"on_alarm": "continue"})
    quiet = experiment.bench.with_technical(0.0, 0.0)
    return replace(experiment, network=alone, run=run, bench=quiet, trial=True)


def trial(experiment: Experiment, tables: Mapping[str, Any]) -> Trial:
    """Send the experiment's one layer, on a bench of these tables. All noise follows from the run's seed.

    The client's noise is taken about its number times one factor, that of all images; the server's about each image's
    own. Raises what goes wrong on the bench.
    """
    with TemporaryDirectory(prefix="labctl-budget-") as folder:
        path = Path(folder) / "budget.bench.toml"
        path.write_text(toml_text(tables), encoding="utf-8")
        here = replace(experiment, bench_path=path, bench=load_bench(path).with_technical(0.0, 0.0))
        sums, images, start_s = _run(here)
    receiver = here.agreement().receiver
    server = np.array([estimate(each, receiver).noise for each in sums])
    hours = np.array([start_s + each.time_s for each in images]) / 3600
    return Trial(_client_noise(here, [each.scores for each in images]), server, hours)


def _run(experiment: Experiment) -> tuple[list[ResidualSums], list[ImageFinished], float]:
    """Sums and numbers of each image, and the lab's clock when the light was on."""
    started: list[RunStarted] = []
    sums: list[ResidualSums] = []
    images: list[ImageFinished] = []
    bus = EventBus()
    bus.subscribe(
        LayerMeasured,
        lambda event: sums.append(ResidualSums(event.samples, event.sum_ss, event.sum_sr, event.sum_rr)),
    )
    bus.subscribe(ImageFinished, images.append)
    bus.subscribe(RunStarted, started.append)
    outcome = run_experiment(experiment, bus, RunControl(), None)
    if outcome.error is not None:
        raise outcome.error
    return sums, images, started[0].clock_s


def _client_noise(experiment: Experiment, scores: list[tuple[float, ...]]) -> Double:
    """Mean square of what the client's samples have beside the product, image by image."""
    run, role = experiment.run, experiment.bench.client_receiver
    readout = Readout(run.gain, run.mean_photons, experiment.transmittance_in, role.efficiency)
    weights = experiment.network.weights[0].astype(np.float64)
    images = experiment.dataset.images.reshape(experiment.images, -1).astype(np.float64)
    norms = np.linalg.norm(images, axis=1, keepdims=True)
    per_product = math.sqrt(readout.efficiency * (run.gain - 1) * 2 * run.mean_photons * readout.transmittance_in)
    samples = np.array(scores) * per_product  # a network without biases needs no norms
    products = images / norms @ weights.T / weight_rms(experiment.network.weights[0]) * per_product
    factor = float(np.sum(samples * products) / np.sum(products**2))
    return np.asarray(np.mean((samples - factor * products) ** 2, axis=1))
