"""The ledgers of one run: made from what was checked, before anything is opened, and kept until the light is off."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from labctl.errors import LabctlError
from labctl.events import EventBus, LayerMeasured
from labctl.experiment import Experiment
from labctl.ledger.data import DataGuard, DataTerms, row_digests
from labctl.ledger.weights import WeightsGuard, WeightsTerms
from labctl.protocol.estimation import ResidualSums
from labctl.resume import Resumption


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

    @property
    def number(self) -> int:
        """Of the reservation in its book."""
        ...

    def settle_killed(self, number: int, images: int, layers: Sequence[LayerMeasured]) -> None:
        """Enter for a program that was killed what its reservation came to."""
        ...


class RunLedgers:
    """All ledgers that the run names; none is fine. A context manager: entering reserves, leaving settles.

    Entering raises BudgetRefusal or LedgerError, and then nothing is reserved. ``wall_time``: seconds since 1970.
    ``resumed``: what is done of the run, which only the remaining images are reserved for.
    """

    def __init__(
        self,
        experiment: Experiment,
        bus: EventBus,
        wall_time: Callable[[], float] = time.time,
        resumed: Resumption | None = None,
    ) -> None:
        def now() -> str:
            return datetime.fromtimestamp(wall_time(), UTC).isoformat(timespec="seconds")

        self._guards: list[Guard] = []
        self._reserved: list[Guard] = []
        self._names: list[str] = []
        self._left = None if resumed is None else partial(_settle_killed, experiment, resumed, now)
        if resumed is not None and resumed.images == experiment.images:
            return
        ledger = experiment.run.ledger
        if ledger.weights is not None:
            file = Path(ledger.weights.file)
            weights = WeightsGuard(file, ledger.weights.bits_per_weight_budget, weights_terms(experiment, resumed), now)
            bus.subscribe(LayerMeasured, weights.on_layer)
            self._guards.append(weights)
            self._names.append("ledger_weights")
        if ledger.data is not None:
            terms = data_terms(experiment, resumed)
            self._names.append("ledger_data")
            self._guards.append(DataGuard(Path(ledger.data.file), ledger.data.bits_per_symbol_budget, terms, now))

    def entries(self) -> dict[str, int]:
        """Numbers of the reservations, by what the run file calls them."""
        return {name: guard.number for name, guard in zip(self._names, self._guards, strict=True)}

    def check(self) -> None:
        """Raise what entering would raise on account of the budgets. Writes nothing."""
        for guard in self._guards:
            guard.check()

    def before_shot(self, image: int, layer: int) -> None:
        """Asked before each shot. Raises BudgetSpent when it must not be sent."""
        for guard in self._reserved:
            guard.before_shot(image, layer)

    def __enter__(self) -> Self:
        if self._left is not None:
            self._left()
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


def _settle_killed(experiment: Experiment, resumed: Resumption, now: Callable[[], str]) -> None:
    """What a killed program left open. Where its run file was not ended, more may have been sent than it tells: then
    the reservation stands, and counts as planned.
    """
    if not resumed.ended:
        return
    ledger, layers = experiment.run.ledger, resumed.measured()
    guards: list[tuple[str, Guard]] = []
    if ledger.weights is not None:
        left = WeightsGuard(Path(ledger.weights.file), math.inf, weights_terms(experiment), now)
        guards.append(("ledger_weights", left))
    if ledger.data is not None:
        guards.append(("ledger_data", DataGuard(Path(ledger.data.file), math.inf, data_terms(experiment), now)))
    for name, guard in guards:
        if isinstance(number := resumed.provenance.get(name), int):
            guard.settle_killed(number, resumed.images, layers)


def weights_terms(experiment: Experiment, resumed: Resumption | None = None) -> WeightsTerms:
    """The server's side of an experiment, or of what remains of it."""
    done = 0 if resumed is None else resumed.images
    agreement, run = experiment.agreement(), experiment.run
    return WeightsTerms(
        run=run.name,
        simulated=experiment.bench.simulated,
        images=experiment.images - done,
        model=experiment.network.digest,
        model_name=experiment.network.name,
        layers=agreement.layers,
        transmissions=tuple(layer.transmissions for layer in experiment.network.layers),
        planned=tuple(each.weights_bits_per_weight for each in experiment.planned_leakage()),
        receiver=agreement.receiver,
        confidence=agreement.confidence,
        first=done,
        known=() if resumed is None else tuple(sum(layer, ResidualSums()) for layer in zip(*resumed.sums, strict=True)),
    )


def data_terms(experiment: Experiment, resumed: Resumption | None = None) -> DataTerms:
    """The client's side of an experiment: the worst layer's figures, at the gain that the client really uses."""
    assert experiment.run.ledger.data is not None
    done = 0 if resumed is None else resumed.images
    v1, journal = experiment.client_data_bits()
    return DataTerms(
        run=experiment.run.name,
        simulated=experiment.bench.simulated,
        rows=row_digests(experiment.dataset.images[done:]),
        bits_v1=v1,
        bits_journal=journal,
        convention=experiment.run.ledger.data.convention,
        first=done,
    )
