"""The digits on benches with another supplier's instrument: the same physics comes out of it as on the ideal bench."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from labctl.experiment import load_experiment
from labctl.protocol.intervals import normal_quantile
from labctl.session import Outcome, run
from tests.contract.suppliers import Fragment, fragments, merged, write_bench

ROLES = ("laser", "generator", "attenuator", "amplifier", "digitizer", "power_meter")
IMAGES = 30
SEED = 11
#: Standard errors within which two figures are the same, but for one time in 150,000 each with independent draws.
SIGMAS = 4.5

SUPPLIERS = [each for each in fragments() if each.kind in ROLES]


@pytest.fixture(scope="module")
def ideal() -> Outcome:
    return run("digits", images=IMAGES, seed=SEED)


def standard_error(outcome: Outcome, quantity: str) -> float:
    """Of the pooled excess or transmittance."""
    found = getattr(outcome.finished.pooled, quantity)
    half: float = (found.high - found.low) / 2
    return half / normal_quantile(load_experiment("digits", images=1).run.confidence)


@pytest.mark.parametrize("fragment", SUPPLIERS, ids=[each.name for each in SUPPLIERS])
def test_a_second_supplier_gives_the_same_run(ideal: Outcome, fragment: Fragment, tmp_path: Path) -> None:
    """Same seed, so that most draws are the same; the errors are those of independent ones."""
    bench = write_bench(merged(fragment), tmp_path / "merged.bench.toml")
    outcome = run("digits", images=IMAGES, seed=SEED, bench=str(bench))
    assert (outcome.finished.status, outcome.verdict) == ("complete", "accepted"), outcome.error
    assert outcome.accuracy is not None
    assert ideal.accuracy is not None
    rate = ideal.accuracy
    assert abs(outcome.accuracy - rate) < SIGMAS * math.sqrt(2 * rate * (1 - rate) / IMAGES)
    assert outcome.finished.pooled is not None
    assert ideal.finished.pooled is not None
    assert outcome.finished.pooled.samples == ideal.finished.pooled.samples
    assert outcome.finished.pooled.expected == pytest.approx(ideal.finished.pooled.expected)
    for quantity in ("excess", "transmittance"):
        values = [getattr(each.finished.pooled, quantity).value for each in (outcome, ideal)]
        spread = math.hypot(standard_error(outcome, quantity), standard_error(ideal, quantity))
        assert abs(values[0] - values[1]) < SIGMAS * spread
