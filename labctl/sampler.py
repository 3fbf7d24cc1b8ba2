"""A whole network over many images at one working point, for sweeps: predictions, and the server's sums layer by layer.

Two ways that give the same distribution. ``statistics`` draws, in the simulated optics, only the numbers that anybody
will look at, and takes many images at once; it is found by name, as drivers are, and refuses where it would not be
exact. ``explicit`` sends every mode through the instruments of the simulated bench, codes and digitizers included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pkgutil import resolve_name
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from labctl.config import RunConfig
from labctl.engine import RunControl
from labctl.errors import ConfigError, NotExact
from labctl.events import EventBus, ImageFinished, LayerMeasured
from labctl.experiment import DUAL_KAPPA, Experiment, prepare_experiment
from labctl.optics.unitary import loop_settings
from labctl.protocol.encoding import DataMode, launched_quadratures, pack_data, pack_rows
from labctl.protocol.estimation import Receiver, ResidualSums
from labctl.protocol.inference import Readout, normalised_products
from labctl.protocol.layers import activate
from labctl.session import run_experiment

Mode = Literal["auto", "statistics", "explicit"]
Double = NDArray[np.float64]

#: Opens the optics of a simulated bench: (bench file, gain, returned fraction, digitised=...) -> Light.
LIGHT = "sim_backends.statistics:open_light"
#: Vectors that go through a layer together: enough for a fast matrix product, few enough for the cache.
BATCH = 512


class MeasuredLayer(Protocol):
    """One layer for B data vectors: client's numbers (B, M) in √SNU, and the server's sums, N and Σs² alike for all."""

    @property
    def client(self) -> Double: ...
    @property
    def samples(self) -> int: ...
    @property
    def ss(self) -> float: ...
    @property
    def sr(self) -> Double: ...
    @property
    def rr(self) -> Double: ...


class Light(Protocol):
    """The simulated optics at one working point of the client."""

    @property
    def collects_exactly(self) -> bool: ...
    @property
    def dark_variance(self) -> float: ...
    def measure(
        self, launched: NDArray[np.float32], drives: list[tuple[Double, Double]], generator: np.random.Generator
    ) -> MeasuredLayer:
        """For loop settings (θ, φ)."""
        ...

    def measure_modes(
        self, launched: NDArray[np.float32], modes: NDArray[np.complex128], generator: np.random.Generator
    ) -> MeasuredLayer:
        """For modes z (B, n)."""
        ...


@dataclass(frozen=True, eq=False)
class LayerSums:
    """The server's sums of one layer, image by image.

    ``samples``: N; ``ss``: Σs²; both of one image. ``sr``, ``rr``: Σsr and Σr² in SNU, shape (images,).
    """

    samples: int
    ss: float
    sr: Double
    rr: Double

    def image(self, index: int) -> ResidualSums:
        """Of one image."""
        return ResidualSums(self.samples, self.ss, float(self.sr[index]), float(self.rr[index]))

    def total(self) -> ResidualSums:
        """Of all images together."""
        images = len(self.sr)
        return ResidualSums(images * self.samples, images * self.ss, float(self.sr.sum()), float(self.rr.sum()))


@dataclass(frozen=True, eq=False)
class Sampled:
    """What a run would have given.

    ``predictions``: classes, shape (images,); ``layers``: sums of each layer; ``receiver``: the constants of the
    server's receiver that the sums are to be judged with.
    """

    predictions: NDArray[np.int64]
    layers: tuple[LayerSums, ...]
    receiver: Receiver


class ProtocolSampler(Protocol):
    """Runs an experiment's network over its images."""

    @property
    def mode(self) -> Mode:
        """Which of the two ways."""
        ...

    def sample(self, gain: float, mean_photons: float, seed: int) -> Sampled:
        """All images once at gain G and μ photons per mode, nobody deviating. All randomness follows from ``seed``."""
        ...


def open_sampler(experiment: Experiment, mode: Mode = "auto", *, digitised: bool = False) -> ProtocolSampler:
    """A sampler for the network, images and bench of an experiment; its own working point and seed do not count.

    ``mode``: "auto" takes "statistics" where it is exact. ``digitised``: whether the digitizers' steps must be in the
    samples; they always are in "explicit". Raises ConfigError for a bench of real instruments, and NotExact when
    "statistics" is asked for and would not be exact.
    """
    if not experiment.bench.in_process:
        raise ConfigError(
            f"{experiment.bench_path}: a sweep needs simulated light of this process, and this bench is real or served",
            'Use a bench with visa_library = "@labctl".',
        )
    if experiment.bench.waveform is not None:
        raise ConfigError(
            f"{experiment.bench_path}: a sweep takes the receiver's constants from the bench file, and this bench"
            " calibrates its receiver for each run",
            "Use a bench without [waveform].",
        )
    if mode == "explicit":
        return ExplicitSampler(experiment)
    try:
        return StatisticsSampler(experiment, digitised=digitised)
    except NotExact:
        if mode == "statistics":
            raise
        return ExplicitSampler(experiment)


class StatisticsSampler:
    """The exact shortcut, on the optics of the bench's ``[world]``; drives are as exact as the calibration says."""

    mode: Mode = "statistics"

    def __init__(self, experiment: Experiment, *, digitised: bool = False) -> None:
        """Raises NotExact where the shortcut would not be exact."""
        self._experiment = experiment
        resolve_name(LIGHT)(experiment.bench_path, 2.0, 0.5, digitised=digitised)

    def sample(self, gain: float, mean_photons: float, seed: int) -> Sampled:
        """As :class:`ProtocolSampler`. Raises ConfigError for G <= 1 or μ <= 0."""
        bench, network = self._experiment.bench, self._experiment.network
        readout = Readout(gain, mean_photons, self._experiment.transmittance_in, bench.client_receiver.efficiency)
        light: Light = resolve_name(LIGHT)(self._experiment.bench_path, gain, 1 / gain)
        launched = [
            np.ascontiguousarray(launched_quadratures(pack_rows(w, mean_photons)), dtype=np.float32)
            for w in network.weights
        ]
        shots = _Shots(self._experiment, light, readout, launched, np.random.default_rng(seed))
        parts = [shots.take(images) for images in _batches(self._experiment)]
        sums = [
            LayerSums(
                kind.transmissions * plane.size,
                kind.transmissions * float(np.sum(np.square(plane, dtype=np.float64))),
                np.concatenate([part[1][index][0] for part in parts]),
                np.concatenate([part[1][index][1] for part in parts]),
            )
            for index, (kind, plane) in enumerate(zip(network.layers, launched, strict=True))
        ]
        receiver = Receiver(DUAL_KAPPA, bench.server_receiver.efficiency, light.dark_variance)
        return Sampled(np.concatenate([part[0] for part in parts]), tuple(sums), receiver)


def _batches(experiment: Experiment) -> Iterator[NDArray[np.float32]]:
    """Images, as many at a time as make about BATCH vectors in the layer with most of them."""
    size = max(1, BATCH // max(layer.transmissions for layer in experiment.network.layers))
    for start in range(0, experiment.images, size):
        yield experiment.dataset.images[start : start + size]


@dataclass(frozen=True, eq=False)
class _Shots:
    """Client's and server's arithmetic around the light, for a batch of images."""

    experiment: Experiment
    light: Light
    readout: Readout
    launched: list[NDArray[np.float32]]
    generator: np.random.Generator

    def take(self, images: NDArray[np.float32]) -> tuple[NDArray[np.int64], list[tuple[Double, Double]]]:
        """Predictions, and (Σsr, Σr²) of each layer, all of shape (images,)."""
        network = self.experiment.network
        values: Double = images.astype(np.float64)
        sums: list[tuple[Double, Double]] = []
        for index, kind in enumerate(network.layers):
            vectors = kind.vectors(values)
            modes = [pack_data(vector) for vector in vectors.reshape(-1, vectors.shape[-1])]
            found = self._send(index, modes)
            sums.append((_per_image(found.sr, vectors), _per_image(found.rr, vectors)))
            scale = 1.0 if network.scales is None else network.scales[index]
            # A client knows the length of its own vectors; patches of one image must be told apart by it.
            products = np.array(
                [
                    scale * mode.norm * normalised_products(measured, self.readout, mode)
                    for measured, mode in zip(found.client, modes, strict=True)
                ]
            ).reshape(*vectors.shape[:-1], -1)
            last = index == len(network.layers) - 1
            values = kind.gather(products if last else activate(products, network.activation))
        return np.argmax(values, axis=1), sums

    def _send(self, layer: int, modes: list[DataMode]) -> MeasuredLayer:
        if self.light.collects_exactly:
            return self.light.measure_modes(self.launched[layer], np.array([each.z for each in modes]), self.generator)
        drives = [loop_settings(each.z) for each in modes]
        return self.light.measure(self.launched[layer], drives, self.generator)


def _per_image(values: Double, vectors: Double) -> Double:
    """Sums over an image's vectors."""
    return np.asarray(values.reshape(vectors.shape[:-1]).sum(axis=1))


class ExplicitSampler:
    """Through the instruments of the simulated bench; working points must be within what they can do."""

    mode: Mode = "explicit"

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    def sample(self, gain: float, mean_photons: float, seed: int) -> Sampled:
        """As :class:`ProtocolSampler`. Raises what goes wrong on the bench, or with its range."""
        experiment = self._at(gain, mean_photons, seed)
        layers = len(experiment.network.weights)
        sums = [[ResidualSums() for _ in range(experiment.images)] for _ in range(layers)]
        predictions = np.zeros(experiment.images, dtype=np.int64)

        def measured(event: LayerMeasured) -> None:
            one = ResidualSums(event.samples, event.sum_ss, event.sum_sr, event.sum_rr)
            sums[event.layer][event.image] += one

        def finished(event: ImageFinished) -> None:
            predictions[event.image] = event.prediction

        bus = EventBus()
        bus.subscribe(LayerMeasured, measured)
        bus.subscribe(ImageFinished, finished)
        outcome = run_experiment(experiment, bus, RunControl(), None)
        if outcome.error is not None:
            raise outcome.error
        return Sampled(predictions, tuple(_layer_sums(each) for each in sums), experiment.agreement().receiver)

    def _at(self, gain: float, mean_photons: float, seed: int) -> Experiment:
        run = self._experiment.run.model_dump() | {
            "gain": gain,
            "mean_photons": mean_photons,
            "seed": seed,
            "on_alarm": "continue",
            "images": self._experiment.images,
            "adversary": {},
            "ledger": {},
        }
        checked = prepare_experiment(RunConfig.model_validate(run), "the sweep", technical=False)
        return replace(checked, network=self._experiment.network, dataset=self._experiment.dataset)


def _layer_sums(images: list[ResidualSums]) -> LayerSums:
    return LayerSums(
        images[0].n_samples,
        images[0].ss,
        np.array([each.sr for each in images]),
        np.array([each.rr for each in images]),
    )
