"""HiSLIP: message by message as IVI-6.1 has it, and with pyvisa-py's client."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import pyvisa
from pyvisa.resources import MessageBasedResource

from sim_backends.hislip_lock import ERROR, FAILURE, SUCCESS, SUCCESS_SHARED, ResourceLock
from sim_backends.hislip_message import Type, message
from sim_backends.served_bench import Way
from sim_backends.server_line import Limits
from tests.sim_backends.served import Hislip, Lab, ask, gone, receive, served

AGILENT = b"Agilent Technologies,M8190A,DE53A00001,5.3.0.0-7\n"
NO_ERROR = b'0,"No error"\n'
MESSAGE_AVAILABLE = 16


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with served(tmp_path) as made:
        yield made


# --- sessions -----------------------------------------------------------------------------------------


def test_a_session(lab: Lab) -> None:
    client = Hislip(lab, "server_awg")
    assert (client.version, client.overlap) == (0x0100, 0)
    assert client.ask(b"*IDN?\n") == AGILENT
    assert client.ask(b"*IDN?") == AGILENT  # END ends a message as well


def test_sessions_have_numbers_of_their_own(lab: Lab) -> None:
    clients = [Hislip(lab, "server_awg", join=False) for _ in range(3)]
    assert len({client.number for client in clients}) == 3
    for client in reversed(clients):
        client.join()
        assert client.ask(b"*IDN?") == AGILENT


def test_a_message_in_pieces(lab: Lab) -> None:
    client = Hislip(lab, "server_awg")
    client.say(b"*ID", Type.DATA)
    client.say(b"", Type.DATA, delivered=False)
    assert client.ask(b"N?") == AGILENT
    raw = message(Type.DATA_END, 1, client.id, b"*IDN?")
    for byte in raw:
        client.sync.sendall(bytes([byte]))
    header, reply = receive(client.sync)
    assert (header.parameter, reply) == (client.id, AGILENT)


def test_no_message_is_larger_than_the_client_takes(lab: Lab) -> None:
    client = Hislip(lab, "server_awg")
    header, size = client.call(Type.ASYNC_MAX_MESSAGE_SIZE, payload=struct.pack("!Q", 16 + 20))
    assert (header.type, len(size)) == (Type.ASYNC_MAX_MESSAGE_SIZE_RESPONSE, 8)
    client.say(b"*IDN?")
    pieces = [receive(client.sync) for _ in range(3)]
    assert [header.type for header, _ in pieces] == [Type.DATA, Type.DATA, Type.DATA_END]
    assert b"".join(payload for _, payload in pieces) == AGILENT


def test_a_trigger_is_trg(lab: Lab) -> None:
    client = Hislip(lab, "server_awg")
    client.sync.sendall(message(Type.TRIGGER, 1, client.id))
    client.id += 2
    triggered = client.ask(b":SYST:ERR?")
    client.say(b"*TRG")  # which this instrument does not have, and says so
    assert client.ask(b":SYST:ERR?") == triggered != NO_ERROR


def test_both_connections_end_together(lab: Lab) -> None:
    for end in ("sync", "asynchronous"):
        client = Hislip(lab, "server_awg")
        getattr(client, end).close()
        assert gone(client.asynchronous if end == "sync" else client.sync)


# --- status, device clear, interruption ---------------------------------------------------------------


def test_the_status_byte_knows_of_unread_answers(lab: Lab) -> None:
    client = Hislip(lab, "server_awg")
    client.say(b"*IDN?")
    receive(client.sync)  # on the way, but the client did not say yet that it was read
    assert client.call(Type.ASYNC_STATUS_QUERY, 0, client.id)[0].control & MESSAGE_AVAILABLE
    assert not client.call(Type.ASYNC_STATUS_QUERY, 1, client.id)[0].control & MESSAGE_AVAILABLE


def test_who_talks_on_without_reading_interrupts(lab: Lab) -> None:
    client = Hislip(lab, "server_awg")
    client.say(b"*IDN?")
    receive(client.sync)
    used = client.say(b":SYST:ERR?", delivered=False)
    header, _ = receive(client.sync)
    assert (header.type, header.parameter) == (Type.INTERRUPTED, used)
    assert receive(client.asynchronous)[0].type == Type.ASYNC_INTERRUPTED
    assert receive(client.sync)[1].startswith(b"-410,")
    assert client.ask(b":SYST:ERR?") == NO_ERROR


def test_device_clear_forgets_half_a_message_and_what_waits(lab: Lab) -> None:
    client = Hislip(lab, "server_scope")
    client.say(b":TRIG:SOUR EXT;:TRIG:SWE NORM;:DIG CHAN1;*OPC?")
    client.say(b"*IDN?;", Type.DATA)
    assert client.call(Type.ASYNC_DEVICE_CLEAR)[0].type == Type.ASYNC_DEVICE_CLEAR_ACKNOWLEDGE
    client.say(b"what was under way;")  # is not obeyed any more
    client.sync.sendall(message(Type.DEVICE_CLEAR_COMPLETE))
    assert receive(client.sync)[0].type == Type.DEVICE_CLEAR_ACKNOWLEDGE
    client.id = 0xFFFF_FF00
    assert client.ask(b":SYST:ERR?") == b'+0,"No error"\n'


def test_remote_and_local_make_no_difference(lab: Lab) -> None:
    client = Hislip(lab, "server_awg")
    assert client.call(Type.ASYNC_REMOTE_LOCAL_CONTROL, 1, client.id)[0].type == Type.ASYNC_REMOTE_LOCAL_RESPONSE
    assert client.ask(b"*IDN?") == AGILENT


# --- locks --------------------------------------------------------------------------------------------


def test_an_exclusive_lock_makes_others_wait(lab: Lab) -> None:
    owner, other = Hislip(lab, "server_awg"), Hislip(lab, "server_awg")
    assert owner.call(Type.ASYNC_LOCK, 1)[0].control == SUCCESS
    assert other.call(Type.ASYNC_LOCK, 1)[0].control == FAILURE
    header, _ = other.call(Type.ASYNC_LOCK_INFO)
    assert (header.control, header.parameter) == (1, 1)
    other.say(b"*IDN?")
    other.sync.settimeout(0.05)
    with pytest.raises(TimeoutError):
        receive(other.sync)
    other.sync.settimeout(10)
    assert owner.ask(b"*IDN?") == AGILENT
    assert owner.call(Type.ASYNC_LOCK, 0)[0].control == SUCCESS
    assert receive(other.sync)[1] == AGILENT


def test_a_lock_ends_with_its_session(lab: Lab) -> None:
    owner, other = Hislip(lab, "server_awg"), Hislip(lab, "server_awg")
    assert owner.call(Type.ASYNC_LOCK, 1)[0].control == SUCCESS
    owner.sync.close()
    assert gone(owner.asynchronous)
    assert other.ask(b"*IDN?") == AGILENT


def test_rules_of_the_lock() -> None:
    lock = ResourceLock()
    assert lock.request("a", b"key") == SUCCESS
    assert lock.request("a", b"key") == ERROR
    assert lock.request("b", b"other") == FAILURE
    assert lock.request("b", b"key") == SUCCESS
    assert lock.request("c", b"") == FAILURE
    assert (lock.allows("a"), lock.allows("c"), lock.info()) == (True, False, (False, 2))
    assert lock.request("a", b"") == SUCCESS
    assert (lock.allows("a"), lock.allows("b"), lock.info()) == (True, False, (True, 2))
    assert (lock.release("a"), lock.release("a"), lock.release("a")) == (SUCCESS, SUCCESS_SHARED, ERROR)
    lock.forget("b")
    assert (lock.allows("c"), lock.info()) == (True, (False, 0))


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 1),
        (message(Type.DATA_END, 0, 0, b"*IDN?"), 3),
        (message(Type.TRIGGER), 3),
        (message(Type.ASYNC_INITIALIZE, 0, 4711), 3),
        (message(Type.INITIALIZE, 0, 0, bytes(5000)), 3),
    ],
)
def test_a_wrong_beginning_is_fatal(lab: Lab, first: bytes, code: int) -> None:
    sock = lab.connect("server_awg", Way.HISLIP)
    sock.sendall(first)
    header, text = receive(sock)
    assert (header.type, header.control) == (Type.FATAL_ERROR, code)
    assert text
    assert gone(sock)


def test_data_before_both_channels_are_there_is_fatal(lab: Lab) -> None:
    client = Hislip(lab, "server_awg", join=False)
    client.say(b"*IDN?")
    header, _ = receive(client.sync)
    assert (header.type, header.control) == (Type.FATAL_ERROR, 2)
    assert gone(client.sync)


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        (message(Type.DATA_END, 0, 2, bytes((1 << 24) + 1)), 4),
        (struct.pack("!2sBBIQ", b"HS", 200, 0, 0, 5) + b"extra", 1),
        (message(Type.ASYNC_STATUS_QUERY), 1),
    ],
)
def test_what_is_refused_is_skipped(lab: Lab, refused: bytes, code: int) -> None:
    client = Hislip(lab, "server_awg")
    client.sync.sendall(refused)
    header, _ = receive(client.sync)
    assert (header.type, header.control) == (Type.ERROR, code)
    assert client.ask(b":SYST:ERR?") == NO_ERROR


def test_the_asynchronous_channel_refuses_too(lab: Lab) -> None:
    client = Hislip(lab, "server_awg")
    header, _ = client.call(Type.ASYNC_LOCK, 7)
    assert (header.type, header.control) == (Type.ERROR, 2)
    header, _ = client.call(Type.DATA_END, 0, 0, b"*IDN?")
    assert (header.type, header.control) == (Type.ERROR, 1)
    assert client.ask(b":SYST:ERR?") == NO_ERROR


def test_half_a_greeting_is_not_waited_for(tmp_path: Path) -> None:
    with served(tmp_path, Limits(silent_s=0.2, stalled_s=0.2)) as lab:
        whole = Hislip(lab, "server_awg")
        alone, half = Hislip(lab, "server_awg", join=False), lab.connect("server_awg", Way.HISLIP)
        half.sendall(b"HS")
        assert gone(alone.sync)
        assert gone(alone.asynchronous)
        assert gone(half)
        assert whole.ask(b"*IDN?") == AGILENT


def test_an_unplugged_unit(lab: Lab) -> None:
    control, client = lab.connect("SIM"), Hislip(lab, "server_awg")
    assert ask(control, b':FAUL "server_awg",UNPLUG;:SYST:ERR?') == b'0,"No error"'
    assert gone(client.sync)
    assert gone(client.asynchronous)
    assert lab.refused("server_awg", Way.HISLIP)


# --- pyvisa-py's client -------------------------------------------------------------------------------


def open_with_pyvisa(lab: Lab, name: str) -> MessageBasedResource:
    opened = pyvisa.ResourceManager("@py").open_resource(lab.resource(name, Way.HISLIP), read_termination="\n")
    assert isinstance(opened, MessageBasedResource)
    return opened


def test_pyvisa_asks_clears_and_polls(lab: Lab) -> None:
    scope = open_with_pyvisa(lab, "server_scope")
    try:
        assert scope.query("*IDN?").startswith("KEYSIGHT TECHNOLOGIES,MSO-X 3104T")
        scope.write(":TRIG:SOUR EXT;:TRIG:SWE NORM;:DIG CHAN1;*IDN?")
        scope.clear()
        assert scope.query("*OPC?") == "1"
        assert scope.read_stb() & MESSAGE_AVAILABLE == 0
    finally:
        scope.close()


def test_pyvisa_sends_and_reads_blocks_of_several_messages(lab: Lab) -> None:
    """3 MB each way: three HiSLIP messages of pyvisa-py's size; the data are what was sent."""
    samples = np.arange(1_536_000, dtype=np.int64).astype("<i2") & ~np.int16(15)
    awg = open_with_pyvisa(lab, "server_awg")
    try:
        awg.write(f":TRAC1:DEF 1,{samples.size},0")
        awg.write_binary_values(":TRAC1:DATA 1,0,", samples, datatype="h")
        assert awg.query(":SYST:ERR?") == '0,"No error"'
        back = awg.query(f":TRAC1:DATA? 1,{samples.size - 320},320")
        assert [int(value) for value in back.split(",")] == samples[-320:].tolist()
    finally:
        awg.close()
