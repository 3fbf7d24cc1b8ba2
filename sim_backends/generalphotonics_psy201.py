"""Simulated General Photonics (Luna) PSY-201 polarisation synthesizer and analyser.

After the "PSY-201 User Guide" (GP-UM-PSY-201-11) as far as it is public, and public drivers. Lines end with CR LF
(either will do), replies with CR LF; headers in long or short form. A command has no reply; ``*OPC?`` answers 0 while a
state is being looked for. What is not understood or lies outside its range stays silent and changes nothing, and no
error queue is known. Light follows at once, ``*OPC?`` and ``:MEASure`` tell of it after ``settle_s``. A state may be
given as Stokes parameters or as two angles on the Poincaré sphere; scrambling ends when a state is set.

Options: ``serial``, ``settle_s``, ``wavelength_decimals``, ``dop``, ``scrambling_query``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

from labctl.units import watt_to_dbm
from sim_backends.lines import Lines
from sim_backends.scpi_input import Message
from sim_backends.state import PolarisationState, WorldView
from sim_backends.unit import Connection, Framing, Unit

TERMINATOR: Final = b"\r\n"
WAVELENGTHS_NM: Final = (1480.0, 1620.0)
#: Ways to scramble with their fastest rates: Hz, or radians per second.
SCRAMBLERS: Final[Mapping[str, float]] = {"DISCrete": 20000.0, "TRIangle": 2000.0, "TORNado": 2000.0}
SLOWEST: Final = 0.01
#: How far the Stokes parameters' norm may be from 1.
NORM_TOLERANCE: Final = 0.01
DARK_DBM: Final = -60.0
_SLACK_S: Final = 1e-6

T = TypeVar("T")
Stokes = tuple[float, float, float]
Command = Callable[[Sequence[float]], None]


class PSY201(Unit):
    """``state``: the light that leaves it."""

    MODEL = "generalphotonics_psy201"
    state: PolarisationState

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        take = self.options
        self._serial = take.text("serial", "GP24060001")
        self._settle_s = take.number("settle_s", 0.1, 0.0, 60.0)
        self._decimals = take.integer("wavelength_decimals", 2, 0, 3)
        self._dop = take.number("dop", 1.0, 0.0, 1.0)
        self._answers_scrambling = take.flag("scrambling_query", True)
        self.state = PolarisationState()
        self._before: Stokes = self.state.stokes
        self._set_at = world.now() - self._settle_s
        self._wavelength_nm = 1550.0
        self._rates = dict.fromkeys(SCRAMBLERS, 1.0)
        self._scrambler = ""
        self._tornado = 0.0
        self._queries = _patterns(self._query_table())
        self._commands = _patterns(self._command_table())

    def new_framing(self) -> Framing:
        return Lines()

    def obey(self, connection: Connection, message: Message) -> None:
        header, _, rest = message.text.decode("latin-1").upper().partition(" ")
        header = header.removeprefix(":")
        if header.endswith("?"):
            for pattern, answer in self._queries:
                if pattern.fullmatch(header[:-1]):
                    connection.put(answer().encode("ascii") + TERMINATOR)
            return
        try:
            numbers = [_number(part.strip()) for part in rest.split(",")] if rest.strip() else []
        except ValueError:
            return
        for pattern, command in self._commands:
            if pattern.fullmatch(header) and all(map(math.isfinite, numbers)):
                command(numbers)

    # ------------------------------------------------------------------ state of polarisation

    def _set_stokes(self, numbers: Sequence[float]) -> None:
        norm = math.hypot(*numbers)
        if len(numbers) != 3 or abs(norm**2 - 1) > NORM_TOLERANCE:
            return
        self._before = self._shown()
        s1, s2, s3 = (number / norm for number in numbers)
        self.state.stokes = (s1, s2, s3)
        self.state.scrambling, self._scrambler = False, ""
        self._set_at = self.world.now()

    def _set_angles(self, numbers: Sequence[float]) -> None:
        """Degrees: azimuth 0 to 360, and 0 to 180 from the pole of right-handed circular light."""
        if len(numbers) != 2 or not 0 <= numbers[0] <= 360 or not 0 <= numbers[1] <= 180:
            return
        theta, phi = map(math.radians, numbers)
        self._set_stokes((math.sin(phi) * math.cos(theta), math.sin(phi) * math.sin(theta), math.cos(phi)))

    def _busy(self) -> bool:
        return 0 <= self.world.now() - self._set_at < self._settle_s - _SLACK_S  # clocks may be set back

    def _shown(self) -> Stokes:
        return self._before if self._busy() else self.state.stokes

    # ------------------------------------------------------------------ the rest

    def _set_wavelength(self, numbers: Sequence[float]) -> None:
        low, high = WAVELENGTHS_NM
        if len(numbers) == 1 and low <= numbers[0] <= high:
            self._wavelength_nm = round(numbers[0], self._decimals)

    def _set_rate(self, scrambler: str, numbers: Sequence[float]) -> None:
        if len(numbers) == 1 and SLOWEST <= numbers[0] <= SCRAMBLERS[scrambler]:
            self._rates[scrambler] = numbers[0]

    def _set_scrambling(self, scrambler: str, numbers: Sequence[float]) -> None:
        if list(numbers) == [1]:
            self._scrambler = scrambler
        elif list(numbers) == [0] and self._scrambler == scrambler:
            self._scrambler = ""
        self.state.scrambling = bool(self._scrambler)

    def _set_tornado(self, numbers: Sequence[float]) -> None:
        if len(numbers) == 1 and numbers[0] in (0, 1):
            self._tornado = numbers[0]

    def _power_dbm(self) -> float:
        power_w = self.world.optical_power_w(self.name)
        return watt_to_dbm(power_w) if power_w > 0 else DARK_DBM

    def _query_table(self) -> dict[str, Callable[[], str]]:
        table: dict[str, Callable[[], str]] = {
            "*IDN": lambda: f"General Photonics,PSY-201,{self._serial},1.1",
            "*OPC": lambda: str(int(not self._busy())),
            "CONFigure:WLENgth": lambda: f"{self._wavelength_nm:.{self._decimals}f}",
            "MEASure:SOP": lambda: ",".join(f"{value:+.3f}" for value in self._shown()),
            "MEASure:DOP": lambda: f"{self._dop:+.3f}",
            "MEASure:POWer": lambda: f"{self._power_dbm():+.2f}",
            "CONTrol:SCRamble:TORNado:TYPE": lambda: f"{self._tornado:.0f}",
        }
        for each in SCRAMBLERS:
            table[f"CONTrol:SCRamble:{each}:RATE"] = partial(self._shown_rate, each)
            if self._answers_scrambling:
                table[f"CONTrol:SCRamble:{each}:STATe"] = partial(self._shown_scrambling, each)
        return table

    def _shown_rate(self, scrambler: str) -> str:
        return f"{self._rates[scrambler]:.2f}"

    def _shown_scrambling(self, scrambler: str) -> str:
        return str(int(self._scrambler == scrambler))

    def _command_table(self) -> dict[str, Command]:
        table: dict[str, Command] = {
            "CONFigure:WLENgth": self._set_wavelength,
            "CONTrol:SOP": self._set_stokes,
            "CONTrol:ANGLe": self._set_angles,
            "CONTrol:SCRamble:TORNado:TYPE": self._set_tornado,
        }
        for each in SCRAMBLERS:
            table[f"CONTrol:SCRamble:{each}:RATE"] = partial(self._set_rate, each)
            table[f"CONTrol:SCRamble:{each}:STATe"] = partial(self._set_scrambling, each)
        return table


def _number(text: str) -> float:
    """Also ON and OFF. Raises ValueError."""
    return {"ON": 1.0, "OFF": 0.0}[text] if text in ("ON", "OFF") else float(text)


def _patterns(table: Mapping[str, T]) -> list[tuple[re.Pattern[str], T]]:
    """Headers in long form, or short as their capitals say."""

    def pattern(header: str) -> re.Pattern[str]:
        words = (re.fullmatch(r"(\*?[A-Z0-9]+)([a-z]*)", word) for word in header.split(":"))
        return re.compile(":".join(f"{re.escape(word[1])}(?:{word[2].upper()})?" for word in words if word))

    return [(pattern(header), action) for header, action in table.items()]
