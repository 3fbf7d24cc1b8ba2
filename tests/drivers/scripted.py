"""A VISA library that plays a script: bytes expected from the driver, bytes given in return.

Anything sent that the script does not foresee, and anything left over at the end, is an error.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyvisa.constants import StatusCode

from drivers.exchange import Player, Turn
from drivers.visa import VisaLibrary

#: What a session answers: bytes, several messages, nothing, or an error that the read raises.
Answer = bytes | str | tuple[str, ...] | StatusCode | None
Script = Sequence[tuple[bytes | str, Answer]]


class ScriptedVisa(Player):
    """``scripts``: one for each time anything is opened, of texts without their ends, which are added."""

    def __init__(self, *scripts: Script, write_end: bytes = b"\n", read_end: bytes = b"\n") -> None:
        def told(answer: Answer) -> tuple[bytes | StatusCode, ...]:
            if isinstance(answer, tuple):
                return tuple(part.encode() + read_end for part in answer)
            if isinstance(answer, str):
                return (answer.encode() + read_end,)
            return () if answer is None else (answer,)

        def turn(sent: bytes | str, answer: Answer) -> Turn:
            return sent.encode() + write_end if isinstance(sent, str) else sent, told(answer)

        super().__init__(*(("", [turn(*each) for each in script]) for script in scripts))


def library(visa: ScriptedVisa) -> VisaLibrary:
    return VisaLibrary(visa)


def checked(*commands: str, error: str = '0,"No error"') -> list[tuple[str, Answer]]:
    """Commands that are each followed by a look at the error queue."""
    pairs: list[tuple[str, Answer]] = []
    for command in commands:
        pairs += [(command, None), (":SYSTem:ERRor?", error)]
    return pairs
