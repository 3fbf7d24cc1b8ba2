"""A simulated lab as programs of others reach it: in their own process by ``@labctl``, or over TCP by pyvisa-py."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyvisa

from labctl.budget.sources import Tables
from sim_backends.lab import Lab, open_lab
from sim_backends.served_bench import Way
from sim_backends.server import LabServer
from tests.contract.suppliers import fragments, ideal, overlaid, write_bench

PATIENCE_S = 10.0
#: Time-out for programs that can be given one: nobody waits for it, but a busy machine may be slow.
PATIENCE_MS = 30_000
#: Why a test of a heavy client, or of one that is not built, is skipped.
MISSING = "not installed: pip install '.[clients]'"


@dataclass(frozen=True)
class Desk:
    """``library``: the VISA library to name; ``lab``: what the instruments are in truth, for comparison."""

    library: str
    lab: Lab
    tables: Tables
    server: LabServer | None = None

    def resource(self, name: str, way: Way | None = None) -> str:
        """The VISA resource string of the instrument ``name``."""
        if self.server is None:
            return str(self.tables["instruments"][name]["resource"])
        return next(a.resource for a in self.server.addresses if a.name == name and way in (None, a.way))

    def port(self, name: str, way: Way | None = None) -> int:
        """Its TCP port on this computer."""
        assert self.server is not None
        return next(a.port for a in self.server.addresses if a.name == name and way in (None, a.way))


def second_supplier(name: str) -> Tables:
    """The changes to the ideal bench of ``tests/contract/suppliers/<name>.toml``."""
    return dict(next(each for each in fragments() if each.name == name).changes)


@contextlib.contextmanager
def in_process(changes: Tables, folder: Path) -> Iterator[Desk]:
    """The ideal bench with ``changes``, by ``@labctl``."""
    tables = overlaid(ideal(), changes)
    bench = write_bench(tables, folder / "lab.bench.toml")
    lab = open_lab(str(bench))
    library = f"{bench}@labctl"
    try:
        yield Desk(library, lab, tables)
    finally:
        pyvisa.ResourceManager(library).close()  # clients keep one open
        lab.close()


@contextlib.contextmanager
def over_tcp(changes: Tables, folder: Path) -> Iterator[Desk]:
    """The same on TCP ports of this computer."""
    tables = overlaid(ideal(), changes)
    bench = write_bench(tables, folder / "lab.bench.toml")
    lab = open_lab(str(bench))
    failures: list[BaseException] = []
    try:
        with LabServer(bench, complain=failures.append) as server:
            thread = threading.Thread(target=server.run, name="lab server")
            thread.start()
            try:
                yield Desk("@py", lab, tables, server)
                assert not failures
            finally:
                pyvisa.ResourceManager("@py").close()
                server.stop()
                thread.join(PATIENCE_S)
                assert not thread.is_alive()
    finally:
        lab.close()
