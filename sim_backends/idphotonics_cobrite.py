"""Simulated ID Photonics CoBrite DX tunable laser.

Manual: ID Photonics, "CoBrite DX User Manual", chapter "Command reference", and the maker's own client (PyPI
``cobrite``). A command ends with ";" or CR, a reply with ";" (and CR LF, see ``line_ends``). A command that sets is
acknowledged by an empty reply; an error is the reply itself, ``ERR 100, unknown command``, and there is no queue.
Units: THz, nm, GHz, dBm. A laser's address is chassis, slot and device, ``1,1,1`` when it is left out; ``*`` in place
of one, or of all three, stands for every laser, and is answered by a line for each.

The light is as it was told at once, while ``BUSY?`` answers 1 for ``settle_s``; ``BWAI`` and ``*WAI`` are acknowledged
when it is over. An open interlock switches the laser off, and it stays off when the loop is closed again.

Options: ``idn``, ``default_address``, ``type``, ``devices``, ``settle_s``, ``line_ends``, ``absent_state``,
``out_of_range``, ``interlock_answer``, ``dither``, ``frequency_min_thz``, ``frequency_max_thz``, ``power_min_dbm``,
``power_max_dbm``.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sim_backends.idphotonics_cobrite_laser import (
    ARGUMENTS,
    COMMANDS,
    QUERIES,
    TEXTS,
    UNAUTHORIZED,
    UNKNOWN,
    Laser,
    Nature,
    Refused,
    numbers,
)
from sim_backends.scpi_input import Message
from sim_backends.state import LaserState, WorldView
from sim_backends.unit import Connection, Data, Framing, Unit

MAX_COMMAND: Final = 1024
PASSWORD: Final = "IDP"
#: Places of one slot that are listed where absent lasers are.
PLACES: Final = 4
#: Which places a wildcard's answer lists.
ABSENT_LEFT_OUT, ABSENT_MINUS_ONE = "left out", "-1"

#: Long forms, and the branches of the command tree that may be left out.
SHORT: Final[Mapping[str, str]] = {
    "FREQUENCY": "FREQ", "WAVELENGTH": "WAV", "OFFSET": "OFF", "POWER": "POW", "STATE": "STAT", "DITHER": "DIT",
    "LIMIT": "LIM", "CONFIGURATION": "CONF", "MONITOR": "MON", "LAYOUT": "LAY", "TYPE": "TYP", "ALARM": "ALAR",
    "APOWER": "APOW", "BWAIT": "BWAI", "INTERLOCK": "INTL",
}  # fmt: skip
BRANCHES: Final = ("SOUR", "SOURCE", "SYS", "SYST", "SYSTEM")
#: What is kept and given back, and needs the password.
PROTECTED: Final[Mapping[str, str]] = {
    "DHCP": "on", "IPADDR": "192.168.1.99", "IPADDR1": "192.168.1.99", "IPADDR2": "0.0.0.0",
    "NETMASK": "255.255.255.0", "NETMASK1": "255.255.255.0", "NETMASK2": "255.255.255.0", "GATEWAYIP": "192.168.1.1",
    "GATEWAYIP1": "192.168.1.1", "GATEWAYIP2": "0.0.0.0", "DNSIP": "192.168.1.1", "LOCK": "0", "STADEF": "1",
    "ENABAUTOSTA": "0", "TRIDEL": "0", "TRIPOL": "IN,0",
}  # fmt: skip
FIXED: Final[Mapping[str, str]] = {
    "INFO": "CoBrite DX", "MACADDRESS": "00:00:00:00:00:01", "MACADDRESS1": "00:00:00:00:00:01",
    "MACADDRESS2": "00:00:00:00:00:02", "USBIPADDR": "10.0.0.1", "USBNETMASK": "255.255.255.0", "REMO": "1",
    "IPCCHG": "0", "TEMP": "1,1,1,31.5", "FAN": "40", "ALAR": "0", "CARD:INFO": "CARD 1",
}  # fmt: skip


class Semicolons:
    """Commands end with ";" or CR; LF and blanks around them do not count."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget half a command."""
        self.idle = True
        self._text = bytearray()

    def feed(self, data: Data, end: bool) -> Iterator[Message]:
        """END means nothing."""
        for byte in bytes(data):
            if byte in b";\r":
                text = bytes(self._text).strip()
                self._text.clear()
                yield Message(text)
            elif byte != 0x0A and len(self._text) < MAX_COMMAND:
                self._text.append(byte)
        self.idle = not self._text


@dataclass
class _Held:
    """A connection whose next command waits: until the lab's time ``until``, or (None) until all have settled."""

    until: float | None
    backlog: deque[Message] = field(default_factory=deque)


class CoBrite(Unit):
    """``state``: of the laser 1,1,1."""

    MODEL = "idphotonics_cobrite"
    state: LaserState

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        take = self.options
        self._idn = take.text("idn", "ID Photonics GmbH,CoBrite DX1,SN24001,V1.3.4")
        self._end = b";\r\n" if take.flag("line_ends", True) else b";"
        self._default_address = take.flag("default_address", True)
        self._lists_absent = take.text("absent_state", ABSENT_LEFT_OUT, (ABSENT_LEFT_OUT, ABSENT_MINUS_ONE)) == "-1"
        nature = Nature(
            kind=take.text("type", "GC"),
            settle_s=take.number("settle_s", 1.0, 0.0, 600.0),
            ignores_range=take.text("out_of_range", "error", ("error", "ignored")) == "ignored",
            ignores_blocked=take.text("interlock_answer", "error", ("error", "acknowledged")) == "acknowledged",
            has_dither=take.flag("dither", True),
            limits_thz=(
                take.number("frequency_min_thz", 191.3, 180.0, 240.0),
                take.number("frequency_max_thz", 196.25, 180.0, 240.0),
            ),
            limits_dbm=(take.number("power_min_dbm", 6.0, -20.0, 20.0), take.number("power_max_dbm", 15.5, 0.0, 25.0)),
        )
        devices = take.integer("devices", 1, 1, PLACES)
        self._lasers = {(1, 1, place): Laser(nature, world.now) for place in range(1, devices + 1)}
        self.state = self._lasers[1, 1, 1].state
        self._interlock_open = False
        self._held: dict[Connection, _Held] = {}
        self._kept = dict(PROTECTED)
        self._echo, self._level, self._changes, self._time = False, 0, 0, 0
        self._last_error = "0, no error"

    def new_framing(self) -> Framing:
        return Semicolons()

    def set_interlock(self, closed: bool) -> None:
        """Open the loop: every laser goes off, and stays off when it is closed again."""
        with self.lock:
            self._interlock_open = not closed
            for laser in self._lasers.values():
                laser.block(not closed)

    # ------------------------------------------------------------------ messages

    def obey(self, connection: Connection, message: Message) -> None:
        """One command, one reply."""
        self.elapse()
        held = self._held.get(connection)
        if held is not None:
            held.backlog.append(message)
            return
        text = message.text.decode("latin-1")
        if self._echo:
            connection.put(text.encode("latin-1") + self._end)
        try:
            reply = self._answer(text)
        except Refused as error:
            reply = self._last_error = f"ERR {error.code}, {TEXTS[error.code]}"
        if reply is None or isinstance(reply, float):
            self._held[connection] = _Held(reply)
            self.elapse()
            return
        connection.put(reply.encode("latin-1") + self._end)

    def _answer(self, text: str) -> str | float | None:
        """The reply; a time until which it is held back; None: until everything has settled."""
        header, _, rest = text.partition(" ")
        words = [SHORT.get(word.rstrip("?"), word.rstrip("?")) for word in header.upper().lstrip(":").split(":")]
        name = ":".join(words[1:] if words[0] in BRANCHES else words)
        values = [value.strip() for value in rest.split(",")] if rest.strip() else []
        if name in ("*WAI", "BWAI"):
            return None
        if name == "WAITMS":
            return self.world.now() + numbers(values, 1)[0] * 1e-3
        if header.endswith("?"):
            if name in QUERIES:
                return self._each(values, QUERIES[name])
            return self._system_query(name)
        if name in COMMANDS:
            return self._set(values, COMMANDS[name])
        return self._system_command(name, values)

    def elapse(self) -> None:
        """Answer those whose wait is over, and go on with what they sent since."""
        for connection, held in list(self._held.items()):
            if self._busy() if held.until is None else self.world.now() < held.until:
                continue
            del self._held[connection]
            connection.put(self._end)
            for message in held.backlog:
                self.obey(connection, message)

    def wake_in_s(self) -> float | None:
        now = self.world.now()
        settled = max(laser.settled_at for laser in self._lasers.values())
        times = [settled if held.until is None else held.until for held in self._held.values()]
        return max(0.0, min(times) - now) if times else None

    def hung_up(self, connection: Connection) -> None:
        super().hung_up(connection)
        self._held.pop(connection, None)

    # ------------------------------------------------------------------ addresses

    def _addressed(self, values: Sequence[str]) -> tuple[list[tuple[int, int, int]], list[str], bool]:
        """Whom a command means, what follows the address, and whether a wildcard stood in it."""
        if values[:1] == ["*"] and values[1:2] != ["*"] and len(values) < 3:
            values = ["*", "*", "*", *values[1:]]
        if len(values) < 3 and self._default_address:
            values = ["1", "1", "1", *values]
        if len(values) < 3 or not all(re.fullmatch(r"\*|\d{1,3}", value) for value in values[:3]):
            raise Refused(ARGUMENTS)
        wild = "*" in values[:3]
        places = [(1, 1, place) for place in range(1, PLACES + 1)] if wild and self._lists_absent else self._lasers
        found = [
            each for each in places if all(value in ("*", str(part)) for value, part in zip(values, each, strict=False))
        ]
        if not found:
            raise Refused(ARGUMENTS)
        return found, list(values[3:]), wild

    def _each(self, values: Sequence[str], query: Callable[[Laser], str]) -> str:
        found, rest, wild = self._addressed(values)
        if rest:
            raise Refused(ARGUMENTS)
        if not wild:
            return query(self._lasers[found[0]])
        lines = []
        for address in found:
            laser = self._lasers.get(address)
            lines.append(",".join(map(str, address)) + "," + ("-1" if laser is None else query(laser)))
        return "\r\n".join(lines)

    def _set(self, values: Sequence[str], action: Callable[[Laser, list[str]], None]) -> str:
        found, rest, _ = self._addressed(values)
        for address in found:
            if address in self._lasers:
                action(self._lasers[address], rest)
        self._changes += 1
        return ""

    # ------------------------------------------------------------------ the box

    def _busy(self) -> bool:
        return any(laser.busy() for laser in self._lasers.values())

    def _system_query(self, name: str) -> str:
        known = {
            "*IDN": self._idn,
            "*OPC": str(int(not self._busy())),
            "LAY": f"LAY,1,1,DEV{len(self._lasers)}",
            "INTL": str(int(self._interlock_open)),
            "ECHO": str(int(self._echo)),
            "PASS": str(self._level),
            "PREF": str(self._changes),
            "TIME": str(self._time),
            "ERR": self._last_error,
            **FIXED,
            **self._kept,
        }
        if name not in known:
            raise Refused(UNKNOWN)
        return known[name]

    def _system_command(self, name: str, values: list[str]) -> str:
        if name == "INTI":
            self._echo, self._level = False, 0
        elif name == "ECHO":
            self._echo = values[:1] in (["1"], ["ON"], ["on"])
        elif name == "PASS":
            if values not in ([PASSWORD], ["0"]):
                raise Refused(UNAUTHORIZED)
            self._level = int(values == [PASSWORD])
        elif name == "TIME":
            self._time = int(numbers(values, 1)[0])
        elif name in self._kept:
            if not self._level:
                raise Refused(UNAUTHORIZED)
            self._kept[name] = ",".join(values)
        elif name not in ("*CLS", "ABOR", "IDENT"):
            raise Refused(UNKNOWN)
        return ""
