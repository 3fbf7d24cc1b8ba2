"""The transmitter: what is said to be launched is what the codes and the attenuators make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labctl.bench import open_bench
from labctl.errors import ConfigError
from labctl.optics.drive import Timing
from labctl.optics.modulator import IQTransmitter, photons_at_laser, plan_launch
from tests.fakes import BITS_14, FakeAttenuator, FakeGenerator12, FakeLibrary, fake_bench, use_fakes

H, C = 6.62607015e-34, 299_792_458.0


def transmitter(bench, generator=None) -> IQTransmitter:
    sender = generator or bench.instruments["server_awg"]
    voa = bench.instruments["attenuator"]
    return IQTransmitter(
        bench.config,
        bench.instruments["laser"],
        sender,
        [(voa, 1), (voa, 3)],
        Timing.of(125e6, [sender.capabilities]),
    )


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    use_fakes(monkeypatch)
    with open_bench(fake_bench(tmp_path)) as opened:
        yield opened


def layers(seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = ((5, 32), (3, 300))
    return [(rng.normal(size=s) + 1j * rng.normal(size=s)).astype(np.complex64) for s in shapes]


def recomputed(bench, segment: int, bins: int) -> np.ndarray:
    """Amplitudes by the modulator's own law, from codes and read-back: shape (rows, bins)."""
    generator, voa = bench.instruments["server_awg"], bench.instruments["attenuator"]
    attenuation = 6 + voa.attenuation(1) + voa.attenuation(3)
    photons = 0.01 * 1550.12e-9 / (H * C * 125e6) * 10 ** (-attenuation / 10)
    codes = generator.segments[segment]
    volts = {channel: array * (0.35 / generator.capabilities.code_max) for channel, array in codes.items()}
    arms = [np.sin(np.pi * volts[channel] / (2 * 0.35)) for channel in (1, 2)]
    return np.sqrt(photons / 2) * (arms[0] + 1j * arms[1]).reshape(-1, bins)


def test_launched_is_what_the_codes_make(bench) -> None:
    wanted = layers()
    launched = transmitter(bench).load(wanted)
    for index, (asked, made, bins) in enumerate(zip(wanted, launched, (240, 336), strict=True)):
        assert made.shape == asked.shape
        assert made.dtype == np.complex64
        light = recomputed(bench, index + 1, bins)
        guards = bins - asked.shape[1]
        assert not light[:, :guards].any(), "guards first, dark"
        np.testing.assert_allclose(made, light[:, guards:], rtol=1e-6, atol=1e-6)
        # A DAC step at null is pi/2/8191 of full scale; near full scale the slope is less.
        step = np.pi / 2 / 8191 * 1.001 * max(np.abs(a.real).max() for a in wanted) * 1.2
        assert np.abs(made.real - asked.real).max() < step
        assert np.abs(made.imag - asked.imag).max() < step


def test_launched_follows_the_attenuators_read_back(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Coarse attenuators change what is launched; what is told stays true."""
    monkeypatch.setattr(FakeAttenuator, "step_db", 0.5)
    wanted = layers()[:1]
    peak = max(np.abs(wanted[0].real).max(), np.abs(wanted[0].imag).max())
    attenuation = plan_launch(bench.config, float(peak)).attenuation_db
    rounded_down = np.floor(attenuation) + 0.4  # half of it to each: 0.2 dB above a step
    wanted[0] *= np.float32(10 ** ((attenuation - rounded_down) / 20))
    launched = transmitter(bench).load(wanted)
    np.testing.assert_allclose(launched[0], recomputed(bench, 1, 240)[:, 208:], rtol=1e-6, atol=1e-6)


def test_too_little_light_is_refused_not_clipped(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeAttenuator, "attenuation", lambda self, channel: 60.0)
    with pytest.raises(ConfigError, match="of what the modulator can give") as caught:
        transmitter(bench).load(layers())
    assert "attenuators" in caught.value.remedy
    assert not [entry for entry in FakeLibrary.latest.log if entry[1] == "load"]


def test_light_level(bench) -> None:
    photons = photons_at_laser(bench.config)
    assert photons == pytest.approx(0.01 * 1550.12e-9 / (H * C * 125e6))
    level = plan_launch(bench.config, 5.0)
    assert level.photons >= 2 * 5.0**2, "both arms at their peak"
    assert level.photons < 2 * 5.0**2 * 10**0.0011, "and no more than a hundredth of a dB above"
    assert level.photons == pytest.approx(photons * 10 ** (-(6 + level.attenuation_db) / 10))
    brightest = np.sqrt(photons * 10**-0.6 / 2)
    plan_launch(bench.config, float(brightest) * 0.999)
    with pytest.raises(ConfigError, match="photons at the modulator"):
        plan_launch(bench.config, float(brightest) * 1.001)


def test_12_bit_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)
    path = fake_bench(tmp_path, {"tests.fakes:FakeGenerator": "tests.fakes:FakeGenerator12"})
    with open_bench(path) as bench:
        generator = bench.instruments["server_awg"]
        assert isinstance(generator, FakeGenerator12)
        launched = transmitter(bench).load(layers())
        assert generator.segments[1][1].shape == (5 * 320,)
        assert np.abs(generator.segments[1][1]).max() <= 2047
        np.testing.assert_allclose(launched[0], recomputed(bench, 1, 320)[:, 288:], rtol=1e-6, atol=1e-6)


def test_order_of_light_on_and_off(bench) -> None:
    sender = transmitter(bench)
    log = FakeLibrary.latest.log
    log.clear()
    on = [
        ("laser", "set_emission", True),
        ("server_awg", "set_output", 1, True),
        ("server_awg", "set_output", 2, True),
        ("attenuator", "set_shutter", 1, True),
        ("attenuator", "set_shutter", 3, True),
    ]
    sender.set_light(True)
    assert log == on, "shutters last: nothing undefined goes out"
    log.clear()
    sender.set_light(False)
    assert log == [(*entry[:-1], False) for entry in reversed(on)]


def test_loading_switches_nothing_on(bench) -> None:
    transmitter(bench).load(layers())
    assert not [entry for entry in FakeLibrary.latest.log if entry[1] in ("set_emission", "set_output", "set_shutter")]


def test_send_plays_a_layer_once(bench) -> None:
    sender = transmitter(bench)
    sender.load(layers())
    FakeLibrary.latest.log.clear()
    sender.send(1)
    assert FakeLibrary.latest.log[:2] == [("server_awg", "arm", 2, 1, False), ("server_awg", "trigger")]


def test_the_modulator_must_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)
    text = 'channel = 1, v_pi = "350 mV", amplitude = "700 mV" }\nquadrature'
    path = fake_bench(tmp_path, {text: text.replace("700 mV", "600 mV")})
    with open_bench(path) as bench, pytest.raises(ConfigError, match="does not reach V_pi"):
        transmitter(bench)


def test_timing_of_the_bench() -> None:
    assert Timing.of(125e6, [BITS_14]).layout(300).bins == 336
