"""InfiniiVision: messages of a shot, and what makes a record one that was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drivers.keysight_infiniivision import TRIGGER_TIMEOUT_S, InfiniiVision
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import (
    InstrumentError,
    InstrumentLost,
    InstrumentRefused,
    InstrumentReply,
    InstrumentTimeout,
    LimitError,
    WrongInstrument,
)
from labctl.interfaces import Digitizer, Laser, WaveformGenerator
from tests.drivers.bench_with import bench_with
from tests.drivers.scripted import Answer, Script, ScriptedVisa, checked

RESOURCE = "TCPIP0::192.168.10.14::5025::SOCKET"
OK = '+0,"No error"'
IDENTITY = ("*IDN?", "KEYSIGHT TECHNOLOGIES,DSOX1102G,CN001,01.20")
OPENING: Script = [IDENTITY, (":SYSTem:ERRor?", OK)]
RECORD = ":TIMebase:RANGe {};:TIMebase:POSition {};:WAVeform:POINts {}"
CONFIGURE = (
    ":STOP;:ACQuire:MODE RTIMe;:ACQuire:TYPE HRESolution;:CHANnel1:DISPlay 1;:CHANnel2:DISPlay 0;"
    ":CHANnel1:COUPling DC;:CHANnel1:IMPedance FIFTy;:CHANnel1:PROBe 1;:CHANnel1:RANGe 0.4;:CHANnel1:OFFSet 0;"
    ":TIMebase:MODE MAIN;:TIMebase:REFerence LEFT;"
    ":TRIGger:MODE EDGE;:TRIGger:EDGE:SOURce EXTernal;:TRIGger:EDGE:LEVel 0.5;"
    ":TRIGger:EDGE:SLOPe POSitive;:TRIGger:SWEep NORMal;:WAVeform:FORMat WORD;"
    ":WAVeform:BYTeorder LSBFirst;:WAVeform:UNSigned 0;:WAVeform:POINts:MODE RAW;"
) + RECORD.format("1e-06", "1e-07", 1000)
CONFIGURED = [*OPENING, *checked(CONFIGURE, error=OK)]
ARM = ":TER?;:AER?;:SINGle;:AER?;:SYSTem:ERRor?"
ARMED = f"+0;+0;+1;{OK}"
NOT_YET = f"+1;+1;+0;{OK}"  # what the registers held before is no news
PREAMBLE_QUERY = ":WAVeform:SOURce CHANnel1;:WAVeform:PREamble?"
DATA_QUERY = ":WAVeform:SOURce CHANnel1;:WAVeform:DATA?"
PREAMBLE = "+1,+3,{points},+1,{xinc},{xor},+0,+1.0E-05,+0.0E+00,+0"


def preamble(points: str = "+1000", xinc: str = "+1.0E-09", xor: str = "+0.0E+00") -> tuple[str, str]:
    return PREAMBLE_QUERY, PREAMBLE.format(points=points, xinc=xinc, xor=xor)


def data(codes: np.ndarray) -> tuple[str, bytes]:
    payload = codes.astype("<i2").tobytes()
    return DATA_QUERY, b"#8%08d" % len(payload) + payload + b"\n"


SHOT: Script = [
    (ARM, ARMED),
    (":OPERegister:CONDition?;:TER?", "+0;+1"),
]


def recorded(*pairs: tuple[bytes | str, Answer]) -> InfiniiVision:
    """A scope that has just recorded something."""
    made, _, _ = scope(*SHOT, *pairs)
    made.arm()
    made.wait()
    return made


def scope(*pairs: tuple[bytes | str, Answer]) -> tuple[InfiniiVision, ScriptedVisa, SteppedClock]:
    visa, clock = ScriptedVisa([*CONFIGURED, *pairs]), SteppedClock()
    made = InfiniiVision("scope", RESOURCE, VisaLibrary(visa), clock)
    made.open()
    made.configure({1: 0.4}, 1e-9, 1000)
    return made, visa, clock


@pytest.mark.parametrize(
    ("model", "channels"), [("DSOX1102G", 2), ("MSO-X 4024A", 4), ("MSOX3104T", 4), ("DSO-X 2012A", 2)]
)
def test_channels_by_model(model: str, channels: int) -> None:
    visa = ScriptedVisa([("*IDN?", f"AGILENT TECHNOLOGIES,{model},MY1,02"), OPENING[1]])
    made = InfiniiVision("scope", RESOURCE, VisaLibrary(visa), SteppedClock())
    made.open()
    assert made.capabilities.channels == channels


def test_another_instrument() -> None:
    visa = ScriptedVisa([("*IDN?", "KEYSIGHT TECHNOLOGIES,MXR058A,MY1,02")])
    with pytest.raises(WrongInstrument):
        InfiniiVision("scope", RESOURCE, VisaLibrary(visa), SteppedClock()).open()


def test_a_shot_is_three_messages_and_the_preamble_is_read_once() -> None:
    codes = np.arange(-500, 500, dtype=np.int16)
    made, visa, _ = scope(*SHOT, preamble(), data(codes), *SHOT, data(codes[::-1]))
    traces = []
    for _ in range(2):
        made.arm()
        made.wait()
        traces.append(made.read(1))
    assert np.array_equal(traces[0].codes, codes)
    assert np.array_equal(traces[1].codes, codes[::-1])
    assert traces[0].volts()[0] == pytest.approx(-5e-3)
    assert (traces[0].x_increment_s, traces[0].x_origin_s) == (1e-9, 0.0)
    assert traces[0].clipped() == 0
    visa.finished()


def test_clipped_samples_are_counted() -> None:
    codes = np.zeros(1000, np.int16)
    codes[[1, 2]], codes[3] = 32767, -32767
    made = recorded(preamble(), data(codes))
    assert made.read(1).clipped() == 3


def test_samples_beyond_those_asked_for_are_left_out() -> None:
    made = recorded(preamble("+1024"), data(np.arange(1024)))
    assert made.read(1).codes.tolist() == list(range(1000))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"xinc": "+2.0E-09"}, "a sample every 2e-09 s"),
        ({"xor": "-1.0E-07"}, "from -1e-07 s on"),
        ({"points": "+500"}, "500 samples"),
    ],
)
def test_a_record_that_was_not_asked_for(change: dict[str, str], message: str) -> None:
    made = recorded(preamble(**change))
    with pytest.raises(InstrumentReply, match=message):
        made.read(1)


@pytest.mark.parametrize("reply", ["+0,+3,+1000,+1,1,0,0,1,0,0", "+1,+3", "1,2,3,4,5,6,7,8,9,x"])
def test_a_preamble_that_is_none(reply: str) -> None:
    made = recorded((PREAMBLE_QUERY, reply))
    with pytest.raises(InstrumentReply, match=r"PREamble|scope"):
        made.read(1)


def test_too_few_samples() -> None:
    made = recorded(preamble(), data(np.zeros(999)))
    with pytest.raises(InstrumentReply, match="999 samples, 1000 are due"):
        made.read(1)


def test_arming_waits_for_the_trigger_to_be_ready() -> None:
    made, visa, clock = scope((ARM, NOT_YET), (":AER?", "+0"), (":AER?", "+1"))
    made.arm()
    assert clock.now() > 0
    visa.finished()


def test_an_arming_that_never_comes() -> None:
    made, _, clock = scope((ARM, NOT_YET), *[(":AER?", "+0")] * 30_000)
    with pytest.raises(InstrumentTimeout, match="ready"):
        made.arm()
    assert clock.now() == pytest.approx(TRIGGER_TIMEOUT_S, rel=0.01)


def test_waiting_for_a_trigger_that_comes_late() -> None:
    waiting = [(":OPERegister:CONDition?;:TER?", "+40;+0")] * 5
    made, visa, clock = scope(
        *waiting,
        (":OPERegister:CONDition?;:TER?", "+8;+1"),
        (":OPERegister:CONDition?;:TER?", "+0;+0"),
    )
    made.wait()
    assert clock.now() > 0
    visa.finished()


def test_no_trigger() -> None:
    made, _, clock = scope(*[(":OPERegister:CONDition?;:TER?", "+40;+0")] * 2000)
    with pytest.raises(InstrumentTimeout, match="no trigger came within 10 s"):
        made.wait()
    assert clock.now() == pytest.approx(TRIGGER_TIMEOUT_S, rel=0.01)


def test_somebody_stopped_it() -> None:
    made, _, _ = scope((":OPERegister:CONDition?;:TER?", "+0;+0"))
    with pytest.raises(InstrumentReply, match="stopped before"):
        made.wait()


@pytest.mark.parametrize(
    ("ranges", "interval_s", "samples"),
    [
        ({}, 1e-9, 1000),
        ({3: 0.4}, 1e-9, 1000),
        ({1: 100.0}, 1e-9, 1000),
        ({1: 0.4}, 1e-11, 1000),
        ({1: 0.4}, 0.0, 1000),
        ({1: 0.4}, 1e-9, 0),
        ({1: 0.4}, 1e-9, 5_000_000),
    ],
)
def test_what_is_not_configured(ranges: dict[int, float], interval_s: float, samples: int) -> None:
    visa = ScriptedVisa(OPENING)
    made = InfiniiVision("scope", RESOURCE, VisaLibrary(visa), SteppedClock())
    made.open()
    with pytest.raises(LimitError):
        made.configure(ranges, interval_s, samples)
    with pytest.raises(InstrumentError, match="not been configured"):
        made.arm()
    visa.finished()


def test_a_channel_that_records_nothing() -> None:
    made = recorded()
    with pytest.raises(LimitError, match="records nothing"):
        made.read(2)


def test_safe_state() -> None:
    made, visa, _ = scope(*checked(":STOP", error=OK))
    assert made.safe_state().dark
    visa.finished()


def test_nothing_is_read_before_a_record_was_taken() -> None:
    made, visa, _ = scope((ARM, ARMED))
    with pytest.raises(InstrumentError, match="recorded nothing"):
        made.read(1)
    made.arm()
    with pytest.raises(InstrumentError, match="recorded nothing"):
        made.read(1)
    visa.finished()


SHORTER = RECORD.format("5e-07", "5e-08", 500) + ";" + ARM


def test_another_length_goes_out_with_the_next_arming_and_has_its_own_preamble() -> None:
    shorter: Script = [(SHORTER, ARMED), SHOT[1]]
    made, visa, _ = scope(
        *SHOT,
        preamble(),
        data(np.zeros(1000)),
        *shorter,
        preamble("+500"),
        data(np.ones(500)),
        (RECORD.format("1e-06", "1e-07", 1000) + ";" + ARM, ARMED),
        SHOT[1],
        data(np.full(1000, 2)),
    )
    made.arm()
    made.wait()
    assert len(made.read(1).codes) == 1000
    made.configure({1: 0.4}, 1e-9, 500)
    with pytest.raises(InstrumentError, match="recorded nothing"):
        made.read(1)
    made.arm()
    made.wait()
    assert made.read(1).codes.tolist() == [1] * 500
    made.configure({1: 0.4}, 1e-9, 1000)
    made.arm()
    made.wait()
    assert made.read(1).codes.tolist() == [2] * 1000
    visa.finished()


def test_the_same_record_again_sends_nothing_and_the_last_length_counts() -> None:
    made, visa, _ = scope(*SHOT, (SHORTER, ARMED), SHOT[1], *SHOT)
    made.configure({1: 0.4}, 1e-9, 1000)
    made.arm()
    made.wait()
    for samples in (800, 500, 500):
        made.configure({1: 0.4}, 1e-9, samples)
    for _ in range(2):
        made.arm()
        made.wait()
    visa.finished()


def test_other_inputs_are_set_up_anew() -> None:
    made, visa, _ = scope(*checked(CONFIGURE.replace("RANGe 0.4", "RANGe 0.8"), error=OK), *SHOT)
    made.configure({1: 0.4}, 1e-9, 500)
    made.configure({1: 0.8}, 1e-9, 1000)
    made.arm()
    made.wait()
    visa.finished()


def test_a_refused_record_length_is_reported_and_not_forgotten() -> None:
    refused = '+0;+0;+1;-222,"Data out of range;no such record"'
    made, visa, _ = scope((SHORTER, refused), (":SYSTem:ERRor?", OK), (SHORTER, ARMED))
    made.configure({1: 0.4}, 1e-9, 500)
    with pytest.raises(InstrumentRefused, match="-222 Data out of range;no such record"):
        made.arm()
    made.arm()
    visa.finished()


def test_a_configuration_that_was_refused_is_none() -> None:
    louder = CONFIGURE.replace("RANGe 0.4", "RANGe 0.8")
    made, visa, _ = scope(
        *checked(louder, error='-221,"Settings conflict"'),
        (":SYSTem:ERRor?", OK),
        *checked(CONFIGURE, error=OK),
    )
    with pytest.raises(InstrumentRefused):
        made.configure({1: 0.8}, 1e-9, 1000)
    with pytest.raises(InstrumentError, match="not been configured"):
        made.arm()
    made.configure({1: 0.4}, 1e-9, 1000)
    visa.finished()


def test_configuring_on_a_line_that_it_renews_counts() -> None:
    """The new record length is not all that a renewed line needs: everything is sent, and once."""
    visa = ScriptedVisa(
        [*CONFIGURED, (":OPERegister:CONDition?;:TER?", None)],
        [IDENTITY, (":SYSTem:ERRor?", OK), *checked(CONFIGURE, error=OK), *SHOT],
    )
    made = InfiniiVision("scope", RESOURCE, VisaLibrary(visa), SteppedClock())
    made.open()
    made.configure({1: 0.4}, 1e-9, 1000)
    with pytest.raises(InstrumentTimeout):
        made.wait()
    with pytest.raises(InstrumentLost, match="renewed"):
        made.arm()
    made.configure({1: 0.4}, 1e-9, 1000)
    made.arm()
    made.wait()
    visa.finished()


def test_the_first_message_after_a_failure_may_be_the_configuration() -> None:
    visa = ScriptedVisa(
        [*OPENING, (":SYSTem:ERRor?", None)],
        [IDENTITY, *checked(CONFIGURE, error=OK), *SHOT],
    )
    made = InfiniiVision("scope", RESOURCE, VisaLibrary(visa), SteppedClock())
    made.open()
    with pytest.raises(InstrumentTimeout):
        made.problems()
    made.configure({1: 0.4}, 1e-9, 1000)
    made.arm()
    made.wait()
    visa.finished()


# --- on the simulated oscilloscope --------------------------------------------------------------


def test_another_client_reads_the_same_volts(tmp_path: Path) -> None:
    """Volts in ASCII, computed by the unit itself, against our codes and preamble."""
    with bench_with(tmp_path, "server_scope") as bench:
        light, generator = bench.get(Laser, "laser"), bench.get(WaveformGenerator, "server_awg")
        made, samples = bench.get(Digitizer, "server_scope"), 4800
        light.set_power(10e-3)
        light.set_emission(True)
        generator.configure(125e6, {1: 0.7, 2: 0.7})
        generator.load(1, dict.fromkeys((1, 2), np.zeros(samples, np.int16)))
        made.configure({1: 0.4, 2: 0.4}, 8e-9, samples)
        made.arm()
        generator.play(1, 1)
        made.wait()
        trace = made.read(2)
        line = bench.library.connect("reader", bench.config.instruments["server_scope"].resource)
        line.open()
        line.write(":WAVeform:FORMat ASCii;:WAVeform:SOURce CHANnel2")
        volts = np.array([float(field) for field in bytes(line.query_block(":WAVeform:DATA?")).decode().split(",")])
        assert volts.shape == (samples,)
        assert np.std(volts) > 0
        assert np.allclose(volts, trace.volts(), rtol=1e-5, atol=1e-9)
