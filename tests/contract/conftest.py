"""The bench under the contract tests: a simulated lab of its own for each test, or, asked for with
``-m hardware``, the bench file named by ``LABCTL_BENCH``.

A test asks for a kind ("laser", "attenuator", ...) and gets the first driver of that kind on the
bench.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import TypeVar

import pytest

from drivers.visa import VisaLibrary
from labctl.config import load_bench
from labctl.interfaces import (
    Amplifier,
    Attenuator,
    Digitizer,
    Instrument,
    Laser,
    PowerMeter,
    SimulationControl,
    WaveformGenerator,
)
from labctl.shipped import bench_path

Kind = TypeVar("Kind", bound=Instrument)

KINDS: dict[str, type[Instrument]] = {
    "laser": Laser,
    "generator": WaveformGenerator,
    "attenuator": Attenuator,
    "amplifier": Amplifier,
    "digitizer": Digitizer,
    "power_meter": PowerMeter,
}
_HARDWARE_BENCH = "LABCTL_BENCH"


class ContractBench:
    """Drivers of one bench, made one by one. ``path``: the bench file."""

    def __init__(self, path: Path, simulated: bool) -> None:
        self.path = path
        self.config = load_bench(path)
        self.library = VisaLibrary(f"{path}@labctl" if simulated else self.config.visa_library)
        self.control = self.library.control()
        if self.control is not None:
            self.control.set_stepped_clock(True)
            self.control.reset(1)
        self._opened: list[Instrument] = []

    @property
    def lab(self) -> SimulationControl:
        """The simulated lab's control instrument."""
        assert self.control is not None, "this test is for simulated benches"
        return self.control

    def make(self, name: str) -> Instrument:
        """The driver of the instrument called ``name``, not opened."""
        entry = self.config.instruments[name]
        made: Instrument = resolve_name(entry.driver)(
            name, entry.resource, self.library, self.library.clock(), **entry.options
        )
        return made

    def open(self, name: str) -> Instrument:
        made = self.make(name)
        self._opened.append(made)
        made.open()
        return made

    def name_of(self, kind: str) -> str:
        """The first instrument of a kind."""
        for name, entry in self.config.instruments.items():
            if issubclass(resolve_name(entry.driver), KINDS[kind]):
                return name
        pytest.skip(f"{self.path} has no {kind}")

    def get(self, kind: type[Kind], name: str = "") -> Kind:
        """An opened driver of a kind, by its name or the first one."""
        wanted = next(key for key, known in KINDS.items() if known is kind)
        made = self.open(name or self.name_of(wanted))
        assert isinstance(made, kind)
        return made

    def close(self) -> None:
        if self.control is None:  # whatever a test did to a real bench, it leaves it dark
            for instrument in self._opened:
                instrument.safe_state()
        for instrument in self._opened:
            instrument.close()
        self.library.close()


@pytest.fixture(params=["simulated", pytest.param("hardware", marks=pytest.mark.hardware)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ContractBench]:
    """Every driver against its simulated unit, or against the instruments of a real bench."""
    if request.param == "hardware":
        named = os.environ.get(_HARDWARE_BENCH)
        if not named:
            pytest.skip(f"{_HARDWARE_BENCH} is not set: name the bench file of the instruments")
        made = ContractBench(Path(named), simulated=False)
    else:
        made = ContractBench(_own_copy(tmp_path), simulated=True)
    yield made
    made.close()


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[ContractBench]:
    """A simulated bench, for what cannot be done to a real one."""
    made = ContractBench(_own_copy(tmp_path), simulated=True)
    yield made
    made.close()


def _own_copy(folder: Path) -> Path:
    """The shipped ideal bench under another path, and so a lab of its own."""
    return Path(shutil.copy(bench_path("ideal"), folder / "contract.bench.toml"))
