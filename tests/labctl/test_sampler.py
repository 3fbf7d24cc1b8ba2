"""A network over many images: the shortcut against the instruments, and both against the digital network.

Comparisons of noisy numbers allow 5 standard deviations on each of at most ten figures: once in 170,000 seeds. The
seeds are fixed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.config import RunConfig
from labctl.datasets import Dataset
from labctl.errors import ConfigError, NotExact
from labctl.experiment import Experiment, prepare_experiment
from labctl.models import Network
from labctl.protocol.estimation import Estimate, ResidualSums, estimate
from labctl.protocol.layers import Convolution, Dense
from labctl.protocol.rowmodel import AmplifierTap
from labctl.sampler import ExplicitSampler, LayerSums, Sampled, StatisticsSampler, open_sampler
from labctl.shipped import examples

SIGMAS = 5.0
GAIN, PHOTONS = 2.0, 4.0
#: So much light that no noise is left to be seen.
DAYLIGHT = 1e9


def experiment(images: int = 60, **changes: Any) -> Experiment:
    run = {"name": "s", "dataset": "digits", "model": "digits", "gain": GAIN, "mean_photons": PHOTONS, **changes}
    return prepare_experiment(RunConfig(images=images, **run))


def with_network(network: Network, images: int = 40) -> Experiment:
    """Random images for a network that nobody trained."""
    rng = np.random.default_rng(3)
    pixels = rng.random((images, network.inputs), dtype=np.float32)
    pixels[0] = 0.0  # one without data
    dataset = Dataset("random", pixels, np.zeros(images, np.int64), (1, network.inputs), network.outputs)
    return replace(experiment(), network=network, dataset=dataset)


def estimates(found: Sampled) -> list[Estimate]:
    return [estimate(layer.total(), found.receiver) for layer in found.layers]


def bench_with(tmp_path: Path, table: str) -> str:
    path = tmp_path / "changed.bench.toml"
    text = (examples() / "ideal.bench.toml").read_text(encoding="utf-8")
    path.write_text(f"{text}\n{table}\n", encoding="utf-8")
    return str(path)


# --- which of the two ways ----------------------------------------------------------------------------


def test_auto_takes_the_shortcut_where_it_is_exact() -> None:
    assert isinstance(open_sampler(experiment()), StatisticsSampler)
    assert isinstance(open_sampler(experiment(), "explicit"), ExplicitSampler)


def test_auto_takes_the_instruments_where_it_is_not() -> None:
    assert open_sampler(experiment(), digitised=True).mode == "explicit"
    with pytest.raises(NotExact, match="digitised"):
        open_sampler(experiment(), "statistics", digitised=True)


def test_a_real_bench_is_refused() -> None:
    base = experiment()
    real = replace(base, bench=base.bench.model_copy(update={"visa_library": "@py"}))
    with pytest.raises(ConfigError, match="real"):
        open_sampler(real)


# --- what comes out -----------------------------------------------------------------------------------


def test_sums_are_those_of_an_honest_client() -> None:
    found = open_sampler(experiment(360)).sample(GAIN, PHOTONS, seed=1)
    assert found.predictions.shape == (360,)
    for layer, each in zip(found.layers, estimates(found), strict=True):
        assert len(layer.sr) == 360
        assert abs(each.transmittance - 1) < SIGMAS * each.transmittance_se
        assert abs(each.excess - AmplifierTap(GAIN).honest_excess(32)) < SIGMAS * each.excess_se


@pytest.mark.slow
def test_both_ways_give_the_same() -> None:
    """Estimates of each layer, and the share of right predictions, which are noisy at this working point."""
    base, photons = experiment(300), 1.0
    found = {mode: open_sampler(base, mode).sample(GAIN, photons, seed=2) for mode in ("statistics", "explicit")}
    one, other = (estimates(each) for each in found.values())
    for left, right in zip(one, other, strict=True):
        assert left.samples == right.samples
        assert abs(left.excess - right.excess) < SIGMAS * np.hypot(left.excess_se, right.excess_se)
        spread = np.hypot(left.transmittance_se, right.transmittance_se)
        assert abs(left.transmittance - right.transmittance) < SIGMAS * spread
    shares = [np.mean(each.predictions == base.dataset.labels) for each in found.values()]
    assert min(shares) > 0.6
    assert max(shares) < 0.95
    spread = np.sqrt(2 * np.mean(shares) * (1 - np.mean(shares)) / base.images)
    assert abs(shares[0] - shares[1]) < SIGMAS * spread


def test_seed_makes_everything() -> None:
    sampler = open_sampler(experiment(600 // 10))
    first, again, other = (sampler.sample(GAIN, PHOTONS, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.predictions, again.predictions)
    np.testing.assert_array_equal(first.layers[1].rr, again.layers[1].rr)
    assert not np.array_equal(first.layers[1].rr, other.layers[1].rr)


def test_without_noise_it_is_the_digital_network() -> None:
    base = experiment(120)
    found = open_sampler(base).sample(GAIN, DAYLIGHT, seed=1)
    np.testing.assert_array_equal(found.predictions, base.network.predict(base.dataset.images))


def test_a_convolution_with_biases_and_a_public_scale() -> None:
    rng = np.random.default_rng(4)
    layers = (Convolution(1, 6, 6, filters=3, kernel=3, pool=2, bias=True), Dense(12, 5, bias=True))
    weights = tuple(rng.normal(size=layer.shape).astype(np.float32) for layer in layers)
    network = Network("patches", weights, "tanh", {}, layers, public_scale=True)
    base = with_network(network)
    found = open_sampler(base).sample(GAIN, DAYLIGHT, seed=1)
    np.testing.assert_array_equal(found.predictions, network.predict(base.dataset.images))
    patches, rows, modes = 16, 3, 5
    assert found.layers[0].samples == 2 * patches * rows * modes


def test_zero_data_give_class_zero() -> None:
    network = Network("plain", (np.ones((4, 6), np.float32), np.ones((3, 4), np.float32)))
    found = open_sampler(with_network(network)).sample(GAIN, 0.01, seed=1)
    assert found.predictions[0] == 0


def test_a_lossy_loop(tmp_path: Path) -> None:
    """0.01 dB a turn costs, on average over 32 bins, 2 * 15.5 turns of light, and the client reads less."""
    base = experiment(40, bench=bench_with(tmp_path, '[world.unitary]\nloop_loss = "0.01 dB"'))
    sampler = open_sampler(base)
    assert sampler.mode == "statistics"
    lossy = estimates(sampler.sample(GAIN, PHOTONS, seed=1))[0]
    assert 0.9 < lossy.transmittance < 0.995


@pytest.mark.slow
def test_a_lossy_loop_both_ways(tmp_path: Path) -> None:
    base = experiment(60, bench=bench_with(tmp_path, '[world.unitary]\nloop_loss = "0.01 dB"'))
    one, other = (estimates(open_sampler(base, mode).sample(GAIN, PHOTONS, 3)) for mode in ("statistics", "explicit"))
    for left, right in zip(one, other, strict=True):
        assert abs(left.excess - right.excess) < SIGMAS * np.hypot(left.excess_se, right.excess_se)
        spread = np.hypot(left.transmittance_se, right.transmittance_se)
        assert abs(left.transmittance - right.transmittance) < SIGMAS * spread


def test_a_working_point_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="gain"):
        open_sampler(experiment()).sample(1.0, PHOTONS, 1)
    with pytest.raises(ConfigError, match="mean_photons"):
        open_sampler(experiment()).sample(GAIN, 0.0, 1)


def test_the_bench_says_what_it_cannot_do() -> None:
    with pytest.raises(ConfigError, match="gain of 50"):
        open_sampler(experiment(2), "explicit").sample(50.0, PHOTONS, 1)


def test_layer_sums() -> None:
    layer = LayerSums(40, 2.0, np.array([1.0, 3.0]), np.array([10.0, 20.0]))
    assert layer.image(1) == ResidualSums(40, 2.0, 3.0, 20.0)
    assert layer.total() == ResidualSums(80, 4.0, 4.0, 30.0)
