"""Runs on a bench whose file says what breaks, and when: they end in order, with a cause, and never with a number."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.engine import RunControl
from labctl.errors import (
    GateError,
    InstrumentLost,
    InstrumentRefused,
    InstrumentReply,
    InstrumentTimeout,
    InterlockError,
    LabctlError,
)
from labctl.events import EventBus, LightOff
from labctl.experiment import load_experiment
from labctl.session import Outcome, run_experiment
from labctl.shipped import bench_path

IMAGES = 15
#: On the lab's clock: after the pump has settled and some images are through.
MIDWAY = "2.4507 s"


def run(folder: Path, unit: str, fault: str) -> tuple[Outcome, LightOff]:
    path = folder / "faulty.bench.toml"
    entry = f'\n[[world.faults]]\nunit = "{unit}"\nfault = "{fault}"\nat = "{MIDWAY}"\n'
    path.write_text(bench_path("ideal").read_text(encoding="utf-8") + entry, encoding="utf-8")
    bus, off = EventBus(), []
    bus.subscribe(LightOff, off.append)
    outcome = run_experiment(load_experiment("digits", bench=str(path), images=IMAGES), bus, RunControl(), None)
    return outcome, off[-1]


@pytest.mark.parametrize(
    ("unit", "fault", "error"),
    [
        ("laser", "UNPLUG", InstrumentLost),
        ("server_awg", "SILENT", InstrumentTimeout),
        ("client_scope", "LATE", InstrumentTimeout),
        ("amplifier", "PARTIAL", InstrumentTimeout),
        ("power_meter", "PARTIAL", InstrumentReply),
        ("attenuator", "GARBAGE", InstrumentReply),
        ("power_meter", "NAN", InstrumentReply),
        ("power_meter", "NOREADING", InstrumentReply),
        ("client_awg_forward", "QUEUEFULL", InstrumentRefused),
        ("client_scope", "BYTEORDER", GateError),
        ("server_scope", "BYTEORDER", GateError),
        ("client_scope", "CLIPPED", GateError),
        ("server_scope", "STUCK", GateError),
        ("server_scope", "SATURATED", GateError),
        ("laser", "MODEHOP", InterlockError),
        ("laser", "POWERDROP", InterlockError),
        ("amplifier", "INTERLOCK", InterlockError),
    ],
)
def test_a_fault_ends_the_run_with_its_cause(tmp_path: Path, unit: str, fault: str, error: type[LabctlError]) -> None:
    outcome, off = run(tmp_path, unit, fault)
    assert isinstance(outcome.error, error)
    assert 0 < outcome.finished.images + outcome.finished.doubtful < IMAGES
    assert outcome.finished.status == ("aborted" if error in (GateError, InterlockError) else "failed")
    if fault not in ("STUCK", "SATURATED", "MODEHOP", "POWERDROP"):
        assert unit in outcome.finished.cause
    dark = {state.instrument: state.dark for state in off.readback}
    reachable = fault not in ("UNPLUG", "SILENT", "LATE", "PARTIAL", "GARBAGE")
    assert all(is_dark for name, is_dark in dark.items() if reachable or name != unit)


def test_a_bias_that_drifts_raises_the_alarm(tmp_path: Path) -> None:
    outcome, off = run(tmp_path, "server_awg", "BIASDRIFT")
    assert outcome.verdict == "alarm"
    assert all(state.dark for state in off.readback)


def test_what_others_left_in_the_error_queue_does_not_keep_the_light_on(tmp_path: Path) -> None:
    outcome, off = run(tmp_path, "laser", "QUEUEFULL")
    assert outcome.error is None
    assert all(state.dark for state in off.readback)
