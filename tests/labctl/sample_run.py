"""A run that never happened, as the events that would tell of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from labctl.events import (
    AlarmRaised,
    Event,
    ImageFinished,
    Interval,
    LayerMeasured,
    Leakage,
    LightOff,
    NoiseCheck,
    RunFinished,
    RunStarted,
)
from labctl.values import SafeState

RUN: dict[str, Any] = {
    "name": "sample",
    "dataset": "digits",
    "gain": 1.3,
    "mean_photons": 4.0,
    "images": None,
    "confidence": 0.95,
    "adversary": {"client_gain": 3.0},
    "operator": "M. Muster",
    "note": "µ and Σ, and a 'quote'",
}
#: The same with a server that looks for the data.
CURIOUS: dict[str, Any] = RUN | {"adversary": {"server_recovers_data": True}}
BENCH: dict[str, Any] = {
    "name": "ideal",
    "instruments": {"laser": {"driver": "drivers.santec_tsl570:TSL570", "options": {}}},
    "client_receiver": {"channels": [1]},
}


def started(images: int = 200, seed: int = 7, **changes: Any) -> RunStarted:
    values: dict[str, Any] = {
        "name": "sample",
        "run": RUN,
        "bench": BENCH,
        "simulated": True,
        "seed": seed,
        "images": images,
        "layer_shapes": ((64, 64), (10, 64)),
        "classes": 10,
        "clean_accuracy": 0.972,
        "snapshots": {
            "laser": {"wavelength_m": 1.55e-6, "emission": True, "serial": "1701", "errors": 0},
            "amplifier": {"pump_a": 0.25},
        },
        "calibration": {"server_noise_variance_snu": 1.01},
        "software": "labctl 0.0",
    }
    return RunStarted(**(values | changes))


def check(excess: float = 0.0144, threshold: float | None = 0.016, **changes: Any) -> NoiseCheck:
    values: dict[str, Any] = {
        "excess": Interval(excess, excess - 0.001, excess + 0.001),
        "expected": 0.0144,
        "samples": 4736,
        "transmittance": Interval(0.9999, 0.9990, 1.0008),
        "leakage": Leakage(0.05, 0.025, 0.0016, 0.187),
        "threshold": threshold,
    }
    return NoiseCheck(**(values | changes))


def layer(image: int, number: int, seed: int = 7) -> LayerMeasured:
    draw = np.random.default_rng([seed, image, number]).normal(size=3)
    return LayerMeasured(image, number, 4096, 16e3 + draw[0], 11e3 + draw[1], 20e3, 0.01 + draw[2], 1.0)


def image(number: int, seed: int = 7) -> ImageFinished:
    rng = np.random.default_rng([seed, number])
    return ImageFinished(
        image=number,
        index=number + 1437,
        label=number % 10,
        prediction=number % 10 if number % 5 else 0,
        scores=tuple(rng.normal(size=10).tolist()),
        correct=number + 1 - number // 5,
        accuracy=Interval(0.9, 0.85, 0.94),
        pooled=check(0.0144 + rng.normal() * 1e-3, threshold=None if number == 0 else 0.02),
        layers=(check(threshold=None), check(threshold=None)),
        statistic=rng.normal(),
        boundary=4.0,
        time_s=0.25 * number,
    )


def light_off(dark: bool = True) -> LightOff:
    return LightOff(
        (
            SafeState("laser", dark, {"emission": not dark}, "" if dark else "laser: does not answer"),
            SafeState("amplifier", True, {"pump_a": 0.0}),
        )
    )


def finished(images: int = 200, **changes: Any) -> RunFinished:
    values: dict[str, Any] = {
        "status": "complete",
        "verdict": "accepted",
        "cause": "",
        "images": images,
        "accuracy": Interval(0.9, 0.85, 0.94),
        "pooled": check(),
        "layers": (check(0.014, threshold=None), check(0.02, threshold=None, samples=640)),
    }
    return RunFinished(**(values | changes))


def images(count: int, seed: int = 7) -> Iterator[Event]:
    for number in range(count):
        yield layer(number, 0, seed)
        yield layer(number, 1, seed)
        yield image(number, seed)


def whole_run(count: int = 200, seed: int = 7) -> Iterator[Event]:
    yield started(count, seed)
    yield from images(count, seed)
    yield light_off()
    yield finished(count)


def alarmed_run(count: int = 10) -> Iterator[Event]:
    """The alarm comes within the image after ``count`` images."""
    yield started(count * 10)
    yield from images(count)
    yield layer(count, 0)
    yield AlarmRaised(count, 0.03, 0.02)
    yield light_off()
    yield finished(count, verdict="alarm", cause="")
