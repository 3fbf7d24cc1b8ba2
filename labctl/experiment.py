"""Run, bench, model and data brought together and checked, before any instrument is touched."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labctl.allowance import check_allowance, unknown_allowance
from labctl.calibration.force import calibrated
from labctl.config import BenchConfig, ReceiverRole, RunConfig, check_together, load_bench, load_run
from labctl.datasets import Dataset, load_dataset
from labctl.errors import ConfigError, DataError
from labctl.models import Network, check_fits, load_network
from labctl.optics.drive import Timing
from labctl.optics.modulator import plan_launch
from labctl.optics.symbols import HEADROOM, PulseTrain
from labctl.parties.verifier import Agreement
from labctl.protocol.encoding import modes_per_row, pack_rows
from labctl.protocol.estimation import Receiver, weighted_mean
from labctl.protocol.layers import Convolution, LayerKind
from labctl.protocol.leakage import (
    Layer,
    LayerLeakage,
    data_leakage_journal,
    data_leakage_v1,
    expected_estimate,
    finite_size_leakage,
)
from labctl.protocol.parameters import per_layer
from labctl.protocol.rowmodel import AmplifierTap
from labctl.recheck import Planned
from labctl.shipped import bench_path, run_path
from labctl.units import db_to_ratio

#: Standard deviations of noise that must fit a digitizer's range beside the signal.
HEADROOM_SIGMA = 6.0
#: Real samples of a dual-quadrature receiver per mode.
SAMPLES_PER_MODE = 2
#: Share of the light's amplitude that each quadrature of a dual receiver gets.
DUAL_KAPPA = 0.5


@dataclass(frozen=True)
class Forecast:
    """What a run will take, told without opening an instrument. ``light_s``: time with light on the fibre.

    ``shots``: times that a layer is sent; a convolution is sent once per patch.

    ``technical_excess``: mean over the layers, weighted by samples. ``weights_bits_per_weight``: of all images
    together, worst layer, at most if everybody is honest; ``data_bits_*``: of one transmission, worst layer.
    """

    images: int
    layers: int
    shots: int
    light_s: float
    samples: int
    bytes_on_disk: int
    attenuation_db: float
    expected_excess: tuple[float, ...]
    technical_excess: float
    technical_note: str | None
    weights_bits_per_weight: float
    data_bits_v1: float
    data_bits_journal: float
    rechecks: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """For people."""
        excess = ", ".join(f"{value:.3g}" for value in self.expected_excess)
        return [
            f"{self.images} images x {self.layers} layers = {self.shots} shots",
            f"{self.light_s:.3g} s of light on the fibre, {self.samples:.3g} samples of returned light",
            f"about {self.bytes_on_disk / 1e6:.2g} MB run file",
            f"attenuation {self.attenuation_db:.2f} dB in all",
            f"honest excess noise per layer: {excess} SNU{self._technical()}",
            f"leaks at most {self.weights_bits_per_weight:.4g} bits of each weight in all, and of each data symbol"
            f" {self.data_bits_v1:.4g} bits (arXiv v1) or {self.data_bits_journal:.4g} bits (journal)",
            *self.rechecks,
            *([] if self.technical_note is None else [self.technical_note]),
        ]

    def _technical(self) -> str:
        return f", and {self.technical_excess:.3g} SNU of the bench's own in the mean" if self.technical_excess else ""


@dataclass(frozen=True)
class Experiment:
    """Everything a run needs except the instruments. ``dataset`` holds exactly the images to be inferred.

    ``trial``: whether it is an internal trial whose light is meant to fit no calibration (a noise budget, a measurement
    of technical noise): its transmittance and phase are not gated. No key of a file and no option sets it.
    """

    run: RunConfig
    bench: BenchConfig
    bench_path: Path
    network: Network
    dataset: Dataset
    trial: bool = False

    @property
    def images(self) -> int:
        """How many images will be inferred."""
        return len(self.dataset)

    @cached_property
    def clean_accuracy(self) -> float:
        """Of the network computed digitally on the same images."""
        return self.network.accuracy(self.dataset.images, self.dataset.labels)

    @cached_property
    def digests(self) -> dict[str, str]:
        """Of the weights, and of the images with their labels: SHA-256."""
        data = hashlib.sha256(np.ascontiguousarray(self.dataset.images, "<f4").tobytes())
        data.update(np.ascontiguousarray(self.dataset.labels, "<i8").tobytes())
        return {"model": self.network.digest, "data": data.hexdigest()}

    @property
    def transmittance_in(self) -> float:
        """T_in: launch to amplifier."""
        return db_to_ratio(-self.bench.link.loss_out)

    @property
    def transmittance_back(self) -> float:
        """T_b: amplifier to the server's receiver."""
        return db_to_ratio(-self.bench.link.loss_back)

    def agreement(self) -> Agreement:
        """What the server's check will hold the returned light against.

        Raises ConfigError where the bench's technical noise was not measured for the network and its light.
        """
        receiver, shapes = self.bench.server_receiver, self.network.layer_shapes
        tap = AmplifierTap(self.run.gain, self.bench.amplifier.n_sp)
        modes = [modes_per_row(inputs) for _, inputs in shapes]
        check_allowance(self.bench.link, modes, self.run.mean_photons)
        return Agreement(
            receiver=Receiver(
                DUAL_KAPPA,
                receiver.efficiency,
                receiver.noise_variance,
                receiver.calibration_samples,
                receiver.efficiency_se,
            ),
            layers=tuple(
                Layer(self.run.mean_photons, tap.returned_excess, n, rows)
                for n, (rows, _) in zip(modes, shapes, strict=True)
            ),
            expected=tuple(tap.honest_excess(n, self.transmittance_back) for n in modes),
            samples=tuple(
                layer.transmissions * SAMPLES_PER_MODE * n * layer.shape[0]
                for n, layer in zip(modes, self.network.layers, strict=True)
            ),
            images=self.images,
            false_alarm_rate=self.run.false_alarm_rate,
            confidence=self.run.confidence,
            technical=per_layer(self.bench.link.technical_excess, self.bench.link.technical_excess_se, len(shapes)),
            transmittance=self.transmittance_in * self.transmittance_back,
            trial=self.trial,
        )

    def planned_leakage(self) -> tuple[LayerLeakage, ...]:
        """What one transmission of each layer will be found to leak at most, if all is honest, at the run's confidence.

        With the intervals that all images but one give: before the last one the bound is not known better.
        """
        agreement, transmittance = self.agreement(), self.transmittance_in * self.transmittance_back
        images = max(self.images - 1, 1)
        found = []
        for layer, excess, samples in zip(agreement.layers, agreement.allowed, agreement.samples, strict=True):
            expected = expected_estimate(
                layer.mean_photons, transmittance, excess, images * samples, agreement.receiver
            )
            found.append(finite_size_leakage(layer, expected, agreement.receiver, agreement.confidence))
        return tuple(found)

    def client_data_bits(self) -> tuple[float, float]:
        """Bits of a data symbol in one image by the v1 and the journal bound, worst layer.

        At the gain that the client really uses; where patches overlap, a symbol counts as often as it is in one.
        """
        gain = self.run.adversary.gain_in_use(self.run.gain)
        excess = AmplifierTap(gain, self.bench.amplifier.n_sp).returned_excess
        v1, journal = [0.0], [0.0]
        for layer in self.network.layers:
            rows, inputs = layer.shape
            modes, uses = modes_per_row(inputs), _uses(layer)
            v1.append(uses * data_leakage_v1(excess, modes))
            journal.append(uses * data_leakage_journal(excess, modes, rows))
        return max(v1), max(journal)

    def forecast(self) -> Forecast:
        """For a dry run; the row length is that without guard bins, since the generator is not asked."""
        agreement = self.agreement()
        layers = len(agreement.layers)
        bins = sum(samples // SAMPLES_PER_MODE for samples in agreement.samples)
        peak = _launch_peak(self)
        leakage = self.planned_leakage()
        planned = Planned(self.bench, self.run.recheck, self.images)
        return Forecast(
            images=self.images,
            layers=layers,
            shots=self.images * sum(layer.transmissions for layer in self.network.layers),
            light_s=self.images * bins / self.bench.bin_rate + planned.seconds,
            samples=self.images * sum(agreement.samples),
            bytes_on_disk=50_000 + self.images * (200 + 64 * layers + 8 * self.network.outputs),
            attenuation_db=plan_launch(self.bench, peak).attenuation_db,
            expected_excess=agreement.expected,
            technical_excess=weighted_mean([each.excess for each in agreement.technical_by_layer], agreement.samples),
            technical_note=unknown_allowance(self.bench.link),
            weights_bits_per_weight=self.images
            * max(
                layer.transmissions * each.weights_bits_per_weight
                for layer, each in zip(self.network.layers, leakage, strict=True)
            ),
            data_bits_v1=max(each.data_bits_v1 for each in leakage),
            data_bits_journal=max(each.data_bits_journal for each in leakage),
            rechecks=planned.lines(),
        )


def load_experiment(  # noqa: PLR0913 - keywords of the command line
    run: str | Path,
    *,
    bench: str | None = None,
    data: Path | None = None,
    images: int | None = None,
    seed: int | None = None,
    technical: bool = True,
    anywhere: bool = False,
) -> Experiment:
    """Read and check everything that a run needs.

    ``run``: path of a RUN.toml, or the name of a shipped one. ``anywhere``: its paths may lead out of its folder. The
    other arguments but ``technical`` override its keys. Raises ConfigError or DataError, with file, key and remedy.
    """
    path = run_path(str(run))
    overrides = {
        "bench": bench,
        "data_dir": str(data) if data is not None else None,
        "images": images,
        "seed": seed,
    }
    given = {key: value for key, value in overrides.items() if value is not None}
    config = load_run(path, given, anywhere=anywhere)
    return prepare_experiment(config, str(path), technical=technical)


def prepare_experiment(run: RunConfig, where: str = "the run", *, technical: bool = True) -> Experiment:
    """The same from a configuration made in Python; its paths are relative to the working directory.

    ``where``: what messages call the place that the run was described in. ``technical``: whether the bench's technical
    noise is allowed for; where it is about to be measured it is not.
    """
    bench_file = bench_path(run.bench)
    bench = calibrated(load_bench(bench_file), bench_file)
    if not technical:
        bench = bench.with_technical(0.0, 0.0)
    check_together(run, bench, where)
    try:
        network = load_network(run.model)
        dataset = load_dataset(run.dataset, "test", Path(run.data_dir) if run.data_dir else None)
        check_fits(network, dataset)
        if run.adversary.server_recovers_data and network.layers[0].transmissions != 1:
            raise ConfigError(
                f"{where}: key 'adversary.server_recovers_data': the first layer of {run.model!r} is a convolution",
                "Name a model whose first layer takes the whole image at once, or leave the key out.",
            )
        if run.images is not None:
            dataset = dataset.first(run.images)
    except DataError as error:
        raise DataError(f"{where}: {error}", error.remedy) from error
    experiment = Experiment(run, bench, bench_file, network, dataset)
    try:
        _check_ranges(experiment)
        experiment.agreement().plan()
    except ConfigError as error:
        raise ConfigError(f"{where}, on {bench_file}: {error}", error.remedy) from error
    return experiment


def _uses(layer: LayerKind) -> int:
    """In how many of a layer's vectors a symbol of its data may be."""
    return math.ceil(layer.kernel / layer.stride) ** 2 if isinstance(layer, Convolution) else 1


def _peak(weights: NDArray[np.float32], mean_photons: float) -> float:
    amplitudes = pack_rows(weights, mean_photons)
    return float(max(np.abs(amplitudes.real).max(), np.abs(amplitudes.imag).max()))


def _launch_peak(experiment: Experiment) -> float:
    """The largest quadrature amplitude of a sample that the modulator is to reach at launch, sqrt(photons).

    Where bins are pulses: that of the bright frame, or as much more as a layer's brightest mode is above a pilot's, and
    the headroom.
    """
    bench, run = experiment.bench, experiment.run
    brightest = max(_peak(w, run.mean_photons) for w in experiment.network.weights)
    wave = bench.waveform
    if wave is None:
        return brightest
    timing = Timing(bench.bin_rate, 1, 1, wave.samples_per_symbol, wave.pilot_period)
    pulses = PulseTrain.of(wave, timing, np.random.default_rng(run.seed))
    samples = pulses.played(pulses.bright)
    pilot = math.sqrt(wave.pilot_photons / 2)
    return HEADROOM * float(max(np.abs(samples.real).max(), np.abs(samples.imag).max())) * max(1.0, brightest / pilot)


def _check_ranges(experiment: Experiment) -> None:
    """The brightest mode must be within the laser's light and within both digitizers' ranges. Raises ConfigError."""
    run, bench = experiment.run, experiment.bench
    layers = [pack_rows(w, run.mean_photons) for w in experiment.network.weights]
    plan_launch(bench, _launch_peak(experiment))
    brightest = max(float(np.abs(a).max()) for a in layers)
    if bench.waveform is not None:
        brightest = max(brightest, math.sqrt(bench.waveform.pilot_photons))
    _check_range("server_receiver", bench.server_receiver, 2 * np.sqrt(DUAL_KAPPA) * brightest)
    gain = max(run.gain, run.adversary.gain_in_use(run.gain))
    longest = max(float(np.sqrt((np.abs(a) ** 2).sum(axis=1)).max()) for a in layers)
    signal = 2 * longest * np.sqrt((gain - 1) * experiment.transmittance_in)
    # The client reads one inner product: at most the whole row's length, if the data are parallel to it.
    _check_range("client_receiver", bench.client_receiver, signal, np.sqrt(2 * bench.amplifier.n_sp * gain))


def _check_range(key: str, role: ReceiverRole, signal_snu: float, sigma_snu: float = 1.0) -> None:
    needed = 2 * (signal_snu + HEADROOM_SIGMA * sigma_snu) * role.volts_per_snu
    if needed > role.full_scale:
        raise ConfigError(
            f"bench key '{key}.full_scale': {role.full_scale:g} V peak to peak cannot hold the brightest signal,"
            f" which needs {needed:.3g} V",
            "Raise full_scale (and calibrate again), or lower mean_photons or gain.",
        )
