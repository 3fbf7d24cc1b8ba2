"""Interlocks while calibrating: oscillator before signal, input before pump, and no more light than receivers bear."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.bench import Bench, open_bench
from labctl.calibration.rig import Rig
from labctl.config import BenchConfig
from labctl.errors import CalibrationError, InterlockError
from labctl.parts import instruments_of
from tests.fakes import FakeLibrary, fake_bench, use_fakes


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    use_fakes(monkeypatch)
    with open_bench(fake_bench(tmp_path)) as opened:
        yield opened


def rig_on(bench: Bench, config: BenchConfig | None = None) -> Rig:
    made = Rig(config or bench.config, instruments_of(bench), lambda: None)
    made.prepare()
    FakeLibrary.latest.log.clear()
    return made


def emissions() -> list[tuple[object, ...]]:
    kept = ("set_emission", "set_shutter", "set_attenuation", "set_pump")
    return [entry for entry in FakeLibrary.latest.log if entry[1] in kept]


def test_no_signal_without_oscillator(bench: Bench) -> None:
    rig = rig_on(bench)
    with pytest.raises(InterlockError, match="no local oscillator"):
        rig.signal()
    assert not [entry for entry in emissions() if entry[1] == "set_shutter" and entry[-1]]


def test_no_pump_without_signal(bench: Bench) -> None:
    rig = rig_on(bench)
    rig.oscillator()
    FakeLibrary.latest.log.clear()
    with pytest.raises(InterlockError, match="not pumped without input"):
        rig.pump(0.1)
    assert emissions() == []


def test_the_order_of_light(bench: Bench) -> None:
    rig = rig_on(bench)
    rig.oscillator()
    rig.signal(10.0)
    rig.pump(0.1)
    rig.dark()
    order = [(name, method) for name, method, *_ in emissions()]
    lit = order.index(("laser", "set_emission"))
    attenuated, opened = order.index(("attenuator", "set_attenuation")), len(order) - 1
    opened = next(i for i, entry in enumerate(emissions()) if entry[1] == "set_shutter" and entry[-1] is True)
    pumped = order.index(("amplifier", "set_pump"))
    assert lit < attenuated < opened < pumped
    tail = [entry for entry in emissions()[pumped:] if entry[-1] is False]
    assert [entry[0] for entry in tail] == ["amplifier", "attenuator", "attenuator", "laser"]


def test_no_more_light_than_the_receivers_bear(bench: Bench) -> None:
    limited = bench.config.model_copy(
        update={"calibration": bench.config.calibration.model_copy(update={"launch_limit": 1e-12})}
    )
    rig = rig_on(bench, limited)
    rig.oscillator()
    with pytest.raises(InterlockError, match=r"calibration\.launch_limit"):
        rig.signal()
    assert not [entry for entry in emissions() if entry[1] == "set_shutter" and entry[-1]]


def test_more_light_than_there_is(bench: Bench) -> None:
    with pytest.raises(CalibrationError, match="too little light"):
        rig_on(bench).attenuation_for(1e6)


def test_power_is_not_changed_under_the_signal(bench: Bench) -> None:
    rig = rig_on(bench)
    rig.oscillator()
    rig.signal(10.0)
    with pytest.raises(InterlockError, match="power is not changed"):
        rig.set_power(0.001)
