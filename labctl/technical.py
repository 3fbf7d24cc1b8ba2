"""Technical noise of a bench: what an honest run leaves beyond the agreed noise (docs/physics.md, section 5).

An honest run with known gain is taken through the whole bench, and the excess noise that its returned light has beyond
T_b n_sp g/n is the apparatus's own: modulator, laser, loop, errors of the calibration. It goes with the light, so it
holds for the working point, network and data that it was measured at. Nothing here writes a file.

Each run is judged by the calibration that it was taken with: where the receiver is calibrated in the run, σ0² and its
error are the run's own, and the errors of several runs average out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations

from labctl.engine import RunControl
from labctl.events import EventBus, LayerMeasured, RunStarted
from labctl.experiment import Experiment
from labctl.protocol.estimation import Estimate, Receiver, ResidualSums, estimate, pool, weighted_mean
from labctl.session import run_experiment

#: Technical noise allowed for while it is measured, SNU: far more than a working bench has, so that no alarm ends it.
ALLOWED_EXCESS = 100.0


@dataclass(frozen=True)
class TechnicalMeasurement:
    """Pooled over ``images`` honest images, weighted by samples as the check does; SNU at the server's receiver.

    ``layers``: the excess of each layer beyond the honest one, and its standard error. ``expected_transmittance``: from
    the calibrated losses. ``modes``, ``mean_photons``: n of each layer, and μ.
    ``calibrations``: independent ones of the server's receiver, whose errors average out.
    """

    images: int
    calibrations: int
    excess: float
    excess_se: float
    honest_excess: float
    layers: tuple[tuple[float, float], ...]
    transmittance: float
    transmittance_se: float
    expected_transmittance: float
    modes: tuple[int, ...]
    mean_photons: float

    @property
    def technical_excess(self) -> float:
        """Beyond the honest excess; may come out negative where there is none."""
        return self.excess - self.honest_excess

    @property
    def layers_differ(self) -> bool:
        """Whether two layers are further apart than twice the error of their difference."""
        return any(
            abs(one - other) > 2 * math.hypot(error, its) for (one, error), (other, its) in combinations(self.layers, 2)
        )

    def toml(self) -> str:
        """Lines for ``[link]``: a list with one number a layer where they differ, one for all where they do not.

        A negative value counts as no technical noise; its error stays. Modes and light that it holds for come with it.
        """
        modes = ", ".join(str(each) for each in self.modes)
        point = f"\ntechnical_modes = [{modes}]\ntechnical_mean_photons = {self.mean_photons:g}"
        if not self.layers_differ:
            excess = _allowed(self.technical_excess)
            return f"technical_excess = {excess}\ntechnical_excess_se = {self.excess_se:.2g}{point}"
        values = ", ".join(_allowed(value) for value, _ in self.layers)
        errors = ", ".join(f"{error:.2g}" for _, error in self.layers)
        return f"technical_excess = [{values}]\ntechnical_excess_se = [{errors}]{point}"


def _allowed(value: float) -> str:
    return f"{max(value, 0.0):.4g}"


@dataclass(frozen=True)
class _Run:
    """Estimates of one run, layer by layer and image by image, all by the calibration of this run."""

    layers: tuple[list[Estimate], ...]

    def images(self) -> list[float]:
        """ε̂ of each image, pooled over its layers."""
        return [pool(image).excess for image in zip(*self.layers, strict=True)]


def measure_technical_noise(experiment: Experiment, images: int | None = None) -> TechnicalMeasurement:
    """Take images through the bench, nobody deviating, and tell the noise beyond the honest one.

    ``images``: how many, the experiment's own unless given; where there are fewer, they are taken again, in a simulated
    lab with the next seed. The technical noise that the bench's file has is not taken off. Raises what goes wrong on
    the bench.
    """
    images = experiment.images if images is None else images
    honest = replace(
        experiment,
        run=experiment.run.honest(),
        bench=experiment.bench.with_technical(ALLOWED_EXCESS, 0.0),
        trial=True,
    )
    agreement = honest.agreement()
    runs = []
    for turn, start in enumerate(range(0, images, experiment.images)):
        part = min(experiment.images, images - start)
        seeded = honest.run.model_copy(update={"seed": honest.run.seed + turn})
        runs.append(_take(replace(honest, run=seeded, dataset=honest.dataset.first(part)), agreement.receiver))
    own = honest.bench.waveform is not None
    layers = [_over_runs([pool(run.layers[layer]) for run in runs], own) for layer in range(len(agreement.expected))]
    found = pool(layers)
    return TechnicalMeasurement(
        images=images,
        calibrations=len(runs) if own else 1,
        excess=found.excess,
        excess_se=_spread(found, runs),
        honest_excess=weighted_mean(agreement.expected, [each.samples for each in layers]),
        layers=tuple(
            (each.excess - expected, each.excess_se) for each, expected in zip(layers, agreement.expected, strict=True)
        ),
        transmittance=found.transmittance,
        transmittance_se=found.transmittance_se,
        expected_transmittance=honest.transmittance_in * honest.transmittance_back,
        modes=tuple(layer.modes for layer in agreement.layers),
        mean_photons=honest.run.mean_photons,
    )


def _take(experiment: Experiment, receiver: Receiver) -> _Run:
    """One run. ``receiver``: by the bench's file; what is calibrated in the run replaces it."""
    started: list[RunStarted] = []
    measured: list[LayerMeasured] = []
    bus = EventBus()
    bus.subscribe(RunStarted, started.append)
    bus.subscribe(LayerMeasured, measured.append)
    outcome = run_experiment(experiment, bus, RunControl(), None)
    if outcome.error is not None:
        raise outcome.error
    if experiment.bench.waveform is not None:
        (start,) = started
        receiver = replace(
            receiver,
            sigma0_sq=start.calibration["server_noise_variance_snu"],
            calibration_samples=start.calibration["server_calibration_samples"],
        )
    layers: tuple[list[Estimate], ...] = tuple([] for _ in experiment.network.layers)
    for event in measured:
        sums = ResidualSums(event.samples, event.sum_ss, event.sum_sr, event.sum_rr)
        layers[event.layer].append(estimate(sums, receiver))
    return _Run(layers)


def _over_runs(runs: list[Estimate], own: bool) -> Estimate:
    """One layer's mean over runs; with calibrations of their ``own`` these errors are independent as well."""
    found = pool(runs)
    if not own:
        return found
    calibration = math.hypot(*(run.samples * run.excess_se_calibration for run in runs)) / found.samples
    return replace(found, excess_se_calibration=calibration)


def _spread(found: Estimate, runs: list[_Run]) -> float:
    """Standard error of the pooled ε̂ from its scatter over the images of a run, which holds the data's own, and
    calibration. What the runs differ by is the calibration's.
    """
    total, squares, freedom = 0, 0.0, 0
    for run in runs:
        excesses = run.images()
        mean = math.fsum(excesses) / len(excesses)
        squares += math.fsum((each - mean) ** 2 for each in excesses)
        freedom += len(excesses) - 1
        total += len(excesses)
    scatter = squares / freedom / total if freedom else 0.0
    return math.hypot(max(math.sqrt(scatter), found.excess_se_statistical), found.excess_se_calibration)
