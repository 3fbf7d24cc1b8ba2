"""The shipped bench with faults: technical noise costs no honest client an alarm and hides no greedy one."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from labctl.events import AlarmRaised
from labctl.experiment import Experiment, load_experiment
from labctl.protocol.attacks import Agreed, named_attack
from labctl.protocol.design import Channel
from labctl.protocol.intervals import normal_quantile
from labctl.protocol.power import assess
from tests.end_to_end.followed import Followed

IMAGES = 200
#: Standard errors that a right estimate stays within, but for one time in 150,000.
SIGMAS = 4.5


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return load_experiment("digits-telecom", images=IMAGES)


def test_an_honest_run_is_accepted_and_its_estimates_are_unbiased(experiment: Experiment) -> None:
    """T against the calibrated losses, ε against honest and technical noise, within the errors that are told."""
    followed = Followed(name="digits-telecom", images=IMAGES)
    assert followed.outcome.verdict == "accepted"
    pooled, link = followed.outcome.finished.pooled, experiment.bench.link
    assert pooled is not None
    quantile = normal_quantile(experiment.run.confidence)
    excess_se = math.hypot((pooled.excess.high - pooled.excess.low) / 2 / quantile, link.technical_excess_se)
    assert pooled.technical == pytest.approx(link.technical_excess)
    assert pooled.technical > 0
    assert pooled.expected == pytest.approx((2 - 2 / 1.3) * 1.5 / 32 * experiment.transmittance_back)
    assert abs(pooled.excess.value - pooled.expected - pooled.technical) < SIGMAS * excess_se
    # The allowance matters: without it the estimate is off.
    assert pooled.excess.value - pooled.expected > 2 * excess_se
    transmittance_se = (pooled.transmittance.high - pooled.transmittance.low) / 2 / quantile
    expected = experiment.transmittance_in * experiment.transmittance_back
    assert abs(pooled.transmittance.value - expected) < SIGMAS * transmittance_se
    accuracy = followed.outcome.finished.accuracy
    assert accuracy is not None
    assert accuracy.value > 0.8


def test_a_greedy_client_is_caught_in_time(experiment: Experiment, tmp_path: Path) -> None:
    """Within the images that the power of the test, technical noise included, promises at 0.999."""
    plan, run, bench = experiment.agreement().plan(), experiment.run, experiment.bench
    assert plan.common_excess_se > 0
    assert all(layer.technical_excess > 0 for layer in plan.layers)
    channel = Channel(experiment.transmittance_in, experiment.transmittance_back, bench.amplifier.n_sp)
    promised = assess(plan, Agreed(run.gain, run.mean_photons, channel), named_attack("greedy", 10.0))
    within = promised.detection.images_to_alarm(0.999)
    assert within < IMAGES
    path = tmp_path / "greedy.toml"
    path.write_text(
        'dataset = "digits"\nmodel = "digits-noise-aware"\nbench = "telecom"\ngain = 1.3\nmean_photons = 4.0\n'
        "seed = 1\n[adversary]\nclient_gain = 10.0\n"
    )
    followed = Followed(name=path, images=IMAGES)
    assert followed.outcome.verdict == "alarm"
    (alarm,) = followed.of(AlarmRaised)
    assert alarm.image < within


def test_the_forecast_tells_both_noises(experiment: Experiment) -> None:
    forecast = experiment.forecast()
    assert forecast.technical_excess == pytest.approx(experiment.bench.link.technical_excess)
    assert forecast.expected_excess == pytest.approx(experiment.agreement().expected)
    assert any("of the bench's own in the mean" in line for line in forecast.lines())
    ideal = load_experiment("digits", images=2).forecast()
    assert ideal.technical_excess == 0
    assert not any("of the bench's own" in line for line in ideal.lines())


def test_the_leakage_counts_technical_noise_as_the_adversarys(experiment: Experiment) -> None:
    quiet = experiment.bench.with_technical(0.0, 0.0)
    spared = Experiment(experiment.run, quiet, experiment.bench_path, experiment.network, experiment.dataset)
    for with_it, without in zip(experiment.planned_leakage(), spared.planned_leakage(), strict=True):
        assert with_it.weights_bits_per_mode > without.weights_bits_per_mode
