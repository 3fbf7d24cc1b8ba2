"""The sampled record: noise, digitizer, lengths, memory. Statistical tests allow 4.5 standard errors: a right one fails
once in 150,000.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from labctl.dsp.pulses import rectangular, root_raised_cosine
from labctl.errors import ConfigError
from sim_backends.waveform import Link
from sim_backends.waveform_config import LaserPhysics, LowPass, ReceiverPhysics, TransmitterPhysics, WaveformPhysics

SIGMAS = 4.5
RATE_HZ = 500e6
DARKNESS = np.zeros(50_000, np.complex64)
PULSE = root_raised_cosine(4, 0.4, 16)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def record_of(receiver: ReceiverPhysics, symbols: np.ndarray = DARKNESS, **others: object) -> np.ndarray:
    record = Link(WaveformPhysics(RATE_HZ, receiver=receiver, **others), PULSE).record(symbols, rng())
    return record.samples * record.volts_per_unit


def variance_error(samples: int) -> float:
    return SIGMAS * math.sqrt(2 / samples)


@pytest.mark.parametrize("dual", [True, False])
def test_shot_noise_is_white_and_one_per_sample(dual: bool) -> None:
    volts = record_of(ReceiverPhysics(dual_quadrature=dual, volts_per_snu=0.5))
    assert len(volts) == (2 if dual else 1)
    for row in volts / 0.5:
        assert np.var(row) == pytest.approx(1, rel=variance_error(row.size))
        assert abs(np.mean(row[1:] * row[:-1])) < SIGMAS / math.sqrt(row.size)
    if dual:
        assert abs(np.mean(volts[0] * volts[1])) / 0.25 < SIGMAS / math.sqrt(volts.shape[1])


def test_electronic_noise_stays_when_the_local_oscillator_goes() -> None:
    receiver = ReceiverPhysics(electronic_noise_snu=0.2, volts_per_snu=1.0)
    for power, expected in ((0.01, 1.2), (0.02, 2.2), (0.0, 0.2)):
        volts = record_of(dataclasses.replace(receiver, lo_power_w=power))
        assert np.var(volts) == pytest.approx(expected, rel=variance_error(volts.size))


def test_without_local_oscillator_no_signal() -> None:
    receiver = ReceiverPhysics(lo_power_w=0.0, electronic_noise_snu=0.1, volts_per_snu=1.0)
    volts = record_of(receiver, np.full(20_000, 100 + 0j))
    assert np.var(volts) == pytest.approx(0.1, rel=variance_error(volts.size))


def test_common_mode_leak_of_intensity_noise() -> None:
    """Variance 10^(-CMRR/10) η N_LO 10^(RIN/10) f_s/2 with N_LO photons per sample, alike in both outputs."""
    receiver = ReceiverPhysics(cmrr_db=30, efficiency=0.8, volts_per_snu=1.0)
    volts = record_of(receiver, laser=LaserPhysics(rin_db_hz=-140))
    photons = 0.8 * 0.01 * 1550.12e-9 / (6.62607015e-34 * 299_792_458.0 * RATE_HZ)
    leak = 1e-3 * photons * 1e-14 * RATE_HZ / 2
    assert leak > 0.2
    assert np.var(volts[0]) == pytest.approx(1 + leak, rel=variance_error(volts.shape[1]))
    covariance = np.mean(volts[0] * volts[1])
    assert covariance == pytest.approx(leak, abs=SIGMAS * math.sqrt(((1 + leak) ** 2 + leak**2) / volts.shape[1]))


def test_bandwidth_colours_the_noise_from_the_first_sample_on() -> None:
    receiver = ReceiverPhysics(low_pass=LowPass(60e6), volts_per_snu=1.0)
    rows = np.concatenate([record_of_seed(receiver, seed) for seed in range(800)])
    assert np.var(rows[:, 0]) == pytest.approx(np.var(rows[:, -1]), rel=variance_error(len(rows)) * math.sqrt(2))
    assert 0.2 < np.var(rows) < 0.35  # about 60/250 of the band


def record_of_seed(receiver: ReceiverPhysics, seed: int) -> np.ndarray:
    link = Link(WaveformPhysics(RATE_HZ, receiver=receiver), rectangular(4))
    return link.record(np.zeros(8, np.complex64), rng(seed)).samples


def test_digitizer_codes_and_quantisation() -> None:
    receiver = ReceiverPhysics(adc_bits=8, adc_full_scale_v=0.2, volts_per_snu=0.02)
    record = Link(WaveformPhysics(RATE_HZ, receiver=receiver), PULSE).record(DARKNESS, rng())
    assert record.samples.dtype == np.int16
    assert record.volts_per_unit == 0.2 / 128
    assert record.clipped_samples == 0
    step = 0.2 / 128 / 0.02
    volts = record.samples * record.volts_per_unit / 0.02
    assert np.var(volts) == pytest.approx(1 + step**2 / 12, rel=variance_error(volts.size))


@pytest.mark.parametrize("bits", [None, 8])
def test_clipping_is_counted(bits: int | None) -> None:
    """Full scale at two standard deviations: 4.55 % lie beyond."""
    receiver = ReceiverPhysics(adc_bits=bits, adc_full_scale_v=0.04, volts_per_snu=0.02)
    record = Link(WaveformPhysics(RATE_HZ, receiver=receiver), PULSE).record(DARKNESS, rng())
    volts = record.samples * record.volts_per_unit
    assert np.abs(volts).max() <= 0.04
    share = 0.0455 if bits is None else 0.0468  # half a step and the missing code at the top
    assert record.clipped_samples / volts.size == pytest.approx(share, rel=0.05)


def test_overdrive_is_counted() -> None:
    physics = WaveformPhysics(RATE_HZ, TransmitterPhysics(peak_amplitude=1.0))
    assert Link(physics, PULSE).record(np.full(100, 0.1 + 0j), rng()).overdriven_samples == 0
    assert Link(physics, PULSE).record(np.full(100, 10 + 0j), rng()).overdriven_samples > 300


def test_a_record_holds_the_light_to_its_end() -> None:
    """Noise aside, every pulse is in it whole: the light's energy arrives, whatever the filters' delays."""
    receiver = ReceiverPhysics(volts_per_snu=1.0, low_pass=LowPass(200e6), skew_s=2e-9)
    physics = WaveformPhysics(RATE_HZ, TransmitterPhysics(1e9, generator_low_pass=LowPass(200e6)), receiver=receiver)
    symbols = np.zeros(10_000, np.complex64)
    symbols[-1] = 1e6 + 1e6j
    volts = Link(physics, PULSE).record(symbols, rng()).samples
    for row in volts:
        energy = np.cumsum(row[::-1].astype(float) ** 2)[::-1]
        assert energy[-4] / energy[0] < 1e-6


def test_a_record_follows_from_its_generator() -> None:
    physics = WaveformPhysics(RATE_HZ, laser=LaserPhysics(1e5, 1e-8, -150))
    symbols = np.full(5000, 1 + 1j)
    first, again, other = (Link(physics, PULSE).record(symbols, rng(seed)).samples for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_symbols_of_another_shape_are_refused() -> None:
    link = Link(WaveformPhysics(RATE_HZ), PULSE)
    for shape in ((0,), (2, 3)):
        with pytest.raises(ConfigError, match="shape"):
            link.record(np.zeros(shape, np.complex64), rng())
