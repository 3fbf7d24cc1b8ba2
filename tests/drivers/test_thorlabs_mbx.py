"""MBX: two ends of replies, commands that are answered or not, errors in place of replies, waiting for a point."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from pyvisa.constants import StatusCode

from drivers.thorlabs_mbx import MBX
from drivers.visa import VisaLibrary
from labctl.bench import open_bench
from labctl.clock import SteppedClock
from labctl.errors import (
    ConfigError,
    InstrumentRefused,
    InstrumentReply,
    InstrumentTimeout,
    LimitError,
    WrongInstrument,
)
from labctl.shipped import bench_path
from tests.drivers.scripted import Answer, ScriptedVisa

RESOURCE = "ASRL/dev/ttyUSB1::INSTR"
NAME = "THORLABS,MBX1550,M00812345,1.9.5"
OPENING = [("*IDN?", NAME)]
IDLE = ("MZM:CALIBRATING?", "0")


def made(*pairs: tuple[str | bytes, Answer], **options: float) -> tuple[MBX, ScriptedVisa, SteppedClock]:
    visa = ScriptedVisa([*OPENING, *pairs])
    clock = SteppedClock()
    controller = MBX("bias", RESOURCE, VisaLibrary(visa), clock, **options)
    controller.open()
    return controller, visa, clock


def told(command: str, *answer: str) -> list[tuple[str | bytes, Answer]]:
    """A command with the name asked for behind it; with an answer the name is fetched with an empty line."""
    sent = f"{command}\n*IDN?\n".encode()
    return [(sent, answer[0]), (b"\n", NAME)] if answer else [(sent, NAME)]


@pytest.mark.parametrize("answer", [(), ("1",)])
def test_locking_waits_for_calibration_and_for_the_point(answer: tuple[str, ...]) -> None:
    controller, visa, clock = made(
        ("MZM:CALIBRATING?", "1"),
        IDLE,
        *told("MZM:MODE: 2", *answer),
        ("MZM:MODE?", "2"),
        ("MZM:SETPOINT?", "0"),
        ("MZM:SETPOINT?", "1"),
    )
    controller.lock("null")
    assert clock.now() == pytest.approx(0.4)
    visa.finished()


def test_a_point_that_is_not_found() -> None:
    controller, _, _ = made(
        IDLE, *told("MZM:MODE: 1"), ("MZM:MODE?", "1"), *[("MZM:SETPOINT?", "0")] * 20, lock_timeout_s=1.0
    )
    with pytest.raises(InstrumentTimeout, match="has not found the working point peak after 1 s"):
        controller.lock("peak")


def test_a_voltage_by_hand_is_sent_in_millivolts() -> None:
    controller, visa, _ = made(
        IDLE,
        *told("MZM:HOLD:VOLTAGE: -1235", "1"),
        ("MZM:HOLD:VOLTAGE?", "-1235"),
        IDLE,
        *told("MZM:MODE: 7", "1"),
        ("MZM:MODE?", "7"),
        ("MZM:VOLTAGE?", "-1.234"),
    )
    controller.hold([-1.2346])
    assert controller.bias_voltages() == (-1.234,)
    visa.finished()


def test_limits() -> None:
    controller, visa, _ = made()
    for voltages in ([], [1.0, 2.0], [10.1], [math.nan]):
        with pytest.raises(LimitError, match="bias"):
            controller.hold(voltages)
    with pytest.raises(LimitError, match="no working point 'valley'"):
        controller.lock("valley")
    visa.finished()
    with pytest.raises(ConfigError, match="lock_timeout_s"):
        MBX("bias", RESOURCE, VisaLibrary(ScriptedVisa()), SteppedClock(), lock_timeout_s=0)


def test_errors_in_place_of_replies() -> None:
    controller, visa, _ = made(
        IDLE,
        *told("MZM:MODE: 0", "Err: Execution error"),
        ("MZM:VOLTAGE?", "Err: Feature not present"),
        ("MZM:VOLTAGE?", "five"),
        IDLE,
        *told("MZM:MODE: 0"),
        ("MZM:MODE?", "2"),
    )
    with pytest.raises(InstrumentRefused, match="Execution error"):
        controller.off()
    with pytest.raises(InstrumentRefused, match="Feature not present"):
        controller.bias_voltages()
    with pytest.raises(InstrumentReply, match="five"):
        controller.bias_voltages()
    with pytest.raises(InstrumentRefused, match="told 0 and reads back 2"):
        controller.off()
    visa.finished()


def test_after_answers_that_make_no_sense_the_line_is_begun_anew() -> None:
    muddled = [*OPENING, IDLE, (b"MZM:MODE: 0\n*IDN?\n", "1"), (b"\n", "2")]
    visa = ScriptedVisa(muddled, [*OPENING, ("MZM:VOLTAGE?", "0.000")])
    controller = MBX("bias", RESOURCE, VisaLibrary(visa), SteppedClock())
    controller.open()
    with pytest.raises(InstrumentReply, match="'1' and '2' came, and not its name"):
        controller.off()
    assert controller.bias_voltages() == (0.0,)
    visa.finished()


def test_ends_are_tried_in_turn() -> None:
    silent, heard = [("*IDN?", StatusCode.error_timeout)], [("*IDN?", NAME.encode() + b"\r"), ("MZM:MODE?", b"7\r")]
    visa = ScriptedVisa(silent, heard)
    controller = MBX("bias", RESOURCE, VisaLibrary(visa), SteppedClock())
    controller.open()
    assert controller.identity.serial == "M00812345"
    assert controller._whole("MZM:MODE") == 7
    visa.finished()


@pytest.mark.parametrize("name", ["Thorlabs,PM100D,P1,2.4.0", "KEYSIGHT,M8190A,1,2", "Err: Undefined header"])
def test_another_instrument(name: str) -> None:
    controller = MBX("bias", RESOURCE, VisaLibrary(ScriptedVisa([("*IDN?", name)])), SteppedClock())
    with pytest.raises(WrongInstrument, match="no MBX"):
        controller.open()


def test_what_it_complains_about() -> None:
    asked = (IDLE, ("MZM:MODE?", "2"))
    controller, visa, _ = made(*asked, ("MZM:SETPOINT?", "0"), *asked, ("MZM:SETPOINT?", "1"), IDLE, ("MZM:MODE?", "7"))
    assert list(controller.problems()) == ["the modulator is not at its working point"]
    assert list(controller.problems()) == []
    assert list(controller.problems()) == []
    visa.finished()


@pytest.mark.parametrize("ack", ["all", "some"])
@pytest.mark.parametrize("eol", ["LF", "CR"])
def test_every_firmware_of_the_simulated_unit(tmp_path: Path, ack: str, eol: str) -> None:
    text = bench_path("ideal").read_text(encoding="utf-8")
    unit = f'{{ model = "thorlabs_mbx", ack = "{ack}", eol = "{eol}", calibration_s = 0.5 }}'
    for table, added in (
        ("[world.units]", f"bias_i = {unit}"),
        ("[world.places]", 'bias_i = "bias_i:1"'),
    ):
        text = text.replace(table + "\n", f"{table}\n{added}\n", 1)
    text += f'\n[instruments.bias_i]\ndriver = "drivers.thorlabs_mbx:MBX"\nresource = "{RESOURCE}"\n'
    path = tmp_path / "biased.bench.toml"
    path.write_text(text, encoding="utf-8")
    with open_bench(path) as bench:
        control, controller = bench.control(), bench.part("bias_i", MBX)
        assert control is not None
        control.set_stepped_clock(True)
        for point, volts in (("null", 0.0), ("peak", 5.0), ("quadrature+", 2.5), ("quadrature-", -2.5)):
            controller.lock(point)
            assert controller.locked()
            assert controller.bias_voltages() == pytest.approx([volts], abs=0.01)
        controller.hold([1.5])
        assert not controller.locked()
        state = controller.safe_state()
        assert state.dark
        assert state.readings["bias_v"] == 0.0
