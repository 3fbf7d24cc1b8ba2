"""The waveform mode at its place in the bench: from volts to symbols, and from symbols to volts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.dsp.pulses import root_raised_cosine
from labctl.dsp.shaping import shape
from sim_backends.config import LaserPhysics, ReceiverPhysics
from sim_backends.physics import photons_per_bin
from sim_backends.waveform_bench import Beam, SampledReceiver, SampledSender
from sim_backends.waveform_schema import WaveformWorld

RATE = 500e6
PULSE = root_raised_cosine(4, 0.4, 32)


def config(**tables: object) -> WaveformWorld:
    return WaveformWorld.model_validate({"samples_per_symbol": 4, **tables})


def sent(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Symbols, and their samples with some slack at the end, as a generator's granularity makes it."""
    rng = np.random.default_rng(seed)
    symbols = rng.normal(size=count) + 1j * rng.normal(size=count)
    return symbols, np.concatenate([shape(symbols, PULSE), np.zeros(7)])


def carried(world: WaveformWorld, samples: np.ndarray, bins: int) -> np.ndarray:
    sender = SampledSender(world)
    v_i, v_q = sender.electrodes(samples.real.astype(float), samples.imag.astype(float), RATE)
    return sender.symbols(v_i + 1j * v_q, bins, RATE)


def test_ideal_sender_carries_what_was_sent() -> None:
    """The pulse is cut at 32 symbols: all neighbours together receive 8e-7 of the energy."""
    symbols, samples = sent(480)
    assert np.abs(carried(config(), samples, 240) - symbols).max() < 6 * np.sqrt(2 * 8e-7)


def test_delays_are_followed() -> None:
    """A low pass delays by a fraction of a sample, a skew Q against I: the mean is followed, both are off by half."""
    symbols, samples = sent(480)
    wide = carried(config(sender={"low_pass": {"bandwidth": "240 MHz"}}), samples, 240)
    assert np.abs(wide - symbols).max() < 0.05
    skewed = carried(config(sender={"skew": "1 ns"}), samples, 240)
    assert 0.02 < np.sqrt(np.mean(np.abs(skewed - symbols) ** 2)) < 0.3


def test_bandwidth_takes_amplitude() -> None:
    symbols, samples = sent(4800)
    found = carried(config(sender={"low_pass": {"bandwidth": "100 MHz"}}), samples, 240)
    share = np.vdot(symbols, found) / np.vdot(symbols, symbols)
    assert share.imag == pytest.approx(0, abs=0.01)
    assert 0.9 < share.real < 0.995


def test_whole_rows_one_at_least() -> None:
    _, samples = sent(480)
    sender = SampledSender(config())
    assert len(sender.symbols(samples, 240, RATE)) == 480
    assert len(sender.symbols(samples, 250, RATE)) == 250
    long = sender.symbols(samples, 10_000, RATE)
    assert len(long) == 10_000
    assert not long[490:].any()


def test_receiver_adds_the_vacuum_and_nothing_else() -> None:
    """40,000 samples of each output: a variance is known to 0.7 %, 4.5 standard errors are allowed."""
    world = config(phase={"phase_deg": 90.0})
    homodyne = ReceiverPhysics(efficiency=0.8, electronic_noise=0.1)
    dark = SampledReceiver(world, homodyne, Beam(0.01, 1.55e-6), RATE)
    noise = dark.volts(np.zeros((2, 1, 10)), 40_000, np.random.default_rng(1))
    assert noise.shape[0] == 2
    assert noise.shape[1] >= 40_000
    assert noise.var(axis=1) == pytest.approx(0.02**2 * 1.1, rel=0.032)
    unlit = SampledReceiver(world, homodyne, Beam(0.0, 1.55e-6), RATE)
    assert unlit.volts(np.zeros((2, 1, 10)), 40_000, np.random.default_rng(1)).var(axis=1) == pytest.approx(
        0.02**2 * 0.1, rel=0.032
    )


def test_receiver_turns_and_halves_the_light() -> None:
    world = config(phase={"phase_deg": 90.0})
    receiver = SampledReceiver(world, ReceiverPhysics(efficiency=0.8), Beam(0.01, 1.55e-6), RATE)
    plane = np.zeros((2, 1, 64), np.float32)
    plane[0, 0, 20] = 1e4  # X of one bin
    volts = receiver.volts(plane, 400, np.random.default_rng(1))
    found = (volts[:, 80 : 80 + len(PULSE.taps)] @ PULSE.taps) / 0.02
    assert found == pytest.approx([0, math.sqrt(0.5 * 0.8) * 1e4], abs=10)


def test_the_laser_s_intensity_noise_leaks_through_the_balance() -> None:
    """10^(-CMRR/10) η N_LO σδ² beside the vacuum, alike in both outputs. 40,000 samples: 4.5 standard errors.

    With saturation the oscillator's photons go with the shot noise, as at one sample per bin.
    """
    homodyne = ReceiverPhysics.model_validate(
        {"efficiency": 0.8, "saturation_power": "20 mW", "cmrr": "30 dB", "lo_power": "2 mW"}
    )
    beam = Beam(0.008, 1.55e-6, LaserPhysics(rin_db_per_hz=-140))
    receiver = SampledReceiver(config(), homodyne, beam, RATE)
    factor = homodyne.lo_factor(0.008)
    volts = receiver.volts(np.zeros((2, 1, 10)), 40_000, np.random.default_rng(2)) / (0.02 * factor)
    photons = photons_per_bin(2e-3, 1.55e-6, RATE) * factor**2
    leak = 1e-3 * 0.8 * photons * 1e-14 * RATE / 2
    assert leak > 0.05
    assert volts.var(axis=1) == pytest.approx(1 + leak, rel=0.032)
    assert np.cov(volts)[0, 1] == pytest.approx(leak, abs=4.5 * (1 + leak) / 200)


def test_the_oscillator_s_path_is_taken_off_the_light_s() -> None:
    """Equal paths: the phase stands still, however wide the line. 1 us apart: 2πΔν·1 us, to 4.5 standard errors."""
    beam, still = Beam(0.01, 1.55e-6, LaserPhysics.model_validate({"linewidth": "20 kHz"})), 40_000
    world = config(phase={"delay": "5 us"})
    plane = np.zeros((2, 1, still), np.float32)
    plane[0] = 1e4
    spreads = []
    for lo_delay in ("5 us", "4 us", "6 us"):
        receiver = SampledReceiver(world, ReceiverPhysics.model_validate({"lo_delay": lo_delay}), beam, RATE)
        volts = receiver.volts(plane, still * 4, np.random.default_rng(3))[:, 1000 : 4 * still - 1000]
        spreads.append(float(np.angle(volts[0] + 1j * volts[1]).var()))
    # 318 independent stretches of 1 us
    assert spreads[0] < 1e-5
    assert spreads[1:] == pytest.approx([2 * math.pi * 20e3 * 1e-6] * 2, rel=4.5 * math.sqrt(2 / 318))
