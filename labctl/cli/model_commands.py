"""``labctl model train``."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli import exits
from labctl.cli.report import say
from labctl.errors import ConfigError

if TYPE_CHECKING:
    from labctl.models.training import Recipe

#: Left to the recipe where the command line says nothing.
Photons = Annotated[float | None, typer.Option(help="Photons per mode μ to train for.")]


def train(  # noqa: PLR0913 - typer reads the options from the signature
    out: Annotated[Path, typer.Option(help="New .safetensors file.")],
    dataset: Annotated[str, typer.Option(help="digits, or mnist.")] = "digits",
    data: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    noise_aware: Annotated[bool, typer.Option("--noise-aware", help="Train with the noise of the optics.")] = False,
    gain: Annotated[float | None, typer.Option(help="Amplifier gain G to train for.")] = None,
    photons: Photons = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the training images.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="All randomness follows from it.")] = 1,
) -> int:
    """Train a network for a data set, write it, and tell what it reaches on the test images."""
    _check_out(out)
    _one_thread()

    from labctl.datasets import load_dataset
    from labctl.models import save_network
    from labctl.models.training import Origin, describe, train_network

    recipe = _recipe(dataset, noise_aware, gain, photons)
    if epochs is not None:
        recipe = replace(recipe, epochs=epochs)
    training, test = (load_dataset(dataset, split, data) for split in ("train", "test"))
    made = Origin(out.stem, "labctl model train", seed)
    network = train_network(made, recipe, training, test, lambda epoch, loss: say(f"epoch {epoch}: loss {loss:.4f}"))
    save_network(network, out, recipe.stored)
    for line in describe(network, test, [] if recipe.working_point is None else [recipe.working_point]):
        print(line)
    return exits.ACCEPTED


def _check_out(out: Path) -> None:
    """Before minutes of training, not after."""
    if out.suffix != ".safetensors" or out.exists() or not out.absolute().parent.is_dir():
        raise ConfigError(
            f"--out {out}: not a new .safetensors file in an existing folder", "Choose another name or folder."
        )


def _recipe(dataset: str, noise_aware: bool, gain: float | None, photons: float | None) -> Recipe:
    from labctl.models.training import RECIPES, WorkingPoint

    name = f"{dataset}-noise-aware" if noise_aware else dataset
    recipe = RECIPES.get(name)
    if recipe is None or dataset.endswith("-noise-aware"):
        raise ConfigError(f"--dataset {dataset}: there are no training settings for it", "Use digits or mnist.")
    if gain is None and photons is None:
        return recipe
    if recipe.working_point is None:
        raise ConfigError("--gain and --photons say which noise to train for", "Add --noise-aware.")
    point = recipe.working_point
    chosen = WorkingPoint(point.gain if gain is None else gain, point.mean_photons if photons is None else photons)
    _ = chosen.snr
    return replace(recipe, working_point=chosen)


def _one_thread() -> None:
    """The number of threads changes the order of sums; the linear algebra reads it when numpy is imported."""
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = "1"
