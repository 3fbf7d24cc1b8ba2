"""Interlocks: each condition alone stops the run, and is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from labctl.bench import Bench, open_bench
from labctl.errors import InterlockError
from labctl.limits import ASK_SLOW_AFTER_IMAGES, ASK_SLOW_AFTER_S, Monitor, Rounds, Watch
from tests.fakes import FakeLibrary, fake_bench, use_fakes


@pytest.fixture
def bench(tmp_path, monkeypatch):
    use_fakes(monkeypatch)
    with open_bench(fake_bench(tmp_path)) as opened:
        yield opened


def lit(bench: Bench) -> Watch:
    """Everything as a run wants it."""
    parts = bench.instruments
    laser, attenuator, amplifier = parts["laser"], parts["attenuator"], parts["amplifier"]
    laser.set_power(0.01)
    laser.set_emission(True)
    amplifier.set_emission(True)
    for channel in (1, 3):
        attenuator.set_shutter(channel, True)
    assert bench.config.monitor is not None
    monitor = Monitor(bench.config.monitor, parts["power_meter"])
    return Watch(laser, 0.01, [(attenuator, 1), (attenuator, 3)], amplifier, monitor)


def test_all_well(bench: Bench) -> None:
    lit(bench).check()


@pytest.mark.parametrize(
    ("unit", "spoil", "said"),
    [
        ("laser", lambda unit: unit.set_emission(False), "emission is off"),
        ("amplifier", lambda unit: unit.set_emission(False), "the pump is off"),
        ("amplifier", lambda unit: setattr(unit.state, "interlock_open", True), "interlock is open"),
        ("attenuator", lambda unit: unit.set_shutter(3, False), "shutter of channel 3"),
        ("laser", lambda unit: unit.set_power(0.0106), "1.06 mW on the monitor where 1 mW"),
        ("laser", lambda unit: unit.set_power(0.0094), "on the monitor"),
    ],
)
def test_each_condition(bench: Bench, unit: str, spoil: Callable, said: str) -> None:
    watch = lit(bench)
    spoil(bench.instruments[unit])
    with pytest.raises(InterlockError, match=said) as caught:
        watch.check()
    named = "power_meter" if "monitor" in said else unit
    assert caught.value.message.startswith(f"{named}: ")
    assert caught.value.remedy


def test_there_is_no_memory(bench: Bench) -> None:
    watch = lit(bench)
    bench.instruments["laser"].set_emission(False)
    with pytest.raises(InterlockError):
        watch.check()
    bench.instruments["laser"].set_emission(True)
    watch.check()


def test_power_that_is_no_number_is_not_well(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = lit(bench)
    monkeypatch.setattr(FakeLibrary.latest.world, "optical_power_w", lambda unit: float("nan"))
    with pytest.raises(InterlockError, match="power_meter"):
        watch.check()


def pump_off_is_seen_after(bench: Bench, image_s: float) -> int:
    """Images begun until a pump that went off after the first one is noticed."""
    rounds = Rounds(lit(bench))
    rounds.before_image(0.0)
    bench.instruments["amplifier"].set_emission(False)
    for image in range(1, 100):
        try:
            rounds.before_image(image * image_s)
        except InterlockError:
            return image
    return 100


def test_the_amplifier_is_asked_after_some_images(bench: Bench) -> None:
    assert pump_off_is_seen_after(bench, image_s=1e-3) == ASK_SLOW_AFTER_IMAGES


def test_the_amplifier_is_asked_after_some_time(bench: Bench) -> None:
    assert pump_off_is_seen_after(bench, image_s=0.6 * ASK_SLOW_AFTER_S) == 2


def test_everything_else_is_read_before_each_image(bench: Bench) -> None:
    rounds = Rounds(lit(bench))
    rounds.before_image(0.0)
    bench.instruments["attenuator"].set_shutter(1, False)
    with pytest.raises(InterlockError, match="attenuator"):
        rounds.before_image(1e-3)


def test_after_a_pause_nobody_is_left_out(bench: Bench) -> None:
    rounds = Rounds(lit(bench))
    rounds.before_image(0.0)
    bench.instruments["amplifier"].set_emission(False)
    rounds.ask_all()
    with pytest.raises(InterlockError, match="amplifier"):
        rounds.before_image(1e-3)
