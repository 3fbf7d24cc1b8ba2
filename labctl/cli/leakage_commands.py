"""``labctl leakage`` and ``labctl optimise``: what a working point leaks, and the best one within a budget."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labctl.cli import exits
from labctl.cli.report import print_json
from labctl.errors import ConfigError, DataError

if TYPE_CHECKING:
    from labctl.datasets import Dataset
    from labctl.models import Network
    from labctl.protocol.design import Limit, WorkingPoint
    from labctl.protocol.leakage import Layer, LayerLeakage

#: The bounds by the keys that they have in a run's result.
BOUNDS = ("weights_bits_per_mode", "weights_bits_per_weight", "data_bits_v1", "data_bits_journal")
#: Draws of the optics' noise that an accuracy is the mean of, and their seed.
DRAWS, SEED = 10, 1
#: Images over all draws that are enough: fewer draws of a large data set.
ENOUGH = 20_000
#: Accuracy lost to the noise from which on it is called poor.
POOR = 0.2
#: Largest photon number of a run, and largest number of modes or rows, that the options take.
MAX_PHOTONS, MAX_COUNT = 1e6, 2**26
AT_FULL_TRANSMITTANCE = (
    "The paper's limits (weights 0.1 bits per mode, data 0.01 bits by the v1 bound) hold at T = 1 only:\n"
    "what is lost counts as the adversary's. The same working point with loss:"
)
_LIMITS = {
    "weights": "the weights' budget",
    "data": "the data's budget",
    "gain": "the gain, beyond which the measurement gets worse",
    "photons": "the largest photon number",
}
#: What would help; more gain than the best one would not.
_BETTER = {
    "weights": "a larger budget of the weights or less loss",
    "data": "a larger budget of the data or longer rows",
    "photons": "more light than a run may have",
}


class Convention(StrEnum):
    """The published bounds on the data."""

    v1 = "v1"
    journal = "journal"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")]
Transmittance = Annotated[float, typer.Option(help="T, launch to the server's receiver.")]
InversionFactor = Annotated[float, typer.Option("--n-sp", help="Inversion factor of the amplifier; 1: quantum limit.")]


def leakage(  # noqa: PLR0913 - typer reads the options from the signature
    gain: Annotated[float, typer.Option(help="Agreed amplifier gain G, a power ratio.")],
    photons: Annotated[float, typer.Option(help="Photons per mode at launch, μ.")],
    modes: Annotated[int, typer.Option(min=1, max=MAX_COUNT, help="Modes of a row, n: half its weights.")],
    rows: Annotated[int, typer.Option(min=1, max=MAX_COUNT, help="Rows of the layer, M.")],
    transmittance: Transmittance = 1.0,
    excess: Annotated[
        float | None, typer.Option(help="Excess noise per mode at the server's receiver, SNU. [default: g/n]")
    ] = None,
    n_sp: InversionFactor = 1.0,
    json: Json = False,
) -> int:
    """Tell what one transmission of a layer leaks, per mode and per weight, and what loss costs."""
    from labctl.protocol.leakage import Layer, known_leakage
    from labctl.protocol.rowmodel import AmplifierTap

    _check("--gain", gain, 1 <= gain <= 1000, "from 1 to 1000")
    _check("--photons", photons, 0 < photons <= MAX_PHOTONS, f"above 0, at most {MAX_PHOTONS:g}")
    _check("--transmittance", transmittance, 0 <= transmittance <= 1, "from 0 to 1")
    tap = AmplifierTap(gain, n_sp)
    noise = tap.honest_excess(modes) if excess is None else excess
    _check("--excess", noise, noise >= 0, "of at least 0")
    layer = Layer(photons, tap.returned_excess, modes, rows)
    found = known_leakage(layer, transmittance, noise)
    if json:
        print_json(
            {
                "gain": gain,
                "mean_photons": photons,
                "modes": modes,
                "rows": rows,
                "n_sp": n_sp,
                "transmittance": transmittance,
                "excess_snu": noise,
                "excess_mode_snu": layer.excess_mode,
                **_bits(found),
                "loss": _loss(photons, noise, transmittance),
            }
        )
        return exits.ACCEPTED
    print(f"G = {gain:g}, μ = {photons:g}, n = {modes}, M = {rows}, T = {transmittance:g}")
    print(f"excess noise: g = {layer.excess_mode:.4g} SNU in the one mode, ε = {noise:.4g} SNU per mode")
    _show_layers([(layer, found)])
    _show_loss(photons, noise, transmittance)
    return exits.ACCEPTED


def optimise(  # noqa: PLR0913 - typer reads the options from the signature
    weights_bits: Annotated[float, typer.Option(help="Most that the weights may leak, bits per mode.")] = 0.1,
    data_bits: Annotated[float, typer.Option(help="Most that the data may leak, bits per symbol.")] = 0.01,
    convention: Annotated[Convention, typer.Option(help="Which bound on the data is meant.")] = Convention.v1,
    model: Annotated[str, typer.Option(help="A shipped model, or a .safetensors file.")] = "mnist",
    dataset: Annotated[
        str | None, typer.Option(help="Tell the accuracy on its test images. [default: what the model is for]")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the data set. [default: LABCTL_MNIST]")] = None,
    images: Annotated[int | None, typer.Option(min=1, help="Of the data set. [default: all]")] = None,
    transmittance: Transmittance = 1.0,
    n_sp: InversionFactor = 1.0,
    json: Json = False,
) -> int:
    """Find the gain and photon number of best accuracy within a budget of leakage per transmission."""
    from labctl.models import load_network
    from labctl.protocol.design import Budget, Channel, RowShape
    from labctl.protocol.design import optimise as search
    from labctl.protocol.encoding import modes_per_row
    from labctl.protocol.leakage import Layer
    from labctl.protocol.rowmodel import AmplifierTap

    _check("--transmittance", transmittance, 0 < transmittance <= 1, "above 0, at most 1")
    _check("--weights-bits", weights_bits, weights_bits >= 0, "of at least 0")
    _check("--data-bits", data_bits, data_bits >= 0, "of at least 0")
    budget = Budget(weights_bits, data_bits, convention.value)
    network = load_network(model)
    shapes = [RowShape(modes_per_row(inputs), rows) for rows, inputs in network.layer_shapes]
    point = search(shapes, budget, Channel(transmittance, n_sp=n_sp))
    accuracy, why = _accuracy(network, point, (dataset, data, images))
    tap = AmplifierTap(point.gain, n_sp)
    noise = tap.honest_excess(min(shape.modes for shape in shapes))
    layers = [
        (Layer(point.mean_photons, tap.returned_excess, shape.modes, shape.rows), found)
        for shape, found in zip(shapes, point.layers, strict=True)
    ]
    if json:
        asked = {"model": model, "transmittance": transmittance, "n_sp": n_sp, "convention": convention.value}
        print_json(
            asked
            | _point(point, layers)
            | {"accuracy": accuracy, "no_accuracy": why or None}
            | {"loss": _loss(point.mean_photons, noise, transmittance)}
        )
        return exits.ACCEPTED
    print(f"{model}: G = {point.gain:.5g}, μ = {point.mean_photons:.5g}, T = {transmittance:g}")
    print(f"F² = {point.snr_squared:.4g} ({point.snr_db:.2f} dB), squared signal to noise of a normalised product")
    _show_accuracy(accuracy, why, point.limits)
    print(f"limited by {' and '.join(_LIMITS[each] for each in point.limits)}")
    _show_layers(layers)
    _show_loss(point.mean_photons, noise, transmittance)
    return exits.ACCEPTED


def _accuracy(
    network: Network, point: WorkingPoint, chosen: tuple[str | None, Path | None, int | None]
) -> tuple[dict[str, Any] | None, str]:
    """At the working point, over seeded draws of the optics' noise; or None, and why.

    ``chosen``: data set, its folder and number of images. Without a name the set that the network was trained for is
    taken, where it can be loaded. Raises DataError for a set or a folder that was named.
    """
    name, folder, images = chosen
    own = network.metadata.get("dataset")
    if name is None and own is None:
        return None, "the model does not tell what data set it was trained for; name one with --dataset"
    try:
        dataset = _images(network, name or str(own), folder)
    except DataError as error:
        if name is not None or folder is not None:
            raise
        return None, f"the model's data set {own!r} is not at hand: {error}. {error.remedy}"
    return _simulated(network, point, dataset if images is None else dataset.first(images)), ""


def _images(network: Network, name: str, folder: Path | None) -> Dataset:
    from labctl.datasets import load_dataset
    from labctl.models import check_fits

    dataset = load_dataset(name, "test", folder)
    check_fits(network, dataset)
    return dataset


def _simulated(network: Network, point: WorkingPoint, dataset: Dataset) -> dict[str, Any]:
    import numpy as np

    from labctl.models.noise import noisy_accuracy

    draws = max(1, min(DRAWS, ENOUGH // len(dataset)))
    found = noisy_accuracy(network, dataset, point.snr_squared, draws, np.random.default_rng(SEED))
    return {
        "dataset": dataset.name,
        "images": len(dataset),
        "draws": draws,
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "clean": network.accuracy(dataset.images, dataset.labels),
    }


def _show_accuracy(found: dict[str, Any] | None, why: str, limits: tuple[Limit, ...]) -> None:
    if found is None:
        print(f"accuracy: not simulated: {why}")
        return
    draws = "one draw" if found["draws"] == 1 else f"mean of {found['draws']} draws"
    print(
        f"accuracy {found['value']:.4f} ({found['low']:.4f} to {found['high']:.4f}), {draws} of"
        f" {found['images']} images of {found['dataset']}; without noise {found['clean']:.4f}"
    )
    if found["value"] < found["clean"] - POOR:
        better = ", and ".join(_BETTER[each] for each in limits if each in _BETTER)
        print(f"poor: more than {POOR:.0%} below that without noise; better takes {better}")


def _check(option: str, value: float, holds: bool, allowed: str) -> None:
    if not (math.isfinite(value) and holds):
        raise ConfigError(f"{option} is {value:g}", f"Give a number {allowed}.")


def _point(point: WorkingPoint, layers: list[tuple[Layer, LayerLeakage]]) -> dict[str, Any]:
    worst = {key: max(_bits(found)[key] for _, found in layers) for key in _bits(layers[0][1])}
    return {
        "gain": point.gain,
        "mean_photons": point.mean_photons,
        "snr_squared": point.snr_squared,
        "snr_db": point.snr_db,
        "limits": list(point.limits),
        **worst,
        "layers": [{"modes": layer.modes, "rows": layer.rows, **_bits(found)} for layer, found in layers],
    }


def _bits(found: LayerLeakage) -> dict[str, float]:
    return {key: getattr(found, key) for key in BOUNDS}


def _loss(photons: float, excess: float, transmittance: float) -> list[dict[str, float]]:
    from labctl.protocol.leakage import TRANSMITTANCES, price_of_loss

    points = sorted({*TRANSMITTANCES, transmittance}, reverse=True)
    prices = price_of_loss(photons, excess, points)
    return [
        {"transmittance": each, "weights_bits_per_mode": bits, "weights_bits_per_weight": bits / 2}
        for each, bits in zip(points, prices, strict=True)
    ]


def _show_layers(layers: list[tuple[Layer, LayerLeakage]]) -> None:
    from labctl.cli.tables import show_table

    show_table(
        ["bits that one transmission leaks", "weights, per mode", "per weight", "data, arXiv v1", "data, journal"],
        [
            [f"{layer.rows} rows of {layer.modes} modes", *(f"{bits:.4g}" for bits in _bits(found).values())]
            for layer, found in layers
        ],
    )


def _show_loss(photons: float, excess: float, transmittance: float) -> None:
    from labctl.cli.tables import show_table

    print(AT_FULL_TRANSMITTANCE)
    rows = [[f"{number:.4g}" for number in line.values()] for line in _loss(photons, excess, transmittance)]
    show_table(["T", "weights, per mode", "per weight"], rows)
