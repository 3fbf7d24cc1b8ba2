"""Simulated OZ Optics DD-100-MC motor-driven attenuator.

Manual: OZ Optics, "DD-100-MC/DD-600-MC Operating Instructions", section "Serial commands". A command ends with CR (LF
after it does not count); a reply is a few lines, CR LF each, the last of which is ``Done`` or an error. Attenuations
in dB with two decimals, positions in steps of 0.01 dB from the home position, at the insertion loss. The motor takes no
time. There is no shutter.

Options: ``serial``, ``insertion_loss_db``, ``max_attenuation_db``, ``start_db``, ``homed``, ``echo``, ``blank_line``,
``label``, ``errors``, ``blocks_at_maximum``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from sim_backends.scpi_input import Message
from sim_backends.state import AttenuatorChannelState, AttenuatorState, WorldView
from sim_backends.unit import Connection, Data, Framing, Unit

STEP_DB: Final = 0.01
MAX_COMMAND: Final = 256
BAD_COMMAND, OVERFLOW = 2, 6
#: What an error is called: by number, or only so.
NUMBERED, PLAIN = "Error-n", "Error!"


class CarriageReturns:
    """Commands end with CR; LF does not count."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget half a command."""
        self.idle = True
        self._text = bytearray()

    def feed(self, data: Data, end: bool) -> Iterator[Message]:
        """Serial lines have no END."""
        for byte in bytes(data):
            if byte == 0x0D:
                text = bytes(self._text).strip()
                self._text.clear()
                if text:
                    yield Message(text)
            elif byte != 0x0A and len(self._text) < MAX_COMMAND:
                self._text.append(byte)
        self.idle = not self._text


class Refused(Exception):
    """The reply ends with this error."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class DD100MC(Unit):
    """Channel 1."""

    MODEL = "ozoptics_dd100mc"
    state: AttenuatorState

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        take = self.options
        self._serial = take.text("serial", "150123-01")
        self._low_db = take.number("insertion_loss_db", 0.6, 0.0, 10.0)
        self._high_db = take.number("max_attenuation_db", 60.0, 10.0, 100.0)
        start_db = take.number("start_db", 0.6, 0.0, 100.0)
        self._homed = take.flag("homed", True)
        self._echo = take.flag("echo", False)
        self._end = ("", "") if take.flag("blank_line", True) else ("",)
        self._label = take.text("label", "ATTEN", ("ATTEN", "Atten"))
        self._numbered = take.text("errors", NUMBERED, (NUMBERED, PLAIN)) == NUMBERED
        self._blocks = take.flag("blocks_at_maximum", True)
        self._channel = AttenuatorChannelState()
        self.state = AttenuatorState({1: self._channel})
        self._last = ["Done"]
        self._place(min(max(start_db, self._low_db), self._high_db))

    def new_framing(self) -> Framing:
        return CarriageReturns()

    def obey(self, connection: Connection, message: Message) -> None:
        """One command; every line of its reply."""
        text = message.text.decode("latin-1").upper()
        lines = [text] if self._echo else []
        try:
            reply = [*self._answer(text), "Done"]
        except Refused as error:
            reply = [f"Error-{error.code}" if self._numbered else "Error!"]
        if text != "RES?":
            self._last = reply
        connection.put("\r\n".join([*lines, *reply, *self._end]).encode("latin-1"))

    def _answer(self, text: str) -> list[str]:
        match = re.fullmatch(r"([AS])([+-]?)(\d+\.?\d*|\.\d+)", text)
        if match is not None:
            return self._set(match[1], match[2], float(match[3]))
        if text == "RES?":
            return self._last[:-1]
        if text in ("F", "B"):
            return self._move(self._channel.attenuation_db + (STEP_DB if text == "F" else -STEP_DB))
        if text in ("E0", "E1"):
            self._echo = text == "E1"
            return []
        if text in ("H", "RST"):
            self._homed = text == "H"
            self._place(self._low_db)
            return ["Diff=0"] if self._homed else []
        queries = {"A?": [self._shown()], "S?": [f"Pos:{self._steps()}"], "D": [f"DPos:{self._steps()}", self._shown()]}
        if text == "CD":
            return self._configuration()
        if text not in queries:
            raise Refused(BAD_COMMAND)
        return queries[text]

    def _configuration(self) -> list[str]:
        return [
            "DD-100-MC",
            f"SN: {self._serial}",
            f"IL:{self._low_db:.2f}",
            f"MAX ATTEN:{self._high_db:.2f}",
            "WAVELENGTH:1550",
        ]

    def _set(self, what: str, sign: str, number: float) -> list[str]:
        if what == "A":
            if sign:
                raise Refused(BAD_COMMAND)
            return self._move(number)
        steps = {"+": self._steps() + number, "-": self._steps() - number}.get(sign, number)
        return self._move(self._low_db + steps * STEP_DB)

    def _move(self, attenuation_db: float) -> list[str]:
        wanted_db = round(attenuation_db, 2)
        if not self._homed or not self._low_db <= wanted_db <= self._high_db:
            raise Refused(OVERFLOW)
        self._place(wanted_db)
        return [f"Pos:{self._steps()}"]

    def _place(self, attenuation_db: float) -> None:
        self._channel.attenuation_db = attenuation_db
        self._channel.shutter_open = not (self._blocks and attenuation_db >= self._high_db)

    def _steps(self) -> int:
        return round((self._channel.attenuation_db - self._low_db) / STEP_DB)

    def _shown(self) -> str:
        if not self._homed:
            return f"{self._label}:unknown"
        return f"{self._label}:{self._channel.attenuation_db:.2f}" + ("(dB)" if self._label == "Atten" else "")
