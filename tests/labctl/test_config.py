"""bench.toml and RUN.toml: every mistake is refused with file, key and remedy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.config import AmplifierRole, RunConfig, check_together, load_bench, load_run, pump_for_gain
from labctl.errors import ConfigError
from labctl.schema import GainPoint
from labctl.shipped import bench_path, examples

RUN = """
dataset = "digits"
model = "digits"
gain = 2.0
mean_photons = 4.0
"""


def run_file(folder: Path, text: str = RUN, name: str = "job.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def refused_run(folder: Path, extra: str, *, drop: str = "") -> ConfigError:
    """What is said of the good run with a line more (and the key ``drop`` less)."""
    kept = re.sub(rf"(?m)^{drop} = .*$", "", RUN) if drop else RUN
    path = run_file(folder, f"{kept}\n{extra}\n")
    with pytest.raises(ConfigError) as caught:
        load_run(path, {})
    assert caught.value.message.startswith(f"{path}: ")
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    ("drop", "line", "key", "said"),
    [
        ("", "gian = 2.0", "gian", "unknown key"),
        ("", "adversary = { client_gian = 3.0 }", "adversary.client_gian", "unknown key"),
        ("gain", "gain = 1", "gain", "greater than 1 (it is 1)"),
        ("gain", "gain = 1.0", "gain", "greater than 1"),
        ("gain", "gain = 0.5", "gain", "greater than 1"),
        ("gain", "gain = nan", "gain", "finite"),
        ("gain", "gain = inf", "gain", "finite"),
        ("gain", 'gain = "2"', "gain", "valid number"),
        ("gain", 'gain = "3 dB"', "gain", "valid number"),
        ("gain", "gain = true", "gain", "valid number"),
        ("gain", "", "gain", "missing"),
        ("mean_photons", "mean_photons = nan", "mean_photons", "finite"),
        ("mean_photons", "mean_photons = 0", "mean_photons", "greater than 0"),
        ("", "images = 0", "images", "greater than or equal to 1"),
        ("", "images = -3", "images", "greater than or equal to 1"),
        ("", "images = 2.5", "images", "integer"),
        ("", "seed = -1", "seed", "greater than or equal to 0"),
        ("", "seed = 9223372036854775808", "seed", "less than"),
        ("", "confidence = 1.0", "confidence", "less than 1"),
        ("", "confidence = 95", "confidence", "less than 1"),
        ("", "false_alarm_rate = 0.0", "false_alarm_rate", "greater than 0"),
        ("", 'on_alarm = "ignore"', "on_alarm", "'stop' or 'continue'"),
        ("", 'name = "a b"', "name", "pattern"),
        ("", 'name = "../x"', "name", "pattern"),
        ("", "adversary = { client_gain = 1.0 }", "adversary.client_gain", "greater than 1"),
        ("", 'adversary = { attack = "bribery" }', "adversary.attack", "'greedy'"),
        ("", "adversary = { strength = 0.5 }", "adversary", "name one with attack"),
        ("", 'adversary = { attack = "tap" }', "adversary", "strength from 0 to 0.999999"),
        ("", 'adversary = { attack = "resend", strength = 1.5 }', "adversary", "strength from 0 to 1"),
        ("", 'adversary = { attack = "greedy", strength = 1.0 }', "adversary", "strength above 1"),
        ("", 'adversary = { attack = "all-modes", strength = nan }', "adversary.strength", "finite"),
        ("", 'adversary = { attack = "injection", strength = -1 }', "adversary", "strength from 0"),
        ("", 'adversary = { attack = "substitution", strength = 0.5 }', "adversary", "takes no strength"),
        ("", 'adversary = { attack = "tap", strength = 0.5, client_gain = 2 }', "adversary", "either client_gain or"),
        ("", "ledger = { wieghts = {} }", "ledger.wieghts", "unknown key"),
        ("", 'ledger.weights = { file = "w" }', "ledger.weights.bits_per_weight_budget", "missing"),
        ("", "ledger.weights = { bits_per_weight_budget = 1 }", "ledger.weights.file", "missing"),
        ("", 'ledger.weights = { file = "", bits_per_weight_budget = 1 }', "ledger.weights.file", "at least 1"),
        ("", "ledger.weights = { file = 3, bits_per_weight_budget = 1 }", "ledger.weights.file", "string"),
        ("", "ledger.weights = 3", "ledger.weights", "valid dictionary"),
        ("", "ledger = 3", "ledger", "valid dictionary"),
        (
            "",
            'ledger.data = { file = "d", bits_per_symbol_budget = 0 }',
            "ledger.data.bits_per_symbol_budget",
            "greater than 0",
        ),
        (
            "",
            'ledger.data = { file = "d", bits_per_symbol_budget = 1, convention = "v2" }',
            "ledger.data.convention",
            "'v1' or 'journal'",
        ),
        (
            "",
            'ledger.weights = { file = "l", bits_per_weight_budget = 1 }\n'
            'ledger.data = { file = "./l", bits_per_symbol_budget = 1 }',
            "ledger",
            "each party keeps its own",
        ),
    ],
)
def test_wrong_run(tmp_path: Path, drop: str, line: str, key: str, said: str) -> None:
    error = refused_run(tmp_path, line, drop=drop)
    assert f"'{key}'" in error.message
    assert said in error.message


def test_missing_and_malformed_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_run(tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match="line 1"):
        load_run(run_file(tmp_path, "gain = \n"), {})


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    text = (
        'dataset = "sets/mine.npz"\nmodel = "net.safetensors"\nbench = "lab/my.bench.toml"\ndata_dir = "data"\n'
        "gain = 2.0\nmean_photons = 1.0\n"
    )
    folder = tmp_path / "runs"
    folder.mkdir()
    run = load_run(run_file(folder, text), {})
    assert run.dataset == str(folder / "sets/mine.npz")
    assert run.model == str(folder / "net.safetensors")
    assert run.bench == str(folder / "lab/my.bench.toml")
    assert run.data_dir == str(folder / "data"), "relative to the file whether it is there or not"


def test_ledgers_are_relative_to_the_file(tmp_path: Path) -> None:
    text = (
        'ledger.weights = { file = "a/w.ledger", bits_per_weight_budget = 2 }\n'
        'ledger.data = { file = "d.ledger", bits_per_symbol_budget = 0.5 }\n'
    )
    ledger = load_run(run_file(tmp_path, RUN + text), {}).ledger
    assert ledger.weights is not None
    assert ledger.data is not None
    assert (ledger.weights.file, ledger.data.file) == (str(tmp_path / "a/w.ledger"), str(tmp_path / "d.ledger"))
    assert ledger.data.convention == "journal"


def test_shipped_names_stay_names_beside_folders_of_that_name(tmp_path: Path) -> None:
    """A folder "mnist" beside the file, as its data_dir most likely, does not change what dataset = "mnist" means."""
    for name in ("mnist", "ideal"):
        (tmp_path / name).mkdir()
    text = 'dataset = "mnist"\nmodel = "mnist"\nbench = "ideal"\ndata_dir = "mnist"\ngain = 2.0\nmean_photons = 1.0\n'
    run = load_run(run_file(tmp_path, text), {})
    assert (run.dataset, run.model, run.bench) == ("mnist", "mnist", "ideal")
    assert run.data_dir == str(tmp_path / "mnist")


def test_overrides_go_first_and_are_not_moved(tmp_path: Path) -> None:
    path = run_file(tmp_path, RUN + 'seed = 3\nimages = 7\nbench = "a/b.toml"\ndata_dir = "d"\n')
    run = load_run(path, {"seed": 9, "bench": "mine/c.toml", "data_dir": "e", "images": None})
    assert (run.seed, run.images, run.bench, run.data_dir) == (9, 7, "mine/c.toml", "e")
    assert load_run(path, {"bench": None}).bench == str(tmp_path / "a/b.toml"), "nothing given overrides nothing"
    with pytest.raises(ConfigError, match="'images'"):
        load_run(path, {"images": 0})
    assert load_run(run_file(tmp_path, RUN + "images = 0\n"), {"images": 5}).images == 5


@pytest.mark.parametrize(("name", "called"), [("my-job.toml", "my-job"), ("my job.v2.toml", "my-job-v2")])
def test_a_run_is_called_by_its_file(tmp_path: Path, name: str, called: str) -> None:
    assert load_run(run_file(tmp_path, RUN, name), {}).name == called
    assert load_run(run_file(tmp_path, RUN + 'name = "other"\n', name), {}).name == "other"


def test_everything_shipped_loads() -> None:
    runs = [path for path in examples().glob("*.toml") if not path.name.endswith(".bench.toml")]
    benches = list(examples().glob("*.bench.toml"))
    assert {path.stem for path in runs} >= {"digits", "mnist"}
    assert benches
    for path in benches:
        assert f"{load_bench(path).name}.bench.toml" == path.name
    for path in runs:
        run = load_run(path, {})
        check_together(run, load_bench(bench_path(run.bench)))


# --- benches -----------------------------------------------------------------------------------------


def changed_bench(folder: Path, changes: Mapping[str, str]) -> Path:
    text = (examples() / "ideal.bench.toml").read_text()
    for old, new in changes.items():
        assert old in text, f"{old!r} is not in the shipped bench"
        text = text.replace(old, new, 1)
    path = folder / "my.bench.toml"
    path.write_text(text)
    return path


DRIVER = 'driver = "drivers.santec_tsl570:TSL570"'
RESOURCE = 'resource = "TCPIP0::192.168.10.11::5000::SOCKET"'


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ('power = "10 mW"', 'power = "10 dB"', "laser.power", "'10 dB' is not in W"),
        ('power = "10 mW"', "power = 10", "laser.power", "with its unit"),
        ('power = "10 mW"', "power = nan", "laser.power", "with its unit"),
        ('power = "10 mW"', 'power = "nan mW"', "laser.power", "is not a number"),
        ('power = "10 mW"', 'pwr = "10 mW"', "laser.pwr", "unknown key"),
        ('sample_rate = "125 MSa/s"', 'sample_rate = "125 MHz"', "sample_rate", "is not in Sa/s"),
        ('loss = "6 dB"', 'loss = "-6 dB"', "modulator.loss", "greater than or equal to 0"),
        ("n_sp = 1.0", "n_sp = 0.9", "amplifier.n_sp", "greater than or equal to 1"),
        ('{ pump = "50 mA", gain = 1.3 }', '{ pump = "50 mA", gain = 0.9 }', "amplifier.pump_calibration.1.gain", ""),
        ('{ pump = "50 mA", gain = 1.3 }', '{ pump = "0 mA", gain = 1.3 }', "amplifier", "the pump must rise"),
        ('{ pump = "100 mA", gain = 2.0 }', '{ pump = "100 mA", gain = 1.3 }', "amplifier", "the gain must rise"),
        ("noise_variance = 1.0031789", "noise_variance = inf", "client_receiver.noise_variance", "finite"),
        ("noise_variance = 1.0031789", "efficiency = 1.2", "client_receiver.efficiency", "less than or equal to 1"),
        ("tolerance = 0.05", "tolerence = 0.05", "monitor.tolerence", "unknown key"),
        (
            DRIVER,
            'driver = "drivers/tsl570.py"',
            "instruments.laser.driver",
            "pattern",
        ),
        (DRIVER, 'driver = "santec:"', "instruments.laser.driver", "pattern"),
        (DRIVER, 'driver = ""', "instruments.laser.driver", "pattern"),
        (
            RESOURCE,
            'resource = ""',
            "instruments.laser.resource",
            "at least 1",
        ),
        ("channel = 1\nv_pi", "channel = 0\nv_pi", "tap.channel", "greater than or equal to 1"),
        ('name = "ideal"', 'name = "my bench"', "name", "pattern"),
        ('name = "ideal"', 'name = "x"\ncalibrated_at = 2026-11-24T09:00:00', "calibrated_at", "timezone"),
        (
            'name = "ideal"',
            'name = "x"\ncalibrated_at = 2026-11-24T09:00:00Z\ncalibration_valid_hours = 0',
            "calibration_valid_hours",
            "greater than 0",
        ),
    ],
)
def test_wrong_bench(tmp_path: Path, old: str, new: str, key: str, said: str) -> None:
    path = changed_bench(tmp_path, {old: new})
    with pytest.raises(ConfigError) as caught:
        load_bench(path)
    assert caught.value.message.startswith(f"{path}: ")
    assert f"'{key}'" in caught.value.message
    assert said in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('[laser]\ninstrument = "laser"', '[laser]\ninstrument = "lasre"', "laser.instrument names 'lasre'"),
        ('digitizer = "server_scope"', 'digitizer = "scope"', "server_receiver.digitizer names 'scope'"),
        ('in_phase = { instrument = "server_awg"', 'in_phase = { instrument = "awg"', "modulator.in_phase.instrument"),
        (
            'attenuators = [{ instrument = "attenuator", channel = 1 }, { instrument = "attenuator"',
            'attenuators = [{ instrument = "attenuator", channel = 1 }, { instrument = "voa"',
            "modulator.attenuators[1].instrument names 'voa'",
        ),
        (
            '[monitor]\ninstrument = "power_meter"',
            '[monitor]\ninstrument = "meter"',
            "monitor.instrument names 'meter'",
        ),
        ("channels = [1, 2]", "channels = [1]", "server_receiver.channels"),
        ("channels = [1]\n", "channels = [1, 2]\n", "client_receiver.channels"),
    ],
)
def test_parts_that_do_not_fit(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = changed_bench(tmp_path, {old: new})
    with pytest.raises(ConfigError) as caught:
        load_bench(path)
    assert caught.value.message.startswith(f"{path}: ")
    assert said in caught.value.message
    assert "top level" not in caught.value.message


def test_world_is_passed_on_unread(tmp_path: Path) -> None:
    bench = load_bench(changed_bench(tmp_path, {"[world.places]": "[world.nonsense]"}))
    assert bench.world is not None
    assert "nonsense" in bench.world


def test_simulated() -> None:
    assert load_bench(bench_path("ideal")).simulated


# --- run and bench together --------------------------------------------------------------------------


def served_bench(folder: Path, library: str = "@py", control: str = "TCPIP0::host::1::SOCKET", odd: str = "") -> Path:
    """The shipped bench, all of it at one host but perhaps the laser."""
    text = (
        (examples() / "ideal.bench.toml")
        .read_text()
        .replace('"@labctl"', f'"{library}"\nsimulated_control = "{control}"')
    )
    text = re.sub(r'resource = "[^"]*"', 'resource = "TCPIP0::host::2::SOCKET"', text)
    path = folder / "served.toml"
    path.write_text(text.replace("TCPIP0::host::2::SOCKET", odd, 1) if odd else text)
    return path


@pytest.mark.parametrize("odd", ["", "ASRLsocket://host:7::INSTR", "tcpip::host::hislip0,7::INSTR"])
def test_a_served_lab_is_simulated_elsewhere(tmp_path: Path, odd: str) -> None:
    bench = load_bench(served_bench(tmp_path, odd=odd))
    assert bench.simulated
    assert not bench.in_process


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"library": "@labctl"}, "in this process"),
        ({"control": "SIM"}, "simulated_control"),
        ({"control": "TCPIP0::host::inst0::INSTR"}, "simulated_control"),
        ({"odd": "TCPIP0::other::2::SOCKET"}, "instruments.laser is not at host"),
        ({"odd": "TCPIP0::hostile::2::SOCKET"}, "instruments.laser is not at host"),
        ({"odd": "USB0::0x1313::0x8078::P0000001::INSTR"}, "instruments.laser is not at host"),
        ({"odd": "ASRL/dev/ttyUSB0::INSTR"}, "instruments.laser is not at host"),
    ],
)
def test_no_real_instrument_counts_as_simulated(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_bench(served_bench(tmp_path, **changes))


def good_run(**changes: Any) -> RunConfig:
    return RunConfig(
        **{"name": "r", "dataset": "digits", "model": "digits", "gain": 2.0, "mean_photons": 4.0, **changes}
    )


@pytest.mark.parametrize("library", ["@py", "@ivi"])
def test_going_on_after_an_alarm_only_in_the_simulated_lab(tmp_path: Path, library: str) -> None:
    real = load_bench(changed_bench(tmp_path, {'visa_library = "@labctl"': f'visa_library = "{library}"'}))
    assert not real.simulated
    check_together(good_run(on_alarm="stop"), real)
    with pytest.raises(ConfigError, match=r"job\.toml: key 'on_alarm'.*simulated") as caught:
        check_together(good_run(on_alarm="continue"), real, "job.toml")
    assert "stop" in caught.value.remedy
    check_together(good_run(on_alarm="continue"), load_bench(bench_path("ideal")))


def test_gains_must_be_calibrated() -> None:
    bench = load_bench(bench_path("ideal"))
    with pytest.raises(ConfigError, match=r"job\.toml: key 'gain': a gain of 11 is outside"):
        check_together(good_run(gain=11.0), bench, "job.toml")
    with pytest.raises(ConfigError, match=r"key 'adversary\.client_gain'"):
        check_together(good_run(adversary={"client_gain": 11.0}), bench)


CURVE = AmplifierRole(
    instrument="edfa",
    pump_calibration=[GainPoint(pump=p, gain=g) for p, g in [("0 A", 1.0), ("0.1 A", 2.0), ("0.3 A", 6.0)]],
)


@given(st.floats(1.0, 6.0), st.floats(1.0, 6.0))
def test_pump_follows_the_curve(gain: float, other: float) -> None:
    pump = pump_for_gain(CURVE, gain)
    expected = (gain - 1) * 0.1 if gain <= 2 else 0.1 + (gain - 2) * 0.05
    assert pump == pytest.approx(expected, abs=1e-12)
    if gain < other:
        assert pump <= pump_for_gain(CURVE, other)


@pytest.mark.parametrize("gain", [0.99, 6.01, float("nan")])
def test_no_pump_outside_the_curve(gain: float) -> None:
    with pytest.raises(ConfigError, match="outside the amplifier's calibration"):
        pump_for_gain(CURVE, gain)
