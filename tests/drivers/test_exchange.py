"""Recording what drivers say and hear, and holding them to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest

from drivers.connection import LineSettings
from drivers.exchange import Departure, Player
from drivers.visa import VisaLibrary
from labctl.config import load_bench
from labctl.errors import ConfigError, InstrumentLost, InstrumentTimeout
from labctl.interfaces import Amplifier, Attenuator, Digitizer, Instrument, Laser, WaveformGenerator
from labctl.shipped import bench_path

BENCH = bench_path("ideal")
Use = Callable[[VisaLibrary], list[object]]


def instrument(library: VisaLibrary, name: str) -> Instrument:
    entry = load_bench(BENCH).instruments[name]
    made: Instrument = resolve_name(entry.driver)(name, entry.resource, library, library.clock())
    made.open()
    return made


def session(library: VisaLibrary) -> list[object]:
    """A little of every kind; what was read."""
    laser, attenuator = instrument(library, "laser"), instrument(library, "attenuator")
    amplifier, scope = instrument(library, "amplifier"), instrument(library, "server_scope")
    awg, meter = instrument(library, "server_awg"), instrument(library, "power_meter")
    assert isinstance(laser, Laser)
    assert isinstance(attenuator, Attenuator)
    assert isinstance(amplifier, Amplifier)
    assert isinstance(scope, Digitizer)
    assert isinstance(awg, WaveformGenerator)
    laser.set_power(5e-3)
    laser.set_emission(True)
    attenuator.set_attenuation(1, 12.5)
    amplifier.set_pump(0.05)
    awg.configure(125e6, {1: 0.7, 2: 0.7})
    codes = np.arange(-480, 480, dtype=np.int16)  # 0x0A among the bytes
    awg.load(1, {1: codes, 2: codes[::-1].copy()})
    scope.configure({1: 4.0, 2: 4.0}, 8e-9, 2000)
    awg.arm(1, 1, external=False)
    scope.arm()
    awg.trigger()
    scope.wait()
    read: list[object] = [each.snapshot() for each in (laser, attenuator, amplifier, awg, scope, meter)]
    read.append(scope.read(1).codes.tolist())
    read += [each.safe_state() for each in (amplifier, attenuator, laser, awg, scope)]
    return read


def recorded(path: Path, use: Use) -> list[object]:
    library = VisaLibrary(f"{BENCH}@labctl", exchange=path)
    control = library.control()
    assert control is not None
    control.set_stepped_clock(True)
    control.reset(7)
    try:
        return use(library)
    finally:
        library.close()


def played(path: Path, use: Use) -> list[object]:
    """On the recorded exchange alone: the simulated lab's own clock is not in it any more."""
    player = Player.of_file(path)
    player.scripts = [script for script in player.scripts if script[0] != "SIM"]
    library = VisaLibrary(player)
    try:
        read = use(library)
    finally:
        library.close()
    player.finished()
    return read


def meter_session(library: VisaLibrary) -> list[object]:
    meter = instrument(library, "power_meter")
    return [meter.snapshot(), list(meter.problems())]


def awg_session(library: VisaLibrary) -> list[object]:
    awg = instrument(library, "server_awg")
    assert isinstance(awg, WaveformGenerator)
    awg.configure(125e6, {1: 0.7, 2: 0.7})
    codes = np.arange(-480, 480, dtype=np.int16)
    awg.load(1, {1: codes, 2: codes[::-1].copy()})
    return [awg.snapshot()]


def scope_session(library: VisaLibrary) -> list[object]:
    scope, awg = instrument(library, "server_scope"), instrument(library, "server_awg")
    assert isinstance(scope, Digitizer)
    assert isinstance(awg, WaveformGenerator)
    awg.configure(125e6, {1: 0.7, 2: 0.7})
    awg.load(1, {1: np.zeros(960, np.int16), 2: np.zeros(960, np.int16)})
    scope.configure({1: 4.0, 2: 4.0}, 8e-9, 2000)
    awg.arm(1, 1, external=False)
    scope.arm()
    awg.trigger()
    scope.wait()
    return [scope.read(1).codes.tolist(), scope.read(2).codes.tolist(), scope.snapshot()]


@pytest.mark.parametrize("use", [meter_session, awg_session, scope_session])
def test_what_was_read_is_read_again(tmp_path: Path, use: Use) -> None:
    path = tmp_path / "exchange.jsonl"
    first = recorded(path, use)
    assert played(path, use) == first


def test_every_byte_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "exchange.jsonl"
    recorded(path, session)
    events = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    assert events[0] == ["exchange", 1]
    names = {event[2] for event in events[1:] if event[1] == "open"}
    assert names == {"simulated lab", "laser", "attenuator", "amplifier", "server_scope", "server_awg", "power_meter"}
    said = "".join(event[2] for event in events[1:] if event[1] == "write")
    assert np.arange(-480, 480, dtype="<i2").astype("<i2").__lshift__(2).tobytes().decode("latin-1") in said
    assert sum(event[1] == "close" for event in events[1:]) == len(names)


def test_another_command_is_a_departure(tmp_path: Path) -> None:
    path = tmp_path / "exchange.jsonl"
    recorded(path, meter_session)

    def other(library: VisaLibrary) -> list[object]:
        meter = instrument(library, "power_meter")
        meter.snapshot()
        vars(meter)["_link"].query("SENSe:CORRection:BEAM?")
        return []

    with pytest.raises(Departure, match="sent b'SENSe:CORRection:BEAM"):
        played(path, other)


def test_what_is_left_out_is_a_departure(tmp_path: Path) -> None:
    path = tmp_path / "exchange.jsonl"
    recorded(path, meter_session)
    with pytest.raises(Departure, match="never sent"):
        played(path, lambda library: [instrument(library, "power_meter").snapshot()])
    with pytest.raises(Departure, match="never opened: USB0"):
        played(path, lambda library: [])


def test_a_failure_is_recorded_and_played_as_one(tmp_path: Path) -> None:
    path = tmp_path / "exchange.jsonl"

    def silent(library: VisaLibrary) -> list[object]:
        line = library.connect("meter", "USB0::0x1313::0x8078::P0000001::INSTR", LineSettings(timeout_s=0.2))
        line.open()
        line.identify("*IDN?")
        line.write("*CLS")
        with pytest.raises(InstrumentTimeout):
            line.query("*CLS")
        return [line.query("*IDN?")]

    assert recorded(path, silent) == ["THORLABS,PM100D,P0012345,2.4.0"]
    assert played(path, silent) == ["THORLABS,PM100D,P0012345,2.4.0"]


def test_nobody_else_is_there_when_an_exchange_is_played(tmp_path: Path) -> None:
    path = tmp_path / "exchange.jsonl"
    recorded(path, meter_session)
    library = VisaLibrary(Player.of_file(path))
    with pytest.raises(InstrumentLost):
        library.connect("laser", "TCPIP0::192.168.10.11::5000::SOCKET").open()
    library.close()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "exchange.jsonl"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="cannot record there"):
        VisaLibrary(f"{BENCH}@labctl", exchange=path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    "text", ["", "hello", '["exchange", 2]\n', '["exchange", 1]\n[1]\n', '["exchange", 1]\n[1, "open"]\n', "\xff"]
)
def test_what_is_no_exchange_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "exchange.jsonl"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match="no recorded exchange"):
        Player.of_file(path)
