"""Simulated Thorlabs OSWxx-yyyyE optical switch (1x2 or 2x2, bistable).

After public drivers: lines end with LF, replies with CR LF. ``S 1`` and ``S 2`` switch and have no answer, ``S?`` tells
the position, ``T?`` the board's type code, ``I?`` its name and firmware. What is not understood stays silent. A switch
without power stays where it is. Light follows at once; ``S?`` tells the old position for ``settle_s``.

Options: ``board``, ``type_code``, ``position``, ``settle_s``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from sim_backends.lines import Lines
from sim_backends.scpi_input import Message
from sim_backends.state import SwitchState, WorldView
from sim_backends.unit import Connection, Framing, Unit

TERMINATOR: Final = b"\r\n"
POSITIONS: Final = 2
_SLACK_S: Final = 1e-6


class OSW(Unit):
    """``state``: where it is."""

    MODEL = "thorlabs_osw"
    state: SwitchState

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        take = self.options
        self._board = take.text("board", "OSW12-1310E V1.0")
        self._type_code = take.text("type_code", "0")
        self.state = SwitchState(take.integer("position", 1, 1, POSITIONS))
        self._settle_s = take.number("settle_s", 0.001, 0.0, 60.0)
        self._before = self.state.position
        self._switched_at = world.now() - self._settle_s

    def new_framing(self) -> Framing:
        return Lines()

    def obey(self, connection: Connection, message: Message) -> None:
        text = message.text.decode("latin-1").upper()
        command = re.fullmatch(r"S\s*([12])", text)
        if command is not None:
            self._switch(int(command[1]))
            return
        answers = {"S?": str(self._shown()), "T?": self._type_code, "I?": self._board}
        reply = answers.get(text.replace(" ", ""))
        if reply is not None:
            connection.put(reply.encode("latin-1") + TERMINATOR)

    def _switch(self, position: int) -> None:
        if position != self.state.position:
            self._before, self.state.position = self.state.position, position
            self._switched_at = self.world.now()

    def _shown(self) -> int:
        moving = 0 <= self.world.now() - self._switched_at < self._settle_s - _SLACK_S  # clocks may be set back
        return self._before if moving else self.state.position
