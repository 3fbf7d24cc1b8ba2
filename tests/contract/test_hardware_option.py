"""``--hardware``: what is chosen, what is left out, how the bench is left. A simulated one stands in."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labctl.errors import InstrumentError
from labctl.shipped import bench_path
from tests.contract.bench import ContractBench, Subject

ROOT = Path(__file__).resolve().parents[2]


def pytest_shows(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_instrument_of_the_kind_and_only_what_suits_a_real_one(tmp_path: Path) -> None:
    path = shutil.copy(bench_path("ideal"), tmp_path / "bench.toml")
    shown = pytest_shows("tests/contract/test_generator.py", "--hardware", str(path), "-k", "not shot")
    for name in ("server_awg", "client_awg_forward", "client_awg_return", "client_awg_tap"):
        assert f"test_settings_are_read_back[{name}] PASSED" in shown
    assert "test_what_was_loaded_plays_to_the_bit" not in shown


def test_nothing_but_the_contract_is_run(tmp_path: Path) -> None:
    path = shutil.copy(bench_path("ideal"), tmp_path / "bench.toml")
    files = ("tests/contract/test_power_meter.py", "tests/labctl/test_units.py")
    shown = pytest_shows(*files, "--hardware", str(path))
    assert "test_power_is_a_number_of_watts[power_meter] PASSED" in shown
    assert "test_units" not in shown


def named(tmp_path: Path) -> ContractBench:
    path = Path(shutil.copy(bench_path("ideal"), tmp_path / "bench.toml"))
    return Subject("laser", "laser", "laser", path=path).bench(tmp_path)


def test_what_a_test_left_on_is_switched_off(tmp_path: Path) -> None:
    witness, bench = named(tmp_path), named(tmp_path)
    laser = bench.open()
    laser.set_emission(True)  # type: ignore[attr-defined]
    laser.close()
    bench.close()
    assert not witness.unit.state.emission  # type: ignore[attr-defined]
    witness.close()


def test_an_instrument_that_cannot_be_made_dark_is_named(tmp_path: Path) -> None:
    witness, bench = named(tmp_path), named(tmp_path)
    bench.open()
    witness.lab.inject_fault("laser", "UNPLUG")
    with pytest.raises(AssertionError, match=r"not in the safe state.*laser"):
        bench.close()
    with pytest.raises(InstrumentError):
        witness.open()
    witness.lab.clear_faults()
    witness.close()
