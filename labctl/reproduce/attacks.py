"""Trace and gain of every attack against its strength: how surely the check notices it, and what it tells.

Curves follow from the test's own recursion and from formulas (docs/physics.md, section 7). Points are runs through the
instruments of the simulated bench with the attack mounted; only a greedy client, who needs the most images, is sampled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from labctl.config import RunConfig
from labctl.engine import RunControl
from labctl.events import EventBus
from labctl.experiment import Experiment, prepare_experiment
from labctl.protocol.attacks import ATTACKS, Agreed, Attack, named_attack
from labctl.protocol.estimation import weighted_mean
from labctl.protocol.intervals import clopper_pearson
from labctl.protocol.leakage import weight_leakage
from labctl.protocol.power import Assessment, assess
from labctl.protocol.verification import VerificationPlan
from labctl.reproduce.detection import AGREED, FALSE_ALARMS, plan_of, simulate
from labctl.reproduce.result import COLOURS, Comparison, Result
from labctl.reproduce.study import CONFIDENCE, Study
from labctl.session import run_experiment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURE: Final = 5
#: What is run, beside the curves, which are computed.
MODE: Final = "explicit (greedy: {sampler})"
#: Images planned for a run, and runs a point, with --quick in second place.
IMAGES: Final = (100, 40)
RUNS: Final = (20, 2)
#: Runs of attacks that only loss could tell: they go on to the end.
UNSEEN_RUNS: Final = 2
#: Strengths of the curves: what is added to the harmless strength, from, to.
SPANS: Final = {
    "greedy": (1.3, 0.05, 18.7),
    "all-modes": (1.0, 3e-4, 9.0),
    "resend": (0.0, 3e-4, 1.0),
    "injection": (0.0, 3e-4, 10.0),
    "tap": (0.0, 3e-4, 0.9),
    "substitution": (0.0, 3e-4, 0.9),
}
#: Strengths simulated: of weak ones the check should miss some.
SIMULATED: Final = {
    "greedy": (1.5, 2.0, 3.0, 6.0),
    "all-modes": (1.01, 1.015, 1.3),
    "resend": (0.005, 0.01, 0.1),
    "injection": (0.01, 0.02, 0.3),
    "tap": (0.01, 0.1),
    "substitution": (),
}
COLUMNS: Final = (
    "attack", "strength", "excess_snu", "transmittance", "power_computed", "images_to_alarm_median_computed",
    "bits_per_mode_computed", "holevo_bits_per_mode", "runs", "alarms", "power", "power_low", "power_high",
    "bits_per_mode_measured",
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """``alarms`` of ``runs`` simulated; ``bits``: per mode, by the attacker's detectors, NaN where it has none."""

    strength: float
    runs: int = 0
    alarms: int = 0
    bits: float = math.nan


def make(study: Study) -> Result:
    """Curves of every attack, and simulated runs beside them."""
    plan = plan_of(study, IMAGES[study.quick])
    curves = {kind.name: [assess(plan, AGREED, each) for each in _curve(kind)] for kind in ATTACKS}
    points = {kind.name: _points(study, plan, kind.name) for kind in ATTACKS}
    compared = [_compare(plan, name, point) for name, found in points.items() for point in found]

    def draw(figure: Figure) -> None:
        _draw(figure, study, plan, curves, points)

    rows = [_row(plan, each, Point(each.attack.strength)) for curve in curves.values() for each in curve]
    rows += [
        _row(plan, assess(plan, AGREED, _attack(name, point.strength)), point)
        for name, found in points.items()
        for point in found
    ]
    return Result(COLUMNS, rows, compared, draw)


def _attack(name: str, strength: float) -> Attack:
    return named_attack(name, 1 - strength if name == "substitution" else strength)


def _curve(kind: type[Attack]) -> list[Attack]:
    harmless, low, high = SPANS[kind.name]
    return [_attack(kind.name, harmless + float(more)) for more in np.geomspace(low, high, 24)]


def _points(study: Study, plan: VerificationPlan, name: str) -> list[Point]:
    wanted = SIMULATED[name][-1:] if study.quick else SIMULATED[name]
    runs = min(RUNS[study.quick], UNSEEN_RUNS) if name == "tap" else RUNS[study.quick]
    if name == "greedy":
        found = [simulate(study, plan, (FIGURE, index), gain, runs) for index, gain in enumerate(wanted)]
        return [Point(gain, runs, each.caught) for gain, each in zip(wanted, found, strict=True)]
    return [_mounted(study, plan, name, strength, runs) for strength in wanted]


def _mounted(study: Study, plan: VerificationPlan, name: str, strength: float, runs: int) -> Point:
    """Runs through the instruments, stopped at the alarm."""
    alarms, samples, bits = 0, 0, 0.0
    for number in range(runs):
        key = (FIGURE, [*SIMULATED].index(name), SIMULATED[name].index(strength), number)
        seed = int(np.random.SeedSequence(study.seed, spawn_key=key).generate_state(1, np.uint64)[0] >> 1)
        outcome = run_experiment(_experiment(study, plan, name, strength, seed), EventBus(), RunControl(), None)
        if outcome.error is not None:
            raise outcome.error
        alarms += outcome.verdict == "alarm"
        adversary = outcome.finished.adversary
        assert adversary is not None
        assert adversary.attack is not None
        samples += adversary.attack.samples
        bits += adversary.attack.samples * adversary.attack.bits_per_mode
    return Point(strength, runs, alarms, bits / samples if samples else math.nan)


def _experiment(study: Study, plan: VerificationPlan, name: str, strength: float, seed: int) -> Experiment:
    base = study.experiment
    images = min(plan.images, base.images)
    changes = {
        "gain": AGREED.gain,
        "mean_photons": AGREED.mean_photons,
        "seed": seed,
        "images": images,
        "false_alarm_rate": FALSE_ALARMS,
        "on_alarm": "stop",
        "adversary": {"attack": name, "strength": strength},
        "ledger": {},
    }
    checked = prepare_experiment(RunConfig.model_validate(base.run.model_dump() | changes), "the figure")
    return replace(checked, network=base.network, dataset=base.dataset.first(images))


def _bits(plan: VerificationPlan, agreed: Agreed, attack: Attack) -> float:
    """Per mode, mean over the layers."""
    return weighted_mean(
        [attack.bits_per_mode(agreed, layer.modes) for layer in plan.layers], [layer.samples for layer in plan.layers]
    )


def _row(plan: VerificationPlan, found: Assessment, point: Point) -> tuple[float | int | str, ...]:
    low, high = clopper_pearson(point.alarms, point.runs, CONFIDENCE) if point.runs else (math.nan, math.nan)
    return (
        found.attack.name,
        found.attack.strength,
        found.excess,
        found.transmittance,
        found.detection.power,
        found.detection.images_to_alarm(0.5),
        _bits(plan, AGREED, found.attack),
        weight_leakage(AGREED.mean_photons, found.transmittance, found.excess),
        point.runs,
        point.alarms,
        point.alarms / point.runs if point.runs else math.nan,
        low,
        high,
        point.bits,
    )


def _compare(plan: VerificationPlan, name: str, point: Point) -> Comparison:
    """The computed power should be within the simulated one's interval at 99.9 %."""
    attack = _attack(name, point.strength)
    computed = assess(plan, AGREED, attack).detection.power
    low, high = clopper_pearson(point.alarms, point.runs, 0.999)
    what = f"simulated power against {name}, {attack.symbol} = {attack.strength:g}"
    return Comparison(what, f"computed {computed:.3g}", f"{point.alarms} of {point.runs} runs", low <= computed <= high)


def _draw(
    figure: Figure,
    study: Study,
    plan: VerificationPlan,
    curves: dict[str, list[Assessment]],
    points: dict[str, list[Point]],
) -> None:
    figure.set_size_inches(14, 5)
    panels = figure.subplots(2, len(curves), sharex="col", sharey="row")
    for column, (name, curve) in enumerate(curves.items()):
        above, below = panels[0, column], panels[1, column]
        harmless = SPANS[name][0]
        strengths = [_shown(each.attack, harmless) for each in curve]
        above.plot(strengths, [each.detection.power for each in curve], color=COLOURS[0], label="computed")
        bits = [_bits(plan, AGREED, each.attack) for each in curve]
        below.plot(strengths, bits, color=COLOURS[0], label="by formula")
        bound = [weight_leakage(AGREED.mean_photons, each.transmittance, each.excess) for each in curve]
        below.plot(strengths, bound, color=COLOURS[2], linestyle="--", label="I_w at the trace left")
        _draw_points(above, below, points[name], harmless)
        above.set_title(name)
        above.set_xscale("log")
        below.set_yscale("log")
        below.set_ylim(1e-4, 10)
        symbol = curve[0].attack.symbol
        below.set_xlabel("1 - T" if name == "substitution" else f"{symbol} - {harmless:g}" if harmless else symbol)
    panels[0, 0].set_ylabel(f"probability of an alarm\nwithin {plan.images} images")
    panels[1, 0].set_ylabel("learned, bits per mode")
    panels[0, 1].legend(fontsize=7)
    panels[1, 1].legend(fontsize=7)
    figure.suptitle(
        f"{study.experiment.dataset.name}, G = {AGREED.gain:g} agreed, μ = {AGREED.mean_photons:g}, "
        f"false alarms {FALSE_ALARMS:g} a run",
        fontsize=10,
    )


def _shown(attack: Attack, harmless: float) -> float:
    return 1 - attack.strength if attack.name == "substitution" else attack.strength - harmless


def _draw_points(above: Axes, below: Axes, found: list[Point], harmless: float) -> None:
    for number, point in enumerate(found):
        share = point.alarms / point.runs
        low, high = clopper_pearson(point.alarms, point.runs, CONFIDENCE)
        label = f"{point.runs} simulated runs" if number == 0 else None
        x = point.strength - harmless
        above.errorbar(
            [x], [share], yerr=[[share - low], [high - share]], fmt="o", color=COLOURS[1], capsize=3, label=label
        )
        below.plot([x], [point.bits], "o", color=COLOURS[1], label="measured" if number == 0 else None)
