"""Conditions from bench.toml: what trips, what is read, and how often."""

from __future__ import annotations

import math
from typing import Any

import pytest

from labctl.bench_tables import InterlockEntry
from labctl.errors import ConfigError, InterlockError
from labctl.interfaces import Amplifier, Instrument, PowerMeter
from labctl.interlocks import Interlock, check_before, check_during, interlocks_of
from labctl.limits import ASK_SLOW_AFTER_IMAGES, Rounds, Watch
from labctl.values import Identity, Range, SafeState, Scalar, Snapshot


class Box(Instrument):
    """An instrument with readings that a test sets; counts its snapshots."""

    identity = Identity("x", "y")

    def __init__(self, name: str = "box", **readings: Scalar) -> None:
        super().__init__(name)
        self.readings = readings
        self.snapshots = 0

    def open(self) -> None: ...

    def close(self) -> None: ...

    def safe_state(self) -> SafeState:
        return SafeState(self.name, True)

    def snapshot(self) -> Snapshot:
        self.snapshots += 1
        return dict(self.readings)

    def problems(self) -> list[str]:
        return []


class Meter(Box, PowerMeter):
    """Tells its power at the price of one question."""

    wavelength_range_m = Range(0, 1)
    asked = 0

    def set_wavelength(self, wavelength_m: float) -> None: ...

    def power(self) -> float:
        self.asked += 1
        return float(self.readings["power_w"])


class Well(Watch):
    """The shipped interlocks of a bench that is in order."""

    def check_light(self) -> None: ...

    def check_slow(self) -> None: ...


def interlock(instrument: Instrument, reading: str, **keys: Any) -> Interlock:
    return Interlock(InterlockEntry(instrument=instrument.name, reading=reading, **keys), instrument)


@pytest.mark.parametrize(
    ("value", "keys", "said"),
    [
        (2e-3, {"max": "1 mW"}, "box: power_w is 0.002 where at most 0.001 W is due"),
        (2e-3, {"min": "3 mW"}, "box: power_w is 0.002 where at least 0.003 W is due"),
        (math.nan, {"max": "1 mW"}, "box: power_w is nan where a number is due"),
        ("none", {"max": "1 mW"}, "box: power_w is 'none' where a number is due"),
        (True, {"equals": False}, "box: power_w is True where False is due"),
        (1, {"equals": True}, "box: power_w is 1 where True is due"),
        ("APC", {"equals": "ACC"}, "box: power_w is 'APC' where 'ACC' is due"),
        (None, {"equals": "ACC"}, "box: there is no reading 'power_w' now"),
    ],
)
def test_what_trips(value: Scalar | None, keys: dict[str, Any], said: str) -> None:
    box = Box() if value is None else Box(power_w=value)
    with pytest.raises(InterlockError) as caught:
        check_during([interlock(box, "power_w", **keys)])
    assert str(caught.value) == said
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        (1e-3, {"min": "1 mW", "max": "1 mW"}),
        (False, {"equals": False}),
        (3, {"equals": 3.0}),
        ("ACC", {"equals": "ACC"}),
    ],
)
def test_what_does_not(value: Scalar, keys: dict[str, Any]) -> None:
    check_during([interlock(Box(power_w=value), "power_w", **keys)])


def test_drift_counts_from_the_light_and_to_both_sides() -> None:
    box = Box(case_temperature_c=25.0)
    found = [interlock(box, "case_temperature_c", drift="0.5 °C")]
    check_before(found)
    box.readings["case_temperature_c"] = 30.0  # it warms up until the light is on
    check_during(found)
    for value in (30.5, 29.5):
        box.readings["case_temperature_c"] = value
        check_during(found)
    for value in (30.6, 29.4):
        box.readings["case_temperature_c"] = value
        with pytest.raises(InterlockError, match="was 30 when the light came on, and may drift by"):
            check_during(found)


def test_before_and_during() -> None:
    box = Box(a=True, b=True)
    found = [interlock(box, "a", equals=False, when="before"), interlock(box, "b", equals=False, when="during")]
    with pytest.raises(InterlockError, match="box: a is"):
        check_before(found)
    with pytest.raises(InterlockError, match="box: b is"):
        check_during(found)


def test_a_reading_that_there_is_not_is_a_mistake_in_the_file() -> None:
    with pytest.raises(ConfigError, match="box has no reading 'power'") as caught:
        check_before([interlock(Box(power_w=1.0, mode="x"), "power", max=1)])
    assert caught.value.remedy == "Use one of mode, power_w."


def test_one_snapshot_a_round_and_none_where_a_question_does() -> None:
    box, meter = Box(a=1, b=2), Meter("meter", power_w=1e-3)
    found = interlocks_of(
        [
            InterlockEntry(instrument="box", reading="a", max=1),
            InterlockEntry(instrument="box", reading="b", max=2),
            InterlockEntry(instrument="meter", reading="power_w", max="1 mW"),
        ],
        {"box": box, "meter": meter},
    )
    check_during(found)
    assert (box.snapshots, meter.snapshots, meter.asked) == (1, 0, 1)
    assert [each.quick for each in found] == [False, False, True]


def rounds(*found: Interlock) -> Rounds:
    return Rounds(Well(None, 0.0, (), None, interlocks=found))  # type: ignore[arg-type]  # they are not asked


def test_quick_ones_before_each_image_others_in_turn() -> None:
    box, meter = Box(a=1), Meter("meter", power_w=1e-3)
    turns = rounds(interlock(box, "a", max=1), interlock(meter, "power_w", max="1 mW"))
    complete = [turns.before_image(0.0) for _ in range(2 * ASK_SLOW_AFTER_IMAGES + 1)]
    assert meter.asked == len(complete)
    assert box.snapshots == 3
    assert [index for index, each in enumerate(complete) if each] == [0, 10, 20]


def test_as_often_as_the_file_says() -> None:
    often, seldom = Box("often", a=1), Box("seldom", a=1)
    turns = rounds(
        interlock(often, "a", max=1, every_images=4), interlock(seldom, "a", max=1, every="2 s", every_images=1000)
    )
    complete = [turns.before_image(image * 0.1) for image in range(61)]
    assert often.snapshots == pytest.approx(61 / 4, abs=3)
    assert [index for index, each in enumerate(complete) if each] == [0, 20, 40, 60], "when the last one's turn came"
    assert seldom.snapshots == 4


def test_after_a_pause_everybody_is_asked() -> None:
    box = Box(a=1)
    turns = rounds(interlock(box, "a", max=1, every="1 h".replace("h", "s"), every_images=1000))
    assert turns.before_image(0.0)
    assert not turns.before_image(0.0)
    turns.ask_all()
    assert turns.before_image(0.0)
    assert box.snapshots == 2


def test_the_amplifier_is_not_quick() -> None:
    class Pump(Box, Amplifier):
        def interlock_open(self) -> bool:
            return False

    for name in ("set_pump", "pump", "set_emission", "emission"):
        setattr(Pump, name, lambda self, *_: None)
    Pump.__abstractmethods__ = frozenset()
    assert not interlock(Pump("pump"), "interlock_open", equals=False).quick
