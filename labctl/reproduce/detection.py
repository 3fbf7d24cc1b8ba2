"""Power of the residual-noise check against a client that uses more gain than was agreed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from labctl.protocol.attacks import Agreed, AllModes, Attack, GreedyGain
from labctl.protocol.estimation import Receiver, estimate, pool
from labctl.protocol.intervals import clopper_pearson
from labctl.protocol.power import Assessment, assess, fixed_sample_images
from labctl.protocol.rowmodel import AmplifierTap
from labctl.protocol.verification import LayerNull, SequentialTest, VerificationPlan
from labctl.reproduce.result import COLOURS, LIMIT_COLOUR, Comparison, Result
from labctl.reproduce.study import CONFIDENCE, Study
from labctl.sampler import Sampled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE: Final = 4
AGREED: Final = Agreed(1.3, 4.0)
FALSE_ALARMS: Final = 1e-3
#: Gains that the client really uses; the first one is honest.
STRENGTHS: Final = (1.3, 1.5, 1.75, 2.0, 3.0, 6.0)
CURVE: Final = tuple(1.3 + float(more) for more in np.geomspace(0.05, 18.7, 28))
POWER: Final = 0.9
#: Images to alarm that the protocol's description states for a fixed sample, for rows of 392 modes, 784 a layer.
PUBLISHED: Final[tuple[tuple[str, Attack, float], ...]] = (
    ("gain G' = 2", GreedyGain(2.0), 132),
    ("gain G' very large", GreedyGain(1e6), 16),
    ("amplifying all modes", AllModes(1.3), 1),
)
PUBLISHED_ROWS, PUBLISHED_MODES = 784, 392
#: A run of the test, in images; and how many of them are simulated.
FULL_RUN, QUICK_RUN, FULL_RUNS, QUICK_RUNS = 200, 40, 100, 10
COLUMNS: Final = (
    "client_gain", "excess_snu", "alarms", "runs", "power", "power_low", "power_high", "power_computed",
    "images_to_alarm_median", "images_to_alarm_median_computed", "images_fixed_sample",
)  # fmt: skip


@dataclass(frozen=True)
class Simulated:
    """``alarms``: image (from 1) of each run's alarm, infinite where there was none."""

    assessment: Assessment
    alarms: NDArray[np.float64]

    @property
    def caught(self) -> int:
        """Runs with an alarm."""
        return int(np.count_nonzero(np.isfinite(self.alarms)))


def make(study: Study) -> Result:
    """Simulate runs at every strength, and set them beside what the test's own recursion says."""
    images, runs = (QUICK_RUN, QUICK_RUNS) if study.quick else (FULL_RUN, FULL_RUNS)
    plan = plan_of(study, images)
    found = [simulate(study, plan, (FIGURE, index), gain, runs) for index, gain in enumerate(STRENGTHS)]
    curve = [assess(plan, AGREED, GreedyGain(gain)) for gain in CURVE]
    comparisons = [_compare_published(*each) for each in PUBLISHED]
    comparisons += [_compare_power(each) for each in found]
    if study.is_mnist and not study.quick:
        comparisons.append(_compare_fixed_sample(study))

    def draw(figure: Figure) -> None:
        _draw(figure, study, plan, found, curve)

    return Result(COLUMNS, [_row(each) for each in found], comparisons, draw)


def plan_of(study: Study, images: int) -> VerificationPlan:
    """The check of a run of so many images at the agreed point."""
    return _plan(study.shapes(), images, _receiver(study))


def _receiver(study: Study) -> Receiver:
    return study.sample((FIGURE, 2000), AGREED.gain, AGREED.mean_photons).receiver


def _plan(shapes: list[tuple[int, int]], images: int, receiver: Receiver) -> VerificationPlan:
    honest = AmplifierTap(AGREED.gain)
    nulls = tuple(LayerNull(2 * rows * modes, modes, honest.honest_excess(modes)) for rows, modes in shapes)
    return VerificationPlan(nulls, receiver, images, FALSE_ALARMS)


def simulate(study: Study, plan: VerificationPlan, point: tuple[int, ...], gain: float, runs: int) -> Simulated:
    """A greedy client: the data set over and over, cut into runs. ``point``: as for :meth:`Study.sample`."""
    wanted = runs * plan.images
    passes = -(-wanted // study.experiment.images)
    parts = [study.sample((*point, part), gain, AGREED.mean_photons) for part in range(passes)]
    places = [(part, image) for part in parts for image in range(len(part.predictions))]
    alarms = [_alarm(plan, places[first : first + plan.images]) for first in range(0, wanted, plan.images)]
    return Simulated(assess(plan, AGREED, GreedyGain(gain)), np.array(alarms))


def _alarm(plan: VerificationPlan, places: list[tuple[Sampled, int]]) -> float:
    """The image that raises the alarm, from 1; infinite if none does."""
    test = SequentialTest(plan)
    for number, (part, image) in enumerate(places, start=1):
        for layer in part.layers:
            if test.update(estimate(layer.image(image), part.receiver)).alarm:
                return float(number)
    return math.inf


def _row(found: Simulated) -> tuple[float | int | str, ...]:
    runs, theory = len(found.alarms), found.assessment
    low, high = clopper_pearson(found.caught, runs, CONFIDENCE)
    return (
        theory.attack.strength,
        theory.excess,
        found.caught,
        runs,
        found.caught / runs,
        low,
        high,
        theory.detection.power,
        float(np.sort(found.alarms)[runs // 2]),
        theory.detection.images_to_alarm(0.5),
        theory.fixed_sample_images,
    )


def _compare_published(what: str, attack: Attack, published: float) -> Comparison:
    plan = _plan([(PUBLISHED_ROWS, PUBLISHED_MODES)], 1, Receiver(0.5))
    profiles = [attack.trace(AGREED, layer.modes).noise for layer in plan.layers]
    images = max(1, round(fixed_sample_images(plan, profiles, POWER)))
    return Comparison(
        f"images to alarm, fixed sample, {what}", f"stated {published:g}", f"{images:g}", images == published
    )


def _compare_power(found: Simulated) -> Comparison:
    """The computed power should be within the simulated one's interval at 99.9 %."""
    runs, computed = len(found.alarms), found.assessment.detection.power
    low, high = clopper_pearson(found.caught, runs, 0.999)
    what = f"simulated power against G' = {found.assessment.attack.strength:g}"
    return Comparison(what, f"computed {computed:.3g}", f"{found.caught} of {runs} runs", low <= computed <= high)


def _compare_fixed_sample(study: Study) -> Comparison:
    """The first layer of 132 simulated images at a time, looked at once."""
    images, attack = 132, GreedyGain(2.0)
    plan = _plan(study.shapes()[:1], images, Receiver(0.5))
    layer = plan.layers[0]
    sums = study.sample((FIGURE, 3000), attack.strength, AGREED.mean_photons)
    quantile = NormalDist().inv_cdf(1 - FALSE_ALARMS)
    honest = plan.walk([layer.profile])
    limit = layer.excess + quantile * float(honest.deviation[-1] / honest.samples[-1])
    runs = len(sums.predictions) // images
    caught = sum(
        pool(estimate(sums.layers[0].image(first + k), sums.receiver) for k in range(images)).excess > limit
        for first in range(0, runs * images, images)
    )
    low, high = clopper_pearson(caught, runs, 0.999)
    what = f"simulated power of a fixed sample of {images} images, G' = 2"
    return Comparison(what, f"stated {POWER:g}", f"{caught} of {runs} runs", low <= POWER <= high if runs else None)


def _draw(
    figure: Figure, study: Study, plan: VerificationPlan, found: list[Simulated], curve: list[Assessment]
) -> None:
    from matplotlib.ticker import NullLocator

    figure.set_size_inches(9.5, 4.2)
    left, right = figure.subplots(1, 2)
    gains = [each.attack.strength for each in curve]
    left.plot(gains, [each.detection.power for each in curve], color=COLOURS[0], label="computed")
    simulated = [_row(each) for each in found]
    shares = [float(row[4]) for row in simulated]
    bars = [[float(row[4]) - float(row[5]) for row in simulated], [float(row[6]) - float(row[4]) for row in simulated]]
    strengths = [float(row[0]) for row in simulated]
    runs = f"{len(found[0].alarms)} simulated runs"
    left.errorbar(strengths, shares, yerr=bars, fmt="o", color=COLOURS[1], markersize=5, capsize=3, label=runs)
    left.set_ylabel(f"probability of an alarm within {plan.images} images")
    right.plot(
        gains, [each.detection.images_to_alarm(0.5) for each in curve], color=COLOURS[0], label="median, computed"
    )
    late = [each.detection.images_to_alarm(POWER) for each in curve]
    right.plot(gains, late, color=COLOURS[5], label=f"{POWER:.0%}, computed")
    caught = [(float(row[0]), float(row[8])) for row in simulated if math.isfinite(float(row[8]))]
    right.plot(*zip(*caught, strict=True) if caught else ([], []), "o", color=COLOURS[1], label="median, simulated")
    fixed = [each.fixed_sample_images for each in curve]
    right.plot(gains, fixed, color=COLOURS[2], linestyle="--", label=f"fixed sample, {POWER:.0%}")
    if study.is_mnist:
        right.plot([2.0], [132], "*", color=COLOURS[4], markersize=12, label="132 as stated")
    right.set_yscale("log")
    right.set_ylim(bottom=1, top=5 * plan.images)
    right.set_ylabel("images to alarm")
    for axes in (left, right):
        axes.axvline(AGREED.gain, color=LIMIT_COLOUR, linestyle=":", linewidth=1, label=f"agreed G = {AGREED.gain:g}")
        axes.set_xscale("log")
        axes.set_xticks([1.3, 2, 3, 5, 10, 20], ["1.3", "2", "3", "5", "10", "20"])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("gain that the client really uses, G'")
        axes.legend(fontsize=8)
    figure.suptitle(f"{study.experiment.dataset.name}, false alarms {FALSE_ALARMS:g} a run", fontsize=10)
