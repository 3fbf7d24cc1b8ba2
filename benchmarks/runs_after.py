"""Runs on a bench that was just calibrated: its own noise, then honest runs and a greedy one (see blind.py)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from labctl.baseline import measure_baseline
from labctl.calibration.store import Store
from labctl.engine import RunControl
from labctl.events import EventBus, LayerMeasured
from labctl.experiment import Experiment, load_experiment
from labctl.protocol.estimation import ResidualSums, estimate
from labctl.protocol.verification import SequentialTest
from labctl.run_tables import AdversaryConfig
from labctl.session import Outcome, run_experiment

GREEDY = 3.0
RUN = "digits-telecom"
BASELINE_IMAGES = 400
#: Honest runs on each bench, their images, those of a greedy one, and the rates that the honest ones are judged at.
HONEST_RUNS, HONEST_IMAGES, GREEDY_IMAGES = 2, 100, 300
RATES = (1e-3, 0.05, 0.25)
#: That the runs themselves are configured with.
CONFIGURED = 0.05


def runs_after(path: Path, store: Store, seed: int) -> dict[str, Any]:
    """Verdicts of honest runs and of a greedy one, the bench's own noise measured before."""
    baseline = measure_baseline(path, store, RUN, BASELINE_IMAGES, seed=seed + 1000)
    excess = baseline.quantities[0]
    verdicts: dict[str, Any] = {
        "technical_excess": [excess.value, excess.standard_error],
        "baseline": baseline.outcome,
        "honest": [],
    }
    for turn in range(HONEST_RUNS):
        honest = load_experiment(RUN, bench=str(path), images=HONEST_IMAGES, seed=1000 * (seed + 2) + turn)
        verdicts["honest"].append(honest_run(honest))
    greedy = load_experiment(RUN, bench=str(path), images=GREEDY_IMAGES, seed=seed + 2000)
    run = greedy.run.model_copy(update={"adversary": AdversaryConfig(client_gain=GREEDY)})
    outcome = run_of(replace(greedy, run=run))
    return verdicts | {"greedy": outcome.verdict, "greedy_images": outcome.finished.images}


def run_of(experiment: Experiment, bus: EventBus | None = None) -> Outcome:
    """Without a file; errors are raised."""
    outcome = run_experiment(experiment, bus or EventBus(), RunControl(), None)
    if outcome.error is not None:
        raise outcome.error
    return outcome


def honest_run(experiment: Experiment) -> dict[str, Any]:
    """To its end: at which of RATES it raised the alarm, the rest of the noise at the end in its standard errors."""
    run = experiment.run.model_copy(update={"on_alarm": "continue", "false_alarm_rate": CONFIGURED})
    measured: list[LayerMeasured] = []
    bus = EventBus()
    bus.subscribe(LayerMeasured, measured.append)
    outcome = run_of(replace(experiment, run=run), bus)
    agreement = experiment.agreement()
    tests = [
        SequentialTest(replace(agreement.plan(), false_alarm_rate=rate)) for rate in (*RATES, run.false_alarm_rate)
    ]
    for event in measured:
        sums = ResidualSums(event.samples, event.sum_ss, event.sum_sr, event.sum_rr)
        verdicts = [test.update(estimate(sums, agreement.receiver)) for test in tests]
    if verdicts[-1].alarm != (outcome.verdict == "alarm"):
        raise RuntimeError(f"the run says {outcome.verdict}, its own sums do not")
    alarms = [rate for rate, verdict in zip(RATES, verdicts, strict=False) if verdict.alarm]
    return {"alarms": alarms, "statistic": round(verdicts[-1].statistic, 3), "accuracy": outcome.accuracy}


def judge_runs(benches: list[dict[str, Any]]) -> dict[str, Any]:
    """Alarms of honest runs at each rate, and greedy ones that were caught; nothing where nothing was run."""
    if not benches:
        return {}
    honest = [run for bench in benches for run in bench["honest"]]
    alarms = {rate: sum(rate in run["alarms"] for run in honest) for rate in RATES}
    allowed = {rate: central(len(honest), rate) for rate in RATES}
    caught = sum(bench["greedy"] == "alarm" for bench in benches)
    statistics = np.array([run["statistic"] for run in honest])
    right = all(allowed[rate][0] <= alarms[rate] <= allowed[rate][1] for rate in RATES)
    return {
        "passed": right and caught == len(benches) and all(bench["baseline"] == "passed" for bench in benches),
        "honest": len(honest),
        "alarms": {str(rate): alarms[rate] for rate in RATES},
        "alarms_allowed": {str(rate): allowed[rate] for rate in RATES},
        "statistic_mean_and_spread": [round(float(statistics.mean()), 3), round(float(statistics.std()), 3)],
        "honest_accuracy": round(float(np.mean([run["accuracy"] for run in honest])), 4),
        "greedy_caught": caught,
        "greedy_images_at_most": max(bench["greedy_images"] for bench in benches),
    }


def central(count: int, probability: float) -> tuple[int, int]:
    """Limits of the central 99.9 % of the binomial distribution."""
    from scipy.stats import binom

    low, high = binom.ppf([0.0005, 0.9995], count, probability)
    return int(low), int(high)
