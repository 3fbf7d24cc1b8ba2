"""Transmittance and phase of the returned light: how often an honest run is refused, and how soon a wrong one is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.errors import EVERY_SHOT, GateError
from labctl.protocol.estimation import Receiver, ResidualSums, estimate, residual_sums
from labctl.protocol.gates import check_transmittance
from labctl.protocol.returned import (
    LayerPhase,
    PhaseRows,
    PhaseTerms,
    Seen,
    check_alarm,
    check_phase,
    differs,
    off_calibration,
    phase_excess,
    simultaneous_half_width,
    stretches,
)
from labctl.values import Quadrature

RECEIVER = Receiver(0.5)
PHOTONS = 4.0
NAME = "server receiver"


def shots(transmittance: float, runs: int, images: int, rng: np.random.Generator) -> np.ndarray:
    """Σsr of a layer of 4096 samples after each image, shape (runs, images); Σs² and Σr² go with it."""
    ss = 4096 * 2 * PHOTONS
    one = math.sqrt(RECEIVER.coupling * transmittance) * ss + math.sqrt(ss) * rng.standard_normal((runs, images))
    return np.cumsum(one, axis=1)


def widths(images: int, layers: int = 2) -> np.ndarray:
    """Half width after each image where T is 1."""
    found = []
    for shot in range(1, images + 1):
        n, ss = 4096 * shot, 4096 * shot * 2 * PHOTONS
        sums = ResidualSums(n, ss, math.sqrt(0.5) * ss, 0.5 * ss + n)
        found.append(simultaneous_half_width(estimate(sums, RECEIVER), RECEIVER, shot, layers))
    return np.array(found)


def test_false_alarms_of_the_simultaneous_interval_and_of_three() -> None:
    """One side of one of two layers is missed at any of 400 looks in at most 1.25 % of the runs: of 20,000 that is at
    most 250, and 330 with probability below 1e-6. Three half widths are missed by none (11 standard deviations)."""
    images, half = 400, widths(400)
    passed = (shots(1.0, 20_000, images, np.random.default_rng(5)) / (4096 * 8.0 * np.arange(1, images + 1))) ** 2 / 0.5
    outside = ((passed - 1) > half).any(axis=1)
    assert 20 < outside.sum() < 330
    assert not ((passed - 1) > 3 * half).any()


@pytest.mark.parametrize(("transmittance", "within"), [(1.02, 180), (1.05, 32), (1.2, 4)])
def test_power_against_more_light_than_was_sent(transmittance: float, within: int) -> None:
    """All of 200 runs are stopped in so many images. The boundary is 3 half widths of some 3.7 standard errors, and the
    number leaves 5 of them beyond it: one run in 10^6 would not be."""

    def refused(shot: int, sr: float) -> bool:
        n, ss = 4096 * shot, 4096 * shot * 2 * PHOTONS
        found = estimate(ResidualSums(n, ss, sr, sr**2 / ss + n), RECEIVER)
        half = simultaneous_half_width(found, RECEIVER, shot, layers=2)
        try:
            check_transmittance(NAME, found.transmittance, half)
        except GateError:
            return True
        return False

    runs = shots(transmittance, 200, within, np.random.default_rng(6))
    assert all(any(refused(shot, float(sr)) for shot, sr in enumerate(run, start=1)) for run in runs)


def test_the_message_has_the_numbers() -> None:
    check_transmittance(NAME, 1.0299, 0.01)
    with pytest.raises(GateError, match=r"server receiver: .* transmittance 1\.03100 where 1 \+ 3 x 0\.01") as caught:
        check_transmittance(NAME, 1.031, 0.01)
    assert "modulator.loss is 0.133 dB off" in caught.value.remedy


def test_the_calibration_s_errors_widen_the_interval() -> None:
    found = estimate(ResidualSums(10**8, 8e8, math.sqrt(0.5) * 8e8, 5e8), RECEIVER)
    sure = simultaneous_half_width(found, RECEIVER, 1000, 1)
    unsure = simultaneous_half_width(found, Receiver(0.5, 1.0, 1.0, math.inf, 0.01), 1000, 1)
    assert sure < 1e-3
    assert unsure == pytest.approx(0.01 * sure / found.transmittance_se, rel=0.01)


def test_what_differs_from_the_calibrated_transmittance() -> None:
    found = estimate(ResidualSums(40_960, 327_680.0, 0.7 * 327_680, 0.49 * 327_680 + 40_960), RECEIVER)
    assert found.transmittance == pytest.approx(0.98, abs=1e-4)
    assert found.transmittance_se == pytest.approx(0.0049, abs=1e-4)
    assert not differs(found, RECEIVER, 0.98, 2)
    assert not differs(found, RECEIVER, 0.995, 2)
    assert differs(found, RECEIVER, 1.0, 2)
    assert "0.0878 dB less light" in off_calibration("layer 0", found, 1.0)
    assert "more light" in off_calibration("layer 0", found, 0.9)


def test_a_difference_that_no_calibration_resolves_is_none() -> None:
    found = estimate(ResidualSums(10**12, 8e12, math.sqrt(0.5 * 0.9995) * 8e12, 5e12), RECEIVER)
    assert not differs(found, RECEIVER, 1.0, 1)
    assert differs(found, RECEIVER, 1.002, 1)


MODES, ROWS = 32, 64


def light(rng: np.random.Generator, phases: np.ndarray, noise: np.ndarray | float) -> ResidualSums:
    """A shot of Gaussian weights at T = 1, turned by ``phases`` (rows, modes); ``noise``: variance of X and P."""
    launched = math.sqrt(2 * PHOTONS) * rng.standard_normal((2, ROWS, MODES)).astype(np.float32)
    returned = (launched[0] + 1j * launched[1]) * np.exp(1j * phases) * math.sqrt(0.5)
    planes = np.stack([returned.real, returned.imag]) + np.sqrt(noise) * rng.standard_normal((2, ROWS, MODES))
    heard = [Quadrature(plane.astype(np.float32), 1.0) for plane in planes]
    rows = PhaseRows.of(launched)
    sums = ResidualSums(turned=rows.turned(heard), stretches=rows.count)
    for s, r in zip(launched, heard, strict=True):
        sums += residual_sums(s, r.samples)
    return sums


def terms(looks: int = 720) -> PhaseTerms:
    return PhaseTerms(MODES, 1 / MODES, 0.0, looks)


def check(sums: ResidualSums, looks: int = 720) -> None:
    seen = Seen(sums, estimate(sums, RECEIVER))
    check_phase(NAME, seen, seen, RECEIVER, terms(looks))


def test_the_phase_s_share_of_the_excess_is_found() -> None:
    """T V_A σ² = 8 · 0.01 of rows that are turned by 0.1 rad: 0.08 ± 0.0013 over 100 shots of 256 stretches, 5 of which
    are allowed."""
    rng = np.random.default_rng(7)
    sums = sum((light(rng, 0.1 * rng.standard_normal((ROWS, 1)), 1.0) for _ in range(100)), ResidualSums())
    assert phase_excess(sums, estimate(sums, RECEIVER), RECEIVER, MODES) == pytest.approx(0.08, abs=0.0065)


def test_a_phase_that_turns_both_ways_in_a_row_is_found() -> None:
    """As that of a laser whose light and oscillator are equally late in the middle of a row only."""
    rng = np.random.default_rng(8)
    ramp = np.linspace(-1, 1, MODES)
    with pytest.raises(GateError, match="phase reference is lost"):
        check(light(rng, 0.5 * rng.standard_normal((ROWS, 1)) * ramp, 1.0))


def test_noise_of_every_mode_is_not_taken_for_phase() -> None:
    """Whatever a measuring client leaves: of 2000 shots with much noise none is refused, as bounded by 1e-6 each (one
    look). With phase in it as well the reason is the phase."""
    rng = np.random.default_rng(9)
    for noise in (1.0, 1.5, 2.0, 5.0):
        for _ in range(500):
            check(light(rng, np.zeros((ROWS, 1)), noise), looks=1)
    with pytest.raises(GateError, match=r"0\.\d+ rad in each"):
        check(light(rng, 0.6 * rng.standard_normal((ROWS, 1)), 2.0))


def test_a_phase_that_is_off_and_stands_still_is_found() -> None:
    with pytest.raises(GateError) as caught:
        check(light(np.random.default_rng(10), np.full((ROWS, 1), 0.4), 1.0))
    assert "broad a line" in caught.value.remedy


def test_technical_noise_that_was_calibrated_is_allowed_for() -> None:
    rng = np.random.default_rng(11)
    sums = sum((light(rng, 0.1 * rng.standard_normal((ROWS, 1)), 1.0) for _ in range(20)), ResidualSums())
    seen = Seen(sums, estimate(sums, RECEIVER))
    with pytest.raises(GateError):
        check(sums)
    check_phase(NAME, seen, seen, RECEIVER, PhaseTerms(MODES, 1 / MODES, 0.1, 720))


def test_rows_without_light_and_short_rows() -> None:
    launched = np.ones((2, 100, 3), np.float32)
    launched[:, ::2] = 0
    rows = PhaseRows.of(launched)
    assert stretches(3) == 3
    assert len(rows.rows) == 50
    assert rows.count == 0
    assert rows.turned([Quadrature(np.ones((100, 3), np.float32), 1.0)] * 2) == 0.0
    check(ResidualSums(100, 1.0, 1.0, 101.0))


def test_which_shots_a_lost_phase_may_have_spoilt() -> None:
    """One that is turned by 0.4 rad alone tells of itself; of 60 turned by 0.1 rad none does, and all are in doubt."""
    rng = np.random.default_rng(12)
    before, last = light(rng, np.zeros((ROWS, 1)), 1.0), light(rng, np.full((ROWS, 1), 0.4), 1.0)
    turned = [light(rng, 0.1 * rng.standard_normal((ROWS, 1)), 1.0) for _ in range(60)]
    for shots, spoilt in (([before, last], 1), (turned, EVERY_SHOT)):
        so_far, shot = (Seen(each, estimate(each, RECEIVER)) for each in (sum(shots, ResidualSums()), shots[-1]))
        with pytest.raises(GateError) as caught:
            check_phase(NAME, so_far, shot, RECEIVER, terms())
        assert caught.value.shots == spoilt


def test_an_alarm_of_the_phase_is_none() -> None:
    """Where a third of what is beyond the allowed is by phase, in the mean over the layers. A quarter of a greedy
    client's noise may pass for phase, whatever its gain."""
    steady, turning = LayerPhase(1000, 0.06, 0.005, 0.01, 0.0), LayerPhase(9000, 0.06, 0.04, 0.01, 0.0)
    check_alarm(NAME, [steady])
    with pytest.raises(GateError, match=r"0\.05 SNU of excess noise per mode are beyond .* makes 0\.0365 SNU"):
        check_alarm(NAME, [steady, turning])
    for excess in (0.0101, 0.02, 0.1):
        check_alarm(NAME, [LayerPhase(1000, excess, excess / 4, 0.01, 0.0)])


def test_technical_noise_may_be_the_phase_s_already() -> None:
    check_alarm(NAME, [LayerPhase(1000, 0.06, 0.034, 0.01, 0.02)])
    with pytest.raises(GateError):
        check_alarm(NAME, [LayerPhase(1000, 0.06, 0.036, 0.01, 0.02)])
