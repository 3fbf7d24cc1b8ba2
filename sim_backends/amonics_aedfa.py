"""Simulated Amonics AEDFA fibre amplifier with one pump channel.

Manual: Amonics, "AEDFA Programming Manual", version 2.08. Not IEEE 488.2: commands begin with a colon and end with CR
LF (LF alone will do), a whole command must arrive within 500 ms, and 50 ms must pass between commands: one that comes
sooner is lost. Commands have no reply; what a unit does not have, does not understand or refuses stays silent. There is
no ``*IDN?`` and no error queue. Currents in mA, powers in mW.

The channel must be on before the master switch, and takes the master with it when it goes off. Light is there as soon
as the master is told, while both switches report 2 (busy) for ``settle_s``. The output power is not measured
(``:SENS:POW:OUT`` is not fitted), since only the world knows the gain; in APC mode the pump is proportional to the
power asked for.

Options: ``model``, ``serial``, ``current_max_ma``, ``power_max_mw``, ``apc`` (has that mode), ``settle_s``,
``strict_spacing``, ``interlock_open``, ``input_monitor``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from labctl.units import watt_to_dbm
from sim_backends.scpi_input import Message
from sim_backends.state import AmplifierState, WorldView
from sim_backends.unit import Connection, Data, Framing, Unit

SPACING_S: Final = 0.05
COMMAND_S: Final = 0.5
STEP_MA: Final = 0.1
OFF, ON, BUSY, LOCKED = 0, 1, 2, 4
READY, FAIL, DISABLED = 0, 1, 2
TERMINATOR: Final = b"\r\n"
MAX_COMMAND: Final = 256
#: The darkest that the input monitor knows.
DARK_DBM: Final = -99.0
_SLACK_S: Final = 1e-6

#: Protections that are kept and given back: lowest, highest, and value at switch-on.
PROTECTIONS: Final[Mapping[str, tuple[float, float, float]]] = {
    "POW:IN:STAT:SET1": (0, 1, 0),
    "POW:IN:LEV:SET1": (-60, 20, -30),
    "POW:OUT:STAT:SET1": (0, 1, 0),
    "POW:OUT:RANGE:SET1": (0, 1e4, 10),
    "POW:OUT:RANGE_MIN:SET1": (0, 1e4, 0),
    "POW:OUT:RANGE_MAX:SET1": (0, 1e4, 1000),
    "POW:OUT:REF:SET1": (0, 1e4, 0),
    "POW:OUT:TIME": (0, 3600, 1),
    "CUR:OVER:STAT:SET1": (0, 1, 1),
    "CUR:OVER:LEV:SET1": (0, 1e4, 1000),
    "OBR:OVER:STAT:SET1": (0, 1, 0),
    "OBR:OVER:LEV:SET1": (-60, 40, 0),
    "TEMP:BOX:STAT": (0, 1, 1),
    "TEMP:BOX:MIN": (-40, 100, 0),
    "TEMP:BOX:MAX": (-40, 100, 60),
    "TEMP:FC:STAT": (0, 1, 0),
    "TEMP:FC:MAX": (-40, 150, 80),
    "VOLT:PS:STAT": (0, 1, 0),
}
#: Channel counts that never change.
COUNTS: Final[Mapping[str, int]] = {
    "DRIV:ACC": 1,
    "CUR": 1,
    "POW:OUT": 0,
    "POW:PD": 0,
    "PD": 0,
    "TEMP:BOX": 1,
    "TEMP:FC": 1,
    "TEMP:TEC": 1,
    "VOLT:PS": 1,
}
#: Readings of a unit in good health.
READINGS: Final[Mapping[str, float]] = {"TEMP:BOX": 31.5, "TEMP:FC": 35.0, "TEMP:TEC:CH1": 25.0, "VOLT:PS": 5.02}
#: Alarms without anything behind them.
QUIET_ALARMS: Final = ("CUR:OVER:CH1", "TEMP:BOX", "TEMP:FC", "TEMP:TEC:WARN:CH1", "TEMP:TEC:OVER:CH1", "VOLT:PS")


class CommandLines:
    """Lines of a serial port; one that took longer than 500 ms to come in is dropped."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.clear()

    def clear(self) -> None:
        """Forget half a line."""
        self.idle = True
        self._line = bytearray()
        self._began = 0.0

    def feed(self, data: Data, end: bool) -> Iterator[Message]:
        """Serial lines have no END."""
        for piece in bytes(data).splitlines(keepends=True) if data else ():
            yield from self._take(piece)

    def _take(self, piece: bytes) -> Iterator[Message]:
        now = self._now()
        if not self._line or not 0 <= now - self._began <= COMMAND_S + _SLACK_S:
            self._line.clear()
            self._began = now
        self._line += piece[: MAX_COMMAND + 1 - len(self._line)]
        if piece.endswith(b"\n"):
            text = bytes(self._line).strip()
            self._line.clear()
            if text:
                yield Message(text)
        self.idle = not self._line


class AEDFA(Unit):
    """Pump channel 1 and the master switch."""

    MODEL = "amonics_aedfa"
    state: AmplifierState

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        take = self.options
        self._model = take.text("variant", "AEDFA-PA-30-B-FA")
        self._serial = take.text("serial", "24010042")
        self._max = {
            "ACC": take.number("current_max_ma", 1000.0, 1.0, 1e5),
            "APC": take.number("power_max_mw", 1000.0, 1.0, 1e5),
        }
        self._modes = ("ACC", "APC") if take.flag("apc", False) else ("ACC",)
        self._settle_s = take.number("settle_s", 0.5, 0.0, 600.0)
        self._strict = take.flag("strict_spacing", True)
        self._input_monitor = take.flag("input_monitor", True)
        self.state = AmplifierState(interlock_open=take.flag("interlock_open", False))
        self._mode = "ACC"
        self._set_points = {"ACC": 0.0, "APC": 0.0}
        self._channel_on = self._master_on = False
        self._changed_at = {"channel": world.now() - self._settle_s, "master": world.now() - self._settle_s}
        self._loop_closed = not self.state.interlock_open
        self._seed_lost = False
        self._limit_mw = self._max["APC"]
        self._protections = {key: start for key, (_, _, start) in PROTECTIONS.items()}
        self._started = world.now()
        self._heard = world.now() - SPACING_S
        self._queries = self._query_table()
        self._commands = self._command_table()

    def new_framing(self) -> Framing:
        return CommandLines(self.world.now)

    def set_interlock(self, closed: bool) -> None:
        """Open the loop: the pump goes off. Closed again, it stays locked until it is unlocked by command."""
        with self.lock:
            self._loop_closed = closed
            if not closed:
                self.state.interlock_open = True
                self._switch_off()

    def obey(self, connection: Connection, message: Message) -> None:
        """One command; whatever is wrong with it, nothing is said."""
        now = self.world.now()
        too_soon = self._strict and 0 <= now - self._heard < SPACING_S - _SLACK_S  # clocks may be set back
        self._heard = now
        if too_soon or not message.text.startswith(b":"):
            return
        self._watch_seed()
        header, _, value = message.text.decode("latin-1").upper().partition(" ")
        if header.endswith("?"):
            answer = self._queries.get(header[1:-1])
            reply = answer() if answer is not None else ""
            if reply:
                connection.put(reply.encode("ascii") + TERMINATOR)
        elif header[1:] in self._commands:
            self._commands[header[1:]](value.strip())

    # ------------------------------------------------------------------ the pump

    def _changed(self, switch: str) -> None:
        self._changed_at[switch] = self.world.now()

    def _shown(self, switch: str, on: bool) -> int:
        if switch == "channel" and self.state.interlock_open:
            return LOCKED
        busy = 0 <= self.world.now() - self._changed_at[switch] < self._settle_s - _SLACK_S
        return BUSY if busy else ON if on else OFF

    def _switch_off(self) -> None:
        self._channel_on = self._master_on = False
        self._drive()

    def _drive(self) -> None:
        """What the switches and the set point mean for the pump."""
        share = self._set_points[self._mode] / self._max[self._mode]
        self.state.pump_a = share * self._max["ACC"] * 1e-3
        self.state.emission = self._channel_on and self._master_on

    def _set_channel(self, mode: str, value: str) -> None:
        wanted = _flag(value)
        if wanted is None or mode != self._mode or self.state.interlock_open or wanted == self._channel_on:
            return
        self._channel_on = wanted
        if not wanted and self._master_on:
            self._master_on = False
            self._changed("master")
        self._changed("channel")
        self._drive()

    def _set_master(self, value: str) -> None:
        wanted = _flag(value)
        if wanted is None or wanted == self._master_on or (wanted and not self._channel_on):
            return
        if wanted and self._shown("channel", True) != ON:
            return
        self._master_on = wanted
        self._changed("master")
        self._drive()

    def _set_mode(self, value: str) -> None:
        if value in self._modes and not self._channel_on:
            self._mode = value
            self._drive()

    def _set_point(self, mode: str, value: str) -> None:
        number = _number(value)
        if mode not in self._modes or number is None or not 0 <= number <= self._max[mode]:
            return
        self._set_points[mode] = round(number / STEP_MA) * STEP_MA
        self._drive()

    def _unlock(self, value: str) -> None:
        if _flag(value) and self._loop_closed:
            self.state.interlock_open = False

    # ------------------------------------------------------------------ protections

    def _input_dbm(self) -> float:
        power_w = self.world.optical_power_w(self.name)
        return watt_to_dbm(power_w) if power_w > 0 else DARK_DBM

    def _watch_seed(self) -> None:
        """Without seed the pump would build up a giant pulse: it goes off, and the alarm is latched."""
        if self._protections["POW:IN:STAT:SET1"] and self.state.emission and self._no_seed():
            self._seed_lost = True
            self._switch_off()

    def _no_seed(self) -> bool:
        return self._input_dbm() < self._protections["POW:IN:LEV:SET1"]

    def _seed_alarm(self) -> int:
        if not self._protections["POW:IN:STAT:SET1"]:
            return DISABLED
        return FAIL if self._no_seed() else READY

    def _protect(self, key: str, value: str) -> None:
        number = _number(value)
        low, high, _ = PROTECTIONS[key]
        if number is not None and low <= number <= high:
            self._protections[key] = number
            if key == "POW:IN:STAT:SET1":
                self._seed_lost = False

    def _shown_protection(self, key: str) -> str:
        value = self._protections[key]
        return str(int(value)) if ":STAT" in key else _real(value)

    # ------------------------------------------------------------------ tables

    def _command_table(self) -> dict[str, Callable[[str], None]]:
        table: dict[str, Callable[[str], None]] = {
            "MODE:SW:CH1": self._set_mode,
            "DRIV:MCTRL": self._set_master,
            "THRES:INTERLOCK:UNLOCK": self._unlock,
            "THRES:TEMP:TEC:OVER:UNLOCK": lambda value: None,
            "DRIV:LIMIT:POW:OUT:MAX": self._set_limit,
        }
        for mode in self._modes:
            table[f"DRIV:{mode}:STAT:CH1"] = partial(self._set_channel, mode)
            table[f"DRIV:{mode}:CUR:CH1"] = partial(self._set_point, mode)
        for key in PROTECTIONS:
            table[f"THRES:{key}"] = partial(self._protect, key)
        return table

    def _set_limit(self, value: str) -> None:
        number = _number(value)
        if number is not None and 0 <= number <= self._max["APC"]:
            self._limit_mw = number

    def _query_table(self) -> dict[str, Callable[[], str]]:
        table: dict[str, Callable[[], str]] = {
            "CAL:SYS:MODEL": lambda: self._model,
            "CAL:SYS:SERIAL": lambda: self._serial,
            "READ:MODE:NAMES": lambda: " ".join(self._modes),
            "READ:CH:POW:IN": lambda: str(int(self._input_monitor)),
            "READ:DRIV:TIME": self._running_time,
            "MODE:SW:CH1": lambda: self._mode,
            "DRIV:MCTRL": lambda: str(self._shown("master", self._master_on)),
            "DRIV:INTERLOCK": lambda: str(int(self.state.interlock_open)),
            "DRIV:SEED_ST": lambda: "0",
            "DRIV:LIMIT:POW:OUT:MAX": lambda: _real(self._limit_mw),
            "SENS:CUR:CH1": lambda: _real(self.state.pump_a * 1e3 if self.state.emission else 0.0),
            "THRES:POW:IN:ACT:CH1": lambda: _real(self._protections["POW:IN:LEV:SET1"]),
        }
        if self._input_monitor:
            table["SENS:POW:IN:CH1"] = lambda: _real(self.world.optical_power_w(self.name) * 1e3)
            alarm = "SENS:THRES:ALARM:POW:IN:"
            table[alarm + "LOS:CH1"] = lambda: str(self._seed_alarm())
            table[alarm + "LOS:CH1:LATCH"] = lambda: str(int(self._seed_lost))
            table[alarm + "OVER:CH1"] = table[alarm + "OVER:CH1:LATCH"] = lambda: str(READY)
        for mode in self._modes:
            table.update(self._mode_queries(mode))
        for key, count in COUNTS.items():
            table[f"READ:CH:{key}"] = partial(str, count)
        for key, reading in READINGS.items():
            table[f"SENS:{key}"] = partial(_real, reading)
        for key in QUIET_ALARMS:
            table[f"SENS:THRES:ALARM:{key}"] = table[f"SENS:THRES:ALARM:{key}:LATCH"] = lambda: str(READY)
        for key in PROTECTIONS:
            table[f"THRES:{key}"] = partial(self._shown_protection, key)
        return table

    def _mode_queries(self, mode: str) -> dict[str, Callable[[], str]]:
        unit = "mA" if mode == "ACC" else "mW"
        return {
            f"READ:CH:DRIV:{mode}": lambda: "1",
            f"READ:DRIV:MIN:{mode}:CH1": lambda: _real(0.0),
            f"READ:DRIV:MAX:{mode}:CH1": lambda: _real(self._max[mode]),
            f"READ:DRIV:STEP:{mode}:CH1": lambda: _real(STEP_MA),
            f"READ:DRIV:LO_MARGIN:{mode}:CH1": lambda: _real(0.0),
            f"READ:DRIV:UNIT:{mode}:CH1": lambda: unit,
            f"DRIV:{mode}:CUR:CH1": lambda: _real(self._set_points[mode]),
            f"DRIV:{mode}:STAT:CH1": lambda: str(self._shown("channel", self._channel_on and self._mode == mode)),
        }

    def _running_time(self) -> str:
        seconds = max(0, int(self.world.now() - self._started))
        return f"{seconds // 86400}d.{seconds // 3600 % 24}h:{seconds // 60 % 60}m:{seconds % 60}s"


def _real(value: float) -> str:
    return f"{value:.6e}"


def _number(text: str) -> float | None:
    """A finite decimal number, or None."""
    return float(text) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(E[+-]?\d{1,2})?", text) else None


def _flag(text: str) -> bool | None:
    return {"0": False, "1": True}.get(text)
