"""The training script: correct gradients, falling loss, the same bytes for the same seed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from labctl.datasets import load_dataset
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
    recipe = replace(script.RECIPES["digits"], epochs=3, hidden=8, shift_pixels=1)
    monkeypatch.setitem(script.RECIPES, "digits", recipe)


def test_gradients_are_those_of_the_loss(script: ModuleType) -> None:
    rng = np.random.default_rng(5)
    weights = (rng.standard_normal((7, 6)), rng.standard_normal((4, 7)))
    images, labels = rng.random((9, 6)), rng.integers(0, 4, 9)
    _, gradients = script.loss_and_gradients(weights, images, labels)
    step = 1e-6
    for matrix, gradient in zip(weights, gradients, strict=True):
        for index in np.ndindex(matrix.shape):
            kept = matrix[index]
            matrix[index] = kept + step
            above, _ = script.loss_and_gradients(weights, images, labels)
            matrix[index] = kept - step
            below, _ = script.loss_and_gradients(weights, images, labels)
            matrix[index] = kept
            assert gradient[index] == pytest.approx((above - below) / (2 * step), abs=1e-6)


@pytest.mark.usefixtures("short")
def test_loss_falls(script: ModuleType) -> None:
    losses: list[float] = []
    script.train(
        load_dataset("digits", "train", None),
        script.RECIPES["digits"],
        np.random.default_rng(1),
        lambda epoch, loss: losses.append(loss),
    )
    assert len(losses) == 3
    assert losses[0] < 2.4
    assert losses[2] < losses[1] < losses[0]


@pytest.mark.usefixtures("short")
def test_the_seed_decides_the_bytes(script: ModuleType, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.safetensors" for name in "abc"]
    for path, seed in zip(files, ("1", "1", "2"), strict=True):
        assert script.main(["digits", "--seed", seed, "--out", str(path)]) == 0
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


def test_images_are_moved_as_a_whole_and_by_at_most_the_shift(script: ModuleType) -> None:
    dataset = load_dataset("digits", "train", None).first(50)
    recipe = replace(script.RECIPES["digits"], shift_pixels=2, input_noise=0.0, batch=50)
    ((images, labels),) = script._batches(dataset, recipe, np.random.default_rng(3))
    assert sorted(labels.tolist()) == sorted(dataset.labels.tolist())
    padded = np.pad(dataset.images.reshape(-1, 8, 8), ((0, 0), (2, 2), (2, 2)))
    possible = {
        window[down : down + 8, right : right + 8].tobytes()
        for window in padded
        for down in range(5)
        for right in range(5)
    }
    assert all(image.tobytes() in possible for image in images)


def test_without_noise_the_normalised_network_decides_as_the_plain_one(script: ModuleType) -> None:
    network, dataset = load_network("digits"), load_dataset("digits", "test", None)
    scores = script.noisy_scores(network, dataset.images, 1e12, np.random.default_rng(0))
    assert np.mean(scores.argmax(axis=1) == network.predict(dataset.images)) > 0.999


@pytest.mark.parametrize(("gain", "photons", "snr"), [(2.0, 2.0, 2.0), (2.0, 4.0, 4.0), (1.3, 4.0, 2.1081)])
def test_signal_to_noise_of_a_product(gain: float, photons: float, snr: float, script: ModuleType) -> None:
    assert script.snr_of_product(gain, photons) == pytest.approx(snr, rel=1e-4)


def test_rms_weight_counts_the_padding_of_odd_widths(script: ModuleType) -> None:
    assert script.rms_weight(np.full((2, 3), 2.0, np.float32)) == pytest.approx((24 / 8) ** 0.5)
    assert script.rms_weight(np.full((2, 4), 2.0, np.float32)) == pytest.approx(2.0)


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
