"""The server's account: reservations, what a run is charged, when it may go on, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from labctl.errors import BudgetRefusal, BudgetSpent, LedgerError
from labctl.events import LayerMeasured
from labctl.ledger.weights import (
    WeightsCharge,
    WeightsGuard,
    WeightsRaised,
    WeightsReserved,
    WeightsSettled,
    WeightsTerms,
    weights_balances,
    weights_book,
    weights_charges,
)
from labctl.protocol.estimation import Estimate, Receiver, ResidualSums, estimate
from labctl.protocol.leakage import Layer, LayerLeakage, expected_estimate, layer_leakage, weight_leakage
from labctl.protocol.parameters import limits

MODEL, OTHER = "a" * 64, "b" * 64
LAYERS = (Layer(4.0, 1.0, 32, 64), Layer(4.0, 1.0, 32, 10))
SAMPLES = (4096, 640)
RECEIVER = Receiver(0.5)
HONEST = 1.0 / 32


def bound_of(layer: Layer, found: Estimate) -> LayerLeakage:
    """Worst case within the intervals at 95 %."""
    return layer_leakage(layer, found, limits(found, RECEIVER, 0.95))


def terms(images: int = 10, **changes: Any) -> WeightsTerms:
    values: dict[str, Any] = {
        "run": "r",
        "simulated": True,
        "images": images,
        "model": MODEL,
        "model_name": "digits",
        "layers": LAYERS,
        "transmissions": (1, 1),
        "planned": (0.5, 0.8),
        "receiver": RECEIVER,
        "confidence": 0.95,
    }
    return WeightsTerms(**(values | changes))


def guard(folder: Path, budget: float = 100.0, **changes: Any) -> WeightsGuard:
    return WeightsGuard(folder / "w.ledger", budget, terms(**changes), lambda: "2026-01-01T00:00:00+00:00")


def measured(
    image: int, layer: int, excess: float = HONEST, transmittance: float = 1.0, times: int = 1
) -> LayerMeasured:
    """Sums as a channel of these values gives them on average."""
    n = SAMPLES[layer] * times
    squared, t2 = 8.0 * n, 0.5 * transmittance
    return LayerMeasured(
        image, layer, n, squared, math.sqrt(t2) * squared, t2 * squared + (1 + 0.5 * excess) * n, excess, transmittance
    )


def images(found: WeightsGuard, start: int, stop: int, **channel: float) -> None:
    for image in range(start, stop):
        for layer in range(2):
            found.before_shot(image, layer)
            found.on_layer(measured(image, layer, **channel))


def charges(folder: Path) -> tuple[WeightsCharge, ...]:
    path = folder / "w.ledger"
    return weights_charges(weights_book(path).read(), path)


def spend(folder: Path, bits: float, model: str = MODEL) -> None:
    """A settled run that counts for ``bits`` in both layers."""
    book = weights_book(folder / "w.ledger")
    with book.turn() as page:
        entry = WeightsReserved(
            time="t",
            run="before",
            simulated=True,
            images=1,
            model=model,
            model_name="digits",
            bits_per_weight=[9.0] * 2,
        )
        number = book.add(page, entry)
    with book.turn() as page:
        settled = WeightsSettled(time="t", of=number, images=1, transmissions=[1, 1], bits_per_weight=[bits] * 2)
        book.add(page, settled)


def test_a_run_is_reserved_as_planned_and_charged_as_measured(tmp_path: Path) -> None:
    found = guard(tmp_path)
    found.reserve()
    (charge,) = charges(tmp_path)
    assert (charge.settled, charge.images, charge.bits_per_weight) == (False, 10, (5.0, 8.0))
    images(found, 0, 10)
    found.settle()
    (charge,) = charges(tmp_path)
    expected = []
    for layer in range(2):
        sums = ResidualSums()
        for image in range(10):
            event = measured(image, layer)
            sums += ResidualSums(event.samples, event.sum_ss, event.sum_sr, event.sum_rr)
        bound = bound_of(LAYERS[layer], estimate(sums, RECEIVER))
        expected.append(10 * bound.weights_bits_per_weight)
    assert (charge.settled, charge.images) == (True, 10)
    assert charge.bits_per_weight == tuple(expected)
    assert expected[1] > expected[0] > 10 * weight_leakage(4.0, 1.0, HONEST) / 2, (
        "worst case, and the small layer decides"
    )


def test_runs_and_images_add_up_by_model(tmp_path: Path) -> None:
    spend(tmp_path, 2.0)
    spend(tmp_path, 3.0)
    spend(tmp_path, 7.0, OTHER)
    first, second = weights_balances(charges(tmp_path))
    assert (first.model, first.bits_per_weight, first.runs, first.images, first.unsettled) == (
        MODEL,
        (5.0, 5.0),
        2,
        2,
        0,
    )
    assert (second.model, second.bits_per_weight) == (OTHER, (7.0, 7.0))
    guard(tmp_path).reserve()
    assert weights_balances(charges(tmp_path))[0].bits_per_weight == (10.0, 13.0)
    assert weights_balances(charges(tmp_path))[0].unsettled == 1


def test_a_run_that_would_exceed_is_refused_and_not_entered(tmp_path: Path) -> None:
    spend(tmp_path, 2.1)
    found = guard(tmp_path, budget=10.0)
    for attempt in (found.check, found.reserve):
        with pytest.raises(BudgetRefusal, match=r"layer 1, to 10\.1 bits per weight \(2\.1 by other runs\)") as refusal:
            attempt()
        assert "bits_per_weight_budget" in refusal.value.remedy
    assert len(charges(tmp_path)) == 1
    guard(tmp_path, budget=10.1).reserve()


def test_another_models_leakage_does_not_count(tmp_path: Path) -> None:
    spend(tmp_path, 1e6, OTHER)
    guard(tmp_path, budget=8.0).reserve()


def test_a_reservation_of_another_process_counts(tmp_path: Path) -> None:
    guard(tmp_path, budget=15.0).reserve()
    with pytest.raises(BudgetRefusal, match="8 by other runs"):
        guard(tmp_path, budget=15.0).reserve()


def test_a_run_that_leaks_more_than_planned_reserves_more(tmp_path: Path) -> None:
    found = guard(tmp_path, planned=(0.01, 0.01))
    found.reserve()
    images(found, 0, 2)
    (charge,) = charges(tmp_path)
    sent = [2 * bound_of(LAYERS[n], _pooled(n, 2)).weights_bits_per_weight for n in range(2)]
    assert all(got >= bits for got, bits in zip(charge.bits_per_weight, sent, strict=True))
    lines = len((tmp_path / "w.ledger").read_bytes().splitlines())
    images(found, 2, 10)
    assert len((tmp_path / "w.ledger").read_bytes().splitlines()) == lines, "the rate falls: nothing more to enter"


def _pooled(layer: int, count: int) -> Any:
    return expected_estimate(4.0, 1.0, HONEST, count * SAMPLES[layer], RECEIVER)


def test_a_run_is_stopped_before_it_exceeds(tmp_path: Path) -> None:
    """Loss that nobody planned: I_w rises to a bit or two per weight."""
    found = guard(tmp_path, budget=20.0, images=100, planned=(0.1, 0.1))
    found.reserve()
    with pytest.raises(BudgetSpent, match="the budget is 20") as stop:
        images(found, 0, 100, transmittance=0.8)
    assert stop.value.remedy
    found.settle()
    (charge,) = charges(tmp_path)
    assert charge.settled
    assert 1 < charge.images < 100
    assert 15 < max(charge.bits_per_weight) <= 20, "what leaked until then is entered, and is within the budget"


def test_what_another_process_reserves_meanwhile_is_seen(tmp_path: Path) -> None:
    found = guard(tmp_path, budget=20.0, planned=(0.5, 0.5))
    found.reserve()
    guard(tmp_path, budget=20.0, planned=(1.5, 1.5)).reserve()
    with pytest.raises(BudgetSpent, match=r"15 by other runs"):
        images(found, 0, 10, transmittance=0.8)


@pytest.mark.parametrize(("layer", "before"), [(0, [0, 0]), (1, [1, 0])])
def test_light_that_did_not_come_back_counts_as_wholly_taken(tmp_path: Path, layer: int, before: list[int]) -> None:
    found = guard(tmp_path)
    found.reserve()
    for each in range(layer):
        found.before_shot(0, each)
        found.on_layer(measured(0, each))
    found.before_shot(0, layer)
    found.settle()
    (charge,) = charges(tmp_path)
    assert charge.bits_per_weight[layer] == weight_leakage(4.0, 0.0, 0.0) / 2
    assert charge.images == 1
    assert charge.bits_per_weight[1] > 0 or layer == 0
    settled = weights_book(tmp_path / "w.ledger").read().entries[-1]
    assert isinstance(settled, WeightsSettled)
    before[layer] += 1
    assert settled.transmissions == before


def test_lost_light_may_exceed_the_budget_and_is_entered_all_the_same(tmp_path: Path) -> None:
    found = guard(tmp_path, budget=0.6, images=1, planned=(0.5, 0.6))
    found.reserve()
    found.before_shot(0, 0)
    with pytest.raises(BudgetSpent, match="has brought"):
        found.settle()
    (charge,) = charges(tmp_path)
    assert charge.settled
    assert charge.bits_per_weight[0] > 1


def test_nothing_sent_nothing_leaked(tmp_path: Path) -> None:
    found = guard(tmp_path)
    found.reserve()
    found.settle()
    (charge,) = charges(tmp_path)
    assert (charge.bits_per_weight, charge.images) == ((0.0, 0.0), 0)


def test_weights_that_are_sent_several_times_an_image(tmp_path: Path) -> None:
    found = guard(tmp_path, images=3, transmissions=(4, 1), planned=(0.5, 0.5))
    found.reserve()
    assert charges(tmp_path)[0].bits_per_weight == (6.0, 1.5)
    found.before_shot(0, 0)
    found.on_layer(measured(0, 0, times=4))
    found.settle()
    settled = weights_book(tmp_path / "w.ledger").read().entries[-1]
    assert isinstance(settled, WeightsSettled)
    assert settled.transmissions == [4, 0]
    bound = bound_of(LAYERS[0], estimate(ResidualSums(*_sums(measured(0, 0, times=4))), RECEIVER))
    assert settled.bits_per_weight == [4 * bound.weights_bits_per_weight, 0.0]


def _sums(event: LayerMeasured) -> tuple[int, float, float, float]:
    return event.samples, event.sum_ss, event.sum_sr, event.sum_rr


def test_a_file_that_was_exchanged_under_the_run(tmp_path: Path) -> None:
    found = guard(tmp_path)
    found.reserve()
    (tmp_path / "w.ledger").unlink()
    with pytest.raises(LedgerError, match="another file"):
        found.settle()
    assert not (tmp_path / "w.ledger").exists()


@pytest.mark.parametrize(
    "entries",
    [
        [WeightsRaised(of=0, bits_per_weight=[1.0, 1.0])],
        [WeightsSettled(time="t", of=5, images=0, transmissions=[0, 0], bits_per_weight=[0.0, 0.0])],
        ["reserve", WeightsRaised(of=0, bits_per_weight=[1.0])],
        ["reserve", "settle", "settle"],
        ["reserve", "settle", WeightsRaised(of=0, bits_per_weight=[1.0, 1.0])],
    ],
)
def test_entries_that_do_not_fit_together_are_damage(tmp_path: Path, entries: list[Any]) -> None:
    known = {
        "reserve": WeightsReserved(
            time="t", run="r", simulated=True, images=1, model=MODEL, model_name="m", bits_per_weight=[1.0, 1.0]
        ),
        "settle": WeightsSettled(time="t", of=0, images=1, transmissions=[1, 1], bits_per_weight=[0.0, 0.0]),
    }
    book = weights_book(tmp_path / "w.ledger")
    for entry in entries:
        with book.turn() as page:
            book.add(page, known[entry] if isinstance(entry, str) else entry)
    with pytest.raises(LedgerError, match=f"damaged in line {len(entries) + 1}: it does not belong"):
        charges(tmp_path)
