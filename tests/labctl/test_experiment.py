"""Run, bench, model and data checked together, before there is any instrument or VISA library."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvisa

from labctl.config import RunConfig
from labctl.errors import ConfigError, DataError
from labctl.experiment import HEADROOM_SIGMA, load_experiment, prepare_experiment
from labctl.models import Network, save_network
from labctl.protocol.encoding import pack_rows
from labctl.protocol.layers import Convolution, Dense
from labctl.protocol.leakage import data_leakage_journal, data_leakage_v1, weight_leakage
from labctl.shipped import examples
from tests.fakes import FakeLibrary, fake_bench, use_fakes


@pytest.fixture(autouse=True)
def no_instrument(monkeypatch: pytest.MonkeyPatch):
    """Whoever makes a resource manager or a library here fails, and so does who imports a driver."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("an instrument library was made")

    monkeypatch.setattr(pyvisa, "ResourceManager", refuse)
    use_fakes(monkeypatch)
    before = FakeLibrary.made
    yield
    assert FakeLibrary.made == before


def good_run(**changes: Any) -> RunConfig:
    tables = {"name": "r", "dataset": "digits", "model": "digits", "gain": 2.0, "mean_photons": 4.0, **changes}
    return RunConfig(**tables)


def small_network(path: Path, *shapes: tuple[int, int], peak: float = 1.0) -> str:
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    weights[0][0, 0] *= peak
    save_network(Network("small", tuple(weights)), path)
    return str(path)


def refused(run: RunConfig, *said: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        prepare_experiment(run, "job.toml")
    assert caught.value.message.startswith("job.toml")
    for part in said:
        assert part in caught.value.message
    assert caught.value.remedy
    return caught.value


def test_the_shipped_digits() -> None:
    experiment = load_experiment("digits")
    assert experiment.images == 360
    assert experiment.network.layer_shapes == ((64, 64), (10, 64))
    assert experiment.clean_accuracy > 0.9
    assert experiment.transmittance_in == experiment.transmittance_back == 1.0
    agreement = experiment.agreement()
    assert agreement.samples == (2 * 32 * 64, 2 * 32 * 10)
    assert agreement.expected == (1 / 32, 1 / 32)  # g/n with g = 2 - 2/G = 1
    assert agreement.images == 360


def test_arguments_override_the_file(tmp_path: Path) -> None:
    bench = fake_bench(tmp_path)
    experiment = load_experiment("digits", bench=str(bench), images=7, seed=5)
    assert (experiment.images, experiment.run.seed, experiment.bench_path) == (7, 5, bench)
    with pytest.raises(ConfigError, match="'images'"):
        load_experiment("digits", images=0)
    with pytest.raises(ConfigError, match="no such bench file"):
        load_experiment("digits", bench=str(tmp_path / "none.toml"))


def test_losses_count_in_what_is_expected(tmp_path: Path) -> None:
    bench = fake_bench(tmp_path, {'loss_out = "0 dB"': 'loss_out = "1 dB"', 'loss_back = "0 dB"': 'loss_back = "3 dB"'})
    experiment = load_experiment("digits", bench=str(bench))
    assert experiment.transmittance_in == pytest.approx(10**-0.1)
    assert experiment.agreement().expected[0] == pytest.approx(10**-0.3 / 32)


def test_model_and_data_that_do_not_fit(tmp_path: Path) -> None:
    error = refused(good_run(model="mnist"), "784 inputs", "64 pixels")
    assert isinstance(error, DataError)
    refused(good_run(model=small_network(tmp_path / "net.safetensors", (5, 64))), "5 outputs", "10 classes")


def test_more_images_than_there_are() -> None:
    error = refused(good_run(images=361), "361 images", "360")
    assert isinstance(error, DataError)
    with pytest.raises(DataError, match=r"digits\.toml: .*400 images"):
        load_experiment("digits", images=400)
    assert prepare_experiment(good_run(images=360)).images == 360


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dataset": "faces"}, "unknown data set"),
        ({"model": "resnet"}, "neither a shipped network"),
        ({"dataset": "none.npz"}, "none.npz"),
        ({"model": "none.safetensors"}, "none.safetensors"),
    ],
)
def test_missing_data_and_models(changes: dict[str, str], said: str) -> None:
    refused(good_run(**changes), said)


def test_no_mnist_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABCTL_MNIST", raising=False)
    with pytest.raises(DataError, match="no folder") as caught:
        load_experiment("mnist")
    assert "--data" in caught.value.remedy
    with pytest.raises(DataError, match="not a folder"):
        load_experiment("mnist", data=tmp_path / "none")


def test_a_peak_beyond_the_laser_is_refused(tmp_path: Path) -> None:
    """1 pW leaves 0.01 photons a bin after 6 dB."""
    bench = str(fake_bench(tmp_path, {'power = "10 mW"': 'power = "1 pW"'}))
    error = refused(good_run(bench=bench), "photons at the modulator", bench)
    assert "mean_photons" in error.remedy


def test_a_peak_beyond_a_digitizer_is_refused(tmp_path: Path) -> None:
    bench = str(fake_bench(tmp_path, {'full_scale = "4 V"': 'full_scale = "300 mV"'}))
    refused(good_run(bench=bench), "server_receiver.full_scale", "0.3 V", bench)
    bench = str(fake_bench(tmp_path, {'full_scale = "8 V"': 'full_scale = "200 mV"'}))
    refused(good_run(bench=bench), "client_receiver.full_scale", "0.2 V")


def test_ranges_are_checked_where_they_end(tmp_path: Path) -> None:
    """The server's receiver must hold twice 2 sqrt(1/2) |α| and six standard deviations, at 20 mV per sqrt(SNU)."""
    weights = prepare_experiment(good_run()).network.weights
    brightest = max(np.abs(pack_rows(w, 4.0)).max() for w in weights)
    needed = 2 * (2 * np.sqrt(0.5) * brightest + HEADROOM_SIGMA) * 0.02
    for volts, fits in ((needed * 1.001, True), (needed * 0.999, False)):
        bench = str(fake_bench(tmp_path, {'full_scale = "4 V"': f'full_scale = "{volts} V"'}))
        if fits:
            prepare_experiment(good_run(bench=bench))
        else:
            refused(good_run(bench=bench), "server_receiver")


def test_an_adversary_needs_room_as_well(tmp_path: Path) -> None:
    bench = str(fake_bench(tmp_path, {'full_scale = "8 V"': 'full_scale = "1.5 V"'}))
    prepare_experiment(good_run(bench=bench, gain=1.3))
    refused(good_run(bench=bench, gain=1.3, adversary={"client_gain": 9.0}), "client_receiver")


@pytest.mark.parametrize("rate", [1e-8, 0.45])
def test_a_check_that_cannot_be_made_is_refused_now(rate: float) -> None:
    refused(good_run(false_alarm_rate=rate), "false_alarm_rate")


def test_too_few_calibration_samples(tmp_path: Path) -> None:
    samples = "noise_variance = 1.0001987\ncalibration_samples = "
    bench = str(fake_bench(tmp_path, {samples + "1_000_000_000_000": samples + "9"}))
    refused(good_run(bench=bench), "9", "calibration samples", bench)


def test_gain_outside_the_calibration() -> None:
    refused(good_run(gain=50.0), "key 'gain'", "outside")


def test_forecast() -> None:
    forecast = load_experiment("digits", images=10).forecast()
    assert (forecast.images, forecast.layers) == (10, 2)
    assert forecast.samples == 10 * 2 * 32 * 74
    assert forecast.light_s == pytest.approx(10 * 32 * 74 / 125e6)
    assert forecast.expected_excess == (1 / 32, 1 / 32)
    assert 40 < forecast.attenuation_db < 90
    assert "10 images x 2 layers = 20 shots" in forecast.lines()
    known = weight_leakage(4.0, 1.0, 1 / 32) / 2
    assert 10 * known < forecast.weights_bits_per_weight < 40 * known, "ten images know the channel badly"
    assert forecast.data_bits_v1 == data_leakage_v1(1.0, 32)
    assert forecast.data_bits_journal == pytest.approx(0.5)


def test_the_longer_a_run_the_nearer_its_leakage_to_that_of_the_known_channel() -> None:
    known = weight_leakage(4.0, 1.0, 1 / 32) / 2
    found = [load_experiment("digits", images=n).forecast().weights_bits_per_weight / n for n in (1, 2, 3, 30, 300)]
    assert found[0] == found[1], "before the last image the bound is not known better than from the others"
    assert found == sorted(found, reverse=True)
    assert found[-1] < 2 * known


def test_what_the_client_leaks() -> None:
    """At the gain that it uses; a symbol that is in several patches counts in each of them."""
    honest, greedy = (
        prepare_experiment(good_run(gain=1.3, images=1, adversary={"client_gain": gain})) for gain in (None, 3.0)
    )
    g, more = 2 - 2 / 1.3, 4 / 3
    assert honest.client_data_bits() == pytest.approx((data_leakage_v1(g, 32), data_leakage_journal(g, 32, 64)))
    assert greedy.client_data_bits() == pytest.approx((data_leakage_v1(more, 32), data_leakage_journal(more, 32, 64)))
    patches = Network(
        "patches",
        (np.ones((5, 9), np.float32), np.ones((10, 45), np.float32)),
        layers=(Convolution(1, 8, 8, 5, 3, stride=2), Dense(45, 10)),
    )
    bits = replace(honest, network=patches).client_data_bits()
    assert bits == pytest.approx((4 * data_leakage_v1(g, 5), 4 * data_leakage_journal(g, 5, 5)))


def test_example_runs_can_be_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in examples().glob("*.toml"):
        if path.name.endswith(".bench.toml") or path.stem == "mnist":
            continue
        assert load_experiment(path).forecast().images > 0
