"""M8190A: messages to the byte, and what is refused before it is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.keysight_m8190a import M8190A
from drivers.scpi import make_block
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import ConfigError, InstrumentError, InstrumentLost, InstrumentRefused, InstrumentTimeout, LimitError
from labctl.interfaces import WaveformGenerator
from tests.drivers.bench_with import bench_with
from tests.drivers.scripted import Answer, Script, ScriptedVisa, checked

RESOURCE = "TCPIP0::192.168.10.13::5025::SOCKET"
OPENING = [
    ("*IDN?", "Agilent Technologies,M8190A,DE53A00001,5.3.0.0-7"),
    (":SYSTem:ERRor?", '0,"No error"'),
]
CHANNEL = (
    ":OUTPut{0}:ROUTe DAC;:DAC{0}:VOLTage:AMPLitude {1};:FUNCtion{0}:MODE STSequence;"
    ":INITiate:CONTinuous{0} OFF;:INITiate:GATE{0} OFF"
)
CONFIGURE = (
    ":ABORt1;:ABORt2;:INSTrument:COUPle:STATe ON;:TRACe1:DELete:ALL;:TRACe2:DELete:ALL;"
    ":TRACe1:DWIDth WPR;:TRACe2:DWIDth WPR;:FREQuency:RASTer 1000000000;"
    + CHANNEL.format(1, "0.7")
    + ";"
    + CHANNEL.format(2, "0.5")
)
ENTRY = 1 << 28 | 1 << 30 | 1 << 24
TABLE = ":STABle{0}:DATA {1}," + str(ENTRY) + ",1,{2},{3},0,4294967295;"

Codes = dict[int, NDArray[np.int16]]


def generator(
    *pairs: tuple[str | bytes, Answer], configured: bool = True, **options: str
) -> tuple[M8190A, ScriptedVisa]:
    opening: Script = [*OPENING, *(checked(CONFIGURE) if configured else [])]
    visa = ScriptedVisa([*opening, *pairs])
    made = M8190A("awg", RESOURCE, VisaLibrary(visa), SteppedClock(), **options)
    made.open()
    if configured:
        made.configure(1e9, {1: 0.7, 2: 0.5})
    return made, visa


def ramp(samples: int = 240) -> NDArray[np.int16]:
    return np.arange(-samples // 2, samples // 2, dtype=np.int16)


def block(codes: NDArray[np.int16], shift: int = 2) -> bytes:
    return make_block(np.left_shift(codes, shift).astype("<i2").tobytes())


def sent(*parts: str | bytes) -> Script:
    message = b"".join(p.encode() if isinstance(p, str) else p for p in parts) + b"\n"
    return [(message, None), (":SYSTem:ERRor?", '0,"No error"')]


LOAD = (":TRACe1:DEFine 1,240;:TRACe1:DATA 1,0,", ";:TRACe2:DEFine 1,240;:TRACe2:DATA 1,0,", ";")


def loaded(*pairs: tuple[str | bytes, Answer]) -> tuple[M8190A, ScriptedVisa]:
    data = block(ramp())
    made, visa = generator(*sent(LOAD[0], data, LOAD[1], data, LOAD[2]), *pairs)
    made.load(1, {1: ramp(), 2: ramp()})
    return made, visa


def arming(index: int, loops: int, segment: int = 1, new: bool = True, hardware: str = "") -> str:
    text = ""
    for n in (1, 2):
        text += TABLE.format(n, index, loops, segment) if new else ""
        text += f":TRIGger:BEGin{n}:HWDisable {hardware};" if hardware else ""
        text += f":STABle{n}:SEQuence:SELect {index};"
    return text + ":INITiate:IMMediate1;"


def test_capabilities_of_both_modes() -> None:
    made, _ = generator(configured=False)
    assert (made.capabilities.bits, made.capabilities.code_max) == (14, 8191)
    fast, _ = generator(configured=False, mode="WSP")
    assert (fast.capabilities.bits, fast.capabilities.code_min, fast.capabilities.granularity) == (12, -2048, 64)
    with pytest.raises(ConfigError, match="mode"):
        generator(configured=False, mode="INTX3")


def test_configuring_and_loading_in_one_message_each() -> None:
    made, visa = loaded()
    made.close()
    visa.finished()


def test_samples_stand_above_the_marker_bits() -> None:
    codes = np.full(320, -2048, np.int16)
    configure = (
        ":ABORt1;:ABORt2;:INSTrument:COUPle:STATe OFF;:TRACe1:DELete:ALL;:TRACe2:DELete:ALL;"
        ":TRACe2:DWIDth WSP;:FREQuency:RASTer 12000000000;" + CHANNEL.format(2, "0.7")
    )
    message = b":TRACe2:DEFine 9,320;:TRACe2:DATA 9,0,#3640" + b"\x00\x80" * 320 + b";"
    made, visa = generator(*checked(configure), *sent(message), configured=False, mode="WSP")
    made.configure(12e9, {2: 0.7})
    made.load(9, {2: codes})
    visa.finished()


def test_overwriting_keeps_the_segment_and_another_length_makes_it_anew() -> None:
    data, longer = block(ramp()), block(ramp(288))
    made, visa = loaded(
        *sent(":TRACe1:DATA 1,0,", data, ";"),
        *sent(":TRACe1:DELete 1;:TRACe1:DEFine 1,288;:TRACe1:DATA 1,0,", longer, ";"),
    )
    made.load(1, {1: ramp()})
    made.load(1, {1: ramp(288)})
    visa.finished()


def test_a_table_entry_is_written_once_for_each_segment_and_loop_count() -> None:
    made, visa = loaded(
        *checked(arming(0, 10, hardware="OFF")),
        *checked(":ABORt1;" + arming(0, 10, new=False)),
        *checked(":ABORt1;" + arming(1, 784)),
        *checked(":ABORt1;" + arming(0, 10, new=False)),
        *checked(":ABORt1;" + arming(1, 784, new=False, hardware="ON")),
        *checked(":TRIGger:BEGin1"),
    )
    made.arm(1, 10, external=True)
    made.arm(1, 10, external=True)
    made.arm(1, 784, external=True)
    made.arm(1, 10, external=True)
    made.arm(1, 784, external=False)
    made.trigger()
    visa.finished()


def test_loading_and_arming_in_one_message() -> None:
    data = block(ramp())
    made, visa = loaded(
        *checked(arming(0, 5, hardware="OFF")),
        *sent(
            ":ABORt1;:TRACe1:DATA 1,0,",
            data,
            ";:TRACe2:DATA 1,0,",
            data,
            ";" + arming(0, 5, new=False),
        ),
        *sent(
            ":ABORt1;:TRACe1:DEFine 2,240;:TRACe1:DATA 2,0,",
            data,
            ";:TRACe2:DEFine 2,240;:TRACe2:DATA 2,0,",
            data,
            ";" + arming(1, 5, segment=2),
        ),
    )
    made.arm(1, 5, external=True)
    made.load_and_arm(1, {1: ramp(), 2: ramp()}, 5, external=True)
    made.load_and_arm(2, {1: ramp(), 2: ramp()}, 5, external=True)
    visa.finished()


def test_a_refused_arming_is_not_remembered() -> None:
    made, visa = loaded(
        *checked(arming(0, 10, hardware="OFF"), error='-221,"Settings conflict"'),
        (":SYSTem:ERRor?", '0,"No error"'),
        *checked(":ABORt1;" + arming(0, 10, hardware="OFF")),  # in part it may have been obeyed
    )
    with pytest.raises(InstrumentRefused, match="-221"):
        made.arm(1, 10, external=True)
    made.arm(1, 10, external=True)
    visa.finished()


def test_playing_is_arming_and_starting_in_one_message() -> None:
    made, visa = loaded(
        *checked(arming(0, 10, hardware="OFF")),
        *checked(":ABORt1;" + arming(0, 10, new=False, hardware="ON") + ":TRIGger:BEGin1"),
        *checked(":ABORt1;" + arming(1, 20) + ":TRIGger:BEGin1"),
        *checked(":ABORt1;" + arming(1, 20, new=False, hardware="OFF")),
    )
    made.arm(1, 10, external=True)
    made.play(1, 10)
    made.play(1, 20)
    made.arm(1, 20, external=True)
    visa.finished()


def test_what_is_not_played() -> None:
    made, visa = loaded()
    with pytest.raises(LimitError, match="not loaded"):
        made.play(2, 1)
    with pytest.raises(LimitError, match="loops"):
        made.play(1, 0)
    unconfigured, _ = generator(configured=False)
    with pytest.raises(InstrumentError, match="not been configured"):
        unconfigured.play(1, 1)
    visa.finished()


def test_a_refused_playback_is_not_remembered() -> None:
    playing = arming(0, 10, hardware="ON") + ":TRIGger:BEGin1"
    made, visa = loaded(
        *checked(playing, error='-221,"Settings conflict"'),
        (":SYSTem:ERRor?", '0,"No error"'),
        *checked(":ABORt1;" + playing),
    )
    with pytest.raises(InstrumentRefused, match="-221"):
        made.play(1, 10)
    made.play(1, 10)
    visa.finished()


@pytest.mark.parametrize(
    ("segment", "codes"),
    [
        (0, ramp()),
        (1, ramp(192)),
        (1, ramp(250)),
        (1, np.full(240, 8192, np.int16)),
        (1, np.full(240, -8193, np.int16)),
        (1, np.zeros(240, np.int32)),
        (1, np.zeros((2, 240), np.int16)),
    ],
)
def test_what_is_not_loaded(segment: int, codes: NDArray[np.int16]) -> None:
    made, visa = generator()
    with pytest.raises(LimitError):
        made.load(segment, {1: codes})
    visa.finished()


def test_what_is_not_armed() -> None:
    made, visa = loaded()
    with pytest.raises(LimitError, match="not loaded"):
        made.arm(2, 1, external=True)
    for loops in (0, 1 << 32):
        with pytest.raises(LimitError, match="loops"):
            made.arm(1, loops, external=True)
    visa.finished()


@pytest.mark.parametrize(
    ("rate_hz", "amplitudes"),
    [(100e6, {1: 0.7}), (9e9, {1: 0.7}), (1e9, {1: 0.8}), (1e9, {3: 0.7}), (1e9, {})],
)
def test_what_is_not_configured(rate_hz: float, amplitudes: dict[int, float]) -> None:
    made, visa = generator(configured=False)
    with pytest.raises(LimitError):
        made.configure(rate_hz, amplitudes)
    with pytest.raises(InstrumentError, match="not been configured"):
        made.load(1, {1: ramp()})
    visa.finished()


def test_after_a_failure_of_the_line_it_must_be_configured_again() -> None:
    visa = ScriptedVisa(
        [*OPENING, *checked(CONFIGURE), (":OUTPut1:NORMal?", None)],
        [*OPENING, (":OUTPut1:NORMal?", "0")],
    )
    made = M8190A("awg", RESOURCE, VisaLibrary(visa), SteppedClock())
    made.open()
    made.configure(1e9, {1: 0.7, 2: 0.5})
    with pytest.raises(InstrumentTimeout):
        made.output(1)
    assert made.output(1) is False
    with pytest.raises(InstrumentLost, match="memory may be gone"):
        made.load(1, {1: ramp()})


@pytest.mark.parametrize("stuck", [False, True])
def test_safe_state(stuck: bool) -> None:
    made, visa = generator(
        *checked(":ABORt1;:ABORt2", ":OUTPut1:NORMal 0", ":OUTPut2:NORMal 0"),
        (":OUTPut1:NORMal?", "0"),
        (":OUTPut2:NORMal?", "1" if stuck else "0"),
    )
    state = made.safe_state()
    assert state.dark is not stuck
    assert state.readings == {"output_1": False, "output_2": stuck}
    visa.finished()


def test_outputs() -> None:
    made, visa = generator(*checked(":OUTPut2:NORMal 1"), (":OUTPut2:NORMal?", "1"))
    made.set_output(2, True)
    assert made.output(2) is True
    with pytest.raises(LimitError, match="no channel"):
        made.set_output(3, True)
    visa.finished()


# --- on the simulated generator -----------------------------------------------------------------


@pytest.mark.parametrize(("options", "bits"), [({}, 14), ({"mode": "WSP"}, 12)])
def test_samples_lie_in_memory_as_they_were_sent(tmp_path: Path, options: dict[str, Any], bits: int) -> None:
    """Read by another client: the code in the upper bits, marker bits 0."""
    with bench_with(tmp_path, "server_awg") as bench:
        entry = bench.config.instruments["server_awg"]
        made = M8190A("server_awg", entry.resource, bench.library, bench.library.clock(), **options)
        made.open()
        limits = made.capabilities
        assert limits.bits == bits
        made.configure(limits.sample_rate_hz.low, {1: 0.7, 2: 0.7})
        rng = np.random.default_rng(1)
        line = bench.library.connect("reader", entry.resource)
        line.open()
        for segment, periods in ((1, 0), (2, 4), (1, 0), (1, 2)):  # new, new, overwritten, made anew
            count = limits.min_length + periods * limits.granularity
            sent = {n: rng.integers(limits.code_min, limits.code_max + 1, count).astype(np.int16) for n in (1, 2)}
            made.load(segment, sent)
            for channel, codes in sent.items():
                words = line.query_array(f":TRACe{channel}:DATA:BLOCk? {segment},0,{count}", np.dtype("<i2"))
                assert np.array_equal(words >> (16 - bits), codes)
                assert not np.any(words & ((1 << (16 - bits)) - 1))


def test_the_sequence_table_says_what_was_armed(tmp_path: Path) -> None:
    with bench_with(tmp_path, "server_awg") as bench:
        made = bench.get(WaveformGenerator, "server_awg")
        made.configure(125e6, {1: 0.7, 2: 0.7})
        line = bench.library.connect("reader", bench.config.instruments["server_awg"].resource)
        line.open()
        zeros = np.zeros(made.capabilities.min_length, np.int16)
        made.load(1, {1: zeros, 2: zeros})
        made.load_and_arm(7, {1: zeros, 2: zeros}, 392, external=False)
        for segment, loops in ((7, 392), (1, 5), (7, 5), (7, 392)):
            made.arm(segment, loops, external=False)
            for channel in (1, 2):
                index = int(line.query(f":STABle{channel}:SEQuence:SELect?"))
                entry = [int(x) for x in line.query(f":STABle{channel}:DATA? {index},6").split(",")]
                assert entry[2:4] == [loops, segment]
