"""The simulated bench against an independent calculation with covariance matrices, every coupler of both passes built.

Exactly: the bench is affine in the standard normal numbers that it draws. Row 0 gets none of them, row j the j-th one
alone; mean and covariance of what both receivers see follow without sampling, to float32's rounding.

By sampling: with R seeded rows, whitened by the reference's covariance, the sums of squares of the D means and of the
D(D+1)/2 second moments are chi-square distributed if the bench is right. Each of the two may exceed its 1e-6 point:
a right bench fails this file at another seed once in 1e6 / 14 (two figures for each of seven circuits).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from sim_backends.draws import Draws
from tests.physics.bare_bench import DRIVE, BareBench, bare_bench
from tests.physics.row_reference import Drives, Setup, row_moments

FALSE_FAILURE = 1e-6
#: More than any row draws, and no other length in the shot: it marks the axis of the rows.
PROBED_ROWS = 61
SAMPLED_ROWS = 40_000

ALL_AT_ONCE = Setup(
    out=0.8,
    back=0.7,
    loop=0.9,
    gain=2.5,
    n_sp=1.4,
    returned=0.55,
    client_efficiency=0.85,
    client_electronic=0.15,
    server_efficiency=0.75,
    server_electronic=0.2,
)


@dataclass(frozen=True)
class Circuit:
    """``modes``: bins of a row; ``adjoint``: whether the return pass has the forward pass's settings."""

    modes: int
    setup: Setup
    adjoint: bool = True


CIRCUITS = {
    "ideal": Circuit(3, Setup()),
    "fibre": Circuit(4, Setup(out=0.7, back=0.6, gain=3.0, returned=1 / 3)),
    "receivers": Circuit(
        5,
        Setup(
            client_efficiency=0.8,
            client_electronic=0.1,
            server_efficiency=0.7,
            server_electronic=0.3,
            gain=1.3,
            returned=1 / 1.3,
        ),
    ),
    "amplifier and tap": Circuit(4, Setup(gain=4.0, n_sp=1.6, returned=0.4)),
    "loop loss": Circuit(6, Setup(loop=0.9, gain=2.0)),
    "return pass of its own": Circuit(5, Setup(gain=3.0, returned=0.3), adjoint=False),
    "all at once": Circuit(6, ALL_AT_ONCE, adjoint=False),
}


class Probe:
    """Stands in for a random generator: each number drawn for a row is 1 in one row of its own, 0 in all others."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.drawn = 0

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: np.ndarray | None = None) -> np.ndarray:
        values = np.zeros(size, dtype) if out is None else out
        values[...] = 0
        (axis,) = (index for index, length in enumerate(values.shape) if length == self.rows)
        by_row = np.moveaxis(values, axis, 0)
        for place in np.ndindex(by_row.shape[1:]):
            self.drawn += 1
            by_row[(self.drawn, *place)] = 1
        return values


def decibels(transmittance: float) -> str:
    return f"{-10 * math.log10(transmittance):.17g} dB"


def bench_of(setup: Setup, seed: int) -> BareBench:
    return bare_bench(
        seed,
        peak=8.0,
        channel={"loss_out": decibels(setup.out), "loss_back": decibels(setup.back)},
        unitary={"loop_loss": decibels(setup.loop)},
        amplifier={"n_sp": setup.n_sp},
        client_receiver={"efficiency": setup.client_efficiency, "electronic_noise": setup.client_electronic},
        server_receiver={"efficiency": setup.server_efficiency, "electronic_noise": setup.server_electronic},
    )


def random_mode(rng: np.random.Generator, modes: int) -> np.ndarray:
    z = rng.normal(size=modes) + 1j * rng.normal(size=modes)
    return np.asarray(z / np.linalg.norm(z))


def drives_of(bench: BareBench, passed: str) -> Drives:
    """Angles by the manual of the modulators, from the codes that the generators play."""
    couplers, phases = (channel.playback.codes for channel in getattr(bench, passed).channels)
    volts = DRIVE.amplitude_vpp / 2 / DRIVE.code_max
    return Drives(math.pi / 2 * couplers * volts / DRIVE.v_pi, math.pi * phases * volts / DRIVE.v_pi)


def returned_by_tap(bench: BareBench) -> float:
    code = float(bench.tap.channels[0].playback.codes[-1])
    return math.cos(math.pi / 2 * code * DRIVE.amplitude_vpp / 2 / DRIVE.code_max / DRIVE.v_pi) ** 2


def prepared(circuit: Circuit, rows: int, seed: int) -> tuple[BareBench, np.ndarray, np.ndarray]:
    """A bench set up for one circuit with equal rows, and the reference's moments for it."""
    rng = np.random.default_rng(seed)
    bench = bench_of(circuit.setup, seed)
    row = rng.uniform(-3, 3, circuit.modes) + 1j * rng.uniform(-3, 3, circuit.modes)
    launched = bench.send(np.tile(row, (rows, 1)))[0]
    bench.set_gain(circuit.setup.gain)
    bench.project(random_mode(rng, circuit.modes), circuit.setup.returned)
    if not circuit.adjoint:
        bench.project(random_mode(rng, circuit.modes), circuit.setup.returned, back=False)
    setup = replace(circuit.setup, returned=returned_by_tap(bench))
    mean, covariance = row_moments(launched, drives_of(bench, "forward"), drives_of(bench, "back"), setup)
    return bench, mean, covariance


def records(bench: BareBench) -> np.ndarray:
    """What both receivers see, a row each: client's X, server's X of every bin, server's P of every bin."""
    measured, returned = bench.shoot()
    return np.column_stack([measured, returned.real, returned.imag])


@pytest.mark.parametrize("name", CIRCUITS)
def test_moments_exactly(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, mean, covariance = prepared(CIRCUITS[name], PROBED_ROWS, seed=1)
    probe = Probe(PROBED_ROWS)
    monkeypatch.setattr(Draws, "generator", lambda draws, stream: probe)
    seen = records(bench)
    assert 0 < probe.drawn < PROBED_ROWS - 1
    map_of_draws = seen[1:] - seen[0]
    assert not map_of_draws[probe.drawn :].any()  # rows without a draw of their own
    np.testing.assert_allclose(seen[0], mean, atol=1e-5)
    np.testing.assert_allclose(map_of_draws.T @ map_of_draws, covariance, atol=2e-5)


@pytest.mark.parametrize("name", CIRCUITS)
def test_moments_by_sampling(name: str) -> None:
    bench, mean, covariance = prepared(CIRCUITS[name], SAMPLED_ROWS, seed=2)
    whitened = np.linalg.solve(np.linalg.cholesky(covariance), (records(bench) - mean).T)
    size, rows = whitened.shape
    first = np.sum(rows * whitened.mean(axis=1) ** 2)
    assert first < chi2.isf(FALSE_FAILURE, size)
    deviation = math.sqrt(rows) * (whitened @ whitened.T / rows - np.eye(size))
    second = np.sum(np.tril(deviation, -1) ** 2) + np.sum(np.diag(deviation) ** 2) / 2
    assert second < chi2.isf(FALSE_FAILURE, size * (size + 1) // 2)


@pytest.mark.parametrize(
    "change",
    [{"n_sp": 1.45}, {"loop": 0.88}, {"returned": 0.5}, {"back": 0.72}, {"server_electronic": 0.22}, {"out": 0.78}],
)
def test_a_wrong_parameter_would_be_seen(change: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact comparison fails by far when bench and reference differ in one parameter by a few per cent."""
    circuit = CIRCUITS["all at once"]
    bench, _, _ = prepared(circuit, PROBED_ROWS, seed=1)
    launched = bench.send(np.tile(np.full(circuit.modes, 1 + 1j), (PROBED_ROWS, 1)))[0]
    setup = replace(circuit.setup, **change)
    mean, covariance = row_moments(launched, drives_of(bench, "forward"), drives_of(bench, "back"), setup)
    probe = Probe(PROBED_ROWS)
    monkeypatch.setattr(Draws, "generator", lambda draws, stream: probe)
    seen = records(bench)
    map_of_draws = seen[1:] - seen[0]
    wrong = max(np.abs(seen[0] - mean).max(), np.abs(map_of_draws.T @ map_of_draws - covariance).max())
    assert wrong > 1e-3
