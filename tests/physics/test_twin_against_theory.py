"""The twin's noise against section 3 of docs/physics.md, row by row, mode by mode.

Every figure is an estimate from R independent rows with a known standard error; each test allows 4.5 of them on each
of its figures, so that a right twin fails one in 150,000 times a figure (about 200 figures here: one in 700 seeds;
seeds are fixed).
"""

from __future__ import annotations

import numpy as np
import pytest

from labctl.protocol.encoding import pack_data, pack_rows
from labctl.protocol.rowmodel import AmplifierTap
from tests.physics.bare_bench import BareBench, bare_bench

SIGMAS = 4.5
ROWS = 2000
SHOTS = 10
GAINS = [1.3, 2.0, 3.4142, 8.0]


def run(bench: BareBench, inputs: int, gain: float, seed: int, tau: float | None = None):
    """Noises of many rows: (client's noise, complex residual of all modes, z); agreed means are taken out."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(ROWS, inputs))
    data = pack_data(np.abs(rng.normal(size=inputs)))
    launched = bench.send(pack_rows(weights, 2.0, np.complex128))
    bench.set_gain(gain)
    bench.project(data.z, tau or 1 / gain)
    client, server = [], []
    for key in range(SHOTS):
        measured, returned = bench.shoot(key)
        collected = 2 * np.real(launched @ data.z.conj())
        client.append(measured - np.sqrt(gain - 1) * collected)
        server.append(returned - np.sqrt(0.5) * 2 * launched)
    return np.concatenate(client), np.concatenate(server), data.z


def close(value: float, theory: float, standard_error: float) -> None:
    assert abs(value - theory) < SIGMAS * standard_error, f"{value} against {theory} +- {standard_error}"


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("inputs", [16, 33])
def test_one_row(gain: float, inputs: int) -> None:
    bench = bare_bench(seed=int(gain * 10) + inputs, peak=12.0)
    client, server, z = run(bench, inputs, gain, seed=inputs)
    theory, rows = AmplifierTap(gain), len(client)
    close(client.mean(), 0, np.sqrt(theory.measured_variance / rows))
    close(client.var(), theory.measured_variance, theory.measured_variance * np.sqrt(2 / rows))
    # The dual receiver halves the excess and adds nothing else.
    in_mode = server @ z.conj()
    variance = 1 + theory.returned_excess / 2
    for quadrature in (in_mode.real, in_mode.imag):
        close(quadrature.var(), variance, variance * np.sqrt(2 / rows))
    # X is measured, so X carries the covariance; P none.
    covariance = theory.covariance * np.sqrt(0.5)
    spread = np.sqrt((theory.measured_variance * variance + covariance**2) / rows)
    close(np.mean(client * in_mode.real), covariance, spread)
    close(np.mean(client * in_mode.imag), 0, np.sqrt(theory.measured_variance * variance / rows))


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("inputs", [16, 33])
def test_orthogonal_modes_stay_vacuum(gain: float, inputs: int) -> None:
    bench = bare_bench(seed=int(gain * 10), peak=12.0)
    client, server, z = run(bench, inputs, gain, seed=inputs + 1)
    rows, modes = server.shape
    basis = np.linalg.qr(np.column_stack([z, np.eye(modes)[:, : modes - 1] + 1e-3]))[0][:, 1:]
    others = server @ basis.conj()
    for quadrature in (others.real, others.imag):
        covariance = quadrature.T @ quadrature / rows
        diagonal = np.diag(covariance)
        assert np.abs(diagonal - 1).max() < SIGMAS * np.sqrt(2 / rows)
        assert np.abs(covariance - np.diag(diagonal)).max() < SIGMAS / np.sqrt(rows)
        with_client = client @ quadrature / rows / client.std()
        assert np.abs(with_client).max() < SIGMAS / np.sqrt(rows)


@pytest.mark.parametrize("n_sp", [1.0, 1.6])
@pytest.mark.parametrize("tau", [0.3, 0.5, 0.8])
def test_amplifier_noise_and_tap(n_sp: float, tau: float) -> None:
    gain = 2.5
    bench = bare_bench(seed=3, peak=12.0, amplifier={"n_sp": n_sp})
    rng = np.random.default_rng(4)
    data = pack_data(rng.random(20))
    launched = bench.send(pack_rows(rng.normal(size=(ROWS, 20)), 2.0, np.complex128))
    bench.set_gain(gain)
    bench.project(data.z, tau)
    theory = AmplifierTap(gain, n_sp, tau)
    client, modes = [], []
    for key in range(SHOTS):
        measured, returned = bench.shoot(key)
        client.append(measured)
        modes.append(returned @ data.z.conj())
    rows = ROWS * SHOTS
    collected = np.tile(launched @ data.z.conj(), SHOTS)
    noise = np.concatenate(client) - np.sqrt(theory.signal_gain) * 2 * collected.real
    close(noise.var(), theory.measured_variance, theory.measured_variance * np.sqrt(2 / rows))
    # The tap's angle stands on a 14-bit DAC: the mean factor is right to a step.
    back = np.concatenate(modes) - np.sqrt(0.5) * theory.amplitude_factor * 2 * collected
    variance = 1 + theory.returned_excess / 2
    close(back.real.var(), variance, variance * np.sqrt(2 / rows) + 1e-4)
    spread = np.sqrt(3 * theory.measured_variance * variance / rows)
    close(np.mean(noise * back.real), theory.covariance * np.sqrt(0.5), spread)


def test_losses_and_detectors() -> None:
    """T_out, T_back, efficiencies and electronic noise: a variance v becomes η v + 1 - η + v_el, means sqrt(κηT)."""
    physics = {
        "channel": {"loss_out": "1 dB", "loss_back": "2 dB"},
        "client_receiver": {"efficiency": 0.8, "electronic_noise": 0.1},
        "server_receiver": {"efficiency": 0.7, "electronic_noise": 0.2},
    }
    gain, bench = 3.0, bare_bench(seed=5, peak=12.0, **physics)
    rng = np.random.default_rng(6)
    data = pack_data(rng.random(24))
    launched = bench.send(pack_rows(rng.normal(size=(ROWS, 24)), 2.0, np.complex128))
    bench.set_gain(gain)
    bench.project(data.z, 1 / gain)
    out, back = 10**-0.1, 10**-0.2
    theory = AmplifierTap(gain)
    client, server = [], []
    for key in range(SHOTS):
        measured, returned = bench.shoot(key)
        client.append(measured - np.sqrt(0.8 * (gain - 1) * out) * 2 * np.real(launched @ data.z.conj()))
        server.append(returned - np.sqrt(0.5 * 0.7 * out * back) * 2 * launched)
    rows = ROWS * SHOTS
    noise, residual = np.concatenate(client), np.concatenate(server)
    measured_variance = 0.8 * theory.measured_variance + 0.2 + 0.1
    close(noise.var(), measured_variance, measured_variance * np.sqrt(2 / rows))
    in_mode = (residual @ data.z.conj()).real
    variance = 1.2 + 0.5 * 0.7 * back * theory.returned_excess
    close(in_mode.var(), variance, variance * np.sqrt(2 / rows))
    total = np.mean(residual.real**2)
    expected = 1.2 + 0.5 * 0.7 * back * theory.returned_excess / len(data.z)
    close(total, expected, expected * np.sqrt(2 / residual.size))


def test_mode_taken_is_the_one_asked_for() -> None:
    """Through 14-bit drives |<z'|z>|² stays within 1e-6 of 1 for 392 modes."""
    rng = np.random.default_rng(8)
    bench = bare_bench(seed=1, peak=1.0)
    data = pack_data(rng.random(784) * (rng.random(784) < 0.2))
    bench.project(data.z, 0.5)
    taken = bench.world.circuit.client(len(data.z)).forward.mode()
    assert abs(np.vdot(taken, data.z)) ** 2 > 1 - 1e-6


def test_loop_loss_weakens_early_bins() -> None:
    """z'_k carries T_l^{(n-1-k)/2}: 0.01 dB a pass at n = 392 leaves two thirds of the power on average."""
    bench = bare_bench(seed=1, peak=1.0, unitary={"loop_loss": "0.01 dB"})
    z = np.full(392, 1 / np.sqrt(392), dtype=complex)
    bench.project(z, 0.5)
    taken = bench.world.circuit.client(392).forward.mode()
    assert np.sum(np.abs(taken) ** 2) == pytest.approx(0.66, abs=0.01)
    assert np.abs(taken[0] / taken[-1]) ** 2 == pytest.approx(10 ** (-0.01 * 391 / 10), rel=1e-2)


@pytest.mark.parametrize("loop_loss", ["0 dB", "0.05 dB"])
def test_bin_by_bin_loop_agrees_with_its_closed_form(loop_loss: str) -> None:
    """The slow pass through the loop, without loss, is the closed form; a lossy one fills what it collects."""
    from sim_backends.physics import LoopDrive, basis_of, plane_of, project, round_trip_mean

    rng = np.random.default_rng(2)
    loss = 10 ** (-float(loop_loss.split()[0]) / 10)
    drive = LoopDrive(rng.random(12) * np.pi / 2, rng.random(12) * 2 * np.pi - np.pi, loss)
    field = rng.normal(size=(5, 12)) + 1j * rng.normal(size=(5, 12))
    launched = plane_of(field, 5)
    boosted = round_trip_mean(launched, drive, drive, 1.7) - round_trip_mean(launched, drive, drive, 1.0)
    mode = drive.mode()
    collected = project(launched, basis_of(mode))
    expected = 0.7 * np.einsum("mc,qcb->qmb", collected, basis_of(mode))
    np.testing.assert_allclose(boosted, expected, atol=2e-5)
    if loss == 1.0:
        np.testing.assert_allclose(round_trip_mean(launched, drive, drive, 1.0), launched, atol=2e-5)
