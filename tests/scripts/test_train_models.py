"""The training script: the same bytes for the same seed, and images held out."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from labctl.models import load_network

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "train_models.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_models", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_models"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def short(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe of seconds instead of minutes."""
    for name in ("digits", "digits-noise-aware"):
        monkeypatch.setitem(script.RECIPES, name, replace(script.RECIPES[name], epochs=3, hidden=8))


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("name", ["digits", "digits-noise-aware"])
def test_the_seed_decides_the_bytes(name: str, script: ModuleType, tmp_path: Path) -> None:
    files = [tmp_path / f"{letter}.safetensors" for letter in "abc"]
    for path, seed in zip(files, ("1", "1", "2"), strict=True):
        assert script.main([name, "--seed", seed, "--out", str(path)]) == 0
    first, second, third = (path.read_bytes() for path in files)
    assert first == second
    assert first != third
    network = load_network(files[2])
    assert network.layer_shapes == ((8, 64), (10, 8))
    assert network.metadata["seed"] == "2"
    assert network.metadata["training_images"] == "1437"


@pytest.mark.usefixtures("short")
def test_held_out_images_are_not_trained_on(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "part.safetensors"
    assert script.main(["digits", "--held-out", "137", "--out", str(path)]) == 0
    assert load_network(path).metadata["training_images"] == "1300"
    assert "held out: 137 images" in capsys.readouterr().out


def test_it_runs_as_a_script_and_says_what_is_wrong(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "2"}
    command = [
        sys.executable,
        str(SCRIPT),
        "mnist",
        "--data",
        str(tmp_path),
        "--out",
        "x.safetensors",
    ]
    ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "train-images-idx3-ubyte" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []
