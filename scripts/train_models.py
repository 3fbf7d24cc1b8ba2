"""Train the two shipped networks: ordinary training, numpy only, reproducible.

The same seed gives the same bytes on the same machine.

    python scripts/train_models.py digits --seed 1 --out digits.safetensors
    python scripts/train_models.py mnist --data FOLDER --seed 1 --out mnist.safetensors

Stochastic gradient descent with momentum on the cross-entropy of a ReLU network without biases, the
step falling with a cosine; weight decay, and small random shifts or noise on the pixels, against
over-fitting. The settings in RECIPES were chosen on parts held out of the training split, never on
the test split; ``--held-out`` leaves the last training images out and measures on those.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from labctl.datasets import Dataset, load_dataset
from labctl.errors import LabctlError
from labctl.models import Network, round_weights, save_network
from labctl.models.storage import StoredType

Matrix = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_NOISE_SETTINGS = ((2.0, 2.0), (2.0, 4.0), (1.3, 4.0))


@dataclass(frozen=True)
class Recipe:
    """One network's shape and training settings.

    ``shift_pixels``: largest random shift along each axis. ``weight_decay``: added to the gradient
    as that multiple of the weights. ``learning_rate``: of the first step. ``input_noise``: standard
    deviation of Gaussian noise on the pixels (0..1) while training.
    """

    hidden: int
    epochs: int
    batch: int
    learning_rate: float
    momentum: float
    weight_decay: float
    shift_pixels: int
    input_noise: float
    stored: StoredType


RECIPES = {
    "digits": Recipe(64, 200, 50, 0.1, 0.9, 1e-3, 0, 0.3, "float32"),
    "mnist": Recipe(784, 20, 100, 0.1, 0.9, 3e-4, 1, 0.0, "float16"),
}


def train(
    dataset: Dataset,
    recipe: Recipe,
    rng: np.random.Generator,
    report: Callable[[int, float], None] = lambda epoch, loss: None,
) -> tuple[Matrix, Matrix]:
    """Train on all images of ``dataset``; returns weights (hidden, d) and (classes, hidden).

    ``report`` gets each epoch's number (from 1) and mean loss in nats.
    """
    weights = _initial_weights(dataset.images.shape[1], recipe.hidden, dataset.classes, rng)
    velocities = [np.zeros_like(matrix) for matrix in weights]
    steps_per_epoch = len(dataset) // recipe.batch
    for epoch in range(recipe.epochs):
        losses = []
        for step, (images, labels) in enumerate(_batches(dataset, recipe, rng)):
            loss, gradients = loss_and_gradients(weights, images, labels)
            losses.append(loss)
            progress = (epoch + step / steps_per_epoch) / recipe.epochs
            rate = np.float32(recipe.learning_rate * 0.5 * (1 + np.cos(np.pi * progress)))
            for matrix, velocity, gradient in zip(weights, velocities, gradients, strict=True):
                _step(matrix, velocity, gradient, rate, recipe)
        report(epoch + 1, float(np.mean(losses)))
    return weights


def _step(matrix: Matrix, velocity: Matrix, gradient: Matrix, rate: np.float32, recipe: Recipe) -> None:
    """One step of descent with momentum and weight decay; changes ``matrix`` and ``velocity``."""
    velocity *= np.float32(recipe.momentum)
    velocity += gradient
    velocity += np.float32(recipe.weight_decay) * matrix
    matrix -= rate * velocity


def _initial_weights(inputs: int, hidden: int, classes: int, rng: np.random.Generator) -> tuple[Matrix, Matrix]:
    """Gaussian of variance 2/inputs (He et al. 2015, arXiv:1502.01852); the last, 1/hidden."""
    first = rng.standard_normal((hidden, inputs), dtype=np.float32) * np.float32(np.sqrt(2 / inputs))
    last = rng.standard_normal((classes, hidden), dtype=np.float32) * np.float32(np.sqrt(1 / hidden))
    return first, last


def _batches(dataset: Dataset, recipe: Recipe, rng: np.random.Generator) -> Iterator[tuple[Matrix, Labels]]:
    """One epoch: whole batches in random order, each image with its own random shift and noise."""
    height, width = dataset.image_shape
    shift = recipe.shift_pixels
    pictures = dataset.images.reshape(-1, height, width)
    padded = np.pad(pictures, ((0, 0), (shift, shift), (shift, shift)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    order = rng.permutation(len(dataset))
    for begin in range(0, len(order) - recipe.batch + 1, recipe.batch):
        chosen = order[begin : begin + recipe.batch]
        down, right = rng.integers(0, 2 * shift + 1, (2, recipe.batch))
        images = windows[chosen, down, right].reshape(recipe.batch, -1)
        if recipe.input_noise:
            images += np.float32(recipe.input_noise) * rng.standard_normal(images.shape, dtype=np.float32)
        yield images, dataset.labels[chosen]


def loss_and_gradients(
    weights: tuple[Matrix, Matrix], images: Matrix, labels: Labels
) -> tuple[float, tuple[Matrix, Matrix]]:
    """Mean cross-entropy in nats of a batch (N, d) with labels (N,), and its two gradients."""
    first, last = weights
    hidden = np.maximum(images @ first.T, np.float32(0))
    scores = hidden @ last.T
    scores -= scores.max(axis=1, keepdims=True)
    log_probabilities = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    loss = -float(log_probabilities[rows, labels].mean())
    error = np.exp(log_probabilities)
    error[rows, labels] -= 1
    error /= np.float32(len(labels))
    hidden_error = (error @ last) * (hidden > 0)
    return loss, (hidden_error.T @ images, error.T @ hidden)


def snr_of_product(gain: float, mean_photons: float) -> float:
    """F^2 = 2 mu / DX2: signal to noise of a product, ideal optics (docs/physics.md, section 3)."""
    return 2 * mean_photons * gain * (gain - 1) / (2 * gain**2 - 3 * gain + 2)


def noisy_scores(network: Network, images: Matrix, snr: float, rng: np.random.Generator) -> Matrix:
    """Scores when every product is read as <x,w>/(|x| w_rms) with Gaussian noise of variance 1/snr.

    w_rms^2 = sum w^2 / (2 n m) over a layer of m rows of n = ceil(d/2) modes (docs/physics.md,
    sections 2 and 3).
    """
    values = images
    for layer, matrix in enumerate(network.weights):
        if layer:
            values = np.maximum(values, np.float32(0))
        length = np.linalg.norm(values, axis=1, keepdims=True)
        values = (values / np.where(length > 0, length, 1)) @ (matrix / np.float32(rms_weight(matrix))).T
        values += rng.standard_normal(values.shape, dtype=np.float32) / np.float32(np.sqrt(snr))
    return values


def rms_weight(matrix: Matrix) -> float:
    """w_rms of a layer (m, d), the padding of an odd d counted."""
    rows, inputs = matrix.shape
    return float(np.sqrt(np.sum(np.square(matrix, dtype=np.float64)) / (2 * ((inputs + 1) // 2) * rows)))


def train_network(name: str, training: Dataset, measured_on: Dataset, seed: int) -> Network:
    """Train the named recipe, round to its stored type, state its origin and clean accuracy."""
    recipe = RECIPES[name]
    weights = train(training, recipe, np.random.default_rng(seed), _print_loss)
    rounded = round_weights(Network(name, weights), recipe.stored)
    accuracy = rounded.accuracy(measured_on.images, measured_on.labels)
    metadata = {
        "clean_accuracy": f"{accuracy:.4f}",
        "dataset": name,
        "made_by": "scripts/train_models.py",
        "seed": str(seed),
        "training_images": str(len(training)),
    }
    return Network(name, rounded.weights, metadata=metadata)


def describe(network: Network, dataset: Dataset) -> Iterator[str]:
    """Lines on accuracy without and with optical noise, and on the largest weights.

    The largest weight sets the range that the modulator and the receiver must hold.
    """
    yield f"{dataset.name}: {len(dataset)} images, clean accuracy {network.clean_accuracy}"
    for gain, mean_photons in _NOISE_SETTINGS:
        snr = snr_of_product(gain, mean_photons)
        scores = noisy_scores(network, dataset.images, snr, np.random.default_rng(0))
        accuracy = np.mean(scores.argmax(axis=1) == dataset.labels)
        yield f"G = {gain}, mu = {mean_photons} (F^2 = {snr:.3f}): accuracy {accuracy:.4f}"
    for layer, matrix in enumerate(network.weights):
        yield f"layer {layer}: max|w|/w_rms = {np.abs(matrix).max() / rms_weight(matrix):.2f}"


def _print_loss(epoch: int, loss: float) -> None:
    print(f"epoch {epoch}: loss {loss:.4f}", file=sys.stderr)


def _load(arguments: argparse.Namespace) -> tuple[Dataset, Dataset]:
    """The images to train on and those to measure on."""
    training = load_dataset(arguments.network, "train", arguments.data)
    if not arguments.held_out:
        return training, load_dataset(arguments.network, "test", arguments.data)
    kept = len(training) - arguments.held_out
    held_out = Dataset(
        f"{training.name}, held out",
        training.images[kept:],
        training.labels[kept:],
        training.image_shape,
        training.classes,
    )
    return training.first(kept), held_out


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train one of the shipped networks.")
    parser.add_argument("network", choices=sorted(RECIPES))
    parser.add_argument("--data", type=Path, help="folder of the MNIST files (or LABCTL_MNIST)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="new .safetensors file")
    parser.add_argument("--held-out", type=int, default=0, metavar="N", help="measure on the last N training images")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Train, write the model file, print what it reaches; 0, or 1 with a message."""
    options = _parse(arguments)
    try:
        training, measured_on = _load(options)
        network = train_network(options.network, training, measured_on, options.seed)
        save_network(network, options.out, RECIPES[options.network].stored)
    except LabctlError as error:
        print(f"{error.message}\n{error.remedy}", file=sys.stderr)
        return 1
    print("\n".join(describe(network, measured_on)))
    return 0


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in _ONE_THREAD.items()):
        # The number of threads changes the order of sums; BLAS reads it when numpy is imported.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **_ONE_THREAD})
    sys.exit(main(sys.argv[1:]))
