"""33600A: messages to the byte, a memory that overwrites nothing, and what is refused before it is sent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.keysight_33600a import Trueform
from drivers.scpi import make_block
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import ConfigError, InstrumentError, InstrumentRefused, LimitError, WrongInstrument
from labctl.interfaces import WaveformGenerator
from tests.contract.bench import ContractBench, Subject
from tests.contract.suppliers import Fragment, merged
from tests.drivers.scripted import Answer, Script, ScriptedVisa

RESOURCE = "TCPIP0::192.168.10.21::5025::SOCKET"
OK = '+0,"No error"'
CHANNEL = (
    ":OUTPut{0}:LOAD 50;:OUTPut{0}:POLarity NORMal;:SOURce{0}:VOLTage:UNIT VPP;:SOURce{0}:VOLTage:OFFSet 0;"
    ":SOURce{0}:VOLTage {1};:SOURce{0}:FUNCtion ARB;:SOURce{0}:FUNCtion:ARBitrary:ADVance SRATe;"
    ":SOURce{0}:FUNCtion:ARBitrary:FILTer STEP;:SOURce{0}:FUNCtion:ARBitrary:SRATe 125000000;"
    ":SOURce{0}:BURSt:MODE TRIGgered;:SOURce{0}:BURSt:PHASe 0;:SOURce{0}:BURSt:STATe ON;"
    ":TRIGger{0}:SLOPe POSitive;:TRIGger{0}:DELay 0;:TRIGger{0}:COUNt 1;"
    ":OUTPut{0}:SYNC:MODE NORMal;:OUTPut{0}:SYNC:POLarity NORMal;"
)
CONFIGURE = (
    ":ABORt;:FORMat:BORDer SWAPped;:INITiate1:CONTinuous OFF;:SOURce1:DATA:VOLatile:CLEar;"
    ":INITiate2:CONTinuous OFF;:SOURce2:DATA:VOLatile:CLEar;"
    + CHANNEL.format(1, "0.7")
    + CHANNEL.format(2, "0.5")
    + ":OUTPut:SYNC:SOURce CH1;:OUTPut:SYNC ON;:SOURce1:DATA:VOLatile:FREE?;:SOURce2:DATA:VOLatile:FREE?;:SYSTem:ERRor?"
)
ARM = (
    ":SOURce{0}:FUNCtion:ARBitrary {1};:SOURce{0}:FUNCtion:ARBitrary:SRATe 125000000;"
    ":SOURce{0}:BURSt:NCYCles {2};:TRIGger{0}:SOURce {3};"
)


def opening(model: str = "33622A") -> Script:
    return [("*IDN?", f"Agilent Technologies,{model},MY1,A.02.03"), (":SYSTem:ERRor?", OK)]


def generator(*pairs: tuple[str | bytes, Answer], room: int = 4_000_000) -> tuple[Trueform, ScriptedVisa]:
    visa = ScriptedVisa([*opening(), (CONFIGURE, f"{room};{room};{OK}"), *pairs])
    made = Trueform("awg", RESOURCE, VisaLibrary(visa), SteppedClock())
    made.open()
    made.configure(125e6, {1: 0.7, 2: 0.5})
    return made, visa


def ramp(samples: int = 32) -> NDArray[np.int16]:
    return np.arange(-samples // 2, samples // 2, dtype=np.int16)


def sent(*parts: str | bytes) -> Script:
    message = b"".join(part.encode() if isinstance(part, str) else part for part in parts) + b"\n"
    return [(message, None), (":SYSTem:ERRor?", OK)]


def load(channel: int, name: str, codes: NDArray[np.int16]) -> tuple[str, bytes, str]:
    return f":SOURce{channel}:DATA:ARBitrary:DAC {name},", make_block(codes.astype("<i2").tobytes()), ";"


def arm(names: tuple[str, str], loops: int, source: str) -> str:
    return "".join(ARM.format(n, name, loops, source) for n, name in enumerate(names, 1)) + ":INITiate:IMMediate:ALL"


def simulated(folder: Path, **options: object) -> ContractBench:
    changes = {
        "instruments": {"server_awg": {"driver": "drivers.keysight_33600a:Trueform", "resource": RESOURCE}},
        "world": {"units": {"server_awg": {"model": "keysight_33600a", **options}}},
    }
    fragment = Fragment("try", "generator", "server_awg", changes)
    return Subject("try", "generator", "server_awg", merged(fragment)).bench(folder)


@pytest.mark.parametrize(
    ("model", "channels", "bits", "shortest", "fastest_hz"),
    [("33622A", 2, 14, 32, 1e9), ("33611A", 1, 14, 32, 1e9), ("33522B", 2, 16, 8, 250e6), ("33511B", 1, 16, 8, 250e6)],
)
def test_the_model_says_what_it_can(model: str, channels: int, bits: int, shortest: int, fastest_hz: float) -> None:
    made = Trueform("awg", RESOURCE, VisaLibrary(ScriptedVisa(opening(model))), SteppedClock())
    made.open()
    limits = made.capabilities
    assert (limits.channels, limits.bits, limits.min_length) == (channels, bits, shortest)
    assert (limits.sample_rate_hz.high, limits.code_min, limits.code_max) == (fastest_hz, -32767, 32767)


def test_others_are_refused() -> None:
    made = Trueform("awg", RESOURCE, VisaLibrary(ScriptedVisa(opening("33250A")[:1])), SteppedClock())
    with pytest.raises(WrongInstrument, match="33250A"):
        made.open()


def test_the_filter_limits_the_rate() -> None:
    made = Trueform("awg", RESOURCE, VisaLibrary(ScriptedVisa([])), SteppedClock(), filter="OFF")
    assert made.capabilities.sample_rate_hz.high == 250e6
    with pytest.raises(ConfigError, match="filter"):
        Trueform("awg", RESOURCE, VisaLibrary(ScriptedVisa([])), SteppedClock(), filter="SOFT")


def test_a_shot_in_three_messages() -> None:
    pairs = [
        *sent(*load(1, "L1", ramp()), *load(2, "L2", ramp())),
        *sent(arm(("L1", "L2"), 784, "BUS")),
        *sent("*TRG"),
        *sent(":ABORt;", arm(("L1", "L2"), 2, "BUS"), ";*TRG"),
        *sent(":ABORt;", *load(1, "L3", ramp(40)), *load(2, "L4", ramp(40)), arm(("L3", "L4"), 5, "EXTernal")),
    ]
    made, visa = generator(*pairs)
    made.load(1, {1: ramp(), 2: ramp()})
    made.arm(1, 784, external=False)
    made.trigger()
    made.play(1, 2)
    made.load_and_arm(1, {1: ramp(40), 2: ramp(40)}, 5, external=True)
    made.trigger()  # has no effect: the trigger is to come from outside
    made.close()
    visa.finished()


def test_a_full_memory_is_cleared_and_what_is_in_use_loaded_again() -> None:
    pairs = [
        *sent(*load(1, "L1", ramp())),
        *sent(*load(1, "L2", ramp(40))),
        *sent(":SOURce1:DATA:VOLatile:CLEar;", *load(1, "L3", ramp()), *load(1, "L4", -ramp(40))),
        *sent(*load(1, "L5", ramp(32))),
    ]
    made, visa = generator(*pairs, room=110)
    made.load(1, {1: ramp()})
    made.load(2, {1: ramp(40)})
    made.load(2, {1: -ramp(40)})
    made.load(1, {1: ramp()})
    with pytest.raises(LimitError, match="besides 40 of other segments"):
        made.load(1, {1: ramp(72)})
    visa.finished()


def test_with_little_memory_the_right_samples_play(tmp_path: Path) -> None:
    bench = simulated(tmp_path, memory_points=200, own_rates=True)
    made = bench.get(WaveformGenerator)
    made.configure(125e6, {1: 0.7, 2: 0.5})
    assert made.capabilities.memory_samples == 200
    rng, heard, state = np.random.default_rng(4), [], bench.unit.state
    vars(bench.world.world)["fire_trigger"] = lambda unit: heard.append([c.playback.codes for c in state.channels])
    held = {}
    for step in range(20):
        segment = step % 3 + 1
        held[segment] = {n: rng.integers(-32767, 32768, 50).astype(np.int16) for n in (1, 2)}
        made.load_and_arm(segment, held[segment], 3, external=False)
        made.trigger()
        other = (step + 1) % 3 + 1
        wanted = held.get(other, held[segment])
        made.play(other if other in held else segment, 2)
        for played, due in ((heard[-2], held[segment]), (heard[-1], wanted)):
            assert all(np.array_equal(codes, due[n]) for n, codes in enumerate(played, 1))
    assert list(made.problems()) == []
    bench.close()


def test_what_is_refused_before_anything_is_sent() -> None:
    made, visa = generator()
    good = ramp()
    lowest = good.copy()
    lowest[0] = -32768
    for segment, codes in (
        (0, {1: good}),
        (1, {3: good}),
        (1, {1: good.astype(float)}),
        (1, {1: good[:31]}),
        (1, {1: lowest}),
    ):
        with pytest.raises(LimitError, match="awg"):
            made.load(segment, codes)
    with pytest.raises(LimitError, match="loops"):
        made.load_and_arm(1, {1: good, 2: good}, 0, external=False)
    with pytest.raises(LimitError, match=r"not loaded on channels \[2\]"):
        made.load_and_arm(1, {1: good}, 1, external=False)
    with pytest.raises(LimitError, match="no channel 3"):
        made.output(3)
    visa.finished()


def test_before_it_is_configured() -> None:
    made = Trueform("awg", RESOURCE, VisaLibrary(ScriptedVisa(opening())), SteppedClock())
    made.open()
    for act in (lambda: made.arm(1, 1, external=False), made.trigger):
        with pytest.raises(InstrumentError, match="not been configured"):
            act()


def test_a_trigger_that_nothing_waits_for_is_refused(tmp_path: Path) -> None:
    bench = simulated(tmp_path)
    made = bench.get(WaveformGenerator)
    made.configure(125e6, {1: 0.7})
    with pytest.raises(InstrumentRefused, match="-211"):
        made.trigger()
    bench.close()


def test_the_fastest_and_the_largest(tmp_path: Path) -> None:
    bench = simulated(tmp_path)
    made = bench.get(WaveformGenerator)
    made.configure(1e9, {2: 10.0})
    snapshot = made.snapshot()
    assert (snapshot["filter_2"], snapshot["function_2"]) == ("STEP", "ARB")
    assert snapshot["amplitude_2_vpp"] == pytest.approx(10.0)
    assert bench.unit.state.sample_rate_hz == 1e9
    with pytest.raises(LimitError, match="channels"):
        made.configure(1e9, {3: 1.0})
    bench.close()
