"""Parties behind their instruments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labctl.assembly import Assembly
from labctl.bench import open_bench
from labctl.config import RunConfig
from labctl.errors import ConfigError, GateError
from labctl.experiment import prepare_experiment
from tests.fakes import FakeLibrary, fake_bench, use_fakes


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)


def experiment(folder: Path, changes: dict[str, str] | None = None, **keys: Any):
    tables = {
        "name": "r",
        "dataset": "digits",
        "model": "digits",
        "gain": 2.0,
        "mean_photons": 4.0,
        "images": 1,
        **keys,
    }
    return prepare_experiment(RunConfig(bench=str(fake_bench(folder, changes)), **tables))


def sent() -> list[tuple[Any, ...]]:
    return [entry for entry in FakeLibrary.latest.log if entry[1] not in ("open", "close")]


def test_building_touches_nothing(tmp_path: Path) -> None:
    job = experiment(tmp_path)
    with open_bench(job.bench_path, job.bench) as bench:
        assembly = Assembly.build(job, bench)
        assert not sent()
        assert assembly.control is FakeLibrary.latest.fake_control
        assert assembly.watch.monitor is not None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({'digitizer = "client_scope"': 'digitizer = "laser"'}, "part of Digitizer"),
        ({'[amplifier]\ninstrument = "amplifier"': '[amplifier]\ninstrument = "laser"'}, "part of Amplifier"),
        ({'[tap]\ninstrument = "client_awg_tap"': '[tap]\ninstrument = "power_meter"'}, "part of WaveformGenerator"),
        ({'[monitor]\ninstrument = "power_meter"': '[monitor]\ninstrument = "attenuator"'}, "part of PowerMeter"),
        ({'sample_rate = "125 MSa/s"': 'sample_rate = "1 kSa/s"'}, "sample_rate"),
    ],
)
def test_parts_that_cannot_be_played(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    job = experiment(tmp_path, changes)
    with pytest.raises(ConfigError, match=said) as caught, open_bench(job.bench_path, job.bench) as bench:
        Assembly.build(job, bench)
    assert caught.value.remedy
    assert not sent()


def test_a_bench_without_monitor(tmp_path: Path) -> None:
    job = experiment(tmp_path)
    config = job.bench.model_copy(update={"monitor": None})
    with open_bench(job.bench_path, config) as bench:
        assembly = Assembly.build(job, bench)
        assembly.prepare()
        assembly.light_on()
        assembly.watch.check()
    assert assembly.watch.monitor is None


@pytest.mark.parametrize("receiver", ["client_scope", "server_scope"])
def test_too_little_clearance_stays_dark(tmp_path: Path, receiver: str) -> None:
    """A receiver whose shot noise stands only 7 dB above its electronic noise measures nothing that counts."""
    digitizer = f'digitizer = "{receiver}"'
    job = experiment(tmp_path, {digitizer: f"{digitizer}\nelectronic_noise = 0.2"})
    with open_bench(job.bench_path, job.bench) as bench:
        assembly = Assembly.build(job, bench)
        assembly.prepare()
        with pytest.raises(GateError, match="above the electronic noise"):
            assembly.light_on()
        assert not FakeLibrary.latest.units["laser"].emission()
        assert not FakeLibrary.latest.units["amplifier"].emission()


@pytest.mark.parametrize(("adversary", "pump", "returned"), [(None, 0.05, 1 / 1.3), (3.0, 0.15, 1 / 3)])
def test_the_pump_follows_the_gain_in_use(
    tmp_path: Path, adversary: float | None, pump: float, returned: float
) -> None:
    """A greedy client pumps more than was agreed; the terms and the calibration say what was agreed."""
    job = experiment(tmp_path, gain=1.3, adversary={"client_gain": adversary})
    with open_bench(job.bench_path, job.bench) as bench:
        assembly = Assembly.build(job, bench)
        assembly.prepare()
        assembly.light_on()
        assert FakeLibrary.latest.units["amplifier"].pump() == pytest.approx(pump)
        assert assembly.calibration()["amplifier_pump_a"] == pytest.approx(0.05)
        assembly.client.begin(job.dataset.images[0])
        assembly.server.offer(0, 0)
        assembly.client.make_ready()
        assembly.server.send()
        circuit = FakeLibrary.latest.world.circuit
        assert circuit.client(240).returned_fraction == pytest.approx(returned, abs=1e-3)
        assert circuit.gain() == pytest.approx(adversary or 1.3)
        assembly.client.measure()
        assembly.server.measure()


def test_calibration_constants_carry_their_unit(tmp_path: Path) -> None:
    job = experiment(tmp_path)
    with open_bench(job.bench_path, job.bench) as bench:
        constants = Assembly.build(job, bench).calibration()
    assert constants["modulator_loss_db"] == 6.0
    assert constants["server_volts_per_snu"] == 0.02
    assert constants["client_noise_variance_snu"] == pytest.approx(1.0031789)
    assert constants["server_calibration_samples"] == 1e12
    assert all(isinstance(value, float) for value in constants.values())
