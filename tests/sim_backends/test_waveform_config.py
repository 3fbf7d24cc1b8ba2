"""Waveform parameters are checked, and every one is ideal by default."""

from __future__ import annotations

import math

import pytest

from labctl.errors import ConfigError
from sim_backends.waveform_config import LaserPhysics, LowPass, ReceiverPhysics, TransmitterPhysics, WaveformPhysics


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: LowPass(0.0), "bandwidth_hz"),
        (lambda: LowPass(1e6, 0), "poles"),
        (lambda: LowPass(1e6, 4, "elliptic"), "elliptic"),
        (lambda: TransmitterPhysics(0.0), "peak_amplitude"),
        (lambda: TransmitterPhysics(1.0, v_pi_i_v=-1), "v_pi_i_v"),
        (lambda: TransmitterPhysics(1.0, generator_bits=1, generator_full_scale_v=1.0), "generator_bits"),
        (lambda: TransmitterPhysics(1.0, generator_bits=8), "generator_full_scale_v"),
        (lambda: TransmitterPhysics(1.0, skew_s=math.nan), "skew_s"),
        (lambda: TransmitterPhysics(1.0, extinction_ratio_db=-1), "extinction"),
        (lambda: LaserPhysics(linewidth_hz=-1), "linewidth_hz"),
        (lambda: LaserPhysics(delay_s=-1), "delay_s"),
        (lambda: LaserPhysics(rin_db_hz=1), "rin_db_hz"),
        (lambda: LaserPhysics(phase_rad=math.inf), "phase_rad"),
        (lambda: ReceiverPhysics(efficiency=0), "efficiency"),
        (lambda: ReceiverPhysics(efficiency=1.1), "efficiency"),
        (lambda: ReceiverPhysics(electronic_noise_snu=-1), "electronic_noise_snu"),
        (lambda: ReceiverPhysics(lo_power_w=-1), "lo_power_w"),
        (lambda: ReceiverPhysics(volts_per_snu=0), "volts_per_snu"),
        (lambda: ReceiverPhysics(cmrr_db=-1), "cmrr_db"),
        (lambda: ReceiverPhysics(adc_bits=17, adc_full_scale_v=1.0), "adc_bits"),
        (lambda: ReceiverPhysics(adc_bits=8), "full scale"),
        (lambda: ReceiverPhysics(adc_full_scale_v=0), "adc_full_scale_v"),
        (lambda: WaveformPhysics(0.0), "sample_rate_hz"),
        (lambda: WaveformPhysics(1e9, transmittance=1.1), "transmittance"),
        (lambda: WaveformPhysics(1e9, receiver=ReceiverPhysics(low_pass=LowPass(5e8))), "low pass"),
        (lambda: WaveformPhysics(1e9, TransmitterPhysics(1.0, driver_low_pass=LowPass(6e8))), "low pass"),
        (lambda: WaveformPhysics(1e9, laser=LaserPhysics(delay_s=1.0)), "delay_s"),
        (lambda: WaveformPhysics(1e9, laser=LaserPhysics(rin_db_hz=-80)), "rin_db_hz"),
    ],
)
def test_a_wrong_parameter_is_named(make: object, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        make()


def test_everything_is_ideal_unless_said_otherwise() -> None:
    physics = WaveformPhysics(1e9)
    assert physics.transmitter is None
    assert physics.laser == LaserPhysics(0.0, 0.0, -math.inf, 0.0)
    assert physics.rin_deviation == 0
    receiver = physics.receiver
    assert (receiver.efficiency, receiver.electronic_noise_snu, receiver.lo_gain, receiver.kappa) == (1, 0, 1, 0.5)
    assert receiver.low_pass is receiver.adc_bits is None


def test_shot_noise_saturates() -> None:
    receiver = ReceiverPhysics(lo_power_w=0.02, lo_reference_power_w=0.01)
    assert receiver.lo_gain == pytest.approx(2)
    saturated = ReceiverPhysics(lo_power_w=0.02, lo_reference_power_w=0.01, lo_saturation_w=0.02)
    assert saturated.lo_gain == pytest.approx(0.01 / (0.01 / 1.5))
