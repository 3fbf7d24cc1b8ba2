"""What attacks on the light leave and what they tell, against section 7 of docs/physics.md.

Each figure has a known standard error and is allowed 4.5 of them: a right twin fails one in 150,000 times a figure
(about 40 figures here; seeds are fixed).
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.protocol.encoding import pack_data, pack_rows
from labctl.protocol.rowmodel import AmplifierTap
from sim_backends.attacks import Attack, AttackKind
from tests.physics.bare_bench import BareBench, bare_bench

SIGMAS = 4.5
ROWS, INPUTS, SHOTS = 2000, 24, 10
MEAN_PHOTONS = 2.0
GAIN = 2.0


def returned(bench: BareBench, attack: Attack | None, transmittance: float = 1.0):
    """(residuals of all modes (R, n), t of every sample, client's noise, z)."""
    rng = np.random.default_rng(11)
    data = pack_data(rng.random(INPUTS))
    launched = bench.send(pack_rows(rng.normal(size=(ROWS, INPUTS)), MEAN_PHOTONS, np.complex128))
    bench.set_gain(GAIN)
    bench.project(data.z, 1 / GAIN)
    bench.world.set_attack(attack)
    client, server = [], []
    for key in range(SHOTS):
        measured, light = bench.shoot(key)
        client.append(measured)
        server.append(light)
    sent = np.tile(2 * launched, (SHOTS, 1))
    light = np.concatenate(server)
    t = np.sum(sent.real * light.real + sent.imag * light.imag) / np.sum(np.abs(sent) ** 2)
    noise = np.concatenate(client) - np.sqrt((GAIN - 1) * transmittance) * np.real(sent @ data.z.conj())
    return light - t * sent, t, noise, data.z


def close(value: float, theory: float, standard_error: float) -> None:
    assert abs(value - theory) < SIGMAS * standard_error, f"{value} against {theory} +- {standard_error}"


def excess(residual: np.ndarray) -> float:
    """ε at the dual receiver's input, SNU."""
    return 2 * (np.mean(np.abs(residual) ** 2) / 2 - 1)


def excess_error(residual: np.ndarray, variance: float) -> float:
    return 2 * variance * math.sqrt(2 / (2 * residual.size))


def transmittance_error(variance: float) -> float:
    return math.sqrt(variance / (2 * ROWS * SHOTS * (INPUTS // 2) * 2 * MEAN_PHOTONS))


@pytest.mark.parametrize("gain", [1.5, 2.0, 6.0])
def test_all_modes(gain: float) -> None:
    bench = bare_bench(seed=1, peak=12.0)
    residual, t, noise, z = returned(bench, Attack(AttackKind.ALL_MODES, gain))
    n, tap = INPUTS // 2, AmplifierTap(gain)
    others = (n - 1) / n * tap.returned_excess
    close(excess(residual), others + AmplifierTap(GAIN).returned_excess / n, excess_error(residual, 1 + others / 2))
    close(t, math.sqrt(0.5), transmittance_error(1 + others / 2))
    in_mode = residual @ z.conj()
    variance = 1 + AmplifierTap(GAIN).returned_excess / 2
    close(in_mode.real.var(), variance, variance * math.sqrt(2 / len(in_mode)))
    variance = AmplifierTap(GAIN).measured_variance
    close(noise.var(), variance, variance * math.sqrt(2 / len(noise)))
    # The tapped light, read by a dual receiver: F² = 2μ (G-1) / (v_m + 1) in each quadrature.
    learned = math.log2(1 + 2 * MEAN_PHOTONS * tap.signal_gain / (tap.measured_variance + 1))
    assert bench.world.attack is not None
    assert bench.world.attack[1].bits_per_mode == pytest.approx(learned, abs=0.15)


@pytest.mark.parametrize("fraction", [0.1, 1.0])
@pytest.mark.parametrize("loss_db", [0.0, 1.0])
def test_rows_measured_and_sent_anew(fraction: float, loss_db: float) -> None:
    bench = bare_bench(seed=2, peak=12.0, channel={"loss_out": f"{loss_db} dB", "loss_back": f"{loss_db} dB"})
    loss = 10 ** (-loss_db / 10)
    residual, t, noise, _ = returned(bench, Attack(AttackKind.RESEND, fraction), loss)
    honest = loss * AmplifierTap(GAIN).returned_excess / (INPUTS // 2)
    expected = honest + 2 * loss * fraction
    # The number of rows sent anew is binomial.
    chosen = 2 * loss * math.sqrt(fraction * (1 - fraction) / (ROWS * SHOTS))
    close(excess(residual), expected, math.hypot(excess_error(residual, 1 + loss), chosen))
    close(t, math.sqrt(0.5) * loss, transmittance_error(1 + loss))
    variance = AmplifierTap(GAIN).measured_variance + 2 * fraction * (GAIN - 1)
    spread = variance * math.sqrt(3 / len(noise)) + 2 * (GAIN - 1) * math.sqrt(fraction * (1 - fraction) / len(noise))
    close(noise.var(), variance, spread)
    learned = fraction * math.log2(1 + MEAN_PHOTONS * loss)
    assert bench.world.attack is not None
    assert bench.world.attack[1].bits_per_mode == pytest.approx(learned, abs=0.1)


def test_a_tap_on_the_fibre_leaves_loss_alone() -> None:
    bench = bare_bench(seed=3, peak=12.0)
    residual, t, _, _ = returned(bench, Attack(AttackKind.TAP, 0.2), 0.8)
    close(excess(residual), AmplifierTap(GAIN).returned_excess / (INPUTS // 2), excess_error(residual, 1.05))
    close(t, math.sqrt(0.5 * 0.8), transmittance_error(1.05))
    assert bench.world.attack is not None
    assert bench.world.attack[1].bits_per_mode == pytest.approx(math.log2(1 + 0.2 * MEAN_PHOTONS), abs=0.05)


def test_a_better_channel_leaves_nothing() -> None:
    lossy = {"loss_out": "1 dB", "loss_back": "1 dB"}
    honest = returned(bare_bench(seed=4, peak=12.0, channel=lossy), None)
    bench = bare_bench(seed=4, peak=12.0, channel=lossy)
    attacked = returned(bench, Attack(AttackKind.SUBSTITUTION))
    assert np.array_equal(honest[0], attacked[0])
    kept = 1 - 10**-0.2
    assert bench.world.attack is not None
    assert bench.world.attack[1].bits_per_mode == pytest.approx(math.log2(1 + kept * MEAN_PHOTONS), abs=0.1)


def test_injected_light_is_excess_noise() -> None:
    residual, t, _, _ = returned(bare_bench(seed=5, peak=12.0), Attack(AttackKind.INJECTION, 0.3))
    expected = 0.3 + AmplifierTap(GAIN).returned_excess / (INPUTS // 2)
    close(excess(residual), expected, excess_error(residual, 1 + expected / 2))
    close(t, math.sqrt(0.5), transmittance_error(1 + expected / 2))


def test_an_attack_of_no_strength_changes_nothing() -> None:
    honest = returned(bare_bench(seed=6, peak=12.0), None)
    for attack in (
        Attack(AttackKind.ALL_MODES, 1.0),
        Attack(AttackKind.RESEND, 0.0),
        Attack(AttackKind.TAP, 0.0),
        Attack(AttackKind.INJECTION, 0.0),
    ):
        assert np.array_equal(honest[0], returned(bare_bench(seed=6, peak=12.0), attack)[0])
