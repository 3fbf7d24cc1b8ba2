"""The bench's own noise, measured with the constants just found, kept, and allowed for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from labctl.baseline import measure_baseline
from labctl.calibration.force import NEEDED, calibrated
from labctl.calibration.result import Quantity, Result
from labctl.calibration.store import Store, working_point
from labctl.config import load_bench
from labctl.errors import ConfigError
from labctl.experiment import load_experiment
from labctl.shipped import bench_path

#: What the shipped bench hides, as a calibration would find it.
FOUND = {
    "modulator": {
        "modulator.v_pi_i": 0.3507,
        "modulator.v_pi_q": 0.3496,
        "modulator.bias_i": -0.008,
        "modulator.bias_q": 0.0098,
        "modulator.leak": 10 ** (-28 / 20),
        "modulator.gain_ratio": 0.995,
        "modulator.angle_error": 0.3 * 3.14159 / 180,
    }
}


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    path = tmp_path / "some.bench.toml"
    text = bench_path("telecom").read_text(encoding="utf-8")
    path.write_text(f'{text}\n[calibration]\nstore = "kept"\n', encoding="utf-8")
    store, now = Store(tmp_path / "kept", "telecom"), datetime.now(UTC).isoformat(timespec="seconds")
    for name in NEEDED:
        quantities = [Quantity(key, value, 1e-5) for key, value in FOUND.get(name, {}).items()]
        store.keep(Result(name, now, "passed", working_point(load_bench(path)), quantities))
    return path


def test_predistortion_leaves_less_noise_and_the_check_allows_for_the_rest(bench: Path, tmp_path: Path) -> None:
    """The telecom bench has 0.0131 SNU of its own; without bias and imbalance about 0.004 of them go."""
    store = Store(tmp_path / "kept", "telecom")
    found = measure_baseline(bench, store, "digits-telecom", 300, seed=5)
    excess = found.quantities[0]
    assert found.passed, found.message
    assert excess.name == "baseline.technical_excess"
    assert 0.001 < excess.value < 0.0131
    assert store.latest()["baseline"].quantities[0] == excess
    config = calibrated(load_bench(bench), bench)
    assert config.link.technical_modes == [32, 32]
    assert config.link.technical_mean_photons == 4.0
    told = config.link.technical_excess
    assert excess.value == pytest.approx(told) if isinstance(told, float) else len(told) == 2
    assert load_experiment("digits-telecom", bench=str(bench), images=2).agreement().plan()
    assert "baseline" in config.calibration.in_force["link.technical_excess"]


def test_a_run_that_is_none(bench: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing"):
        measure_baseline(bench, Store(tmp_path / "kept", "telecom"), "nothing", 5)
