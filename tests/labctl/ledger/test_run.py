"""Ledgers of whole runs on stand-ins: refused before anything is opened, stopped at a checkpoint, always settled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labctl.cli import exits
from labctl.config import RunConfig
from labctl.engine import RunControl
from labctl.errors import BudgetRefusal, BudgetSpent, InstrumentLost, LedgerError, RunAborted
from labctl.events import EventBus, ImageFinished, LayerMeasured, LightOff
from labctl.experiment import prepare_experiment
from labctl.ledger.data import data_book, data_charges, row_digests, row_totals
from labctl.ledger.run import RunLedgers
from labctl.ledger.weights import WeightsCharge, weights_book, weights_charges
from labctl.protocol.leakage import weight_leakage
from labctl.record import open_run
from labctl.run_tables import LedgerConfig
from labctl.session import Outcome, run_experiment
from tests.fakes import FakeLibrary, fake_bench, use_fakes
from tests.labctl.test_engine import when


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)


class Desk:
    """A folder with both parties' ledgers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server, self.client = folder / "server.ledger", folder / "client.ledger"

    def experiment(self, weights: float | None = 1000.0, data: float | None = 100.0, **keys: Any) -> Any:
        ledger: dict[str, Any] = {}
        if weights is not None:
            ledger["weights"] = {"file": str(self.server), "bits_per_weight_budget": weights}
        if data is not None:
            ledger["data"] = {"file": str(self.client), "bits_per_symbol_budget": data}
        bench, changes = keys.pop("bench", None), keys.pop("changes", None)
        tables = {"name": "r", "dataset": "digits", "model": "digits", "gain": 2.0, "mean_photons": 4.0, **keys}
        path = bench or str(fake_bench(self.folder, changes))
        return prepare_experiment(RunConfig(bench=path, ledger=LedgerConfig(**ledger), **tables))

    def run(self, bus: EventBus | None = None, control: RunControl | None = None, **keys: Any) -> Outcome:
        out = keys.pop("out", None)
        return run_experiment(self.experiment(**keys), bus or EventBus(), control or RunControl(), out)

    def charges(self) -> tuple[WeightsCharge, ...]:
        return weights_charges(weights_book(self.server).read(), self.server)

    def rows(self) -> dict[str, tuple[float, float]]:
        return row_totals(data_charges(data_book(self.client).read(), self.client))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_run_without_ledgers_writes_none(desk: Desk) -> None:
    assert desk.run(weights=None, data=None, images=2).error is None
    assert not list(desk.folder.glob("*ledger*"))


def test_an_honest_run_is_charged_what_it_reports(desk: Desk) -> None:
    outcome = desk.run(images=5)
    assert outcome.error is None
    (charge,) = desk.charges()
    reported = [5 * each.leakage.weights_bits_per_weight for each in outcome.finished.layers]
    assert charge.bits_per_weight == pytest.approx(reported)
    assert (charge.settled, charge.images) == (True, 5)
    assert max(charge.bits_per_weight) <= max(charge.reserved.bits_per_weight)
    experiment = desk.experiment(images=5)
    assert charge.reserved.model == experiment.network.digest
    assert desk.rows() == dict.fromkeys(
        row_digests(experiment.dataset.images), (experiment.forecast().data_bits_v1, pytest.approx(0.5))
    )


def test_runs_add_up(desk: Desk) -> None:
    for _ in range(2):
        desk.run(images=2)
    assert [each.images for each in desk.charges()] == [2, 2]
    assert [journal for _, journal in desk.rows().values()] == pytest.approx([1.0, 1.0])


def test_each_party_s_file_knows_its_own_side_only(desk: Desk) -> None:
    experiment = desk.experiment(images=2)
    desk.run(images=2)
    server, client = desk.server.read_text(), desk.client.read_text()
    for row in row_digests(experiment.dataset.images):
        assert row in client
        assert row not in server
    assert experiment.network.digest in server
    assert experiment.network.digest not in client
    assert "symbol" not in server
    assert "weight" not in client.replace('"kind"', "")


@pytest.mark.parametrize("budgets", [{"weights": 0.5}, {"data": 0.4}])
def test_refused_before_an_instrument_is_opened(desk: Desk, budgets: dict[str, float]) -> None:
    made = FakeLibrary.made
    outcome = desk.run(images=3, **budgets)
    assert isinstance(outcome.error, BudgetRefusal)
    assert exits.status_of(outcome.error) == exits.USAGE
    assert FakeLibrary.made == made
    assert (outcome.run_file, outcome.finished.status, outcome.finished.images) == (None, "failed", 0)
    assert not list(desk.folder.glob("*.ledger")), "and nothing was entered"
    with pytest.raises(BudgetRefusal):
        RunLedgers(desk.experiment(images=3, **budgets), EventBus()).check()


def test_a_budget_of_the_forecast_is_enough_and_a_hair_less_is_not(desk: Desk) -> None:
    most = desk.experiment(images=30).forecast().weights_bits_per_weight
    assert isinstance(desk.run(images=30, weights=most * 0.999).error, BudgetRefusal)
    assert desk.run(images=30, weights=most).error is None


def test_a_lossier_channel_than_planned_stops_the_run_at_a_checkpoint(desk: Desk, tmp_path: Path) -> None:
    bench = Path(fake_bench(tmp_path))
    bench.write_text(bench.read_text() + '\n[world.channel]\nloss_back = "1 dB"\n')
    bus, seen = EventBus(), []
    for kind in (LayerMeasured, ImageFinished, LightOff):
        bus.subscribe(kind, seen.append)
    outcome = desk.run(bus, bench=str(bench), images=60, weights=40.0, out=tmp_path / "runs")
    assert isinstance(outcome.error, BudgetSpent)
    assert exits.status_of(outcome.error) == exits.ABORTED
    assert (outcome.finished.status, outcome.verdict) == ("aborted", "aborted")
    assert 0 < outcome.finished.images < 60
    assert isinstance(seen[-1], LightOff)
    assert seen[-1].dark
    assert outcome.run_file is not None
    assert "the budget is 40" in open_run(outcome.run_file).finished.cause
    (charge,) = desk.charges()
    assert charge.settled
    assert 25 < max(charge.bits_per_weight) <= 40
    triggers = [entry for entry in FakeLibrary.latest.log if entry[1] == "trigger"]
    assert len(triggers) == len([each for each in seen if isinstance(each, LayerMeasured)]), "no further light"
    assert isinstance(desk.run(images=60, weights=40.0).error, BudgetRefusal), "and the next run is refused"


def test_what_leaked_is_entered_when_the_run_is_aborted(desk: Desk) -> None:
    bus, control = EventBus(), RunControl()
    bus.subscribe(ImageFinished, when(ImageFinished, lambda: control.abort("enough")))
    outcome = desk.run(bus, control, images=5)
    assert isinstance(outcome.error, RunAborted)
    (charge,) = desk.charges()
    assert (charge.settled, charge.images) == (True, 1)
    assert charge.bits_per_weight == pytest.approx(
        [each.leakage.weights_bits_per_weight for each in outcome.finished.layers]
    )
    assert len(desk.rows()) == 1


@pytest.mark.parametrize(
    "fault", [InstrumentLost("server_scope", "is silent"), ZeroDivisionError(), KeyboardInterrupt()]
)
def test_light_whose_return_was_not_read_counts_as_taken(desk: Desk, fault: BaseException) -> None:
    bus = EventBus()

    def unplug() -> None:
        FakeLibrary.latest.plans["server_scope", "read"] = fault

    bus.subscribe(ImageFinished, when(ImageFinished, unplug))
    if isinstance(fault, InstrumentLost):
        assert desk.run(bus, images=5).error is fault
    else:
        with pytest.raises(type(fault)):
            desk.run(bus, images=5)
    (charge,) = desk.charges()
    assert (charge.settled, charge.images) == (True, 2)
    assert charge.bits_per_weight[0] > weight_leakage(4.0, 0.0, 0.0) / 2
    assert len(desk.rows()) == 2


def test_a_bench_that_does_not_open_leaks_nothing(desk: Desk) -> None:
    outcome = desk.run(images=3, changes={"tests.fakes:FakeLaser": "tests.fakes:LostLaser"})
    assert isinstance(outcome.error, InstrumentLost)
    (charge,) = desk.charges()
    assert (charge.settled, charge.bits_per_weight) == (True, (0.0, 0.0))
    assert desk.rows() == {}


def test_a_damaged_ledger_is_refused_and_left_alone(desk: Desk) -> None:
    desk.run(images=1)
    broken = desk.client.read_bytes().replace(b'"run":"r"', b'"run":"s"')
    desk.client.write_bytes(broken)
    made = FakeLibrary.made
    outcome = desk.run(images=1)
    assert isinstance(outcome.error, LedgerError)
    assert exits.status_of(outcome.error) == exits.ERROR
    assert FakeLibrary.made == made
    assert desk.client.read_bytes() == broken
    assert [each.images for each in desk.charges()] == [1], "nothing was entered in the server's account"


def test_one_party_s_file_that_cannot_be_written_leaves_nothing_reserved_in_the_other_s(desk: Desk) -> None:
    desk.client.with_name("client.ledger.part").mkdir()
    outcome = desk.run(images=1)
    assert isinstance(outcome.error, LedgerError)
    (charge,) = desk.charges()
    assert (charge.settled, charge.bits_per_weight, charge.images) == (True, (0.0, 0.0), 0)


def test_a_ledger_that_cannot_be_settled_is_an_error_of_a_run_that_went_well(desk: Desk) -> None:
    bus = EventBus()
    bus.subscribe(LightOff, lambda event: desk.client.write_text("gone"))
    outcome = desk.run(bus, images=1)
    assert isinstance(outcome.error, LedgerError)
    assert outcome.finished.images == 1
    assert desk.charges()[0].settled


def test_and_hides_no_error_of_one_that_did_not(desk: Desk) -> None:
    bus = EventBus()

    def stop(event: ImageFinished) -> None:
        desk.client.write_text("gone")
        raise KeyboardInterrupt

    bus.subscribe(ImageFinished, stop)
    with pytest.raises(KeyboardInterrupt) as raised:
        desk.run(bus, images=1)
    assert "client.ledger: damaged" in raised.value.__notes__[0]


def test_a_client_that_cheats_counts_what_it_really_leaks(desk: Desk) -> None:
    desk.run(images=1, gain=1.3, adversary={"client_gain": 3.0})
    ((_, journal),) = desk.rows().values()
    assert journal > 2 * desk.experiment(images=1, gain=1.3).forecast().data_bits_journal


def test_the_times_are_those_of_the_clock_that_was_passed(desk: Desk) -> None:
    with RunLedgers(desk.experiment(images=1), EventBus(), wall_time=lambda: 0.0):
        pass
    line = desk.server.read_text().splitlines()[1]
    assert json.loads(line.split(" ", 1)[1])["time"] == "1970-01-01T00:00:00+00:00"
