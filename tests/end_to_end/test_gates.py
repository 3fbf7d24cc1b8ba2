"""Gates of a run name the reason that they have, and no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labctl.budget.trial import first_layer
from labctl.engine import RunControl
from labctl.errors import GateError
from labctl.events import EventBus
from labctl.experiment import load_experiment
from labctl.run_tables import AdversaryConfig
from labctl.session import Outcome, run_experiment
from labctl.shipped import bench_path


def run(folder: Path, old: str, new: str, images: int = 60) -> Outcome:
    text = bench_path("ideal").read_text(encoding="utf-8")
    assert old in text
    path = folder / "changed.bench.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return run_experiment(load_experiment("digits", bench=str(path), images=images), EventBus(), RunControl(), None)


def test_a_receiver_without_clearance_is_named_before_any_light(tmp_path: Path) -> None:
    outcome = run(tmp_path, "[server_receiver]", "[server_receiver]\nelectronic_noise = 0.2")
    assert isinstance(outcome.error, GateError)
    assert "server_receiver: shot noise is 6.99 dB above the electronic noise" in outcome.finished.cause
    assert outcome.finished.images == 0


def test_a_tap_that_no_tap_could_be_is_refused(tmp_path: Path) -> None:
    outcome = run(tmp_path, "[world.places]", "[world.tap]\nfraction_error = 0.6\n\n[world.places]")
    assert outcome.error is not None
    assert outcome.finished.images == 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_honest_run_passes_all_gates(seed: int) -> None:
    outcome = run_experiment(load_experiment("digits", images=60, seed=seed), EventBus(), RunControl(), None)
    assert outcome.error is None


def test_light_that_is_brighter_than_calibrated_ends_the_run(tmp_path: Path) -> None:
    """0.5 dB more than the calibration says hide 0.5 dB of loss: T̂ = 1.12 ± 0.016 an image."""
    outcome = run(tmp_path, '[world.modulator]\nloss = "6 dB"', '[world.modulator]\nloss = "5.5 dB"')
    assert isinstance(outcome.error, GateError)
    assert "more light comes back than was sent" in outcome.finished.cause
    assert outcome.verdict == "aborted"
    assert (outcome.finished.images, outcome.finished.pooled) == (0, None), (
        "a calibration that is wrong is so from the first"
    )
    assert 1 <= outcome.finished.doubtful < 20


def test_trials_of_a_noise_budget_may_find_more_light(tmp_path: Path) -> None:
    """They switch losses off; nobody else gets past the gate so."""
    experiment = load_experiment("digits", images=60)
    assert not experiment.trial
    assert first_layer(experiment).trial


def test_a_tap_that_is_not_the_gain_s_is_told(tmp_path: Path) -> None:
    """τG = 0.8 takes light out of the client's mode: 1 % of it all, twelve standard errors in 360 images."""
    outcome = run(tmp_path, "[world.places]", "[world.tap]\nfraction_error = -0.1\n\n[world.places]", images=360)
    assert outcome.verdict == "accepted"
    assert outcome.finished.warnings
    assert "a client whose tap and gain do not fit" in outcome.finished.warnings[0]
    honest = run_experiment(load_experiment("digits", images=360), EventBus(), RunControl(), None)
    assert honest.finished.warnings == ()


@pytest.mark.parametrize("linewidth", ["1 MHz", "100 kHz", "30 kHz"])
def test_a_lost_phase_reference_is_no_cheating_client(tmp_path: Path, linewidth: str) -> None:
    """Light and oscillator of the telecom bench are up to 31 bins apart: σ² of 1.6 rad² at 1 MHz, 0.05 at 30 kHz."""
    path = tmp_path / "broad.bench.toml"
    text = bench_path("telecom").read_text(encoding="utf-8")
    assert 'linewidth = "1 kHz"' in text
    path.write_text(text.replace('linewidth = "1 kHz"', f'linewidth = "{linewidth}"'), encoding="utf-8")
    experiment = load_experiment("digits-telecom", bench=str(path), images=360)
    outcome = run_experiment(experiment, EventBus(), RunControl(), None)
    assert isinstance(outcome.error, GateError)
    assert "the phase reference is lost" in outcome.finished.cause
    assert outcome.verdict == "aborted"


def test_light_that_is_gone_is_told_in_numbers(tmp_path: Path) -> None:
    experiment = load_experiment("digits", images=5)
    tapped = experiment.run.model_copy(update={"adversary": AdversaryConfig(attack="tap", strength=0.999)})
    outcome = run_experiment(replace(experiment, run=tapped), EventBus(), RunControl(), None)
    assert isinstance(outcome.error, GateError)
    assert "5 are needed and a lossless way gives 128" in outcome.finished.cause
    assert "where the dark port alone gives 1" in outcome.finished.cause
