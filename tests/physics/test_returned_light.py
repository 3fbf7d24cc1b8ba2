"""The returned light as random displacements, with the vacuum left to the receiver, against the light with its vacuum.

Both must have the same law, jointly with what the client measured (docs/physics.md, sections 3 and 4a).
"""

from __future__ import annotations

import numpy as np
import pytest

from sim_backends.attacks import Attack, AttackKind
from sim_backends.physics import TapMoments, amplify_and_tap
from sim_backends.state import Playback
from sim_backends.world import World
from tests.physics.bare_bench import BareBench, bare_bench

MODES, ROWS, SHOTS = 12, 400, 40
SAMPLES = ROWS * SHOTS


@pytest.mark.parametrize(
    ("gain", "n_sp", "kept"), [(1.3, 1.0, 1 / 1.3), (2.0, 1.4, 0.5), (3.0, 1.0, 0.6), (1.0, 1.0, 1.0)]
)
def test_moments_are_those_of_the_noise_drawn(gain: float, n_sp: float, kept: float) -> None:
    """400,000 numbers: 4.5 standard errors."""
    noise = amplify_and_tap(np.random.default_rng(1), 200_000, gain, n_sp, kept)
    moments = TapMoments.of(gain, n_sp, kept)
    measured, returned = noise.measured.ravel(), noise.returned.ravel()
    error = 4.5 * np.sqrt(2 / measured.size)
    assert measured.var() == pytest.approx(moments.measured, rel=error)
    assert returned.var() == pytest.approx(1 + moments.excess, rel=error)
    assert np.mean(measured * returned) == pytest.approx(
        moments.covariance, abs=error * measured.std() * returned.std()
    )
    excess = moments.returned_excess(measured, np.random.default_rng(2).standard_normal(measured.size))
    assert excess.var() == pytest.approx(moments.excess, rel=error)
    assert np.mean(measured * excess) == pytest.approx(
        moments.covariance, abs=error * (measured.std() * (1 + excess.std()))
    )


def residuals(bench: BareBench, sent: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The client's noise, and X + iP of what came back less its mean, shape (SAMPLES, MODES), launch order."""
    clients, servers = [], []
    for key in range(SHOTS):
        bench.world.set_key((key,))
        shot = bench.world._new_shot(ROWS * MODES)
        plane = getattr(shot, name)[:, :, ::-1].astype(np.float64)
        clients.append(shot.measured.copy())
        servers.append(plane[0] + 1j * plane[1])
    server = np.concatenate(servers)
    launched = np.tile(sent, (SHOTS, 1))
    share = np.vdot(launched, server).real / np.vdot(launched, launched).real
    return np.concatenate(clients), server - share * launched


@pytest.mark.parametrize(
    "attack",
    [None, Attack(AttackKind.ALL_MODES, 3.0), Attack(AttackKind.INJECTION, 0.5), Attack(AttackKind.TAP, 0.3)],
    ids=["honest", "all modes", "injection", "tap"],
)
def test_same_law_as_light_with_its_vacuum(monkeypatch: pytest.MonkeyPatch, attack: Attack | None) -> None:
    """Variances in the collected mode and in the others, and the covariance with the client's number: at the receiver's
    input, twice what stands in a dual receiver's outputs beyond their vacuum. 16,000 rows, 4.5 standard errors.
    """
    monkeypatch.setattr(World, "threads", 1)
    rng = np.random.default_rng(3)
    z = rng.normal(size=MODES) + 1j * rng.normal(size=MODES)
    z /= np.linalg.norm(z)
    bench = bare_bench(4, 8.0)
    sent = 2 * bench.send((rng.normal(size=(ROWS, MODES)) + 1j * rng.normal(size=(ROWS, MODES))) * 1.5)
    bench.project(z, 0.5)
    bench.set_gain(2.0)
    bench.world.set_attack(attack)
    client, displaced = residuals(bench, sent, "returned")
    client_too, detected = residuals(bench, sent, "received")
    np.testing.assert_array_equal(client, client_too)
    in_b = [light @ z.conj() for light in (displaced, detected)]
    error = 4.5 * np.sqrt(2 / SAMPLES)
    for found, wanted in ((in_b[0], in_b[1]), (displaced, detected)):
        assert found.real.var() == pytest.approx(2 * (wanted.real.var() - 1), abs=3 * error * wanted.real.var())
        assert found.imag.var() == pytest.approx(2 * (wanted.imag.var() - 1), abs=3 * error * wanted.imag.var())
    noise = client - client.mean()
    covariance = [np.mean(noise * each.real) for each in in_b]
    spread = noise.std() * in_b[1].real.std()
    assert covariance[0] == pytest.approx(np.sqrt(2) * covariance[1], abs=2 * error * spread)


def test_no_light_no_displacement() -> None:
    """Everything off: what comes back is vacuum, and that is the receiver's."""
    bench = bare_bench(5, 8.0)
    bench.send(np.zeros((3, MODES)))
    bench.project(np.eye(MODES)[0].astype(np.complex128), 1.0)
    bench.world.set_key((1,))
    assert not bench.world._new_shot(3 * MODES).returned.any()
    assert isinstance(bench.sender.channels[0].playback, Playback)
