"""Simulated NKT Photonics Koheras BOOSTIK HPA fibre amplifier.

Manual: NKT Photonics, "Koheras BOOSTIK HPA User's Manual", revision 06, section 4.3.2. Lines of a serial port, CR LF
both ways. A command with a value sets, and answers with the value in force, which is the old one where it was refused.
What the manual leaves open is an option: what is said to a command that does not exist, the decimals of a current, and
how long emission takes to come on. An open interlock loop switches the pump off, and it stays off when the loop is
closed again; no command tells of it.

Options: ``information``, ``current_max_a``, ``decimals``, ``settle_s``, ``unknown``, ``interlock_open``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from sim_backends.scpi_input import Message
from sim_backends.state import AmplifierState, WorldView
from sim_backends.unit import Connection, Unit

TERMINATOR: Final = b"\r\n"
BOOSTER_C: Final = 25.1
AMBIENT_C: Final = 27.4
SILENT: Final = "silent"
_SLACK_S: Final = 1e-6


class Boostik(Unit):
    """One booster."""

    MODEL = "nkt_boostik"
    state: AmplifierState

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        take = self.options
        self._information = take.text("information", "Koheras BOOSTIK HPA SN 24060017")
        self._max_a = take.number("current_max_a", 1.0, 0.01, 100.0)
        self._decimals = take.integer("decimals", 4, 2, 6)
        self._settle_s = take.number("settle_s", 0.0, 0.0, 600.0)
        self._unknown = take.text("unknown", SILENT)
        self.state = AmplifierState(interlock_open=take.flag("interlock_open", False))
        self._switched_at = world.now() - self._settle_s
        self._answers: Mapping[str, Callable[[str], str]] = {
            "CDI": lambda value: self._information,
            "ACC": self._current,
            "AMC": lambda value: self._amperes(self.state.pump_a if self.state.emission else 0.0),
            "CDO": self._emission,
            "AMT 1": lambda value: f"{BOOSTER_C:.1f}",
            "CMA": lambda value: f"{AMBIENT_C:.1f}",
            "CMP 1": lambda value: f"{world.optical_power_w(name) * 1e3:.6f}",
        }

    def set_interlock(self, closed: bool) -> None:
        """Open the loop: the pump goes off. Closed again, it may be switched on."""
        with self.lock:
            self.state.interlock_open = not closed
            if not closed:
                self.state.emission = False

    def obey(self, connection: Connection, message: Message) -> None:
        """One command, one line."""
        text = " ".join(message.text.decode("latin-1").upper().split())
        header, _, value = text.partition(" ")
        answer = self._answers.get(text) or self._answers.get(header)
        if answer is not None:
            reply = answer(value if header in self._answers else "")
        elif self._unknown == SILENT:
            return
        else:
            reply = self._unknown
        connection.put(reply.encode("latin-1") + TERMINATOR)

    def _amperes(self, current_a: float) -> str:
        return f"{current_a:.{self._decimals}f}"

    def _current(self, value: str) -> str:
        if re.fullmatch(r"(\d+\.?\d*|\.\d+)(E[+-]?\d{1,2})?", value) and float(value) <= self._max_a:
            self.state.pump_a = round(float(value), self._decimals)
        return self._amperes(self.state.pump_a)

    def _emission(self, value: str) -> str:
        wanted = {"0": False, "1": True}.get(value, self.state.emission) and not self.state.interlock_open
        if wanted != self.state.emission:
            self.state.emission = wanted
            self._switched_at = self.world.now()
        coming = 0 <= self.world.now() - self._switched_at < self._settle_s - _SLACK_S  # clocks may be set back
        return str(int(self.state.emission and not coming))
