"""Mistakes in RUN.toml and BENCH.toml, through the command line: refused with exit status 2 and one clear message,
before any instrument is opened, and before a run file or its folder is made.

What is said of each key is looked at more closely in tests/labctl/test_config.py and test_experiment.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import pyvisa

from drivers.connection import VisaConnection
from labctl.cli import app
from labctl.shipped import bench_path

RUN = """
dataset = "digits"
model = "digits"
bench = "my.bench.toml"
gain = 2.0
mean_photons = 4.0
images = 1
"""
LASER = 'driver = "drivers.santec_tsl570:TSL570"'


class Guard:
    """Notes who wants to speak to instruments, and lets nobody."""

    def __init__(self) -> None:
        self.made = 0
        self.opened: list[str] = []


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> Guard:
    """No VISA library is made."""
    guard = Guard()

    def refuse(*arguments: object, **options: object) -> None:
        guard.made += 1
        raise AssertionError("a VISA library was made")

    monkeypatch.setattr("drivers.visa.VisaLibrary", refuse)
    monkeypatch.setattr(pyvisa, "ResourceManager", refuse)
    return guard


@pytest.fixture
def nobody_opened(monkeypatch: pytest.MonkeyPatch) -> Guard:
    """For what only the library's own lab or the drivers can find: a library may be made, no instrument opened."""
    guard, really_open = Guard(), VisaConnection.open

    def refuse(connection: VisaConnection) -> None:
        if connection.resource == "SIM":  # the simulated lab's control is no instrument
            really_open(connection)
            return
        guard.opened.append(connection.name)
        raise AssertionError("an instrument was opened")

    monkeypatch.setattr(VisaConnection, "open", refuse)
    return guard


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good run and a good bench, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LABCTL_MNIST", raising=False)
    (tmp_path / "my.bench.toml").write_text(bench_path("ideal").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "job.toml").write_text(RUN, encoding="utf-8")
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> str:
    """The one message of a command that was refused."""
    before = sorted(folder.iterdir())
    status = app.perform(list(words), debug=False)
    shown = capsys.readouterr()
    assert status == 2, shown.err
    assert shown.out == ""
    message, remedy = shown.err.splitlines()
    assert message.startswith("labctl: error: ")
    assert remedy.startswith("labctl: remedy: ")
    assert len(remedy) > len("labctl: remedy: ")
    assert sorted(folder.iterdir()) == before, "nothing was written"
    return message


Capture = pytest.CaptureFixture[str]


def test_the_guard_would_see_an_opened_bench(guard: Guard, folder: Path, capsys: Capture) -> None:
    """The good run gets as far as the bench."""
    assert app.perform(["run", "job.toml"], debug=False) == 1
    assert "a VISA library was made" in capsys.readouterr().err
    assert guard.made == 1


def test_the_other_guard_would_see_an_opened_instrument(nobody_opened: Guard, folder: Path, capsys: Capture) -> None:
    assert app.perform(["run", "job.toml"], debug=False) == 1
    assert "an instrument was opened" in capsys.readouterr().err
    assert nobody_opened.opened[0] == "laser"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("gain = 2.0", "gian = 2.0", "'gian'"),
        ("images = 1", "[adversary]\nclient_gian = 3.0", "'adversary.client_gian'"),
        ("gain = 2.0", 'gain = "3 dB"', "'gain'"),
        ("mean_photons = 4.0", 'mean_photons = "4 nW"', "'mean_photons'"),
        ("gain = 2.0", "gain = nan", "'gain'"),
        ("mean_photons = 4.0", "mean_photons = inf", "'mean_photons'"),
        ("gain = 2.0", "gain = 1.0", "'gain'"),
        ("gain = 2.0", "gain = 0.5", "'gain'"),
        ("gain = 2.0", "gain = 50.0", "'gain'"),
        ("images = 1", "images = 0", "'images'"),
        ("images = 1", "images = 361", "361 images"),
        ("images = 1", "images =", "job.toml"),
        ('model = "digits"', 'model = "mnist"', "784 inputs"),
        ('model = "digits"', 'model = "none.safetensors"', "none.safetensors"),
        ('dataset = "digits"', 'dataset = "none.npz"', "none.npz"),
        ('dataset = "digits"', 'dataset = "mnist"', "no folder"),
        ('bench = "my.bench.toml"', 'bench = "none.bench.toml"', "none.bench.toml"),
        ("images = 1", "false_alarm_rate = 0.0", "'false_alarm_rate'"),
    ],
)
def test_wrong_run(guard: Guard, folder: Path, capsys: Capture, old: str, new: str, said: str) -> None:
    change(folder / "job.toml", old, new)
    message = refused(capsys, folder, "run", "job.toml")
    assert said in message
    assert "job.toml" in message or "none.bench.toml" in message
    assert refused(capsys, folder, "run", "job.toml", "--dry-run") == message
    assert guard.made == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('power = "10 mW"', 'pwr = "10 mW"', "'laser.pwr'"),
        ('power = "10 mW"', 'power = "10 nm"', "'laser.power'"),
        ('power = "10 mW"', "power = 0.01", "'laser.power'"),
        ('power = "10 mW"', 'power = "nan mW"', "'laser.power'"),
        ("noise_variance = 1.0001987", "noise_variance = nan", "'server_receiver.noise_variance'"),
        ('{ pump = "0 mA", gain = 1.0 }', '{ pump = "0 mA", gain = 0.5 }', "gain"),
        ('digitizer = "server_scope"', 'digitizer = "scope"', "'scope'"),
        ("[laser]\n", "[lasre]\n", "'lasre'"),
        (LASER, 'driver = "santec:"', "'instruments.laser.driver'"),
        ('visa_library = "@labctl"', "visa_library =", "my.bench.toml"),
    ],
)
def test_wrong_bench(guard: Guard, folder: Path, capsys: Capture, old: str, new: str, said: str) -> None:
    change(folder / "my.bench.toml", old, new)
    for words in (["run", "job.toml"], ["bench", "check", "my.bench.toml"], ["bench", "safe", "my.bench.toml"]):
        message = refused(capsys, folder, *words)
        assert said in message
        assert "my.bench.toml" in message
    assert guard.made == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (LASER, 'driver = "drivers.santec_tsl999:TSL999"', "drivers.santec_tsl999:TSL999"),
        (LASER, 'driver = "TSL570"', "registers 'TSL570'"),
        (LASER, 'driver = "drivers.visa:VisaLibrary"', "drivers.visa:VisaLibrary"),
        (LASER, f"{LASER}\noptions = {{ colour = 1 }}", "colour"),
        (LASER, f'{LASER}\noptions = {{ units = "foo" }}', "units = 'foo'"),
        (LASER, f'{LASER}\noptions = {{ settle_s = "x" }}', "settle_s"),
        (LASER, f"{LASER}\noptions = {{ settle_s = -1 }}", "settle_s"),
        ('[amplifier]\ninstrument = "amplifier"', '[amplifier]\ninstrument = "laser"', "part of Amplifier"),
        ('model = "santec_tsl570"', 'model = "santec_tsl999"', "santec_tsl999"),
        ("[world.places]", "[world.plaices]", "plaices"),
        ('tap = "client_awg_tap:1"', 'tap = "client_awg_tap:5"', "client_awg_tap:5"),
        ('[world.modulator]\nloss = "6 dB"', '[world.modulator]\nloss = "6 V"', "'6 V'"),
    ],
)
def test_wrong_driver_or_world(
    nobody_opened: Guard, folder: Path, capsys: Capture, old: str, new: str, said: str
) -> None:
    change(folder / "my.bench.toml", old, new)
    message = refused(capsys, folder, "run", "job.toml")
    assert said in message
    assert nobody_opened.opened == []


def test_missing_files(guard: Guard, folder: Path, capsys: Capture) -> None:
    """The last one is a folder of data."""
    for words in (
        ["run", "none.toml"],
        ["run", "job.toml", "--bench", "none.toml"],
        ["bench", "check", "none.toml"],
        ["bench", "safe", "none.toml"],
        ["run", "mnist", "--data", "none.toml"],
    ):
        assert "none.toml" in refused(capsys, folder, *words)
    assert guard.made == 0


def test_with_json_the_message_is_the_object(guard: Guard, folder: Path, capsys: Capture) -> None:
    change(folder / "job.toml", "gain = 2.0", "gain = nan")
    assert app.perform(["run", "job.toml", "--json"], debug=False) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["run_file"] is None
    assert "'gain'" in found["error"]["message"]
    assert found["error"]["remedy"]
    assert guard.made == 0
