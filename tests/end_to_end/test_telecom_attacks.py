"""Every attack of [adversary] on the bench with faults, G = 1.3 agreed: noticed as soon as computed, or priced.

The stated strengths are the least that raise the alarm within 200 images with probability 0.999. Seeds are fixed; with
others each of the sixteen deadlines (the 99.9 % quantile of images to the alarm) fails once in a thousand, the count
around the predicted median once in a thousand, and each accepted run once in a thousand.
"""

from __future__ import annotations

import json
import re
import statistics
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binom

from labctl.adversary import agreed_terms, mounted_attack
from labctl.config import RunConfig
from labctl.engine import RunControl
from labctl.errors import BudgetRefusal, BudgetSpent
from labctl.events import EventBus
from labctl.experiment import Experiment, load_experiment, prepare_experiment
from labctl.ledger.weights import weights_balances, weights_book, weights_charges
from labctl.protocol.leakage import weight_leakage
from labctl.protocol.power import CAUGHT, Detection, assess, least_strength
from labctl.session import Outcome, run_experiment

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "try-an-attack.md").read_text(encoding="utf-8")
IMAGES = 200
#: The table of docs/how-to/try-an-attack.md.
LEAST = {"greedy": 2.446, "all-modes": 1.019, "resend": 0.0171, "injection": 0.0276}
STRONGER = {"greedy": 10.0, "all-modes": 1.3, "resend": 0.1, "injection": 0.1}
SEEDS = range(3)


def experiment(images: int = IMAGES, **keys: Any) -> Experiment:
    shipped = load_experiment("digits-telecom", images=images).run
    return prepare_experiment(RunConfig.model_validate(shipped.model_dump() | keys))


def executed(images: int = IMAGES, **keys: Any) -> Outcome:
    return run_experiment(experiment(images, **keys), EventBus(), RunControl(), None)


@cache
def predicted(name: str, strength: float, bench: str = "telecom") -> Detection:
    """When the alarm should come on this bench: its transmittance, technical noise, efficiency, electronic noise."""
    planned = experiment(bench=bench, adversary={"attack": name, "strength": strength})
    return assess(planned.agreement().plan(), agreed_terms(planned), mounted_attack(planned)).detection


@cache
def images_to_alarm(name: str, strength: float, seed: int) -> int | None:
    outcome = executed(seed=100 * [*LEAST].index(name) + seed, adversary={"attack": name, "strength": strength})
    assert outcome.error is None
    return outcome.finished.images + 1 if outcome.verdict == "alarm" else None


@pytest.mark.parametrize("name", LEAST)
def test_the_stated_strength_is_the_least_that_is_caught(name: str) -> None:
    planned = experiment()
    least = least_strength(planned.agreement().plan(), agreed_terms(planned), name)
    assert least <= LEAST[name] < least * 1.02
    assert predicted(name, LEAST[name]).power >= CAUGHT


@pytest.mark.parametrize("name", LEAST)
def test_caught_within_the_predicted_images(name: str) -> None:
    for strengths, seeds in ((LEAST, SEEDS), (STRONGER, SEEDS[:1])):
        limit = predicted(name, strengths[name]).images_to_alarm(CAUGHT)
        assert limit <= IMAGES
        for seed in seeds:
            needed = images_to_alarm(name, strengths[name], seed)
            assert needed is not None
            assert needed <= limit


def test_half_of_the_runs_within_the_predicted_median() -> None:
    """All attacks at their least strength together: the prediction is no mere upper bound."""
    chances, within = [], 0
    for name, strength in LEAST.items():
        median = int(predicted(name, strength).images_to_alarm(0.5))
        for seed in SEEDS:
            chances.append(predicted(name, strength).probability(median))
            within += (images_to_alarm(name, strength, seed) or IMAGES + 1) <= median
    low, high = binom.interval(0.999, len(chances), sum(chances) / len(chances))
    assert low <= within <= high


def test_the_table_of_the_how_to() -> None:
    """Predictions, and runs of benchmarks/soak.py as kept beside it."""
    rows = PAGE.split("<!-- table: attacks caught -->\n")[1].split("\n\n")[0].splitlines()[2:]
    (name,) = re.findall(r"benchmarks/results/(soak-attacks-\w+\.json)", PAGE)
    kept = json.loads((ROOT / "benchmarks" / "results" / name).read_text(encoding="utf-8"))
    assert kept["passed"]
    runs = {(each["bench"], each["attack"], each["strength"]): each["images_to_alarm"] for each in kept["noticed"]}
    assert len(runs) == 2 * len(rows)
    for row in rows:
        attack, *cells = (cell.strip() for cell in row.strip("|").split("|"))
        for bench, (strength, told, found) in zip(("ideal", "telecom"), (cells[:3], cells[3:]), strict=True):
            times = predicted(attack.split(",")[0], float(strength), bench)
            assert told == ", ".join(f"{times.images_to_alarm(share):.0f}" for share in (0.5, CAUGHT))
            images = runs.pop((bench, attack.split(",")[0], float(strength)))
            assert len(images) == kept["noticed"][0]["runs"], "every run has alarmed"
            assert found == f"{statistics.median(images):g}, {max(images)}"


# --- what leaves a lower T alone --------------------------------------------------------------------

PRICED = 60


def budgeted(file: Path, bits: float) -> dict[str, Any]:
    return {"ledger": {"weights": {"file": str(file), "bits_per_weight_budget": bits}}}


@pytest.fixture(scope="module")
def honest() -> Outcome:
    return executed(PRICED)


def charged(file: Path) -> float:
    """Bits per weight that the server's account holds against the run."""
    (balance,) = weights_balances(weights_charges(weights_book(file).read(), file))
    return max(balance.bits_per_weight)


@pytest.mark.parametrize(("strength", "stops"), [(0.02, False), (0.2, True)])
def test_a_tap_raises_the_leakage_and_the_budget_holds(
    honest: Outcome, tmp_path: Path, strength: float, stops: bool
) -> None:
    """The budget is what an honest run on this bench comes to at most. The scatter of its estimates leaves room for a
    weak tap, which is paid for; a strong one ends the run. Never is more charged than the budget.
    """
    tapped = executed(PRICED, adversary={"attack": "tap", "strength": strength})
    assert (honest.verdict, tapped.verdict) == ("accepted", "accepted")
    before, after = honest.finished.pooled, tapped.finished.pooled
    assert before is not None
    assert after is not None
    left = before.transmittance.value * (1 - strength)
    assert abs(after.transmittance.value - left) < 4.5 / 1.96 * (after.transmittance.high - after.transmittance.low) / 2
    excess = before.expected + before.technical
    rise = weight_leakage(4.0, left, excess) - weight_leakage(4.0, before.transmittance.value, excess)
    found = after.leakage.weights_bits_per_mode - before.leakage.weights_bits_per_mode
    assert found == pytest.approx(rise, rel=0.25)
    budget = experiment(PRICED).forecast().weights_bits_per_weight * 1.001
    held = executed(PRICED, **budgeted(tmp_path / "honest.ledger", budget))
    assert (held.verdict, held.error) == ("accepted", None)
    ended = executed(
        PRICED, adversary={"attack": "tap", "strength": strength}, **budgeted(tmp_path / "tapped.ledger", budget)
    )
    assert isinstance(ended.error, BudgetSpent) == stops
    assert 0 < ended.finished.images < PRICED or not stops
    assert charged(tmp_path / "honest.ledger") < budget
    assert charged(tmp_path / "tapped.ledger") <= budget
    if not stops:
        assert charged(tmp_path / "tapped.ledger") > charged(tmp_path / "honest.ledger")


def test_a_substituted_channel_is_priced_before_the_light_is_on(honest: Outcome, tmp_path: Path) -> None:
    """T is as calibrated, to the last digit: the loss of the bench file is in every budget from the beginning."""
    attacked = executed(PRICED, adversary={"attack": "substitution"})
    assert attacked.verdict == "accepted"
    assert attacked.finished.pooled == honest.finished.pooled
    lossless = experiment(PRICED, bench="ideal").forecast().weights_bits_per_weight
    allowed = experiment(PRICED).forecast().weights_bits_per_weight
    assert allowed > 2 * lossless
    refused = executed(PRICED, adversary={"attack": "substitution"}, **budgeted(tmp_path / "a.ledger", 2 * lossless))
    assert isinstance(refused.error, BudgetRefusal)
    assert refused.started is None


@pytest.mark.parametrize("name", ["tap", "substitution"])
def test_no_strength_of_them_is_noticed(name: str) -> None:
    planned = experiment()
    assert least_strength(planned.agreement().plan(), agreed_terms(planned), name) == float("inf")
