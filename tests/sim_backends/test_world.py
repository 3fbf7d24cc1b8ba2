"""The world's clock, trigger line and draws, with hand-set instruments. Statistical tests allow 4.5 standard errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from labctl.errors import LimitError
from labctl.protocol.encoding import pack_data, pack_rows
from labctl.protocol.rowmodel import AmplifierTap
from sim_backends.state import DigitizerState, GeneratorState, Playback
from sim_backends.world import KEPT_BUFFERS, World
from tests.physics.bare_bench import RATE_HZ, BareBench, bare_bench

SIGMAS = 4.5
INPUTS, MODES = 16, 8


@dataclass
class Listener:
    """A digitizer on the trigger line."""

    name: str
    world: World
    channels: list[int]
    interval_s: float
    samples: int
    state: DigitizerState = field(default_factory=DigitizerState)
    records: list[dict[int, np.ndarray]] = field(default_factory=list)

    def on_trigger(self) -> None:
        records = self.world.acquire(self.name, self.channels, self.interval_s, self.samples)
        self.records.append({n: record.samples * np.float32(record.volts_per_unit) for n, record in records.items()})


class Lab:
    """A bench in full light, with both receivers' digitizers listening."""

    def __init__(self, rows: int = 50, gain: float = 2.0, seed: int = 1, **physics: Any) -> None:
        self.bench: BareBench = bare_bench(seed, peak=12.0, **physics)
        rng = np.random.default_rng(7)
        self.data = pack_data(rng.random(INPUTS))
        self.launched = self.bench.send(pack_rows(rng.normal(size=(rows, INPUTS)), 2.0, np.complex128))
        self.bench.set_gain(gain)
        self.bench.project(self.data.z, 1 / gain)
        self.world = self.bench.world
        self.rows = rows
        self.client = Listener("client", self.world, [1], MODES / RATE_HZ, rows)
        self.server = Listener("server", self.world, [1, 2], 1 / RATE_HZ, rows * MODES)
        self.place({**self.world._units, "client": self.client, "server": self.server})

    def place(self, units: dict[str, Any]) -> None:
        self.world._units = units

    def turn_round(self) -> None:
        self.place(dict(reversed(self.world._units.items())))

    def shoot(self, *key: int) -> tuple[np.ndarray, np.ndarray]:
        """(client's X in sqrt(SNU), server's X + iP in launch order): as the digitizers saw one trigger."""
        self.world.set_key(key)
        self.world.fire_trigger("sender")
        return self.last()

    def last(self) -> tuple[np.ndarray, np.ndarray]:
        plane = {n: volts.reshape(self.rows, MODES)[:, ::-1] / 0.02 for n, volts in self.server.records[-1].items()}
        return self.client.records[-1][1] / 0.02, plane[1] + 1j * plane[2]


def same(one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# --- draws -------------------------------------------------------------------------------------------


def test_seed_and_key_decide() -> None:
    lab = Lab()
    first = lab.shoot(3, 1)
    assert same(lab.shoot(3, 1), first), "the same key again"
    assert same(Lab().shoot(3, 1), first), "another lab of the same seed"
    others = [lab.shoot(3, 2), lab.shoot(4, 1), lab.shoot(3), lab.shoot(), lab.shoot(3, 1, 0), Lab(seed=2).shoot(3, 1)]
    lab.world.reset(2)
    others.append(lab.shoot(3, 1))
    assert same(others[-1], others[-2]), "a reset is as good as another lab"
    for number, shot in enumerate(others[:-1]):
        for other in [first, *others[:number]]:
            assert not np.isclose(shot[0], other[0]).any()
            assert not np.isclose(shot[1].real, other[1].real).any()
    lab.world.reset(1)
    assert same(lab.shoot(3, 1), first)


def test_large_seeds_and_keys() -> None:
    lab = Lab(seed=2**63 - 1)
    shots = [lab.shoot(2**63 - 1, 5), lab.shoot(2**32, 5), lab.shoot(0, 5), lab.shoot(1, 5)]
    for number, shot in enumerate(shots):
        for other in shots[:number]:
            assert not np.isclose(shot[0], other[0]).any()


def test_one_key_many_shots() -> None:
    """Shots under one key differ, and come again in the same order."""
    lab = Lab()
    lab.world.set_key((1,))
    runs = []
    for _ in range(2):
        lab.world.set_key((1,))
        shots = []
        for _ in range(3):
            lab.world.fire_trigger("sender")
            shots.append(lab.last())
        assert not same(shots[0], shots[1])
        assert not same(shots[1], shots[2])
        runs.append(shots)
    assert all(same(*pair) for pair in zip(*runs, strict=True))


def test_it_does_not_matter_who_reads_first() -> None:
    lab, other = Lab(), Lab()
    other.turn_round()
    for key in ((), (5,), (5, 1)):
        assert same(lab.shoot(*key), other.shoot(*key))


def test_threads_change_nothing() -> None:
    lab = Lab(rows=10_000)
    lab.world.threads = 1
    alone = lab.shoot(1)
    lab.world.threads = 2
    assert same(lab.shoot(1), alone)


def test_both_digitizers_see_one_shot() -> None:
    """X as measured and X as returned share the amplifier's noise: covariance 2(G-1)^1.5/G, halved in power."""
    rows, gain = 20_000, 3.0
    lab = Lab(rows=rows, gain=gain)
    theory = AmplifierTap(gain)
    for _ in range(2):
        measured, returned = lab.shoot(1)
        client = measured - np.sqrt(gain - 1) * 2 * np.real(lab.launched @ lab.data.z.conj())
        server = (returned - np.sqrt(2) * lab.launched) @ lab.data.z.conj()
        variance = 1 + theory.returned_excess / 2
        covariance = theory.covariance * np.sqrt(0.5)
        spread = np.sqrt((theory.measured_variance * variance + covariance**2) / rows)
        assert covariance > 10 * spread
        assert abs(np.mean(client * server.real) - covariance) < SIGMAS * spread
        lab.turn_round()


# --- what the light does to the records --------------------------------------------------------------


def test_one_corrupted_code_changes_the_light() -> None:
    lab = Lab()
    before = lab.shoot(1)
    channel = lab.bench.sender.channels[0]
    codes = channel.playback.codes.copy()
    codes[19] ^= 0x0400  # row 2, mode 3
    channel.playback = Playback(codes, 1, channel.playback.version + 1000)
    after = lab.shoot(1)
    changed = np.abs(after[1] - before[1]) > 1e-4
    np.testing.assert_array_equal(np.argwhere(changed), [[2, 3]])
    assert np.flatnonzero(np.abs(after[0] - before[0]) > 1e-4).tolist() == [2], "and the client's number of that row"


def test_one_corrupted_code_of_the_unitary_turns_the_mode() -> None:
    lab = Lab()
    before = lab.shoot(1)
    channel = lab.bench.forward.channels[0]
    codes = channel.playback.codes.copy()
    codes[5] ^= 0x0800
    channel.playback = Playback(codes, 0, channel.playback.version + 1000)
    after = lab.shoot(1)
    assert np.abs(after[0] - before[0]).max() > 0.1


def test_laser_off_no_shot_noise() -> None:
    lab = Lab()
    lab.bench.laser.emission = False
    measured, returned = lab.shoot(1)
    assert not measured.any()
    assert not returned.any()


def test_laser_off_leaves_electronic_noise() -> None:
    lab = Lab(rows=20_000, client_receiver={"electronic_noise": 0.2}, server_receiver={"electronic_noise": 0.05})
    lab.bench.laser.emission = False
    measured, returned = lab.shoot(1)
    for values, variance in ((measured, 0.2), (returned.real, 0.05), (returned.imag, 0.05)):
        assert abs(values.var() - variance) < SIGMAS * variance * np.sqrt(2 / values.size)
    assert same(lab.shoot(1), (measured, returned))


@pytest.mark.parametrize("power_w", [0.0025, 0.04])
def test_shot_noise_follows_the_local_oscillator(power_w: float) -> None:
    """In volts its variance is linear in the power; electronic noise is not."""
    lab = Lab(rows=20_000, client_receiver={"electronic_noise": 0.3})
    lab.bench.voa.shutter_open = False
    lab.bench.amplifier.emission = False
    lab.bench.laser.power_w = power_w
    measured, returned = lab.shoot(1)
    lo = power_w / 0.01
    assert abs(returned.real.var() - lo) < SIGMAS * lo * np.sqrt(2 / returned.size)
    assert abs(measured.var() - (lo + 0.3)) < SIGMAS * (lo + 0.3) * np.sqrt(2 / measured.size)


def test_a_closed_shutter_leaves_vacuum() -> None:
    gain = 2.0
    lab = Lab(rows=20_000, gain=gain)
    lab.bench.voa.shutter_open = False
    measured, returned = lab.shoot(1)
    theory = AmplifierTap(gain)
    variance = theory.measured_variance
    assert abs(measured.mean()) < SIGMAS * np.sqrt(variance / measured.size)
    assert abs(measured.var() - variance) < SIGMAS * variance * np.sqrt(2 / measured.size)
    total = 1 + theory.returned_excess / 2 / MODES
    for quadrature in (returned.real, returned.imag):
        assert np.abs(quadrature.mean(axis=0)).max() < SIGMAS * np.sqrt(2 / lab.rows)
        assert abs(quadrature.var() - total) < SIGMAS * total * np.sqrt(2 / quadrature.size)


def test_generators_that_do_not_play_leave_vacuum() -> None:
    lab = Lab(rows=5_000)
    for state in (lab.bench.sender, lab.bench.forward, lab.bench.back, lab.bench.tap):
        for channel in state.channels:
            channel.playback = None
    measured, returned = lab.shoot(1)
    assert abs(measured.var() - 1) < SIGMAS * np.sqrt(2 / measured.size)
    assert abs(returned.real.var() - 1) < SIGMAS * np.sqrt(2 / returned.size)


def test_rows_that_the_unitary_is_not_driven_for_pass_as_vacuum() -> None:
    lab = Lab(rows=4000)
    for state in (lab.bench.forward, lab.bench.back):
        for channel in state.channels:
            channel.playback = Playback(channel.playback.codes, 2000, channel.playback.version + 1000)
    measured, returned = lab.shoot(1)
    collected = 2 * np.real(lab.launched @ lab.data.z.conj())
    driven, left = measured[:2000] - collected[:2000], measured[2000:]
    variance = AmplifierTap(2.0).measured_variance
    assert abs(driven.var() - variance) < SIGMAS * variance * np.sqrt(2 / 2000)
    assert abs(left.mean()) < SIGMAS * np.sqrt(variance / 2000), "nothing of the signal was collected"
    residual = returned - np.sqrt(2) * lab.launched
    in_mode = (residual @ lab.data.z.conj()).real
    assert abs(in_mode[2000:].var() - 1) < SIGMAS * np.sqrt(2 / 2000)
    assert in_mode[:2000].var() > 1.3


# --- acquisitions ------------------------------------------------------------------------------------


def test_memory_is_bounded_whatever_is_recorded() -> None:
    """A record that would take the machine's memory is refused, and many lengths do not pile up."""
    lab = Lab()
    with pytest.raises(LimitError, match=r"server: a record of 60 s covers 7.49e\+09 time bins"):
        lab.world.acquire("server", [1], 60.0 / 1000, 1000)
    for bins in range(1, 40):
        lab.world.acquire("server", [1], 1 / RATE_HZ, 50 * MODES + bins)
    assert len(lab.world._buffers) <= KEPT_BUFFERS


def test_unconnected_inputs_carry_nothing() -> None:
    lab = Lab()
    record = lab.world.acquire("server", [3], 1e-9, 10)[3]
    assert record.samples.shape == (10,)
    assert not record.samples.any()
    assert not lab.world.acquire("laser", [1], 1e-9, 10)[1].samples.any()


def test_a_record_longer_than_the_burst_ends_in_vacuum() -> None:
    lab = Lab(rows=50)
    lab.server.samples = 50 * MODES + 20_000
    lab.world.set_key((1,))
    lab.world.fire_trigger("sender")
    long = lab.server.records[-1][1] / 0.02
    lab.server.samples = 50 * MODES
    lab.world.set_key((1,))
    lab.world.fire_trigger("sender")
    np.testing.assert_array_equal(long[: 50 * MODES], lab.server.records[-1][1] / 0.02)
    tail = long[50 * MODES :]
    assert abs(tail.var() - 1) < SIGMAS * np.sqrt(2 / tail.size)
    assert abs(tail.mean()) < SIGMAS / np.sqrt(tail.size)


def test_what_comes_after_the_burst_has_electronic_noise_as_well() -> None:
    lab = Lab(rows=50, server_receiver={"electronic_noise": 0.3}, client_receiver={"electronic_noise": 0.2})
    lab.server.samples = 50 * MODES + 50_000
    lab.client.interval_s, lab.client.samples = 1 / RATE_HZ, 50 * MODES + 50_000
    lab.world.fire_trigger("sender")
    for listener, variance in ((lab.server, 1.3), (lab.client, 1.2)):
        tail = listener.records[-1][1][50 * MODES :] / 0.02
        assert abs(tail.var() - variance) < SIGMAS * variance * np.sqrt(2 / tail.size)


def test_the_client_sees_its_number_in_the_first_bin_of_a_row() -> None:
    lab = Lab(rows=500)
    numbers = lab.shoot(1)[0]
    lab.client.interval_s, lab.client.samples = 1 / RATE_HZ, 500 * MODES
    lab.world.set_key((1,))
    lab.world.fire_trigger("sender")
    fine = (lab.client.records[-1][1] / 0.02).reshape(500, MODES)
    np.testing.assert_allclose(fine[:, 0], numbers, rtol=1e-6)
    between = fine[:, 1:]
    assert abs(between.var() - 1) < SIGMAS * np.sqrt(2 / between.size)


def test_a_free_running_digitizer_sees_light_but_no_time_of_the_shot() -> None:
    lab = Lab()
    lab.world.set_stepped(True)
    lab.world.set_key((1,))
    first = lab.world.acquire("server", [1], 1 / RATE_HZ, 50 * MODES)[1].samples.copy()
    second = lab.world.acquire("server", [1], 1 / RATE_HZ, 50 * MODES)[1].samples.copy()
    assert not np.array_equal(first, second), "each is a shot of its own"
    assert lab.world.now() == 0.0


def test_no_samples() -> None:
    assert Lab().world.acquire("server", [1, 2], 1e-9, 0)[2].samples.size == 0


# --- trigger line ------------------------------------------------------------------------------------


def test_generators_start_before_digitizers_record() -> None:
    lab, called = Lab(), []

    def note(name: str, then: Callable[[], None] | None = None) -> Any:
        class Unit:
            state = lab.world._units[name].state

            def on_trigger(self) -> None:
                called.append(name)
                if then is not None:
                    then()

        unit = Unit()
        unit.name = name
        return unit

    names = ["client", "forward", "server", "tap", "back", "sender", "laser", "meter"]
    lab.place({name: note(name) for name in names})
    lab.world.fire_trigger("sender")
    assert called == ["forward", "tap", "back", "client", "server"]
    assert isinstance(lab.bench.forward, GeneratorState)


def test_a_unit_that_fails_on_the_trigger_does_not_spoil_the_next_shot() -> None:
    lab, other = Lab(), Lab()
    expected = [other.shoot(1), other.shoot(2)]
    real = lab.server.on_trigger

    def fail() -> None:
        raise RuntimeError("out of memory")

    lab.server.on_trigger = fail
    with pytest.raises(RuntimeError, match="memory"):
        lab.shoot(1)
    lab.server.on_trigger = real
    assert same(lab.shoot(1), expected[0])
    assert same(lab.shoot(2), expected[1])


# --- clock -------------------------------------------------------------------------------------------


def test_stepped_time_moves_by_advances_and_by_shots() -> None:
    lab = Lab(rows=50)
    world = lab.world
    world.set_stepped(True)
    assert world.stepped
    assert world.now() == 0.0
    world.advance(1.5)
    assert world.now() == 1.5
    lab.shoot(1)
    assert world.now() == pytest.approx(1.5 + 50 * MODES / RATE_HZ)
    world.set_stepped(True)
    assert world.now() == 0.0, "stepped time starts anew"


def test_real_time_is_not_advanced() -> None:
    world = Lab().world
    assert not world.stepped
    before = world.now()
    world.advance(1e6)
    assert 0 <= world.now() - before < 1e3


def test_no_instruments_no_light() -> None:
    config = Lab().world._config
    with pytest.raises(RuntimeError, match="connect"):
        _ = World(config).circuit


# --- power meters ------------------------------------------------------------------------------------


def test_optical_power() -> None:
    lab = Lab()
    world = lab.world
    assert world.optical_power_w("meter") == pytest.approx(0.001), "a tenth of the laser"
    assert world.optical_power_w("amplifier") == pytest.approx(world.circuit.launched_power_w())
    assert world.optical_power_w("client") == 0.0
    lab.bench.laser.emission = False
    assert world.optical_power_w("meter") == world.optical_power_w("amplifier") == 0.0
