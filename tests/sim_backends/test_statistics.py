"""The shortcut against the world that draws every mode, and its refusals.

Distributions are compared by two-sample Kolmogorov-Smirnov tests. Each may come out below a p-value of 1e-6: right code
fails this file at another seed about once in 1e6 / 130 (five set-ups, some 26 tests each).
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp

from labctl.errors import ConfigError, NotExact
from labctl.schema import StrictModel
from labctl.shipped import bench_path
from sim_backends.config import ChannelPhysics, WorldConfig
from sim_backends.statistics import LayerLight, Measured, not_covered, open_light, require_exact
from tests.physics.bare_bench import BareBench, bare_bench

SIGNIFICANCE = 1e-6
LAYERS, ROWS = 20_000, 6

NOISY: dict[str, Any] = {
    "channel": {"loss_out": "0.7 dB", "loss_back": "1.1 dB"},
    "amplifier": {"n_sp": 1.5},
    "client_receiver": {"efficiency": 0.8, "electronic_noise": 0.2},
    "server_receiver": {"efficiency": 0.7, "electronic_noise": 0.3},
}
#: physics, gain, returned fraction, modes
SETUPS: dict[str, tuple[dict[str, Any], float, float, int]] = {
    "ideal": ({}, 1.3, 1 / 1.3, 5),
    "large gain, few modes": ({}, 8.0, 1 / 8, 2),
    "one mode": ({}, 2.0, 0.5, 1),
    "losses, noises, another tap": (NOISY, 3.0, 0.45, 4),
    "loop loss": ({**NOISY, "unitary": {"loop_loss": "0.4 dB"}}, 4.0, 0.2, 4),
}


def world_of(**physics: Any) -> WorldConfig:
    bench = bare_bench(0, 8.0, **physics)
    return bench.world._config


def prepared(name: str, layers: int) -> tuple[BareBench, np.ndarray]:
    """The same layer many times over; the plane of one of them as launched."""
    physics, gain, returned, modes = SETUPS[name]
    rng = np.random.default_rng(5)
    bench = bare_bench(7, 8.0, **physics)
    rows = rng.uniform(-2, 2, (ROWS, modes)) + 1j * rng.uniform(-2, 2, (ROWS, modes))
    bench.send(np.tile(rows, (layers, 1)))
    bench.set_gain(gain)
    z = rng.normal(size=modes) + 1j * rng.normal(size=modes)
    bench.project(z / np.linalg.norm(z), returned)
    launch = bench.world.circuit.launch(modes)
    assert launch is not None
    return bench, launch.plane[:, :ROWS]


def explicit(bench: BareBench, plane: np.ndarray, layers: int) -> Measured:
    """Every mode drawn, then summed up as a server does."""
    measured, returned = bench.shoot()
    r = returned.reshape(layers, -1)
    s = (plane[0] + 1j * plane[1]).astype(np.complex128).reshape(-1)
    sr = (r.real * s.real + r.imag * s.imag).sum(axis=1)
    rr = (r.real**2 + r.imag**2).sum(axis=1)
    return Measured(measured.reshape(layers, -1), plane.size, float(np.sum(np.abs(s) ** 2)), sr, rr)


def shortcut(bench: BareBench, plane: np.ndarray, layers: int, seed: int, gain_error: float = 0.0) -> Measured:
    client = bench.world.circuit.client(plane.shape[2])
    light = LayerLight(bench.world._config, client.gain + gain_error, client.returned_fraction)
    drive = (client.forward.theta, client.forward.phi)
    return light.measure(plane, [drive] * layers, np.random.default_rng(seed))


def features(found: Measured, scale: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Columns to compare, centred and scaled alike in both samples: t̂, σ̂², power and one number of the client's; and
    the scale that was used."""
    t = found.sr / found.ss
    sigma = (found.rr - t * found.sr) / (found.samples - 1)
    power = np.sum(found.client**2, axis=1)
    columns = np.column_stack([t, sigma, power, found.client[:, 0], found.client[:, -1]])
    scale = np.array([columns.mean(axis=0), columns.std(axis=0)]) if scale is None else scale
    return (columns - scale[0]) / scale[1], scale


def p_values(one: Measured, other: Measured) -> dict[str, float]:
    """Every feature alone, and every pair's sum and difference, which show a wrong joint distribution."""
    left, scale = features(one)
    right, _ = features(other, scale)
    found = {f"{i}": ks_2samp(left[:, i], right[:, i]).pvalue for i in range(left.shape[1])}
    for i, j in combinations(range(left.shape[1]), 2):
        for sign in (1, -1):
            a, b = left[:, i] + sign * left[:, j], right[:, i] + sign * right[:, j]
            found[f"{i}{sign:+d}*{j}"] = ks_2samp(a, b).pvalue
    return found


@pytest.mark.parametrize("name", SETUPS)
def test_same_distribution_as_every_mode_drawn(name: str) -> None:
    layers = LAYERS // 4 if name == "loop loss" else LAYERS
    bench, plane = prepared(name, layers)
    one, other = explicit(bench, plane, layers), shortcut(bench, plane, layers, seed=3)
    assert (one.samples, other.samples) == (plane.size, plane.size)
    assert other.ss == pytest.approx(one.ss, rel=1e-6)
    worst = {key: p for key, p in p_values(one, other).items() if p < SIGNIFICANCE}
    assert not worst


def test_a_gain_off_by_three_per_cent_would_be_seen() -> None:
    bench, plane = prepared("losses, noises, another tap", LAYERS)
    one, other = explicit(bench, plane, LAYERS), shortcut(bench, plane, LAYERS, seed=3, gain_error=0.09)
    assert min(p_values(one, other).values()) < SIGNIFICANCE


def test_independence_of_estimates_and_client_would_be_seen() -> None:
    """t̂ and the client's numbers are correlated, as are σ̂² and their power: dealt out anew, the joint tests see it."""
    bench, plane = prepared("large gain, few modes", LAYERS)
    one, other = explicit(bench, plane, LAYERS), shortcut(bench, plane, LAYERS, seed=3)
    dealt = Measured(np.roll(other.client, 1, axis=0), other.samples, other.ss, other.sr, other.rr)
    assert min(p_values(one, dealt).values()) < SIGNIFICANCE


def test_given_modes_are_the_same_as_their_settings() -> None:
    bench, plane = prepared("losses, noises, another tap", 1)
    client = bench.world.circuit.client(plane.shape[2])
    light = LayerLight(bench.world._config, client.gain, client.returned_fraction)
    by_settings = shortcut(bench, plane, 2, seed=9)
    by_modes = light.measure_modes(plane, np.array([client.forward.mode()] * 2), np.random.default_rng(9))
    np.testing.assert_array_equal(by_settings.client, by_modes.client)
    np.testing.assert_array_equal(by_settings.rr, by_modes.rr)


def test_a_lossy_loop_needs_settings() -> None:
    light = LayerLight(world_of(unitary={"loop_loss": "0.1 dB"}), 2.0, 0.5)
    assert not light.collects_exactly
    with pytest.raises(NotExact, match="loop_loss"):
        light.measure_modes(np.zeros((2, 1, 3), np.float32), np.eye(1, 3, dtype=complex), np.random.default_rng(0))


def test_a_layer_of_one_row_and_one_mode() -> None:
    light = LayerLight(world_of(), 2.0, 0.5)
    plane = np.array([[[1.0]], [[0.5]]], np.float32)
    found = light.measure_modes(plane, np.ones((3, 1), complex), np.random.default_rng(0))
    assert found.client.shape == (3, 1)
    assert found.samples == 2
    assert np.all(found.rr > 0)


def test_dark_variance() -> None:
    assert LayerLight(world_of(**NOISY), 2.0, 0.5).dark_variance == pytest.approx(1.3)


# --- refusals ---------------------------------------------------------------------------------------


def test_digitised_traces_are_refused() -> None:
    with pytest.raises(NotExact, match="digitised"):
        require_exact(world_of(), digitised=True)
    with pytest.raises(NotExact, match="digitised"):
        open_light(bench_path("ideal"), 2.0, 0.5, digitised=True)


class DriftingChannel(ChannelPhysics):
    """An imperfection that the shortcut has never heard of."""

    phase_noise: float = 0.0


class Waveforms(StrictModel):
    """A table whose mere presence changes the light."""

    oversampling: int = 4


class DriftingWorld(WorldConfig):
    """A world with a known table of unknown content, a key that is no table, and a table that may be left out."""

    channel: DriftingChannel = DriftingChannel()
    shaking: float = 0.0
    filters: Waveforms | None = None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"channel": {"phase_noise": 0.1}}, "channel.phase_noise"),
        ({"shaking": 1.0}, "shaking"),
        ({"filters": {}}, "filters"),
    ],
)
def test_what_the_shortcut_does_not_know_is_refused(change: dict[str, Any], named: str) -> None:
    tables = world_of(**NOISY).model_dump(exclude={"channel", "client_receiver", "server_receiver", "unitary"})
    plain = {key: tables[key] for key in ("units", "places")} | {
        "amplifier": {"gain_curve": [{"pump": "0 A", "gain": 1.0}, {"pump": "9 A", "gain": 10.0}]}
    }
    assert not_covered(DriftingWorld.model_validate(plain)) == []
    world = DriftingWorld.model_validate(plain | change)
    assert not_covered(world) == [named]
    with pytest.raises(NotExact, match=named):
        LayerLight(world, 2.0, 0.5)


@pytest.mark.parametrize("place", ["bias_i", "bias_q", "polarisation", "switch"])
def test_instruments_that_change_the_light_are_refused(place: str) -> None:
    plain = world_of()
    named = "tap:1" if place.startswith("bias") else "tap"
    world = plain.model_copy(update={"places": plain.places.model_copy(update={place: named})})
    assert not_covered(world) == [f"places.{place}"]


def test_the_shipped_bench_can_be_opened() -> None:
    assert open_light(bench_path("ideal"), 2.0, 0.5).collects_exactly


def test_a_bench_without_a_world_is_refused(tmp_path: Path) -> None:
    bench = tmp_path / "real.bench.toml"
    bench.write_text('name = "real"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="world"):
        open_light(bench, 2.0, 0.5)


# --- speed ------------------------------------------------------------------------------------------
