"""``labctl ledger show``, and runs whose budgets are spent, as a shell sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl.cli import app
from tests.fakes import FakeLibrary, fake_bench, use_fakes


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A RUN.toml with both ledgers, for which 30 images are too many for the server, 3 runs for the client."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "job.toml"
    path.write_text(
        f'dataset = "digits"\nmodel = "digits"\nbench = "{fake_bench(tmp_path).name}"\n'
        "gain = 2.0\nmean_photons = 4.0\nimages = 2\n"
        '[ledger.weights]\nfile = "server.ledger"\nbits_per_weight_budget = 9.0\n'
        '[ledger.data]\nfile = "client.ledger"\nbits_per_symbol_budget = 1.2\n'
    )
    return str(path)


def perform(*words: str) -> int:
    return app.perform(list(words), debug=False)


def shown(capsys: pytest.CaptureFixture[str], file: str) -> dict[str, object]:
    capsys.readouterr()
    assert perform("ledger", "show", file, "--json") == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_what_two_runs_leaked(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert perform("run", run, "--json") == 0
    reported = json.loads(capsys.readouterr().out)["leakage"]["weights_bits_per_weight"]
    server = shown(capsys, "server.ledger")
    assert (server["account"], server["runs"], server["unsettled_runs"]) == ("weights", 1, 0)
    (model,) = server["models"]
    assert (model["name"], model["images"], model["runs"]) == ("digits", 2, 1)
    assert model["bits_per_weight"] == max(model["layers_bits_per_weight"]) == pytest.approx(2 * reported)
    assert perform("run", run) == 0
    assert shown(capsys, "server.ledger")["models"][0]["images"] == 4
    client = shown(capsys, "client.ledger")
    assert (client["account"], client["rows"], client["images"], client["runs"]) == ("data", 2, 4, 2)
    assert client["bits_per_symbol_journal"] == pytest.approx(1.0)
    assert client["bits_per_symbol_v1"] == pytest.approx(2 * 0.08016, rel=1e-3)


def test_for_people(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    perform("run", run)
    capsys.readouterr()
    assert perform("ledger", "show", "server.ledger") == 0
    assert perform("ledger", "show", "client.ledger") == 0
    text = capsys.readouterr().out
    assert "the server's account of its weights: 1 run\n" in text
    assert "2 different data rows, 2 images in all" in text
    assert "0.5 bits per symbol by the journal bound" in text


@pytest.mark.parametrize("words", [["--images", "30"], ["--images", "30", "--dry-run"]])
def test_a_run_that_would_exceed_is_refused(run: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    made = FakeLibrary.made
    assert perform("run", run, *words, "--json") == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == "BudgetRefusal"
    assert "the budget is 9" in error["message"]
    assert error["remedy"]
    assert FakeLibrary.made == made
    assert not Path("server.ledger").exists()


def test_the_third_run_of_the_same_data_is_refused(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(run).write_text(Path(run).read_text().replace("= 9.0", "= 99.0"))
    assert [perform("run", run), perform("run", run), perform("run", run)] == [0, 0, 2]
    assert "client.ledger: run 'job' would bring what leaked of the data of image 0" in capsys.readouterr().err


def test_a_killed_run_is_told(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    perform("run", run)
    lines = Path("server.ledger").read_text().splitlines(keepends=True)
    Path("server.ledger").write_text("".join(lines[:2]))
    assert shown(capsys, "server.ledger")["unsettled_runs"] == 1
    perform("ledger", "show", "server.ledger")
    assert "1 did not settle" in capsys.readouterr().out


def test_what_is_no_ledger(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert perform("ledger", "show", "job.toml") == 1
    assert "job.toml: damaged in line 1" in capsys.readouterr().err
    assert perform("ledger", "show", "missing.ledger") == 2
    assert "missing.ledger: no such file" in capsys.readouterr().err
    assert perform("ledger", "show", "none/missing.ledger") == 2
    assert perform("ledger", "show", "job.toml/missing.ledger") == 2


@pytest.mark.parametrize("words", [[], ["--dry-run"]])
@pytest.mark.parametrize("file", ["server.ledger", "client.ledger"])
def test_a_ledger_in_a_missing_folder(
    run: str, words: list[str], file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(run).write_text(Path(run).read_text().replace(f'"{file}"', f'"none/{file}"'))
    made = FakeLibrary.made
    assert perform("run", run, *words, "--json") == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == "ConfigError"
    assert f"{file}: the folder" in error["message"]
    assert error["remedy"]
    assert FakeLibrary.made == made
    assert not list(Path().glob("*.ledger")), "nothing was entered in the other party's account"
