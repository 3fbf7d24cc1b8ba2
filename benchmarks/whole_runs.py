"""Runs as the long parts of :mod:`soak` need them: without a file, errors raised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labctl.config import RunConfig
from labctl.engine import RunControl
from labctl.events import EventBus
from labctl.experiment import load_experiment, prepare_experiment
from labctl.session import Outcome, run_experiment


def execute(config: RunConfig) -> Outcome:
    """One run without a file; errors are raised."""
    outcome = run_experiment(prepare_experiment(config), EventBus(), RunControl(), None)
    if outcome.error is not None:
        raise outcome.error
    return outcome


def mnist(data: str | None, **changes: Any) -> RunConfig:
    """The shipped MNIST run with changes."""
    shipped = load_experiment("mnist", data=Path(data) if data else None, images=1).run
    return shipped.model_copy(update={"images": None, **changes})
