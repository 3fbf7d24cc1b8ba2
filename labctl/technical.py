"""Technical noise of a bench: what an honest run leaves beyond the agreed noise (docs/physics.md, section 5).

An honest run with known gain is taken through the whole bench, and the excess noise that its returned light has beyond
T_b n_sp g/n is the apparatus's own: modulator, laser, loop, errors of the calibration. It goes with the light, so it
holds for the working point, network and data that it was measured at. Nothing here writes a file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations

from labctl.engine import RunControl
from labctl.events import EventBus, LayerMeasured
from labctl.experiment import Experiment
from labctl.protocol.estimation import Estimate, Receiver, ResidualSums, estimate, pool, weighted_mean
from labctl.session import run_experiment

#: Technical noise allowed for while it is measured, SNU: far more than a working bench has, so that no alarm ends it.
ALLOWED_EXCESS = 100.0


@dataclass(frozen=True)
class TechnicalMeasurement:
    """Pooled over ``images`` honest images, weighted by samples as the check does; SNU at the server's receiver.

    ``layers``: the excess of each layer beyond the honest one, and its standard error. ``expected_transmittance``: from
    the calibrated losses.
    """

    images: int
    excess: float
    excess_se: float
    honest_excess: float
    layers: tuple[tuple[float, float], ...]
    transmittance: float
    transmittance_se: float
    expected_transmittance: float

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

        A negative value counts as no technical noise; its error stays.
        """
        if not self.layers_differ:
            return f"technical_excess = {_allowed(self.technical_excess)}\ntechnical_excess_se = {self.excess_se:.2g}"
        values = ", ".join(_allowed(value) for value, _ in self.layers)
        errors = ", ".join(f"{error:.2g}" for _, error in self.layers)
        return f"technical_excess = [{values}]\ntechnical_excess_se = [{errors}]"


def _allowed(value: float) -> str:
    return f"{max(value, 0.0):.4g}"


def measure_technical_noise(experiment: Experiment, images: int | None = None) -> TechnicalMeasurement:
    """Take images through the bench, nobody deviating, and tell the noise beyond the honest one.

    ``images``: how many, the experiment's own unless given; where there are fewer, they are taken again, in a simulated
    lab with the next seed. The technical noise that the bench's file has is not taken off. Raises what goes wrong on
    the bench.
    """
    images = experiment.images if images is None else images
    measured: list[list[Estimate]] = [[] for _ in experiment.network.layers]
    honest = replace(
        experiment, run=experiment.run.honest(), bench=experiment.bench.with_technical(ALLOWED_EXCESS, 0.0)
    )
    agreement = honest.agreement()
    for turn, start in enumerate(range(0, images, experiment.images)):
        part = min(experiment.images, images - start)
        seeded = honest.run.model_copy(update={"seed": honest.run.seed + turn})
        _take(replace(honest, run=seeded, dataset=honest.dataset.first(part)), agreement.receiver, measured)
    layers = [pool(each) for each in measured]
    found = pool(layers)
    return TechnicalMeasurement(
        images=images,
        excess=found.excess,
        excess_se=_spread(found, measured),
        honest_excess=weighted_mean(agreement.expected, [each.samples for each in layers]),
        layers=tuple(
            (each.excess - expected, each.excess_se) for each, expected in zip(layers, agreement.expected, strict=True)
        ),
        transmittance=found.transmittance,
        transmittance_se=found.transmittance_se,
        expected_transmittance=honest.transmittance_in * honest.transmittance_back,
    )


def _take(experiment: Experiment, receiver: Receiver, measured: list[list[Estimate]]) -> None:
    """One run; its estimates go to ``measured``, layer by layer."""

    def taken(event: LayerMeasured) -> None:
        sums = ResidualSums(event.samples, event.sum_ss, event.sum_sr, event.sum_rr)
        measured[event.layer].append(estimate(sums, receiver))

    bus = EventBus()
    bus.subscribe(LayerMeasured, taken)
    outcome = run_experiment(experiment, bus, RunControl(), None)
    if outcome.error is not None:
        raise outcome.error


def _spread(found: Estimate, measured: list[list[Estimate]]) -> float:
    """Standard error of the pooled ε̂ from its scatter over the images, which holds the data's own, and calibration."""
    layers = list(zip(*measured, strict=True))
    samples = [one.samples for one in layers[0]]
    images = [weighted_mean([one.excess for one in image], samples) for image in layers]
    mean = math.fsum(images) / len(images)
    scatter = math.fsum((each - mean) ** 2 for each in images) / max(len(images) - 1, 1) / len(images)
    return math.hypot(max(math.sqrt(scatter), found.excess_se_statistical), found.excess_se_calibration)
