"""The waveform mode, received and estimated, against theory (docs/physics.md, section 4a).

Statistical tests allow 4.5 standard errors, and state what else they allow: a right one fails once in 150,000.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import signal

from labctl.dsp.calibration import find_delays
from labctl.dsp.matched import FrontEnd, MatchedFilter
from labctl.dsp.pulses import Pulse, rectangular, root_raised_cosine
from labctl.dsp.receive import ReceiverConstants, SymbolReceiver
from labctl.errors import GateError
from labctl.protocol.estimation import Receiver, estimate, residual_sums
from sim_backends.waveform_config import LaserPhysics, LowPass, ReceiverPhysics, TransmitterPhysics, WaveformPhysics
from tests.physics.waveform_rig import FRAME, LIMITS, PULSE, RATE_HZ, calibrated, design, modulation, recorded, run

SIGMAS = 4.5
V_A = 8.0


# --- noise and transmittance ---------------------------------------------------------------------


@pytest.mark.parametrize("pulse", [PULSE, root_raised_cosine(2, 0.8), rectangular(4), rectangular(1)])
@pytest.mark.parametrize("dual", [True, False])
def test_the_vacuum_has_variance_one_behind_the_matched_filter(pulse: Pulse, dual: bool) -> None:
    count = 100_000
    physics = WaveformPhysics(RATE_HZ, receiver=ReceiverPhysics(dual_quadrature=dual))
    record = recorded(physics, np.zeros(count, np.complex64), 1, pulse)
    front_end = FrontEnd((pulse.centre, pulse.centre), (0.02, 0.02))
    symbols = MatchedFilter(pulse, front_end)(record, count)
    for part in (symbols.real, symbols.imag)[: 1 + dual]:
        assert np.var(part, dtype=float) == pytest.approx(1, rel=SIGMAS * math.sqrt(2 / count))
        neighbours = np.mean(part[1:] * part[:-1], dtype=float)
        assert abs(neighbours) < SIGMAS / math.sqrt(count)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("transmittance", "efficiency", "electronic"), [(1.0, 1.0, 0.0), (0.5, 1.0, 0.1), (0.9, 0.6, 0.05)]
)
def test_transmittance_and_excess_are_unbiased(
    transmittance: float, efficiency: float, electronic: float, seed: int
) -> None:
    receiver = ReceiverPhysics(efficiency=efficiency, electronic_noise_snu=electronic)
    physics = WaveformPhysics(RATE_HZ, transmittance=transmittance, receiver=receiver)
    outcome = run(physics, design(physics), seed).estimate
    assert outcome.transmittance == pytest.approx(transmittance, abs=SIGMAS * outcome.transmittance_se)
    # Besides: the phase's estimate from pilots, the pulse's cut, single precision, together below 1e-3 SNU.
    assert outcome.excess == pytest.approx(0, abs=SIGMAS * outcome.excess_se + 1e-3)


def test_homodyne_gets_all_the_light() -> None:
    """κ = 1: a locked receiver of one quadrature, no pilots."""
    count, transmittance = 200_000, 0.7
    receiver = ReceiverPhysics(dual_quadrature=False, electronic_noise_snu=0.1)
    physics = WaveformPhysics(RATE_HZ, transmittance=transmittance, receiver=receiver)
    sent = modulation(count, V_A, 3)
    front_end = FrontEnd((PULSE.centre, PULSE.centre), (0.02, 0.02))
    symbols = MatchedFilter(PULSE, front_end)(recorded(physics, sent, 4), count)
    found = estimate(residual_sums(2 * sent.real, symbols.real), Receiver(1.0, 1.0, 1.1))
    assert found.transmittance == pytest.approx(transmittance, abs=SIGMAS * found.transmittance_se)
    assert found.excess == pytest.approx(0, abs=SIGMAS * found.excess_se)


def test_excess_put_in_as_a_classical_amplitude_comes_out() -> None:
    """Light of a positive P function: ε SNU are ε/4 in Re α and in Im α."""
    count, transmittance, excess = 300_000, 0.8, 0.1
    physics = WaveformPhysics(RATE_HZ, transmittance=transmittance)
    sent, more = modulation(count, V_A, 5), modulation(count, excess / transmittance, 6)
    recording = recorded(physics, FRAME.interleave(sent + more), 7)
    received = SymbolReceiver("server", PULSE, FRAME, design(physics), LIMITS).receive(recording, count)
    sums = residual_sums(np.stack([2 * sent.real, 2 * sent.imag]), received.quadratures())
    found = estimate(sums, Receiver(0.5))
    assert found.excess == pytest.approx(excess, abs=SIGMAS * found.excess_se + 1e-3)


# --- phase ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("linewidth_hz", "delay_s"), [(100e3, 5e-6), (20e3, 20e-6), (200e3, 3e-6)])
def test_residual_phase_noise_costs_excess(linewidth_hz: float, delay_s: float) -> None:
    """ε = T V_A (1 - exp(-σ_φ²)) with the σ_φ² that the receiver states: over steps shorter than the delay a walk of
    2·2πΔν per second. 6 % besides, because the receiver knows Q from some ten thousand pilots.
    """
    transmittance = 0.9
    laser = LaserPhysics(linewidth_hz, delay_s, phase_rad=1.0)
    physics = WaveformPhysics(RATE_HZ, laser=laser, transmittance=transmittance)
    outcome = run(physics, design(physics), 11, count=400_000)
    lock, found = outcome.received.lock, outcome.estimate
    period_s = FRAME.period * PULSE.samples_per_symbol / RATE_HZ
    assert lock.step_variance_rad2 == pytest.approx(2 * 2 * math.pi * linewidth_hz * period_s, rel=0.1)
    expected = lock.excess_snu(transmittance, V_A)
    allowed = SIGMAS * found.excess_se
    assert found.excess == pytest.approx(expected, abs=allowed + 0.06 * expected)
    assert expected > 2 * allowed


def test_phase_noise_within_a_pulse_turns_into_noise_of_the_mean_power() -> None:
    """A delay of a fifth of a sample: θ is white, of variance 2πΔν d, and no pilot can follow it."""
    linewidth_hz, delay_s = 5e6, 4e-10
    physics = WaveformPhysics(RATE_HZ, laser=LaserPhysics(linewidth_hz, delay_s, phase_rad=1.0), transmittance=0.9)
    found = run(physics, design(physics), 12).estimate
    expected = 0.9 * power_at_data_symbols() * 2 * math.pi * linewidth_hz * delay_s
    assert found.excess == pytest.approx(expected, abs=SIGMAS * found.excess_se + 0.03 * expected)
    assert expected > 2 * SIGMAS * found.excess_se


def power_at_data_symbols() -> float:
    """What white phase noise of variance 1 per sample becomes behind the matched filter: Σ p_i² times the power there,
    SNU per quadrature, mean over the data symbols. Most of it is the pilots'.
    """
    rate, period = PULSE.samples_per_symbol, FRAME.period
    powers = np.full(41 * period, V_A)
    powers[::period] = (2 * abs(FRAME.amplitude)) ** 2 / 2
    sparse = np.zeros(len(powers) * rate)
    sparse[::rate] = powers
    spread = np.convolve(np.convolve(sparse, PULSE.taps**2), PULSE.taps**2)[2 * PULSE.centre :: rate]
    return float(np.mean(spread[20 * period + 1 : 21 * period]))


def test_a_laser_too_broad_gives_no_lock() -> None:
    physics = WaveformPhysics(RATE_HZ, laser=LaserPhysics(20e6, 5e-6))
    with pytest.raises(GateError, match="no phase reference: the phase moves"):
        run(physics, design(physics), 13, count=50_000)


def test_no_delay_no_phase_noise() -> None:
    """Signal and local oscillator of one laser, arriving together."""
    physics = WaveformPhysics(RATE_HZ, laser=LaserPhysics(20e6, 0.0, phase_rad=2.0))
    outcome = run(physics, design(physics), 14)
    assert outcome.received.lock.residual_variance_rad2 < 2e-5
    assert outcome.estimate.excess == pytest.approx(0, abs=SIGMAS * outcome.estimate.excess_se + 1e-3)


# --- bandwidth -----------------------------------------------------------------------------------


def bessel_impulse(bandwidth_hz: float) -> np.ndarray:
    sections = signal.bessel(4, bandwidth_hz, fs=RATE_HZ, output="sos", norm="mag")
    impulse = np.zeros(512)
    impulse[0] = 1
    return signal.sosfilt(sections, impulse)


def sampled_response(kernel: np.ndarray, delay: float) -> np.ndarray:
    """Matched filter's answer to the neighbouring symbols at whole symbols' distance, double precision."""
    both = np.convolve(np.convolve(PULSE.taps, kernel), PULSE.taps[::-1])
    spectrum = np.fft.fft(both, 8192) * np.exp(2j * np.pi * np.fft.fftfreq(8192) * (delay + PULSE.centre))
    at_symbols = np.fft.ifft(spectrum).real[:: PULSE.samples_per_symbol]
    return np.concatenate([at_symbols[-40:], at_symbols[:40]])


@pytest.mark.parametrize("place", ["generator", "receiver"])
def test_interference_between_symbols_from_a_bandwidth(place: str) -> None:
    """t² = κT h_0²/ν and ε = T V_A Σ h_k²/ν, with ν the noise behind a limited receiver, 1 behind a limited sender."""
    low_pass, transmittance, count = LowPass(70e6), 0.8, 300_000
    physics = WaveformPhysics(RATE_HZ, transmittance=transmittance)
    if place == "generator":
        sender = TransmitterPhysics(peak_amplitude=1e5, generator_low_pass=low_pass)
        physics = dataclasses.replace(physics, transmitter=sender)
    else:
        physics = dataclasses.replace(physics, receiver=ReceiverPhysics(low_pass=low_pass))
    sent = modulation(count, V_A, 21)
    recording = recorded(physics, sent, 22)
    bright = recorded(physics, 30 * sent[:20_000], 23)
    delays = find_delays(bright, sent[:20_000], PULSE)
    symbols = MatchedFilter(PULSE, FrontEnd(delays, (0.02, 0.02)))(recording, count)
    received = np.stack([symbols.real, symbols.imag])

    kernel = bessel_impulse(low_pass.bandwidth_hz)
    response = sampled_response(kernel, float(np.mean(delays)))
    main = response[40]
    interference = np.sum(response**2) - main**2
    noise = 1.0 if place == "generator" else float(np.sum(np.convolve(PULSE.taps, kernel) ** 2))
    assert interference > 1e-3
    found = estimate(residual_sums(np.stack([2 * sent.real, 2 * sent.imag]), received), Receiver(0.5, 1.0, noise))
    assert found.transmittance == pytest.approx(transmittance * main**2, abs=SIGMAS * found.transmittance_se)
    expected = transmittance * V_A * interference
    assert found.excess == pytest.approx(expected, abs=SIGMAS * found.excess_se)
    assert expected > SIGMAS * found.excess_se


def test_the_equalizer_takes_it_out() -> None:
    sender = TransmitterPhysics(peak_amplitude=200.0, generator_low_pass=LowPass(150e6))
    physics = WaveformPhysics(RATE_HZ, sender, receiver=ReceiverPhysics(low_pass=LowPass(150e6)))
    constants = calibrated(physics, 31)
    without = dataclasses.replace(
        constants, front_end=dataclasses.replace(constants.front_end, equalizer=(1.0,)), carrier=0.0
    )
    plain, equalized = (run(physics, each, 32).estimate for each in (without, constants))
    assert plain.excess > 0.05  # mostly the pilots' echoes
    # Besides: what the calibration leaves of the interference.
    assert equalized.excess == pytest.approx(0, abs=SIGMAS * equalized.excess_se + 2e-3)


# --- skew and imbalance --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "receiver",
    [ReceiverPhysics(skew_s=1.3e-9), ReceiverPhysics(angle_error_rad=0.2), ReceiverPhysics(gain_ratio=1.3)],
)
def test_skew_and_imbalance_are_corrected(receiver: ReceiverPhysics) -> None:
    physics = WaveformPhysics(RATE_HZ, laser=LaserPhysics(phase_rad=0.6), transmittance=0.8, receiver=receiver)
    constants = calibrated(physics, 41)
    front_end = constants.front_end
    skew = front_end.delay_samples[1] - front_end.delay_samples[0]
    assert skew == pytest.approx(receiver.skew_s * RATE_HZ, abs=0.01)
    assert front_end.angle_error_rad == pytest.approx(receiver.angle_error_rad, abs=SIGMAS / math.sqrt(100_000))
    units = front_end.unit_v[1] * front_end.gain_ratio / front_end.unit_v[0]
    assert units == pytest.approx(receiver.gain_ratio, rel=SIGMAS / math.sqrt(100_000) * 1.5)

    found = run(physics, constants, 42).estimate
    assert found.excess == pytest.approx(0, abs=SIGMAS * found.excess_se + 2e-3)
    delay, unit = front_end.delay_samples[0], front_end.unit_v[0]
    uncorrected = ReceiverConstants(FrontEnd((delay, delay), (unit, unit)))
    wrong = run(physics, uncorrected, 42).estimate
    assert wrong.excess > 2 * SIGMAS * wrong.excess_se


def test_everything_together() -> None:
    """A bench with most imperfections at once: the calibrated receiver leaves the excess that it says it leaves."""
    physics = WaveformPhysics(
        RATE_HZ,
        TransmitterPhysics(
            peak_amplitude=100.0,
            generator_bits=14,
            generator_full_scale_v=1.1,
            generator_low_pass=LowPass(180e6),
            driver_low_pass=LowPass(220e6, 2, "butterworth"),
            extinction_ratio_db=45.0,
            bias_i_v=0.002,
        ),
        LaserPhysics(10e3, 5e-6, rin_db_hz=-155),
        transmittance=0.8,
        receiver=ReceiverPhysics(
            efficiency=0.9,
            electronic_noise_snu=0.05,
            cmrr_db=35,
            low_pass=LowPass(200e6),
            skew_s=0.7e-9,
            angle_error_rad=0.05,
            gain_ratio=1.1,
            lo_saturation_w=0.1,
            adc_bits=12,
            adc_full_scale_v=2.0,
        ),
    )
    constants = calibrated(physics, 51)
    outcome = run(physics, constants, 52, count=600_000)
    found = outcome.estimate
    # The carrier that leaks through is turned by the residual phase error as the signal is.
    assert abs(constants.carrier) > 1
    expected = outcome.received.lock.excess_snu(0.8, V_A + 2 * abs(constants.carrier) ** 2)
    assert found.excess == pytest.approx(expected, abs=SIGMAS * found.excess_se + 0.003)
    assert expected > SIGMAS * found.excess_se
    # Filters and equalizer cost a little of the signal against the shot noise.
    assert 0.75 < found.transmittance < 0.81
