"""Gates of a run name the reason that they have, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.engine import RunControl
from labctl.errors import GateError
from labctl.events import EventBus
from labctl.experiment import load_experiment
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
