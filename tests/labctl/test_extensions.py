"""Drivers and simulated units that other packages bring, found by the names they register."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labctl import extensions
from labctl.errors import ConfigError
from labctl.shipped import bench_path
from labctl.upkeep import check_bench

CODE = '''
"""An instrument of another package: driver and simulated unit."""
from drivers.thorlabs_pm100d import PM100D
from sim_backends import thorlabs_pm100d


class AcmeMeter(PM100D):
    """Speaks like a PM100D."""


class SimulatedAcmeMeter(thorlabs_pm100d.PM100D):
    """Answers like one."""

    MODEL = "acme_meter"


NOTHING = 3
'''
Install = Callable[[str, str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """A package as pip would leave it, with these entry points; forgotten at the end."""

    def make(name: str, entry_points: str) -> Path:
        folder = tmp_path / name
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{name}_instruments.py").write_text(CODE, encoding="utf-8")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")
        monkeypatch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        return folder

    yield make
    for module in [name for name in sys.modules if name.endswith("_instruments")]:
        del sys.modules[module]


ACME = """
[labctl.drivers]
acme-meter = acme_instruments:AcmeMeter

[labctl.simulated_units]
acme_meter = acme_instruments:SimulatedAcmeMeter
number = acme_instruments:NOTHING
"""


def bench(folder: Path, driver: str = "acme-meter", model: str = "acme_meter") -> Path:
    text = bench_path("ideal").read_text(encoding="utf-8")
    text = text.replace("drivers.thorlabs_pm100d:PM100D", driver)
    text = text.replace('model = "thorlabs_pm100d"', f'model = "{model}"')
    path = folder / "acme.bench.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_bench_uses_what_another_package_registers(tmp_path: Path, install: Install) -> None:
    install("acme", ACME)
    reports = {report.name: report for report in check_bench(bench(tmp_path))}
    meter = reports["power_meter"]
    assert meter.driver == "acme-meter"
    assert meter.problems == ()
    assert "power_w" in meter.state
    assert getattr(extensions.load("acme-meter", extensions.DRIVERS), "__name__", "") == "AcmeMeter"


def test_without_the_package_the_name_is_refused_and_known_ones_are_told(tmp_path: Path, install: Install) -> None:
    reports = {report.name: report for report in check_bench(bench(tmp_path, model="thorlabs_pm100d"))}
    (problem,) = reports["power_meter"].problems
    assert "no installed package registers 'acme-meter'" in problem
    install("acme", ACME)
    with pytest.raises(ConfigError, match=r"registers 'other'.*there are acme-meter"):
        extensions.load("other", extensions.DRIVERS)


def test_two_packages_with_one_name_are_refused(install: Install) -> None:
    install("acme", ACME)
    install("copycat", ACME.replace("acme_instruments", "copycat_instruments"))
    with pytest.raises(ConfigError, match="registered twice"):
        extensions.load("acme-meter", extensions.DRIVERS)


def test_what_cannot_be_imported_is_told(install: Install) -> None:
    install("acme", "[labctl.drivers]\nbroken = acme_instruments:Missing\nlost = nowhere_at_all:Meter\n")
    for name in ("broken", "lost"):
        with pytest.raises(ConfigError, match=f"'{name}' cannot be imported"):
            extensions.load(name, extensions.DRIVERS)


@pytest.mark.parametrize(("model", "message"), [("nobody", "no simulated 'nobody'"), ("number", "is no simulated")])
def test_a_unit_that_is_none(tmp_path: Path, install: Install, model: str, message: str) -> None:
    install("acme", ACME)
    with pytest.raises(ConfigError, match=message):
        check_bench(bench(tmp_path, model=model))
