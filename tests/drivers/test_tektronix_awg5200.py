"""AWG5200 and AWG70000: messages to the byte, and what is refused before it is sent."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.scpi import make_block
from drivers.tektronix_awg5200 import AWG5200
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import (
    ConfigError,
    InstrumentRefused,
    InstrumentReply,
    InstrumentTimeout,
    LimitError,
)
from tests.drivers.scripted import Answer, Script, ScriptedVisa, checked

RESOURCE = "TCPIP0::192.168.10.21::4000::SOCKET"
OK = '0,"No error"'
LIMITS = (
    ":AWGControl:CONFigure:CNUMber?;:WLISt:WAVeform:LMINimum?;:WLISt:WAVeform:LMAXimum?;:WLISt:WAVeform:GRANularity?"
    ";*OPT?;:SYSTem:ERRor?"
)
CONFIGURE = (
    ":AWGControl:STOP:IMMediate;:INSTrument:MODE AWG;:SOURce1:CASSet:CLEar;:SOURce2:CASSet:CLEar;"
    ":SLISt:SEQuence:DELete ALL;:WLISt:WAVeform:DELete ALL;:CLOCk:SOURce INTernal;:CLOCk:SRATe 125000000;"
    ":TRIGger:SLOPe POSitive,ATRigger;:SOURce2:DAC:RESolution 15;"
    ":SOURce2:VOLTage:LEVel:IMMediate:AMPLitude 0.5;:OUTPut2:SVALue:ANALog:STATe ZERO;"
    ":OUTPut2:WVALue:ANALog:STATe ZERO;*WAI"
)
RUN = ":AWGControl:RUN:IMMediate;*WAI;:AWGControl:RSTATe?;:SYSTem:ERRor?"


def opening(model: str = "AWG5202", limits: str = "2;2400;2000000000;1;50") -> Script:
    return [("*IDN?", f"TEKTRONIX,{model},B010100,FV:6.7"), (":SYSTem:ERRor?", OK), (LIMITS, f"{limits};{OK}")]


def generator(*pairs: tuple[bytes | str, Answer]) -> tuple[AWG5200, ScriptedVisa]:
    """Channel 2 of two, configured."""
    visa = ScriptedVisa([*opening(), *checked(CONFIGURE), *pairs])
    made = AWG5200("awg", RESOURCE, VisaLibrary(visa), SteppedClock())
    made.open()
    made.configure(125e6, {2: 0.5})
    return made, visa


def message(*parts: str | bytes) -> bytes:
    return b"".join(part.encode() if isinstance(part, str) else part for part in parts) + b"\n"


def marks(length: int, tiles: int = 1) -> bytes:
    return make_block((b"\xf0" * 64).ljust(length, b"\0") * tiles)


def block(codes: NDArray[np.int16], total: int = 0) -> bytes:
    volts = np.zeros(max(total, len(codes)), "<f4")
    volts[: len(codes)] = codes / np.float32(16383)
    return make_block(volts.tobytes())


# ---- messages ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "limits", "bits", "rate_hz", "amplitude_v"),
    [
        ("AWG5208", "8;2400;2000000000;1;50,DC", 15, 5e9, 1.5),
        ("AWG5204", "4;2400;2000000000;1;25", 15, 2.5e9, 0.75),
        ("AWG70001A", "1;4800;2000000000;1;150", 9, 50e9, 0.5),
        ("AWG70002A", "2;4800;2000000000;1;0", 9, 25e9, 0.5),
        ("AWG70002A", '2;4800;2000000000;1;"208,03"', 9, 8e9, 0.5),
    ],
)
def test_capabilities_are_those_of_the_model(
    model: str, limits: str, bits: int, rate_hz: float, amplitude_v: float
) -> None:
    made = AWG5200("awg", RESOURCE, VisaLibrary(ScriptedVisa(opening(model, limits))), SteppedClock())
    made.open()
    can = made.capabilities
    assert (can.channels, can.bits, can.code_max) == (int(limits[0]), bits, 2 ** (bits - 1) - 1)
    assert (can.sample_rate_hz.high, can.amplitude_vpp.high) == (rate_hz, amplitude_v)
    assert can.min_length < 10, "short rows are the driver's business"


def test_wrong_options_are_refused() -> None:
    library = VisaLibrary(ScriptedVisa([]))
    for wrong in ({"bits": 17}, {"sequence_wait": "never"}):
        with pytest.raises(ConfigError):
            AWG5200("awg", RESOURCE, library, SteppedClock(), **wrong)


def test_limits_that_are_no_numbers_are_refused() -> None:
    made = AWG5200("awg", RESOURCE, VisaLibrary(ScriptedVisa(opening(limits="2;many;0;1;0"))), SteppedClock())
    with pytest.raises(InstrumentReply, match="limits"):
        made.open()


def test_a_long_segment_is_loaded_as_it_is_and_armed_as_a_sequence() -> None:
    codes = (np.arange(2400) % 7 - 3).astype(np.int16)
    made, visa = generator(
        (
            message(
                ':WLISt:WAVeform:NEW "c0_2_1_2400",2400,REAL;:WLISt:WAVeform:MARKer:DATA "c0_2_1_2400",0,2400,',
                marks(2400),
                ';:WLISt:WAVeform:DATA "c0_2_1_2400",0,2400,',
                block(codes),
                ";*WAI",
            ),
            None,
        ),
        (":SYSTem:ERRor?", OK),
        (
            ':SLISt:SEQuence:NEW "s0_1_2400_784",1,1;'
            ':SLISt:SEQuence:STEP1:TASSet1:WAVeform "s0_1_2400_784","c0_2_1_2400";'
            ':SLISt:SEQuence:STEP1:RCOunt "s0_1_2400_784",784;:SLISt:SEQuence:STEP1:GOTO "s0_1_2400_784",END;'
            ':SLISt:SEQuence:STEP1:WINPut "s0_1_2400_784",OFF;:SOURce2:CASSet:SEQuence "s0_1_2400_784",1;'
            ":SOURce2:RMODe TRIGgered;:SOURce2:TINPut ATRigger;" + RUN,
            f"1;{OK}",
        ),
        (":AWGControl:STOP:IMMediate;" + RUN, f"1;{OK}"),
        (
            ':AWGControl:STOP:IMMediate;:SOURce2:CASSet:WAVeform "c0_2_1_2400";:SOURce2:RMODe TRIGgered;'
            ":SOURce2:TINPut BTRigger;" + RUN.replace("RSTATe?;", "RSTATe?;:TRIGger:IMMediate BTRigger;"),
            f"1;{OK}",
        ),
    )
    made.load(1, {2: codes})
    made.arm(1, 784, external=True)
    made.arm(1, 784, external=True)
    made.play(1, 1)
    visa.finished()


def test_a_short_segment_is_loaded_and_armed_in_one_message_and_overwritten_alone() -> None:
    codes, other = (np.full(432, value, np.int16) for value in (10, 16383))
    name = "c0_2_3_3024"
    load = f':WLISt:WAVeform:DATA "{name}",0,3024,'
    made, visa = generator(
        (
            message(
                f':WLISt:WAVeform:NEW "{name}",3024,REAL;:WLISt:WAVeform:MARKer:DATA "{name}",0,3024,',
                marks(432, 7),
                ";" + load,
                block(np.tile(codes, 7)),
                ';:SLISt:SEQuence:NEW "s0_3_3024_112",1,1;'
                f':SLISt:SEQuence:STEP1:TASSet1:WAVeform "s0_3_3024_112","{name}";'
                ':SLISt:SEQuence:STEP1:RCOunt "s0_3_3024_112",112;:SLISt:SEQuence:STEP1:GOTO "s0_3_3024_112",END;'
                ':SLISt:SEQuence:STEP1:WINPut "s0_3_3024_112",OFF;:SOURce2:CASSet:SEQuence "s0_3_3024_112",1;'
                ":SOURce2:RMODe TRIGgered;:SOURce2:TINPut ATRigger;" + RUN,
            ),
            f"1;{OK}",
        ),
        (message(":AWGControl:STOP:IMMediate;" + load, block(np.tile(other, 7)), ";" + RUN), f"1;{OK}"),
    )
    made.load_and_arm(3, {2: codes}, 784, external=True)
    made.load_and_arm(3, {2: other}, 784, external=True)
    visa.finished()


NEW = (
    ':SLISt:SEQuence:NEW "s0_1_2400_5",1,1;:SLISt:SEQuence:STEP1:TASSet1:WAVeform "s0_1_2400_5","c0_2_1_2400";'
    ':SLISt:SEQuence:STEP1:RCOunt "s0_1_2400_5",5;:SLISt:SEQuence:STEP1:GOTO "s0_1_2400_5",END;'
    ':SLISt:SEQuence:STEP1:WINPut "s0_1_2400_5",OFF;:SOURce2:CASSet:SEQuence "s0_1_2400_5",1;'
    ":SOURce2:RMODe TRIGgered;:SOURce2:TINPut ATRigger;" + RUN
)


def loaded(*pairs: tuple[bytes | str, Answer]) -> tuple[AWG5200, ScriptedVisa]:
    codes = np.ones(2400, np.int16)
    new = ':WLISt:WAVeform:NEW "c0_2_1_2400",2400,REAL;:WLISt:WAVeform:MARKer:DATA "c0_2_1_2400",0,2400,'
    data = ';:WLISt:WAVeform:DATA "c0_2_1_2400",0,2400,'
    load = message(new, marks(2400), data, block(codes), ";*WAI")
    made, visa = generator((load, None), (":SYSTem:ERRor?", OK), *pairs)
    made.load(1, {2: codes})
    return made, visa


def test_a_refusal_names_all_entries() -> None:
    made, visa = loaded(
        (NEW, '0;-221,"Settings conflict"'), (":SYSTem:ERRor?", '-222,"Data out of range"'), (":SYSTem:ERRor?", OK)
    )
    with pytest.raises(InstrumentRefused, match=r"-221.*-222"):
        made.arm(1, 5, external=True)
    visa.finished()


def test_it_polls_until_the_channels_wait_for_their_trigger() -> None:
    made, visa = loaded((NEW, f"0;{OK}"), (":AWGControl:RSTATe?", "0"), (":AWGControl:RSTATe?", "1"))
    made.arm(1, 5, external=True)
    visa.finished()


def test_one_that_never_gets_ready_or_does_not_wait_is_an_error() -> None:
    made, _ = loaded((NEW, f"0;{OK}"), *[(":AWGControl:RSTATe?", "0")] * 1100)
    with pytest.raises(InstrumentTimeout, match="ready"):
        made.arm(1, 5, external=True)
    made, visa = loaded((NEW, f"2;{OK}"), *checked(":AWGControl:STOP:IMMediate"))
    with pytest.raises(InstrumentReply, match="without waiting"):
        made.arm(1, 5, external=True)
    visa.finished()


def test_what_cannot_be_played_is_refused_before_it_is_sent() -> None:
    made, visa = loaded()
    codes = np.ones(100, np.int16)
    for segment, wrong in ((0, codes), (1, codes[:1]), (1, codes.astype(np.int32)), (1, codes * 16384)):
        with pytest.raises(LimitError):
            made.load_and_arm(segment, {2: wrong.astype(wrong.dtype)}, 1, external=True)
    for loops in (0, 1_048_577):
        with pytest.raises(LimitError, match="loops"):
            made.arm(1, loops, external=True)
    with pytest.raises(LimitError, match="not loaded"):
        made.arm(2, 1, external=True)
    with pytest.raises(LimitError, match="not been configured"):
        made.load(1, {1: codes})
    visa.finished()
