"""The import rules of pyproject.toml hold, and would not hold if somebody broke them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("labctl", "drivers", "sim_backends", "gui")
VOCABULARY = {"errors", "units", "values", "interfaces", "clock", "schema", "shipped", "extensions"}
#: The shape of a mode is one for its sender and for the optics that it passes; fast random numbers are no physics.
SHARED = {"sim_backends": {"labctl.dsp.pulses", "labctl.normals"}}


@cache
def import_graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)


def importers_of(external: str) -> set[str]:
    """Our top-level packages that import the external package anywhere, deferred or not."""
    graph = import_graph()
    if external not in graph.modules:
        return set()
    return {name.split(".")[0] for name in graph.find_modules_that_directly_import(external)}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter with the rules of ``folder``/pyproject.toml on the packages in it."""
    command = "import sys; from importlinter.cli import lint_imports_command as c; c()"
    return subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_contract_is_kept() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("labctl/units.py", "import drivers", "labctl imports no driver"),
        ("labctl/units.py", "def late(): import sim_backends", "labctl imports no driver"),
        ("drivers/added.py", "from labctl import config", "drivers import only"),
        ("drivers/added.py", "import sim_backends", "drivers import only"),
        ("sim_backends/added.py", "import labctl.protocol.leakage", "sim_backends import only"),
        ("gui/added.py", "import drivers", "gui imports labctl only"),
        ("labctl/units.py", "from PyQt6 import QtCore", "only gui imports Qt"),
        ("gui/added.py", "import pyvisa", "only drivers and sim_backends import pyvisa"),
        ("labctl/parties/server.py", "import labctl.parties.client", "server and client do not"),
        ("labctl/parties/server.py", "import labctl.optics.unitary", "the server knows nothing"),
        ("labctl/parties/client.py", "import labctl.optics.modulator", "the client knows nothing"),
        ("labctl/ledger/weights.py", "import labctl.ledger.data", "each party keeps its own account"),
        ("labctl/ledger/data.py", "import labctl.protocol.estimation", "the client knows nothing"),
        ("labctl/units.py", "def late(): from labctl import config", "vocabulary first"),
        ("labctl/clock.py", "def late(): from labctl import interfaces", "no import cycles"),
    ],
)
def test_a_broken_rule_is_noticed(tmp_path: Path, module: str, line: str, contract: str) -> None:
    for package in PACKAGES:
        ignore = shutil.ignore_patterns("weights", "__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")

    result = lint_imports(tmp_path)

    broken = [row for row in result.stdout.splitlines() if " BROKEN" in row]
    assert result.returncode != 0
    assert any(contract in row for row in broken), result.stdout + result.stderr


@pytest.mark.parametrize("package", ["drivers", "sim_backends"])
def test_only_vocabulary_is_imported(package: str) -> None:
    graph = import_graph()
    ours = {package} | graph.find_descendants(package)
    imported = {name for module in ours for name in graph.find_modules_directly_imported_by(module)}
    imported -= SHARED.get(package, set())
    rooms = {name.split(".")[1] for name in imported if name.startswith("labctl.")}
    assert rooms <= VOCABULARY


@pytest.mark.parametrize("qt", ["PyQt6", "pyqtgraph", "PySide6", "qtpy"])
def test_qt_is_imported_in_gui_only(qt: str) -> None:
    assert importers_of(qt) <= {"gui"}


def test_visa_is_imported_at_the_seam_only() -> None:
    assert importers_of("pyvisa") <= {"drivers", "sim_backends"}


def test_drivers_go_through_pyvisa_alone() -> None:
    for other in ("serial", "socket", "usb", "pyvisa_py"):
        assert "drivers" not in importers_of(other)
