"""``labctl power``: how soon the residual-noise check notices an attack, and what the attack gains."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labctl.cli import exits
from labctl.cli.report import print_json, say
from labctl.errors import ConfigError

if TYPE_CHECKING:
    from labctl.protocol.attacks import Agreed, Attack
    from labctl.protocol.power import Assessment
    from labctl.protocol.verification import VerificationPlan

#: Shares of the runs for which the number of images until the alarm is told.
SHARES = (0.5, 0.9)
_HEADS = ("attack", "ε, SNU", "T", "alarm", "mean", "half", "90 %", "one look", "bits/row", "I_w/mode")
_NOTES = (
    "alarm: probability within the run. mean, half, 90 %: images until the alarm (mean: or the run's end).",
    "one look: images for an alarm with probability 0.9 if the server looked only once, then.",
    "bits/row: what the attack's measurement tells of a row of weights, in the most telling layer;",
    "I_w/mode: bound for any measurement, bits per mode. Loss leaves no excess noise: it is not noticed but priced.",
)


def power(  # noqa: PLR0913 - typer reads the options from the signature
    gain: Annotated[float, typer.Option(help="Agreed amplifier gain G, a power ratio.")],
    photons: Annotated[float, typer.Option(help="Photons per mode at launch, μ.")],
    attack: Annotated[
        str | None,
        typer.Option(help="greedy, all-modes, resend, substitution, tap or injection. [default: all]"),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            help="Gain (greedy, all-modes), share of rows (resend), T (substitution), share (tap), SNU (injection)."
        ),
    ] = None,
    least: Annotated[
        bool, typer.Option("--least", help="At the least strength that is caught: alarm with probability 0.999.")
    ] = False,
    images: Annotated[int, typer.Option(min=1, help="Planned images of the run.")] = 1000,
    model: Annotated[str, typer.Option(help="A shipped model, or a .safetensors file.")] = "mnist",
    bench: Annotated[str, typer.Option(help="BENCH.toml, or a shipped bench: ideal, telecom.")] = "ideal",
    false_alarm_rate: Annotated[float, typer.Option(help="Of an honest run of that many images.")] = 1e-3,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")
    ] = False,
) -> int:
    """Tell how soon the residual-noise check notices an attack, and what the attack gains. Nothing is run."""
    from labctl.protocol.power import assess

    agreed, plan = _check(bench, model, gain, photons, (images, false_alarm_rate))
    chosen = _least(plan, agreed, attack, strength) if least else _attacks(agreed, attack, strength)
    found = [assess(plan, agreed, each) for each in chosen]
    if json:
        told = {"model": model, "bench": bench, "gain": gain, "mean_photons": photons}
        print_json(told | _plan(plan) | {"attacks": [_assessment(each) for each in found]})
    else:
        _show(f"{model} on {bench}: G = {gain:g}, μ = {photons:g}", plan, found)
    return exits.ACCEPTED


def _attacks(agreed: Agreed, name: str | None, strength: float | None) -> tuple[Attack, ...]:
    from labctl.protocol.attacks import ATTACKS, named_attack, usual_attacks

    if name is None:
        if strength is not None:
            raise ConfigError("--strength is given without --attack", "Say which attack has this strength.")
        return usual_attacks(agreed)
    if strength is not None or name not in [kind.name for kind in ATTACKS]:
        return (named_attack(name, math.nan if strength is None else strength),)
    return tuple(each for each in usual_attacks(agreed) if each.name == name)


def _least(plan: VerificationPlan, agreed: Agreed, name: str | None, strength: float | None) -> tuple[Attack, ...]:
    """Each kind at the least strength that is caught; one that never is, at the usual strengths."""
    from labctl.protocol.attacks import named_attack
    from labctl.protocol.power import least_strength

    if strength is not None:
        raise ConfigError("--strength is given with --least", "Leave one of them out.")
    usual = _attacks(agreed, name, None)
    found: list[Attack] = []
    for kind in dict.fromkeys(each.name for each in usual):
        weakest = least_strength(plan, agreed, kind)
        caught = math.isfinite(weakest)
        found += [named_attack(kind, weakest)] if caught else [each for each in usual if each.name == kind]
    return tuple(found)


def _check(
    bench: str, model: str, gain: float, photons: float, horizon: tuple[int, float]
) -> tuple[Agreed, VerificationPlan]:
    """What is agreed, and the check of it: images and false-alarm rate are ``horizon``."""
    from labctl.allowance import check_allowance, unknown_allowance
    from labctl.config import load_bench
    from labctl.experiment import DUAL_KAPPA
    from labctl.models import load_network
    from labctl.protocol.attacks import Agreed
    from labctl.protocol.design import Channel, RowShape
    from labctl.protocol.encoding import modes_per_row
    from labctl.protocol.estimation import Receiver
    from labctl.protocol.parameters import per_layer
    from labctl.protocol.power import plan_check
    from labctl.shipped import bench_path
    from labctl.units import db_to_ratio

    config = load_bench(bench_path(bench))
    link, role = config.link, config.server_receiver
    channel = Channel(db_to_ratio(-link.loss_out), db_to_ratio(-link.loss_back), config.amplifier.n_sp)
    receiver = Receiver(DUAL_KAPPA, role.efficiency, role.noise_variance, role.calibration_samples)
    agreed = Agreed(gain, photons, channel)
    if not gain > 1:
        raise ConfigError(f"--gain is {gain:g}: nothing to measure", "Give a gain above 1.")
    layers = [(*layer.shape, layer.transmissions) for layer in load_network(model).layers]
    shapes = [RowShape(modes_per_row(inputs), rows * times) for rows, inputs, times in layers]
    check_allowance(link, [shape.modes for shape in shapes], photons)
    note = unknown_allowance(link)
    if note is not None:
        say(note)
    return agreed, plan_check(
        shapes, agreed, receiver, *horizon, per_layer(link.technical_excess, link.technical_excess_se, len(shapes))
    )


def _plan(plan: VerificationPlan) -> dict[str, Any]:
    from labctl.protocol.estimation import weighted_mean
    from labctl.protocol.power import images_to_resolve, resolution

    return {
        "images": plan.images,
        "false_alarm_rate": plan.false_alarm_rate,
        "samples_per_image": sum(layer.samples for layer in plan.layers),
        "expected_excess_snu": weighted_mean(
            [layer.excess for layer in plan.layers], [layer.samples for layer in plan.layers]
        ),
        "resolution_snu": resolution(plan),
        "images_to_resolve_3_sigma": _finite(images_to_resolve(plan, 3)),
    }


def _assessment(found: Assessment) -> dict[str, Any]:
    times = found.detection
    return {
        "attack": found.attack.name,
        "strength": found.attack.strength,
        "excess_snu": found.excess,
        "transmittance": found.transmittance,
        "power": times.power,
        "expected_images": times.expected_images,
        **{f"images_to_alarm_{share:.0%}".rstrip("%"): _finite(times.images_to_alarm(share)) for share in SHARES},
        "fixed_sample_images": _finite(found.fixed_sample_images),
        "layers": [
            {
                "bits_per_row": each.bits_per_row,
                "honest_bits_per_row": each.honest_bits_per_row,
                "holevo_bits_per_mode": each.holevo_bits_per_mode,
            }
            for each in found.gains
        ],
    }


def _finite(value: float) -> float | None:
    """JSON has no infinity: null is never."""
    return value if math.isfinite(value) else None


def _show(title: str, plan: VerificationPlan, found: list[Assessment]) -> None:
    from labctl.cli.tables import show_table

    told = _plan(plan)
    resolved = told["images_to_resolve_3_sigma"]
    print(f"{title}, false-alarm rate {plan.false_alarm_rate:g} over {plan.images:,} images")
    allowed = "allowed" if any(layer.technical_excess for layer in plan.layers) else "honest"
    print(
        f"{allowed} ε = {told['expected_excess_snu']:.4g} SNU; one image resolves {told['resolution_snu']:.2g}, "
        + ("calibration hides it" if resolved is None else f"the honest part takes {_count(resolved)} for 3 σ")
    )
    show_table(_HEADS, [_row(each) for each in found], wrap=False)
    for note in _NOTES:
        print(note)
    print(f"An honest client reads {found[0].gains[0].honest_bits_per_row:.3g} bits of a row: its product.")


def _row(found: Assessment) -> list[str]:
    times, gains = found.detection, found.gains
    images = [times.images_to_alarm(share) for share in SHARES]
    return [
        f"{found.attack.name}, {found.attack.symbol} = {found.attack.strength:.4g}",
        f"{found.excess:.4g}",
        f"{found.transmittance:.4g}",
        f"{times.power:.4g}",
        f"{times.expected_images:.4g}",
        *(_images(each) for each in images),
        _images(found.fixed_sample_images),
        f"{max(each.bits_per_row for each in gains):.4g}",
        f"{max(each.holevo_bits_per_mode for each in gains):.3g}",
    ]


def _count(number: float) -> str:
    images = max(math.ceil(number), 1)
    return f"{images:,} image" if images == 1 else f"{images:,} images"


def _images(number: float) -> str:
    """Whole images; one that is far from needed is one."""
    return f"{max(math.ceil(number), 1):,}" if math.isfinite(number) else "-"
