"""A modulator whose arms are held at null by controllers: locked before the light, watched while it is on."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.budget.sources import toml_text
from labctl.engine import RunControl
from labctl.errors import ConfigError, InterlockError
from labctl.events import EventBus, LightOff, StateChanged
from labctl.experiment import load_experiment
from labctl.schema import read_toml
from labctl.session import Outcome, run_experiment
from labctl.shipped import bench_path
from sim_backends import lab as simulated

IMAGES = 12


def bench(folder: Path, bias: list[str]) -> Path:
    """Both arms stand off their null; the controllers are on the bench, whether the modulator has them or not."""
    tables = read_toml(bench_path("ideal"))
    for number, name in enumerate(("bias_i", "bias_q"), start=1):
        tables["instruments"][name] = {
            "driver": "drivers.thorlabs_mbx:MBX",
            "resource": f"ASRL/dev/ttyUSB{number}::INSTR",
        }
        tables["world"]["units"][name] = {"model": "thorlabs_mbx"}
        tables["world"]["places"][name] = f"{name}:1"
    tables["world"]["modulator"] |= {"bias_i": "20 mV", "bias_q": "-15 mV"}
    tables["modulator"]["bias"] = bias
    path = folder / "held.bench.toml"
    path.write_text(toml_text(tables), encoding="utf-8")
    return path


def run(path: Path, bus: EventBus) -> Outcome:
    return run_experiment(load_experiment("digits", bench=str(path), images=IMAGES), bus, RunControl(), None)


def test_held_arms_make_an_honest_run_and_free_ones_an_alarm(tmp_path: Path) -> None:
    off: list[LightOff] = []
    bus = EventBus()
    bus.subscribe(LightOff, off.append)
    held = run(bench(tmp_path, ["bias_i", "bias_q"]), bus)
    assert held.error is None
    assert held.verdict == "accepted"
    assert all(state.dark for state in off[-1].readback)
    assert {"bias_i", "bias_q"} <= {state.instrument for state in off[-1].readback}
    free = run(bench(tmp_path, []), EventBus())
    assert free.verdict == "alarm"


def test_a_lock_that_is_lost_ends_the_run(tmp_path: Path) -> None:
    path = bench(tmp_path, ["bias_i", "bias_q"])
    bus = EventBus()

    def somebody_switches_it_off(event: StateChanged) -> None:
        if event.state == "running":
            lab = simulated.open_lab(str(path))
            connection = lab.units["bias_q"].connect(stream=True)
            assert connection is not None
            connection.receive(b"MZM:MODE: 0\r\n")
            connection.close()
            lab.close()

    bus.subscribe(StateChanged, somebody_switches_it_off)
    outcome = run(path, bus)
    assert isinstance(outcome.error, InterlockError)
    assert "bias_q: the modulator's bias is not locked" in outcome.finished.cause
    assert outcome.finished.status == "aborted"


def test_wrong_controllers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"modulator\.bias names 'nobody'"):
        load_experiment("digits", bench=str(bench(tmp_path, ["nobody"])), images=IMAGES)
    outcome = run(bench(tmp_path, ["laser"]), EventBus())
    assert isinstance(outcome.error, ConfigError)
    assert "cannot play the part of BiasController" in outcome.finished.cause
