"""Readings that a calibration holds for: noted with its results, and looked at before the light and during the run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drivers.amonics_aedfa import AEDFA
from labctl.calibrate import calibrate
from labctl.calibration.drift import POWER, held_to
from labctl.calibration.force import NEEDED, calibrated, store_of
from labctl.config import load_bench
from labctl.engine import RunControl
from labctl.errors import CalibrationError, ConfigError, Drifted
from labctl.events import EventBus, ImageFinished, LightOff
from labctl.experiment import load_experiment
from labctl.session import Outcome, run_experiment
from sim_backends import lab as simulated
from tests.labctl.calibration.conftest import changed
from tests.labctl.calibration.test_force import bench_with_store, keep, results

KEYS = ("power_drift = 0.02", 'drift = [{ instrument = "amplifier", reading = "box_temperature_c", most = "2 °C" }]')
TEMPERATURE = "amplifier.box_temperature_c"


def held_bench(folder: Path, temperature_c: float = 31.0, power_w: float = 1e-3) -> Path:
    """A telecom bench whose results were measured at these readings; the simulated ones are 31.5 °C and 1 mW."""
    path = bench_with_store(folder, *KEYS)
    found = results()
    noted = {TEMPERATURE: temperature_c, POWER: power_w}
    keep(folder, {name: replace(result, point={**result.point, **noted}) for name, result in found.items()})
    return path


def run(path: Path, bus: EventBus | None = None) -> Outcome:
    experiment = load_experiment("digits-telecom", bench=str(path), images=30)
    return run_experiment(experiment, bus or EventBus(), RunControl(), None)


def test_they_are_noted_with_each_result(tmp_path: Path, short: None) -> None:
    path = bench_with_store(tmp_path, *KEYS)
    config = load_bench(path)
    store = store_of(config, path)
    assert calibrate(path, config, store, only=["electronic-noise"]).passed
    point = store.latest()["electronic-noise"].point
    assert point[TEMPERATURE] == 31.5
    assert point[POWER] == pytest.approx(1e-3, rel=0.01)


def test_a_run_that_finds_them_as_they_were(tmp_path: Path) -> None:
    path = held_bench(tmp_path)
    config = calibrated(load_bench(path), path)
    assert config.calibration.references[f"tap/{TEMPERATURE}"] == 31.0
    assert len(config.calibration.references) == 2 * len(NEEDED)
    assert run(path).error is None


def test_another_temperature_refuses_the_run_in_the_dark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lit: list[bool] = []
    original = AEDFA.set_emission
    monkeypatch.setattr(AEDFA, "set_emission", lambda self, on: (lit.append(on), original(self, on))[1])
    outcome = run(held_bench(tmp_path, temperature_c=35.0))
    assert isinstance(outcome.error, Drifted)
    assert str(outcome.error) == (
        "amplifier: box_temperature_c is 31.5 °C, and was 35 when shot-noise was measured; the calibration holds within"
        " 2 °C"
    )
    assert "labctl calibrate" in outcome.error.remedy
    assert not any(lit)
    assert outcome.finished.images == 0


def test_another_power_refuses_the_run_before_the_signal(tmp_path: Path) -> None:
    outcome = run(held_bench(tmp_path, power_w=1.04e-3))
    assert isinstance(outcome.error, Drifted)
    assert "power_w is 0.001 W, and was 0.00104 when shot-noise was measured" in str(outcome.error)
    assert "within 0.02 of it" in str(outcome.error)
    assert outcome.finished.images == 0


@pytest.mark.parametrize("what", ["temperature", "power"])
def test_what_changes_during_the_run_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    path = held_bench(tmp_path)
    if what == "power":
        path.write_text(
            changed(path.read_text(encoding="utf-8"), "world.laser", "power_drift_per_hour", "-0.04"), encoding="utf-8"
        )
    dark: list[LightOff] = []
    bus = EventBus()

    def warms_up(event: ImageFinished) -> None:
        if event.image != 4:
            return
        lab = simulated.open_lab(str(path))
        lab.world.advance(3600.0)
        lab.close()
        original = AEDFA.snapshot
        if what == "temperature":
            monkeypatch.setattr(AEDFA, "snapshot", lambda self: {**original(self), "box_temperature_c": 40.0})

    bus.subscribe(ImageFinished, warms_up)
    bus.subscribe(LightOff, dark.append)
    outcome = run(path, bus)
    assert isinstance(outcome.error, Drifted)
    assert ("box_temperature_c is 40" if what == "temperature" else "power_w is") in str(outcome.error)
    assert outcome.finished.status == "aborted"
    assert outcome.finished.images + outcome.finished.doubtful == 5
    assert dark[-1].dark


def test_results_from_before_the_key_are_refused(tmp_path: Path) -> None:
    path = bench_with_store(tmp_path, *KEYS)
    keep(tmp_path, results())
    with pytest.raises(CalibrationError, match=r"shot-noise was measured before bench\.toml asked for amplifier\.box"):
        calibrated(load_bench(path), path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['drift = [{ instrument = "nobody", reading = "x_c", most = "2 °C" }]'], "names 'nobody'"),
        (['drift = [{ instrument = "laser", reading = "x_c", most = 2.0 }]'], "give a text with a unit"),
        (['references = { "tap/x" = 1.0 }'], "filled in"),
    ],
)
def test_what_is_refused(tmp_path: Path, lines: list[Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_bench(bench_with_store(tmp_path, *lines))


def test_without_a_store_there_is_nothing_to_be_held_to(tmp_path: Path) -> None:
    path = bench_with_store(tmp_path, *KEYS)
    path.write_text(path.read_text(encoding="utf-8").replace('store = "kept"\n', ""), encoding="utf-8")
    with pytest.raises(ConfigError, match="they need store"):
        load_bench(path)
    assert held_to(load_bench(bench_with_store(tmp_path)), {}) == ()
