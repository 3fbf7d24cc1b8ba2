"""The twin's imperfections, each alone, against the formulas of section 4 of docs/physics.md.

Statistical figures are allowed 4.5 of their standard errors (one in 150,000 times a figure for a right twin; seeds are
fixed).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from labctl.protocol.encoding import pack_data, pack_rows
from labctl.protocol.rowmodel import AmplifierTap
from sim_backends.physics import LoopDrive, photons_per_bin
from tests.physics.bare_bench import RATE_HZ, BareBench, bare_bench

SIGMAS = 4.5
ROWS, INPUTS, SHOTS = 2000, 24, 12
MODES = INPUTS // 2
MEAN_PHOTONS, GAIN = 2.0, 2.0
V_A = 2 * MEAN_PHOTONS


def lit(**physics: Any) -> tuple[BareBench, np.ndarray, np.ndarray]:
    """(bench, launched amplitudes, z)."""
    bench = bare_bench(seed=1, peak=12.0, **physics)
    rng = np.random.default_rng(2)
    data = pack_data(rng.random(INPUTS))
    launched = bench.send(pack_rows(rng.normal(size=(ROWS, INPUTS)), MEAN_PHOTONS, np.complex128))
    bench.set_gain(GAIN)
    bench.project(data.z, 1 / GAIN)
    return bench, launched, data.z


def shots(bench: BareBench) -> tuple[np.ndarray, np.ndarray]:
    """(client's X, shape (S, M); server's X + iP in launch order, (S, M, n)), SNU."""
    measured, received = zip(*(bench.shoot(key) for key in range(SHOTS)), strict=True)
    return np.array(measured), np.array(received)


def close(value: float, theory: float, standard_error: float) -> None:
    assert abs(value - theory) < SIGMAS * standard_error, f"{value} against {theory} +- {standard_error}"


def per_mode(received: np.ndarray, launched: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(t, noise variance of a quadrature) of each mode over all rows and shots."""
    sent = 2 * launched
    t = np.mean(np.real(received * sent.conj()), axis=(0, 1)) / np.mean(np.abs(sent) ** 2, axis=0)
    return t, np.mean(np.abs(received - t * sent) ** 2, axis=(0, 1)) / 2


# --- laser -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay_bins", [0, MODES])
def test_phase_noise_of_each_mode(delay_bins: int) -> None:
    """Bin k comes back B + (B-1-k) bins after the row's begin; its phase has moved over by 2πΔν of the difference."""
    linewidth_hz = 150e3
    physics = {"laser": {"linewidth": "150 kHz"}}
    if delay_bins:
        physics["server_receiver"] = {"lo_delay": f"{delay_bins / RATE_HZ * 1e9} ns"}
    bench, launched, z = lit(**physics)
    _, received = shots(bench)
    t, noise = per_mode(received, launched)
    k = np.arange(MODES)
    bins = np.abs(MODES + (MODES - 1 - k) - delay_bins - k)
    variance = 2 * math.pi * linewidth_hz / RATE_HZ * bins
    power = np.mean(np.abs(2 * launched) ** 2, axis=0) / 2
    honest = 1 + np.abs(z) ** 2 * AmplifierTap(GAIN).returned_excess / 2
    expected = honest + 0.5 * power * (1 - np.exp(-variance))
    samples = ROWS * SHOTS
    for mode in range(MODES):
        spread = math.sqrt(noise[mode] / power[mode] / samples / 2)
        close(t[mode], math.sqrt(0.5) * math.exp(-variance[mode] / 2), spread)
        # Phases of one shot are correlated from row to row only within a row's length: rows count as independent.
        close(noise[mode], expected[mode], 2 * expected[mode] / math.sqrt(samples))


def test_phase_noise_at_the_client() -> None:
    """A local oscillator of the moment when the row's last bin was sent: bin k is off by B-1-k bins of phase."""
    bench, launched, z = lit(laser={"linewidth": "300 kHz"})
    measured, _ = shots(bench)
    variance = 2 * math.pi * 300e3 / RATE_HZ * (MODES - 1 - np.arange(MODES))
    expected = 2 * np.real(launched * np.exp(-variance / 2) @ z.conj())
    t = np.sum(measured * expected) / (SHOTS * np.sum(expected**2))
    close(t, math.sqrt(GAIN - 1), math.sqrt(2 * measured.var() / (SHOTS * np.sum(expected**2))))


def test_intensity_noise() -> None:
    """Signal and oscillator each bring (1 + δ/2): on the signal both, on the shot noise one of them."""
    deviation = 0.1
    rin = 10 * math.log10(2 * deviation**2 / RATE_HZ)
    bench, launched, _ = lit(laser={"rin_db_per_hz": rin})
    _, received = shots(bench)
    t, noise = per_mode(received, launched)
    power = np.mean(np.abs(2 * launched) ** 2, axis=0) / 2
    quarter = deviation**2 / 4
    honest = (1 + AmplifierTap(GAIN).returned_excess / 2 / MODES) * (1 + quarter)
    expected = honest + 0.5 * power.mean() * ((1 + quarter) ** 2 - 1)
    close(noise.mean(), expected, 1.5 * expected / math.sqrt(ROWS * SHOTS * MODES))
    close(t.mean(), math.sqrt(0.5), math.sqrt(noise.mean() / power.mean() / ROWS / SHOTS / MODES / 2))


def test_common_mode_rejection() -> None:
    """What is left of the oscillator's own noise: 10^(-CMRR/10) N_LO σ², beside the shot noise of N_LO photons."""
    rin, cmrr_db, power_w = -140.0, 25.0, 0.01
    receiver = {"cmrr": f"{cmrr_db} dB", "lo_power": "10 mW"}
    bench, launched, z = lit(laser={"rin_db_per_hz": rin}, client_receiver=receiver, server_receiver=receiver)
    measured, received = shots(bench)
    sigma_sq = 10 ** (rin / 10) * RATE_HZ / 2
    leak = 10 ** (-cmrr_db / 10) * photons_per_bin(power_w, bench.laser.wavelength_m, RATE_HZ) * sigma_sq
    assert 0.05 < leak < 50
    _, noise = per_mode(received, launched)
    expected = 1 + leak + AmplifierTap(GAIN).returned_excess / 2 / MODES
    close(noise.mean(), expected, 1.5 * expected / math.sqrt(ROWS * SHOTS * MODES) + 1e-3)
    residual = measured - math.sqrt(GAIN - 1) * 2 * np.real(launched @ z.conj())
    expected = AmplifierTap(GAIN).measured_variance + leak
    close(residual.var(), expected, expected * math.sqrt(2 / residual.size) + 1e-3)


def test_power_drift() -> None:
    bench, _, _ = lit(laser={"power_drift_per_hour": -0.1})
    bench.world.set_stepped(True)
    bench.world.advance(1800)
    assert bench.world.optical_power_w("meter") == pytest.approx(0.95 * 0.1 * 0.01)


# --- modulator ---------------------------------------------------------------------------------------


def sent_field(**modulator: Any) -> tuple[np.ndarray, np.ndarray, BareBench]:
    """(asked, sent) in units of the full field of one arm."""
    bench = bare_bench(seed=1, peak=1.0, modulator=modulator)
    asked = bench.send(np.array([[0.3 + 0.1j, -0.5 + 0.5j, 0.0, 0.9j]]))
    launch = bench.world.circuit.launch(4)
    assert launch is not None
    return asked[0], (launch.plane[0, 0] + 1j * launch.plane[1, 0]) / 2, bench


def test_bias_adds_a_constant_field_where_little_is_sent() -> None:
    asked, sent, _ = sent_field(bias_i="3.5 mV", bias_q="-7 mV")
    turned = np.sin(np.arcsin(asked.real) + np.pi / 200) + 1j * np.sin(np.arcsin(asked.imag) - np.pi / 100)
    np.testing.assert_allclose(sent, turned, atol=1e-5)
    assert sent[2] == pytest.approx(np.pi / 200 - 1j * np.pi / 100, abs=1e-5)


def test_gain_and_angle_imbalance() -> None:
    asked, sent, _ = sent_field(gain_ratio=0.95, angle_error_deg=2.0)
    expected = asked.real + 1j * 0.95 * np.exp(1j * np.radians(2.0)) * asked.imag
    np.testing.assert_allclose(sent, expected, atol=1e-5)


def test_extinction() -> None:
    asked, sent, _ = sent_field(extinction_ratio="20 dB")
    arms = [part - 0.1j * np.sqrt(1 - part**2) for part in (asked.real, asked.imag)]
    np.testing.assert_allclose(sent, arms[0] + 1j * arms[1], atol=1e-5)


def test_bias_drift() -> None:
    asked, at_first, bench = sent_field(bias_drift_i_per_hour="7 mV")
    np.testing.assert_allclose(at_first, asked, atol=1e-5)
    bench.world.set_stepped(True)
    bench.world.advance(1800)
    launch = bench.world.circuit.launch(4)
    assert launch is not None
    assert launch.plane[0, 0, 2] / 2 == pytest.approx(np.pi / 200, abs=1e-5)


# --- client ------------------------------------------------------------------------------------------


def test_gain_error() -> None:
    bench, launched, z = lit(amplifier={"gain_error": 0.05})
    measured, _ = shots(bench)
    expected = 2 * np.real(launched @ z.conj())
    slope = np.sum(measured * expected) / (SHOTS * np.sum(expected**2))
    # The tap returns 1/G of the gain that was asked for.
    factor = math.sqrt((1 - 1 / GAIN) * GAIN * 1.05)
    close(slope, factor, math.sqrt(measured.var() / (SHOTS * np.sum(expected**2))) + 1e-4)


def test_fraction_error() -> None:
    bench, launched, z = lit(tap={"fraction_error": -0.1})
    _, received = shots(bench)
    collected, back = launched @ z.conj(), received @ z.conj()
    slope = np.mean(np.real(back * 2 * collected.conj())) / np.mean(np.abs(2 * collected) ** 2)
    theory = AmplifierTap(GAIN, 1.0, 1 / GAIN - 0.1)
    spread = math.sqrt((1 + theory.returned_excess / 2) / (SHOTS * np.sum(np.abs(2 * collected) ** 2)))
    close(slope, math.sqrt(0.5) * theory.amplitude_factor, spread + 1e-4)


def test_phase_error_of_the_loop_turns_the_mode() -> None:
    error_deg = 3.0
    bench, launched, z = lit(unitary={"loop_phase_error_deg": error_deg})
    turned = z * np.exp(-1j * np.radians(error_deg) * (MODES - 1 - np.arange(MODES)))
    measured, received = shots(bench)
    residual = measured - math.sqrt(GAIN - 1) * 2 * np.real(launched @ turned.conj())
    variance = AmplifierTap(GAIN).measured_variance
    close(residual.var(), variance, variance * math.sqrt(2 / residual.size) + 1e-4)
    in_mode = (received - math.sqrt(0.5) * 2 * launched) @ turned.conj()
    variance = 1 + AmplifierTap(GAIN).returned_excess / 2
    close(in_mode.real.var(), variance, variance * math.sqrt(2 / in_mode.size))


def test_a_loop_of_phase_error_and_loss_bin_by_bin() -> None:
    rng = np.random.default_rng(3)
    drive = LoopDrive(rng.random(9) * np.pi / 2, rng.random(9) * 6 - 3, 0.9, 0.2)
    light = rng.normal(size=(9,)) + 1j * rng.normal(size=(9,))
    held = 0.0
    for k in range(9):
        through = math.sqrt(0.9) * np.exp(0.2j) if k else 0.0
        held = np.cos(drive.theta[k]) * through * held + np.sin(drive.theta[k]) * np.exp(-1j * drive.phi[k]) * light[k]
    assert held == pytest.approx(light @ drive.mode().conj())


# --- nothing idle ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("physics", "said"),
    [
        ({"server_receiver": {"lo_delay": "5 ns"}}, "lo_delay has no effect"),
        ({"client_receiver": {"cmrr": "30 dB", "lo_power": "1 mW"}}, "cmrr has no effect"),
        ({"client_receiver": {"cmrr": "30 dB"}, "laser": {"rin_db_per_hz": -150.0}}, "belong together"),
        (
            {"amplifier": {"gain_curve": [{"pump": "0 A", "gain": 1.0}, {"pump": "1 A", "gain": 1.0}], "n_sp": 1.5}},
            "n_sp has no effect",
        ),
    ],
)
def test_a_parameter_without_effect_is_refused(physics: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        bare_bench(seed=1, peak=1.0, **physics)
