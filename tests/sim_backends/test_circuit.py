"""From what the instruments were told to the light between them."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.errors import ConfigError
from sim_backends.circuit import REMEMBERED, drive_volts
from sim_backends.config import ReceiverPhysics, WorldConfig
from sim_backends.physics import photons_per_bin
from sim_backends.state import GeneratorChannelState, Playback
from sim_backends.world import World
from tests.physics.bare_bench import PLACES, RATE_HZ, HandSetUnit, _units, bare_bench


def amplitudes(rows: int = 3, modes: int = 16, seed: int = 1) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.uniform(-1, 1, (rows, modes)) + 1j * generator.uniform(-1, 1, (rows, modes))


def field(plane: np.ndarray) -> np.ndarray:
    return (plane[0] + 1j * plane[1]) / 2


def test_launched_light_is_what_the_codes_make() -> None:
    bench = bare_bench(1, peak=1.0)
    made = bench.send(amplitudes())
    launch = bench.world.circuit.launch(16)
    assert launch is not None
    np.testing.assert_allclose(field(launch.plane), made, atol=1e-6)
    for amplitude in (1.0, 0.5, 1.0):
        np.testing.assert_array_equal(launch.returned(amplitude), amplitude * launch.plane[:, :, ::-1])


def test_power_in_dB_and_watts() -> None:
    bench = bare_bench(1, peak=1.0)
    bench.send(amplitudes())
    circuit = bench.world.circuit
    before = circuit.launch(16).plane.copy()
    bench.voa.attenuation_db += 3.0
    np.testing.assert_allclose(circuit.launch(16).plane, before * 10 ** (-3 / 20), rtol=1e-5)
    bench.voa.attenuation_db -= 3.0
    bench.laser.power_w *= 4
    np.testing.assert_allclose(circuit.launch(16).plane, before * 2, rtol=1e-5)
    bench.laser.wavelength_m *= 0.81
    np.testing.assert_allclose(circuit.launch(16).plane, before * 2 * 0.9, rtol=1e-5)


@pytest.mark.parametrize("dark", ["laser", "laser shutter", "shutter"])
def test_dark(dark: str) -> None:
    bench = bare_bench(1, peak=1.0)
    bench.send(amplitudes())
    if dark == "laser":
        bench.laser.emission = False
    elif dark == "laser shutter":
        bench.laser.shutter_closed = True
    else:
        bench.voa.shutter_open = False
    assert not bench.world.circuit.launch(16).plane.any()
    assert bench.world.circuit.launched_power_w() == 0.0


def test_nothing_plays() -> None:
    bench = bare_bench(1, peak=1.0)
    assert bench.world.circuit.launch(16) is None
    assert bench.world.circuit.launched_power_w() == 0.0
    bench.send(amplitudes())
    for channel in bench.sender.channels:
        channel.output_on = False
    assert not bench.world.circuit.launch(16).plane.any(), "at null without drive"


def test_launched_power() -> None:
    bench = bare_bench(1, peak=1.0)
    made = bench.send(amplitudes())
    watts_per_photon = 0.01 / photons_per_bin(0.01, bench.laser.wavelength_m, RATE_HZ)
    expected = np.mean(np.abs(made) ** 2) * watts_per_photon
    assert bench.world.circuit.launched_power_w() == pytest.approx(expected, rel=1e-5)


def test_a_changed_code_changes_one_bin() -> None:
    bench = bare_bench(1, peak=1.0)
    bench.send(amplitudes())
    circuit = bench.world.circuit
    before = circuit.launch(16).plane.copy()
    old = bench.sender.channels[1].playback
    codes = old.codes.copy()
    codes[21] ^= 0x0200
    bench.sender.channels[1].playback = Playback(codes, 1, old.version + 1)
    different = np.argwhere(circuit.launch(16).plane != before)
    np.testing.assert_array_equal(different, [[1, 1, 5]])  # P quadrature, row 1, bin 5


def test_every_setting_that_counts_is_looked_at_again() -> None:
    bench = bare_bench(1, peak=1.0)
    bench.send(amplitudes())
    circuit = bench.world.circuit
    seen = [circuit.launch(16).plane]
    assert circuit.launch(16).plane is seen[0], "the same settings are not reckoned twice"
    changes = [
        lambda: setattr(bench.sender.channels[0], "amplitude_vpp", 0.6),
        lambda: setattr(bench.sender.channels[0], "output_on", False),
        lambda: setattr(bench.laser, "power_w", 0.02),
        lambda: setattr(bench.laser, "wavelength_m", 1.5e-6),
        lambda: setattr(bench.voa, "attenuation_db", 1.0),
        lambda: setattr(bench.sender, "sample_rate_hz", 1e8),
        lambda: setattr(bench.voa, "shutter_open", False),
    ]
    for change in changes:
        change()
        plane = circuit.launch(16).plane
        assert all(plane.shape != old.shape or not np.array_equal(plane, old) for old in seen)
        seen.append(plane)


def test_memory_is_bounded() -> None:
    bench = bare_bench(1, peak=1.0)
    for seed in range(3 * REMEMBERED):
        bench.send(amplitudes(seed=seed))
        bench.world.circuit.launch(16)
    assert len(bench.world.circuit._launches) == REMEMBERED


def test_rows_are_filled_up() -> None:
    bench = bare_bench(1, peak=1.0)
    made = bench.send(amplitudes(3, 16))
    plane = bench.world.circuit.launch(20).plane
    assert plane.shape == (2, 3, 20)
    np.testing.assert_allclose(field(plane).reshape(-1)[:48], made.reshape(-1), atol=1e-6)
    assert not plane.reshape(2, -1)[:, 48:].any()


def test_a_sender_may_repeat_a_row() -> None:
    """The same light, whether a burst lies in memory whole or is a row so many times, with silence behind it."""
    bench = bare_bench(1, peak=1.0)
    row = amplitudes(1)
    bench.send(np.concatenate([np.tile(row, (4, 1)), np.zeros((2, 16))]))
    whole = bench.world.circuit.launch(16).plane.copy()
    in_phase, quadrature = bench.sender.channels
    for loops, rows in ((4, 6), (4, 4)):
        in_phase.playback = Playback(in_phase.playback.codes[:16], loops, 1000 + rows)
        quadrature.playback = Playback(quadrature.playback.codes[: 16 * rows], 1, 1001)
        np.testing.assert_array_equal(bench.world.circuit.launch(16).plane, whole[:, :rows])


def test_gain_follows_the_pump() -> None:
    bench = bare_bench(1, peak=1.0)
    circuit = bench.world.circuit
    assert circuit.gain() == 1.0, "not pumped: a piece of fibre"
    bench.set_gain(2.5)
    assert circuit.gain() == pytest.approx(2.5)
    bench.amplifier.interlock_open = True
    assert circuit.gain() == 1.0
    bench.amplifier.interlock_open = False
    bench.amplifier.pump_a = 1e6
    assert circuit.gain() == 100.0, "saturated at the end of its curve"


def test_the_client_s_optics() -> None:
    bench = bare_bench(1, peak=1.0)
    circuit = bench.world.circuit
    idle = circuit.client(8)
    assert (idle.rows, idle.gain, idle.returned_fraction) == (0, 1.0, 1.0)
    assert circuit.bins_per_row() == 0
    z = np.array([0.6, 0.8j, 0, 0])
    bench.project(z, 0.25)
    optics = circuit.client(4)
    assert circuit.bins_per_row() == 4
    np.testing.assert_allclose(optics.forward.mode(), z, atol=1e-3)
    assert optics.back.same_as(optics.forward)
    assert optics.returned_fraction == pytest.approx(0.25, abs=2e-4)
    assert optics.rows > 10**9, "loops without end"
    bench.forward.channels[0].playback = Playback(bench.forward.channels[0].playback.codes, 7, 99)
    assert circuit.client(4).rows == 7


def test_volts_of_a_channel() -> None:
    channel = GeneratorChannelState(0.5, True, 2047, Playback(np.array([2047, -2047, 0], np.int16), 1, 1))
    np.testing.assert_allclose(drive_volts(channel), [0.25, -0.25, 0])
    channel.output_on = False
    np.testing.assert_array_equal(drive_volts(channel), np.zeros(3))
    channel.playback = None
    assert drive_volts(channel).size == 0


def test_local_oscillator() -> None:
    bench = bare_bench(1, peak=1.0)
    circuit = bench.world.circuit
    receiver = ReceiverPhysics(reference_power="10 mW")
    assert receiver.lo_factor(circuit.emitted_power_w()) == 1.0
    bench.laser.power_w = 0.0025
    assert receiver.lo_factor(circuit.emitted_power_w()) == 0.5
    bench.laser.emission = False
    assert receiver.lo_factor(circuit.emitted_power_w()) == 0.0


def test_shot_noise_stops_growing() -> None:
    receiver = ReceiverPhysics(reference_power="10 mW", saturation_power="10 mW")
    assert receiver.lo_factor(0.01) == 1.0
    assert receiver.lo_factor(0.03) == pytest.approx(np.sqrt(0.75 / 0.5))
    assert receiver.lo_factor(1e6) == pytest.approx(np.sqrt(2.0))


@pytest.mark.parametrize(
    ("place", "who", "said"),
    [
        ("laser", "amplifier", "'amplifier' where a unit with a LaserState"),
        ("laser", "laser:1", "'laser:1'"),
        ("amplifier", "laser", "AmplifierState"),
        ("tap", "laser:1", "GeneratorState"),
        ("tap", "tap:3", "the unit has channels 1, 2"),
        ("attenuators", ["voa:1", "voa:2"], "'voa:2'; the unit has channels 1"),
        ("attenuators", ["laser:1"], "AttenuatorState"),
    ],
)
def test_units_in_the_wrong_place(place: str, who: object, said: str) -> None:
    tables = {
        "units": {name: {"model": "x"} for name in _units()},
        "places": {**PLACES, place: who},
        "amplifier": {"gain_curve": [{"pump": "0 A", "gain": 1.0}, {"pump": "1 A", "gain": 2.0}]},
    }
    world = World(WorldConfig.model_validate(tables))
    with pytest.raises(ConfigError, match=r"\[world\.places\]") as caught:
        world.connect({name: HandSetUnit(name, state) for name, state in _units().items()})
    assert said in caught.value.message
    assert caught.value.remedy
