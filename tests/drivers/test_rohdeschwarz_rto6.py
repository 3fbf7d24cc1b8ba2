"""RTO6: messages of a shot, and what makes a record one that was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.rohdeschwarz_rto6 import RTO6, TRIGGER_TIMEOUT_S
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import InstrumentError, InstrumentRefused, InstrumentReply, InstrumentTimeout, LimitError
from tests.drivers.scripted import Answer, Script, ScriptedVisa

RESOURCE = "TCPIP0::192.168.10.42::5025::SOCKET"
OK = '0,"No error"'
OPENING: Script = [
    ("*IDN?", "Rohde&Schwarz,RTO,1802.0001k04/100001,5.20.1.0"),
    (":SYSTem:ERRor?", OK),
    (":DIAGnostic:SERVice:WFAModel?", "RTO1012"),
]
RECORD = ":TIMebase:RANGe {};:ACQuire:SRATe 1000000000"
CONFIGURE = (
    ":STOP;:HDEFinition:STATe 1;:HDEFinition:BWIDth 100000000;:CHANnel1:STATe 1;:CHANnel2:STATe 0;"
    ":CHANnel1:COUPling DC;:CHANnel1:BANDwidth FULL;:CHANnel1:INVert 0;:CHANnel1:TYPE SAMPle;"
    ":CHANnel1:ARIThmetics OFF;:CHANnel1:SCALe 0.04;:CHANnel1:POSition 0;:CHANnel1:OFFSet 0;"
    ":TIMebase:REFerence 0;:TIMebase:HORizontal:POSition 0;:ACQuire:POINts:AUTO RESolution;"
    ":TRIGger1:SOURce EXTernanalog;:TRIGger1:TYPE EDGE;:TRIGger1:EDGE:SLOPe POSitive;:TRIGger1:LEVel5 0.5;"
    ":TRIGger1:MODE NORMal;:ACQuire:COUNt 1;:EXPort:WAVeform:INCXvalues OFF;:EXPort:WAVeform:MULTichannel OFF;"
    ":FORMat:DATA INT,16;:FORMat:BORDer LSBFirst;"
) + RECORD.format("2e-06")
CONFIGURED: Script = [*OPENING, (f"{CONFIGURE};:HDEFinition:RESolution?;:SYSTem:ERRor?", f"14;{OK}")]
CONDITION = ":STATus:OPERation:CONDition?"
ARM = f":SINGle;{CONDITION};:SYSTem:ERRor?"
PROGRESS = f"{CONDITION};:ACQuire:CURRent?"
PREAMBLE = (
    ":CHANnel1:DATA:HEADer?;:CHANnel1:SCALe?;:CHANnel1:OFFSet?;:CHANnel1:POSition?;:ACQuire:SRATe?"
    ";:FORMat:DATA?;:FORMat:BORDer?;:SYSTem:ERRor?"
)
SHOT: Script = [(ARM, f"24;{OK}"), (PROGRESS, "24;0"), (PROGRESS, "16;0"), (PROGRESS, "0;1")]


def preamble(
    header: str = "0,1.999E-6,2000,1", position: str = "0", rate: str = "1E9", form: str = "INT,16;LSBF"
) -> tuple[str, str]:
    return PREAMBLE, f"{header};0.04;0.001;{position};{rate};{form};{OK}"


def data(codes: np.ndarray) -> tuple[str, bytes]:
    payload = codes.astype("<i2").tobytes()
    return ":CHANnel1:DATA?", b"#4%04d" % len(payload) + payload + b"\n"


def scope(*pairs: tuple[bytes | str, Answer]) -> tuple[RTO6, ScriptedVisa, SteppedClock]:
    visa, clock = ScriptedVisa([*CONFIGURED, *pairs]), SteppedClock()
    made = RTO6("scope", RESOURCE, VisaLibrary(visa), clock)
    made.open()
    made.configure({1: 0.4}, 1e-9, 2000)
    return made, visa, clock


def recorded(*pairs: tuple[bytes | str, Answer]) -> RTO6:
    made, _, _ = scope(*SHOT, *pairs)
    made.arm()
    made.wait()
    return made


def test_a_shot_and_its_volts() -> None:
    codes = np.arange(-1000, 1000, dtype=np.int16)
    codes[:2] = 32512, -32768
    made = recorded(preamble(), data(codes), data(codes))
    assert made.capabilities.channels == 2
    assert made.capabilities.bits == 14
    trace = made.read(1)
    assert np.array_equal(trace.codes, codes)
    assert trace.volts()[1000] == pytest.approx(0.001)
    assert trace.volts()[1999] == pytest.approx(0.001 + 999 * 0.4 / (253 * 256))
    assert trace.clipped() == 2
    assert (trace.x_origin_s, trace.x_increment_s) == (0.0, pytest.approx(1e-9))
    made.read(1)  # the header is asked for once


def test_another_length_goes_out_with_the_next_arm_and_a_short_record_is_cut() -> None:
    arm = f"{RECORD.format('1e-06')};{ARM}"
    made, visa, _ = scope((arm, f"24;{OK}"), (PROGRESS, "0;1"), preamble("0,1E-6,1000,1"), data(np.arange(1000)))
    made.configure({1: 0.4}, 1e-9, 100)
    made.arm()
    made.wait()
    assert np.array_equal(made.read(1).codes, np.arange(100))
    visa.finished()


def test_it_waits_until_it_is_ready() -> None:
    made, visa, clock = scope((ARM, f"16;{OK}"), (CONDITION, "16"), (CONDITION, "24"))
    made.arm()
    assert clock.now() > 0
    visa.finished()


def test_a_run_that_does_not_begin() -> None:
    made, _, _ = scope((ARM, f"0;{OK}"))
    with pytest.raises(InstrumentReply, match="stands still"):
        made.arm()


def test_a_trigger_that_does_not_come_and_a_stop_before_it() -> None:
    made, _, clock = scope((ARM, f"24;{OK}"), *[(PROGRESS, "24;0")] * 600)
    made.arm()
    with pytest.raises(InstrumentTimeout, match="no trigger"):
        made.wait()
    assert clock.now() == pytest.approx(TRIGGER_TIMEOUT_S, abs=0.1)
    made, _, _ = scope((ARM, f"24;{OK}"), (PROGRESS, "0;0"))
    made.arm()
    with pytest.raises(InstrumentReply, match="stopped before"):
        made.wait()


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (preamble("0,3.998E-6,2000,1", rate="5E8"), "a sample every"),
        (preamble("-1E-6,0.999E-6,2000,1"), "from -1e-06 s on"),
        (preamble(position="1.5"), "at position 1.5"),
        (preamble("0,1.899E-6,1900,1"), "1900 samples"),
        (preamble("0,1.999E-6,2000,2"), "2 values a sample"),
        (preamble(form="REAL,32;LSBF"), "REAL,32"),
        (preamble(form="INT,16;MSBF"), "MSBF"),
        ((PREAMBLE, f"nonsense;{OK}"), "no header"),
    ],
)
def test_a_record_that_was_not_asked_for(answer: tuple[str, str], wrong: str) -> None:
    made = recorded(answer)
    with pytest.raises(InstrumentReply, match=wrong):
        made.read(1)


def test_too_few_samples() -> None:
    made = recorded(preamble(), data(np.arange(500)))
    with pytest.raises(InstrumentReply, match="500 samples, 2000 are due"):
        made.read(1)


def test_reading_in_the_wrong_order() -> None:
    made, _, _ = scope()
    with pytest.raises(InstrumentError, match="recorded nothing"):
        made.read(1)
    with pytest.raises(LimitError, match="channel 2 records nothing"):
        recorded().read(2)


def test_a_model_that_is_not_told_has_four_channels() -> None:
    answers: Script = [(":SYSTem:ERRor?", '-113,"Undefined header"'), (":SYSTem:ERRor?", OK)]
    visa = ScriptedVisa([*OPENING[:2], (OPENING[2][0], None)], [OPENING[0], *answers])
    made = RTO6("scope", RESOURCE, VisaLibrary(visa), SteppedClock())
    made.open()
    assert made.capabilities.channels == 4


def test_without_high_definition_the_refusal_is_told() -> None:
    entry = '-241,"Hardware missing;option K17"'
    answers: Script = [(f"{CONFIGURE};:HDEFinition:RESolution?;:SYSTem:ERRor?", f"8;{entry}"), (":SYSTem:ERRor?", OK)]
    made = RTO6("scope", RESOURCE, VisaLibrary(ScriptedVisa([*OPENING, *answers])), SteppedClock())
    made.open()
    with pytest.raises(InstrumentRefused, match="K17"):
        made.configure({1: 0.4}, 1e-9, 2000)
