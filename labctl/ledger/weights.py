"""The server's account: bits of each weight of a model that may have leaked, added up over images and runs.

K images leak up to K I_w about the same weights (docs/physics.md, section 6). A run reserves what it will come to at
most before an instrument is opened, and settles for what was measured at its end. Until then, and for good if the
process dies, its reservation counts. Nothing here holds or sees data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter

from labctl.errors import BudgetRefusal, BudgetSpent, LedgerError
from labctl.events import LayerMeasured
from labctl.ledger.book import RESTORE, ROUNDING, Bits, Book, Number, Page, Reserved, damaged
from labctl.protocol.estimation import Receiver, ResidualSums, estimate
from labctl.protocol.leakage import Layer, layer_leakage, weight_leakage
from labctl.protocol.parameters import limits
from labctl.schema import StrictModel

_REMEDY = "Infer fewer images, leak less of each, or allow more (ledger.weights.bits_per_weight_budget)."


class WeightsReserved(Reserved):
    """A run of one model; ``bits_per_weight``: by layer, at most."""

    model: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    model_name: str
    bits_per_weight: Annotated[list[Bits], Field(min_length=1)]


class WeightsRaised(StrictModel):
    """Reservation ``of`` (its number) comes to more than was planned; ``bits_per_weight``: the new one."""

    kind: Literal["raise"] = "raise"
    of: Number
    bits_per_weight: list[Bits]


class WeightsSettled(StrictModel):
    """The run of reservation ``of`` has ended, with so many ``images`` begun.

    By layer: how often its weights were sent (``transmissions``), and what leaked in all, as measured, worst case.
    """

    kind: Literal["settle"] = "settle"
    time: str
    of: Number
    images: Number
    transmissions: list[Number]
    bits_per_weight: list[Bits]


_KINDS: TypeAdapter[BaseModel] = TypeAdapter(
    Annotated[WeightsReserved | WeightsRaised | WeightsSettled, Field(discriminator="kind")]
)


@dataclass(frozen=True)
class WeightsCharge:
    """What one run counts for. ``images``: planned until it has settled, then those begun."""

    number: int
    reserved: WeightsReserved
    bits_per_weight: tuple[float, ...]
    images: int
    settled: bool


def weights_book(path: Path) -> Book:
    """The server's file at ``path``, which need not exist yet."""
    return Book(path, "weights", _KINDS)


def weights_charges(page: Page, path: Path) -> tuple[WeightsCharge, ...]:
    """Every run in the book. Raises LedgerError for entries that do not fit together."""
    charges: dict[int, WeightsCharge] = {}
    for number, entry in enumerate(page.entries):
        if isinstance(entry, WeightsReserved):
            charges[number] = WeightsCharge(number, entry, tuple(entry.bits_per_weight), entry.images, False)
            continue
        assert isinstance(entry, WeightsRaised | WeightsSettled)
        before = charges.get(entry.of)
        if before is None or before.settled or len(entry.bits_per_weight) != len(before.bits_per_weight):
            raise damaged(path, number + 2, f"it does not belong to the reservation in line {entry.of + 2}")
        ended = isinstance(entry, WeightsSettled)
        images = entry.images if isinstance(entry, WeightsSettled) else before.images
        charges[entry.of] = WeightsCharge(before.number, before.reserved, tuple(entry.bits_per_weight), images, ended)
    return tuple(charges.values())


@dataclass(frozen=True)
class WeightsBalance:
    """What leaked of one model. ``bits_per_weight``: by layer; ``name``: of its latest run; counts of images, runs."""

    model: str
    name: str
    bits_per_weight: tuple[float, ...]
    images: int
    runs: int
    unsettled: int


def weights_balances(charges: Sequence[WeightsCharge]) -> tuple[WeightsBalance, ...]:
    """One for each model, in order of their first runs."""
    balances: dict[str, WeightsBalance] = {}
    for charge in charges:
        entry, bits = charge.reserved, charge.bits_per_weight
        before = balances.get(entry.model) or WeightsBalance(entry.model, "", (0.0,) * len(bits), 0, 0, 0)
        balances[entry.model] = WeightsBalance(
            entry.model,
            entry.model_name,
            tuple(old + new for old, new in zip(before.bits_per_weight, bits, strict=True)),
            before.images + charge.images,
            before.runs + 1,
            before.unsettled + (not charge.settled),
        )
    return tuple(balances.values())


@dataclass(frozen=True)
class WeightsTerms:
    """What the account must know of a run.

    ``model``: digest of the weights; ``layers``, ``receiver``, ``confidence``: what the bound is computed with;
    ``transmissions``: how often an image has each layer's weights sent; ``planned``: bits per weight and transmission,
    by layer, that an honest run will be found to leak at most. Of a run that is taken up again: ``first``, the first
    image of this part, and ``known``, the sums of each layer's light in the images before it.
    """

    run: str
    simulated: bool
    images: int
    model: str
    model_name: str
    layers: tuple[Layer, ...]
    transmissions: tuple[int, ...]
    planned: tuple[float, ...]
    receiver: Receiver
    confidence: float
    first: int = 0
    known: tuple[ResidualSums, ...] = ()


class WeightsGuard:
    """Holds one run to the budget. ``now``: the time of day as text."""

    def __init__(self, file: Path, budget: float, terms: WeightsTerms, now: Callable[[], str]) -> None:
        self._book = weights_book(file)
        self._budget = budget
        self._terms = terms
        self._now = now
        self._sums = list(terms.known) or [ResidualSums() for _ in terms.layers]
        self._sent = [0 for _ in terms.layers]
        self._rates = list(terms.planned)
        self._begun = 0
        self._flying: int | None = None
        self._reserved = [self._whole_run(layer) for layer in range(len(terms.layers))]
        self._number = -1
        self._entry: WeightsReserved | None = None

    def check(self) -> None:
        """Raise BudgetRefusal if the run as planned would exceed the budget. Writes nothing."""
        self._refuse(self._book.read())

    def reserve(self) -> None:
        """Enter what the run will come to at most, or raise BudgetRefusal."""
        terms = self._terms
        entry = WeightsReserved(
            time=self._now(),
            run=terms.run,
            simulated=terms.simulated,
            images=terms.images,
            model=terms.model,
            model_name=terms.model_name,
            bits_per_weight=self._reserved,
        )
        with self._book.turn() as page:
            self._refuse(page)
            self._number = self._book.add(page, entry)
        self._entry = entry

    def before_shot(self, image: int, layer: int) -> None:
        """Enter more if it is needed to send ``layer`` once more. Raises BudgetSpent when the budget has no more."""
        needed = (self._sent[layer] + self._terms.transmissions[layer]) * self._rates[layer]
        if needed > self._reserved[layer] * (1 + ROUNDING):
            self._raise(layer, needed)
        self._begun = image + 1 - self._terms.first
        self._flying = layer

    def on_layer(self, event: LayerMeasured) -> None:
        """Light came back: the bound on all of its layer so far, T and ε at the bad ends of their intervals."""
        layer, terms = event.layer, self._terms
        self._sums[layer] += ResidualSums(event.samples, event.sum_ss, event.sum_sr, event.sum_rr)
        modes = terms.layers[layer].modes * terms.layers[layer].rows
        self._sent[layer] += round(event.samples * terms.receiver.kappa / modes)
        measured = estimate(self._sums[layer], terms.receiver)
        reach = limits(measured, terms.receiver, terms.confidence)
        found = layer_leakage(terms.layers[layer], measured, reach)
        self._rates[layer] = found.weights_bits_per_weight
        self._flying = None

    def settle(self) -> None:
        """Enter what leaked. Light whose return was not measured counts as wholly taken (T = 0).

        Raises BudgetSpent, after it is entered, if the account exceeds the budget.
        """
        bits, sent = [count * rate for count, rate in zip(self._sent, self._rates, strict=True)], list(self._sent)
        if self._flying is not None:
            lost = self._terms.transmissions[self._flying]
            bits[self._flying] += lost * weight_leakage(self._terms.layers[self._flying].mean_photons, 0.0, 0.0) / 2
            sent[self._flying] += lost
        entry = WeightsSettled(
            time=self._now(), of=self._number, images=self._begun, transmissions=sent, bits_per_weight=bits
        )
        with self._book.turn() as page:
            others = self._others(page)
            self._book.add(page, entry)
        for layer, (old, new) in enumerate(zip(others, bits, strict=True)):
            if old + new > self._budget * (1 + ROUNDING):
                raise BudgetSpent(self._told(layer, old + new, old, "has brought"), _REMEDY)

    @property
    def number(self) -> int:
        """Of the reservation in the book."""
        return self._number

    def settle_killed(self, number: int, images: int, layers: Sequence[LayerMeasured]) -> None:
        """For a program that was killed: what its file holds, and one image that may have been under way, wholly taken.

        A reservation that is settled, or is another run's, is left alone.
        """
        terms = self._terms
        for event in layers:
            self.on_layer(event)
        lost = terms.transmissions if images < terms.images else (0,) * len(terms.layers)
        taken = [
            count * weight_leakage(layer.mean_photons, 0.0, 0.0) / 2
            for count, layer in zip(lost, terms.layers, strict=True)
        ]
        entry = WeightsSettled(
            time=self._now(),
            of=number,
            images=min(images + 1, terms.images),
            transmissions=[sent + more for sent, more in zip(self._sent, lost, strict=True)],
            bits_per_weight=[
                sent * rate + more for sent, rate, more in zip(self._sent, self._rates, taken, strict=True)
            ],
        )
        with self._book.turn() as page:
            for charge in weights_charges(page, self._book.path):
                mine = (charge.reserved.run, charge.reserved.model) == (terms.run, terms.model)
                if charge.number == number and mine and not charge.settled:
                    self._book.add(page, entry)
                    return

    def _refuse(self, page: Page) -> None:
        others = self._others(page)
        for layer, (old, new) in enumerate(zip(others, self._reserved, strict=True)):
            if old + new > self._budget * (1 + ROUNDING):
                raise BudgetRefusal(self._told(layer, old + new, old, "would bring"), _REMEDY)

    def _raise(self, layer: int, needed: float) -> None:
        with self._book.turn() as page:
            old = self._others(page)[layer]
            available = self._budget - old
            if needed > available * (1 + ROUNDING):
                raise BudgetSpent(self._told(layer, old + needed, old, "would bring, with one more layer,"), _REMEDY)
            self._reserved[layer] = max(needed, min(self._whole_run(layer), available))
            self._book.add(page, WeightsRaised(of=self._number, bits_per_weight=self._reserved))

    def _whole_run(self, layer: int) -> float:
        """What all images come to at the present rate."""
        return self._terms.images * self._terms.transmissions[layer] * self._rates[layer]

    def _others(self, page: Page) -> list[float]:
        """Bits per weight that all other runs of this model count for, by layer."""
        if self._entry is not None and page.entries[self._number : self._number + 1] != (self._entry,):
            raise LedgerError(f"{self._book.path}: another file than this run has reserved in", RESTORE)
        charges = weights_charges(page, self._book.path)
        same = [each for each in charges if each.reserved.model == self._terms.model and each.number != self._number]
        return list(weights_balances(same)[0].bits_per_weight) if same else [0.0 for _ in self._terms.layers]

    def _told(self, layer: int, total: float, before: float, verb: str) -> str:
        terms = self._terms
        return (
            f"{self._book.path}: run {terms.run!r} {verb} what leaked of the weights of {terms.model_name!r}, layer"
            f" {layer}, to {total:.4g} bits per weight ({before:.4g} by other runs); the budget is {self._budget:.4g}"
        )
