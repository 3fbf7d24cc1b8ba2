"""The server's check: sample-weighted pooling, the worst layer's leakage, the sequential verdict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labctl.errors import ConfigError, GateError, ProtocolError
from labctl.parties.verifier import Agreement, Verifier
from labctl.protocol.estimation import Receiver, ResidualSums, estimate
from labctl.protocol.leakage import Layer, layer_leakage
from labctl.protocol.parameters import limits

RECEIVER = Receiver(0.5, 0.9, 1.02, 10**9)
LAYERS = (Layer(4.0, 1.0, 32, 64), Layer(4.0, 1.0, 32, 10))
SAMPLES = (4096, 640)


def agreement(**changes: object) -> Agreement:
    return Agreement(
        **{
            "receiver": RECEIVER,
            "layers": LAYERS,
            "expected": (1 / 32, 1 / 20),
            "samples": SAMPLES,
            "images": 10,
            "false_alarm_rate": 1e-3,
            "confidence": 0.95,
            **changes,
        }
    )


def sums(layer: int, excess: float, transmittance: float = 1.0) -> ResidualSums:
    """Exactly the sums of a layer with this excess noise and transmittance (of one shot: added up, 2/N less noise)."""
    n, ss = SAMPLES[layer], 8.0 * SAMPLES[layer]
    t = np.sqrt(RECEIVER.coupling * transmittance)
    noise = RECEIVER.sigma0_sq + RECEIVER.coupling * excess
    return ResidualSums(n, ss, t * ss, t**2 * ss + noise * (n - 1))


def test_pooled_is_the_sample_weighted_mean() -> None:
    verifier = Verifier(agreement())
    for image in range(3):
        verifier.add(0, sums(0, 0.03 + 0.001 * image))
        verifier.add(1, sums(1, 0.09))
    pooled, layers = verifier.checks()
    assert [check.samples for check in layers] == [3 * 4096, 3 * 640]
    assert layers[0].excess.value == pytest.approx(0.031, abs=1e-3)
    assert layers[1].excess.value == pytest.approx(0.09, abs=4e-3)
    weights = np.array([4096, 640]) / 4736
    assert pooled.samples == 3 * 4736
    assert pooled.excess.value == pytest.approx(weights @ [check.excess.value for check in layers], rel=1e-12)
    assert pooled.expected == pytest.approx(weights @ [1 / 32, 1 / 20], rel=1e-12)
    assert pooled.transmittance.value == pytest.approx(weights @ [c.transmittance.value for c in layers], rel=1e-12)
    assert [check.expected for check in layers] == [1 / 32, 1 / 20]


def test_intervals_are_two_sided_around_the_value_and_shrink() -> None:
    widths = []
    for images in (1, 9):
        verifier = Verifier(agreement())
        for _ in range(images):
            verifier.add(0, sums(0, 0.03))
            verifier.add(1, sums(1, 0.03))
        pooled, _ = verifier.checks()
        assert pooled.excess.low < pooled.excess.value < pooled.excess.high
        up, down = pooled.excess.high - pooled.excess.value, pooled.excess.value - pooled.excess.low
        assert down < up < 1.1 * down, "of a sample variance"
        widths.append(pooled.excess.high - pooled.excess.low)
    # sqrt(9), but for the calibration's share, which does not average out.
    assert widths[0] / widths[1] == pytest.approx(3, rel=0.01)
    # 1.96 standard errors sqrt(2/N) σ²/(κη) on each side.
    noise = RECEIVER.sigma0_sq + RECEIVER.coupling * 0.03
    expected = 2 * 1.959964 * np.sqrt(2 / 4736) * noise / RECEIVER.coupling
    assert widths[0] == pytest.approx(expected, rel=0.01)


def test_each_bound_is_the_worst_layer_s() -> None:
    verifier = Verifier(agreement(layers=(Layer(4.0, 1.0, 32, 64), Layer(4.0, 1.0, 20, 10))))
    verifier.add(0, sums(0, 0.02, 1.0))
    verifier.add(1, sums(1, 0.08, 0.97))
    pooled, (first, second) = verifier.checks()
    assert second.leakage.weights_bits_per_mode > first.leakage.weights_bits_per_mode
    assert pooled.leakage.weights_bits_per_mode == second.leakage.weights_bits_per_mode
    assert pooled.leakage.weights_bits_per_weight == second.leakage.weights_bits_per_mode / 2
    assert first.leakage.data_bits_journal > second.leakage.data_bits_journal, "the one with more rows a mode"
    assert pooled.leakage.data_bits_journal == first.leakage.data_bits_journal
    assert second.leakage.data_bits_v1 > first.leakage.data_bits_v1, "the one with fewer modes"
    assert pooled.leakage.data_bits_v1 == second.leakage.data_bits_v1


def test_leakage_is_that_of_the_ends_of_the_intervals() -> None:
    verifier = Verifier(agreement())
    verifier.add(0, sums(0, 0.02))
    _, (check,) = verifier.checks()
    found = estimate(sums(0, 0.02), RECEIVER)
    worst = layer_leakage(LAYERS[0], found, limits(found, RECEIVER, 0.95))
    assert check.leakage.weights_bits_per_mode == worst.weights_bits_per_mode > worst.weights_bits_per_mode_raw


def test_a_badly_known_efficiency_widens_intervals_and_leakage() -> None:
    found = {}
    for error in (0.0, 0.02):
        verifier = Verifier(agreement(receiver=replace(RECEIVER, efficiency_se=error)))
        verifier.add(0, sums(0, 0.03))
        pooled, _ = verifier.checks()
        found[error] = pooled
    sharp, wide = found[0.0], found[0.02]
    assert wide.transmittance.value == sharp.transmittance.value
    down = np.hypot(sharp.transmittance.value - sharp.transmittance.low, 1.959964 * 0.02 / 0.9)
    assert wide.transmittance.low == pytest.approx(wide.transmittance.value - down, abs=1e-4)
    assert wide.leakage.weights_bits_per_mode > 1.05 * sharp.leakage.weights_bits_per_mode


def test_intervals_cover_the_truth_with_an_uncertain_receiver() -> None:
    """1,500 runs of 20 images; true coverage 0.95: outside 0.93..0.97 with probability 4e-4."""
    rng, true = np.random.default_rng(31), Receiver(0.5, 0.85, 1.05)
    covered, runs = np.zeros(2), 1500
    n, ss = SAMPLES[0], 8.0 * SAMPLES[0]
    for _ in range(runs):
        mine = Receiver(0.5, true.efficiency + 0.008 * rng.standard_normal(), 1.05, 50_000, 0.008)
        vacuum, dark = (value * rng.chisquare(50_000) / 50_000 for value in (1.05, 0.05))
        unit = vacuum - dark
        mine = replace(mine, sigma0_sq=vacuum / unit)
        one = {"layers": LAYERS[:1], "expected": (1 / 32,), "samples": SAMPLES[:1], "images": 20}
        verifier = Verifier(agreement(receiver=mine, **one))
        for _ in range(20):
            t = np.sqrt(true.coupling * 0.8) + rng.standard_normal() * np.sqrt(1.06 / ss)
            noise = (true.sigma0_sq + true.coupling * 0.03) * rng.chisquare(n - 1)
            verifier.add(0, ResidualSums(n, ss, t * ss / np.sqrt(unit), (t**2 * ss + noise) / unit))
        pooled, _ = verifier.checks()
        for index, (interval, truth) in enumerate(((pooled.transmittance, 0.8), (pooled.excess, 0.03))):
            covered[index] += interval.low <= truth <= interval.high
    assert np.all(covered / runs > 0.93)
    assert np.all(covered / runs < 0.97)


def test_layers_without_light_are_left_out() -> None:
    verifier = Verifier(agreement())
    assert verifier.verdict is None
    verifier.add(0, sums(0, 0.03))
    pooled, layers = verifier.checks()
    assert len(layers) == 1
    assert pooled.samples == 4096
    assert pooled.expected == 1 / 32


def test_verdict_and_threshold() -> None:
    verifier = Verifier(agreement())
    honest, verdict = verifier.add(0, sums(0, 1 / 32))
    assert honest.excess == pytest.approx(1 / 32, rel=1e-2)
    assert not verdict.alarm
    pooled, layers = verifier.checks()
    assert pooled.threshold == verdict.threshold > pooled.excess.value
    assert layers[0].threshold is None, "only the run is tested"
    _, verdict = verifier.add(1, sums(1, 3.0))
    assert verdict.alarm
    assert verifier.verdict is verdict
    _, later = verifier.add(0, sums(0, 0.0))
    assert later.alarm, "an alarm stays"


def test_sums_that_give_no_number_change_nothing() -> None:
    verifier = Verifier(agreement())
    verifier.add(0, sums(0, 0.03))
    before = verifier.checks()
    with pytest.raises(GateError):
        verifier.add(1, ResidualSums(640, 100.0, np.nan, 1.0))
    with pytest.raises(GateError):
        verifier.add(1, ResidualSums(640, 100.0, 100.0, 100.0))
    assert verifier.checks() == before


def test_layers_come_in_their_order() -> None:
    verifier = Verifier(agreement())
    with pytest.raises(ProtocolError, match="planned"):
        verifier.add(1, sums(1, 0.03))


@pytest.mark.parametrize(
    "changes", [{"false_alarm_rate": 1e-9}, {"images": 0}, {"samples": (4096, 16)}, {"images": 10**9}]
)
def test_a_check_that_cannot_be_made(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        agreement(**changes).plan()
    assert caught.value.remedy


def off(transmittance: float, **changes: object) -> Verifier:
    """After nine images of this transmittance."""
    verifier = Verifier(agreement(transmittance=0.9, **changes))
    for _ in range(9):
        for layer in (0, 1):
            verifier.add(layer, sums(layer, 0.03, transmittance))
    return verifier


def test_more_light_than_was_sent_is_refused_but_in_a_trial() -> None:
    off(1.0).check_transmittance()
    off(1.02).check_transmittance()  # three half widths of so few images are 0.06
    with pytest.raises(GateError, match=r"transmittance 1\.09999 where 1 \+ 3 x 0\.0\d+"):
        off(1.1).check_transmittance()
    off(1.1, trial=True).check_transmittance()


def test_a_transmittance_that_is_not_the_calibrated_one_is_told() -> None:
    assert off(0.9).warnings() == ()
    assert off(0.7, trial=True).warnings() == ()
    assert Verifier(agreement()).warnings() == ()
    less, more = off(0.7).warnings(), off(1.0).warnings()
    assert [each[:8] for each in less] == [each[:8] for each in more] == ["layer 0:", "layer 1:"]
    assert "1.09 dB less light" in less[0]
    assert "0.458 dB more light" in more[0]


def test_a_lost_phase_is_refused_before_the_alarm_and_counts_in_nothing() -> None:
    verifier = Verifier(agreement())
    verifier.add(0, replace(sums(0, 1 / 32), turned=256 * 1.03, stretches=256))
    verifier.add(1, sums(1, 1 / 20))
    before = verifier.checks()
    with pytest.raises(GateError, match="phase reference is lost"):
        verifier.add(0, replace(sums(0, 3.0), turned=256 * 20.0, stretches=256))
    assert verifier.checks() == before
    _, verdict = verifier.add(0, replace(sums(0, 3.0), turned=256 * 1.5, stretches=256))
    assert verdict.alarm, "noise of every mode is somebody's"
    trial = Verifier(agreement(trial=True))
    trial.add(0, replace(sums(0, 3.0), turned=256 * 20.0, stretches=256))
