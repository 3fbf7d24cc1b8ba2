"""labctl as installed from its wheel, in an empty directory, with the checkout out of reach."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("labctl", "drivers", "sim_backends", "gui", "pyvisa_labctl")
#: Of the caller, and able to change what is imported or which data are found.
KEPT_OUT = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "LABCTL_MNIST")


@dataclass(frozen=True)
class Installed:
    """A virtual environment that holds the wheel and nothing else of this project."""

    folder: Path

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    def call(self, program: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name not in KEPT_OUT}
        return subprocess.run(
            [str(self.bin / program), *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )


def dependencies() -> list[str]:
    """Where the packages of the running environment lie. As plain entries of a .pth file their own .pth files are not
    read, and so the checkout does not come in through an editable installation."""
    return [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]


def build(folder: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    wheel = build(folder / "dist")
    made = Installed(folder / "venv")
    venv.create(made.folder, symlinks=True, with_pip=False)
    pip = ["-m", "pip", "--disable-pip-version-check", "--python", str(made.bin / "python")]
    subprocess.run(
        [sys.executable, *pip, "install", "--quiet", "--no-deps", "--no-index", "--no-compile", str(wheel)],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    (packages,) = made.folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(dependencies()) + "\n", encoding="utf-8")
    return made


def test_everything_comes_from_the_wheel(installed: Installed, tmp_path: Path) -> None:
    script = (
        "import importlib, json, sys\n"
        f"print(json.dumps([importlib.import_module(name).__file__ for name in {PACKAGES}] + sys.path))"
    )
    done = installed.call("python", "-c", script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    files, path = json.loads(done.stdout)[: len(PACKAGES)], json.loads(done.stdout)[len(PACKAGES) :]
    for file in files:
        assert Path(file).is_relative_to(installed.folder), file
    assert str(ROOT) not in path


def test_the_demo(installed: Installed, tmp_path: Path) -> None:
    done = installed.call("labctl", "demo", "--images", "20", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["images"], found["verdict"], found["simulated"]) == (20, "accepted", True)
    run_file, log = sorted((path for path in tmp_path.rglob("*") if path.is_file()), key=lambda path: path.suffix)
    assert log == run_file.with_suffix(".log")
    assert Path(found["run_file"]) == run_file
    assert run_file.parent == tmp_path / "runs"


def test_shipped_runs_benches_and_networks_are_found(installed: Installed, tmp_path: Path) -> None:
    """Those of MNIST as well: only the data are missing."""
    digits = installed.call("labctl", "run", "digits", "--bench", "ideal", "--dry-run", "--json", cwd=tmp_path)
    assert digits.returncode == 0, digits.stderr
    assert json.loads(digits.stdout)["images"] == 360
    mnist = installed.call("labctl", "run", "mnist", "--dry-run", "--json", cwd=tmp_path)
    assert mnist.returncode == 2, mnist.stderr
    assert "no folder given for the data set mnist" in json.loads(mnist.stdout)["error"]["message"]
    assert list(tmp_path.iterdir()) == []
