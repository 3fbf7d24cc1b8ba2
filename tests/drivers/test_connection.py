"""One connection: what is believed after timeouts, interrupts and broken lines, and blocks whole."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyvisa.constants import StatusCode

from drivers.connection import LineSettings, VisaConnection
from drivers.scpi import make_block
from drivers.visa import VisaLibrary
from labctl.clock import SystemClock
from labctl.errors import (
    ConfigError,
    InstrumentLost,
    InstrumentReply,
    InstrumentTimeout,
    WrongInstrument,
)
from tests.drivers.scripted import ScriptedVisa
from tests.drivers.tcp_peer import lines, tcp_peer

SOCKET = "TCPIP0::192.168.10.11::5025::SOCKET"
INSTR = "TCPIP0::192.168.10.11::inst0::INSTR"
RESOURCES = [SOCKET, INSTR]


def opened(visa: ScriptedVisa, resource: str = SOCKET, **settings: object) -> VisaConnection:
    line = LineSettings(**settings)  # type: ignore[arg-type]  # names are the test's
    connection = VisaLibrary(visa).connect("box", resource, line)
    connection.open()
    return connection


# ---- plain operations ---------------------------------------------------------------------------


@pytest.mark.parametrize("resource", RESOURCES)
def test_query_and_write(resource: str) -> None:
    visa = ScriptedVisa([("*IDN?", "A,B,C,D"), (":POW 1", None)])
    connection = opened(visa, resource)
    assert connection.query("*IDN?") == "A,B,C,D"
    connection.write(":POW 1")
    connection.close()
    connection.close()
    visa.finished()


def test_a_command_and_its_check_travel_together_on_a_stream() -> None:
    script = [(":POW 1", None), (":SYST:ERR?", '0,"No error"')]
    for resource, writes in ((SOCKET, 1), (INSTR, 2)):
        visa = ScriptedVisa(script)
        reply = opened(visa, resource).write_then_query((":POW 1",), ":SYST:ERR?")
        assert reply == '0,"No error"'
        assert visa.opened[0].writes == writes
        visa.finished()


def test_terminators_of_other_makers() -> None:
    visa = ScriptedVisa([(":WAV?", "1550")], write_end=b"\r", read_end=b"\r")
    assert opened(visa, terminator=b"\r", write_terminator=b"\r").query(":WAV?") == "1550"
    visa = ScriptedVisa([(":X?", "7")], write_end=b"\r\n", read_end=b"\r\n")
    assert opened(visa, write_terminator=b"\r\n").query(":X?") == "7"


def test_a_reply_longer_than_one_read() -> None:
    text = "x" * 10_000
    for resource in RESOURCES:
        assert opened(ScriptedVisa([("A?", text)]), resource).query("A?") == text


def test_several_blocks_in_one_message() -> None:
    data = bytes(range(256))
    sent = b":T1:DATA 1,0," + make_block(data) + b";:T2:DATA 1,0," + make_block(data) + b"\n"
    visa = ScriptedVisa([(sent, None)])
    block = make_block(data)
    opened(visa).write(":T1:DATA 1,0,", block, ";:T2:DATA 1,0,", memoryview(block))
    visa.finished()


@pytest.mark.parametrize("resource", RESOURCES)
@given(data=st.binary(max_size=200), digits=st.integers(min_value=3, max_value=9))
def test_blocks_come_whole_whatever_is_in_them(resource: str, data: bytes, digits: int) -> None:
    reply = f"#{digits}{len(data):0{digits}d}".encode() + data + b"\n"
    visa = ScriptedVisa([("DATA?", reply), ("*IDN?", "next")])
    connection = opened(visa, resource)
    assert bytes(connection.query_block("DATA?")) == data
    assert connection.query("*IDN?") == "next"
    visa.finished()


def test_an_array_shares_the_bytes_received() -> None:
    codes = np.array([10, -32767, 2570, 32767], dtype="<i2")
    connection = opened(ScriptedVisa([("DATA?", b"#800000008" + codes.tobytes() + b"\n")]))
    array = connection.query_array("DATA?", np.dtype("<i2"))
    assert array.tolist() == codes.tolist()
    assert not array.flags.owndata
    assert not array.flags.writeable


# ---- what is no answer --------------------------------------------------------------------------


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("reply", [b"+1.0E+00\n", b"#0abc\n", b"#2x9abc\n", b'-113,"Undefined header"\n'])
def test_no_block_where_one_is_due(resource: str, reply: bytes) -> None:
    script = [("*IDN?", "me"), ("DATA?", reply)]
    visa = ScriptedVisa(script, [("*IDN?", "me"), ("A?", "1")])
    connection = opened(visa, resource)
    connection.identify("*IDN?")
    with pytest.raises(InstrumentReply, match=r"box.*DATA"):
        connection.query_block("DATA?")


def test_an_announced_gigabyte_is_refused_before_it_is_read() -> None:
    connection = opened(ScriptedVisa([("DATA?", b"#9" + b"9" * 9 + b"\n")]))
    with pytest.raises(InstrumentReply, match="999999999 bytes is announced"):
        connection.query_block("DATA?")


def test_an_endless_reply_is_cut() -> None:
    visa = ScriptedVisa([("A?", b"x" * (3 << 20) + b"\n")])
    with pytest.raises(InstrumentReply, match="are allowed"):
        opened(visa).query("A?")


def test_a_reply_that_is_not_text() -> None:
    with pytest.raises(InstrumentReply, match="not text"):
        opened(ScriptedVisa([("A?", b"\xff\xfe\n")])).query("A?")


def test_half_a_sample() -> None:
    with pytest.raises(InstrumentReply, match="3 bytes"):
        opened(ScriptedVisa([("A?", b"#13abc\n")])).query_array("A?", np.dtype("<i2"))


# ---- after a failure ----------------------------------------------------------------------------


def test_after_a_timeout_a_socket_is_renewed_and_must_say_its_name() -> None:
    visa = ScriptedVisa(
        [("*IDN?", "me"), ("A?", None)],
        [("*IDN?", "me"), ("B?", "b")],
    )
    connection = opened(visa)
    connection.identify("*IDN?")
    with pytest.raises(InstrumentTimeout, match=r"box: .*within 5 s \(command 'A\?'\)"):
        connection.query("A?")
    assert connection.query("B?") == "b"
    assert connection.generation == 2
    visa.finished()


def test_after_a_timeout_a_message_line_is_cleared_and_drained_until_its_name_comes() -> None:
    visa = ScriptedVisa([("*IDN?", "me"), ("A?", None), ("*IDN?", ("old a", "me")), ("B?", "b")])
    connection = opened(visa, INSTR)
    connection.identify("*IDN?")
    with pytest.raises(InstrumentTimeout):
        connection.query("A?")
    assert connection.query("B?") == "b"
    assert connection.generation == 1
    visa.finished()


def test_a_name_is_asked_for_once_however_late_it_comes() -> None:
    """A second question would leave a second answer under way, which the next query would take for its own."""
    visa = ScriptedVisa([("*IDN?", "me"), ("A?", None), ("*IDN?", ("old a",)), ("*IDN?", "me"), ("B?", "b")])
    connection = opened(visa, INSTR)
    connection.identify("*IDN?")
    with pytest.raises(InstrumentTimeout):
        connection.query("A?")
    with pytest.raises(InstrumentLost, match="does not come back"):
        connection.query("B?")
    assert connection.query("B?") == "b"
    visa.finished()


def test_a_reply_without_its_terminator_is_not_believed() -> None:
    visa = ScriptedVisa([("*IDN?", "me"), ("A?", b"1.2"), ("*IDN?", "me"), ("A?", "1.25")])
    connection = opened(visa, INSTR)
    connection.identify("*IDN?")
    with pytest.raises(InstrumentReply, match=r"'1\.2' is where the reply ends"):
        connection.query("A?")
    assert connection.query("A?") == "1.25"
    visa.finished()


def test_a_message_line_that_broke_is_renewed() -> None:
    """Even when the library says that it cleared it."""
    lost = StatusCode.error_connection_lost
    visa = ScriptedVisa([("*IDN?", "me"), ("A?", lost), ("*IDN?", lost)], [("*IDN?", "me"), ("B?", "b")])
    connection = opened(visa, INSTR)
    connection.identify("*IDN?")
    with pytest.raises(InstrumentLost):
        connection.query("A?")
    assert connection.query("B?") == "b"
    assert connection.generation == 2


def test_a_serial_line_is_drained() -> None:
    visa = ScriptedVisa([("M?", "AEDFA"), ("A?", None), ("M?", "AEDFA"), ("B?", "b")])
    connection = opened(visa, "ASRL/dev/ttyUSB0::INSTR", baud_rate=19200)
    connection.identify("M?")
    with pytest.raises(InstrumentTimeout):
        connection.query("A?")
    assert connection.query("B?") == "b"
    visa.finished()


def test_another_instrument_after_a_failure() -> None:
    visa = ScriptedVisa([("*IDN?", "me"), ("A?", None)], [("*IDN?", "not me")] * 3)
    connection = opened(visa)
    connection.identify("*IDN?")
    with pytest.raises(InstrumentTimeout):
        connection.query("A?")
    with pytest.raises(WrongInstrument, match="not me"):
        connection.query("B?")


@pytest.mark.parametrize("code", [StatusCode.error_connection_lost, StatusCode.error_io])
def test_a_broken_line(code: StatusCode) -> None:
    visa = ScriptedVisa([("A?", code)])
    connection = opened(visa)
    with pytest.raises(InstrumentLost, match="box: the line broke") as caught:
        connection.query("A?")
    assert not isinstance(caught.value, InstrumentTimeout)
    assert caught.value.instrument == "box"
    assert caught.value.command == "A?"
    with pytest.raises(InstrumentLost, match=r"does not come back|cannot open"):
        connection.query("A?")


def test_nobody_at_the_address() -> None:
    connection = VisaLibrary(ScriptedVisa()).connect("box", SOCKET)
    with pytest.raises(InstrumentLost, match="cannot open TCPIP0::192"):
        connection.open()


def test_a_closed_connection() -> None:
    connection = VisaLibrary(ScriptedVisa()).connect("box", SOCKET)
    with pytest.raises(InstrumentLost, match="not open"):
        connection.query("A?")


def test_an_interrupt_in_the_middle_spoils_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    visa = ScriptedVisa([("*IDN?", "me"), ("A?", "old")], [("*IDN?", "me"), ("B?", "b")])
    connection = opened(visa)
    connection.identify("*IDN?")
    read = ScriptedVisa.read

    def interrupted(*_: object) -> None:
        monkeypatch.setattr(ScriptedVisa, "read", read)
        raise KeyboardInterrupt

    monkeypatch.setattr(ScriptedVisa, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        connection.query("A?")
    assert connection.query("B?") == "b"


# ---- libraries ----------------------------------------------------------------------------------


def test_a_library_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="no VISA library"):
        VisaLibrary("@nothing-like-this")


def test_a_real_library_has_no_control_instrument() -> None:
    library = VisaLibrary(ScriptedVisa())
    assert not library.simulated
    assert library.control() is None
    assert isinstance(library.clock(), SystemClock)
    library.close()
    library.close()


def test_a_library_closes_what_it_opened() -> None:
    visa = ScriptedVisa([], [])
    library = VisaLibrary(visa)
    first, second = library.connect("one", SOCKET), library.connect("two", SOCKET)
    first.open()
    second.open()
    library.close()
    assert not visa.sessions


# ---- through pyvisa-py, on a real socket --------------------------------------------------------


@pytest.fixture
def py() -> Iterator[VisaLibrary]:
    library = VisaLibrary("@py")
    yield library
    library.close()


def echo(connection: socket.socket) -> None:
    for line in lines(connection):
        connection.sendall(b"you said " + line + b"\n")


def silent_then_late(connection: socket.socket) -> None:
    """Never answers in time."""
    for line in lines(connection):
        if line == b"*IDN?":
            connection.sendall(b"me\n")


def honest(connection: socket.socket) -> None:
    for line in lines(connection):
        connection.sendall(b"me\n" if line == b"*IDN?" else b"answer to " + line + b"\n")


def test_replies_through_pyvisa_py(py: VisaLibrary) -> None:
    with tcp_peer(echo) as resource:
        connection = py.connect("box", resource)
        connection.open()
        assert connection.query("A?") == "you said A?"
        assert connection.query("B" * 3000) == "you said " + "B" * 3000
        connection.close()


def test_the_old_answer_is_not_taken_for_the_new_one(py: VisaLibrary) -> None:
    with tcp_peer(silent_then_late, honest) as resource:
        connection = py.connect("box", resource, LineSettings(timeout_s=0.1))
        connection.open()
        connection.identify("*IDN?")
        with pytest.raises(InstrumentTimeout):
            connection.query("A?")
        assert connection.query("B?") == "answer to B?"
        connection.close()


def test_a_dribbling_peer_cannot_hold_a_read(py: VisaLibrary) -> None:
    stop = threading.Event()

    def dribble(connection: socket.socket) -> None:
        for _ in lines(connection):
            while not stop.wait(0.02):
                connection.sendall(b"x")

    with tcp_peer(dribble) as resource:
        connection = py.connect("box", resource, LineSettings(timeout_s=0.3))
        connection.open()
        begun = time.monotonic()
        with pytest.raises(InstrumentTimeout):
            connection.query("A?")
        assert time.monotonic() - begun < 1.5
        with pytest.raises(InstrumentTimeout):
            connection.query("B?")
        stop.set()
        connection.close()


def test_a_peer_that_stops_reading_cannot_hold_a_write(py: VisaLibrary) -> None:
    stop = threading.Event()

    def deaf(_: socket.socket) -> None:
        stop.wait(10)

    with tcp_peer(deaf) as resource:
        connection = py.connect("box", resource, LineSettings(timeout_s=0.3))
        connection.open()
        with pytest.raises(InstrumentTimeout):
            connection.write("DATA ", bytes(64 << 20))
        stop.set()
    connection.close()


def test_a_peer_that_hangs_up(py: VisaLibrary) -> None:
    def hang_up(connection: socket.socket) -> None:
        next(lines(connection))

    with tcp_peer(hang_up) as resource:
        connection = py.connect("box", resource, LineSettings(timeout_s=0.2))
        connection.open()
        with pytest.raises(InstrumentLost):
            connection.query("A?")
        connection.close()


def test_nobody_listens(py: VisaLibrary) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    connection = py.connect("box", f"TCPIP0::127.0.0.1::{port}::SOCKET", LineSettings(timeout_s=0.2))

    def reach() -> None:
        connection.open()
        connection.query("*IDN?")

    with pytest.raises(InstrumentLost, match="box"):
        reach()
    connection.close()


def test_large_blocks_both_ways(py: VisaLibrary) -> None:
    data = np.random.default_rng(1).integers(0, 256, 3_000_000, dtype=np.uint8).tobytes()

    def mirror(connection: socket.socket) -> None:
        due = len(b"DATA ") + len(make_block(data)) + 1
        got = bytearray()
        while len(got) < due:
            got += connection.recv(1 << 20)
        connection.sendall(bytes(got[len(b"DATA ") :]))
        for _ in lines(connection):
            connection.sendall(b"done\n")

    with tcp_peer(mirror) as resource:
        connection = py.connect("box", resource)
        connection.open()
        connection.write("DATA ", make_block(data))
        # What was written comes back without being asked for; the query text is skipped by the
        # peer.
        assert bytes(connection.query_block("*WAI")) == data
        connection.close()


def test_threads_get_their_own_answers(py: VisaLibrary) -> None:
    wrong: list[str] = []

    def ask(connection: VisaConnection, who: str) -> None:
        for number in range(200):
            text = f"{who}{number}?"
            if connection.query(text) != f"you said {text}":
                wrong.append(text)

    with tcp_peer(echo) as resource:
        connection = py.connect("box", resource)
        connection.open()
        threads = [threading.Thread(target=ask, args=(connection, who)) for who in "ABC"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        connection.close()
    assert not wrong
