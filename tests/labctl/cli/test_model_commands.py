"""``labctl model train``: what it writes, what it says, and what it refuses before it trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labctl.cli import app
from labctl.datasets import load_dataset
from labctl.models import load_network, training

Capture = pytest.CaptureFixture[str]


def perform(*words: str) -> int:
    return app.perform(["model", "train", *words], debug=False)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes of a fraction of a second, and the number of threads left as it was."""
    for name in ("digits", "digits-noise-aware"):
        monkeypatch.setitem(training.RECIPES, name, replace(training.RECIPES[name], epochs=2, hidden=8))
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")


def test_a_noise_aware_network(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "mine.safetensors"
    words = ["--noise-aware", "--gain", "1.5", "--photons", "3", "--epochs", "1", "--seed", "9", "--out", str(out)]
    assert perform(*words) == 0
    network = load_network(out)
    assert (network.name, network.layer_shapes) == ("mine", ((8, 64), (10, 8)))
    told = {key: network.metadata[key] for key in ("trained_for_gain", "trained_for_mean_photons", "seed", "made_by")}
    assert told == {
        "trained_for_gain": "1.5",
        "trained_for_mean_photons": "3",
        "seed": "9",
        "made_by": "labctl model train",
    }
    shown = capsys.readouterr()
    assert shown.out.startswith("digits: 360 images, clean accuracy 0.")
    assert "\nG = 1.5, mu = 3 (F^2 = 2.250): accuracy 0." in shown.out
    assert shown.err.startswith("labctl: epoch 1: loss ")
    assert "epoch 2" not in shown.err


def test_the_seed_decides_the_bytes(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.safetensors" for name in "abc"]
    for path, seed in zip(files, ("1", "1", "2"), strict=True):
        assert perform("--noise-aware", "--seed", seed, "--out", str(path)) == 0
    first, second, third = (path.read_bytes() for path in files)
    assert first == second
    assert first != third


def test_training_without_noise(tmp_path: Path) -> None:
    out = tmp_path / "plain.safetensors"
    assert perform("--out", str(out)) == 0
    network = load_network(out)
    assert "trained_for_gain" not in network.metadata
    dataset = load_dataset("digits", "train", None)
    expected = training.train(dataset, training.RECIPES["digits"], np.random.default_rng(1))
    for mine, theirs in zip(network.weights, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dataset", "cats"], "--dataset cats"),
        (["--dataset", "digits-noise-aware"], "--dataset digits-noise-aware"),
        (["--gain", "2"], "Add --noise-aware"),
        (["--photons", "2"], "Add --noise-aware"),
        (["--noise-aware", "--gain", "0.5"], "amplifier gain is 0.5"),
        (["--epochs", "0"], "--epochs"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_what_cannot_be_trained(words: list[str], message: str, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "never.safetensors"
    assert perform(*words, "--out", str(out)) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert "epoch" not in shown.err.replace("--epochs", "")
    assert not out.exists()


@pytest.mark.parametrize("name", ["there.safetensors", "model.pt", "no/such/folder/a.safetensors"])
def test_a_file_that_cannot_be_written_is_told_before_training(name: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "there.safetensors").write_bytes(b"precious")
    assert perform("--out", str(tmp_path / name)) == 2
    assert "epoch" not in capsys.readouterr().err
    assert (tmp_path / "there.safetensors").read_bytes() == b"precious"


def test_what_the_working_point_leaks_is_told() -> None:
    from labctl.datasets import load_dataset
    from labctl.models import load_network
    from labctl.models.training import WorkingPoint, describe

    images = load_dataset("digits", "test", None).first(5)
    lines = list(describe(load_network("digits"), images, [WorkingPoint(2.0, 1.0)], draws=1))
    [leaks] = [line for line in lines if line.startswith("leaks at T = 1: I_w = ")]
    assert "(arXiv v1)" in leaks
    assert "(journal)" in leaks
