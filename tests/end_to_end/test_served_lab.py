"""``labctl sim serve`` in a process of its own, and runs, programs and PyMeasure over TCP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pymeasure.instruments.santec.tsl570 import TSL570

from drivers.visa import VisaLibrary
from labctl.bench import open_bench
from labctl.cli import app
from labctl.config import load_bench
from labctl.engine import RunControl
from labctl.errors import InstrumentLost, InstrumentTimeout, InterlockError, TripStands
from labctl.events import EventBus
from labctl.experiment import load_experiment
from labctl.interfaces import Laser
from labctl.record import open_run
from labctl.session import run, run_experiment
from labctl.upkeep import check_bench, safe_bench
from sim_backends.served_bench import Way
from tests.sim_backends.served import ask
from tests.sim_backends.served import served as served_here

IMAGES = 12


@dataclass
class Served:
    process: subprocess.Popen[str]
    bench: Path

    def end(self, number: int) -> tuple[int, str]:
        """Exit status, and what it said."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=20)
        return self.process.returncode, said


def serve(folder: Path) -> Served:
    bench = folder / "served.bench.toml"
    words = ["sim", "serve", "ideal", "--port-base", "0", "--write", str(bench)]
    process = subprocess.Popen(
        [sys.executable, "-m", "labctl.cli", *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while not bench.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    return Served(process, bench)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = serve(tmp_path_factory.mktemp("served"))
    yield made
    assert made.end(signal.SIGTERM)[0] == 0


def content(path: Path) -> dict[str, NDArray[Any]]:
    """What a run found, image by image and layer by layer."""
    found = open_run(path)
    tables = {"images": found.images, **{f"layer {n}": layer for n, layer in enumerate(found.layers)}}
    return {f"{table}: {name}": values for table, columns in tables.items() for name, values in columns.items()}


@pytest.mark.slow
def test_a_run_over_tcp_is_the_run_in_process(served: Served, tmp_path: Path) -> None:
    """Bit by bit; and again, with instruments that have been used before."""
    here = run("digits", images=IMAGES, out_dir=tmp_path / "here")
    expected = content(here.run_file)
    assert len(expected) > 10
    for number in range(2):
        there = run("digits", bench=str(served.bench), images=IMAGES, out_dir=tmp_path / str(number))
        found = content(there.run_file)
        assert list(found) == list(expected)
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)
        assert there.finished.accuracy == here.finished.accuracy
        assert there.verdict == here.verdict == "accepted"
        assert open_run(there.run_file).started.simulated


@pytest.mark.slow
def test_the_command_line_takes_the_served_bench(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "digits", "--bench", str(served.bench), "--images", "3", "--out", str(tmp_path), "--json"]
    assert app.perform(words, debug=False) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "accepted"
    assert told["simulated"] is True


def test_check_and_safe_state(served: Served) -> None:
    assert [report.problems for report in check_bench(served.bench)] == [()] * 10
    assert all(state.dark for state in safe_bench(served.bench))


def test_the_instruments_at_ports_of_their_own_are_recognised(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the file that names them, and by their resources alone, from which a bench file is made."""
    entries = load_bench(served.bench).instruments
    assert app.perform(["bench", "list", str(served.bench), "--json"], debug=False) == 0
    told = capsys.readouterr()
    assert {row["name"]: row["driver"] for row in json.loads(told.out)["found"]} == {
        name: entry.driver for name, entry in entries.items()
    }
    assert "10 of 10 that answered are recognised" in told.err
    file = tmp_path / "mine.bench.toml"
    resources = [word for entry in entries.values() for word in ("--resource", entry.resource)]
    assert app.perform(["bench", "new", str(file), *resources], debug=False) == 0
    assert "10 of 10 that answered are recognised" in capsys.readouterr().err
    written = tomllib.loads(file.read_text(encoding="utf-8"))
    assert written["visa_library"] == "@py"
    assert {each["resource"]: each["driver"] for each in written["instruments"].values()} == {
        entry.resource: entry.driver for entry in entries.values()
    }
    assert {name.partition("_")[0] for name in written["instruments"]} == {
        "laser",
        "awg",
        "attenuator",
        "amplifier",
        "scope",
        "power",
    }
    assert app.perform(["bench", "list", str(file)], debug=False) == 0, "of a file that is not finished too"
    assert "awg_4: TCPIP0::127.0.0.1::" in capsys.readouterr().out


def test_faults_reach_the_drivers(served: Served) -> None:
    with open_bench(served.bench) as bench:
        control = bench.control()
        assert control is not None
        control.inject_fault("laser", "UNPLUG")
        try:
            with pytest.raises(InstrumentLost):
                bench.instruments["laser"].snapshot()
        finally:
            control.clear_faults()
        assert bench.instruments["laser"].snapshot()


def test_a_trip_keeps_further_runs_out_until_somebody_rearms(served: Served, tmp_path: Path) -> None:
    bench = tmp_path / "strict.bench.toml"
    limit = '\n[[interlocks]]\ninstrument = "power_meter"\nreading = "power_w"\nmax = "0.9 mW"\n'
    bench.write_text(served.bench.read_text() + limit)
    tripped = run_experiment(load_experiment("digits", bench=str(bench), images=2), EventBus(), RunControl(), None)
    assert isinstance(tripped.error, InterlockError)
    assert str(tripped.error) == "power_meter: power_w is 0.001 where at most 0.0009 W is due"
    assert (tripped.started, tripped.finished.status) == (None, "aborted"), "no signal was let out"
    experiment = load_experiment("digits", bench=str(served.bench), images=1)
    refused = run_experiment(experiment, EventBus(), RunControl(), None)
    assert isinstance(refused.error, TripStands)
    assert app.perform(["bench", "rearm", str(served.bench), "--yes"], debug=False) == 0
    assert run_experiment(experiment, EventBus(), RunControl(), None).error is None


def test_pymeasure_switches_the_laser_on_for_everybody(served: Served) -> None:
    resource = load_bench(served.bench).instruments["laser"].resource
    theirs = TSL570(resource, visa_library="@py", read_termination="\r", write_termination="\r")
    try:
        theirs.reset()  # a run before leaves the shutter closed
        theirs.command_set = "SCPI"
        theirs.wavelength_setpoint = 1549.5e-9
        theirs.power_unit = "dBm"
        theirs.power_setpoint = 10.0
        theirs.output_enabled = True
        with open_bench(served.bench) as bench:
            ours = bench.part("laser", Laser)
            assert ours.emission()
            assert ours.power() == pytest.approx(10e-3)
            assert ours.wavelength() == pytest.approx(1549.5e-9)
            ours.set_emission(False)
        assert not theirs.output_enabled
        assert theirs.check_errors() == []
    finally:
        theirs.adapter.close()


def test_a_late_answer_over_hislip_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    """It is in the client's socket already when the line is cleared; pyvisa-py's device clear does not expect that."""
    with served_here(tmp_path) as lab:
        library = VisaLibrary("@py")
        try:
            scope = library.connect("scope", lab.resource("server_scope", Way.HISLIP))
            scope.open()
            scope.identify("*IDN?")
            with pytest.raises(InstrumentTimeout):
                scope.query(":TRIG:SOUR EXT;:TRIG:SWE NORM;:DIG CHAN1;*OPC?", timeout_s=0.1)
            generator = lab.connect("server_awg")
            shot = b":INIT:CONT OFF;:INIT:GATE OFF;:TRAC:DEF 1,320,0;:OUTP ON;:INIT:IMM;:TRIG:BEG;*IDN?"
            assert ask(generator, shot)
            assert ask(lab.connect("SIM"), b"*IDN?")
            assert scope.query(":SYST:ERR?") == '+0,"No error"'
            assert scope.query(":TRIG:SWE?") == "NORM"
        finally:
            library.close()


def test_it_ends_by_ctrl_c_and_says_where_everything_was(tmp_path: Path) -> None:
    status, said = serve(tmp_path).end(signal.SIGINT)
    assert status == 0
    for text in ("labctl: SIM ", "labctl: laser ", "hislip0,", "ASRLsocket://127.0.0.1:", "labctl: no longer serving"):
        assert text in said
    assert "WARNING" not in said
