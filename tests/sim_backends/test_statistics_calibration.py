"""The exact shortcut is refused where the simulated truth is not what the bench's calibration says."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.budget.sources import toml_text
from labctl.errors import NotExact
from labctl.experiment import load_experiment
from labctl.sampler import ExplicitSampler, open_sampler
from labctl.schema import read_toml
from labctl.shipped import bench_path

GAINS = [{"pump": "0 mA", "gain": 1.0}, {"pump": "300 mA", "gain": 9.0}]


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("unitary", "v_pi_return_phase", "320 mV"),
        ("unitary", "v_pi_forward_coupler", "320 mV"),
        ("modulator", "v_pi_i", "300 mV"),
        ("modulator", "loss", "7 dB"),
        ("tap", "v_pi", "300 mV"),
        ("amplifier", "gain_curve", GAINS),
        ("server_receiver", "volts_per_snu", "22 mV"),
        ("client_receiver", "reference_power", "5 mW"),
        ("server_receiver", "electronic_noise", 0.05),
    ],
)
def test_a_truth_beside_the_calibration(tmp_path: Path, table: str, key: str, value: object) -> None:
    tables = read_toml(bench_path("ideal"))
    tables["world"].setdefault(table, {})[key] = value
    path = tmp_path / "off.bench.toml"
    path.write_text(toml_text(tables), encoding="utf-8")
    experiment = load_experiment("digits", bench=str(path), images=2)
    with pytest.raises(NotExact, match=rf"{table}\.{key}"):
        open_sampler(experiment, "statistics")
    assert isinstance(open_sampler(experiment, "auto"), ExplicitSampler)
