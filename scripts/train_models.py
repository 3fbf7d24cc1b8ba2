"""Train the shipped networks: numpy only, reproducible.

The same seed gives the same bytes on the same machine. These are the commands that made the shipped files:

    python scripts/train_models.py digits --seed 1 --out digits.safetensors
    python scripts/train_models.py mnist --data FOLDER --seed 1 --out mnist.safetensors
    python scripts/train_models.py digits-noise-aware --seed 1 --out digits-noise-aware.safetensors
    python scripts/train_models.py mnist-noise-aware --data FOLDER --seed 1 --out mnist-noise-aware.safetensors

The training itself and its settings are in ``labctl.models.training``. ``--held-out`` leaves the last training images
out and measures on those: settings are chosen that way, never on the test split.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from labctl.datasets import Dataset, load_dataset
from labctl.errors import LabctlError
from labctl.models import save_network
from labctl.models.training import RECIPES, Origin, Recipe, WorkingPoint, describe, train_network

_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_MEASURED_AT = (WorkingPoint(2.0, 2.0), WorkingPoint(2.0, 4.0), WorkingPoint(1.3, 4.0))


def _print_loss(epoch: int, loss: float) -> None:
    print(f"epoch {epoch}: loss {loss:.4f}", file=sys.stderr)


def _load(recipe: Recipe, arguments: argparse.Namespace) -> tuple[Dataset, Dataset]:
    """The images to train on and those to measure on."""
    training = load_dataset(recipe.dataset, "train", arguments.data)
    if not arguments.held_out:
        return training, load_dataset(recipe.dataset, "test", arguments.data)
    kept = len(training) - arguments.held_out
    held_out = Dataset(
        f"{training.name}, held out",
        training.images[kept:],
        training.labels[kept:],
        training.image_shape,
        training.classes,
    )
    return training.first(kept), held_out


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train one of the shipped networks.")
    parser.add_argument("network", choices=sorted(RECIPES))
    parser.add_argument("--data", type=Path, help="folder of the MNIST files (or LABCTL_MNIST)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="new .safetensors file")
    parser.add_argument("--held-out", type=int, default=0, metavar="N", help="measure on the last N training images")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Train, write the model file, print what it reaches; 0, or 1 with a message."""
    options = _parse(arguments)
    recipe = RECIPES[options.network]
    try:
        training, measured_on = _load(recipe, options)
        made = Origin(options.network, "scripts/train_models.py", options.seed)
        network = train_network(made, recipe, training, measured_on, _print_loss)
        save_network(network, options.out, recipe.stored)
    except LabctlError as error:
        print(f"{error.message}\n{error.remedy}", file=sys.stderr)
        return 1
    own = () if recipe.working_point is None else (recipe.working_point,)
    print("\n".join(describe(network, measured_on, (*own, *_MEASURED_AT))))
    return 0


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in _ONE_THREAD.items()):
        # The number of threads changes the order of sums; BLAS reads it when numpy is imported.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **_ONE_THREAD})
    sys.exit(main(sys.argv[1:]))
