"""Training in numpy alone, without and with the noise of the optics; the same seed gives the same bytes.

Ordinary training is stochastic gradient descent with momentum on the cross-entropy. Noise-aware training reads every
product as the client will: <x̂, w>/w_rms plus Gaussian noise of variance 1/F², in every layer, drawn anew for every
image (docs/physics.md, sections 2 and 3). Weights are kept at w_rms = 1, since only their shape matters: what a large
weight takes of the light the others lack.

The settings in RECIPES were chosen on parts held out of the training split, never on the test split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from labctl.datasets import Dataset
from labctl.errors import DataError
from labctl.models.gradients import through_gather, through_vectors
from labctl.models.network import Matrix, Network
from labctl.models.noise import noisy_accuracy
from labctl.models.storage import StoredType, round_weights
from labctl.protocol.encoding import modes_per_row, weight_rms
from labctl.protocol.layers import Convolution, Dense, LayerKind
from labctl.protocol.leakage import Layer, known_leakage
from labctl.protocol.rowmodel import AmplifierTap, snr_squared

Labels = npt.NDArray[np.int64]
Report = Callable[[int, float], None]

_TINY = np.float32(1e-30)


@dataclass(frozen=True)
class WorkingPoint:
    """``gain``: G of the client's amplifier; ``mean_photons``: μ per mode at launch. Ideal optics otherwise."""

    gain: float
    mean_photons: float

    @property
    def snr(self) -> float:
        """F² of a normalised product. Raises ConfigError for values outside their ranges, DataError for G = 1."""
        snr = snr_squared(AmplifierTap(self.gain), self.mean_photons)
        if not snr > 0:
            raise DataError(
                f"gain {self.gain} and {self.mean_photons} photons give no signal",
                "Give a gain above 1 and a positive number of photons.",
            )
        return snr


@dataclass(frozen=True)
class ConvolutionRecipe:
    """One convolution: filters of ``kernel`` x ``kernel``, averaged over ``pool`` x ``pool``."""

    filters: int
    kernel: int
    pool: int


@dataclass(frozen=True)
class Recipe:
    """One network's shape and training settings.

    ``hidden``: width of the hidden dense layer. ``learning_rate``: of the first step; it falls with a cosine.
    ``momentum``: of the descent, or of the mean gradient where noise is trained for. ``weight_decay``: added to the
    gradient as that multiple of the weights; noise-aware training has none, its weights keep their rms.
    ``shift_pixels``: largest random shift along each axis. ``input_noise``: standard deviation of Gaussian noise on the
    pixels (0..1). ``working_point``: whose noise is trained for; None: no noise. ``sharpness``: factor from normalised
    products to logits, with noise. ``convolutions``: before the dense layers.
    """

    dataset: str
    hidden: int
    epochs: int
    batch: int
    learning_rate: float
    momentum: float
    weight_decay: float
    shift_pixels: int
    input_noise: float
    stored: StoredType
    working_point: WorkingPoint | None = None
    sharpness: float = 1.0
    convolutions: tuple[ConvolutionRecipe, ...] = ()

    def layers(self, dataset: Dataset) -> tuple[LayerKind, ...]:
        """The layers for these images."""
        found: list[LayerKind] = []
        channels, (height, width) = 1, dataset.image_shape
        for each in self.convolutions:
            layer = Convolution(channels, height, width, each.filters, each.kernel, pool=each.pool)
            channels, (height, width) = each.filters, tuple(count // each.pool for count in layer.positions)
            found.append(layer)
        return (*found, Dense(channels * height * width, self.hidden), Dense(self.hidden, dataset.classes))


RECIPES = {
    "digits": Recipe("digits", 64, 200, 50, 0.1, 0.9, 1e-3, 0, 0.3, "float32"),
    "mnist": Recipe("mnist", 784, 20, 100, 0.1, 0.9, 3e-4, 1, 0.0, "float16"),
    "digits-noise-aware": Recipe("digits", 64, 400, 50, 0.05, 0.9, 0.0, 0, 0.1, "float32", WorkingPoint(2.0, 2.0)),
    "mnist-noise-aware": Recipe("mnist", 784, 80, 100, 0.05, 0.9, 0.0, 1, 0.0, "float16", WorkingPoint(1.4, 1.28), 0.8),
}


# --- one batch ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pass:
    """What the way back through one layer needs; ``flat`` (N P, row length), ``products`` (N, P, rows)."""

    flat: Matrix
    products: Matrix
    lengths: Matrix
    noise: Matrix | None


@dataclass(frozen=True)
class Noise:
    """Optical noise for training: standard deviation 1/F of a normalised product, and where it is drawn from."""

    sigma: np.float32
    sharpness: np.float32
    rng: np.random.Generator


def loss_and_gradients(
    layers: Sequence[LayerKind], weights: Sequence[Matrix], images: Matrix, labels: Labels, noise: Noise | None = None
) -> tuple[float, tuple[Matrix, ...]]:
    """Mean cross-entropy in nats of a batch (N, d) with labels (N,), and its gradient by each matrix.

    With noise the weights are taken as they are, as if w_rms were 1; the gradients hold for the noise as drawn.
    """
    passes = _forward(layers, weights, images, noise)
    scores = passes[-1].products[:, 0, :]
    if noise is not None:
        scores = scores * (noise.sharpness / passes[-1].lengths)
    scores = scores - scores.max(axis=1, keepdims=True)
    log_probabilities = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    loss = -float(log_probabilities[rows, labels].mean())
    error = np.exp(log_probabilities)
    error[rows, labels] -= 1
    error /= np.float32(len(labels))
    return loss, _backward(layers, weights, passes, error, noise)


def _forward(
    layers: Sequence[LayerKind], weights: Sequence[Matrix], images: Matrix, noise: Noise | None
) -> list[_Pass]:
    """Products <x, w>, with noise ‖x‖/F on each."""
    passes: list[_Pass] = []
    values = images
    for layer, matrix in zip(layers, weights, strict=True):
        vectors = layer.vectors(values)
        flat = vectors.reshape(-1, vectors.shape[-1])
        products = flat @ matrix.T
        lengths, drawn = _TINY, None
        if noise is not None:
            lengths = np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), _TINY)
            drawn = noise.sigma * noise.rng.standard_normal(products.shape, dtype=np.float32)
            products += lengths * drawn
        shaped = products.reshape(*vectors.shape[:-1], -1)
        passes.append(_Pass(flat, shaped, np.asarray(lengths), drawn))
        values = layer.gather(np.maximum(shaped, np.float32(0)))
    return passes


def _backward(
    layers: Sequence[LayerKind],
    weights: Sequence[Matrix],
    passes: Sequence[_Pass],
    error: Matrix,
    noise: Noise | None,
) -> tuple[Matrix, ...]:
    """Gradients from that by the scores, (N, classes)."""
    gradients: list[Matrix] = []
    by_length: Matrix | None = None
    last = passes[-1]
    if noise is not None:  # scores are sharpness * products / ‖x‖
        error = error * (noise.sharpness / last.lengths)
        by_length = -np.sum(error * last.products[:, 0, :], axis=1, keepdims=True) / last.lengths
    for index in range(len(layers) - 1, -1, -1):
        here = passes[index]
        gradients.append(error.T @ here.flat)
        if index == 0:
            break
        by_flat = error @ weights[index]
        if here.noise is not None:
            along = np.sum(error * here.noise, axis=1, keepdims=True)
            by_flat += here.flat / here.lengths * (along if by_length is None else along + by_length)
            by_length = None
        below = passes[index - 1].products
        by_values = through_vectors(layers[index], by_flat.reshape(len(below), layers[index].transmissions, -1))
        shaped = through_gather(layers[index - 1], by_values) * (below > 0)
        error = shaped.reshape(-1, shaped.shape[-1])
    return tuple(reversed(gradients))


# --- the descent ----------------------------------------------------------------------------------


class _Descent(Protocol):
    def step(self, index: int, matrix: Matrix, gradient: Matrix, rate: np.float32) -> None:
        """Change ``matrix`` (the ``index``-th) along its gradient."""
        ...


@dataclass
class _Momentum:
    """Gradient descent with momentum and weight decay."""

    recipe: Recipe
    velocities: dict[int, Matrix] = field(default_factory=dict)

    def step(self, index: int, matrix: Matrix, gradient: Matrix, rate: np.float32) -> None:
        velocity = self.velocities.setdefault(index, np.zeros_like(matrix))
        velocity *= np.float32(self.recipe.momentum)
        velocity += gradient
        velocity += np.float32(self.recipe.weight_decay) * matrix
        matrix -= rate * velocity


@dataclass
class _Adam:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980) on the sphere of w_rms = 1."""

    recipe: Recipe
    means: dict[int, Matrix] = field(default_factory=dict)
    squares: dict[int, Matrix] = field(default_factory=dict)
    steps: dict[int, int] = field(default_factory=dict)

    def step(self, index: int, matrix: Matrix, gradient: Matrix, rate: np.float32) -> None:
        beta, gamma = self.recipe.momentum, 0.999
        mean = self.means.setdefault(index, np.zeros_like(matrix))
        square = self.squares.setdefault(index, np.zeros_like(matrix))
        count = self.steps[index] = self.steps.get(index, 0) + 1
        tangent = gradient - matrix * (np.vdot(gradient, matrix) / np.vdot(matrix, matrix))
        mean += np.float32(1 - beta) * (tangent - mean)
        square += np.float32(1 - gamma) * (tangent * tangent - square)
        scaled = rate * np.float32(np.sqrt(1 - gamma**count) / (1 - beta**count))
        matrix -= scaled * mean / (np.sqrt(square) + np.float32(1e-8))
        matrix /= np.float32(weight_rms(matrix))


def train(
    dataset: Dataset, recipe: Recipe, rng: np.random.Generator, report: Report = lambda epoch, loss: None
) -> tuple[Matrix, ...]:
    """Train on all images of ``dataset``; returns one matrix (rows, weights of a row) a layer.

    ``report`` gets each epoch's number (from 1) and mean loss in nats.

    Raises
    ------
    DataError
        Fewer images than one batch, or layers that do not fit the images.
    """
    if len(dataset) < recipe.batch:
        raise DataError(f"{dataset.name}: {len(dataset)} images are fewer than a batch of {recipe.batch}", "Use more.")
    layers = recipe.layers(dataset)
    weights = _initial_weights(layers, rng)
    noise, descent = _noise(recipe, rng), _Momentum(recipe) if recipe.working_point is None else _Adam(recipe)
    steps_per_epoch = len(dataset) // recipe.batch
    for epoch in range(recipe.epochs):
        losses = []
        for step, (images, labels) in enumerate(_batches(dataset, recipe, rng)):
            loss, gradients = loss_and_gradients(layers, weights, images, labels, noise)
            losses.append(loss)
            progress = (epoch + step / steps_per_epoch) / recipe.epochs
            rate = np.float32(recipe.learning_rate * 0.5 * (1 + np.cos(np.pi * progress)))
            for index, (matrix, gradient) in enumerate(zip(weights, gradients, strict=True)):
                descent.step(index, matrix, gradient, rate)
        report(epoch + 1, float(np.mean(losses)))
    return weights


def _noise(recipe: Recipe, rng: np.random.Generator) -> Noise | None:
    if recipe.working_point is None:
        return None
    return Noise(np.float32(recipe.working_point.snr**-0.5), np.float32(recipe.sharpness), rng)


def _initial_weights(layers: Sequence[LayerKind], rng: np.random.Generator) -> tuple[Matrix, ...]:
    """Gaussian of variance 2/(weights of a row) (He et al. 2015, arXiv:1502.01852); the last layer, half of it."""
    weights = []
    for index, layer in enumerate(layers):
        variance = (1 if index == len(layers) - 1 else 2) / layer.shape[1]
        weights.append(rng.standard_normal(layer.shape, dtype=np.float32) * np.float32(np.sqrt(variance)))
    return tuple(weights)


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


# --- the network ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Origin:
    """``name``: of the network; ``program``: that trained it; ``seed``: all randomness of the training."""

    name: str
    program: str
    seed: int


def train_network(
    made: Origin, recipe: Recipe, training: Dataset, measured_on: Dataset, report: Report = lambda epoch, loss: None
) -> Network:
    """Train, round to the stored type, and state origin and clean accuracy in the metadata."""
    weights = train(training, recipe, np.random.default_rng(made.seed), report)
    layers = recipe.layers(training)
    rounded = round_weights(Network(made.name, weights, layers=layers), recipe.stored)
    accuracy = rounded.accuracy(measured_on.images, measured_on.labels)
    metadata = {
        "clean_accuracy": f"{accuracy:.4f}",
        "dataset": recipe.dataset,
        "made_by": made.program,
        "seed": str(made.seed),
        "training_images": str(len(training)),
    }
    if recipe.working_point is not None:
        metadata |= {
            "trained_for_gain": f"{recipe.working_point.gain:g}",
            "trained_for_mean_photons": f"{recipe.working_point.mean_photons:g}",
        }
    return Network(made.name, rounded.weights, metadata=metadata, layers=layers)


def describe(network: Network, dataset: Dataset, points: Sequence[WorkingPoint], draws: int = 3) -> Iterator[str]:
    """Lines on accuracy without and with optical noise, and on the largest weights.

    The largest weight sets the range that the modulator and the receiver must hold.
    """
    yield f"{dataset.name}: {len(dataset)} images, clean accuracy {network.clean_accuracy}"
    for point in points:
        found = noisy_accuracy(network, dataset, point.snr, draws, np.random.default_rng(0))
        yield (
            f"G = {point.gain:g}, mu = {point.mean_photons:g} (F^2 = {point.snr:.3f}): "
            f"accuracy {found.value:.4f} ({found.low:.4f} to {found.high:.4f})"
        )
        yield _leaks(network, point)
    for layer, matrix in enumerate(network.weights):
        yield f"layer {layer}: max|w|/w_rms = {np.abs(matrix).max() / weight_rms(matrix):.2f}"


def _leaks(network: Network, point: WorkingPoint) -> str:
    """Of one transmission of the worst layer, without loss."""
    tap, found = AmplifierTap(point.gain), []
    for rows, inputs in network.layer_shapes:
        modes = modes_per_row(inputs)
        layer = Layer(point.mean_photons, tap.returned_excess, modes, rows)
        found.append(known_leakage(layer, 1.0, tap.honest_excess(modes)))
    return (
        f"leaks at T = 1: I_w = {max(each.weights_bits_per_mode for each in found):.4g} bits per mode,"
        f" I_x = {max(each.data_bits_v1 for each in found):.4g} (arXiv v1),"
        f" {max(each.data_bits_journal for each in found):.4g} (journal) bits per symbol"
    )
