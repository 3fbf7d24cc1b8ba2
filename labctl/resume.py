"""A run that was ended before its time, taken up again where it stopped: from its file, and nothing else.

Every image of a simulated run depends on the seed, its number and the lab's clock alone, and the check of the returned
light on the sums that are in the file. So the finished file is the one that an uninterrupted run would have written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.config import RunConfig
from labctl.errors import ConfigError, RecordError
from labctl.events import AlarmRaised, Interval, LayerMeasured
from labctl.experiment import Experiment, prepare_experiment
from labctl.interfaces import SimulationControl
from labctl.limits import Rounds
from labctl.parties.verifier import Verifier
from labctl.protocol.estimation import ResidualSums
from labctl.schema import validate

if TYPE_CHECKING:
    from labctl.record.reader import Run

#: Share of a long way that a stepped clock is wound first, so that what is left can be said exactly.
_NEARLY = 1 - 1e-12
_ANEW = "Start the run anew."
#: Columns of a layer that the server's check is told.
_SUMS = ("N", "sum_ss", "sum_sr", "sum_rr", "turned", "stretches")


@dataclass(frozen=True)
class Resumption:
    """What is known of the images that are done: ``sums`` of each, by layer; ``clocks``: the bench's clock after each;
    ``corrects``: predicted right up to and including each; ``rechecked``: the clock after re-checks, by the next image.

    ``correct``: predicted right; ``time_s``: since the light came on, without the time in which it was off;
    ``provenance``: of the file; ``ended``: whether its end was written.
    """

    path: Path
    images: int
    sums: tuple[tuple[ResidualSums, ...], ...]
    clocks: tuple[float, ...]
    corrects: tuple[int, ...]
    rechecked: Mapping[int, float]
    time_s: float
    correct: int
    accuracy: Interval | None
    provenance: Mapping[str, Any]
    ended: bool

    def measured(self) -> list[LayerMeasured]:
        """The sums as the events that told of them; what follows from them alone is left out."""
        return [
            LayerMeasured(
                image, layer, each.n_samples, each.ss, each.sr, each.rr, math.nan, math.nan, each.turned, each.stretches
            )
            for image, layers in enumerate(self.sums)
            for layer, each in enumerate(layers)
        ]

    def replay(self, verifier: Verifier, done: Callable[[int, int], None]) -> AlarmRaised | None:
        """Tell the server's check of the light that came back; the alarm that it raises, if it does.

        ``done``: told after each image how many there were, and how many of them were predicted right.
        """
        alarm = None
        for image, layers in enumerate(self.sums):
            for layer, sums in enumerate(layers):
                _, verdict = verifier.add(layer, sums)
                if verdict.alarm and alarm is None:
                    alarm = AlarmRaised(image, verdict.excess, verdict.threshold)
            done(image + 1, self.corrects[image])
        return alarm

    def relive(self, control: SimulationControl, rounds: Rounds, started_s: float) -> None:
        """Bring a simulated lab, which is at the first image, to the time after the last that is done.

        Before each image the interlocks are read as they were then: what is on a slow line notes when it was asked.
        """
        now_s = started_s
        for image, clock_s in enumerate(self.clocks):
            if image in self.rechecked:
                _wind(control, self.rechecked[image])
            rounds.before_image(now_s)
            _wind(control, clock_s)
            now_s = clock_s


def _wind(control: SimulationControl, clock_s: float) -> None:
    """Put a stepped clock to a later time, to the last bit."""
    left = clock_s - control.now()
    if left > 0:
        control.advance(left * _NEARLY)
        while (left := clock_s - control.now()) > 0:
            control.advance(left)


def load_resumption(path: Path) -> tuple[Experiment, Resumption]:
    """The experiment that a run file tells of, and what is done of it.

    Raises RecordError for a file that is none, is damaged, or is being written, ConfigError for a run that cannot be
    taken up, or whose bench, model or data are no longer what they were.
    """
    from labctl.record.apart import open_run
    from labctl.record.disk import refuse_if_written

    refuse_if_written(path)
    run = open_run(path)
    _refuse(run)
    config = validate(RunConfig, dict(run.started.run), str(path))
    experiment = prepare_experiment(config, str(path))
    _check_unchanged(run, experiment)
    return experiment, _resumption(run)


def _refuse(run: Run) -> None:
    """Runs that have come to their end, and those whose adversary keeps in mind what no file holds."""
    adversary = run.started.run.get("adversary", {})
    if run.status == "complete":
        raise ConfigError(f"{run.path}: the run is complete", "There is nothing left to resume.")
    if not run.verified:
        raise RecordError(f"{run.path}: was written by a labctl that recorded too little to go on from", _ANEW)
    if adversary.get("server_recovers_data"):
        raise ConfigError(
            f"{run.path}: key 'adversary.server_recovers_data': what the server found is kept in its memory until the"
            " end",
            _ANEW,
        )
    if adversary.get("attack") not in (None, "greedy"):
        raise ConfigError(
            f"{run.path}: key 'adversary.attack': what the attacker learned was lost with the simulated lab", _ANEW
        )


def _check_unchanged(run: Run, experiment: Experiment) -> None:
    """Raises ConfigError that names what is not what it was when the run began."""
    bench = json.loads(json.dumps(experiment.bench.model_dump(mode="json")))
    found = {
        "bench": bench == run.started.bench,
        **{key: experiment.digests.get(key) == digest for key, digest in run.started.digests.items()},
        "number of images": experiment.images == run.started.images,
    }
    changed = [name for name, same in found.items() if not same]
    if changed:
        raise ConfigError(
            f"{run.path}: not what it was when the run began: {', '.join(changed)}",
            f"Put back what was changed, or start the run anew. The bench is {experiment.bench_path}.",
        )


def _resumption(run: Run) -> Resumption:
    """Images of which everything was recorded and that count; what was measured of the next ones is dropped."""
    images = run.images
    done = int((~run.doubtful).sum())
    layers = [
        [
            ResidualSums(int(count), float(ss), float(sr), float(rr), float(turned), int(stretches))
            for count, ss, sr, rr, turned, stretches in zip(*(layer[name][:done] for name in _SUMS), strict=True)
        ]
        for layer in run.layers
    ]
    names = ("accuracy", "accuracy_low", "accuracy_high")
    return Resumption(
        path=run.path,
        images=done,
        sums=tuple(zip(*layers, strict=True)),
        clocks=tuple(images["clock_s"][:done].tolist()),
        rechecked=_rechecked(run),
        corrects=tuple(images["correct"][:done].tolist()),
        time_s=float(images["time_s"][done - 1]) if done else 0.0,
        correct=int(images["correct"][done - 1]) if done else 0,
        accuracy=Interval(*(float(images[name][done - 1]) for name in names)) if done else None,
        provenance=run.provenance,
        ended=run.finished is not None,
    )


def _rechecked(run: Run) -> dict[int, float]:
    """The last of each image counts."""
    columns = run.rechecks
    return {} if columns is None else dict(zip(columns["image"].tolist(), columns["clock_s"].tolist(), strict=True))
