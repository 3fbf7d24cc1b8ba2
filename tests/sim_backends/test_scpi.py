"""Message exchange and common commands of a SCPI unit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import InstrumentError
from sim_backends.scpi import command
from tests.sim_backends.rig import Client, Demo


@pytest.fixture
def demo() -> Demo:
    return Demo()


@pytest.fixture
def client(demo: Demo) -> Client:
    return Client(demo)


def test_identity_and_defaults(client: Client) -> None:
    assert client.ask("*IDN?") == "MAKER,DEMO,1,1.0"
    assert client.ask("*TST?") == "0"
    assert client.ask(":SYST:VERS?") == "1999.0"
    assert client.ask("*ESR?") == "128"


def test_several_queries_in_one_message_are_answered_in_one(client: Client) -> None:
    assert client.ask("*ESE 4;*ESE?;:INP2:GAIN 3.5DB;GAIN?;:SOUR:POW?") == "4;3.50000000E+00;1.00000000E-03"


def test_a_setting_keeps_one_value_a_suffix_and_forgets_on_reset(demo: Demo, client: Client) -> None:
    client.write(":INP1:GAIN 2;:INP2:GAIN MAX;:LAB 'a;b'")
    assert client.ask(":INP1:GAIN?;:INP2:GAIN?;:LAB?") == "2.00000000E+00;2.00000000E+01;a;b"
    assert client.ask(":INP:GAIN? MIN;GAIN? DEF") == "0.00000000E+00;3.00000000E+00"
    assert Demo.gain.at(demo, 2) == 20.0
    assert demo.label == "a;b"
    client.write("*RST")
    assert Demo.gain.at(demo, 2) == 1.0
    assert demo.label == ""


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (":NOTHING 1", -113),
        (":SOUR9:POW 1", -114),
        (":POW", -109),
        (":POW 1,2", -108),
        ("*RST 1", -108),
        (":POW 50", -222),
        (":POW 1 S", -131),
        (":POW ON", -148),
        (":TRAC:DATA 1,0,abc", -104),
        (":LIST 1,x", -148),
        (":LIST", -109),
        (":REF", -221),
        ("*ESE 256", -222),
        (":INP3:GAIN?", -114),
    ],
)
def test_errors_are_queued_with_the_code_of_the_standard(client: Client, message: str, code: int) -> None:
    client.write(message)
    assert client.read() is None
    assert client.errors() == [code]


def test_after_a_command_error_the_rest_of_the_message_is_dropped(demo: Demo, client: Client) -> None:
    client.write("*OPC?;:NONE;*OPC?")
    assert client.read() == "1"
    client.write(":REF;*OPC?")  # an execution error does not
    assert client.read() == "1"
    assert client.errors() == [-113, -221]


def test_the_error_queue_overflows_like_the_standard_says(client: Client) -> None:
    for _ in range(40):
        client.write(":REF")
    assert client.ask(":SYST:ERR:COUN?") == "30"
    assert client.errors() == [-221] * 29 + [-350]
    assert client.ask(":SYST:ERR?") == '0,"No error"'


def test_a_labctl_error_of_the_world_becomes_a_device_error() -> None:
    class Broken(Demo):
        @command(":BREAK")
        def _break(self) -> None:
            raise InstrumentError("scope", 'no "light"')

    client = Client(Broken())
    client.write(":BREAK")
    assert client.ask(":SYST:ERR?") == "-300,\"Device-specific error;scope: no 'light'\""


def test_signed_error_texts_where_the_maker_has_them() -> None:
    class Signed(Demo):
        SIGNED_ERRORS = True

    assert Client(Signed()).ask("SYST:ERR?") == '+0,"No error"'


def test_blocks_go_in_and_out(demo: Demo, client: Client) -> None:
    client.connection.receive(b":TRAC2:DATA 3,4,#15a\nb\nc;SEL 5;*OPC?\n:TRAC:DATA?\n")
    assert demo.log == [("data", 2, 3, 4, 5), ("select", 2, 5)]
    assert client.read_bytes() == b"1\n#800000005a\nb\nc\n"


def test_a_block_too_long_is_reported_and_skipped() -> None:
    client = Client(Demo())
    client.connection.receive(b":TRAC:DATA 1,0,#9999999999")
    client.connection.framing.clear()
    client.connection.receive(b":TRAC:DATA 1,0,#13ab", True)
    assert client.errors() == [-161]


def test_status_byte_by_query_and_by_poll(demo: Demo) -> None:
    client = Client(demo)
    client.write("*CLS;*ESE 32;*SRE 32;:NONE")
    assert demo.status_byte(client.connection) == 4 + 32 + 64
    assert client.ask("*STB?") == str(4 + 32 + 64)
    client.write("*CLS")
    client.write("*OPC?")
    assert demo.status_byte(client.connection) == 16
    assert client.read() == "1"


def test_opc_waits_for_the_operation(demo: Demo, client: Client) -> None:
    client.write("*CLS;:RUN;*OPC")
    assert client.ask("*ESR?") == "0"
    demo.finish()
    assert client.ask("*ESR?") == "1"


def test_opc_query_and_wai_hold_their_connection_only(demo: Demo, client: Client) -> None:
    other = Client(demo)
    client.write(":RUN;*OPC?")
    client.write("*ESE?")
    assert client.read() is None
    assert other.ask("*IDN?") == "MAKER,DEMO,1,1.0"
    demo.finish()
    assert client.read_bytes() == b"1\n0\n"
    client.write(":RUN;*WAI;*ESE?")
    assert client.read() is None
    demo.finish()
    assert client.read() == "0"


def test_a_blocking_command_holds_what_follows(demo: Demo, client: Client) -> None:
    client.write(":DIG;:LAB 'late';LAB?")
    assert demo.label == ""
    demo.finish()
    assert client.read() == "late"


def test_blocks_behind_a_held_message_are_kept(demo: Demo, client: Client) -> None:
    data = bytearray(b":DIG;*OPC?\n:TRAC:DATA 1,0,#12ab\n")
    client.connection.receive(data)
    data[:] = bytes(len(data))
    demo.finish()
    assert demo.payload == b"ab"


def test_what_waits_behind_a_held_message_is_bounded(demo: Demo, client: Client) -> None:
    client.write(":DIG;*OPC?")
    client.connection.receive(b"*ESE 1\n" * 1001)
    demo.finish()
    assert client.read() == "1"
    assert client.errors() == [-363]


def test_device_clear_ends_waiting(demo: Demo) -> None:
    client = Client(demo, stream=False)
    client.write("*CLS;:RUN;*OPC")
    client.write("*OPC?")
    client.connection.receive(b"*ID")
    client.connection.clear()
    demo.finish()
    assert client.read() is None
    assert client.ask("*ESR?") == "0"


def test_an_unread_answer_is_interrupted_on_a_message_transport_only(demo: Demo) -> None:
    message, stream = Client(demo, stream=False), Client(demo)
    message.write("*IDN?")
    assert message.ask("*ESE?") == "0"
    assert message.errors() == [-410]
    stream.write("*IDN?")
    stream.write("*ESE?")
    assert stream.read_bytes() == b"MAKER,DEMO,1,1.0\n0\n"
    assert stream.errors() == []


def test_reading_without_asking_is_unterminated_on_a_message_transport(demo: Demo) -> None:
    message, stream = Client(demo, stream=False), Client(demo)
    demo.starved(stream.connection)
    demo.starved(message.connection)
    assert message.errors() == [-420]


def test_status_groups_answer(client: Client) -> None:
    client.write(":STAT:OPER:ENAB 8;:STAT:QUES:ENAB 1")
    assert client.ask(":STAT:OPER:ENAB?;COND?;EVEN?;:STAT:QUES?;QUES:ENAB?;COND?") == "8;0;0;0;1;0"
    client.write(":STAT:PRES")
    assert client.ask(":STAT:OPER:ENAB?") == "0"


def test_rest_parameters_arrive_as_a_list(demo: Demo, client: Client) -> None:
    client.write(":LIST 3, 1 ,2")
    assert demo.numbers == [3, 1, 2]


PROGRAM = (
    b"*CLS;:POW -3dBm;POW?\r\n:TRAC1:DATA 1,0,#15a\n;#x;SEL 2\n:NONE;*OPC?\n"
    b':LAB "#12;\n";LAB?\n:TRAC:DATA?;*ESR?\n:SYST:ERR?;ERR?\n'
)


@given(st.lists(st.integers(0, len(PROGRAM)), max_size=12))
def test_any_split_of_a_program_does_and_says_the_same(cuts: list[int]) -> None:
    whole, pieces = Client(Demo()), Client(Demo())
    whole.connection.receive(PROGRAM)
    ends = sorted(cuts)
    for start, stop in zip([0, *ends], [*ends, len(PROGRAM)], strict=True):
        pieces.connection.receive(PROGRAM[start:stop])
    assert pieces.read_bytes() == whole.read_bytes()
    assert isinstance(whole.unit, Demo)
    assert isinstance(pieces.unit, Demo)
    assert pieces.unit.log == whole.unit.log == [("level", 1), ("data", 1, 1, 0, 5), ("select", 1, 2)]


@given(st.lists(st.one_of(st.binary(max_size=20), st.sampled_from([b":TRAC:DATA ", b"*OPC?;", b":LIST "])), max_size=8))
def test_garbage_never_raises_and_the_unit_stays_usable(pieces: list[bytes]) -> None:
    client = Client(Demo(), stream=False)
    for piece in pieces:
        client.connection.receive(piece, False)
    client.connection.clear()
    assert client.ask("*IDN?") == "MAKER,DEMO,1,1.0"
