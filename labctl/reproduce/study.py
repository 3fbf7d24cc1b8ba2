"""What all figures are made from: one network, its images, and a sampler of the protocol."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from labctl.datasets import MNIST_VARIABLE
from labctl.experiment import Experiment, load_experiment
from labctl.protocol.encoding import modes_per_row
from labctl.protocol.intervals import clopper_pearson
from labctl.protocol.leakage import Layer, LayerLeakage, known_leakage
from labctl.protocol.rowmodel import AmplifierTap, ClientReceiver, snr_squared
from labctl.sampler import Mode, ProtocolSampler, Sampled, open_sampler

CONFIDENCE: Final = 0.95
QUICK_IMAGES: Final = 200


@dataclass(frozen=True)
class Accuracy:
    """Share of images predicted right at one working point, with its Clopper-Pearson interval at 95 %."""

    gain: float
    mean_photons: float
    correct: int
    images: int

    @property
    def value(self) -> float:
        """The share itself."""
        return self.correct / self.images

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return clopper_pearson(self.correct, self.images, CONFIDENCE).low

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return clopper_pearson(self.correct, self.images, CONFIDENCE).high


@dataclass(frozen=True)
class Study:
    """``quick``: fewer points and runs, to see whether everything works. Every point has a seed of its own."""

    experiment: Experiment
    sampler: ProtocolSampler
    seed: int
    quick: bool

    @property
    def is_mnist(self) -> bool:
        """Whether the published numbers are about this network's task."""
        return self.experiment.dataset.name == "mnist"

    @property
    def title(self) -> str:
        """Network and images, for a figure's head."""
        sizes = [self.experiment.network.inputs, *(layer.given for layer in self.experiment.network.layers)]
        return f"{self.experiment.dataset.name} {'-'.join(map(str, sizes))}, {self.experiment.images} images"

    def shapes(self) -> list[tuple[int, int]]:
        """(rows M, modes n) of each layer."""
        return [(rows, modes_per_row(inputs)) for rows, inputs in self.experiment.network.layer_shapes]

    def sample(self, point: tuple[int, ...], gain: float, mean_photons: float) -> Sampled:
        """All images once; ``point``: a number of its own for each point of each figure: its seed follows from it."""
        sequence = np.random.SeedSequence(self.seed, spawn_key=point)
        return self.sampler.sample(gain, mean_photons, int(sequence.generate_state(1, np.uint64)[0] >> 1))

    def accuracy(self, point: tuple[int, ...], gain: float, mean_photons: float) -> Accuracy:
        """By simulation."""
        found = self.sample(point, gain, mean_photons)
        correct = int(np.count_nonzero(found.predictions == self.experiment.dataset.labels))
        return Accuracy(gain, mean_photons, correct, len(found.predictions))

    def photons_for(self, gain: float, f_squared: float) -> float:
        """μ at which the client's squared signal to noise is ``f_squared``."""
        experiment = self.experiment
        receiver = ClientReceiver(experiment.bench.client_receiver.efficiency)
        tap = AmplifierTap(gain, experiment.bench.amplifier.n_sp)
        return f_squared / snr_squared(tap, 1.0, experiment.transmittance_in, receiver)

    def snr_db(self, gain: float, mean_photons: float) -> float:
        """10 log10 F² of the client."""
        return float(10 * np.log10(mean_photons / self.photons_for(gain, 1.0)))

    def leakage(self, gain: float, mean_photons: float, transmittance: float = 1.0) -> LayerLeakage:
        """Of the layer that leaks most of its weights, at an exactly known channel."""
        tap = AmplifierTap(gain)
        layers = [
            known_leakage(
                Layer(mean_photons, tap.returned_excess, modes, rows), transmittance, tap.honest_excess(modes)
            )
            for rows, modes in self.shapes()
        ]
        return LayerLeakage(
            max(each.weights_bits_per_mode for each in layers),
            max(each.weights_bits_per_mode_raw for each in layers),
            max(each.data_bits_v1 for each in layers),
            max(each.data_bits_journal for each in layers),
        )


def load_study(*, data: Path | None, images: int | None, seed: int, quick: bool = False, mode: Mode = "auto") -> Study:
    """MNIST where a folder with it is named (``data``, or LABCTL_MNIST), the shipped digits otherwise.

    ``images``: of the test set, all when left out. Raises ConfigError or DataError.
    """
    wanted = "mnist" if data is not None or os.environ.get(MNIST_VARIABLE) else "digits"
    if quick and images is None:
        images = QUICK_IMAGES
    experiment = load_experiment(wanted, data=data, images=images, seed=seed)
    return Study(experiment, open_sampler(experiment, mode), seed, quick)
