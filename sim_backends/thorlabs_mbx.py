"""Simulated Thorlabs MBX modulator bias controller: one electrode.

Manual: Thorlabs, "MX40G user guide" (TTN116413), remote pages 6, 7, 17 and 18, whose MZM and VOA commands the MBX
series has; and public drivers of both. Lines end with CR, LF or both. A query is ``HEADER?``, a command ``HEADER:
value``, the colon or the blank may be missing, and each word may be cut short. Errors are text in place of a reply, and
there is no queue. Where guide and drivers differ, an option decides: whether every command is answered with 1 (``ack``
all) or only ``MZM:RESET`` and ``VOA:MODE`` (some), and what ends a reply (``eol``).

The controller holds the arm of the modulator at which it stands ([world.places], ``bias_i`` or ``bias_q``) as soon as
it is told; ``MZM:SETPOINT?`` says so after ``settle_s``. While it calibrates, it refuses all MZM commands, and the
light does not change. The attenuator inside and the lamps under the box keep what they are told, and stand in no light.

Options: ``variant``, ``serial``, ``ack``, ``eol``, ``mode``, ``settle_s``, ``calibration_s``, ``v_pi_v``, ``error_mv``,
``dither_mvpp``, ``dither_hz``, ``finds_points``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Final

from labctl.units import watt_to_dbm
from sim_backends.alignment import held_v
from sim_backends.lines import Lines
from sim_backends.scpi_input import Message
from sim_backends.state import BiasElectrodeState, BiasState, WorldView
from sim_backends.unit import Connection, Framing, Unit

OFF, PEAK, NULL, QUAD_POS, QUAD_NEG, HOLD_POS, HOLD_NEG, MANUAL, POWER_POS, POWER_NEG = range(10)
#: Working points in V_pi off the null.
POINTS: Final = {PEAK: 1.0, NULL: 0.0, QUAD_POS: 0.5, QUAD_NEG: -0.5, HOLD_POS: 0.5, HOLD_NEG: -0.5}
#: Modes that hold a point by the powers before and behind the modulator, without pilot tone.
HELD: Final = (HOLD_POS, HOLD_NEG)
#: Modes in which SETPOINT? can say 1.
CONTROLLED: Final = (*POINTS, POWER_POS, POWER_NEG)
DARK_DBM: Final = -99.0
_SLACK_S: Final = 1e-6

#: What is kept and given back: lowest, highest, at power-on, decimals.
KEPT: Final[Mapping[str, tuple[float, float, float, int]]] = {
    "MZM:HOLD:RATIO": (250, 10000, 250, 0),
    "MZM:HOLD:VOLTAGE": (-10000, 10000, 0, 0),
    "MZM:DITHER:AMPLITUDE": (20, 2000, 100, 0),
    "MZM:DITHER:FREQUENCY": (1000, 10000, 1000, 0),
    "VOA:POWER": (0, 1, 0, 0),
    "VOA:MODE": (0, 1, 0, 0),
    "VOA:ATTENUATION": (0.5, 20, 20, 2),
    "VOA:OUTPUT:MW": (0.01, 100, 1, 3),
    "VOA:OUTPUT:DBM": (-20, 20, 0, 2),
    "RGB:POWER": (0, 2, 0, 0),
    "RGB:RED": (0, 100, 0, 0),
    "RGB:GREEN": (0, 100, 0, 0),
    "RGB:BLUE": (0, 100, 0, 0),
    "RGB:WHITE": (0, 100, 0, 0),
}
#: Commands that are answered with 1 whatever the firmware.
ACKNOWLEDGED: Final = ("MZM:RESET", "VOA:MODE")
#: What only the transmitters of the MX series have.
TRANSMITTERS: Final = ("LASER", "AMPLIFIER")
UNDEFINED: Final = "Undefined header"
PARAMETER: Final = "Parameter error"
RANGE: Final = "Data out of range"
ABSENT: Final = "Feature not present"
EXECUTION: Final = "Execution error"
_COMMAND: Final = re.compile(r"(\*?[A-Z]+(?::[A-Z]+)*):?\s*([-+.\d]\S*)?")


class Refused(Exception):
    """Its text comes in place of a reply."""


class MBX(Unit):
    """``state``: its one electrode."""

    MODEL = "thorlabs_mbx"
    state: BiasState

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        take = self.options
        self._model = take.text("variant", "MBX1550")
        self._serial = take.text("serial", "M00812345")
        self._talkative = take.text("ack", "all", ("all", "some")) == "all"
        self._end = {"LF": b"\n", "CR": b"\r"}[take.text("eol", "LF", ("LF", "CR"))]
        self._mode = take.integer("mode", OFF, OFF, POWER_NEG)
        self._settle_s = take.number("settle_s", 0.5, 0.0, 600.0)
        self._calibration_s = take.number("calibration_s", 5.0, 0.0, 600.0)
        self._finds_points = take.flag("finds_points", True)
        self._electrode = BiasElectrodeState(
            v_pi_v=take.number("v_pi_v", 5.0, 0.1, 10.0), error_v=take.number("error_mv", 0.0, -1e4, 1e4) * 1e-3
        )
        self.state = BiasState([self._electrode])
        self._kept = {header: start for header, (_, _, start, _) in KEPT.items()}
        self._kept["MZM:DITHER:AMPLITUDE"] = take.number("dither_mvpp", 100, 20, 2000)
        self._kept["MZM:DITHER:FREQUENCY"] = take.number("dither_hz", 1000, 1000, 10000)
        self._changed_at = world.now() - self._settle_s
        self._calibrated_at = world.now()
        self._queries = self._query_table()
        self._commands = [*KEPT, "MZM:MODE", "MZM:RESET"]
        self._drive()

    def new_framing(self) -> Framing:
        return Lines()

    def obey(self, connection: Connection, message: Message) -> None:
        try:
            reply = self._answer(message.text.decode("latin-1").upper())
        except Refused as error:
            reply = f"Err: {error}"
        if reply:
            connection.put(reply.encode("ascii") + self._end)

    def _answer(self, text: str) -> str:
        if text.endswith("?"):
            header = self._known(text[:-1].rstrip(), self._queries)
            self._check_free(header)
            return self._queries[header]()
        match = _COMMAND.fullmatch(text)
        if match is None:
            raise Refused(PARAMETER if re.match(r"\*?[A-Z]+:", text) else UNDEFINED)
        header = self._known(match[1], self._commands)
        self._check_free(header)
        self._command(header, match[2])
        return "1" if self._talkative or header in ACKNOWLEDGED else ""

    @staticmethod
    def _known(sent: str, headers: Mapping[str, object] | list[str]) -> str:
        """The header that was meant: its words may be cut short where no other begins so."""
        if sent in headers:
            return sent
        words = sent.split(":")
        meant = [
            header
            for header in headers
            if len(words) == header.count(":") + 1
            and all(whole.startswith(word) for whole, word in zip(header.split(":"), words, strict=True))
        ]
        if len(meant) != 1:
            known = any(len(words[0]) > 2 and absent.startswith(words[0]) for absent in TRANSMITTERS)
            raise Refused(ABSENT if known else UNDEFINED)
        return meant[0]

    def _check_free(self, header: str) -> None:
        if self._calibrating() and header.startswith("MZM:") and header != "MZM:CALIBRATING":
            raise Refused(EXECUTION)

    # ------------------------------------------------------------------ commands

    def _command(self, header: str, value: str | None) -> None:
        if header == "MZM:RESET":
            self._calibrated_at = self.world.now() + self._calibration_s
            return
        try:
            number = float(value or "")
        except ValueError:
            raise Refused(PARAMETER) from None
        low, high, _, decimals = KEPT.get(header, (OFF, POWER_NEG, 0, 0))
        if not low <= number <= high:
            raise Refused(RANGE)
        if decimals == 0 and not number.is_integer():
            raise Refused(PARAMETER)
        if header == "MZM:MODE":
            self._mode = int(number)
            self._changed_at = self.world.now()
        else:
            self._kept[header] = number
        if header.startswith("MZM:"):
            self._drive()

    def _drive(self) -> None:
        """What the mode means for the electrode."""
        electrode = self._electrode
        controlled = self._mode in CONTROLLED
        electrode.point = self._point() if controlled and self._finds_points else None
        electrode.voltage_v = self._kept["MZM:HOLD:VOLTAGE"] * 1e-3 if self._mode == MANUAL else 0.0
        toned = controlled and self._mode not in HELD
        electrode.dither_vpp = self._kept["MZM:DITHER:AMPLITUDE"] * 1e-3 if toned else 0.0
        electrode.dither_hz = self._kept["MZM:DITHER:FREQUENCY"]

    def _point(self) -> float:
        """In V_pi off the null. The power modes keep the ratio of full to present transmission, on either slope."""
        if self._mode in POINTS:
            return POINTS[self._mode]
        ratio = self._kept["MZM:HOLD:RATIO"] / 100
        turn = 2 / math.pi * math.asin(math.sqrt(1 / ratio))
        return turn if self._mode == POWER_POS else -turn

    # ------------------------------------------------------------------ queries

    def _voltage(self) -> float:
        return held_v(self._electrode, self.world.arm_bias(self.name, 1))

    def _calibrating(self) -> bool:
        left_s = self._calibrated_at - self.world.now()
        return _SLACK_S < left_s <= self._calibration_s  # clocks may be set back

    def _settled(self) -> bool:
        settling = 0 <= self.world.now() - self._changed_at < self._settle_s - _SLACK_S
        return self._mode in CONTROLLED and self._finds_points and not settling

    def _power_mw(self) -> float:
        return self.world.optical_power_w(self.name) * 1e3

    def _behind_voa_mw(self) -> float:
        return self._power_mw() * 10 ** (-self._attenuation_db() / 10)

    def _attenuation_db(self) -> float:
        return self._kept["VOA:ATTENUATION"] if self._kept["VOA:POWER"] else 0.0

    def _query_table(self) -> dict[str, Callable[[], str]]:
        def kept(header: str) -> Callable[[], str]:
            return lambda: f"{self._kept[header]:.{KEPT[header][3]}f}"

        return {
            "*IDN": lambda: f"THORLABS,{self._model},{self._serial},1.9.5",
            "*OPC": lambda: "1",
            "SYSTEM:MODEL": lambda: self._model,
            "SYSTEM:SERIAL": lambda: self._serial,
            "SYSTEM:FIRMWARE": lambda: "1.9.5",
            "MZM:MODE": lambda: str(self._mode),
            "MZM:CALIBRATING": lambda: str(int(self._calibrating())),
            "MZM:SETPOINT": lambda: str(int(self._settled())),
            "MZM:VOLTAGE": lambda: f"{self._voltage():.3f}",
            "MZM:TAP:MW": lambda: f"{self._power_mw():.6f}",
            "MZM:TAP:DBM": lambda: _dbm(self._power_mw()),
            "VOA:MEASURED": lambda: f"{self._attenuation_db():.2f}",
            "VOA:ERROR": lambda: "0.00",
            "VOA:SETPOINT": lambda: str(int(self._kept["VOA:POWER"])),
            "VOA:TAP:MW": lambda: f"{self._behind_voa_mw():.6f}",
            "VOA:TAP:DBM": lambda: _dbm(self._behind_voa_mw()),
            **{header: kept(header) for header in KEPT},
        }


def _dbm(power_mw: float) -> str:
    return f"{watt_to_dbm(power_mw * 1e-3) if power_mw > 0 else DARK_DBM:.2f}"
