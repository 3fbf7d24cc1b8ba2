"""MSO 5 and 6 Series: messages of a shot, what makes a record one that was asked for, all kinds of simulated unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drivers.santec_tsl570 import TSL570
from drivers.tektronix_mso import MSO
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import InstrumentError, InstrumentRefused, InstrumentReply, InstrumentTimeout, LimitError
from labctl.shipped import bench_path
from labctl.values import Range
from sim_backends.lab import open_lab
from tests.drivers.scripted import Answer, Script, ScriptedVisa

RESOURCE = "TCPIP0::192.168.10.42::4000::SOCKET"
EVENTS = ":HEADer OFF;*ESR?;:ALLEv?"
NONE = '0,"No events to report - queue empty"'
OK = f"0;{NONE}"
OPENING: Script = [("*IDN?", "TEKTRONIX,MSO54,C000001,CF:91.1CT FV:2.2.6"), (EVENTS, OK)]
RECORD = ":HORizontal:SAMPLERate {};:HORizontal:RECOrdlength {};:DATa:STARt 1;:DATa:STOP {};:DATa:RESample {}"
CONFIGURE = (
    ":HEADer OFF;:ACQuire:STATE STOP;:ACQuire:MODe HIRes;:ACQuire:STOPAfter SEQuence;:DISplay:GLObal:CH1:STATE 1;"
    ":DISplay:GLObal:CH2:STATE 0;:DISplay:GLObal:CH3:STATE 0;:DISplay:GLObal:CH4:STATE 0;"
    ":CH1:COUPling DC;:CH1:TERmination 50;:CH1:POSition 0;:CH1:SCAle 0.04;:CH1:OFFSet 0;"
    ":HORizontal:MODe MANual;:HORizontal:DELay:MODe OFF;:HORizontal:POSition 0;:HORizontal:FASTframe:STATE OFF;"
    ":TRIGger:A:TYPe EDGE;:TRIGger:A:EDGE:SOUrce AUXiliary;:TRIGger:A:EDGE:SLOpe RISe;:TRIGger:AUXLevel 0.5;"
    ":TRIGger:A:MODe NORMal;:DATa:ENCdg SRIbinary;:DATa:WIDth 2;"
)
ARM = f":ACQuire:STATE RUN;:TRIGger:STATE?;{EVENTS}"
PROGRESS = ":ACQuire:STATE?;:ACQuire:NUMACq?"
PREAMBLE = (
    ":DATa:SOUrce CH1;:WFMOutpre:BYT_Nr?;:WFMOutpre:BN_Fmt?;:WFMOutpre:BYT_Or?;:WFMOutpre:YMUlt?;:WFMOutpre:YOFf?"
    ";:WFMOutpre:YZEro?;:WFMOutpre:XZEro?;:WFMOutpre:PT_Off?;:HORizontal:SAMPLERate?;:HORizontal:RECOrdlength?;"
    + EVENTS
)
CURVE = ":DATa:SOUrce CH1;:CURVe?"
SHOT: Script = [(ARM, f"READY;{OK}"), (PROGRESS, "0;1")]


def preamble(form: str = "2;RI;LSB", trigger: str = "0", rate: str = "125.0E+6", points: str = "2000") -> str:
    return f"{form};6.25E-6;0.0E+0;1.0E-3;0.0E+0;{trigger};{rate};{points};{OK}"


def scope(
    *pairs: tuple[bytes | str, Answer], samples: int = 2000, interval_s: float = 8e-9
) -> tuple[MSO, ScriptedVisa]:
    """Configured; the shortest message sets ``samples`` at 125 MSa/s."""
    record = RECORD.format(125000000, 2000, 2000, 1)
    visa = ScriptedVisa([*OPENING, (CONFIGURE + record, None), (EVENTS, OK), *pairs])
    made = MSO("scope", RESOURCE, VisaLibrary(visa), SteppedClock())
    made.open()
    made.configure({1: 0.4}, interval_s, samples)
    return made, visa


def recorded(*pairs: tuple[bytes | str, Answer]) -> MSO:
    made, _ = scope(*SHOT, *pairs)
    made.arm()
    made.wait()
    return made


def curve(codes: np.ndarray) -> tuple[str, bytes]:
    data = codes.astype("<i2").tobytes()
    return CURVE, b"#%d%d" % (len(str(len(data))), len(data)) + data + b"\n"


def test_a_shot_message_by_message() -> None:
    codes = np.arange(-1000, 1000) * 16 + 10  # 0x0A among the bytes
    made = recorded((PREAMBLE, preamble()), curve(codes), curve(codes))
    trace = made.read(1)
    assert np.array_equal(trace.codes, codes)
    assert trace.volts()[0] == pytest.approx(codes[0] * 6.25e-6 + 1e-3)
    assert trace.x_increment_s == pytest.approx(8e-9)
    assert np.array_equal(made.read(1).codes, codes), "the preamble is read once"


def test_the_converters_ends_count_as_clipped() -> None:
    codes = np.zeros(2000, np.int16)
    codes[:4] = -32768, -32512, 32512, 32511
    assert recorded((PREAMBLE, preamble()), curve(codes)).read(1).clipped() == 3


@pytest.mark.parametrize(
    "reply",
    [
        preamble("1;RI;LSB"),
        preamble("2;RI;MSB"),
        preamble(rate="124.0E+6"),
        preamble(trigger="1000"),
        preamble(points="1000"),
        f"2;RI;LSB;nonsense;{OK}",
    ],
)
def test_another_record_than_was_asked_for_is_an_error(reply: str) -> None:
    with pytest.raises(InstrumentReply):
        recorded((PREAMBLE, reply)).read(1)


def test_too_few_samples_are_an_error() -> None:
    with pytest.raises(InstrumentReply, match="1999"):
        recorded((PREAMBLE, preamble()), curve(np.zeros(1999))).read(1)


def test_events_are_told() -> None:
    made, visa = scope((ARM, 'READY;48;222,"Data out of range",113,"Undefined header; FOO"'), (EVENTS, OK))
    with pytest.raises(InstrumentRefused, match=r"222 Data out of range.*113"):
        made.arm()
    visa.finished()


def test_a_record_of_another_length_goes_out_with_the_arming() -> None:
    made, visa = scope(
        (RECORD.format(125000000, 1000, 1000, 1) + ";" + ARM, f"ARMED;{OK}"), (":TRIGger:STATE?", "READY")
    )
    made.configure({1: 0.4}, 8e-9, 600)  # the shortest record is 1000
    made.arm()
    visa.finished()


def test_waiting() -> None:
    made, _ = scope((ARM, f"READY;{OK}"), *[(PROGRESS, "1;0")] * 600)
    made.arm()
    with pytest.raises(InstrumentTimeout, match="no trigger"):
        made.wait()
    made, _ = scope((ARM, f"READY;{OK}"), (PROGRESS, "1;0"), (PROGRESS, "0;0"))
    made.arm()
    with pytest.raises(InstrumentReply, match="stopped"):
        made.wait()
    made, _ = scope((ARM, f"READY;{OK}"), (PROGRESS, "0"))
    made.arm()
    with pytest.raises(InstrumentReply, match="two numbers"):
        made.wait()
    made, _ = scope()
    with pytest.raises(InstrumentError, match="nothing yet"):
        made.read(1)


@pytest.mark.parametrize(
    ("interval_s", "samples", "rate_hz", "step"),
    [
        (8e-9, 100, 125e6, 1),
        (432 * 8e-9, 784, 125e6, 432),
        (100 * 8e-9, 784, 125e6, 100),
        (448 * 8e-9, 784, 125e6, 448),
        (0.32e-9, 100, 3.125e9, 1),
        (2e-9, 784, 12.5e9, 25),  # a 6 Series has it
    ],
)
def test_the_slowest_rate_that_holds_all_samples(interval_s: float, samples: int, rate_hz: float, step: int) -> None:
    made = MSO("scope", RESOURCE, VisaLibrary(ScriptedVisa([])), SteppedClock())
    made.capabilities = replace(made.capabilities, sample_rate_hz=Range(12.5, 12.5e9))
    assert made._record_rate(1 / interval_s, samples) == (pytest.approx(rate_hz), step)


def test_what_it_cannot_record_is_refused() -> None:
    made, visa = scope()
    with pytest.raises(LimitError, match="whole part"):
        made.configure({1: 0.4}, 7e-9, 100)
    with pytest.raises(LimitError, match="each 125000th"):
        made.configure({1: 0.4}, 1e-3, 1_000_000)
    visa.finished()


# ---- with the simulated unit ------------------------------------------------------------------


@pytest.fixture
def shot_noise(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[MSO, object]]:
    """An MSO of any kind behind the server's receiver, with the local oscillator on: 20 mV a sqrt(SNU)."""
    text = bench_path("ideal").read_text(encoding="utf-8")
    text = text.replace("192.168.10.42::5025", "192.168.10.42::4000")
    text = text.replace(
        'server_scope = { model = "keysight_infiniivision" }',
        f'server_scope = {{ model = "tektronix_mso"{request.param} }}',
    )
    path = tmp_path / "tek.bench.toml"
    path.write_text(text, encoding="utf-8")
    library = VisaLibrary(f"{path}@labctl")
    library.control().set_stepped_clock(True)
    lab = open_lab(str(path))
    laser = TSL570("laser", "TCPIP0::192.168.10.11::5000::SOCKET", library, library.clock())
    laser.open()
    laser.set_power(10e-3)
    laser.set_emission(True)
    made = MSO("server_scope", RESOURCE, library, library.clock())
    made.open()
    yield made, lab
    lab.close()
    library.close()


@pytest.mark.parametrize(
    "shot_noise",
    [
        "",
        ", variant = 'MSO58'",
        ", any_rate = true",
        ", resampled_increment = false",
        ", arming_s = 0.3",
        ", bits = 12",
        ", bits = 8",
    ],
    indirect=True,
)
@pytest.mark.parametrize("every", [1, 7])
def test_every_kind_of_unit_records_shot_noise(shot_noise: tuple[MSO, object], every: int) -> None:
    """5000 samples: the standard error of the deviation is 1 %, four are allowed (6e-5 a figure, fixed seed)."""
    made, lab = shot_noise
    made.configure({1: 0.4, 2: 0.4}, every * 8e-9, 5000)
    made.arm()
    lab.world.fire_trigger("server_awg")
    made.wait()
    for channel in (1, 2):
        trace = made.read(channel)
        assert trace.codes.shape == (5000,)
        assert trace.x_increment_s == pytest.approx(every * 8e-9)
        assert np.std(trace.volts()) == pytest.approx(20e-3, rel=0.04)
        assert trace.clipped() == 0
    assert made.snapshot()["acquire_mode"] == "HIRES"
    assert list(made.problems()) == []


@pytest.mark.parametrize("shot_noise", ["", ", bits = 12", ", bits = 8"], indirect=True)
def test_what_lies_outside_is_flagged(shot_noise: tuple[MSO, object]) -> None:
    """Half the range and 1.6 % are 1.016 deviations: 31 % lie outside; standard error 0.7 %, four are allowed."""
    made, lab = shot_noise
    made.configure({1: 40e-3}, 8e-9, 5000)
    made.arm()
    lab.world.fire_trigger("server_awg")
    made.wait()
    assert made.read(1).clipped() / 5000 == pytest.approx(0.31, abs=0.027)
