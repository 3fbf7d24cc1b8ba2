"""AEDFA: pacing, read-back after every set, order of switching, waiting while busy."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.amonics_aedfa import AEDFA
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import (
    InstrumentRefused,
    InstrumentTimeout,
    InterlockError,
    LimitError,
    WrongInstrument,
)
from labctl.interfaces import Amplifier
from tests.drivers.bench_with import bench_with
from tests.drivers.scripted import Answer, Script, ScriptedVisa

RESOURCE = "ASRL/dev/ttyUSB0::INSTR"
MODEL = (":CAL:SYS:MODEL?", "AEDFA-PA-30-B-FA")
OPENING = [
    MODEL,
    (":CAL:SYS:SERIAL?", "21020811"),
    (":READ:DRIV:MIN:ACC:CH1?", "0.000000e+00"),
    (":READ:DRIV:MAX:ACC:CH1?", "5.000000e+02"),
    (":READ:DRIV:STEP:ACC:CH1?", "1.000000e-01"),
]
OFF, ON, BUSY = "0", "1", "2"


def amplifier(*pairs: tuple[str, Answer]) -> tuple[AEDFA, ScriptedVisa, SteppedClock]:
    visa = ScriptedVisa([*OPENING, *pairs], write_end=b"\r\n", read_end=b"\r\n")
    clock = SteppedClock()
    made = AEDFA("amplifier", RESOURCE, VisaLibrary(visa), clock)
    made.open()
    return made, visa, clock


def states(name: str, *replies: str) -> Script:
    return [(f":DRIV:{name}?", reply) for reply in replies]


def test_opening() -> None:
    made, visa, clock = amplifier()
    assert str(made.identity) == "Amonics AEDFA-PA-30-B-FA 21020811"
    assert made.pump_range_a.high == pytest.approx(0.5)
    assert clock.now() == pytest.approx(5 * 0.05), "50 ms between commands"
    visa.finished()


def test_pump_is_read_back() -> None:
    made, visa, _ = amplifier(
        (":DRIV:ACC:CUR:CH1 306", None),
        (":DRIV:ACC:CUR:CH1?", "3.060000e+02"),
        (":DRIV:ACC:CUR:CH1?", "3.060000e+02"),
    )
    made.set_pump(0.306)
    assert made.pump() == pytest.approx(0.306)
    visa.finished()


def test_a_pump_that_stays_where_it_was() -> None:
    made, _, _ = amplifier((":DRIV:ACC:CUR:CH1 306", None), (":DRIV:ACC:CUR:CH1?", "1.000000e+02"))
    with pytest.raises(InstrumentRefused, match=r"306 mA and reads back 100 mA"):
        made.set_pump(0.306)


def test_pump_limits_are_the_units_own() -> None:
    made, visa, _ = amplifier()
    for current_a in (-0.001, 0.501, float("nan")):
        with pytest.raises(LimitError, match=r"0 to 0.5 A"):
            made.set_pump(current_a)
    visa.finished()


def test_switching_on_channel_before_master_and_waiting_while_busy() -> None:
    made, visa, clock = amplifier(
        (":DRIV:INTERLOCK?", "0"),
        (":MODE:SW:CH1?", "APC"),
        (":MODE:SW:CH1 ACC", None),
        (":MODE:SW:CH1?", "ACC"),
        (":DRIV:ACC:STAT:CH1 1", None),
        *states("ACC:STAT:CH1", BUSY, ON),
        (":DRIV:MCTRL 1", None),
        *states("MCTRL", BUSY, BUSY, ON),
    )
    made.set_emission(True)
    assert clock.now() > 0.3
    visa.finished()


def test_switching_off_master_before_channel() -> None:
    made, visa, _ = amplifier(
        (":DRIV:MCTRL 0", None),
        *states("MCTRL", BUSY, OFF),
        (":DRIV:ACC:STAT:CH1 0", None),
        *states("ACC:STAT:CH1", OFF),
    )
    made.set_emission(False)
    visa.finished()


def test_an_open_interlock_stops_before_anything_is_switched() -> None:
    made, visa, _ = amplifier((":DRIV:INTERLOCK?", "1"))
    with pytest.raises(InterlockError, match="interlock") as caught:
        made.set_emission(True)
    assert caught.value.remedy
    visa.finished()


def test_a_locked_channel() -> None:
    made, _, _ = amplifier(
        (":DRIV:INTERLOCK?", "0"),
        (":MODE:SW:CH1?", "ACC"),
        (":DRIV:ACC:STAT:CH1 1", None),
        *states("ACC:STAT:CH1", "4"),
    )
    with pytest.raises(InstrumentRefused, match="locked"):
        made.set_emission(True)


def test_a_unit_that_stays_busy() -> None:
    made, _, clock = amplifier((":DRIV:MCTRL 0", None), *states("MCTRL", *[BUSY] * 1000))
    with pytest.raises(InstrumentTimeout, match="still busy after 30 s"):
        made.set_emission(False)
    assert clock.now() == pytest.approx(30, abs=1)


@pytest.mark.parametrize(("master", "dark"), [(OFF, True), (ON, False)])
def test_safe_state_is_read_back(master: str, dark: bool) -> None:
    made, _, _ = amplifier(
        (":DRIV:MCTRL 0", None),
        (":DRIV:ACC:STAT:CH1 0", None),
        *states("MCTRL", master),
        *(states("ACC:STAT:CH1", OFF) if dark else []),
        *states("MCTRL", master),
        *states("ACC:STAT:CH1", OFF),
    )
    state = made.safe_state()
    assert state.dark is dark
    assert bool(state.problem) is not dark


@pytest.mark.parametrize(
    ("master", "channel", "emits"), [("1", "1", True), ("2", "1", True), ("1", "0", False), ("1", "4", False)]
)
def test_emission(master: str, channel: str, emits: bool) -> None:
    made, _, _ = amplifier(*states("MCTRL", master), *states("ACC:STAT:CH1", channel))
    assert made.emission() is emits


def test_what_a_unit_has_not_is_asked_once() -> None:
    """A query that is not supported stays silent; the line is cleared and the model asked for after
    it.
    """
    base: Script = [
        (":DRIV:ACC:CUR:CH1?", "1.0e+02"),
        (":SENS:CUR:CH1?", "9.9e+01"),
        (":MODE:SW:CH1?", "ACC"),
        *states("ACC:STAT:CH1", ON),
        *states("MCTRL", ON),
        (":DRIV:INTERLOCK?", "0"),
    ]
    made, visa, _ = amplifier(
        *base,
        (":SENS:POW:IN:CH1?", None),
        MODEL,
        (":SENS:POW:OUT:CH1?", "1.5e+00"),
        (":SENS:TEMP:BOX?", "2.5e+01"),
        *base,
        (":SENS:POW:OUT:CH1?", "1.5e+00"),
        (":SENS:TEMP:BOX?", "2.5e+01"),
    )
    first, second = made.snapshot(), made.snapshot()
    assert first == second
    assert first["output_power_w"] == pytest.approx(1.5e-3)
    assert "input_power_w" not in first
    visa.finished()


def test_alarms() -> None:
    made, visa, _ = amplifier(
        (":DRIV:INTERLOCK?", "1"),
        (":SENS:THRES:ALARM:POW:IN:LOS:CH1?", "1"),
        (":SENS:THRES:ALARM:CUR:OVER:CH1?", "0"),
        (":SENS:THRES:ALARM:TEMP:BOX?", "0"),
        (":SENS:THRES:ALARM:VOLT:PS?", "0"),
    )
    assert list(made.problems()) == ["the interlock loop is open", "alarm: loss of input signal"]
    visa.finished()


def test_another_instrument() -> None:
    visa = ScriptedVisa([(":CAL:SYS:MODEL?", "BOOSTIK")], write_end=b"\r\n", read_end=b"\r\n")
    with pytest.raises(WrongInstrument, match="BOOSTIK"):
        AEDFA("amplifier", RESOURCE, VisaLibrary(visa), SteppedClock()).open()


# --- on the simulated amplifier -----------------------------------------------------------------


def test_switching_on_ends_when_the_amplifier_has_settled(tmp_path: Path) -> None:
    with bench_with(tmp_path, "amplifier") as bench:
        made, begun = bench.get(Amplifier, "amplifier"), bench.lab.now()
        made.set_pump(0.1)
        made.set_emission(True)
        assert bench.lab.now() - begun >= 1.0, "channel and master take half a second each"
        assert made.snapshot()["sensed_pump_a"] == pytest.approx(0.1, abs=1e-3)


def test_an_interlock_that_was_open_at_power_on(tmp_path: Path) -> None:
    with bench_with(tmp_path, "amplifier", interlock_open=True) as bench:
        made = bench.get(Amplifier, "amplifier")
        assert made.interlock_open()
        assert any("interlock" in problem for problem in made.problems())
        with pytest.raises(InterlockError, match="interlock"):
            made.set_emission(True)
        assert made.safe_state().dark


def test_a_pump_that_goes_off_by_itself_is_seen(tmp_path: Path) -> None:
    with bench_with(tmp_path, "amplifier") as bench:
        made = bench.get(Amplifier, "amplifier")
        made.set_pump(0.05)
        made.set_emission(True)
        stranger = bench.library.connect("stranger", bench.config.instruments["amplifier"].resource)
        stranger.open()
        bench.lab.advance(1.0)
        stranger.write(":DRIV:MCTRL 0\r")
        bench.lab.advance(1.0)
        assert not made.emission()


@pytest.mark.parametrize("fitted", [True, False])
def test_what_stays_silent_does_not_disturb_what_follows(tmp_path: Path, fitted: bool) -> None:
    """A command that comes sooner than 50 ms after another is lost in this unit: the spacing must hold while the line
    is mended after a query without answer, and in what is asked next.
    """
    with bench_with(tmp_path, "amplifier", strict_spacing=True, input_monitor=fitted) as bench:
        made = bench.get(Amplifier, "amplifier")
        for current_a in (0.05, 0.1):
            snapshot = made.snapshot()
            assert ("input_power_w" in snapshot) is fitted
            assert "output_power_w" not in snapshot
            assert "box_temperature_c" in snapshot
            assert not made.problems()
            made.set_pump(current_a)
            assert made.pump() == pytest.approx(current_a, abs=0.2e-3)
        made.set_emission(True)
        assert made.emission()
        assert made.safe_state().dark
