"""What a run says of itself: when it begins, and of each layer."""

from __future__ import annotations

from labctl.assembly import Assembly
from labctl.bench import Bench
from labctl.events import LayerMeasured, RunStarted
from labctl.experiment import Experiment
from labctl.protocol.estimation import Estimate, ResidualSums
from labctl.resume import Resumption
from labctl.version import __version__


def description(
    experiment: Experiment, bench: Bench, assembly: Assembly, clock_s: float, resumed: Resumption | None
) -> RunStarted:
    """With the light on, ``clock_s`` by the bench's clock."""
    return RunStarted(
        name=experiment.run.name,
        run=experiment.run.model_dump(mode="json"),
        bench=experiment.bench.model_dump(mode="json"),
        simulated=bench.simulated,
        seed=experiment.run.seed,
        images=experiment.images,
        layer_shapes=experiment.network.layer_shapes,
        classes=experiment.dataset.classes,
        clean_accuracy=experiment.clean_accuracy,
        snapshots=bench.snapshots(),
        calibration=assembly.calibration(),
        software=f"labctl {__version__}",
        digests=experiment.digests,
        clock_s=clock_s,
        resumed_at=resumed.images if resumed is not None else 0,
    )


def layer_measured(image: int, layer: int, sums: ResidualSums, single: Estimate) -> LayerMeasured:
    """One layer of one image; ``single``: what it tells alone."""
    return LayerMeasured(
        image,
        layer,
        sums.n_samples,
        sums.ss,
        sums.sr,
        sums.rr,
        single.excess,
        single.transmittance,
        sums.turned,
        sums.stretches,
    )
