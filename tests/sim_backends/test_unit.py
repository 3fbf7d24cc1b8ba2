"""Connections, options and the registry of simulated units."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import ConfigError
from sim_backends.faults import Fault, fault_named
from sim_backends.options import OptionReader
from sim_backends.scpi_input import Message
from sim_backends.unit import Connection, Ending, Unit, open_unit
from tests.sim_backends.rig import Demo, QuietWorld


class Echo(Unit):
    """Says what it was told."""

    def obey(self, connection: Connection, message: Message) -> None:
        connection.put(message.text + b"\n")


def connected(stream: bool) -> Connection:
    connection = Echo("echo", QuietWorld()).connect(stream)
    assert connection is not None
    return connection


def test_a_message_is_read_up_to_its_end() -> None:
    connection = connected(stream=False)
    connection.receive(b"abc\ndef\n")
    assert connection.waiting == 8
    assert connection.take(100) == (b"abc\n", Ending.END)
    assert connection.take(4) == (b"def\n", Ending.END)
    assert connection.take(4) is None


def test_a_transport_that_sends_by_itself_is_told_and_drains() -> None:
    connection, told = connected(stream=True), []
    connection.told = lambda: told.append(connection.waiting)
    connection.receive(b"abc\ndef\n")
    assert told == [4, 8]
    assert connection.drain() == [b"abc\n", b"def\n"]
    assert not connection.answered
    connection.close()
    assert len(told) == 3


def test_who_asks_for_more_than_there_is_room_for_is_lost() -> None:
    connection = connected(stream=True)
    connection.room = 10
    connection.receive(b"abcdefg\n" * 2)
    assert connection.drain() == [b"abcdefg\n"] * 2  # the last one may reach beyond
    connection.receive(b"abcdefg\n" * 4)
    assert connection.lost
    assert connection.drain() == []


def test_what_was_sent_and_not_read_counts_as_an_answer() -> None:
    connection = connected(stream=False)
    connection.undelivered = True
    assert connection.answered
    assert connection.drop_replies()
    assert not connection.answered
    assert not connection.drop_replies()


def test_a_message_is_read_in_pieces() -> None:
    connection = connected(stream=False)
    connection.receive(b"abcdef\n")
    assert connection.take(3) == (b"abc", Ending.COUNT)
    assert connection.waiting == 4
    assert connection.take(4, b"\n") == (b"def\n", Ending.END)


def test_the_termination_character_ends_a_read_and_end_outranks_it() -> None:
    connection = connected(stream=False)
    connection.receive(b"a;b\n")
    assert connection.take(9, b";") == (b"a;", Ending.TERMINATION)
    assert connection.take(9, b"\n") == (b"b\n", Ending.END)


def test_a_stream_has_no_message_boundaries() -> None:
    connection = connected(stream=True)
    connection.receive(b"ab\ncd\n")
    assert connection.take(4) == (b"ab\nc", Ending.COUNT)
    assert connection.take(3) is None
    connection.receive(b"e\n")
    assert connection.take(9, b"\n") == (b"d\n", Ending.TERMINATION)
    assert connection.take(9) is None
    assert connection.rest(1) == b"e"
    assert connection.rest(9) == b"\n"
    assert connection.take(1) is None


@given(st.lists(st.binary(max_size=6).map(lambda raw: raw.translate(None, b"\n\r#")), max_size=8), st.data())
def test_any_reads_of_a_stream_give_all_its_bytes_in_order(lines: list[bytes], data: st.DataObject) -> None:
    connection = connected(stream=True)
    sent = b"".join(line + b"\n" for line in lines)
    connection.receive(sent)
    expected = b"".join(line + b"\n" for line in lines if line)
    got = b""
    while len(got) < len(expected):
        count = data.draw(st.integers(1, 12))
        taken = connection.take(count, data.draw(st.sampled_from([b"", b"\n"])))
        got += taken[0] if taken else connection.rest(count)
    assert got == expected
    assert not connection.answered


def test_device_clear_forgets_half_a_message_except_on_a_stream() -> None:
    for stream, left in ((False, b"b\n"), (True, b"ab\n")):
        connection = connected(stream)
        connection.receive(b"x\na")
        connection.clear()
        assert not connection.answered
        connection.receive(b"b\n")
        assert connection.rest(9) == left


def test_an_unplugged_unit_loses_its_connections_for_good() -> None:
    unit = Echo("echo", QuietWorld())
    old = unit.connect(True)
    assert old is not None
    unit.set_fault(fault_named("UNPLUG"))
    assert old.lost
    assert unit.connect(True) is None
    unit.set_fault(None)
    assert old.lost
    new = unit.connect(True)
    assert new is not None
    assert not new.lost


def test_a_silent_unit_neither_obeys_nor_answers() -> None:
    demo = Demo()
    connection = demo.connect(True)
    assert connection is not None
    connection.receive(b"*IDN?\n")
    demo.set_fault(fault_named("SILENT"))
    assert not connection.answered
    connection.receive(b":LAB 'x';LAB?\n")
    assert demo.label == ""
    assert not connection.answered
    demo.set_fault(None)
    connection.receive(b"*OPC?\n")
    assert connection.rest(9) == b"1\n"


def test_a_fault_may_alter_answers() -> None:
    class Garbage(Fault):
        def answer(self, connection: object, reply: bytes) -> bytes | None:
            return reply.upper()

    unit = Echo("echo", QuietWorld())
    connection = unit.connect(True)
    assert connection is not None
    unit.set_fault(Garbage())
    connection.receive(b"abc\n")
    assert connection.rest(9) == b"ABC\n"


def test_closing_forgets_the_connection() -> None:
    unit = Echo("echo", QuietWorld())
    connection = unit.connect(True)
    assert connection is not None
    connection.close()
    assert unit.connections == []
    connection.close()


def reader(**options: object) -> OptionReader:
    return OptionReader("laser", "some_laser", options)


def test_options_are_taken_with_their_types() -> None:
    options = reader(serial="7", on=True, settle_s=2, count=3)
    assert options.text("serial", "0") == "7"
    assert options.flag("on", False) is True
    assert options.number("settle_s", 0.0, 0.0, 10.0) == 2.0
    assert options.integer("count", 1, 1, 4) == 3
    assert options.text("mode", "a", ("a", "b")) == "a"
    options.finish()


@pytest.mark.parametrize(
    "take",
    [
        lambda: reader(x=1).text("x", ""),
        lambda: reader(x="c").text("x", "a", ("a", "b")),
        lambda: reader(x=1).flag("x", True),
        lambda: reader(x=True).number("x", 0.0, 0.0, 1.0),
        lambda: reader(x=float("nan")).number("x", 0.0, 0.0, 1.0),
        lambda: reader(x=2).number("x", 0.0, 0.0, 1.0),
        lambda: reader(x=1.0).integer("x", 1, 0, 2),
        lambda: reader(x=True).integer("x", 1, 0, 2),
        lambda: reader(x=9).integer("x", 1, 0, 2),
    ],
)
def test_wrong_options_name_unit_and_key(take: object) -> None:
    assert callable(take)
    with pytest.raises(ConfigError, match=r"'laser' \(some_laser\): option x"):
        take()


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown option 'colour'") as caught:
        open_unit("thorlabs_pm100d", "meter", QuietWorld(), {"colour": "red"})
    assert "serial" in caught.value.remedy


@pytest.mark.parametrize("model", ["nothing_here", "world", "../evil", "os.path", ""])
def test_an_unknown_model_is_refused(model: str) -> None:
    with pytest.raises(ConfigError, match="simulated"):
        open_unit(model, "x", QuietWorld(), {})


def test_units_may_share_one_lock() -> None:
    lock = threading.RLock()
    assert open_unit("thorlabs_pm100d", "meter", QuietWorld(), {}, lock).lock is lock
