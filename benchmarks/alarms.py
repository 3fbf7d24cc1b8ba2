"""Whom the check of the residual noise accuses, and whom it should: parts of :mod:`soak`."""

from __future__ import annotations

import math
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from whole_runs import execute, mnist

from labctl.adversary import agreed_terms
from labctl.config import RunConfig
from labctl.engine import RunControl
from labctl.events import EventBus
from labctl.experiment import load_experiment, prepare_experiment
from labctl.ledger.weights import weights_balances, weights_book, weights_charges
from labctl.protocol.attacks import named_attack
from labctl.protocol.power import CAUGHT, assess, least_strength
from labctl.run_tables import AdversaryConfig
from labctl.session import run_experiment

ALARM_SEEDS = 20
ALARM_LIMIT = 200
HONEST_RUNS, HONEST_IMAGES, HONEST_RATE = 200, 100, 0.05
ATTACKED_IMAGES, ATTACKED_SEEDS = 200, 40
STRONGER = {"greedy": 10.0, "all-modes": 1.3, "resend": 0.1, "injection": 0.1}


def images_to_alarm(data: str | None, seed: int) -> int | None:
    """Of a client that uses G' = 3 where 1.3 was agreed; None when it got away with it."""
    config = mnist(data, gain=1.3, images=1000, seed=seed, adversary=AdversaryConfig(client_gain=3.0))
    outcome = execute(config)
    return outcome.finished.images + 1 if outcome.verdict == "alarm" else None


def alarm(data: str | None, processes: int) -> dict[str, Any]:
    """How soon the greedy client is caught."""
    with ProcessPoolExecutor(processes) as pool:
        images = list(pool.map(partial(images_to_alarm, data), range(ALARM_SEEDS)))
    caught = [each for each in images if each is not None]
    passed = len(caught) == ALARM_SEEDS and max(caught) <= ALARM_LIMIT
    return {"passed": passed, "images_to_alarm": sorted(caught), "not_caught": ALARM_SEEDS - len(caught)}


def honest_verdict(data: str | None, seed: int) -> str | None:
    """Of one short honest run."""
    config = mnist(data, gain=1.3, images=HONEST_IMAGES, seed=seed, false_alarm_rate=HONEST_RATE)
    return execute(config).verdict


def false_alarms(data: str | None, processes: int) -> dict[str, Any]:
    """How often an honest client is accused."""
    from scipy.stats import binom

    with ProcessPoolExecutor(processes) as pool:
        verdicts = list(pool.map(partial(honest_verdict, data), range(1000, 1000 + HONEST_RUNS)))
    count = verdicts.count("alarm")
    low, high = binom.interval(0.999, HONEST_RUNS, HONEST_RATE)
    return {
        "passed": bool(low <= count <= high),
        "runs": HONEST_RUNS,
        "configured_rate": HONEST_RATE,
        "alarms": count,
        "allowed": [int(low), int(high)],
    }


def digits(bench: str, **changes: Any) -> RunConfig:
    """The shipped run on the telecom bench with changes."""
    shipped = load_experiment("digits-telecom", images=ATTACKED_IMAGES).run
    return RunConfig.model_validate(shipped.model_dump() | {"bench": bench, **changes})


def attacked(bench: str, name: str, strength: float, seed: int) -> int | None:
    """Images begun until the alarm; None without one."""
    outcome = execute(digits(bench, seed=seed, adversary={"attack": name, "strength": strength}))
    return outcome.finished.images + 1 if outcome.verdict == "alarm" else None


def noticed(bench: str, name: str, strength: float, pool: ProcessPoolExecutor) -> dict[str, Any]:
    """Predicted and simulated images to the alarm."""
    from scipy.stats import binom

    experiment = prepare_experiment(digits(bench))
    plan, agreed = experiment.agreement().plan(), agreed_terms(experiment)
    predicted = assess(plan, agreed, named_attack(name, strength)).detection
    first = 10_000 * list(STRONGER).index(name) + round(1000 * strength) % 9000
    images = list(pool.map(partial(attacked, bench, name, strength), range(first, first + ATTACKED_SEEDS)))
    caught = sorted(each for each in images if each is not None)
    found: dict[str, Any] = {"bench": bench, "attack": name, "strength": strength, "passed": True}
    for share in (0.5, CAUGHT):
        within = int(predicted.images_to_alarm(share))
        low, high = binom.interval(0.999, ATTACKED_SEEDS, predicted.probability(within))
        alarms = sum(each <= within for each in caught)
        found["passed"] = found["passed"] and bool(low <= alarms <= high)
        found[f"{share:g}"] = {"predicted_images": within, "alarms_within": alarms, "allowed": [int(low), int(high)]}
    return found | {"runs": ATTACKED_SEEDS, "images_to_alarm": caught}


def priced(bench: str, name: str | None, strength: float | None) -> dict[str, Any]:
    """What an attack that no alarm tells of makes of I_w, and where an honest run's budget ends it."""
    adversary = {} if name is None else {"attack": name, "strength": strength}
    run = execute(digits(bench, adversary=adversary))
    pooled = run.finished.pooled
    assert pooled is not None
    honest = prepare_experiment(digits(bench)).forecast().weights_bits_per_weight
    with tempfile.TemporaryDirectory() as folder:
        ledger = {"weights": {"file": f"{folder}/server.ledger", "bits_per_weight_budget": honest * (1 + 1e-9)}}
        held = run_experiment(
            prepare_experiment(digits(bench, adversary=adversary, ledger=ledger)), EventBus(), RunControl(), None
        )
        file = Path(ledger["weights"]["file"])
        (balance,) = weights_balances(weights_charges(weights_book(file).read(), file))
    return {
        "bench": bench,
        "attack": name or "honest",
        "strength": strength,
        "verdict": run.verdict,
        "transmittance": pooled.transmittance.value,
        "weights_bits_per_mode": pooled.leakage.weights_bits_per_mode,
        "budget_bits_per_weight": honest,
        "charged_bits_per_weight": max(balance.bits_per_weight),
        "with_budget": type(held.error).__name__ if held.error else held.verdict,
        "images_within_budget": held.finished.images,
    }


def attacks(data: str | None, processes: int) -> dict[str, Any]:
    """Every attack of [adversary] on the benches that the digits run on."""
    rows = []
    with ProcessPoolExecutor(processes) as pool:
        for bench in ("ideal", "telecom"):
            experiment = prepare_experiment(digits(bench))
            plan, agreed = experiment.agreement().plan(), agreed_terms(experiment)
            for name, more in STRONGER.items():
                least = least_strength(plan, agreed, name)
                least = math.ceil(least * 1000) / 1000 if least > 1 else math.ceil(least * 1e4) / 1e4
                rows += [noticed(bench, name, strength, pool) for strength in (least, more)]
    unseen = [
        priced(bench, *attack)
        for bench in ("ideal", "telecom")
        for attack in ((None, None), ("substitution", None), ("tap", 0.01), ("tap", 0.1), ("tap", 0.2))
    ]
    passed = all(row["passed"] for row in rows) and all(
        row["verdict"] == "accepted"
        and row["charged_bits_per_weight"] <= row["budget_bits_per_weight"] * (1 + 1e-6)
        and (row["with_budget"] == "BudgetSpent" or row["strength"] != 0.2)
        and (row["with_budget"] == "accepted" or row["attack"] == "tap")
        for row in unseen
    )
    return {"passed": passed, "images": ATTACKED_IMAGES, "noticed": rows, "priced": unseen}


PARTS = {"alarm": alarm, "false-alarms": false_alarms, "attacks": attacks}
