"""The ledgers of one run: made from what was checked, before anything is opened, and kept until the light is off."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from labctl.errors import LabctlError
from labctl.events import EventBus, LayerMeasured
from labctl.experiment import Experiment
from labctl.ledger.data import DataGuard, DataTerms, row_digests
from labctl.ledger.weights import WeightsGuard, WeightsTerms


class Guard(Protocol):
    """Holds one run to one budget."""

    def check(self) -> None:
        """Raise BudgetRefusal if the run would exceed it."""
        ...

    def reserve(self) -> None:
        """Enter the run, or raise BudgetRefusal."""
        ...

    def before_shot(self, image: int, layer: int) -> None:
        """Raise BudgetSpent if no further shot may be sent."""
        ...

    def settle(self) -> None:
        """Enter what leaked."""
        ...


class RunLedgers:
    """All ledgers that the run names; none is fine. A context manager: entering reserves, leaving settles.

    Entering raises BudgetRefusal or LedgerError, and then nothing is reserved. ``wall_time``: seconds since 1970.
    """

    def __init__(self, experiment: Experiment, bus: EventBus, wall_time: Callable[[], float] = time.time) -> None:
        def now() -> str:
            return datetime.fromtimestamp(wall_time(), UTC).isoformat(timespec="seconds")

        self._guards: list[Guard] = []
        self._reserved: list[Guard] = []
        ledger = experiment.run.ledger
        if ledger.weights is not None:
            file = Path(ledger.weights.file)
            weights = WeightsGuard(file, ledger.weights.bits_per_weight_budget, weights_terms(experiment), now)
            bus.subscribe(LayerMeasured, weights.on_layer)
            self._guards.append(weights)
        if ledger.data is not None:
            terms = data_terms(experiment)
            self._guards.append(DataGuard(Path(ledger.data.file), ledger.data.bits_per_symbol_budget, terms, now))

    def check(self) -> None:
        """Raise what entering would raise on account of the budgets. Writes nothing."""
        for guard in self._guards:
            guard.check()

    def before_shot(self, image: int, layer: int) -> None:
        """Asked before each shot. Raises BudgetSpent when it must not be sent."""
        for guard in self._reserved:
            guard.before_shot(image, layer)

    def __enter__(self) -> Self:
        self.check()  # so that one party's refusal leaves no trace in the other's account
        try:
            for guard in self._guards:
                guard.reserve()
                self._reserved.append(guard)
        except BaseException as error:
            self._settle(error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._settle(error)

    def _settle(self, cause: BaseException | None) -> None:
        """Every account, whatever happens to one. What went wrong is raised, unless the run ended by an error."""
        failures: list[LabctlError] = []
        while self._reserved:
            try:
                self._reserved.pop().settle()
            except LabctlError as error:  # not entered: the reservation stands, and counts
                failures.append(error)
        if cause is None and failures:
            raise failures[0]
        if cause is not None:
            for failure in failures:
                cause.add_note(str(failure))


def weights_terms(experiment: Experiment) -> WeightsTerms:
    """The server's side of an experiment."""
    agreement, run = experiment.agreement(), experiment.run
    return WeightsTerms(
        run=run.name,
        simulated=experiment.bench.simulated,
        images=experiment.images,
        model=experiment.network.digest,
        model_name=experiment.network.name,
        layers=agreement.layers,
        transmissions=tuple(layer.transmissions for layer in experiment.network.layers),
        planned=tuple(each.weights_bits_per_weight for each in experiment.planned_leakage()),
        receiver=agreement.receiver,
        confidence=agreement.confidence,
    )


def data_terms(experiment: Experiment) -> DataTerms:
    """The client's side of an experiment: the worst layer's figures, at the gain that the client really uses."""
    assert experiment.run.ledger.data is not None
    v1, journal = experiment.client_data_bits()
    return DataTerms(
        run=experiment.run.name,
        simulated=experiment.bench.simulated,
        rows=row_digests(experiment.dataset.images),
        bits_v1=v1,
        bits_journal=journal,
        convention=experiment.run.ledger.data.convention,
    )
