"""The alarm's rate over many honest runs: twin, client's arithmetic, server's sums and sequential test, without wire.

A run is 20 images through a 64-16-10 network; each run and image draws fresh noise and fresh data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from labctl.parties.verifier import Agreement, Verifier
from labctl.protocol.encoding import launched_quadratures, pack_data, pack_rows
from labctl.protocol.estimation import Receiver, ResidualSums, residual_sums
from labctl.protocol.inference import Readout, normalised_products
from labctl.protocol.layers import activate
from labctl.protocol.leakage import Layer
from labctl.protocol.power import detection
from labctl.protocol.rowmodel import AmplifierTap
from labctl.protocol.walk import NoiseProfile
from tests.physics.bare_bench import BareBench, bare_bench

RUNS = 400
IMAGES = 20
RATE = 0.1
MEAN_PHOTONS = 2.0
SHAPES = ((16, 64), (10, 16))


def agreement(gain: float, images: int = IMAGES) -> Agreement:
    tap = AmplifierTap(gain)
    return Agreement(
        receiver=Receiver(0.5),
        layers=tuple(Layer(MEAN_PHOTONS, tap.returned_excess, inputs // 2, rows) for rows, inputs in SHAPES),
        expected=tuple(tap.honest_excess(inputs // 2) for _, inputs in SHAPES),
        samples=tuple(rows * inputs for rows, inputs in SHAPES),
        images=images,
        false_alarm_rate=RATE,
        confidence=0.95,
    )


@dataclass(frozen=True)
class LitLayer:
    """A bench that plays the rows of one layer, and what they really are: quadratures and their sum of squares."""

    bench: BareBench
    launched: NDArray[np.floating]
    squared: float

    def shoot(self, data: NDArray[np.float64], gain: float, key: int) -> tuple[NDArray[np.float64], ResidualSums]:
        """The client's data for the next layer, and the server's sums."""
        mode = pack_data(data)
        self.bench.project(mode.z, 1 / gain)
        measured, returned = self.bench.shoot(key)
        sums = residual_sums(self.launched, np.stack([returned.real, returned.imag]), launched_squared=self.squared)
        return activate(normalised_products(measured, Readout(gain, MEAN_PHOTONS), mode), "relu"), sums


def lit_layers(gain: float, seed: int) -> list[LitLayer]:
    rng = np.random.default_rng(seed)
    layers = []
    for index, shape in enumerate(SHAPES):
        bench = bare_bench(seed=seed + index, peak=8.0)
        launched = launched_quadratures(bench.send(pack_rows(rng.normal(size=shape), MEAN_PHOTONS, np.complex128)))
        bench.set_gain(gain)
        layers.append(LitLayer(bench, launched, float(np.sum(launched**2))))
    return layers


def alarmed_after(layers: list[LitLayer], terms: Agreement, used: float, run: int) -> int | None:
    """One run, stopped at the alarm: how many images it took, or None if there was none."""
    verifier, rng = Verifier(terms), np.random.default_rng(run)
    for image in range(terms.images):
        data = rng.random(SHAPES[0][1])
        for index, layer in enumerate(layers):
            data, sums = layer.shoot(data, used, run * terms.images + image)
            _, verdict = verifier.add(index, sums)
            if verdict.alarm:
                return image + 1
    return None


@pytest.mark.slow
def test_honest_runs_alarm_at_the_configured_rate() -> None:
    """The number of alarms lies within the central 99.9 % of its binomial law: wrong once in 1000 seeds."""
    layers = lit_layers(2.0, seed=40)
    alarms = sum(alarmed_after(layers, agreement(2.0), 2.0, run) is not None for run in range(RUNS))
    low, high = binom.interval(0.999, RUNS, RATE)
    assert low <= alarms <= high


def test_a_rate_twice_too_high_or_low_would_be_seen() -> None:
    """What the test above is worth: at 0.2 or 0.05 its interval would be missed with at least 60 %."""
    low, high = binom.interval(0.999, RUNS, RATE)
    for rate, power in ((2 * RATE, 0.95), (RATE / 2, 0.6)):
        inside = binom.cdf(high, RUNS, rate) - binom.cdf(low - 1, RUNS, rate)
        assert 1 - inside > power


@pytest.mark.parametrize("used", [6.0, 10.0])
def test_greedy_runs_alarm(used: float) -> None:
    """G = 1.3 agreed, 200 images planned: one in 1000 sets of ten runs has one missed, by theory."""
    terms = agreement(1.3, images=200)
    greedy = [NoiseProfile.one_mode(AmplifierTap(used).returned_excess, inputs // 2) for _, inputs in SHAPES]
    missed = 1 - detection(terms.plan(), greedy).power
    assert 10 * missed < 1e-3
    layers = lit_layers(used, seed=60)
    found = [alarmed_after(layers, terms, used, run) for run in range(10)]
    assert all(images is not None for images in found), found
