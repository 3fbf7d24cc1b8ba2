"""Measured constants in the place of declared ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from labctl.calibration.force import NEEDED, calibrated, store_of, with_results
from labctl.calibration.result import Quantity, Result
from labctl.calibration.store import Store, working_point
from labctl.config import load_bench
from labctl.engine import RunControl
from labctl.errors import CalibrationError, ConfigError, GateError
from labctl.events import EventBus, RunStarted
from labctl.experiment import load_experiment
from labctl.session import run_experiment
from labctl.shipped import bench_path
from tests.labctl.calibration.conftest import changed

CONFIG = load_bench(bench_path("telecom"))
TAKEN = datetime.now(UTC).replace(microsecond=0)

FOUND = {
    "shot-noise": {
        "server.volts_per_snu": 0.0201,
        "server.noise_variance": 1.07,
        "server.electronic_noise": 0.051,
        "server.calibration_samples": 5e6,
        "client.volts_per_snu": 0.0102,
    },
    "modulator": {
        "modulator.v_pi_i": 0.3507,
        "modulator.v_pi_q": 0.349,
        "modulator.bias_i": -0.008,
        "modulator.bias_q": 0.009,
        "modulator.leak": 0.04,
        "modulator.gain_ratio": 0.995,
        "modulator.angle_error": 0.005,
    },
    "phase-reference": {},
    "tap": {"tap.v_pi": 0.348},
    "transmittance": {"link.loss_out": 0.6, "link.loss_back": 0.8},
    "amplifier": {f"amplifier.gain_{i}": g for i, g in enumerate((1.31, 2.02, 3.03, 4.5, 10.1))}
    | {"amplifier.n_sp": 0.98},
    "unitary": {f"unitary.{name}.v_pi": 0.347 for name in ("forward_coupler", "forward_phase", "return_coupler")},
    "overlap": {"unitary.passed": 0.9},
}


def results(**changes: object) -> dict[str, Result]:
    return {
        name: replace(
            Result(
                name,
                TAKEN.isoformat(),
                "passed",
                working_point(CONFIG),
                tuple(Quantity(key, value, 0.001) for key, value in FOUND[name].items()),
            ),
            **changes,
        )
        for name in NEEDED
    }


def test_each_constant_goes_where_it_belongs() -> None:
    found = with_results(CONFIG, results())
    server, client = found.server_receiver, found.client_receiver
    assert (server.volts_per_snu, server.noise_variance, server.electronic_noise) == (0.0201, 1.07, 0.051)
    assert (server.calibration_samples, client.volts_per_snu) == (5_000_000, 0.0102)
    assert client.noise_variance == CONFIG.client_receiver.noise_variance, "not measured: as declared"
    assert found.modulator.quadrature.v_pi == 0.349
    assert found.modulator.in_phase.v_pi == 0.35, "as far as the generator reaches"
    assert found.modulator.imbalance is not None
    assert found.modulator.imbalance.extinction_ratio == pytest.approx(27.96, abs=0.01)
    assert found.tap.v_pi == 0.348
    assert found.unitary.forward_phase.v_pi == 0.347
    assert found.unitary.return_phase.v_pi == 0.35
    assert found.link.loss_out == pytest.approx(0.6 + 0.2288, abs=1e-3)
    assert [point.gain for point in found.amplifier.pump_calibration] == [1.0, 1.31, 2.02, 3.03, 4.5, 10.1]
    assert found.amplifier.n_sp == 1.0, "below the quantum limit is at it"
    told = found.calibration.in_force
    assert told["tap.v_pi"].startswith("tap.v_pi = 0.348 +- 0.001 (tap, 20")


def test_a_failed_result_changes_nothing() -> None:
    found = with_results(CONFIG, results(outcome="failed"))
    assert found.model_copy(update={"calibration": CONFIG.calibration}) == CONFIG


def test_a_gain_that_falls_and_a_v_pi_out_of_reach() -> None:
    wrong = results()
    quantities = (*wrong["amplifier"].quantities[1:], Quantity("amplifier.gain_0", 2.5, 0.1))
    wrong["amplifier"] = replace(wrong["amplifier"], quantities=quantities)
    with pytest.raises(CalibrationError, match="does not rise"):
        with_results(CONFIG, wrong)
    wrong = results()
    wrong["tap"] = replace(wrong["tap"], quantities=(Quantity("tap.v_pi", 0.4, 0.001),))
    with pytest.raises(CalibrationError, match=r"tap: V_pi is 0\.4 V, the generator reaches 0\.35 V"):
        with_results(CONFIG, wrong)


def bench_with_store(tmp_path: Path, *more: str) -> Path:
    text = bench_path("telecom").read_text(encoding="utf-8")
    path = tmp_path / "some.bench.toml"
    lines = "\n".join(['[calibration]\nstore = "kept"', *more])
    path.write_text(f"{text}\n{lines}\n", encoding="utf-8")
    return path


def keep(tmp_path: Path, found: dict[str, Result]) -> None:
    store = Store(tmp_path / "kept", "telecom")
    for result in found.values():
        store.keep(result)


def test_without_a_store_the_file_counts() -> None:
    assert calibrated(CONFIG, bench_path("telecom")) is CONFIG
    assert store_of(CONFIG, Path("x")).folder == Path("telecom.calibration")
    assert store_of(CONFIG, Path("x"), Path("y")).folder == Path("y")


def test_a_bench_that_was_not_calibrated_is_refused(tmp_path: Path) -> None:
    path = bench_with_store(tmp_path)
    with pytest.raises(CalibrationError, match="there is no shot-noise") as caught:
        calibrated(load_bench(path), path)
    assert f"labctl calibrate {path}" in caught.value.remedy
    failed = results()
    failed["tap"] = replace(failed["tap"], outcome="failed", message="the tap is broken", remedy="Mend it.")
    keep(tmp_path, failed)
    with pytest.raises(CalibrationError, match=r"tap failed on .*: the tap is broken") as caught:
        calibrated(load_bench(path), path)
    assert caught.value.remedy.startswith("Mend it.")


def test_another_working_point_is_refused(tmp_path: Path) -> None:
    path = bench_with_store(tmp_path)
    keep(tmp_path, results())
    path.write_text(changed(path.read_text(), "laser", "power", '"9 mW"'), encoding="utf-8")
    with pytest.raises(CalibrationError, match=r"measured at laser_power_w = 0\.01, the bench file has 0\.009"):
        calibrated(load_bench(path), path)


def test_a_run_takes_the_constants_and_says_so(tmp_path: Path) -> None:
    path = bench_with_store(tmp_path)
    keep(tmp_path, results())
    experiment = load_experiment("digits-telecom", bench=str(path), images=2)
    told: list[RunStarted] = []
    bus = EventBus()
    bus.subscribe(RunStarted, told.append)
    outcome = run_experiment(experiment, bus, RunControl(), None)
    assert outcome.error is None
    (started,) = told
    assert started.calibration["server_volts_per_snu"] == 0.0201
    assert started.bench["calibrated"].startswith("measured, the oldest of 8 results on 20")
    assert "shot-noise" in started.bench["calibration"]["in_force"]["server_receiver.volts_per_snu"]


def test_a_stale_calibration_stops_the_run(tmp_path: Path) -> None:
    path = bench_with_store(tmp_path, "valid_hours = 2.0")
    keep(tmp_path, results(taken_at=(TAKEN - timedelta(hours=3)).isoformat()))
    outcome = run_experiment(
        load_experiment("digits-telecom", bench=str(path), images=2), EventBus(), RunControl(), None
    )
    assert isinstance(outcome.error, GateError)
    assert "hours ago, at most 2 are allowed" in str(outcome.error)


def test_what_is_filled_in_is_not_read(tmp_path: Path) -> None:
    path = bench_with_store(tmp_path, 'in_force = { "tap.v_pi" = "1" }')
    with pytest.raises(ConfigError, match="in_force"):
        load_bench(path)
