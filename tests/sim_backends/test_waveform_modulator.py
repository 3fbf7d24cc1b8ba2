"""The transmitter: electrodes' sine, biases, imbalance, converter. Its statistical test fails once in 150,000."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_backends.physics import iq_transfer
from sim_backends.waveform_config import LowPass, TransmitterPhysics
from sim_backends.waveform_modulator import Transmitter, iq_field

RATE_HZ = 500e6
IDEAL = TransmitterPhysics(peak_amplitude=10.0)


def volts(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def sent(physics: TransmitterPhysics, wanted: np.ndarray) -> np.ndarray:
    return Transmitter(physics, RATE_HZ, len(wanted))(wanted.astype(np.complex64))


def disc(samples: int, radius: float, seed: int = 1) -> np.ndarray:
    generator = np.random.Generator(np.random.SFC64(seed))
    return radius * (generator.uniform(-1, 1, samples) + 1j * generator.uniform(-1, 1, samples))


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_ideal_modulator_is_that_of_the_bins(v_i: float, v_q: float) -> None:
    """In units of one arm: √2 of the whole modulator's transmission."""
    field = iq_field(volts(v_i), volts(v_q), IDEAL)
    expected = np.sqrt(2) * iq_transfer(np.array([v_i]), np.array([v_q]), 1.0, 1.0)
    np.testing.assert_allclose(field, expected, atol=2e-6)


def test_a_perfect_transmitter_sends_what_is_wanted() -> None:
    wanted = disc(1000, 9.9)
    np.testing.assert_allclose(sent(IDEAL, wanted), wanted, atol=2e-5)
    assert Transmitter(None, RATE_HZ, 10)(wanted[:10].astype(np.complex64)) == pytest.approx(wanted[:10])


def test_bias_off_null_leaks() -> None:
    field = iq_field(volts(0), volts(0), dataclasses.replace(IDEAL, bias_i_v=0.1, bias_q_v=-0.2))
    assert field[0] == pytest.approx(math.sin(math.pi * 0.05) - 1j * math.sin(math.pi * 0.1), abs=1e-6)


def test_extinction_ratio_of_one_arm() -> None:
    """Power at null over power fully open; the leak is in quadrature with its arm."""
    physics = dataclasses.replace(IDEAL, extinction_ratio_db=20.0)
    closed = iq_field(volts(0), volts(1), physics)[0] - 1j  # the Q arm is fully open: no leak of its own
    assert closed == pytest.approx(-0.1j, abs=1e-6)
    closed = iq_field(volts(1), volts(0), physics)[0] - 1
    assert closed == pytest.approx(0.1, abs=1e-6)


def test_imbalance_turns_and_scales_the_q_arm() -> None:
    physics = dataclasses.replace(IDEAL, angle_error_rad=0.1, gain_ratio=0.9)
    assert iq_field(volts(1), volts(0), physics)[0] == pytest.approx(1, abs=1e-6)
    assert iq_field(volts(0), volts(1), physics)[0] == pytest.approx(0.9j * np.exp(0.1j), abs=1e-6)


def test_a_v_pi_that_is_not_the_design_is_a_gain_for_small_fields() -> None:
    wanted = disc(100, 0.1)
    field = sent(dataclasses.replace(IDEAL, v_pi_i_v=2.0, v_pi_q_v=0.5), wanted)
    np.testing.assert_allclose(field.real, wanted.real / 2, rtol=1e-3)
    np.testing.assert_allclose(field.imag, wanted.imag * 2, rtol=1e-3)


@pytest.mark.parametrize("bits", [6, 10])
def test_quantisation_noise(bits: int) -> None:
    """Variance step²/12 in volts, times the slope of the sine: π peak/2V_π for small fields."""
    samples = 100_000
    physics = dataclasses.replace(IDEAL, generator_bits=bits, generator_full_scale_v=0.2)
    error = sent(physics, disc(samples, 1.0)) - disc(samples, 1.0)
    step = 0.2 / (2 ** (bits - 1) - 1)
    expected = step**2 / 12 * (10 * math.pi / 2) ** 2
    assert np.var(error.real) == pytest.approx(expected, rel=0.02)
    assert np.var(error.imag) == pytest.approx(expected, rel=0.02)


def test_what_an_arm_cannot_give_is_counted() -> None:
    transmitter = Transmitter(IDEAL, RATE_HZ, 4)
    field = transmitter(np.array([1, 11, -12 - 12j, 10j], np.complex64))
    assert transmitter.overdriven == 2
    np.testing.assert_allclose(field, [1, 10, -10 - 10j, 10j], atol=1e-4)


def test_what_the_generator_cannot_give_is_counted() -> None:
    transmitter = Transmitter(dataclasses.replace(IDEAL, generator_full_scale_v=0.5), RATE_HZ, 2)
    field = transmitter(np.array([1, 9], np.complex64))
    assert transmitter.overdriven == 1
    assert field[1] == pytest.approx(10 * math.sin(math.pi / 4), rel=1e-5)


def test_bandwidths_follow_each_other_and_skew_moves_q_alone() -> None:
    step = np.full(400, 0.05 + 0.05j)
    slow = dataclasses.replace(
        IDEAL, generator_low_pass=LowPass(50e6), driver_low_pass=LowPass(50e6), skew_s=3 / RATE_HZ
    )
    field = sent(slow, step)
    one = sent(dataclasses.replace(slow, driver_low_pass=None), step)
    np.testing.assert_allclose(field[-1], step[-1], rtol=1e-4)
    np.testing.assert_allclose(field.imag[3:], field.real[:-3], atol=1e-5)

    def rise(values: np.ndarray) -> int:
        return int(np.argmax(values.real > 0.025))

    assert rise(field) > rise(one)
