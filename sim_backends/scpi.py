"""A simulated unit that speaks SCPI: message exchange, common commands, status, errors (IEEE
488.2-1992, SCPI-1999).

A front end subclasses :class:`ScpiUnit` and declares its commands so that it reads like the
manual::

    class Laser(ScpiUnit):
        MODEL = "maker_laser" sweep_dwell_s = Setting(":SWEep:DWELl", Number("S", (0, 999.9)), 0.0)
        # kept and given back only

        def identity(self) -> str:
            return "MAKER,LASER,123,1.0"

        @command("[:SOURce<n:4>]:POWer[:LEVel]", Number("W", lambda self: self.power_limits(),
        plain="dBm")) def _set_power(self, channel: int, power_w: float) -> None: ...

        @query("[:SOURce<n:4>]:POWer[:LEVel]?")
        def _power(self, channel: int) -> float: ...

A handler gets the numeric suffixes, then the parameters. It refuses with ``raise ScpiError(-222)``.
A query returns a text, number, bool or :class:`Block`. Commands that take effect later make
:meth:`ScpiUnit.operation_pending` true and call :meth:`ScpiUnit.operation_finished` when done:
``*OPC``, ``*OPC?`` and ``*WAI`` then work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from labctl.errors import LabctlError
from sim_backends.scpi_input import Message
from sim_backends.scpi_table import Call, CommandTable, Setting, command, kept, query
from sim_backends.scpi_values import (
    Binary,
    Block,
    Boolean,
    Choice,
    Integer,
    Maybe,
    Number,
    Reply,
    Rest,
    Text,
    response,
    scientific,
)
from sim_backends.state import WorldView
from sim_backends.status import COMMAND_ERROR, OPERATION_COMPLETE, EventRegister, ScpiError, Status
from sim_backends.unit import Connection, Data, Unit

__all__ = [
    "Binary",
    "Block",
    "Boolean",
    "Choice",
    "EventRegister",
    "Integer",
    "Maybe",
    "NotYet",
    "Number",
    "Reply",
    "Rest",
    "ScpiError",
    "ScpiUnit",
    "Setting",
    "Status",
    "Text",
    "command",
    "query",
    "scientific",
]

_CACHED_LENGTH: Final = 200
_MAX_BACKLOG: Final = 1000
_MAX_REPLIES: Final = 200  # to one message
_TABLES: Final[dict[type, CommandTable]] = {}


class NotYet(Exception):
    """Raised by a handler: carry this call out again when the pending operation is complete."""


@dataclass
class _Held:
    """The rest of a message that waits for a pending operation, and what came in behind it."""

    calls: Sequence[Call]
    replies: list[Reply]
    backlog: deque[Message] = field(default_factory=deque)


class ScpiUnit(Unit):
    """Base of the front ends that speak SCPI."""

    #: Ends every answer.
    TERMINATOR: ClassVar[str] = "\n"
    #: ``+0,"No error"`` instead of ``0,"No error"``.
    SIGNED_ERRORS: ClassVar[bool] = False
    ERROR_QUEUE_SIZE: ClassVar[int] = 30

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        self.status = Status(self.ERROR_QUEUE_SIZE)
        table = _TABLES.get(type(self))
        if table is None:
            table = _TABLES[type(self)] = CommandTable(type(self))
        self._table = table
        self._held: dict[Connection, _Held] = {}
        self._paths: dict[Connection, str] = {}  # of messages that ended with a block
        self._complete_wanted = False
        self._hold = False
        self._asking: Connection | None = None

    # ------------------------------------------------------------------ to be given by front ends

    def identity(self) -> str:
        """The answer to ``*IDN?``."""
        raise NotImplementedError

    def reset(self) -> None:
        """``*RST``. Front ends extend it; settings go back to their defaults here."""
        for setting in self._table.settings:
            setting.reset(self)

    def operation_pending(self) -> bool:
        """Whether something started by a command is still going on, now."""
        return False

    def suffixes_exist(self, suffixes: Sequence[int]) -> bool:
        """Whether this unit has what a header's numeric suffixes name; otherwise -114 is queued."""
        return True

    def format_real(self, value: float) -> str:
        """How this unit writes a real number."""
        return f"{value:.8E}"

    # ------------------------------------------------------------------ for front ends

    def operation_finished(self) -> None:
        """What was pending has ended (or may have): go on with what waited for it. Called under the
        lock.
        """
        if self.operation_pending():
            return
        if self._complete_wanted:
            self._complete_wanted = False
            self.status.event |= OPERATION_COMPLETE
        for connection, held in list(self._held.items()):
            if self._held.pop(connection, None) is None:
                continue
            self._run(connection, held.calls, held.replies)
            for message in held.backlog:
                self.obey(connection, message)

    def hold(self) -> None:
        """The command being carried out blocks what follows it on its connection until the
        operation is complete.
        """
        self._hold = True

    # ------------------------------------------------------------------ message exchange

    def receive(self, connection: Connection, data: Data, end: bool) -> None:
        """Short messages that came whole take a short cut: their meaning is looked up by their bytes."""
        if type(data) is bytes and len(data) <= _CACHED_LENGTH and connection.framing.idle:
            lines = self._table.lines(data)
            if lines is not None:
                for line in lines:
                    if self._held:
                        self.obey(connection, Message(line.text))
                    else:
                        self._perform(connection, line.calls)
                return
        super().receive(connection, data, end)

    def obey(self, connection: Connection, message: Message) -> None:
        """One message, parsed afresh."""
        held = self._held.get(connection)
        if held is not None:
            self._queue_behind(held, message)
            return
        path = self._paths.pop(connection, ":") if message.continued else ":"
        if message.error:
            self.status.report(ScpiError(message.error))
            return
        calls, path = self._table.parse(message.text, message.block, path)
        if message.block is not None:
            self._paths[connection] = path
        if message.continued:
            self._run(connection, calls, [])
        else:
            self._perform(connection, calls)

    def _queue_behind(self, held: _Held, message: Message) -> None:
        if len(held.backlog) >= _MAX_BACKLOG:
            self.status.report(ScpiError(-363))
            return
        if message.block is not None and not message.block.readonly:
            message = message._replace(block=memoryview(bytes(message.block)))
        held.backlog.append(message)

    def _perform(self, connection: Connection, calls: Sequence[Call]) -> None:
        if self._complete_wanted:
            self.operation_finished()
        if not connection.stream and connection.drop_replies():
            self.status.report(ScpiError(-410))
        self._run(connection, calls, [])

    def _run(self, connection: Connection, calls: Sequence[Call], replies: list[Reply]) -> None:
        self._asking = connection
        for index, call in enumerate(calls):
            try:
                reply = self._call(call, len(replies))
            except ScpiError as error:
                self.status.report(error)
                if error.event == COMMAND_ERROR:
                    break
                continue
            except LabctlError as error:
                self.status.report(ScpiError(-300, error.message.replace('"', "'")))
                continue
            except NotYet:
                self._held[connection] = _Held(kept(calls[index:]), replies)
                return
            if reply is not None:
                replies.append(reply)
            if self._hold:
                self._hold = False
                if self.operation_pending():
                    self._held[connection] = _Held(kept(calls[index + 1 :]), replies)
                    return
        if replies:
            connection.put(*self._response(replies))

    def _call(self, call: Call, answered: int) -> Reply | None:
        entry, suffixes, tokens, error = call
        if answered >= _MAX_REPLIES:
            raise ScpiError(-430)
        if entry is None:
            raise ScpiError(error)
        if suffixes and not self.suffixes_exist(suffixes):
            raise ScpiError(-114)
        if not tokens and not entry.parameters:
            reply = entry.handler(self, *suffixes)
        else:
            reply = entry.handler(self, *suffixes, *entry.values(tokens, self))
        return reply if entry.returns else None

    def _response(self, replies: Sequence[Reply]) -> tuple[bytes, ...]:
        """One message; a block alone comes as its header and the rest."""
        first = replies[0]
        if len(replies) == 1:
            if type(first) is str:
                return ((first + self.TERMINATOR).encode("latin-1", "replace"),)
            if isinstance(first, Block):
                header, data = first.parts()
                return header, b"".join((data, b"" if first.bare else self.TERMINATOR.encode()))
        return (response(replies, self.TERMINATOR, self.format_real),)

    def elapse(self) -> None:
        """Time may have passed: finish what time alone completes."""
        if self._held or self._complete_wanted:
            self.operation_finished()

    def starved(self, connection: Connection) -> None:
        """Nothing was asked, so there is nothing to say: -420 on a message transport."""
        if not connection.stream and connection not in self._held:
            self.status.report(ScpiError(-420))

    def status_byte(self, connection: Connection) -> int:
        self.elapse()
        return self.status.byte(connection.answered)

    def cleared(self, connection: Connection) -> None:
        """Device clear ends waiting, and forgets ``*OPC`` (IEEE 488.2, 5.8)."""
        self._held.pop(connection, None)
        self._paths.pop(connection, None)
        self._complete_wanted = False

    def hung_up(self, connection: Connection) -> None:
        super().hung_up(connection)
        self._held.pop(connection, None)
        self._paths.pop(connection, None)

    # ------------------------------------------------------------------ common commands

    @query("*IDN?")
    def _identify(self) -> str:
        return self.identity()

    @command("*RST")
    def _reset(self) -> None:
        self._complete_wanted = False
        self.reset()

    @query("*TST?")
    def _self_test(self) -> int:
        return 0

    @command("*CLS")
    def _clear_status(self) -> None:
        self._complete_wanted = False
        self.status.clear()

    @command("*ESE", Integer(0, 255))
    def _set_event_enable(self, mask: int) -> None:
        self.status.event_enable = mask

    @query("*ESE?")
    def _event_enable(self) -> int:
        return self.status.event_enable

    @query("*ESR?")
    def _event(self) -> int:
        return self.status.read_event()

    @command("*SRE", Integer(0, 255))
    def _set_service_enable(self, mask: int) -> None:
        self.status.service_enable = mask & ~64

    @query("*SRE?")
    def _service_enable(self) -> int:
        return self.status.service_enable

    @query("*STB?")
    def _status_byte(self) -> int:
        return self.status.byte(self._asking is not None and self._asking.answered)

    @command("*OPC")
    def _want_complete(self) -> None:
        self._complete_wanted = True
        if not self.operation_pending():
            self._complete_wanted = False
            self.status.event |= OPERATION_COMPLETE

    @query("*OPC?")
    def _complete(self) -> str:
        if self.operation_pending():
            raise NotYet
        return "1"

    @command("*WAI")
    def _wait(self) -> None:
        if self.operation_pending():
            raise NotYet

    # ------------------------------------------------------------------ required SCPI commands

    @query(":SYSTem:ERRor[:NEXT]?")
    def _next_error(self) -> str:
        code, text = self.status.next_error()
        return f'{code:+d},"{text}"' if self.SIGNED_ERRORS else f'{code},"{text}"'

    @query(":SYSTem:ERRor:COUNt?")
    def _error_count(self) -> int:
        return self.status.error_count

    @query(":SYSTem:VERSion?")
    def _scpi_version(self) -> str:
        return "1999.0"

    @command(":STATus:PRESet")
    def _preset(self) -> None:
        self.status.preset()

    @query(":STATus:OPERation[:EVENt]?")
    def _operation_event(self) -> int:
        return self.status.operation.read_event()

    @query(":STATus:OPERation:CONDition?")
    def _operation_condition(self) -> int:
        return self.status.operation.condition

    @command(":STATus:OPERation:ENABle", Integer(0, 65535))
    def _set_operation_enable(self, mask: int) -> None:
        self.status.operation.enable = mask

    @query(":STATus:OPERation:ENABle?")
    def _operation_enable(self) -> int:
        return self.status.operation.enable

    @query(":STATus:QUEStionable[:EVENt]?")
    def _questionable_event(self) -> int:
        return self.status.questionable.read_event()

    @query(":STATus:QUEStionable:CONDition?")
    def _questionable_condition(self) -> int:
        return self.status.questionable.condition

    @command(":STATus:QUEStionable:ENABle", Integer(0, 65535))
    def _set_questionable_enable(self, mask: int) -> None:
        self.status.questionable.enable = mask

    @query(":STATus:QUEStionable:ENABle?")
    def _questionable_enable(self) -> int:
        return self.status.questionable.enable
