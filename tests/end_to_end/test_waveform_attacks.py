"""Attacks and failing gates on the bench that sends pulses: noticed as computed, and ended with their reason.

A right lab fails an alarm's deadline once in a thousand runs, and the tap's figures once in 150,000 (4.5 standard
errors); seeds are fixed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binom

from labctl.adversary import agreed_terms, mounted_attack
from labctl.config import RunConfig
from labctl.engine import RunControl
from labctl.errors import CalibrationError
from labctl.events import EventBus
from labctl.experiment import Experiment, prepare_experiment
from labctl.protocol.power import assess
from labctl.session import Outcome, run_experiment
from labctl.shipped import examples

DEADLINE = 0.999
RUNS, RATE = 12, 0.2


def bench_with(folder: Path, *changes: tuple[str, str]) -> str:
    text = (examples() / "waveform.bench.toml").read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / "changed.bench.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def experiment(images: int, **keys: Any) -> Experiment:
    run = {
        "name": "pulses",
        "dataset": "digits",
        "model": "digits",
        "bench": "waveform",
        "gain": 1.3,
        "mean_photons": 4.0,
        "images": images,
        "seed": 5,
    }
    return prepare_experiment(RunConfig.model_validate(run | keys))


def executed(planned: Experiment) -> Outcome:
    return run_experiment(planned, EventBus(), RunControl(), None)


@pytest.mark.parametrize(
    ("attack", "strength", "images"),
    [("resend", 0.05, 20), ("all-modes", 1.3, 20), ("injection", 0.1, 20), ("greedy", 4.0, 150)],
)
def test_alarm_as_soon_as_computed(attack: str, strength: float, images: int) -> None:
    planned = experiment(images, adversary={"attack": attack, "strength": strength})
    computed = assess(planned.agreement().plan(), agreed_terms(planned), mounted_attack(planned))
    limit = computed.detection.images_to_alarm(DEADLINE)
    assert limit <= images
    outcome = executed(planned)
    assert (outcome.error, outcome.verdict) == (None, "alarm")
    assert outcome.finished.adversary is not None
    found = outcome.finished.adversary.attack
    assert found is not None
    assert found.alarm_image is not None
    assert found.alarm_image + 1 <= limit


def test_a_tap_is_priced_not_noticed() -> None:
    outcome = executed(experiment(20, adversary={"attack": "tap", "strength": 0.1}))
    assert (outcome.error, outcome.verdict) == (None, "accepted")
    pooled = outcome.finished.pooled
    assert pooled is not None
    error = (pooled.transmittance.high - pooled.transmittance.value) / 1.96
    assert abs(pooled.transmittance.value - 0.9) < 4.5 * error
    assert pooled.leakage.weights_bits_per_mode > 1


def test_false_alarms_are_as_rare_as_configured(tmp_path: Path) -> None:
    """Honest runs, each with a calibration of its own, at a rate of 0.2: more alarms than allowed once in 5000 times.

    The phase's residue is in H0 as technical noise, and the calibration's error as one that all looks share.
    """
    bench = bench_with(
        tmp_path,
        ("calibration_symbols = 900_000", "calibration_symbols = 100_000"),
        ("calibration_samples = 1_800_000", "calibration_samples = 200_000"),
    )
    verdicts = [
        executed(experiment(6, bench=bench, gain=2.0, seed=seed, false_alarm_rate=RATE)).verdict for seed in range(RUNS)
    ]
    assert set(verdicts) <= {"accepted", "alarm"}
    assert verdicts.count("alarm") <= binom.isf(2e-4, RUNS, RATE)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('linewidth = "100 Hz"', 'linewidth = "1 MHz"', "phase"),
        (
            '[world.server_receiver]\nvolts_per_snu = "20 mV"',
            '[world.server_receiver]\nvolts_per_snu = "200 mV"',
            "outside the digitizer's range",
        ),
        (
            '[world.server_receiver]\nvolts_per_snu = "20 mV"',
            '[world.server_receiver]\nelectronic_noise = 0.3\nvolts_per_snu = "20 mV"',
            "10 dB are needed",
        ),
    ],
    ids=["pilot lock", "clipping", "clearance"],
)
def test_a_failed_gate_ends_the_run_with_its_reason(tmp_path: Path, old: str, new: str, said: str) -> None:
    outcome = executed(experiment(2, bench=bench_with(tmp_path, (old, new))))
    assert (outcome.finished.status, outcome.verdict, outcome.finished.pooled) == ("failed", None, None)
    assert isinstance(outcome.error, CalibrationError)  # the first record that fails is one of the calibration
    assert said in str(outcome.error)
    assert outcome.error.remedy
