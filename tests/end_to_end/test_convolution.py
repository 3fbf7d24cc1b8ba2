"""A convolutional network and one with biases, through drivers, wire and twin: each patch is one transmission."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.products import chi_square, listening, residuals
from labctl.config import RunConfig
from labctl.datasets import load_dataset
from labctl.engine import RunControl
from labctl.errors import DataError
from labctl.events import EventBus, ImageFinished
from labctl.experiment import Experiment, prepare_experiment
from labctl.models import Network, save_network
from labctl.protocol.layers import Convolution, Dense
from labctl.protocol.rowmodel import AmplifierTap, snr_squared
from labctl.session import Outcome, run_experiment

RNG = np.random.default_rng(17)
IMAGES = 6
GAIN, PHOTONS = 2.0, 300.0


def matrix(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


LENET = Network(
    "lenet",
    (matrix(5, 9), matrix(10, 45)),
    layers=(Convolution(1, 8, 8, 5, 3, pool=2), Dense(45, 10)),
)
CURVED = Network(
    "curved",
    (matrix(5, 17), matrix(10, 21)),
    "tanh",
    layers=(Convolution(1, 8, 8, 5, 4, stride=4, bias=True), Dense(20, 10, bias=True)),
    public_scale=True,
)


def inferred(network: Network, folder: Path, **keys: Any) -> tuple[Experiment, Outcome, np.ndarray]:
    """Scores of the first images, shape (IMAGES, 10), with so much light that the noise is small."""
    path = folder / f"{network.name}.safetensors"
    save_network(network, path)
    tables = {"gain": GAIN, "mean_photons": PHOTONS, "images": IMAGES, "seed": 4, **keys}
    experiment = prepare_experiment(RunConfig(name="c", dataset="digits", model=str(path), **tables))
    bus, scores = EventBus(), []
    bus.subscribe(ImageFinished, lambda event: scores.append(event.scores))
    outcome = run_experiment(experiment, bus, RunControl(), None)
    assert (outcome.finished.status, outcome.verdict, outcome.error) == ("complete", "accepted", None)
    return experiment, outcome, np.array(scores)


def digital(network: Network) -> np.ndarray:
    return network.forward(load_dataset("digits", "test", None).images[:IMAGES])


@pytest.fixture(scope="module")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, Outcome, np.ndarray]:
    return inferred(LENET, tmp_path_factory.mktemp("lenet"))


def test_the_scores_are_the_network_s(lenet: tuple[Experiment, Outcome, np.ndarray]) -> None:
    """F² = 300: in 20,000 draws of the noise the right images were never below 0.92, wrong ones never above 0.2."""
    _, _, scores = lenet
    exact = digital(LENET)
    assert likeness(scores, exact) > 0.9
    assert likeness(scores, np.roll(exact, 1, axis=0)) < 0.3


def likeness(scores: np.ndarray, others: np.ndarray) -> float:
    """Correlation of the scores' directions, image by image, after taking out what the images have in common."""
    units = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (scores, others)]
    first, second = ((each - each.mean(axis=0)).ravel() for each in units)
    return float(np.corrcoef(first, second)[0, 1])


@pytest.mark.parametrize("photons", [300.0, 4.0, 0.2])
def test_every_product_of_every_patch_has_its_value_and_its_noise(photons: float, tmp_path: Path) -> None:
    """Of 1080 products of the first layer and 60 of the second: Σ z² by chi-square, their mean, and that they are not
    alike in neighbouring patches. Each of the four misses once in 10^5 seeds."""
    with listening() as heard:
        inferred(LENET, tmp_path, mean_photons=photons)
    images = load_dataset("digits", "test", None).images[:IMAGES]
    layers = residuals(LENET, images, heard, snr_squared(AmplifierTap(GAIN), photons))
    for found, products in zip(layers, (36 * 5, 10), strict=True):
        assert 0.9 * IMAGES * products < found.size <= IMAGES * products
        assert chi_square(found)["probability"] > 1e-5
        assert abs(found.mean()) < 4.4 / np.sqrt(found.size)
    patches = layers[0].reshape(-1, 5)
    assert abs(np.mean(patches[1:] * patches[:-1])) < 4.4 / np.sqrt(patches.size)


@pytest.mark.parametrize("wrong", ["noise", "order", "light"])
def test_the_comparison_of_products_sees_what_is_wrong(wrong: str, tmp_path: Path) -> None:
    with listening() as heard:
        inferred(LENET, tmp_path)
    images = load_dataset("digits", "test", None).images[:IMAGES]
    snr = snr_squared(AmplifierTap(GAIN), PHOTONS)
    if wrong == "order":
        heard[3], heard[4] = heard[4], heard[3]
    if wrong == "light":
        heard = [1.1 * each for each in heard]
    layers = residuals(LENET, images, heard, 1.4 * snr if wrong == "noise" else snr)
    assert chi_square(layers[0])["probability"] < 1e-5


def test_the_noise_of_all_patches_is_checked(lenet: tuple[Experiment, Outcome, np.ndarray]) -> None:
    """ε = g/n of each layer, from 36 transmissions an image of the first; each interval misses once in 20,000 seeds."""
    experiment, outcome, _ = lenet
    assert experiment.forecast().shots == IMAGES * (36 + 1)
    assert experiment.agreement().samples == (36 * 2 * 5 * 5, 2 * 23 * 10)
    for check, modes, samples in zip(outcome.finished.layers, (5, 23), experiment.agreement().samples, strict=True):
        assert check.samples == IMAGES * samples
        assert check.expected == pytest.approx(AmplifierTap(2.0).honest_excess(modes))
        standard_error = (check.excess.high - check.excess.low) / 3.92
        assert abs(check.excess.value - check.expected) < 4.06 * standard_error


def test_biases_and_tanh_with_a_public_scale(tmp_path: Path) -> None:
    """Absolute numbers: the first layer's noise is ‖x‖ w_rms/F, 0.17 at F² = 300 for vectors of length 3."""
    _, _, scores = inferred(CURVED, tmp_path)
    exact = digital(CURVED)
    assert np.abs(scores - exact).max() < 0.15 * np.ptp(exact)
    assert np.corrcoef(scores.ravel(), exact.ravel())[0, 1] > 0.985


def test_without_a_public_scale_nothing_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "secret.safetensors"
    save_network(CURVED, path)
    without = path.read_bytes().replace(b'"public_scale":"true"', b'"public_scale":"fals"')
    path.write_bytes(without.replace(b"labctl_sha256", b"somebody_else"))  # as of another program, without a checksum
    with pytest.raises(DataError, match=r"layer 0 is followed by 'tanh'|layer 1 has a bias"):
        prepare_experiment(RunConfig(name="c", dataset="digits", model=str(path), gain=2.0, mean_photons=4.0, images=1))
