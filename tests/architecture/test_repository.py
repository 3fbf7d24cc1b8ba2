"""What the checkout holds: no registry address, and a wheel with everything a run needs."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Put together here so that this file does not name them itself.
REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("deb", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("anaconda", "org"),
    )
)


def checked_in_files() -> list[Path]:
    """Files of the repository, those not yet added included."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    paths = (ROOT / name for name in listing.split("\0") if name)
    return [path for path in paths if path.is_file()]


def named_hosts(text: str) -> list[str]:
    return [host for host in REGISTRY_HOSTS if host in text.lower()]


def test_no_file_names_a_package_registry() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: the list of files comes from git")
    found = {}
    for path in checked_in_files():
        hosts = named_hosts(path.read_bytes().decode("utf-8", errors="ignore"))
        if hosts:
            found[str(path.relative_to(ROOT))] = hosts
    assert found == {}


def test_a_named_registry_would_be_found() -> None:
    assert named_hosts("index = https://" + "files." + "PythonHosted" + ".org/simple")


def test_lock_file_pins_everything_with_hashes() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [index for index, line in enumerate(lines) if line[:1].isalnum()]
    assert len(pins) > 30
    for index in pins:
        assert "==" in lines[index]
        assert lines[index + 1].strip().startswith("--hash=sha256:")


def test_lock_file_holds_every_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *extras["test"], *extras["accel"]]
    names = {entry.split(">=")[0].lower() for entry in declared}
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = {line.split("==")[0] for line in lock.splitlines() if line[:1].isalnum()}
    assert names <= locked


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_holds_every_module(wheel_names: set[str]) -> None:
    for package in ("labctl", "drivers", "sim_backends", "gui"):
        ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / package).rglob("*.py")}
        assert ours - {"sim_backends/pyvisa_labctl.py"} <= wheel_names  # moved to the top level
        assert f"{package}/py.typed" in wheel_names


def test_wheel_holds_the_visa_library_of_the_simulated_bench(wheel_names: set[str]) -> None:
    assert "pyvisa_labctl.py" in wheel_names


def test_wheel_holds_examples_and_weights(wheel_names: set[str]) -> None:
    for path in (ROOT / "examples").glob("*.toml"):
        assert f"labctl/examples/{path.name}" in wheel_names
    weights = {name for name in wheel_names if name.endswith(".safetensors")}
    shipped = (ROOT / "labctl").rglob("*.safetensors")
    assert weights == {path.relative_to(ROOT).as_posix() for path in shipped}
    assert weights


def test_wheel_is_nothing_but_the_project(wheel_names: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel_names}
    metadata = {top for top in tops if top.endswith(".dist-info")}
    assert tops - metadata == {"labctl", "drivers", "sim_backends", "gui", "pyvisa_labctl.py"}
