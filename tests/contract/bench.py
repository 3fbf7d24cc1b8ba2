"""Drivers of one bench, made one by one, and what can be seen of a simulated one from inside."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import pytest

from drivers.visa import VisaLibrary
from labctl import extensions, locks
from labctl.bench import make_instrument
from labctl.config import BenchConfig, load_bench
from labctl.errors import LabctlError
from labctl.interfaces import (
    Amplifier,
    Attenuator,
    BiasController,
    Digitizer,
    Instrument,
    Laser,
    OpticalSwitch,
    PolarisationController,
    PowerMeter,
    SimulationControl,
    WaveformGenerator,
)
from sim_backends.lab import Lab, open_lab
from sim_backends.scpi import ScpiUnit
from sim_backends.unit import Unit
from tests.contract.suppliers import fragments, ideal, merged, write_bench

Kind = TypeVar("Kind", bound=Instrument)

KINDS: dict[str, type[Instrument]] = {
    "laser": Laser,
    "generator": WaveformGenerator,
    "attenuator": Attenuator,
    "amplifier": Amplifier,
    "digitizer": Digitizer,
    "power_meter": PowerMeter,
    "bias_controller": BiasController,
    "switch": OpticalSwitch,
    "polarisation_controller": PolarisationController,
}
#: Kinds that give neither light nor drive.
PASSIVE = ("digitizer", "power_meter", "switch", "polarisation_controller")


@dataclass(frozen=True)
class Subject:
    """One instrument under test. ``tables``: of its simulated bench; None: ``path`` is the file of a bench as it is."""

    name: str
    kind: str
    instrument: str
    tables: Mapping[str, Any] | None = None
    path: Path | None = None
    error_queue: bool = True

    def bench(self, folder: Path) -> ContractBench:
        """The bench with the instrument on it; a simulated one is a lab of its own."""
        if self.tables is not None:
            return ContractBench(write_bench(self.tables, folder / "contract.bench.toml"), self)
        assert self.path is not None
        return ContractBench(self.path, self)


def kind_of(config: BenchConfig, name: str) -> str | None:
    """Of the instrument called ``name``; None: no kind that has a suite."""
    driver = extensions.load(config.instruments[name].driver, extensions.DRIVERS)
    assert isinstance(driver, type)
    return next((kind for kind, known in KINDS.items() if issubclass(driver, known)), None)


def speaks_scpi(model: str) -> bool:
    """Whether this simulated unit has what all SCPI units have, an error queue among it."""
    found = vars(import_module(f"sim_backends.{model}")).values()
    return any(isinstance(each, type) and issubclass(each, ScpiUnit) and model == each.MODEL for each in found)


def simulated_subjects(ideal_path: Path) -> list[Subject]:
    """The first instrument of each kind on the ideal bench, and every second supplier's."""
    config, tables = load_bench(ideal_path), ideal()
    firsts: dict[str, str] = {}
    for name in config.instruments:
        kind = kind_of(config, name)
        if kind is not None:
            firsts.setdefault(kind, name)
    found = []
    for kind, name in firsts.items():
        model = tables["world"]["units"][name]["model"]
        found.append(Subject(model, kind, name, tables, error_queue=speaks_scpi(model)))
    for each in fragments():
        queue = speaks_scpi(each.model) if each.error_queue is None else each.error_queue
        found.append(Subject(each.name, each.kind, each.instrument, merged(each), error_queue=queue))
    return found


def bench_subjects(path: Path) -> list[Subject]:
    """Every instrument of a bench file."""
    config = load_bench(path)
    kinds = {name: kind_of(config, name) for name in config.instruments}
    return [Subject(name, kind, name, path=path) for name, kind in kinds.items() if kind is not None]


class ContractBench:
    """Drivers of one bench, made one by one. ``path``: the bench file; ``subject``: who is under test."""

    def __init__(self, path: Path, subject: Subject) -> None:
        self.path = path
        self.subject = subject
        self.config = load_bench(path)
        self.library = VisaLibrary(f"{path.resolve()}@labctl" if self.config.simulated else self.config.visa_library)
        self.control = self.library.control()
        self._lab: Lab | None = None
        if self.control is not None:
            self.control.set_stepped_clock(True)
            self.control.reset(1)
            self._lab = open_lab(str(path))
        self._opened: list[Instrument] = []
        self._held: dict[str, locks.Held] = {}

    # --- drivers ---------------------------------------------------------------------------------

    def make(self, name: str = "") -> Instrument:
        """The driver of the instrument called ``name``, or of the one under test, not opened."""
        name = name or self.subject.instrument
        return make_instrument(name, self.config.instruments[name], self.library)

    def open(self, name: str = "") -> Instrument:
        """As :meth:`make`, opened; no other program of this computer gets at a real one meanwhile."""
        made = self.make(name)
        if not self.config.simulated and made.name not in self._held:
            self._held[made.name] = locks.take(made.name, self.config.instruments[made.name].resource)
        self._opened.append(made)
        made.open()
        return made

    def first(self, kind: str) -> str | None:
        """The one under test if it is of this kind, otherwise the first of it; None: the bench has none."""
        if self.subject.kind == kind:
            return self.subject.instrument
        return next((name for name in self.config.instruments if kind_of(self.config, name) == kind), None)

    def get(self, kind: type[Kind], name: str = "") -> Kind:
        """An opened driver of a kind: by its name, or the one under test, or the first of that kind."""
        wanted = next(key for key, known in KINDS.items() if known is kind)
        chosen = name or self.first(wanted)
        if chosen is None:
            pytest.skip(f"{self.path} has no {wanted}")
        made = self.open(chosen)
        assert isinstance(made, kind)
        return made

    def close(self) -> None:
        """Whatever a test did to a bench that others use, it leaves every instrument that it touched dark."""
        try:
            for instrument in self._opened:
                instrument.close()
            if self.subject.tables is None:
                self._leave_dark()
        finally:
            self.library.close()
            for held in self._held.values():
                held.release()
            if self._lab is not None:
                self._lab.close()

    def _leave_dark(self) -> None:
        bright = {}
        for name in dict.fromkeys(instrument.name for instrument in self._opened):
            fresh = self.make(name)
            try:
                fresh.open()
                state = fresh.safe_state()
                if not state.dark:
                    bright[name] = state.problem or "it still emits"
            except LabctlError as error:
                bright[name] = str(error)
            finally:
                fresh.close()
        assert not bright, f"not in the safe state: {bright}"

    # --- a simulated bench, seen from inside -----------------------------------------------------

    @property
    def lab(self) -> SimulationControl:
        """The simulated lab's control instrument."""
        assert self.control is not None, "this test is for simulated benches"
        return self.control

    @property
    def world(self) -> Lab:
        """The lab itself."""
        assert self._lab is not None, "this test is for simulated benches"
        return self._lab

    @property
    def unit(self) -> Unit:
        """The simulated unit under test."""
        return self.world.units[self.subject.instrument]

    @contextlib.contextmanager
    def nothing_sent(self, name: str = "") -> Iterator[None]:
        """Fails when anything reaches the simulated unit meanwhile; on a real bench nobody can tell."""
        if self._lab is None:
            yield
            return
        unit, heard = self._lab.units[name or self.subject.instrument], bytearray()
        receive = unit.receive

        def listen(connection: Any, data: Any, end: bool) -> None:
            heard.extend(bytes(data))
            receive(connection, data, end)

        vars(unit)["receive"] = listen
        try:
            yield
        finally:
            del vars(unit)["receive"]
        assert not heard, f"{bytes(heard)!r} was sent"
