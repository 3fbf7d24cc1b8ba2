"""A convolutional network, trained, run and held against a second implementation: a part of :mod:`soak`."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from products import chi_square, listening, residuals
from whole_runs import mnist

from labctl.datasets import load_dataset
from labctl.engine import RunControl
from labctl.events import EventBus
from labctl.experiment import Experiment, prepare_experiment
from labctl.models import save_network
from labctl.models.training import ConvolutionRecipe, Origin, Recipe, WorkingPoint, train_network
from labctl.protocol.rowmodel import AmplifierTap, snr_squared
from labctl.sampler import open_sampler
from labctl.session import run_experiment
from labctl.summary import summary

LENET_IMAGES, LENET_DRAWS = 30, 100
LENET_GAIN, LENET_PHOTONS, LENET_TRAINED_PHOTONS = 2.0, 0.2, 0.5
LENET_TRAINING = 30_000
LENET = Recipe(
    "mnist",
    hidden=84,
    epochs=10,
    batch=50,
    learning_rate=0.01,
    momentum=0.9,
    weight_decay=0.0,
    shift_pixels=0,
    input_noise=0.0,
    stored="float32",
    working_point=WorkingPoint(LENET_GAIN, LENET_TRAINED_PHOTONS),
    convolutions=(ConvolutionRecipe(6, 5, 2), ConvolutionRecipe(16, 5, 2)),
)


def right_of(experiment: Experiment, mean_photons: float) -> tuple[float, float]:
    """Images that should be right by the statistics alone, and the standard deviation of the count."""
    sampler, labels = open_sampler(experiment, "statistics"), experiment.dataset.labels
    draws = [sampler.sample(LENET_GAIN, mean_photons, seed).predictions == labels for seed in range(LENET_DRAWS)]
    chance = np.mean(draws, axis=0)
    return float(chance.sum()), float(np.sqrt(np.sum(chance * (1 - chance)) * (1 + 1 / LENET_DRAWS)))


def lenet(data: str | None, processes: int) -> dict[str, Any]:
    """A convolutional network at full size, through the drivers."""
    folder = data or os.environ.get("LABCTL_MNIST")
    training, test = (load_dataset("mnist", split, Path(folder) if folder else None) for split in ("train", "test"))
    start = time.perf_counter()
    network = train_network(Origin("lenet", "benchmarks/lenet.py", 1), LENET, training.first(LENET_TRAINING), test)
    trained = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "lenet.safetensors"
        save_network(network, path)
        config = mnist(data, model=str(path), gain=LENET_GAIN, mean_photons=LENET_PHOTONS, images=LENET_IMAGES)
        experiment = prepare_experiment(config)
        start = time.perf_counter()
        with listening() as heard:
            outcome = run_experiment(experiment, EventBus(), RunControl(), None)
        seconds = time.perf_counter() - start
    if outcome.error is not None or outcome.started is None:
        raise outcome.error or RuntimeError("the run did not start")
    snr = snr_squared(AmplifierTap(LENET_GAIN), LENET_PHOTONS)
    layers = [chi_square(each) for each in residuals(network, experiment.dataset.images, heard, snr)]
    predicted, spread = right_of(experiment, LENET_PHOTONS)
    found = summary(outcome.finished, outcome.started, None)
    right, noise = round(found["accuracy"] * LENET_IMAGES), found["excess_noise"]
    passed = (
        found["verdict"] == "accepted"
        and abs(right - predicted) <= 4.5 * max(spread, 1 / LENET_DRAWS)
        and abs(noise["value"] - noise["expected"]) <= 4.5 / 1.96 * (noise["high"] - noise["low"]) / 2
        and all(layer["probability"] > 1e-5 for layer in layers)
    )
    return {
        "passed": passed,
        "products_by_layer": layers,
        "training_seconds": round(trained, 1),
        "seconds_per_image": round(seconds / LENET_IMAGES, 2),
        "shots_per_image": sum(layer.transmissions for layer in network.layers),
        "weights": [list(shape) for shape in network.layer_shapes],
        "clean_accuracy_test_set": network.clean_accuracy,
        "right": right,
        "right_predicted": round(predicted, 3),
        "right_predicted_deviation": round(spread, 3),
        "right_predicted_with_half_and_twice_the_light": [
            round(right_of(experiment, factor * LENET_PHOTONS)[0], 3) for factor in (0.5, 2)
        ],
        "summary": found,
    }
