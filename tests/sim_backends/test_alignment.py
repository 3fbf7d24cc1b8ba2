"""Bias controllers, a polarisation controller and a switch in the light, with hand-set states.

Statistical tests allow 5 standard errors (error probability below 1e-6 each) and have fixed seeds.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from labctl.errors import ConfigError
from sim_backends.alignment import held_v
from sim_backends.faults import Disturbance
from sim_backends.state import BiasElectrodeState, BiasState, PolarisationState, SwitchState
from tests.physics.bare_bench import PLACES, V_PI, BareBench, bare_bench

ROWS, MODES = 400, 16
BIASED = {"bias_i": 0.06, "bias_q": -0.04}
HALF = math.sqrt(0.5)


def amplitudes(scale: float = 1.0) -> np.ndarray:
    generator = np.random.default_rng(3)
    return scale * (generator.uniform(-1, 1, (ROWS, MODES)) + 1j * generator.uniform(-1, 1, (ROWS, MODES)))


def volts(values: dict[str, float]) -> dict[str, str]:
    return {key: f"{value} V" for key, value in values.items()}


def bench(beside: dict[str, Any] | None = None, peak: float = 1.0, **physics: Any) -> BareBench:
    made = bare_bench(1, peak, beside, **physics)
    made.send(amplitudes(peak))
    made.project(np.full(MODES, 0.25 + 0j), 0.5)
    return made


def biased(electrodes: list[BiasElectrodeState], **modulator: float) -> BareBench:
    """In-phase and quadrature arm have one electrode each of one controller."""
    places = {**PLACES, "bias_i": "bias:1", "bias_q": "bias:2"}
    return bench({"bias": BiasState(electrodes)}, places=places, modulator=volts(modulator))


def launched(made: BareBench) -> np.ndarray:
    launch = made.world.circuit.launch(MODES)
    assert launch is not None
    return launch.plane.copy()


# --- bias controllers --------------------------------------------------------------------------------


def test_arms_held_at_null_send_what_an_ideal_modulator_sends() -> None:
    held = [BiasElectrodeState(point=0.0), BiasElectrodeState(point=0.0)]
    made = biased(held, bias_drift_i_per_hour=0.1, **BIASED)
    made.world.set_stepped(True)
    ideal = launched(bench())
    for _ in range(2):
        np.testing.assert_allclose(launched(made), ideal, atol=1e-6)
        made.world.advance(3600.0)
    made.world.disturb("sender", Disturbance(bias_shift=0.1))
    np.testing.assert_allclose(launched(made), ideal, atol=1e-6)


def test_arms_that_nobody_holds_drift_as_they_do_without_a_controller() -> None:
    free = [BiasElectrodeState(), BiasElectrodeState()]
    made = biased(free, bias_drift_i_per_hour=0.1, **BIASED)
    alone = bench(modulator=volts({"bias_drift_i_per_hour": 0.1, **BIASED}))
    for each in (made, alone):
        each.world.set_stepped(True)
        each.world.advance(1800.0)
    np.testing.assert_array_equal(launched(made), launched(alone))
    assert not np.allclose(launched(made), launched(bench()), atol=1e-2)


def test_a_voltage_by_hand_and_an_error_turn_the_arm() -> None:
    """Electrode of 5 V half-wave voltage, so that 1 V turns as much as 70 mV at the generator."""
    expected = launched(bench(modulator=volts({"bias_i": 0.06 + V_PI / 5, "bias_q": -0.04})))
    by_hand = biased([BiasElectrodeState(5.0, voltage_v=1.0), BiasElectrodeState()], **BIASED)
    np.testing.assert_allclose(launched(by_hand), expected, atol=1e-6)
    missed = biased([BiasElectrodeState(2.5, 0.0, error_v=0.5), BiasElectrodeState()], **BIASED)
    expected = launched(bench(modulator=volts({"bias_i": V_PI / 5, "bias_q": -0.04})))
    np.testing.assert_allclose(launched(missed), expected, atol=1e-6)


def test_the_pilot_tone_moves_the_bias() -> None:
    made = biased([BiasElectrodeState(5.0, 0.0, dither_vpp=0.2, dither_hz=1000.0), BiasElectrodeState(point=0.0)])
    made.world.set_stepped(True)
    for time_s, sine in ((0.25e-3, 1.0), (0.5e-3, -1.0)):
        made.world.advance(time_s)
        expected = launched(bench(modulator=volts({"bias_i": sine * 0.1 / 5 * V_PI})))
        np.testing.assert_allclose(launched(made), expected, atol=1e-6)


@pytest.mark.parametrize(("point", "power"), [(0.0, 0.0), (0.5, 0.25), (-0.5, 0.25), (1.0, 0.5)])
def test_working_points(point: float, power: float) -> None:
    """Transmission of one arm without drive is half of sin^2, the other one is at null."""
    made = biased([BiasElectrodeState(point=point), BiasElectrodeState(point=0.0)], **BIASED)
    for channel in made.sender.channels:
        channel.output_on = False
    assert made.world.optical_power_w("bias") == pytest.approx(power * made.laser.power_w, abs=1e-12)


def test_the_nearest_of_equivalent_voltages() -> None:
    assert held_v(BiasElectrodeState(4.0, 0.0), own=0.3) == pytest.approx(-1.2)
    assert held_v(BiasElectrodeState(4.0, 0.0), own=1.9) == pytest.approx(0.4)
    assert held_v(BiasElectrodeState(4.0, 1.0), own=-0.8) == pytest.approx(-0.8)
    assert held_v(BiasElectrodeState(4.0, None, voltage_v=7.0), own=0.3) == 7.0


def test_what_a_controller_is_told_of_its_arm() -> None:
    made = biased([BiasElectrodeState(point=0.0), BiasElectrodeState()], **BIASED)
    assert made.world.arm_bias("bias", 1) == pytest.approx(0.06 / V_PI)
    assert made.world.arm_bias("bias", 2) == pytest.approx(-0.04 / V_PI)
    assert made.world.arm_bias("bias", 3) == made.world.arm_bias("nobody", 1) == 0.0


# --- polarisation ------------------------------------------------------------------------------------


def polarised(stokes: tuple[float, float, float], axis: list[float] | None = None, **more: Any) -> BareBench:
    state = PolarisationState(stokes, **more)
    physics = {} if axis is None else {"polarisation": {"axis": axis}}
    return bench({"pol": state}, 20.0, places={**PLACES, "polarisation": "pol"}, **physics)


@pytest.mark.parametrize(
    ("stokes", "axis", "seen"),
    [
        ((1.0, 0.0, 0.0), None, 1.0),
        ((0.0, 1.0, 0.0), None, 0.5),
        ((-1.0, 0.0, 0.0), None, 0.0),
        ((0.0, 0.0, 1.0), [0.0, 0.0, 1.0], 1.0),
        ((HALF, HALF, 0.0), None, math.cos(math.pi / 8) ** 2),
    ],
)
def test_fraction_seen(stokes: tuple[float, float, float], axis: list[float] | None, seen: float) -> None:
    made = polarised(stokes, axis)
    assert made.world.circuit.overlaps() == pytest.approx((seen, seen), abs=1e-12)


def test_scrambled_light_counts_as_unpolarised() -> None:
    assert polarised((1.0, 0.0, 0.0), scrambling=True).world.circuit.overlaps() == (0.5, 0.5)


@pytest.mark.parametrize("stokes", [(0.0, 1.0, 0.0), (-1.0, 0.0, 0.0)])
def test_amplitudes_go_with_the_cosine_of_half_the_angle_and_vacuum_takes_the_rest(
    stokes: tuple[float, float, float],
) -> None:
    aligned_client, aligned_server = bench(peak=20.0).shoot()
    client, server = polarised(stokes).shoot(key=1)
    cosine = math.sqrt((1 + stokes[0]) / 2)
    for seen, whole in ((client, aligned_client), (server.real, aligned_server.real)):
        numbers, mean = seen.reshape(-1), whole.reshape(-1)
        slope = float(numbers @ mean / (mean @ mean))
        assert slope == pytest.approx(cosine, abs=5 / math.sqrt(float(mean @ mean)) + 5e-2 * cosine)
        rest = numbers - cosine * mean
        expected = 1 + cosine**2  # noise of both shots, which are drawn apart
        assert np.var(rest) == pytest.approx(expected, abs=5 * expected * math.sqrt(2 / len(rest)))


# --- switch ------------------------------------------------------------------------------------------


def switched(position: int, **physics: Any) -> BareBench:
    return bench({"switch": SwitchState(position)}, 20.0, places={**PLACES, "switch": "switch"}, **physics)


def test_at_position_1_everything_passes_number_for_number() -> None:
    for seen, expected in zip(switched(1).shoot(), bench(peak=20.0).shoot(), strict=True):
        np.testing.assert_array_equal(seen, expected)


def test_behind_a_closed_switch_there_is_vacuum_and_electronic_noise() -> None:
    made = switched(2, server_receiver={"efficiency": 0.8, "electronic_noise": 0.2})
    client, server = made.shoot()
    np.testing.assert_array_equal(client, bench(peak=20.0).shoot()[0])
    for quadrature in (server.real, server.imag):
        numbers = quadrature.reshape(-1)
        assert np.mean(numbers) == pytest.approx(0.0, abs=5 * math.sqrt(1.2 / len(numbers)))
        assert np.var(numbers) == pytest.approx(1.2, abs=5 * 1.2 * math.sqrt(2 / len(numbers)))
    np.testing.assert_allclose(np.corrcoef(server.real.ravel(), amplitudes().real.ravel())[0, 1], 0, atol=0.07)


def test_a_sampled_receiver_gets_the_same() -> None:
    """Light before the receiver adds vacuum: none behind a closed switch, cos 45° of it with s at 90° to the axis."""

    def returned(made: BareBench) -> np.ndarray:
        return made.world._new_shot(ROWS * MODES).returned

    whole = returned(bench(peak=20.0))
    assert not returned(switched(2)).any()
    np.testing.assert_array_equal(returned(switched(1)), whole)
    np.testing.assert_allclose(returned(polarised((0.0, 1.0, 0.0))), HALF * whole, atol=1e-4)


# --- mistakes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "who", "said"),
    [
        ("bias_i", "laser:1", "BiasState"),
        ("bias_q", "bias:2", r"the unit has 1 electrode\(s\)"),
        ("polarisation", "bias", "PolarisationState"),
        ("switch", "bias", "SwitchState"),
    ],
)
def test_the_wrong_unit_at_a_place(place: str, who: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        bench({"bias": BiasState([BiasElectrodeState()])}, places={**PLACES, place: who})
